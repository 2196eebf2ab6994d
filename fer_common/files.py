"""Files written whole or not at all; and what the cache folder keeps, which is missing where it cannot be read."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec

Kind = TypeVar("Kind")
DIGEST = 16  # bytes before what is kept


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace `path` by the content at once: a full disk or a kill leaves the old file. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def kept_in(path: Path, kind: type[Kind]) -> Kind | None:
    """What `keep` put at `path`; None where there is nothing that can be read as `kind`, or a byte is another."""
    try:
        content = path.read_bytes()
        whole = content[:DIGEST] == _digest(content[DIGEST:])
        return msgspec.msgpack.decode(content[DIGEST:], type=kind) if whole else None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def keep(path: Path, found: object) -> None:
    """Put `found` at `path` for the next time; where the disk is full there is just no next time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        content = msgspec.msgpack.encode(found)
        write_whole(path, _digest(content) + content)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()
