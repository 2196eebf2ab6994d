"""Is a copy the original, altered in every part alike, or in another order? A sketch of the original tells.

The sketch, `original.json`, is a few kilobytes of numbers: medians over all images, and of 480 rows the label and the
signs of the lowest cosine frequencies of the picture, from which no picture can be made. A mirror image turns the signs
of the odd horizontal frequencies round, a transposed one swaps the axes, a negative turns all of them round: what was
done to a copy is read off by which of these agrees best. `python -m fer_common.data.original COPY ROWS` made it, of a
copy whose approximate rows (a file with one number a line) are left out.
"""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from fer_common.data.faces import EMOTIONS, USAGES, FaceData
from fer_common.data.looks import look

SKETCH = Path(__file__).parent / "original.json"
ROWS = 480
GLANCE = 2000  # images
SIDE = 8  # of the frequencies that are kept
AGREE = 0.9  # of the signs, for pictures to be those of the sketch
SAME = 0.8  # of the rows of the sketch, for a copy to be another order of them

SIGNS = np.arange(SIDE)
CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are": lambda signs: signs,
    "mirrored": lambda signs: signs * (-1) ** SIGNS,
    "upside down": lambda signs: signs * (-1) ** SIGNS[:, None],
    "turned by 180°": lambda signs: signs * (-1) ** SIGNS * (-1) ** SIGNS[:, None],
    "transposed": lambda signs: signs.swapaxes(-1, -2),
    "negatives": lambda signs: -signs,
}


class Sketch(msgspec.Struct, frozen=True):
    """What is known of the original."""

    sharpness: float
    contrast: float
    unevenness: float
    blocks: float
    rows: list[int]
    usages: list[int]
    labels: list[int]
    signs: list[str]
    """Of each row 64 bits in hexadecimal, one a frequency."""

    def as_signs(self) -> np.ndarray:
        """int8 (ROWS, 8, 8), −1 or 1."""
        bits = np.unpackbits(np.array([list(bytes.fromhex(own)) for own in self.signs], np.uint8), axis=1)
        return bits.reshape(-1, SIDE, SIDE).astype(np.int8) * 2 - 1


@cache
def sketch() -> Sketch:
    return msgspec.json.decode(SKETCH.read_bytes(), type=Sketch)


def signs_of(images: np.ndarray) -> np.ndarray:
    """int8 (N, 8, 8): the signs of the lowest cosine frequencies of uint8 (N, 48, 48); the mean is left out as 1."""
    from scipy.fft import dctn

    found = np.empty((len(images), SIDE, SIDE), np.int8)
    for begin in range(0, len(images), 4096):
        part = np.asarray(images[begin : begin + 4096], np.float32)
        part = part - part.mean((1, 2), keepdims=True)
        low = dctn(part, axes=(1, 2), norm="ortho")[:, :SIDE, :SIDE]
        found[begin : begin + 4096] = np.where(low > 0, 1, -1)
    found[:, 0, 0] = 1
    return found


def blocks_of(images: np.ndarray) -> float:
    """How much larger the step between neighbours is at the borders of JPEG's blocks of 8 × 8 than elsewhere."""
    steps = np.abs(np.diff(images[:: max(1, len(images) // 2000)].astype(np.int16), axis=2)).mean((0, 1))
    border = np.arange(7, 47, 8)
    return float(steps[border].mean() / np.delete(steps, border).mean())


def remarks(data: FaceData, sharpness: float, contrast: float, unevenness: float) -> list[str]:
    """What a copy has become, one sentence each; [] for the original, drawn faces and subsets of rows.

    sharpness, contrast, unevenness: medians over all of its images, as in the passport.
    """
    known = sketch()
    if data.source == "synthetic" or np.isin(known.rows, data.row_id).mean() < SAME:
        return []
    found = _order(data, known)
    where = "Every part of this copy is altered alike"
    if sharpness < 0.75 * known.sharpness:
        jpeg = blocks_of(data.images) > 1.15 * known.blocks
        cause = "JPEG of low quality" if jpeg else "blurred, or brought from another size"
        share = 100 * sharpness / known.sharpness
        found.append(f"{where}: its images are {share:.0f} % as sharp as the original's; {cause}.")
    elif sharpness > 1.35 * known.sharpness:
        share = 100 * sharpness / known.sharpness
        cause = "sharpened, or their contrast stretched (CLAHE)"
        found.append(f"{where}: its images are {share:.0f} % as sharp as the original's; {cause}.")
    elif blocks_of(data.images) > 1.15 * known.blocks:
        found.append(f"{where}: its images show the blocks of JPEG, which the original's do not.")
    elif abs(contrast / known.contrast - 1) > 0.15:
        share = 100 * contrast / known.contrast
        found.append(f"{where}: its images have {share:.0f} % of the original's contrast.")
    return found


def at_a_glance(data: FaceData) -> list[str]:
    """The same from every n-th image, in half a second: what a run says of its copy before it starts."""
    if data.source == "synthetic":
        return []
    own = look(data.images[:: max(1, len(data) // GLANCE)])
    return [*data.notes, *remarks(data, own.sharpness, own.contrast, own.unevenness)]


def _order(data: FaceData, known: Sketch) -> list[str]:
    """How its pictures and labels lie to those of the sketch, row by row, and where not, wherever they are."""
    theirs = known.as_signs()
    at = {int(row): place for place, row in enumerate(data.row_id)}
    places = np.array([at.get(row, -1) for row in known.rows])
    there = places >= 0
    ours = signs_of(data.images[places[there]])
    agree = {name: float(np.mean(change(theirs[there]) == ours)) for name, change in CHANGES.items()}
    best = max(agree, key=lambda name: agree[name])
    if agree[best] >= AGREE:
        said = [] if best == "as they are" else [f"Its images are {best}."]
        return said + _labels(data, known, places[there], there)
    return _elsewhere(data, known, theirs)


def _elsewhere(data: FaceData, known: Sketch, theirs: np.ndarray) -> list[str]:
    """Where its rows are in another order: each of the sketch's pictures is looked for among all."""
    packed = np.packbits(signs_of(data.images).reshape(len(data), -1) > 0, axis=1).view(np.uint64)[:, 0]
    for name, change in CHANGES.items():
        asked = np.packbits(change(theirs).reshape(len(theirs), -1) > 0, axis=1).view(np.uint64)[:, 0]
        nearest = [int(np.argmin(np.bitwise_count(packed ^ own))) for own in asked]
        near = np.array([int(np.bitwise_count(packed[place] ^ own)) for place, own in zip(nearest, asked)]) <= 6
        if near.mean() >= SAME:
            also = "" if name == "as they are" else f", and {name}"
            said = f"Its rows are in another order than the original's{also}."
            return [said, *_labels(data, known, np.array(nearest)[near], near)]
    causes = "cropped and zoomed, altered beyond recognition, or another data set"
    return [f"Its pictures are not those of FER2013's rows: {causes}."]


def _labels(data: FaceData, known: Sketch, places: np.ndarray, there: np.ndarray) -> list[str]:
    """Whether labels and usages of the rows that were found are those of the original, or others throughout."""
    said = []
    for what, theirs, ours, names in (
        ("label", np.array(known.labels)[there], data.labels[places].astype(int), EMOTIONS),
        ("usage", np.array(known.usages)[there], np.array([USAGES.index(u) for u in data.usage[places]]), USAGES),
    ):
        pairs = {k: np.bincount(ours[theirs == k], minlength=len(names)) for k in np.unique(theirs)}
        turned = {k: int(own.argmax()) for k, own in pairs.items() if own.max() > 0.9 * own.sum() and own.argmax() != k}
        if turned:
            listed = ", ".join(f"{names[k]} is called {names[own]}" for k, own in turned.items())
            said.append(f"Its {what}s are not the original's: {listed}.")
        elif np.mean(theirs != ours) > 0.05:
            said.append(f"{100 * np.mean(theirs != ours):.0f} % of its {what}s are others than the original's.")
    return said


def make(data: FaceData, approximate: set[int]) -> Sketch:
    """The sketch of a copy that is the original but for some rows."""
    exact = np.array([row for row in range(len(data)) if int(data.row_id[row]) not in approximate])
    plain = exact[data.images[exact].reshape(len(exact), -1).std(1) > 5]
    rows = plain[np.linspace(0, len(plain) - 1, ROWS).astype(int)]
    looks = look(data.images[exact])
    packed = np.packbits(signs_of(data.images[rows]).reshape(ROWS, -1) > 0, axis=1)
    return Sketch(
        sharpness=round(looks.sharpness, 1),
        contrast=round(looks.contrast, 2),
        unevenness=round(looks.unevenness, 4),
        blocks=round(blocks_of(data.images[exact]), 4),
        rows=[int(row) for row in data.row_id[rows]],
        usages=[USAGES.index(usage) for usage in data.usage[rows]],
        labels=[int(label) for label in data.labels[rows]],
        signs=[bytes(own).hex() for own in packed],
    )


if __name__ == "__main__":
    from fer_common import data as data_module

    left_out = {int(word) for word in Path(sys.argv[2]).read_text().split() if word.isdigit()}
    SKETCH.write_bytes(msgspec.json.encode(make(data_module.load(sys.argv[1]), left_out)))
