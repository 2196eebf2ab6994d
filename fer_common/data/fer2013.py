"""Every published form of FER2013, read without unpacking by hand and validated row by row.

docs/data.md has a table of the forms. Here are the places that are looked at, archives, and CSV: `fer2013.csv`
(emotion,pixels,Usage), `icml_face_data.csv` (other column order, blanks in the names), Kaggle's `train.csv` (no usage:
all Training) and `test.csv` (no labels: refused). Image files are read in `images`, parquet and .npz in `arrays`; what
a row may say is in `rows`. What comes out is a `FaceData`.
A wrong file ends in a UserError that names file and row; nothing is repaired silently.
Keeping what was read for the next time is in `cache`.
"""

import bz2
import codecs
import gzip
import io
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import numpy as np

from fer_common import UserError
from fer_common.archives import TarMember
from fer_common.data import arrays, cache, images
from fer_common.data.faces import EMOTIONS, IMAGE_SIZE, USAGES, FaceData, as_arrays
from fer_common.data.rows import MOST_BYTES, MOST_ROWS, NAMES_OF, PIXELS, parse_pixels, settle

# Images per usage and class, in the order of EMOTIONS (Goodfellow et al. 2013; counted from the original CSV).
OFFICIAL_COUNTS = {
    "Training": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "PublicTest": (467, 56, 496, 895, 653, 415, 607),
    "PrivateTest": (491, 55, 528, 879, 594, 416, 626),
}
# MD5 of the files as Kaggle hands them out.
ORIGINAL_MD5 = {
    "f8428a1edbd21e88f42c73edd2a14f95": "the fer2013.tar.gz of Kaggle's competition",
    "b114b9e04e6949e5fe8b6a98b3892b1d": "Kaggle's icml_face_data.csv",
    "3f0dfb3d3fd99c811a1299cb947e3131": "Kaggle's train.csv",
    "b02c2298636a634e8c2faabbf3ea9a23": "Kaggle's test.csv",
}

# What is looked for inside a folder or an archive, best first; train.csv has the Training part only.
CSV_NAMES = ("fer2013.csv", "icml_face_data.csv", "train.csv", "test.csv")
COMPETITION = "challenges-in-representation-learning-facial-expression-recognition-challenge"
ARCHIVE_NAMES = ("fer2013.tar.gz", "fer2013.zip", "archive.zip", f"{COMPETITION}.zip")
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
CSV_ENDINGS = (".csv", ".csv.gz")
WHOLE = (
    *CSV_NAMES[:2],
    *ARCHIVE_NAMES,
    *(name + ending for name in CSV_NAMES[:2] for ending in (".gz", *ARCHIVE_ENDINGS)),
)
PARTS = tuple(name + ending for name in CSV_NAMES[2:] for ending in ("", ".gz", *ARCHIVE_ENDINGS))
# Nothing larger is FER2013's: a hostile file is refused before it fills the memory.
LONGEST_LINE, LARGEST_IMAGE, MOST_MEMBERS = 1 << 16, 1 << 20, 300_000
MERGED_TEST = (
    "PublicTest and PrivateTest are merged in this copy: its test images all stand under PrivateTest, so that no score "
    "is on PrivateTest alone."
)

ROWS_AT_ONCE = 64  # half a megabyte of text: stays in a core's cache, twice as fast as ten times more


def read(path: Path, *, allow_subset: bool = False, merged_test: bool = False, without_extra: bool = False) -> FaceData:
    """The copy of FER2013 at `path` (file, archive or folder), from the cache where it was read before.

    allow_subset: accept counts other than the published ones.
    merged_test: read test images of which nothing says PublicTest or PrivateTest as one test set, under PrivateTest.
    without_extra: leave out files that were made from others, or are there twice.
    Raises UserError, one sentence with file, row, what was expected and what to do.
    """
    path = locate(path)
    key = cache.key_of(path) + "\0merged test" * merged_test + "\0without extra" * without_extra
    found = cache.load_or_make(key, lambda: _read(path, merged_test, without_extra))
    deviation = counts_deviation(found["labels"], found["usage_code"], merged_test)
    if deviation and not allow_subset:
        raise UserError(
            f"{path}: {deviation}; get a whole copy, or say --allow-subset if this is a part of it on purpose."
        )
    left_out = f"{found['left_out']:,} extra files of this copy were left out (--without-extra)."
    return FaceData.of(
        found,
        source="fer2013-subset" if deviation else "fer2013-merged-test" if merged_test else "fer2013",
        origin=str(path),
        notes=(MERGED_TEST,) * merged_test + (left_out,) * (found["left_out"] > 0),
    )


def locate(path: Path) -> Path:
    """The file or folder meant by `path`: itself, or the best known name in the folder or one level below."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    if path.is_file():
        return path
    for folder in (path, path / "fer2013", path / COMPETITION):
        there = {file.name.lower(): file for file in folder.iterdir()} if folder.is_dir() else {}
        for name in WHOLE:
            if name in there and there[name].is_file():
                return there[name]
        if (folder / "train").is_dir():
            return folder
        for name in PARTS:
            if name in there and there[name].is_file():
                return there[name]
    if any(file.name.lower().endswith((*images.ENDINGS, ".parquet", ".npz")) for file in path.rglob("*.*")):
        return path
    raise UserError(
        f"{path}: no FER2013 in this folder; expected one of {', '.join(CSV_NAMES[:3] + ARCHIVE_NAMES[:3])}, "
        "train/<class>/Training_123.jpg and test/<class>/PublicTest_123.jpg, or parquet or .npz."
    )


def official_counts(merged_test: bool = False) -> dict[str, tuple[int, ...]]:
    """The published images by usage and class; where the test is merged, all of it under PrivateTest."""
    if not merged_test:
        return OFFICIAL_COUNTS
    training, *tests = OFFICIAL_COUNTS.values()
    return dict(zip(USAGES, (training, (0,) * len(EMOTIONS), tuple(map(sum, zip(*tests))))))


def counts_deviation(labels: np.ndarray, usage_code: np.ndarray, merged_test: bool = False) -> str:
    """How the counts differ from the published ones, in words; empty where they are the same."""
    found = np.zeros((len(USAGES), len(EMOTIONS)), int)
    np.add.at(found, (usage_code, labels), 1)
    parts = []
    for (usage, published), counts in zip(official_counts(merged_test).items(), found):
        official = np.array(published)
        if (counts == official).all():
            continue
        classes = [f"{EMOTIONS[c]} {counts[c]:,} not {official[c]:,}" for c in np.flatnonzero(counts != official)]
        name = "the merged test" if merged_test and usage != "Training" else usage
        parts.append(
            f"{name} has {counts.sum():,} images and FER2013 has {official.sum():,}"
            + (f" ({', '.join(classes)})" if counts.sum() else "")
        )
    return "; ".join(parts)


def _read(path: Path, merged_test: bool, without_extra: bool) -> dict:
    """What `as_arrays` returns, from the file itself, and under `left_out` how many extra files were left out."""
    choices = {"merged_test": merged_test, "without_extra": without_extra}
    try:
        try:
            if path.is_dir():
                files = {str(file.relative_to(path)): file for file in path.rglob("*") if file.is_file()}
                rows, left_out = _read_best(list(files), lambda name: files[name].open("rb"), 0, choices)
            else:
                with path.open("rb", buffering=1 << 20) as file:
                    rows, left_out = _read_one(file, path.name, 0, choices)
            found, labels, usages, row_id = rows
            usages = settle(usages, merged_test)
        except UserError:
            _check_sums(path)  # what is strange in a damaged archive is its damage
            raise
    except UserError as error:
        # No form is told the folder of the file, since no usage is to be read off it.
        names_it = path.is_file() and str(error).startswith(path.name)
        raise UserError(f"{str(path).removesuffix(path.name) if names_it else f'{path}: '}{error}") from None
    except NotImplementedError as error:  # Deflate64, for one
        raise UserError(f"{path}: is packed in a way that is not supported ({error}); pack it anew.") from None
    except RuntimeError as error:  # zipfile's word for encrypted members
        raise UserError(f"{path}: cannot be opened ({error}); unpack it with its password first.") from None
    except PermissionError as error:
        raise UserError(f"{error.filename or path}: may not be read; check its permissions.") from None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0].rstrip(":")  # tarfile lists all that it tried
        raise UserError(f"{path}: is damaged or cut off ({said}); download it again.") from None
    return as_arrays(found, labels, usages, row_id) | {"left_out": left_out}


def _read_one(file: Any, name: str, inside: int, choices: dict[str, bool]) -> tuple[arrays.Rows, int]:
    """The rows of one file, and how many files were left out; inside: how many archives it lies in."""
    kind = name.lower()
    if kind.endswith(CSV_ENDINGS):
        return _read_csv(io.BufferedReader(gzip.open(file) if kind.endswith(".gz") else file, 1 << 20), name), 0
    if kind.endswith(ARCHIVE_ENDINGS) and inside > 1:
        raise UserError(f"{name} lies in an archive within an archive; unpack the outer one first.")
    with _on_disk(file, name) if inside else nullcontext(file) as seekable:
        if kind.endswith(".parquet"):
            return arrays.read_parquet(seekable, name), 0
        if kind.endswith(".npz"):
            return arrays.read_npz(seekable, name), 0
        if kind.endswith(ARCHIVE_ENDINGS):
            with _members(seekable, kind) as (names, open_member):
                return _read_best(names, open_member, inside + 1, choices)
    raise UserError(f"{name}: not a form of FER2013; expected .csv, .zip, .tar.gz, .parquet, .npz, or a folder.")


def _read_best(names: list[str], open_member, inside: int, choices: dict[str, bool]) -> tuple[arrays.Rows, int]:
    """The rows of the member of a folder or an archive that says most, as `_read_one`."""
    names = [name for name in names if "__MACOSX" not in name and not PurePath(name).name.startswith("._")]
    called = {PurePath(name).name.lower(): name for name in reversed(names)}
    ending = {end: sorted(name for name in names if name.lower().endswith(end)) for end in (".parquet", ".npz")}
    pictures = {name: name for name in names if name.lower().endswith(images.ENDINGS)}
    archives = [name for name in names if name.lower().endswith(ARCHIVE_ENDINGS)]

    def one(name: str) -> tuple[arrays.Rows, int]:
        with open_member(name) as file:
            return _read_one(file, name, inside, choices)

    for name in WHOLE:
        if name in called:
            return one(called[name])
    if ending[".parquet"]:
        return arrays.joined([one(name)[0] for name in ending[".parquet"]]), 0
    if len(ending[".npz"]) == 1:
        return one(ending[".npz"][0])
    if pictures:
        return images.read(pictures, lambda name: _bytes(open_member, name), **choices)
    for name in PARTS:
        if name in called:
            return one(called[name])
    if len(archives) == 1:
        return one(archives[0])
    raise UserError(f"holds neither a CSV ({', '.join(CSV_NAMES[:3])}), one .npz or archive, nor parquet or images.")


@contextmanager
def _on_disk(file: Any, name: str) -> Iterator[BinaryIO]:
    """The member of an archive as a file to go back and forth in, and not in memory."""
    with tempfile.TemporaryFile() as unpacked:
        while block := file.read(1 << 20):
            unpacked.write(block)
            if unpacked.tell() > MOST_BYTES:
                raise UserError(f"{name} has more than {MOST_BYTES:,} bytes, and FER2013's pixels have 83 million.")
        unpacked.seek(0)
        yield unpacked


def _bytes(open_member, name: str) -> bytes:
    """Of an image in an archive or a folder."""
    with open_member(name) as file:
        content = file.read(LARGEST_IMAGE + 1)
    if len(content) > LARGEST_IMAGE:
        raise UserError(f"{name} has more than {LARGEST_IMAGE:,} bytes, and an image of FER2013 has 2,304 pixels.")
    return content


def _check_sums(path: Path) -> None:
    """Read a packed file to its end, where its checksums stand; raises what the unpacker says of a damaged one."""
    kind = path.name.lower()
    if kind.endswith((".zip", ".npz")):
        with zipfile.ZipFile(path) as archive:
            small = sum(entry.file_size for entry in archive.infolist()) < MOST_BYTES
            if small and (name := archive.testzip()):
                raise zipfile.BadZipFile(f"the checksum of {name} is another")
    opener = {"gz": gzip.open, "tgz": gzip.open, "bz2": bz2.open, "xz": lzma.open}.get(kind.rsplit(".", 1)[-1])
    if opener:
        with opener(path) as stream:
            for _ in range(MOST_BYTES >> 20):
                if not stream.read(1 << 20):
                    break


# Archives


@contextmanager
def _members(file: BinaryIO, kind: str) -> Iterator:
    """(names of the files inside, a function that opens one) of a .zip or a tar archive."""
    if kind.endswith(".zip"):
        with zipfile.ZipFile(file) as archive:
            if len(archive.infolist()) > MOST_MEMBERS:
                raise UserError(f"holds {len(archive.infolist()):,} files, and FER2013 has 35,887 images.")
            yield [entry.filename for entry in archive.infolist() if not entry.is_dir()], archive.open
    else:
        with tarfile.open(fileobj=file, tarinfo=TarMember) as archive:
            # getnames() would decompress the whole archive only to list it; a CSV is the first member.
            first = archive.next()
            while first is not None and not first.isfile():
                first = archive.next()
            if first is not None and PurePath(first.name).name.lower() in CSV_NAMES[:2]:
                yield [first.name], lambda name: archive.extractfile(first)
            else:
                files = {member.name: member for member in islice(archive, MOST_MEMBERS) if member.isfile()}
                if first is not None:
                    files.setdefault(first.name, first)
                yield list(files), lambda name: archive.extractfile(files[name])
            for _ in range(MOST_BYTES >> 20):  # to the checksum at its end
                if not archive.fileobj.read(1 << 20):
                    break


# CSV


def _read_csv(stream: io.BufferedReader, name: str):
    """images, labels, usage_code, row_id from one of the three CSV layouts; row_id is the row's position."""
    header = stream.readline(LONGEST_LINE)
    if header.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = (header + stream.read(MOST_BYTES)).decode("utf-16", "replace")
        return _read_csv(io.BufferedReader(io.BytesIO(text.encode())), name)
    if b"\r" in header.rstrip(b"\r\n"):  # lines that end as on an old Mac
        text = (header + stream.read(MOST_BYTES)).replace(b"\r", b"\n")
        return _read_csv(io.BufferedReader(io.BytesIO(text)), name)
    separator = next((mark for mark in (b",", b";", b"\t") if mark in header), b",")
    said = header.decode("utf-8-sig", "replace").split(separator.decode())
    columns = [column.strip().strip('"').lower() for column in said]
    first = []
    if len(columns) in (2, 3) and columns[0].strip() in NAMES_OF and columns[1].count(" ") > 1000:
        columns, first = ["emotion", "pixels", "usage"][: len(columns)], [header]  # it has no header
    if "pixels" not in columns:
        raise UserError(
            f"{name}: line 1 names no column `pixels` but {_shown(header[:60])}; expected emotion,pixels,Usage."
        )
    if "emotion" not in columns:
        raise UserError(
            f"{name}: has no column `emotion`, so no labels (Kaggle's test.csv never had any); "
            "use fer2013.csv or icml_face_data.csv, which label the same images."
        )
    usage = next((column for column in columns if column in arrays.USAGE_NAMES), None)
    layout = _Layout(
        name,
        len(columns),
        columns.index("pixels"),
        columns.index("emotion"),
        columns.index(usage) if usage else None,
    )

    images, labels, usage_code = [], [], []
    rows: list[list[bytes]] = []
    start = 1
    for number, line in enumerate(chain(first, iter(lambda: stream.readline(LONGEST_LINE), b""))):
        if len(line) == LONGEST_LINE:
            raise UserError(
                f"{name}: has a line of more than {LONGEST_LINE:,} characters, and FER2013's have 9,300 at most."
            )
        if line.strip():
            rows.append(line.rstrip(b"\r\n").split(separator))
        if number > MOST_ROWS:
            raise UserError(f"{name}: has more than {MOST_ROWS:,} lines, and FER2013 has 35,888.")
        if len(rows) == ROWS_AT_ONCE:
            _append(layout, rows, start, images, labels, usage_code)
            start += len(rows)
            rows = []
    if rows:
        _append(layout, rows, start, images, labels, usage_code)
    if not labels:
        raise UserError(f"{name}: has a header and no rows; the file is cut off, download it again.")
    return (
        np.concatenate(images),
        np.array(labels, np.uint8),
        np.array(usage_code, np.uint8),
        np.arange(len(labels), dtype=np.int32),
    )


class _Layout:
    """Which column holds what, in a file of this name."""

    def __init__(self, name: str, columns: int, pixels: int, emotion: int, usage: int | None):
        self.name, self.columns, self.pixels, self.emotion, self.usage = name, columns, pixels, emotion, usage


_LABEL_OF = {name.encode(): label for name, label in NAMES_OF.items()}
_USAGE_OF = {usage.lower().encode(): code for code, usage in enumerate(USAGES)}


def _append(layout: _Layout, rows: list, start: int, images: list, labels: list, usage_code: list) -> None:
    try:
        if any(len(row) != layout.columns for row in rows):
            raise ValueError
        pixels = parse_pixels([row[layout.pixels].strip(b'" ') for row in rows])
        labels += [_LABEL_OF[row[layout.emotion].strip(b'" ').lower()] for row in rows]
        usage_code += [0 if layout.usage is None else _USAGE_OF[row[layout.usage].strip(b'" ').lower()] for row in rows]
    except (ValueError, KeyError):
        for number, row in enumerate(rows, start):
            _explain(layout, row, number)
        last = start + len(rows) - 1
        raise UserError(
            f"{layout.name}, rows {start:,} to {last:,}: not as FER2013 writes them; download it again."
        ) from None
    images.append(pixels.reshape(-1, IMAGE_SIZE, IMAGE_SIZE))


def _explain(layout: _Layout, row: list[bytes], number: int) -> None:
    """Raise the sentence that says what is wrong with data row `number` (1-based), if anything is."""
    where = f"{layout.name}, row {number:,} (line {number + 1:,})"
    again = "the file was cut off or edited: download it again"
    if len(row) != layout.columns:
        raise UserError(f"{where}: {len(row)} fields, expected {layout.columns}; {again}.")
    label = row[layout.emotion].strip(b'" ')
    if label.lower() not in _LABEL_OF:
        raise UserError(f"{where}: label {_shown(label)}, expected a whole number from 0 to 6, or an emotion; {again}.")
    if layout.usage is not None and row[layout.usage].strip(b'" ').lower() not in _USAGE_OF:
        usage = _shown(row[layout.usage])
        raise UserError(f"{where}: usage {usage}, expected Training, PublicTest or PrivateTest; {again}.")
    values = [value for value in row[layout.pixels].strip(b'" ').split(b" ") if value]
    for position, value in enumerate(values, 1):
        if not (value.isdigit() and len(value) <= 3 and int(value) <= 255):
            raise UserError(f"{where}: pixel {position:,} is {_shown(value)}, expected 0 to 255; {again}.")
    if len(values) != PIXELS:
        raise UserError(f"{where}: {len(values):,} pixels, expected {PIXELS:,} (48 × 48); {again}.")


def _shown(value: bytes) -> str:
    return repr(value[:60].decode("utf-8", "replace"))
