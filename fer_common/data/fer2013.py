"""Every published form of FER2013, read without unpacking by hand and validated row by row.

Forms: `fer2013.csv` (emotion,pixels,Usage), `icml_face_data.csv` (other column order, blanks in the names),
Kaggle's `train.csv` (no usage: all Training) and `test.csv` (no labels: refused), the image folder
`train/<class>/Training_123.jpg`; each bare or inside a .tar.gz, .tar.bz2, .tar.xz, .tar or .zip, a CSV as .csv.gz too.
A CSV may be UTF-16, have semicolons or tabs, no header, labels by name, usages in lower case; folders may be numbered
or have other names of the emotions. docs/data.md has them all. What comes out is a `FaceData`.
A wrong file ends in a UserError that names file and row; nothing is repaired silently.
Keeping what was read for the next time is in `cache`.
"""

import codecs
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

import numpy as np

from fer_common import UserError
from fer_common.data import cache
from fer_common.data.faces import EMOTIONS, IMAGE_SIZE, USAGES, FaceData, as_arrays

PIXELS = IMAGE_SIZE * IMAGE_SIZE

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
ARCHIVE_NAMES = ("fer2013.tar.gz", "fer2013.zip", "archive.zip")
ARCHIVE_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
CSV_ENDINGS = (".csv", ".csv.gz")
NAMES_OF = {
    **{name: label for label, name in enumerate(EMOTIONS)},
    **{str(label): label for label in range(len(EMOTIONS))},
    "anger": 0,
    "disgusted": 1,
    "fearful": 2,
    "happiness": 3,
    "sadness": 4,
    "surprised": 5,
}
"""What labels and class folders are called, in lower case."""
# Nothing larger is FER2013's: a hostile file is refused before it fills the memory.
LONGEST_LINE, MOST_ROWS, MOST_MEMBERS = 1 << 16, 200_000, 300_000
IMAGE_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_(\d+)\.(?:jpe?g|png)$", re.IGNORECASE)
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")

ROWS_AT_ONCE = 64  # half a megabyte of text: stays in a core's cache, twice as fast as ten times more


def read(path: Path, *, allow_subset: bool = False) -> FaceData:
    """The copy of FER2013 at `path` (CSV, archive or folder), from the cache where it was read before.

    allow_subset: accept counts other than the published ones.
    Raises UserError, one sentence with file, row, what was expected and what to do.
    """
    path = locate(path)
    arrays = cache.load_or_make(cache.key_of(path), lambda: _read(path))
    deviation = counts_deviation(arrays["labels"], arrays["usage_code"])
    if deviation and not allow_subset:
        raise UserError(
            f"{path}: {deviation}; get a whole copy, or say --allow-subset if this is a part of it on purpose."
        )
    return FaceData.of(arrays, source="fer2013-subset" if deviation else "fer2013", origin=str(path))


def locate(path: Path) -> Path:
    """The file or image folder meant by `path`: itself, or the best known name in the folder or one level below."""
    if not path.exists():
        raise UserError(f"{path}: no such file or folder.")
    if path.is_file():
        return path
    for folder in (path, path / "fer2013"):
        there = {file.name.lower(): file for file in folder.iterdir()} if folder.is_dir() else {}
        for name in CSV_NAMES[:2] + ARCHIVE_NAMES:
            if name in there and there[name].is_file():
                return there[name]
        if (folder / "train").is_dir():
            return folder
        for name in CSV_NAMES[2:]:
            if (folder / name).is_file():
                return folder / name
    if any(IMAGE_NAME.search(file.name) for file in path.rglob("*.*")):
        return path
    raise UserError(
        f"{path}: no FER2013 in this folder; expected one of {', '.join(CSV_NAMES[:3] + ARCHIVE_NAMES)}, "
        "or train/<class>/Training_123.jpg and test/<class>/PublicTest_123.jpg."
    )


def counts_deviation(labels: np.ndarray, usage_code: np.ndarray) -> str:
    """How the counts differ from the published ones, in words; empty where they are the same."""
    found = np.zeros((len(USAGES), len(EMOTIONS)), int)
    np.add.at(found, (usage_code, labels), 1)
    parts = []
    for usage, counts in zip(USAGES, found):
        official = np.array(OFFICIAL_COUNTS[usage])
        if (counts == official).all():
            continue
        classes = [f"{EMOTIONS[c]} {counts[c]:,} not {official[c]:,}" for c in np.flatnonzero(counts != official)]
        parts.append(
            f"{usage} has {counts.sum():,} images and FER2013 has {official.sum():,}"
            + (f" ({', '.join(classes)})" if counts.sum() else "")
        )
    return "; ".join(parts)


def _read(path: Path) -> dict:
    """What `as_arrays` returns, from the file itself."""
    try:
        if path.is_dir():
            images = (file for file in path.rglob("*") if file.suffix.lower() in IMAGE_ENDINGS)
            files = sorted(file for file in images if not file.name.startswith("._") and "__MACOSX" not in file.parts)
            arrays = _read_images(path, [(str(f.relative_to(path)), f) for f in files], lambda f: f.read_bytes())
        elif path.name.lower().endswith(CSV_ENDINGS):
            packed = path.suffix.lower() == ".gz"
            with gzip.open(path) if packed else path.open("rb", buffering=1 << 20) as stream:
                arrays = _read_csv(stream, str(path))
        elif path.name.lower().endswith(ARCHIVE_ENDINGS):
            arrays = _read_archive(path)
        else:
            raise UserError(f"{path}: not a form of FER2013; expected a .csv, .tar.gz or .zip file, or a folder.")
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None
    except NotImplementedError as error:  # Deflate64, for one
        raise UserError(f"{path}: is packed in a way that is not supported ({error}); pack it anew.") from None
    except RuntimeError as error:  # zipfile's word for encrypted members
        raise UserError(f"{path}: cannot be opened ({error}); unpack it with its password first.") from None
    except (tarfile.ReadError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
        raise UserError(
            f"{path}: cannot be read, or is damaged or cut off ({error}); check its permissions or download it again."
        ) from None
    return as_arrays(*arrays)


# Archives


def _read_archive(path: Path):
    with _members(path) as (members, open_member):
        names = [name for name in members if not (name.startswith("__MACOSX") or Path(name).name.startswith("._"))]
        for wanted in CSV_NAMES:
            for name in names:
                if Path(name).name.lower() == wanted:
                    with open_member(name) as stream:
                        return _read_csv(io.BufferedReader(stream, 1 << 20), name)
        images = sorted(name for name in names if name.lower().endswith(IMAGE_ENDINGS))
        if images:
            return _read_images(path, [(name, name) for name in images], lambda name: open_member(name).read())
    raise UserError(f"neither a CSV ({', '.join(CSV_NAMES[:3])}) nor images inside this archive.")


@contextmanager
def _members(path: Path) -> Iterator:
    """(names of the files inside, a function that opens one) of a .zip or a tar archive."""
    if path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MOST_MEMBERS:
                raise UserError(f"holds {len(archive.infolist()):,} files, and FER2013 has 35,887 images.")
            yield [entry.filename for entry in archive.infolist() if not entry.is_dir()], archive.open
    else:
        with tarfile.open(path) as archive:
            # getnames() would decompress the whole archive only to list it; a CSV is the first member.
            first = archive.next()
            while first is not None and not first.isfile():
                first = archive.next()
            if first is not None and Path(first.name).name.lower() in CSV_NAMES[:2]:
                yield [first.name], lambda name: archive.extractfile(first)
            else:
                files = {member.name: member for member in islice(archive, MOST_MEMBERS) if member.isfile()}
                if first is not None:
                    files.setdefault(first.name, first)
                yield list(files), lambda name: archive.extractfile(files[name])


# CSV


def _read_csv(stream: io.BufferedReader, name: str):
    """images, labels, usage_code, row_id from one of the three CSV layouts; row_id is the row's position."""
    header = stream.readline(LONGEST_LINE)
    if header.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = (header + stream.read(1 << 30)).decode("utf-16")
        return _read_csv(io.BufferedReader(io.BytesIO(text.encode())), name)
    separator = next((mark for mark in (b",", b";", b"\t") if mark in header), b",")
    said = header.decode("utf-8-sig", "replace").split(separator.decode())
    columns = [column.strip().strip('"').lower() for column in said]
    first = []
    if len(columns) in (2, 3) and columns[0].strip() in NAMES_OF and columns[1].count(" ") > 1000:
        columns, first = ["emotion", "pixels", "usage"][: len(columns)], [header]  # it has no header
    if "pixels" not in columns:
        raise UserError(f"{name}: line 1 names no column `pixels` but {header[:60]!r}; expected emotion,pixels,Usage.")
    if "emotion" not in columns:
        raise UserError(
            f"{name}: has no column `emotion`, so no labels (Kaggle's test.csv never had any); "
            "use fer2013.csv or icml_face_data.csv, which label the same images."
        )
    layout = _Layout(
        name,
        len(columns),
        columns.index("pixels"),
        columns.index("emotion"),
        columns.index("usage") if "usage" in columns else None,
    )

    images, labels, usage_code = [], [], []
    rows: list[list[bytes]] = []
    start = 1
    for line in chain(first, iter(lambda: stream.readline(LONGEST_LINE), b"")):
        if len(line) == LONGEST_LINE:
            raise UserError(
                f"{name}: has a line of more than {LONGEST_LINE:,} characters, and FER2013's have 9,300 at most."
            )
        if line.strip():
            rows.append(line.rstrip(b"\r\n").split(separator))
        if start > MOST_ROWS:
            raise UserError(f"{name}: has more than {MOST_ROWS:,} rows, and FER2013 has 35,887.")
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
    return repr(value[:20].decode("utf-8", "replace"))


def parse_pixels(rows: list[bytes]) -> np.ndarray:
    """Decimal numbers as text to uint8 (len(rows), 2304), all rows at once.

    Every byte gets the value of the decimal number that ends there, from itself and the two bytes before it;
    then the bytes where a number really ends are kept. Ten times faster than splitting into Python strings.
    Raises ValueError for any other character, a value over 255 or a row without 2,304 numbers.
    """
    text = np.frombuffer(b"\n".join(rows) + b"\n", np.uint8)
    digit = text - np.uint8(48)
    is_digit = digit < 10
    if np.count_nonzero(is_digit) + np.count_nonzero(text == 32) + np.count_nonzero(text == 10) != len(text):
        raise ValueError("a character that is neither digit nor blank")
    if (is_digit[3:] & is_digit[2:-1] & is_digit[1:-2] & is_digit[:-3]).any():
        raise ValueError("a number of four digits")
    digit *= is_digit
    value = digit.astype(np.uint16)
    value[1:] += digit[:-1] * np.uint16(10)
    value[2:] += (digit[:-2] * is_digit[1:-1]) * np.uint16(100)
    is_end = is_digit[:-1] & ~is_digit[1:]
    values = value[:-1][is_end]
    start = 0
    for row in rows:
        if np.count_nonzero(is_end[start : start + len(row)]) != PIXELS:
            raise ValueError("a row without 2,304 numbers")
        start += len(row) + 1
    if values.max(initial=0) > 255:
        raise ValueError("a value over 255")
    return values.astype(np.uint8).reshape(len(rows), PIXELS)


# Images


def _read_images(path: Path, members: list[tuple[str, object]], read_bytes):
    """images, labels, usage_code, row_id from `<class>/Training_123.jpg` names; rows in order of usage and number."""
    from PIL import Image

    found = []
    for name, member in members:
        match = IMAGE_NAME.search(name)
        folder = Path(name).parent.name.lower()
        if not match:
            raise UserError(
                f"{path}: the name of {name} does not say its usage; expected Training_123.jpg, PublicTest_123.jpg "
                "or PrivateTest_123.jpg, without which no protocol can be followed; use a copy that kept its names."
            )
        if folder not in NAMES_OF:
            raise UserError(
                f"{path}: {name} lies in no class folder; expected one of {', '.join(EMOTIONS)}, or 0 to 6."
            )
        usage = next(code for code, usage in enumerate(USAGES) if usage.lower() == match[1].lower())
        found.append((usage, int(match[2]), NAMES_OF[folder], name, member))
    if not found:
        raise UserError(f"{path}: holds no images.")
    found.sort(key=lambda item: item[:4])
    images = np.empty((len(found), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for row, (_, _, _, name, member) in enumerate(found):
        try:
            with Image.open(io.BytesIO(read_bytes(member))) as image:
                if image.size != (IMAGE_SIZE, IMAGE_SIZE) or image.mode != "L":
                    raise UserError(
                        f"{path}: {name} is {image.width} × {image.height} in mode {image.mode}, expected 48 × 48 "
                        "in 8-bit grey (L); this copy was changed, use one that was not."
                    )
                images[row] = np.asarray(image)
        except Image.DecompressionBombError:
            raise UserError(f"{path}: {name} says that it is huge, expected 48 × 48; this copy was changed.") from None
        except (OSError, SyntaxError) as error:
            raise UserError(f"{path}: {name} cannot be decoded ({error}); download the copy again.") from None
    labels = np.array([item[2] for item in found], np.uint8)
    usage_code = np.array([item[0] for item in found], np.uint8)
    return images, labels, usage_code, np.arange(len(found), dtype=np.int32)
