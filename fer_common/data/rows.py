"""What a row of FER2013 may say in whatever form: its label, its usage and its pixels; and how many rows there may be.

Where files are found and unpacked is in `fer2013`.
"""

import re
from collections.abc import Iterable
from pathlib import PurePath

import numpy as np

from fer_common import UserError
from fer_common.data.faces import EMOTIONS, IMAGE_SIZE, USAGES

PIXELS = IMAGE_SIZE * IMAGE_SIZE
# Nothing larger is FER2013's: a hostile file is refused before it fills the memory.
MOST_ROWS, MOST_BYTES = 200_000, 1 << 30

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

TEST = len(USAGES)
"""Stands beside the indices into USAGES for a test image of which nothing says PublicTest or PrivateTest."""
USAGE_NAME = re.compile(
    r"(?<![a-z])(?:(train(?:ing)?)|(val(?:id(?:ation)?)?|public[ _-]?test)|(private[ _-]?test)|(test))(?![a-z])",
    re.IGNORECASE,
)


def usage_of_name(name: str) -> int | None:
    """The index into USAGES, or TEST, that the name of a folder, a file or an array says: `X_public_test`, `valid`."""
    found = list(USAGE_NAME.finditer(name))
    return found[-1].lastindex - 1 if found else None


def usage_of_path(path: PurePath) -> int | None:
    """The same of a path, whose innermost part that says anything counts."""
    return next((code for part in reversed(path.parts) if (code := usage_of_name(part)) is not None), None)


def settle(codes: np.ndarray, merged_test: bool) -> np.ndarray:
    """uint8 (N,): indices into USAGES, of which PrivateTest takes the place of TEST where PublicTest is told apart, or
    where the test is to be read as one. Raises UserError where nothing tells them apart and nobody said so."""
    codes = np.asarray(codes, np.uint8)
    tests = codes == TEST
    public, private = ((codes == USAGES.index(usage)).any() for usage in ("PublicTest", "PrivateTest"))
    if merged_test and (public or private or not tests.any()):
        raise UserError("does not merge PublicTest and PrivateTest; leave --merged-test out.")
    if tests.any() and not merged_test and (private or not public):
        merge = "" if private else ", or say --merged-test to read them as one test set"
        raise UserError(
            f"{tests.sum():,} images are called `test`, and nothing says which are PublicTest and which PrivateTest; "
            f"use a copy that kept the usages{merge}."
        )
    return np.where(tests, USAGES.index("PrivateTest"), codes).astype(np.uint8)


def usages_of(values: Iterable, where: str) -> np.ndarray:
    """uint8 (N,): indices into USAGES, or TEST, from what a column says. Raises UserError."""
    values = [str(value).strip() for value in values]
    code_of = {value: usage_of_name(value) for value in set(values)}
    if unknown := sorted(value for value, code in code_of.items() if code is None):
        raise UserError(f"{where}: usage {unknown[0][:20]!r}, expected Training, PublicTest or PrivateTest.")
    return np.array([code_of[value] for value in values], np.uint8)


def labels_of(values: Iterable, where: str) -> np.ndarray:
    """uint8 (N,): indices into EMOTIONS, from numbers or names. Raises UserError."""
    values = [str(value).strip().lower() for value in values]
    if unknown := sorted(set(values) - NAMES_OF.keys()):
        raise UserError(f"{where}: label {unknown[0][:20]!r}, expected a whole number from 0 to 6, or an emotion.")
    return np.array([NAMES_OF[value] for value in values], np.uint8)


def images_of(pixels: np.ndarray, where: str) -> np.ndarray:
    """uint8 (N, 48, 48) from numbers of any type, a row an image, flat or not. Raises UserError."""
    if pixels.ndim < 2 or pixels[:1].size != PIXELS:
        raise UserError(f"{where}: has the shape {pixels.shape}, expected (N, 48, 48) in grey; this copy was changed.")
    if pixels.dtype.kind not in "iuf":
        raise UserError(f"{where}: holds {pixels.dtype}, expected whole numbers from 0 to 255; this copy was changed.")
    if pixels.dtype != np.uint8:
        lowest, highest = pixels.min(), pixels.max()
        # An image at a time, for a mask of all would be as large as they are.
        if not (lowest >= 0 and highest <= 255) or any((image % 1).any() for image in pixels):
            raise UserError(
                f"{where}: has values from {lowest:g} to {highest:g}, expected whole numbers from 0 to 255; "
                "this copy was changed."
            )
    return pixels.astype(np.uint8, copy=False).reshape(-1, IMAGE_SIZE, IMAGE_SIZE)


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
