"""What was found once and is kept in the cache folder: written whole, and missing where it cannot be read."""

import contextlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec

Kind = TypeVar("Kind")


def kept_in(path: Path, kind: type[Kind]) -> Kind | None:
    """What `keep` put at `path`; None where there is nothing that can be read as `kind`."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def keep(path: Path, found: object) -> None:
    """Put `found` at `path` for the next time; where the disk is full there is just no next time."""
    temporary = path.with_suffix(f".{os.getpid()}.partial")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(msgspec.msgpack.encode(found))
        temporary.replace(path)
