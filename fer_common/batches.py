"""Does what a network says of an image depend on the batch around it? It should not, and some networks do.

Attention over the batch axis, or batch normalisation left in training mode, mixes the images of a batch. Test images
that are stored class by class then tell such a network their class, and its scores are not those of single images.
"""

from dataclasses import dataclass

import numpy as np

SINGLES = 32  # images that are asked for one by one
# How far rounding may move a probability where batches are computed in another order: in float32, and in bfloat16.
ROUNDING = {"float32": 1e-3, "bfloat16": 0.1}


@dataclass(frozen=True)
class Moves:
    """How far probabilities move where the same images come in other batches."""

    largest_difference: float
    other_labels: int
    images: int
    precision: str = "float32"

    @classmethod
    def between(cls, pairs: list[tuple[np.ndarray, np.ndarray]], precision: str = "float32") -> "Moves":
        """From pairs of probabilities float (n, K) of the same images, asked for in two ways."""
        return cls(
            largest_difference=max(float(np.abs(a - b).max()) for a, b in pairs),
            other_labels=int(sum((a.argmax(1) != b.argmax(1)).sum() for a, b in pairs)),
            images=sum(len(a) for a, _ in pairs),
            precision=precision,
        )

    @property
    def mixed(self) -> bool:
        """Whether they move by more than rounding moves them."""
        return self.largest_difference > ROUNDING.get(self.precision, ROUNDING["bfloat16"])

    @property
    def says(self) -> str:
        """What every row of such a run says."""
        return (
            f"mixes the images of a batch: a probability moves by up to {self.largest_difference:.2g}, and "
            f"{self.other_labels:,} of {self.images:,} labels change, where images come shuffled or one by one"
        )
