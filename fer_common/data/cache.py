"""Faces that were read or drawn before, as arrays on disk to map into memory.

`index/<key>.json` leads from what they were made from (a file's path, size and time) to a content fingerprint;
`<fingerprint>/` holds the arrays, so that two copies with the same content share them. One lock serialises writers:
a second process waits and then finds the work done, and what a killed process left is swept away by the next.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import tokenize
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fer_common.data.attributes import ATTRIBUTES
from fer_common.data.faces import IMAGE_SIZE, fingerprint

ARRAYS = ("images", "labels", "usage_code", "row_id")
VERSION = 1  # raise when the arrays or their meaning change: older entries are then read anew


def cache_folder() -> Path:
    """The user's cache folder for this suite (the variable FERREPRO_CACHE moves it)."""
    import platformdirs

    return Path(os.environ.get("FERREPRO_CACHE") or platformdirs.user_cache_dir("ferrepro"))


def load_or_make(key: str, make: Callable[[], dict]) -> dict:
    """The arrays kept under `key`, mapped into memory; or those of `make()`, which are then kept.

    A cache that cannot be written (full disk, no permission) costs a warning, not the run.
    """
    from filelock import FileLock

    folder = cache_folder() / "data"
    entry = folder / "index" / f"{hashlib.sha256(f'{VERSION} {key}'.encode()).hexdigest()[:32]}.json"
    if (cached := _load(folder, entry)) is not None:
        return cached
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):
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
        known = json.loads(entry.read_text())["fingerprint"]
        if not re.fullmatch("[0-9a-f]{16}", known):
            return None
        arrays = {name: np.load(folder / known / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    # What a damaged index, or the damaged header of an array, makes of json and NumPy.
    except (OSError, EOFError, ValueError, LookupError, TypeError, SyntaxError, RecursionError, tokenize.TokenError):
        return None
    if not _fit(**arrays):
        return None
    # Reading 83 MB and hashing it takes 0.1 s, and a rotten cache would spoil every run silently.
    if fingerprint(*(arrays[name] for name in ARRAYS)) != known:
        return None
    return arrays | {"fingerprint": known}


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
    temporary.write_text(json.dumps({"fingerprint": arrays["fingerprint"]}))
    temporary.rename(entry)
