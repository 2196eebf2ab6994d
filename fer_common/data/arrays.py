"""FER2013 in columns or arrays: Hugging Face's parquet files, and NumPy's .npz.

What columns and arrays are called is told from a few common names; anything else ends in a sentence that lists them.
"""

import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np

from fer_common import UserError
from fer_common.archives import read_arrays
from fer_common.data import rows
from fer_common.data.images import decode

IMAGE_NAMES = ("image", "images", "img", "img_bytes", "pixels", "data", "faces", "x")
LABEL_NAMES = ("label", "labels", "emotion", "emotions", "target", "targets", "y")
USAGE_NAMES = ("usage", "usages", "split")
KINDS = {**dict.fromkeys(IMAGE_NAMES, "images"), **dict.fromkeys(LABEL_NAMES, "labels")}
KINDS |= dict.fromkeys(USAGE_NAMES, "usage")

Rows = tuple[np.ndarray, ...]
"""images, labels, usages or TEST, row_id."""


def joined(parts: list[Rows]) -> Rows:
    """The rows of several parts, in the order of their usages, numbered anew."""
    parts = sorted(parts, key=lambda part: int(part[2][0]))
    images, labels, usages = (np.concatenate([part[k] for part in parts]) for k in range(3))
    return images, labels, usages, np.arange(len(labels), dtype=np.int32)


# Parquet


def read_parquet(file: BinaryIO, name: str) -> Rows:
    """The rows of one file; where no column says the usage, the file's or folder's name does. Raises UserError."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            "parquet is read with pyarrow, which is not here; say pip install 'ferrepro[parquet]'."
        ) from None
    try:
        return _columns(parquet.ParquetFile(file), name)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise UserError(f"{name}: is no parquet, or is damaged ({error}); download it again.") from None


def _columns(file: Any, name: str) -> Rows:
    said, schema = file.metadata, file.schema_arrow
    size = sum(said.row_group(k).total_byte_size for k in range(said.num_row_groups))
    if said.num_rows > rows.MOST_ROWS or size > rows.MOST_BYTES:
        raise UserError(f"{name}: has {said.num_rows:,} rows of {size:,} bytes, and FER2013 has 35,887 of 83 million.")
    columns = {KINDS[column.lower().strip()]: column for column in schema.names if column.lower().strip() in KINDS}
    if not {"images", "labels"} <= columns.keys() or not said.num_rows:
        listed = ", ".join(schema.names)
        raise UserError(f"{name}: has {said.num_rows:,} rows of {listed}; expected image (or pixels) and label.")
    usage = rows.usage_of_path(PurePath(name))
    if "usage" not in columns and usage is None:
        raise UserError(
            f"{name}: neither a column usage nor the file's name says which rows are Training, PublicTest and "
            "PrivateTest; use a copy that says it."
        )
    images: list[np.ndarray] = []
    values: dict[str, list] = {kind: [] for kind in columns}
    for batch in file.iter_batches(1024, columns=list(columns.values())):
        images.append(_images_of_column(batch.column(columns["images"]), name, len(values["labels"]) + 1))
        for kind in columns.keys() - {"images"}:
            values[kind] += batch.column(columns[kind]).to_pylist()
    for kind in columns.keys() - {"images"}:
        if names := _names_of_classes(schema.metadata, columns[kind]):
            # Hugging Face numbers classes by the alphabet; the file says how.
            values[kind] = [names[v] if isinstance(v, int) and 0 <= v < len(names) else v for v in values[kind]]
    usages = rows.usages_of(values["usage"], name) if "usage" in columns else np.full(said.num_rows, usage, np.uint8)
    labels = rows.labels_of(values["labels"], name)
    return np.concatenate(images), labels, usages, np.arange(len(labels), dtype=np.int32)


def _names_of_classes(metadata: dict[bytes, bytes] | None, column: str) -> list[str]:
    """What Hugging Face's `ClassLabel` calls the numbers of a column; [] where it is none."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        return features.get(column, {}).get("names") or []
    except (ValueError, AttributeError):
        raise UserError("what the file says of its own columns is damaged; download it again.") from None


def _images_of_column(column: Any, name: str, first: int) -> np.ndarray:
    """uint8 (N, 48, 48) from encoded images, as bytes or struct{bytes, path}; from lists of pixels, nested or not; or
    from pixels as text; first: the number of its first row."""
    from pyarrow import compute, types

    where = f"{name}, rows {first:,} to {first + len(column) - 1:,}"
    if types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = column.field("bytes")
    if column.null_count:
        raise UserError(f"{where}: has paths or nothing in the place of images; use a copy that holds its images.")
    if types.is_binary(column.type) or types.is_large_binary(column.type):
        return np.stack([decode(value, f"{name}, row {row:,},") for row, value in enumerate(column.to_pylist(), first)])
    if types.is_string(column.type) or types.is_large_string(column.type):
        return _images_of_text([value.encode() for value in column.to_pylist()], where)
    shape = []
    while hasattr(column, "flatten") and types.is_nested(column.type) and not types.is_struct(column.type):
        lengths = compute.unique(compute.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or column.null_count:
            raise UserError(f"{where}: has images of several sizes, expected 2,304 pixels (48 × 48) each.")
        shape, column = [*shape, lengths[0]], column.flatten()
    if not shape or math.prod(shape) != rows.PIXELS or column.null_count:
        raise UserError(f"{where}: has {column.type} × {shape} for an image, expected 2,304 pixels (48 × 48).")
    return rows.images_of(column.to_numpy(zero_copy_only=False).reshape(-1, rows.PIXELS), where)


def _images_of_text(pixels: list[bytes], where: str) -> np.ndarray:
    try:
        return rows.images_of(rows.parse_pixels(pixels), where)
    except ValueError as error:
        raise UserError(f"{where}: {error}, expected 2,304 whole numbers from 0 to 255 with blanks between.") from None


# NumPy


def read_npz(file: BinaryIO, name: str) -> Rows:
    """The rows of images, labels and usage; or of X_train, y_train, X_public_test and so on. Raises UserError."""
    if file.read(2) != b"PK":
        raise UserError(f"{name}: is no .npz, whatever its name says; save it again.")
    file.seek(0)
    try:
        found = read_arrays(file, rows.MOST_BYTES)
    except ValueError as error:
        raise UserError(f"{name}, {error}; save it again.") from None
    told: dict[int | None, dict[str, str]] = {}
    for array in found:
        kind = KINDS.get(rows.USAGE_NAME.sub("", array).strip(" _-.").lower())
        if kind:
            told.setdefault(rows.usage_of_name(array), {})[kind] = array
    whole = told.get(None, {})
    parts = [whole] if {"images", "labels", "usage"} <= whole.keys() else [told[k] for k in told if k is not None]
    if not parts or not all({"images", "labels"} <= part.keys() for part in parts):
        raise UserError(
            f"{name}: has the arrays {', '.join(found)}; expected images, labels and usage, or X_train, "
            "y_train, X_public_test, y_public_test, X_private_test, y_private_test."
        )
    return joined([_part(found, part, name) for part in parts])


def _part(found: Mapping[str, np.ndarray], part: dict[str, str], name: str) -> Rows:
    images, labels = found[part["images"]], found[part["labels"]]
    where = f"{name}, array {part['images']}"
    if images.dtype.kind in "US":
        images = _images_of_text(
            [str(row).encode() if images.dtype.kind == "U" else bytes(row) for row in images], where
        )
    images = rows.images_of(images, where)
    codes = rows.labels_of(_flat(labels).tolist(), f"{name}, array {part['labels']}")
    if "usage" in part:
        usages = rows.usages_of(_flat(found[part["usage"]]).tolist(), f"{name}, array {part['usage']}")
    else:
        usages = np.full(len(images), rows.usage_of_name(part["images"]), np.uint8)
    if not len(images) == len(codes) == len(usages):
        raise UserError(f"{where}: {len(images):,} images, {len(codes):,} labels and {len(usages):,} usages.")
    return images, codes, usages, np.arange(len(images), dtype=np.int32)


def _flat(values: np.ndarray) -> np.ndarray:
    """(N,) from (N,) or (N, 1), with bytes as text."""
    flat = values.reshape(-1)
    return flat.astype(str) if flat.dtype.kind == "S" else flat
