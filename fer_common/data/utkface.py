"""UTKFace: faces with an apparent age group, gender and ethnicity, read, brought to FER2013's form, and split.

Zhang, Song and Qi 2017; research use that is not commercial. Every file is named `[age]_[gender]_[race]_[date]…jpg`,
in a folder or an archive. Its labels are coarse: ages were estimated by an algorithm and checked by people, gender has
two values and ethnicity five, of which one is `others`. They say how a face looked to somebody, not who a person is:
to be used for comparing networks, never for deciding anything about a person.
There is no official split, and identical files occur, some of them with different labels.
"""

import io
import lzma
import os
import re
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fer_common import NoData, UserError
from fer_common.archives import TarMember
from fer_common.data import cache

# Not all of these are needed here: to most who import this module they are UTKFace's.
from fer_common.data.attributes import ATTRIBUTES, PARTS, ROLES, TASKS, AttributeData, part_of  # noqa: F401
from fer_common.data.cache import cache_folder
from fer_common.data.faces import IMAGE_SIZE, as_arrays
from fer_common.data.synthetic import draw_or_load_attributes

GROUP_BEGINS = (0, 13, 20, 40, 60)  # ages; the groups are ours
OLDEST = 116
IMAGES = 23_708  # files of the aligned faces as published
MALFORMED = 0.01  # share of names that may lack a label before it is something else than UTKFace
# Nothing larger is UTKFace: a hostile archive is refused before it fills the memory. In files, bytes, bytes and pixels.
MOST_FILES, LARGEST_FILE, LARGEST_TOTAL, MOST_PIXELS = 200_000, 1 << 25, 1 << 32, 1 << 26
DATE = re.compile(r"[0-9]{8}")
# What the standard library makes of damaged archives: of a .zip with a password or packed in an unknown way, too.
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, LookupError)
DAMAGED += (RuntimeError, OverflowError, struct.error)
WAYS_TO_GET_IT = (
    "pass --attributes PATH or set the variable UTKFACE to a copy (archive or folder of `[age]_[gender]_[race]_[date]` "
    "images; https://susanqq.github.io/UTKFace), or use drawn faces with `--data synthetic`"
)


def load(path: str | None = None, *, synthetic: bool = False, allow_subset: bool = False) -> AttributeData:
    """UTKFace at `path` (see `find`), or drawn faces. Raises UserError where the copy is missing or something else."""
    if synthetic:
        if path:
            raise UserError(
                f"--attributes {path}: with drawn faces the attributes are drawn too; leave one of them out."
            )
        return draw_or_load_attributes()
    return read(find(path), allow_subset=allow_subset)


def find(path: str | None = None) -> Path:
    """Where UTKFace is: `path`, else the variable UTKFACE, else the user cache.

    Raises UserError where the named place is empty, NoData where none is named and the cache holds none.
    """
    for value, said in ((path, "You say"), (os.environ.get("UTKFACE"), "The variable UTKFACE says")):
        if value:
            if not Path(value).expanduser().exists():
                raise UserError(f"{said} {value!r}, and nothing is there; {WAYS_TO_GET_IT}.")
            return Path(value).expanduser()
    if (kept := cache_folder() / "utkface").is_dir():
        return kept
    raise NoData(f"No UTKFace found; {WAYS_TO_GET_IT}.")


def read(path: Path, *, allow_subset: bool = False) -> AttributeData:
    """The copy of UTKFace at `path` (archive or folder), from the cache where it was read before.

    allow_subset: accept another number of files than was published. Raises UserError, one sentence.
    """
    arrays = cache.load_or_make(f"utkface {cache.key_of(path)}", lambda: _read(path))
    # A face without all three labels is left out, so that a whole copy holds a few less.
    whole = IMAGES * (1 - MALFORMED) <= len(arrays["labels"]) <= IMAGES
    if not whole and not allow_subset:
        raise UserError(
            f"{path}: {len(arrays['labels']):,} faces with labels, and UTKFace has {IMAGES:,} files; get a whole copy, "
            "or say --allow-subset if this is a part of it on purpose."
        )
    return AttributeData.of(arrays, source="utkface" if whole else "utkface-subset", origin=str(path))


def labels_of(name: str) -> tuple[int, int, int] | None:
    """(age, gender, ethnicity) from a file's name; None where the name has not all three before its date.

    Raises UserError for a value that UTKFace does not have.
    """
    fields = Path(name).name.split("_")
    # `isdigit` alone is true of ² and ٣, too.
    values = [field for field in fields[:3] if field.isascii() and field.isdigit() and not DATE.match(field)]
    if len(values) < 3 or len(fields) < 4 or not DATE.match(fields[3]):
        return None
    age, gender, ethnicity = map(int, values)
    for attribute, value, last in (
        ("age", age, OLDEST),
        ("gender", gender, len(ATTRIBUTES["gender"]) - 1),
        ("race", ethnicity, len(ATTRIBUTES["ethnicity"]) - 1),
    ):
        if value > last:
            raise UserError(f"{name}: {attribute} {value} is out of range; UTKFace has 0 to {last}.")
    return age, gender, ethnicity


def _read(path: Path) -> dict:
    """What `as_arrays` returns; says what it left out."""
    found = []
    try:
        for name, content in _files(path):
            labels = labels_of(name)
            found.append((name, labels, None if labels is None else _grey(name, content())))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (*DAMAGED, OSError) as error:
        raise UserError(f"{path}: is damaged or cut off ({error}); download it again.") from None
    images, labels, ids, without = [], [], [], []
    for number, (name, values, image) in enumerate(sorted(found, key=lambda item: item[0])):
        if values is None:
            without.append(name)
            continue
        age, gender, ethnicity = values
        group = int(np.searchsorted(GROUP_BEGINS, age, side="right")) - 1
        images.append(image)
        labels.append((group, gender, ethnicity))
        ids.append(number)
    if not labels or len(without) > MALFORMED * len(labels):
        raise UserError(
            f"{path}: not UTKFace: {len(without):,} of {len(without) + len(labels):,} images have no name like "
            f"[age]_[gender]_[race]_[date]{f', {without[0]} for one' if without else ''}."
        )
    if without:
        print(f"{path}: {len(without)} of {len(without) + len(labels):,} names lack a label and are left out")
    images = np.stack(images)
    part = np.array([part_of(image) for image in images], np.uint8)
    return as_arrays(images, np.array(labels, np.uint8), part, np.array(ids, np.int32))


def _grey(name: str, content: bytes) -> np.ndarray:
    """uint8 (48, 48): as FER2013's images, so that neither colour nor size tells where a face is from."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        if image.width * image.height > MOST_PIXELS:
            raise UserError(f"{name}: says that it has {image.width:,} × {image.height:,} pixels; no face of UTKFace.")
        image = image.convert("L")
    except Image.DecompressionBombError:
        raise UserError(f"{name}: says that it is huge; no face of UTKFace.") from None
    # What Pillow makes of damaged files.
    except (UnidentifiedImageError, OSError, ValueError, LookupError, SyntaxError, struct.error, zlib.error) as error:
        raise UserError(f"{name}: no image ({error}).") from None
    return np.asarray(image.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR))


def _files(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """(name, its content when called, before the next is asked for) of every image in a folder or an archive, as they
    come: going back in a compressed one would unpack it again for every file. Raises UserError for one that is too
    large."""
    if path.is_dir():
        inside = [file for file in sorted(path.iterdir()) if file.name.lower().endswith((".tar.gz", ".tgz", ".zip"))]
        if len(inside) == 1:
            path = inside[0]
    total = 0
    for number, (name, size, content) in enumerate(_members(path), 1):
        total += size
        if size > LARGEST_FILE:
            raise UserError(f"{name}: has {size:,} bytes; no face of UTKFace has more than {LARGEST_FILE:,}.")
        if number > MOST_FILES or total > LARGEST_TOTAL:
            raise UserError(f"holds more than {MOST_FILES:,} files or {LARGEST_TOTAL:,} bytes; UTKFace is smaller.")
        if name.lower().endswith((".jpg", ".jpeg", ".png")):
            yield name, content


def _members(path: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """(name, bytes that it says to have, its content) of every file in a folder or an archive."""
    if path.is_dir():
        for file in path.rglob("*"):
            if file.is_file():
                yield str(file.relative_to(path)), file.stat().st_size, file.read_bytes
    elif path.suffix.lower() == ".zip":
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                yield info.filename, info.file_size, lambda info=info: archive.open(info).read(info.file_size)
    else:
        with tarfile.open(path, tarinfo=TarMember) as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, member.size, lambda member=member: archive.extractfile(member).read()
