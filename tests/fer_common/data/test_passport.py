"""The passport: looks that differ between usages, twins, and the crowd's votes with a guard against a wrong join."""

import dataclasses
import json

import cv2
import numpy as np
import pytest

from fer_common import UserError, data
from fer_common.data import attributes, ferplus, looks, passport, synthetic
from tests.conftest import REAL, ROOT, command

VOTES = REAL.parent / "fer2013new.csv"


def altered(faces, usage, change):
    """`faces` with the images of one usage changed."""
    images = faces.images.copy()
    rows = faces.usage == usage
    images[rows] = [change(image) for image in images[rows]]
    return dataclasses.replace(faces, images=images)


@pytest.fixture(scope="module")
def some(real):
    """Every tenth row of the real FER2013."""
    return data.load(str(real)).take(slice(None, None, 10))


def test_the_original_is_unremarkable_but_for_constant_images(some):
    found = passport.remarks(some, passport.make(some).looks)
    assert [remark for remark in found if "published" not in remark and "one grey value" not in remark] == []


def test_a_blurred_part_is_named(some):
    blurred = altered(some, "Training", lambda image: cv2.GaussianBlur(image, (3, 3), 0))
    assert any(remark.startswith("Training is blurred") for remark in passport.make(blurred).remarks)


def test_an_equalised_part_is_named(some):
    equalised = altered(some, "PrivateTest", cv2.equalizeHist)
    found = passport.make(equalised).remarks
    assert "PrivateTest is histogram-equalised: its grey values are spread evenly." in found
    assert not any(remark.startswith("Training is histogram") for remark in found)


def test_twins_within_and_across_usages(faces):
    images, labels = faces.images.copy(), faces.labels.copy()
    training, private = (np.flatnonzero(faces.usage == usage) for usage in ("Training", "PrivateTest"))
    images[private[0]], labels[private[0]] = images[training[0]], labels[training[0]]
    images[private[1]], labels[private[1]] = images[training[1]], (labels[training[1]] + 1) % 7
    images[training[2]] = images[training[3]]
    before = {(own.of, own.among): own for own in passport.make(faces).exact}
    made = passport.make(dataclasses.replace(faces, images=images, labels=labels))
    after = {(own.of, own.among): own for own in made.exact}
    across, within = ("PrivateTest", "Training"), ("Training", "Training")
    assert after[across].same_label - before[across].same_label == 1
    assert after[across].other_label - before[across].other_label == 1
    assert after[within].same_label + after[within].other_label == 2
    near = {(own.of, own.among): own for own in made.near}
    assert near[across].same_label >= after[across].same_label


def test_a_picture_saved_again_is_nearly_alike(some):
    """JPEG, as the image-folder form has it, changes pixels and hardly the hash; other pictures are far away."""
    coded = [cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1], 0) for image in some.images]
    varied = some.images.reshape(len(some), -1).std(1) > 10
    hashes, again = (looks.perceptual_hashes(np.array(images))[varied] for images in (some.images, coded))
    apart = np.bitwise_count(hashes ^ again)
    assert (apart <= looks.NEAR).mean() > 0.98
    assert (np.bitwise_count(hashes ^ np.roll(again, 1)) <= looks.NEAR).mean() < 0.01


def test_votes_join_by_row_and_a_wrong_join_is_noticed(real, tmp_path):
    if not VOTES.exists():
        pytest.skip("no FER+")
    whole = data.load(str(real))
    votes = ferplus.read(VOTES, whole)
    crowd = passport.crowd(whole, votes)
    assert 0.6 < crowd.agree < 0.7 and 0.6 < crowd.from_votes < 0.75
    lines = VOTES.read_text().splitlines()
    private, shifted = lines[-3589:], tmp_path / "shifted.csv"
    shifted.write_text("\n".join([*lines[:-3589], *private[7:], *private[:7]]))
    with pytest.raises(UserError, match="pluralities in PrivateTest are the label"):
        ferplus.read(shifted, whole)
    shifted.write_text("\n".join(lines[:100]))
    with pytest.raises(UserError, match="99 rows of votes for 35,887 images"):
        ferplus.read(shifted, whole)
    shifted.write_text("a,b\n")
    with pytest.raises(UserError, match="first row is not that of FER"):
        ferplus.read(shifted, whole)


def test_a_field_of_votes_that_is_longer_than_a_line(tmp_path):
    path = tmp_path / "fer2013new.csv"
    path.write_text(",".join(("Usage", "Image name", *ferplus.VOTES)) + "\nTraining," + "x" * 200_000)
    with pytest.raises(UserError, match="line 2 is longer than 1,000 characters; not FER+"):
        ferplus.read(path, synthetic.draw(1, seed=1))


def test_ties_and_no_faces_have_no_plurality():
    votes = ferplus.Votes(
        np.array([[5, 5, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0, 9], [1, 6, 0, 0, 0, 0, 0, 0, 3, 0]]),
        named=np.array([True, False, True]),
    )
    assert votes.plurality.tolist() == [-1, -1, 3]
    assert votes.tied.tolist() == [True, False, False] and votes.not_a_face.tolist() == [False, True, False]


def test_the_command_prints_draws_and_writes_json(few_faces, tmp_path):
    printed = command(
        "data", "check", *few_faces[3:], "--json", tmp_path / "passport.json", "--figure", tmp_path / "passport.png"
    ).stdout
    assert "PrivateTest in Training" in printed
    assert json.loads((tmp_path / "passport.json").read_text())["source"] == "fer2013-subset"
    assert (tmp_path / "passport.png").stat().st_size > 10_000
    assert "fingerprint" in command("data", "check", "synthetic", "--brief").stdout


def test_the_digest_of_rows_is_about_rows_whatever_their_order(faces):
    parts = faces.row_id, faces.usage, faces.labels
    digest = passport.rows_digest(*parts)
    order = np.random.default_rng(0).permutation(len(faces))
    assert passport.rows_digest(*(part[order] for part in parts)) == digest == passport.make(faces).rows
    assert len(digest) == 32
    labels, usage, row_id = faces.labels.copy(), faces.usage.copy(), faces.row_id.copy()
    labels[5], usage[5], row_id[5] = (labels[5] + 1) % 7, "PrivateTest", 9999
    others = (row_id, *parts[1:]), (parts[0], usage, parts[2]), (*parts[:2], labels)
    assert len({digest, *(passport.rows_digest(*other) for other in others)}) == 4


def test_identical_rows_come_back_without_pixels_in_the_same_order(tmp_path):
    """The order too: grouped splits are drawn in the order of the pixels."""
    faces = synthetic.draw(500, seed=4, duplicates=0.3)
    faces = dataclasses.replace(faces, row_id=faces.row_id[::-1] * 3)
    (tmp_path / "one.json").write_text(json.dumps(passport.make(faces).as_dict()))
    [made] = passport.read_all(tmp_path).values()
    np.testing.assert_array_equal(passport.identical_of(made, faces.row_id), faces.identical)
    assert passport.identical_of(made, faces.row_id[[7, 3]]).tolist() == faces.identical[[7, 3]].tolist()
    group = made.identical[0]
    assert len(group) > 1 and len(set(faces.identical[np.isin(faces.row_id, group)])) == 1
    assert sum(map(len, made.identical)) == (np.bincount(faces.identical)[faces.identical] > 1).sum()
    for strange in (1, -3, 1500):
        with pytest.raises(UserError, match="does not know all of these rows"):
            passport.identical_of(made, np.array([3, strange]))
    with pytest.raises(UserError, match="does not say which images are identical"):
        passport.identical_of(dataclasses.replace(made, pixel_order=None), faces.row_id)


def test_passports_without_rows_stay_readable(faces, tmp_path):
    whole = passport.make(faces).as_dict()
    for name in ("rows", "identical", "pixel_order"):
        del whole[name]
    (tmp_path / "old.json").write_text(json.dumps(whole))
    [old] = passport.read_all(tmp_path).values()
    assert (old.rows, old.identical, old.fingerprint) == (None, None, faces.fingerprint)


def test_passports_of_both_kinds_lie_in_one_folder(faces, tmp_path):
    people = synthetic.draw_attributes(100)
    for name, made in (("faces", passport.make(faces)), ("people", passport.make_attributes(people))):
        (tmp_path / f"{name}.json").write_text(json.dumps(made.as_dict()))
    assert list(passport.read_all(tmp_path)) == [faces.fingerprint]
    [read] = passport.read_attributes(tmp_path).values()
    assert read == passport.make_attributes(people) and sum(read.counts.values()) == 100
    assert read.rows["gender"] == passport.rows_digest(people.row_id, people.part, people.labels["gender"])
    assert set(read.rows) == set(attributes.ATTRIBUTES)
    (tmp_path / "people.json").write_text((tmp_path / "people.json").read_text()[:100])
    with pytest.raises(UserError, match="people.json"):
        passport.read_attributes(tmp_path)


def test_the_committed_passports_are_those_of_the_copies(real):
    whole = data.load(str(real))
    made = passport.read_all(ROOT / "results" / "passports")[whole.fingerprint]
    assert made.rows == passport.rows_digest(whole.row_id, whole.usage, whole.labels)
    np.testing.assert_array_equal(passport.identical_of(made, whole.row_id), whole.identical)


def test_the_command_makes_a_passport_of_utkface(real_utkface, tmp_path):
    printed = command("data", "check", "--attributes", real_utkface, "--json", tmp_path / "utkface.json").stdout
    assert "UTKFace test           2,383" in printed
    committed = ROOT / "results" / "passports" / "utkface.json"
    assert json.loads((tmp_path / "utkface.json").read_text()) == json.loads(committed.read_text())
    refused = command("data", "check", "--attributes", real_utkface, "--brief", check=False)
    assert refused.returncode == 1 and "--attributes is about UTKFace" in refused.stderr


def test_near_twins_are_those_that_comparing_all_with_all_finds():
    drawn = synthetic.draw(300, seed=5).images
    images = np.concatenate([drawn, drawn[:40], np.zeros((3, 48, 48), np.uint8)])
    images[300:340, 4:6, 4:6] += 9  # nearly those before
    hashes = looks.perceptual_hashes(images)
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= looks.NEAR
    np.fill_diagonal(near, False)
    found = looks.near_twins(images)
    assert near.sum() > 60 and len(found) == len(images)
    for row, own in enumerate(found):
        np.testing.assert_array_equal(own, np.flatnonzero(near[row]))
