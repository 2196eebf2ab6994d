"""UTKFace: names with faults are counted, what is something else is refused, identical images stay together."""

import numpy as np
import pytest

from fer_common import NoData, UserError
from fer_common.data import WITHHELD, synthetic, utkface
from tests.builders import jpeg, utkface_archive, utkface_names


@pytest.fixture
def files():
    return [(name, jpeg(k)) for k, name in enumerate(utkface_names())]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("100_0_3_20170112213500903.jpg.chip.jpg", (100, 0, 3)),
        ("UTKFace/24_0_1_20170116220224657 .jpg.chip.jpg", (24, 0, 1)),
        ("55_0_0_20170116232725357jpg.chip.jpg", (55, 0, 0)),
        ("14_0_0_2017011022340900.jpg.chip.jpg", (14, 0, 0)),
        ("39_1_20170116174525125.jpg.chip.jpg", None),
        ("39_²_0_20170116174525125.jpg.chip.jpg", None),
        ("IMG_20170116.jpg", None),
    ],
)
def test_labels_from_names(name, expected):
    assert utkface.labels_of(name) == expected


@pytest.mark.parametrize(
    ("age", "group"), [(1, 0), (12, 0), (13, 1), (19, 1), (20, 2), (39, 2), (40, 3), (59, 3), (60, 4)]
)
def test_where_age_groups_begin(tmp_path, age, group):
    path = utkface_archive(tmp_path / "a.tar.gz", [(f"{age}_0_0_20170112213500903.jpg", jpeg(0))])
    assert utkface.read(path, allow_subset=True).labels["age_group"].tolist() == [group]


@pytest.mark.parametrize(("name", "said"), [("24_2_0", "gender 2"), ("24_1_5", "race 5"), ("200_1_0", "age 200")])
def test_an_attribute_out_of_range_is_named(tmp_path, files, name, said):
    path = utkface_archive(tmp_path / "a.tar.gz", [*files, (f"{name}_20170116220224657.jpg", jpeg(1))])
    with pytest.raises(UserError, match=f"{said} is out of range"):
        utkface.read(path, allow_subset=True)


def test_folder_and_archive_are_read_alike_and_copies_stay_together(tmp_path, files, capsys):
    files = [*files, ("39_1_20170116174525125.jpg", jpeg(999))]
    files += [(f"30_0_1_20180101000000{k:03d}.jpg", files[k][1]) for k in range(40)]
    packed = utkface.read(utkface_archive(tmp_path / "a.tar.gz", files), allow_subset=True)
    assert "1 of 341 names lack a label" in capsys.readouterr().out
    folder = tmp_path / "faces"
    folder.mkdir()
    for name, content in files:
        (folder / name).write_bytes(content)
    unpacked = utkface.read(folder, allow_subset=True)
    assert packed.fingerprint == unpacked.fingerprint and len(packed) == 340
    assert packed.images.shape == (340, 48, 48) and packed.images.dtype == np.uint8
    pixels = [image.tobytes() for image in packed.images]
    parts = {}
    for key, part in zip(pixels, packed.part):
        assert parts.setdefault(key, part) == part
    assert len(parts) == 300 < len(packed)


def test_what_is_not_utkface_is_refused(tmp_path, files):
    other = tmp_path / "other"
    other.mkdir()
    for k in range(5):
        (other / f"Training_{k}.jpg").write_bytes(jpeg(k))
    with pytest.raises(UserError, match="not UTKFace: 5 of 5 images have no name like"):
        utkface.read(other)
    whole = utkface_archive(tmp_path / "whole.tar.gz", files)
    with pytest.raises(UserError, match="300 faces with labels, and UTKFace has 23,708"):
        utkface.read(whole)
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(UserError, match="damaged or cut off"):
        utkface.read(cut, allow_subset=True)
    with pytest.raises(UserError, match="no image"):
        utkface.read(utkface_archive(tmp_path / "b.tar.gz", [*files, ("1_1_1_20170116220224657.jpg", b"no")]))


def test_where_nothing_is_one_sentence(monkeypatch):
    monkeypatch.delenv("UTKFACE", raising=False)
    with pytest.raises(NoData, match="No UTKFace found; pass --attributes PATH"):
        utkface.load()
    with pytest.raises(UserError, match="nothing is there"):
        utkface.load("/nowhere")


def test_labels_of_the_tested_are_withheld():
    drawn = synthetic.draw_attributes(200, seed=3)
    assert drawn.fingerprint == synthetic.draw_attributes(200, seed=3).fingerprint
    held = drawn.withheld()
    for name, classes in utkface.ATTRIBUTES.items():
        tested = held.role == "score"
        assert tested.any() and (held.labels[name][tested] == WITHHELD).all()
        assert (held.labels[name][~tested] < len(classes)).all()


def test_the_real_one(real_utkface):
    data = utkface.read(real_utkface)
    assert (data.source, len(data)) == ("utkface", 23_705)
    assert np.bincount(data.labels["gender"]).tolist() == [12391, 11314]
    assert np.bincount(data.labels["ethnicity"]).tolist() == [10078, 4526, 3434, 3975, 1692]
    shares = [(data.part == part).mean() for part in utkface.PARTS]
    np.testing.assert_allclose(shares, (0.8, 0.1, 0.1), atol=0.01)
