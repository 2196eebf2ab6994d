"""Files written whole or not at all; and what the cache folder keeps, which is missing where it cannot be read."""

import contextlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec

Kind = TypeVar("Kind")


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace `path` by the content at once: a full disk or a kill leaves the old file. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def kept_in(path: Path, kind: type[Kind]) -> Kind | None:
    """What `keep` put at `path`; None where there is nothing that can be read as `kind`."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def keep(path: Path, found: object) -> None:
    """Put `found` at `path` for the next time; where the disk is full there is just no next time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, msgspec.msgpack.encode(found))
