"""Faces that were read or drawn before, as arrays on disk to map into memory.

`index/<key>.json` leads from what they were made from (a file's path, size and time) to a content fingerprint;
`<fingerprint>/` holds the arrays, so that two copies with the same content share them. One lock serialises writers:
a second process waits and then finds the work done, and what a killed process left is swept away by the next.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tokenize
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_common import UserError
from fer_common.data.attributes import ATTRIBUTES
from fer_common.data.faces import IMAGE_SIZE, fingerprint

ARRAYS = ("images", "labels", "usage_code", "row_id")
LIMIT = 5.0  # GB of faces and features that stay; the variable FERREPRO_CACHE_GB sets another
VERSION = 1  # raise when the arrays or their meaning change: older entries are then read anew


def cache_folder() -> Path:
    """The user's cache folder for this suite (the variable FERREPRO_CACHE moves it)."""
    import platformdirs

    return Path(os.environ.get("FERREPRO_CACHE") or platformdirs.user_cache_dir("ferrepro"))


def locked():
    """The one lock of those who write or empty the cache of faces."""
    from filelock import FileLock

    folder = cache_folder() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "lock")


def load_or_make(key: str, make: Callable[[], dict]) -> dict:
    """The arrays kept under `key`, mapped into memory; or those of `make()`, which are then kept.

    A cache that cannot be written (full disk, no permission) costs a warning, not the run.
    """
    folder = cache_folder() / "data"
    entry = (
        folder
        / "index"
        / f"{hashlib.sha256(f'{VERSION} {key}'.encode(errors='surrogateescape')).hexdigest()[:32]}.json"
    )
    if (cached := _load(folder, entry)) is not None:
        return cached
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with locked():
            if (cached := _load(folder, entry)) is not None:
                return cached
            for left_behind in folder.glob("*.partial"):
                shutil.rmtree(left_behind)
            arrays = make()
            _store(folder, entry, arrays)
    except OSError as error:
        print(f"warning: the cache at {folder} cannot be used ({error}); going on without it.", file=sys.stderr)
        return make()
    return _load(folder, entry) or arrays


def used(path: Path) -> None:
    """Say that something in the cache was used just now; what was used longest ago is the first to go."""
    with contextlib.suppress(OSError):
        os.utime(path)


def entries() -> list[Path]:
    """What can be evicted: faces that were read, a folder a content, and features; the least recently used first."""
    root = cache_folder()
    found = [path for path in root.glob("data/*") if path.is_dir() and path.name != "index"]
    found += root.glob("features/*.npy")
    return sorted(found, key=lambda path: path.stat().st_mtime)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what goes meanwhile counts nothing."""
    total = 0
    for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
        with contextlib.suppress(OSError):
            total += each.stat().st_size if each.is_file() else 0
    return total


def evict(keep: Path | None = None, limit: float | None = None) -> int:
    """Remove what was used longest ago until the rest is below `limit` GB, and return the bytes that are free by it.
    `keep` stays. What another process has mapped into memory stays readable to it."""
    if limit is None:
        asked = os.environ.get("FERREPRO_CACHE_GB") or str(LIMIT)
        try:
            limit = float(asked)
        except ValueError:
            raise UserError(f"FERREPRO_CACHE_GB is {asked}; expected a number of gigabytes, such as 20.") from None
    freed, there = 0, {path: size_of(path) for path in entries()}
    for path, size in there.items():
        if sum(there.values()) - freed <= limit * 10**9:
            break
        if path != keep:
            with contextlib.suppress(OSError):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                freed += size
    return freed


def key_of(path: Path) -> str:
    """Changes with the path, size and modification time of the file, or of any file in the folder."""
    path = path.resolve()
    files = [path]
    if path.is_dir():
        files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    states = ((file, os.stat(file)) for file in files)
    return "\n".join(f"{file}\0{state.st_size}\0{state.st_mtime_ns}" for file, state in states)


def _load(folder: Path, entry: Path) -> dict | None:
    """The arrays behind an index entry; None where there are none or where they are not what they were."""
    try:
        kept = json.loads(entry.read_text())
        known, left_out = kept["fingerprint"], kept.get("left_out", 0)
        if not re.fullmatch("[0-9a-f]{16}", known) or not isinstance(left_out, int):
            return None
        arrays = {name: np.load(folder / known / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    # What a damaged index, or the damaged header of an array, makes of json and NumPy.
    except (
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        SyntaxError,
        RecursionError,
        tokenize.TokenError,
        zipfile.BadZipFile,
    ):
        return None
    if not _fit(**arrays):
        return None
    # Reading 83 MB and hashing it takes 0.1 s, and a rotten cache would spoil every run silently.
    if fingerprint(*(arrays[name] for name in ARRAYS)) != known:
        return None
    used(folder / known)
    return arrays | {"fingerprint": known, "left_out": left_out}


def _fit(images: np.ndarray, labels: np.ndarray, usage_code: np.ndarray, row_id: np.ndarray) -> bool:
    """Whether types and shapes are those of faces: other shapes of the same bytes have the same fingerprint."""
    rows = (row_id.size,)
    return (
        (images.dtype, images.shape) == (np.uint8, (*rows, IMAGE_SIZE, IMAGE_SIZE))
        and labels.shape in (rows, (*rows, len(ATTRIBUTES)))
        and usage_code.shape == row_id.shape == rows
        and all(array.dtype.kind in "iu" for array in (labels, usage_code, row_id))
    )


def _store(folder: Path, entry: Path, arrays: dict) -> None:
    final = folder / arrays["fingerprint"]
    partial = folder / f"{arrays['fingerprint']}.partial"
    partial.mkdir()
    for name in ARRAYS:
        with (partial / f"{name}.npy").open("wb") as file:
            np.save(file, arrays[name])
            file.flush()
            os.fsync(file.fileno())
    if final.exists():  # the same content under another path, or an entry gone bad
        shutil.rmtree(final)
    partial.rename(final)
    temporary = entry.with_suffix(".partial")
    temporary.write_text(json.dumps({name: arrays[name] for name in ("fingerprint", "left_out") if name in arrays}))
    temporary.rename(entry)
    evict(keep=final)
