"""Every row of the table of forms in docs/data.md has a drawn copy, which reads as the faces that it was made of; what
is none of the forms, or needs an option, ends in a sentence."""

import gzip
import io
import json
import re
import struct
import sys
import tarfile
import zipfile
import zlib
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_common import UserError
from fer_common.data import EMOTIONS, USAGES, fer2013, original, passport, rows, synthetic
from fer_common.protocols import PROTOCOLS
from tests.conftest import ROOT, assert_same, csv_lines


@pytest.fixture(scope="module")
def faces():
    """Fewer than everywhere else, since each form is written."""
    return synthetic.draw(140, seed=1)


@pytest.fixture(scope="module")
def lines(faces):
    return csv_lines(faces)


def write(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def images_as_png(faces):
    """(name, bytes) per face; PNG, so that the pixels survive. Numbers run backwards to show that they order rows."""
    number = len(faces)
    for image, label, usage in zip(faces.images, faces.labels, faces.usage):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        part = "train" if usage == "Training" else "test"
        yield f"{part}/{EMOTIONS[label]}/{usage}_{number}.png", buffer.getvalue()
        number -= 1


def as_csv(folder, faces, lines):
    return write(folder / "fer2013.csv", lines)


def as_icml_csv(folder, faces, lines):
    split = [line.split(",") for line in lines[1:]]
    return write(folder / "icml_face_data.csv", ["emotion, Usage, pixels"] + [f"{e}, {u}, {p}" for e, p, u in split])


def as_tar(folder, faces, lines):
    plain = write(folder / "plain.csv", lines)
    with tarfile.open(folder / "fer2013.tar.gz", "w:gz") as archive:
        archive.add(plain, "fer2013/fer2013.csv")
    return folder / "fer2013.tar.gz"


def as_competition_zip(folder, faces, lines):
    plain = as_icml_csv(folder, faces, lines)
    with zipfile.ZipFile(folder / "challenges.zip", "w") as archive:
        archive.writestr("test.csv", "pixels\n")
        archive.write(plain, "icml_face_data.csv")
    return folder / "challenges.zip"


def as_utf_16(folder, faces, lines):
    (folder / "fer2013.csv").write_text("\n".join(lines), encoding="utf-16")
    return folder / "fer2013.csv"


def as_semicolons(folder, faces, lines):
    return write(folder / "FER2013.csv", [line.replace(",", ";") for line in lines])


def as_tabs_without_header(folder, faces, lines):
    return write(folder / "fer2013.csv", [line.replace(",", "\t") for line in lines[1:]])


def as_names(folder, faces, lines):
    """Labels by name, usages in lower case."""
    split = [line.split(",") for line in lines[1:]]
    rows = [f"{EMOTIONS[int(emotion)].title()},{pixels},{usage.lower()}" for emotion, pixels, usage in split]
    return write(folder / "fer2013.csv", ["emotion,pixels,Usage", *rows])


def as_csv_gz(folder, faces, lines):
    with gzip.open(folder / "fer2013.csv.gz", "wt") as file:
        file.write("\n".join(lines))
    return folder / "fer2013.csv.gz"


def as_tar_bz2(folder, faces, lines):
    """Of a Mac, and in capitals."""
    plain = write(folder / "plain.csv", lines)
    with tarfile.open(folder / "copy.tar.bz2", "w:bz2") as archive:
        archive.add(ROOT / "LICENSE", "__MACOSX/._FER2013.csv")
        archive.add(plain, "FER2013.csv")
    return folder / "copy.tar.bz2"


def as_old_mac(folder, faces, lines):
    (folder / "fer2013.csv").write_bytes("\r".join(lines).encode())
    return folder / "fer2013.csv"


def as_train_csv(folder, faces, lines):
    rows = [line.split(",") for line in lines[1:]]
    return write(folder / "train.csv", ["emotion,pixels"] + [f'{e},"{p}"' for e, p, _ in rows])


def zipped(path, files):
    """files: (name, bytes or path)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files:
            archive.writestr(name, content if isinstance(content, (bytes, str)) else content.read_bytes())
    return path


def as_competition(folder, faces, lines):
    """As downloaded, in a folder; icml_face_data.csv has every usage, and is not what is found first."""
    (folder / "in").mkdir()
    inner, icml = as_tar(folder / "in", faces, lines), as_icml_csv(folder / "in", faces, lines)
    files = [("example_submission.csv", "emotion\n0\n"), ("fer2013.tar.gz", inner), ("icml_face_data.csv", icml)]
    files += [("test.csv", "pixels\n"), ("train.csv", "emotion,pixels\n")]
    (folder / "download").mkdir()
    zipped(folder / "download" / f"{fer2013.COMPETITION}.zip", files)
    return folder / "download"


def as_competition_unpacked(folder, faces, lines):
    (folder / fer2013.COMPETITION).mkdir()
    as_tar(folder / fer2013.COMPETITION, faces, lines)
    write(folder / fer2013.COMPETITION / "train.csv", ["emotion,pixels"])
    return folder


def as_tar_in_zip(folder, faces, lines):
    """Beside a train.csv, which says less."""
    return zipped(
        folder / "a.zip", [("train.csv", "emotion,pixels\n"), ("x/fer2013.tar.gz", as_tar(folder, faces, lines))]
    )


def as_csv_zip_in_tar(folder, faces, lines):
    inner = zipped(folder / "inner.zip", [("icml_face_data.csv", as_icml_csv(folder, faces, lines))])
    with tarfile.open(folder / "outer.tar", "w") as archive:
        archive.add(inner, "icml_face_data.csv.zip")
        archive.add(ROOT / "LICENSE", "train.csv.zip")
    return folder / "outer.tar"


def in_folder(folder, files):
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def as_images(folder, faces, lines):
    return in_folder(folder / "images", images_as_png(faces))


def as_zipped_images(folder, faces, lines):
    return zipped(folder / "archive.zip", images_as_png(faces))


def as_images_in_zip_in_zip(folder, faces, lines):
    return zipped(folder / "outer.zip", [("fer.zip", zipped(folder / "fer.zip", images_as_png(faces)))])


def by_folder(faces, training="train", public="validation", private="test"):
    """The images with their usage by folder alone."""
    name_of = dict(zip(USAGES, (training, public, private)))
    for number, (name, content) in enumerate(images_as_png(faces)):
        usage = name.split("/")[2].split("_")[0]
        yield f"{name_of[usage]}/{name.split('/')[1]}/im{number}.png", content


def as_images_by_folder(folder, faces, lines):
    return in_folder(folder / "images", by_folder(faces))


def as_images_by_usage(folder, faces, lines):
    return in_folder(folder / "images", by_folder(faces, "Training", "PublicTest", "private_test"))


def as_merged_images(folder, faces, lines):
    return zipped(folder / "archive.zip", by_folder(faces, "train", "test", "test"))


def with_extra(faces):
    """Augmented, doubled, copied; and a picture in two places."""
    files = list(images_as_png(faces))
    (name, content), (other, _) = files[0], files[-1]
    yield from files
    yield name.replace(".png", ".png0.png"), content
    yield name.replace(".png", "(1).png"), content
    yield name.replace(".png", " - Copy.png"), content
    yield f"twice/{other}", content


def as_images_with_extra(folder, faces, lines):
    return in_folder(folder / "images", with_extra(faces))


def as_images_by_folder_with_extra(folder, faces, lines):
    files = list(by_folder(faces))
    return in_folder(folder / "images", [*files, *((name[:-4] + "(1).png", content) for name, content in files[:4])])


def parquet_of(faces, images="struct", names=False, **more):
    """A table; `images` says how they are held, `names` that labels are numbers of the alphabet."""
    png = [content for _, content in images_as_png(faces)]
    held = {
        "struct": lambda: [{"bytes": content, "path": None} for content in png],
        "bytes": lambda: png,
        "lists": faces.images.tolist,
        "flat": lambda: faces.images.reshape(len(faces), -1).tolist(),
        "text": lambda: [" ".join(map(str, image.ravel())) for image in faces.images],
    }[images]()
    labels = faces.labels
    if names:
        labels = np.array([sorted(EMOTIONS).index(name) for name in EMOTIONS])[labels]
    table = pa.table({"pixels" if images == "text" else "image": held, "label": labels} | more)
    if names:
        features = {"label": {"names": sorted(EMOTIONS), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    return table


def as_parquet_of_hugging_face(folder, faces, lines):
    """A file a usage, labels as its `ClassLabel` numbers them."""
    (folder / "data").mkdir()
    for usage, name in zip(USAGES, ("train", "valid", "test")):
        table = parquet_of(faces.take(faces.usage == usage), names=True)
        pq.write_table(table, folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


def as_parquet_by_folder(folder, faces, lines):
    for usage, name in zip(USAGES, ("train", "validation", "test")):
        (folder / "default" / name).mkdir(parents=True)
        table = parquet_of(faces.take(faces.usage == usage), "bytes")
        pq.write_table(table, folder / "default" / name / "0000.parquet")
    return folder


def as_zipped_parquet(folder, faces, lines):
    path = one_parquet(folder, faces, "lists", Usage=faces.usage)
    return zipped(folder / "a.zip", [("x/any.parquet", path)])


def one_parquet(folder, faces, images, **more):
    pq.write_table(parquet_of(faces, images, **more), folder / "any.parquet")
    return folder / "any.parquet"


def as_parquet_of_lists(folder, faces, lines):
    return one_parquet(folder, faces, "flat", usage=faces.usage)


def as_parquet_of_text(folder, faces, lines):
    return one_parquet(folder, faces, "text", split=[usage.lower() for usage in faces.usage])


def as_npz(folder, faces, lines):
    np.savez_compressed(folder / "a.npz", images=faces.images, labels=faces.labels, usage=faces.usage)
    return folder / "a.npz"


def as_npz_of_names(folder, faces, lines):
    """Flat, of another type, with a last axis; labels by name."""
    names = np.array(EMOTIONS)[faces.labels]
    pixels = faces.images.reshape(-1, 2304).astype(np.float32)
    np.savez(folder / "a.npz", X=pixels, y=names[:, None], Usage=faces.usage.astype("S"))
    return folder


def as_npz_by_usage(folder, faces, lines):
    arrays = {}
    for usage, name in zip(USAGES, ("train", "public_test", "private_test")):
        arrays[f"X_{name}"] = faces.images[faces.usage == usage][..., None].astype(int)
        arrays[f"y_{name}"] = faces.labels[faces.usage == usage]
    np.savez(folder / "a.npz", **arrays)
    return zipped(folder / "a.zip", [("a.npz", folder / "a.npz")])


def as_npz_with_merged_test(folder, faces, lines):
    training = faces.usage == "Training"
    np.savez(
        folder / "a.npz",
        train_images=faces.images[training],
        train_labels=faces.labels[training],
        test_images=faces.images[~training],
        test_labels=faces.labels[~training],
    )
    return folder / "a.npz"


# By what a row of the table begins with.
FORMS = {
    "`fer2013.csv`": [as_csv, as_icml_csv, as_utf_16, as_semicolons, as_tabs_without_header, as_names, as_old_mac],
    "`train.csv`": [as_train_csv],
    "packed:": [as_tar, as_competition_zip, as_csv_gz, as_tar_bz2],
    "packed twice": [
        as_competition,
        as_competition_unpacked,
        as_tar_in_zip,
        as_csv_zip_in_tar,
        as_images_in_zip_in_zip,
    ],
    "images `train/happy/Training_123.jpg`": [as_images, as_zipped_images],
    "images `train/happy/im0.png`": [as_images_by_folder, as_images_by_usage],
    "images `test/happy/im0.png` without": [as_merged_images, as_npz_with_merged_test],
    "images with others made": [as_images_with_extra, as_images_by_folder_with_extra],
    "parquet": [
        as_parquet_of_hugging_face,
        as_parquet_by_folder,
        as_zipped_parquet,
        as_parquet_of_lists,
        as_parquet_of_text,
    ],
    "`.npz`": [as_npz, as_npz_of_names, as_npz_by_usage],
}
OPTIONS = {"images `test/happy/im0.png` without": "merged_test", "images with others made": "without_extra"}
TABLE = re.search(r"\| form \|.*?\n\n", (ROOT / "docs" / "data.md").read_text(), re.DOTALL)[0]
ROWS = [line.split("|")[1].strip() for line in TABLE.strip().splitlines()[2:]]


def test_the_table_and_the_copies_are_about_the_same_forms():
    assert len(ROWS) == len(FORMS)
    assert all(row.startswith(form) for row, form in zip(ROWS, FORMS))


def canonical(faces):
    """In an order that depends on what the rows hold alone: that of an image folder is its names'."""
    keys = [(u, int(y), image.tobytes()) for u, y, image in zip(faces.usage, faces.labels, faces.images)]
    return faces.take(np.array(sorted(range(len(faces)), key=keys.__getitem__)))


@pytest.mark.parametrize(
    ("form", "make"), [pytest.param(form, make, id=make.__name__) for form, makes in FORMS.items() for make in makes]
)
def test_a_form_reads_as_the_faces(form, make, tmp_path, faces, lines):
    path = make(tmp_path, faces, lines)
    options = {OPTIONS[form]: True} if form in OPTIONS else {}
    expected = faces
    if options.get("merged_test"):
        expected = fer2013.FaceData(
            **vars(faces) | {"usage": np.where(faces.usage == "PublicTest", "PrivateTest", faces.usage)}
        )
    if make is as_train_csv:
        expected = fer2013.FaceData(**vars(faces) | {"usage": np.full(len(faces), "Training")})
    for _ in range(2):  # from the file, then from the cache
        data = fer2013.read(path, allow_subset=True, **options)
        if "images" in form or "images" in make.__name__:
            assert_same(canonical(data), canonical(expected))
        else:
            assert_same(data, expected)
        np.testing.assert_array_equal(data.row_id, np.arange(len(faces)))
        assert data.source == "fer2013-subset" and bool(data.notes) == bool(options)
    if options:
        with pytest.raises(UserError, match=f"say --{OPTIONS[form].replace('_', '-')} to "):
            fer2013.read(path, allow_subset=True)


def test_a_merged_test_is_said_everywhere_and_allows_no_official_protocol(tmp_path, faces, lines):
    path = as_merged_images(tmp_path, faces, lines)
    data = fer2013.read(path, allow_subset=True, merged_test=True)
    assert fer2013.MERGED_TEST in passport.make(data).remarks and fer2013.MERGED_TEST in original.at_a_glance(data)
    with pytest.raises(UserError, match="needs all three usages, and .* has no PublicTest"):
        PROTOCOLS["official"].split(data, 0)


def test_the_counts_of_a_whole_merged_test_are_right():
    usage = np.repeat([0, 2, 2], [sum(counts) for counts in fer2013.OFFICIAL_COUNTS.values()])
    labels = np.concatenate([np.repeat(range(7), counts) for counts in fer2013.OFFICIAL_COUNTS.values()])
    assert not fer2013.counts_deviation(labels, usage, merged_test=True)
    assert "PublicTest has 0 images" in fer2013.counts_deviation(labels, usage)
    assert "the merged test has 7,177 images" in fer2013.counts_deviation(labels[:-1], usage[:-1], merged_test=True)


def test_an_option_that_a_copy_does_not_need_is_refused(tmp_path, faces, lines):
    with pytest.raises(UserError, match="leave --merged-test out"):
        fer2013.read(as_csv(tmp_path, faces, lines), allow_subset=True, merged_test=True)


def test_extra_files_are_counted(tmp_path, faces, lines):
    path = as_images_with_extra(tmp_path, faces, lines)
    with pytest.raises(UserError, match=r"4 of 144 files are extra, such as .*\.png: made from others, or there twice"):
        fer2013.read(path, allow_subset=True)
    for _ in range(2):  # from the files, then from the cache
        data = fer2013.read(path, allow_subset=True, without_extra=True)
        assert data.notes == ("4 extra files of this copy were left out (--without-extra).",)


def picture(size=(48, 48), mode="L", form="PNG"):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, form)
    return buffer.getvalue()


def says_that_it_is(side):
    """A PNG whose header alone is large."""
    raw = bytearray(picture())
    raw[16:24] = struct.pack(">II", side, side)
    raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    return bytes(raw)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (says_that_it_is(60_000), "says that it is huge, expected 48 × 48"),
        (says_that_it_is(11_000), "says that it is huge, expected 48 × 48"),  # a warning of Pillow's alone
        (picture()[:60], "cannot be decoded"),
        (picture(form="GIF"), "is neither JPEG nor PNG, whatever its name says"),
    ],
)
def test_hostile_images(content, sentence, tmp_path, recwarn):
    with pytest.raises(UserError, match=f"Training_1.png {sentence}") as caught:
        fer2013.read(in_folder(tmp_path, [("train/happy/Training_1.png", content)]), allow_subset=True)
    assert "BytesIO" not in str(caught.value) and not recwarn


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["CK+48/anger/S010_004_00000017.png", "CK+48/contempt/S010_004_00000018.png"], r"images of CK\+, such as"),
        (["train/1/train_00001_aligned.jpg", "test/7/test_0001_aligned.jpg"], "images of RAF-DB, such as"),
        (["jaffe/KA.AN1.39.tiff", "jaffe/KM.HA2.5.tiff"], "images of JAFFE, such as"),
        (["train/contempt/image0000006.jpg", "val/anger/ffhq_1.png"], "a class that FER2013 has not, .*: AffectNet"),
        (["FER2013Train/fer0000000.png", "FER2013Valid/fer0000001.png"], r"images of FER\+ .* other labels"),
    ],
)
def test_other_data_sets_are_recognised(names, sentence, tmp_path):
    with pytest.raises(UserError, match=f"holds (the )?{sentence}.*about FER2013"):
        fer2013.read(in_folder(tmp_path, [(name, picture()) for name in names]), allow_subset=True)


def test_archives_within_archives_end_at_two(tmp_path, faces, lines):
    inner = zipped(tmp_path / "b.zip", [("a.zip", zipped(tmp_path / "a.zip", [("fer2013.csv", "\n".join(lines))]))])
    with pytest.raises(UserError, match="a.zip lies in an archive within an archive; unpack the outer one"):
        fer2013.read(zipped(tmp_path / "c.zip", [("b.zip", inner)]))
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013.tar.gz", bytes(3 << 20))
    with mock.patch.object(fer2013, "MOST_BYTES", 1 << 20), pytest.raises(UserError, match="more than 1,048,576 bytes"):
        fer2013.read(bomb)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("make", [as_tar, as_zipped_images, as_csv_gz, as_npz, as_tar_in_zip])
def test_flipped_bytes_are_damage_and_no_edit(make, place, tmp_path, faces, lines):
    path = make(tmp_path, faces, lines)
    raw = bytearray(path.read_bytes())
    raw[int(len(raw) * place)] ^= 0x15
    path.write_bytes(raw)
    with pytest.raises(UserError, match="is damaged or cut off .*; download it again"):
        fer2013.read(path, allow_subset=True)


def npz(faces, **more):
    return {"images": faces.images, "labels": faces.labels, "usage": faces.usage} | more


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (lambda faces: {"a": 1, "foo": 2}, "has the arrays a, foo; expected images, labels and usage, or X_train"),
        (
            lambda faces: npz(faces, usage=faces.usage.astype(object)),
            "array usage: holds Python objects, which may run",
        ),
        (lambda faces: npz(faces, images=faces.images / 255), "has values from 0 to 1, expected whole numbers"),
        (lambda faces: npz(faces, images=faces.images[..., None].repeat(3, 3)), r"has the shape \(140, 48, 48, 3\)"),
        (lambda faces: npz(faces, labels=faces.labels + 7), "array labels: label '10', expected a whole number"),
        (lambda faces: npz(faces, usage=np.full(140, "x")), "array usage: usage 'x', expected Training"),
        (lambda faces: npz(faces, labels=faces.labels[1:]), "140 images, 139 labels and 140 usages"),
    ],
)
def test_wrong_arrays(arrays, sentence, tmp_path, faces):
    np.savez(tmp_path / "a.npz", **arrays(faces))
    with pytest.raises(UserError, match=sentence) as caught:
        fer2013.read(tmp_path / "a.npz", allow_subset=True)
    assert "np." not in str(caught.value)


def test_an_array_that_says_it_is_larger_is_not_made_room_for(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**12, 48, 48)})
    with pytest.raises(UserError, match="array images: says that it has 2,304,000,000,000,000 bytes, and has 0"):
        fer2013.read(zipped(tmp_path / "a.npz", [("images.npy", header.getvalue())]))


def test_arrays_that_are_too_large_together_are_not_unpacked(tmp_path, faces):
    """Each alone would do: it is their sum that fills the memory."""
    np.savez_compressed(tmp_path / "a.npz", **npz(faces), **{f"more_{k}": np.zeros(1 << 18) for k in range(4)})
    with mock.patch.object(rows, "MOST_BYTES", 4 << 20), pytest.raises(UserError, match="its arrays have 8,.* at most"):
        fer2013.read(tmp_path / "a.npz", allow_subset=True)


PATHS = pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()})


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (pa.table({"a": [1], "b": [2]}), "has 1 rows of a, b; expected image"),
        (pa.table({"image": [{"path": "a.png"}], "label": [0]}, schema=PATHS), "has paths or nothing in the place"),
        (pa.table({"image": [b"x"], "label": [0]}), "row 1, is neither JPEG nor PNG"),
        (pa.table({"image": [[1], [1, 2]], "label": [0, 1]}), "has images of several sizes"),
        (pa.table({"image": [[300] * 2304], "label": [0]}), "has values from 300 to 300"),
        (pa.table({"image": [["1"] * 2304], "label": [0]}), "expected whole numbers from 0 to 255"),
        (pa.table({"image": [picture()], "label": ["joy"]}), "label 'joy', expected a whole number"),
    ],
)
def test_wrong_columns(columns, sentence, tmp_path):
    pq.write_table(columns, tmp_path / "train.parquet")
    with pytest.raises(UserError, match=sentence):
        fer2013.read(tmp_path / "train.parquet", allow_subset=True)


def test_parquet_that_is_none_or_says_no_usage_or_meets_no_pyarrow(tmp_path, faces, monkeypatch):
    with pytest.raises(UserError, match="neither a column usage nor the file's name says which rows"):
        fer2013.read(one_parquet(tmp_path, faces, "bytes"))
    (tmp_path / "any.parquet").write_bytes(b"hello")
    with pytest.raises(UserError, match="is no parquet, or is damaged"):
        fer2013.read(tmp_path / "any.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'ferrepro\[parquet\]'"):
        fer2013.read(tmp_path / "any.parquet")
