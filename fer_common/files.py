"""Files written whole or not at all; what the cache folder keeps, which is missing where it cannot be read; and the
members of tar archives, whose names may say that they have gigabytes."""

import contextlib
import os
import tarfile
from pathlib import Path
from typing import TypeVar

import msgspec

from fer_common import UserError

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


class TarMember(tarfile.TarInfo):
    """A member of a tar archive (`tarfile.open(…, tarinfo=TarMember)`) whose name has no more than NAME bytes: tarfile
    reads a longer one into memory before it looks at it. Raises UserError."""

    NAME = 1 << 16
    NAMING = (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )

    @classmethod
    def frombuf(cls, buf, encoding, errors):
        member = super().frombuf(buf, encoding, errors)
        if member.type in cls.NAMING and member.size > cls.NAME:
            raise UserError(f"a member has a name or header of {member.size:,} bytes, expected {cls.NAME:,} at most.")
        return member
