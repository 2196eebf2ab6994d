"""Archives that others made, .npz among them: no header decides how much is read into memory."""

import io
import math
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fer_common import UserError

UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What `read_arrays` raises of an .npz that is none, or is damaged."""


def read_arrays(file: Path | BinaryIO, largest: int, expected: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name, without pickles; each is made once its header agrees with its size.

    largest: bytes that all arrays may have together; expected: the names of all arrays, where others are refused.
    Raises UNREADABLE.
    """
    found = {}
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if expected and sorted(members) != sorted(expected):
            raise ValueError(f"it holds {', '.join(members)[:200]}; expected {', '.join(expected)}")
        if (size := sum(info.file_size for info in members.values())) > largest:
            raise ValueError(f"its arrays have {size:,} bytes, expected {largest:,} at most")
        for name, info in members.items():
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"array {name}: is packed in another way than NumPy packs")
            with archive.open(info) as member:
                content = bytearray(member.read(info.file_size))  # never more than it says that it has
            found[name] = _array(name, content)
    return found


def _array(name: str, content: bytearray) -> np.ndarray:
    """What NumPy's format 1.0 or 2.0 holds; ValueError where it is none."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran_order, dtype = header(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, tokenize.TokenError) as error:
        raise ValueError(f"array {name}: is no array of NumPy, or is damaged ({str(error)[:200]})") from None
    if dtype.hasobject:
        raise ValueError(
            f"array {name}: holds Python objects, which may run code; save it as text (.astype(str)) or numbers"
        )
    says, has = math.prod(shape) * dtype.itemsize, len(content) - stream.tell()
    if min(shape, default=0) < 0 or says != has:  # a size of 0 times anything is nothing, whatever else there is
        raise ValueError(f"array {name}: says that it has {says:,} bytes, and has {has:,}")
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape, order="F" if fortran_order else "C")


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
