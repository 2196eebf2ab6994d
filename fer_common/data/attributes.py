"""What tasks there are besides expressions, their classes and their parts, and the value object that holds such faces.

Those of UTKFace. The readers that fill it are in `utkface` (published forms) and `synthetic` (drawn faces).
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from fer_common.data.faces import EMOTIONS, WITHHELD

ATTRIBUTES = {
    "age_group": ("0-12", "13-19", "20-39", "40-59", "60+"),
    "gender": ("male", "female"),
    "ethnicity": ("white", "black", "asian", "indian", "others"),
}
TASKS = {"expression": EMOTIONS, **ATTRIBUTES}  # what a network may be trained on, and the classes
PARTS = ("UTKFace train", "UTKFace validation", "UTKFace test")
SHARES = (0.8, 0.9)  # of the hash's range: up to which train, up to which validation
ROLES = dict(zip(PARTS, ("fit", "select", "score")))


@dataclass(frozen=True)
class AttributeData:
    """N faces with a label for each of ATTRIBUTES.

    images: uint8 (N, 48, 48), grey. labels: by attribute, uint8 (N,), indices into ATTRIBUTES[attribute], or WITHHELD.
    part: str (N,), one of PARTS. row_id: int32 (N,), unique. source: `utkface`, `utkface-subset` or `synthetic`, whose
    attributes are drawn ones under the same names. origin, fingerprint: as in FaceData.
    """

    images: np.ndarray
    labels: dict[str, np.ndarray]
    part: np.ndarray
    row_id: np.ndarray
    source: str
    origin: str
    fingerprint: str

    @classmethod
    def of(cls, arrays: dict, *, source: str, origin: str) -> "AttributeData":
        """From what `as_arrays` returns, with a column of labels for each attribute."""
        return cls(
            images=arrays["images"],
            labels={name: arrays["labels"][:, number] for number, name in enumerate(ATTRIBUTES)},
            part=np.array(PARTS)[arrays["usage_code"]],
            row_id=arrays["row_id"],
            source=source,
            origin=origin,
            fingerprint=arrays["fingerprint"],
        )

    def __len__(self) -> int:
        return len(self.part)

    @property
    def role(self) -> np.ndarray:
        """str (N,): fit on train, select on validation, score on test."""
        return np.array([ROLES[part] for part in self.part])

    def take(self, rows: np.ndarray) -> "AttributeData":
        """The given rows. The fingerprint stays that of the whole copy."""
        return replace(
            self,
            images=self.images[rows],
            labels={name: labels[rows] for name, labels in self.labels.items()},
            part=self.part[rows],
            row_id=self.row_id[rows],
        )

    def withheld(self) -> "AttributeData":
        """The same without the labels of the rows to be scored, so that nothing can be fitted on them."""
        tested = self.role == "score"
        return replace(self, labels={name: np.where(tested, WITHHELD, own) for name, own in self.labels.items()})


def part_of(image: np.ndarray) -> int:
    """Index into PARTS by the image's pixels alone, so that identical images are never parted.

    They are those that Pillow decodes and scales; its version is pinned, and the fingerprint shows another split.
    """
    share = int.from_bytes(hashlib.sha256(b"UTKFace 0" + image.tobytes()).digest()[:8], "big") / 2**64
    return int(np.searchsorted(SHARES, share, side="right"))
