"""Every row of the table of forms in docs/data.md has a drawn copy, which reads as the faces that it was made of; what
is none of the forms, or needs an option, ends in a sentence."""

import gzip
import io
import json
import re
import sys
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fer_common import UserError
from fer_common.data import EMOTIONS, USAGES, fer2013, original, passport, synthetic
from fer_common.experiment import running
from reproductions import load
from tests.conftest import ROOT, assert_same, command, csv_lines


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
