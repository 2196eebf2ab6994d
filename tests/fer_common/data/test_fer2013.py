"""Every malformed file of FER2013 ends in its sentence, and what was read is kept. The forms are in `test_forms`."""

import hashlib
import multiprocessing
import os
import signal
import tarfile
import zipfile

import mlcroissant
import numpy as np
import pytest
from PIL import Image

from fer_common import UserError
from fer_common.data import EMOTIONS, cache_folder, fer2013, find, load, utkface
from tests.conftest import ROOT, assert_same, csv_lines
from tests.fer_common.data.test_forms import as_competition_zip, as_csv, as_tar, images_as_png, write


@pytest.fixture(scope="module")
def lines(faces):
    return csv_lines(faces)


def test_a_folder_is_searched_for_the_whole_copy(tmp_path, faces, lines):
    write(tmp_path / "train.csv", ["emotion,pixels"])
    as_tar(tmp_path, faces, lines)
    assert_same(fer2013.read(tmp_path, allow_subset=True), faces)


def test_train_csv_is_all_training(tmp_path, faces, lines):
    rows = [line.rsplit(",", 1)[0].split(",") for line in lines[1:]]
    path = write(tmp_path / "train.csv", ["emotion,pixels"] + [f'{e},"{p}"' for e, p in rows])
    data = fer2013.read(path, allow_subset=True)
    np.testing.assert_array_equal(data.images, faces.images)
    assert set(data.usage) == {"Training"}
    with pytest.raises(UserError, match="PublicTest has 0 images and FER2013 has 3,589"):
        fer2013.read(path)


@pytest.mark.parametrize("archived", [False, True])
def test_image_forms(archived, tmp_path, faces):
    if archived:
        path = tmp_path / "archive.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in images_as_png(faces):
                archive.writestr(name, content)
    else:
        path = tmp_path
        for name, content in images_as_png(faces):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    data = fer2013.read(path, allow_subset=True)
    order = np.concatenate(
        [np.flatnonzero(faces.usage == usage)[::-1] for usage in ("Training", "PublicTest", "PrivateTest")]
    )
    assert_same(data, faces.take(order))


@pytest.mark.parametrize(
    "names",
    [
        ("0", "1", "2", "3", "4", "5", "6"),
        ("Anger", "Disgusted", "Fearful", "Happiness", "Sadness", "Surprised", "Neutral"),
    ],
)
def test_class_folders_by_other_names(names, tmp_path, faces):
    for name, content in images_as_png(faces):
        part, label, file = name.split("/")
        path = tmp_path / part / names[EMOTIONS.index(label)] / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        (path.parent / f"._{file}").write_bytes(b"of a Mac")
    data = fer2013.read(tmp_path, allow_subset=True)
    assert sorted(data.labels.tolist()) == sorted(faces.labels.tolist()) and len(data) == len(faces)


def test_hostile_archives_end_in_a_sentence_and_little_memory(tmp_path):
    path = tmp_path / "endless.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013.csv", "emotion,pixels,Usage\n0," + "1 " * 40_000_000)
    with pytest.raises(UserError, match="has a line of more than 65,536 characters"):
        fer2013.read(path)
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the bit that says: encrypted
        raw[raw.index(signature) + offset] |= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match="unpack it with its password first"):
        fer2013.read(path)
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):  # Deflate64
        raw[raw.index(signature) + offset] = 9
        raw[raw.index(signature) + offset - 2] &= 0xFE
    path.write_bytes(raw)
    with pytest.raises(UserError, match="packed in a way that is not supported"):
        fer2013.read(path)


@pytest.fixture
def zeros(tmp_path):
    """A path as which 4 GiB of zeros lie on the disk, in no room at all."""
    with (tmp_path / "zeros").open("wb") as file:
        file.truncate(4 << 30)
    return tmp_path / "zeros"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("train.csv", "line 1 names no column `pixels`"),
        ("train/angry/Training_1.png", "has more than 1,048,576 bytes, and an image of FER2013 has 2,304 pixels"),
        ("fer2013.npz", "is no .npz, whatever its name says"),
        ("fer2013.parquet", "is no parquet, or is damaged"),
    ],
)
def test_four_gigabytes_of_zeros(name, sentence, zeros, tmp_path, little_memory):
    (tmp_path / "copy" / name).parent.mkdir(parents=True)
    zeros.rename(tmp_path / "copy" / name)
    with pytest.raises(UserError, match=sentence):
        fer2013.read(tmp_path / "copy")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("reader", [fer2013, utkface])
def test_a_tar_whose_names_have_gigabytes(reader, kind, zeros, tmp_path, little_memory):
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, zeros.stat().st_size - 1024
    with zeros.open("r+b") as file:
        file.write(header.tobuf())
    zeros.rename(tmp_path / "copy.tar")
    with pytest.raises(UserError, match="a name or header of 4,294,966,272 bytes, expected 65,536 at most"):
        reader.read(tmp_path / "copy.tar", allow_subset=True)


def test_rows_and_members_without_end(tmp_path, little_memory):
    with zipfile.ZipFile(tmp_path / "rows.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013.csv", "emotion,pixels,Usage\n" + "\n" * 300_000)
    with pytest.raises(UserError, match="has more than 200,000 lines, and FER2013 has 35,888"):
        fer2013.read(tmp_path / "rows.zip")
    with zipfile.ZipFile(tmp_path / "members.zip", "w") as archive:
        for number in range(300_001):
            archive.writestr(f"{number}.png", b"")
    with pytest.raises(UserError, match="holds 300,001 files, and FER2013 has 35,887 images"):
        fer2013.read(tmp_path / "members.zip")


def change(lines, row, what):
    """The lines with data row `row` (1-based) changed by what(emotion, pixels, usage)."""
    return [*lines[:row], ",".join(what(*lines[row].split(","))), *lines[row + 1 :]]


MALFORMED = {
    "2,303 pixels": (lambda e, p, u: (e, p.rsplit(" ", 1)[0], u), "row 70 .line 71.: 2,303 pixels, expected 2,304"),
    "2,305 pixels": (lambda e, p, u: (e, p + " 7", u), "row 70 .line 71.: 2,305 pixels"),
    "label 7": (lambda e, p, u: ("7", p, u), "row 70 .line 71.: label '7', expected a whole number from 0 to 6"),
    "no label": (lambda e, p, u: ("", p, u), "row 70 .line 71.: label ''"),
    "usage": (lambda e, p, u: (e, p, "Test"), "usage 'Test', expected Training, PublicTest or PrivateTest"),
    "pixel 256": (lambda e, p, u: (e, "256 " + p.split(" ", 1)[1], u), "pixel 1 is '256', expected 0 to 255"),
    "pixel -1": (lambda e, p, u: (e, p.rsplit(" ", 1)[0] + " -1", u), "pixel 2,304 is '-1'"),
    "pixel 1.5": (lambda e, p, u: (e, "1.5 " + p.split(" ", 1)[1], u), "pixel 1 is '1.5'"),
    "pixel 0012": (lambda e, p, u: (e, "0012 " + p.split(" ", 1)[1], u), "pixel 1 is '0012'"),
    "a tab": (lambda e, p, u: (e, p.replace(" ", "\t", 1), u), "pixel 1 is '.*t.*', expected 0 to 255"),
    "fields": (lambda e, p, u: (e, p), "row 70 .line 71.: 2 fields, expected 3"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_row_is_named(name, tmp_path, lines):
    what, sentence = MALFORMED[name]
    path = write(tmp_path / "fer2013.csv", change(lines, 70, what))
    with pytest.raises(UserError, match=sentence):
        fer2013.read(path, allow_subset=True)


def test_pixels_moved_between_rows_are_noticed(tmp_path, lines):
    """2,303 and 2,305 pixels side by side hold the right number in all."""
    moved = change(lines, 70, lambda e, p, u: (e, p.rsplit(" ", 1)[0], u))
    moved = change(moved, 71, lambda e, p, u: (e, p + " 7", u))
    with pytest.raises(UserError, match="row 70 .line 71.: 2,303 pixels"):
        fer2013.read(write(tmp_path / "fer2013.csv", moved), allow_subset=True)


def test_truncated_files(tmp_path, faces, lines):
    whole = as_csv(tmp_path, faces, lines).read_bytes()
    cut = tmp_path / "cut.csv"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(UserError, match="row .* expected .*cut off or edited: download it again"):
        fer2013.read(cut, allow_subset=True)
    cut.write_bytes(b"emotion,pixels,Usage\n")
    with pytest.raises(UserError, match="has a header and no rows"):
        fer2013.read(cut)
    archive = as_tar(tmp_path, faces, lines)
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(UserError, match="damaged or cut off"):
        fer2013.read(archive, allow_subset=True)
    zipped = as_competition_zip(tmp_path, faces, lines)
    zipped.write_bytes(zipped.read_bytes()[:-2000])
    with pytest.raises(UserError, match="damaged or cut off"):
        fer2013.read(zipped, allow_subset=True)


def test_other_counts_are_refused_unless_on_purpose(tmp_path, faces, lines):
    path = as_csv(tmp_path, faces, lines)
    with pytest.raises(
        UserError, match="Training has 560 images and FER2013 has 28,709 .angry .* not 3,995.*--allow-subset"
    ):
        fer2013.read(path)


def test_no_labels_no_usages_no_pixels(tmp_path):
    with pytest.raises(UserError, match="no column `emotion`, so no labels"):
        fer2013.read(write(tmp_path / "test.csv", ["pixels", "1 2 3"]))
    with pytest.raises(UserError, match="names no column `pixels`"):
        fer2013.read(write(tmp_path / "other.csv", ["a,b", "1,2"]))
    (tmp_path / "happy").mkdir()
    Image.new("L", (48, 48)).save(tmp_path / "happy" / "im0.png")
    for file in tmp_path.glob("*.csv"):
        file.unlink()
    with pytest.raises(UserError, match="does not say its usage"):
        fer2013.read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("train/happy/Training_1.png", None, "Training_1.png is neither JPEG nor PNG"),
        ("train/happy/Training_1.png", Image.new("L", (96, 96)), "is 96 × 96 in mode L, expected 48 × 48"),
        ("train/happy/Training_1.png", Image.new("RGB", (48, 48)), "in mode RGB, expected 48 × 48 in 8-bit grey"),
        ("train/joy/Training_1.png", Image.new("L", (48, 48)), "lies in no class folder"),
    ],
)
def test_wrong_images(name, content, sentence, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not an image") if content is None else content.save(path)
    with pytest.raises(UserError, match=sentence):
        fer2013.read(tmp_path, allow_subset=True)


def test_where_data_is_found(tmp_path, faces, lines, monkeypatch):
    monkeypatch.delenv("FER2013", raising=False)
    with pytest.raises(UserError, match="ferrepro data fetch.*by hand.*--data synthetic"):
        find()
    cached = cache_folder() / "fer2013"
    cached.mkdir(parents=True)
    as_csv(cached, faces, lines)
    try:
        assert find() == str(cached)
        monkeypatch.setenv("FER2013", "synthetic")
        assert find() == "synthetic"
        assert find(str(tmp_path)) == str(tmp_path)
        monkeypatch.setenv("FER2013", "/nowhere")
        with pytest.raises(UserError, match="The variable FER2013 says '/nowhere', and nothing is there"):
            load()
    finally:
        (cached / "fer2013.csv").unlink()
        cached.rmdir()


# The cache


def test_a_second_read_is_mapped_and_the_same(tmp_path, faces, lines):
    path = as_csv(tmp_path, faces, lines)
    fer2013.read(path, allow_subset=True)
    again = fer2013.read(path, allow_subset=True)
    assert isinstance(again.images, np.memmap)
    assert_same(again, faces)


def test_a_changed_file_is_read_anew(tmp_path, faces, lines):
    path = as_csv(tmp_path, faces, lines)
    before = fer2013.read(path, allow_subset=True).fingerprint
    write(path, change(lines, 1, lambda e, p, u: (e, "9 " + p.split(" ", 1)[1] if p[:2] != "9 " else p, u)))
    assert fer2013.read(path, allow_subset=True).fingerprint != before


def test_a_rotten_or_half_written_cache_is_not_believed(tmp_path, faces, lines):
    path = as_csv(tmp_path, faces, lines)
    fingerprint = fer2013.read(path, allow_subset=True).fingerprint
    folder = cache_folder() / "data"
    with (folder / fingerprint / "images.npy").open("r+b") as file:
        file.seek(5000)
        file.write(b"rot")
    assert_same(fer2013.read(path, allow_subset=True), faces)
    (folder / fingerprint / "labels.npy").write_bytes(b"")
    (folder / "0123.partial").mkdir()
    assert_same(fer2013.read(path, allow_subset=True), faces)
    assert not (folder / "0123.partial").exists()
    assert_same(fer2013.read(path, allow_subset=True), faces)


def _read_fingerprint(path, results):
    results.put(fer2013.read(path, allow_subset=True).fingerprint)


def _die_while_writing(path):
    """Be killed halfway through the first array of the cache."""
    from fer_common.data import cache

    def half(file, array):
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    cache.np.save = half
    fer2013.read(path, allow_subset=True)


def test_a_process_killed_while_writing_and_two_at_once(tmp_path, lines):
    path = write(tmp_path / "twice.csv", [lines[0], *lines[1:][::-1]])
    spawn = multiprocessing.get_context("spawn")
    victim = spawn.Process(target=_die_while_writing, args=(path,))
    victim.start()
    victim.join(60)
    assert victim.exitcode == -signal.SIGKILL
    assert list((cache_folder() / "data").glob("*.partial")), "the killed writer should have left something"
    results = spawn.Queue()
    readers = [spawn.Process(target=_read_fingerprint, args=(path, results)) for _ in range(2)]
    for reader in readers:
        reader.start()
    found = {results.get(timeout=60), results.get(timeout=60)}
    for reader in readers:
        reader.join(60)
    assert [reader.exitcode for reader in readers] == [0, 0]
    assert found == {fer2013.read(path, allow_subset=True).fingerprint}
    assert not list((cache_folder() / "data").glob("*.partial"))


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path, faces, lines, monkeypatch, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("FERREPRO_CACHE", str(blocked))
    assert_same(fer2013.read(as_csv(tmp_path, faces, lines), allow_subset=True), faces)
    assert "cannot be used" in capsys.readouterr().err


# The real one


def test_the_real_fer2013(real):
    """`read` refuses anything but the published counts; pixels are held against a reading by plain Python."""
    data = fer2013.read(real)
    assert (data.source, len(data), data.images.shape) == ("fer2013", 35887, (35887, 48, 48))
    if real.name.endswith(".tar.gz"):
        with tarfile.open(real) as archive:
            stream = archive.extractfile(archive.next())
            stream.readline()
            for row in range(300):
                label, pixels, usage = stream.readline().decode().strip().split(",")
                assert (int(label), usage) == (data.labels[row], data.usage[row])
                assert [int(pixel) for pixel in pixels.split(" ")] == data.images[row].ravel().tolist()


def test_the_croissant_file_is_valid_and_its_records_are_what_the_reader_gives(tmp_path, faces, lines):
    """Offline; mlcroissant compares the checksum too, so that drawn faces need one of their own."""
    described = (ROOT / "docs" / "fer2013.croissant.json").read_text()
    original = next(md5 for md5, name in fer2013.ORIGINAL_MD5.items() if "tar.gz" in name)
    assert original in described
    assert all(f"({sum(counts):,})" in described for counts in fer2013.OFFICIAL_COUNTS.values())
    archive = as_tar(tmp_path, faces, lines)
    of_drawn = tmp_path / "drawn.json"
    of_drawn.write_text(described.replace(original, hashlib.md5(archive.read_bytes()).hexdigest()))
    read = mlcroissant.Dataset(of_drawn, mapping={archive.name: archive})
    assert not read.metadata.issues.errors and not read.metadata.issues.warnings
    assert [row["emotions/name"] for row in read.records("emotions")] == list(EMOTIONS)
    records = list(read.records("images"))
    assert [row["images/emotion"] for row in records] == faces.labels.tolist()
    assert [row["images/usage"].decode() for row in records] == faces.usage.tolist()
    pixels = np.array([row["images/pixels"].split() for row in records], np.uint8)
    assert (pixels.reshape(faces.images.shape) == faces.images).all()
