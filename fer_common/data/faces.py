"""Labelled faces: the value object that every reader of FER2013 returns, and the names of its classes and parts."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from fer_common.data import looks

EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
USAGES = ("Training", "PublicTest", "PrivateTest")
IMAGE_SIZE = 48
WITHHELD = 255  # stands for the label of a row that is to be scored, while a script has the data in hand


@dataclass(frozen=True)
class FaceData:
    """N labelled faces in a fixed order.

    images: uint8 (N, 48, 48), 0 black to 255 white; may be memory-mapped, never written to.
    labels: uint8 (N,), indices into EMOTIONS.
    usage: str (N,), one of USAGES.
    row_id: int32 (N,), unique and stable: the same image of the same copy has the same id in every run.
    source: `fer2013`, `fer2013-subset` (counts differ from the published ones, on purpose), `fer2013-merged-test` (all
    test images stand under PrivateTest) or `synthetic`.
    origin: where it was read from, for people.
    fingerprint: 16 hex digits of a SHA-256 over everything above but source and origin.
    notes: what was done to read it, a sentence each, for its passport and for every record.
    """

    images: np.ndarray
    labels: np.ndarray
    usage: np.ndarray
    row_id: np.ndarray
    source: str
    origin: str
    fingerprint: str
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, arrays: dict, *, source: str, origin: str, notes: tuple[str, ...] = ()) -> "FaceData":
        """From what `as_arrays` returns."""
        return cls(
            images=arrays["images"],
            labels=arrays["labels"],
            usage=np.array(USAGES)[arrays["usage_code"]],
            row_id=arrays["row_id"],
            source=source,
            origin=origin,
            fingerprint=arrays["fingerprint"],
            notes=notes,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "FaceData":
        """The given rows (bool mask or indices). The fingerprint stays that of the whole copy."""
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            usage=self.usage[rows],
            row_id=self.row_id[rows],
        )

    @cached_property
    def identical(self) -> np.ndarray:
        """int32 (N,): rows whose pixels are the same byte for byte share a number."""
        flat = np.ascontiguousarray(self.images).reshape(len(self), -1)
        keys = flat.view(np.dtype((np.void, flat.shape[1]))).ravel()
        return np.unique(keys, return_inverse=True)[1].astype(np.int32)

    @cached_property
    def alike(self) -> np.ndarray:
        """int32 (N,): rows whose images are identical or nearly so (`looks.groups_of_twins`) share a number."""
        return looks.groups_of_twins(self.near)

    @cached_property
    def near(self) -> list[np.ndarray]:
        """Of each row, the rows whose images are identical or nearly so (`looks.near_twins`)."""
        return looks.near_twins(self.images)


def as_arrays(images: np.ndarray, labels: np.ndarray, usage_code: np.ndarray, row_id: np.ndarray) -> dict:
    """The arrays that make a FaceData, as the cache keeps them: usages as indices into USAGES, and the fingerprint."""
    arrays = {"images": images, "labels": labels, "usage_code": usage_code, "row_id": row_id}
    return arrays | {"fingerprint": fingerprint(**arrays)}


def fingerprint(images: np.ndarray, labels: np.ndarray, usage_code: np.ndarray, row_id: np.ndarray) -> str:
    """16 hex digits that change when any pixel, label, usage or id changes."""
    digest = hashlib.sha256()
    for array, dtype in ((images, np.uint8), (labels, np.uint8), (usage_code, np.uint8), (row_id, "<i4")):
        digest.update(np.ascontiguousarray(array, dtype=dtype))
    return digest.hexdigest()[:16]
