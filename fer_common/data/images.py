"""FER2013 as image files: what their names and folders say, and their pixels.

A name says the usage (`Training_123.jpg`), or a folder does (`train/angry/im0.png`); the innermost folder is the class.
Files beside FER2013's own, and other data sets, are told by their names too. Nothing is scaled or turned to grey.
"""

import io
import re
import warnings
from collections.abc import Callable
from pathlib import PurePath

import numpy as np

from fer_common import UserError
from fer_common.data import rows
from fer_common.data.faces import EMOTIONS, IMAGE_SIZE

ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff")  # the last two are JAFFE's
NAME = re.compile(r"(Training|PublicTest|PrivateTest)_(\d{1,9})\.(?:jpe?g|png)", re.IGNORECASE)
# Names that were made from another: `Training_1.jpg0.jpg`, `aug_Training_1.jpg`, `im1(1).png`, `im1 - Copy.png`.
MADE_FROM_NAME = re.compile(r".*(?:Training|PublicTest|PrivateTest)_\d.*", re.IGNORECASE)
MADE_FROM = re.compile(r"(.+?)(?: ?\(\d+\)| - Copy|\.(?:jpe?g|png)\d*)(\.\w+)", re.IGNORECASE)
OTHER_SETS = {
    "CK+": re.compile(r"S\d{3}_\d{3}_\d{8}\.\w+"),
    "RAF-DB": re.compile(r"(?:train|test)_\d{4,5}(?:_aligned)?\.\w+"),
    "JAFFE": re.compile(r"[A-Z]{2}\.(?:AN|DI|FE|HA|SA|SU|NE)\d?\.\d+\.\w+"),
    "FER+ (FER2013's images under other labels)": re.compile(r"fer\d{7}\.\w+"),
}


def read(
    members: dict[str, object], read_bytes: Callable, merged_test: bool, without_extra: bool
) -> tuple[tuple[np.ndarray, ...], int]:
    """(images, labels, usages or TEST, row_id), in order of usage and number; and how many files were left out.

    members: by their paths in the copy; read_bytes: of a member. Raises UserError.
    """
    paths = [PurePath(name) for name in members]
    _refuse_another_set(paths)
    known, seen, kept, extra = set(members), set(), [], []
    for path in sorted(paths):
        match, label = NAME.fullmatch(path.name), rows.NAMES_OF.get(path.parent.name.lower())
        number = int(match[2] if match else (re.findall(r"\d{1,9}", path.stem) or [0])[-1])
        usage = rows.usage_of_name(match[1]) if match else rows.usage_of_path(path.parent)
        made_from = MADE_FROM.fullmatch(str(path))
        if match:
            is_extra = (usage, number, label) in seen
            seen.add((usage, number, label))
        else:
            is_extra = bool(MADE_FROM_NAME.fullmatch(path.name)) or bool(
                made_from and "".join(made_from.groups()) in known
            )
        if is_extra:
            extra.append(path)
        elif usage is None:
            raise UserError(
                f"the name of {path} does not say its usage; expected Training_123.jpg, PublicTest_123.jpg or "
                "PrivateTest_123.jpg, or a folder train, validation or test, without which no protocol can be "
                "followed; use a copy that kept its names."
            )
        elif label is None:
            raise UserError(f"{path} lies in no class folder; expected one of {', '.join(EMOTIONS)}, or 0 to 6.")
        else:
            kept.append((usage, number, label, str(path)))
    if extra and not without_extra:
        raise UserError(
            f"{len(extra):,} of {len(paths):,} files are extra, such as {extra[0]}: made from others, or there "
            "twice; use a copy without them, or say --without-extra to leave them out."
        )
    if not kept:
        raise UserError("holds no images of FER2013.")
    kept.sort()
    usages = np.array([item[0] for item in kept], np.uint8)
    rows.settle(usages, merged_test)  # before all are decoded
    images = np.empty((len(kept), IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for row, (_, _, _, name) in enumerate(kept):
        images[row] = decode(read_bytes(members[name]), name)
    labels = np.array([item[2] for item in kept], np.uint8)
    return (images, labels, usages, np.arange(len(kept), dtype=np.int32)), len(extra)


def decode(content: bytes, name: str) -> np.ndarray:
    """uint8 (48, 48) from a JPEG or PNG. Raises UserError for one that is none, or of another size or mode."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG"))
        with image:
            if image.size != (IMAGE_SIZE, IMAGE_SIZE) or image.mode != "L":
                raise UserError(
                    f"{name} is {image.width} × {image.height} in mode {image.mode}, expected 48 × 48 in 8-bit grey "
                    "(L); this copy was changed, use one that was not."
                )
            return np.asarray(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{name} says that it is huge, expected 48 × 48; this copy was changed.") from None
    except UnidentifiedImageError:
        raise UserError(f"{name} is neither JPEG nor PNG, whatever its name says; download the copy again.") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{name} cannot be decoded ({error}); download the copy again.") from None


def _refuse_another_set(paths: list[PurePath]) -> None:
    strange = [path for path in paths if not MADE_FROM_NAME.fullmatch(path.name)]
    for name, pattern in OTHER_SETS.items():
        theirs = [path for path in strange if pattern.fullmatch(path.name)]
        if 2 * len(theirs) > len(paths):
            raise UserError(f"holds the images of {name}, such as {theirs[0]}; the papers here are about FER2013.")
    if contempt := [path for path in strange if path.parent.name.lower() == "contempt"]:
        raise UserError(
            f"holds a class that FER2013 has not, {contempt[0]}: AffectNet, FER+ or another data set; the papers here "
            "are about FER2013."
        )
