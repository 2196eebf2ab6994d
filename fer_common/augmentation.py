"""Random distortions of faces, drawn for each (seed, epoch, row): a resumed run sees what an uninterrupted one would.

Resizing, rotation, zoom, shift and flip are one affine map, so that an image is interpolated once; OpenCV does the
arithmetic. Keras's random layers, which interpolate for each of them and keep a state of their own, cost about as much
(benchmarks/augmentation.json).
"""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Augmentation:
    """How far each distortion goes, to either side: uniform, and drawn anew for every image in every epoch.

    rotation: degrees. shift: share of the width, and of the height. zoom: 0.1 scales the width by 0.9 to 1.1, and the
    height by a factor of its own. flip: `random` mirrors an image or not; `alternate` draws that once, and from then
    on every epoch shows the other side (Jordan 2024, arXiv 2404.00498). What lies outside an image has the colour of
    its nearest border pixel.
    """

    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    flip: Literal["none", "random", "alternate"] = "none"

    def apply(self, images: np.ndarray, rows: np.ndarray, *, size: int, seed: int, epoch: int) -> np.ndarray:
        """uint8 (len(rows), size, size): `rows` of the square images uint8 (N, n, n) as `epoch` shows them."""
        import cv2

        maps = self._maps(rows, len(images), seed, epoch, images.shape[1] / size, size)
        found = np.empty((len(rows), size, size), np.uint8)
        how = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REPLICATE}
        for row, into, out in zip(rows, maps, found):
            cv2.warpAffine(images[row], into, (size, size), dst=out, **how)
        return found

    def _maps(self, rows: np.ndarray, n: int, seed: int, epoch: int, scale: float, size: int) -> np.ndarray:
        """float (len(rows), 2, 3): from the pixels (x, y, 1) that are wanted to those that there are.

        scale: pixels that there are for each that is wanted, of which there are `size` on a side.
        """
        angle, zoom, shift = np.split(_uniform(seed, epoch, n)[rows] * self._reach(), (1, 3), axis=1)
        cosine, sine = np.cos(angle), np.sin(angle)
        across, down = np.split(1 + zoom, 2, axis=1)
        across = across * self._side(rows, n, seed, epoch)
        turned = np.stack([np.hstack([cosine * across, -sine * down]), np.hstack([sine * across, cosine * down])], 1)
        # Both are turned around the middle, which lies half a pixel off the grid where the number of pixels is even.
        middle = (size - 1) / 2
        offset = scale * (middle + 0.5) - 0.5 - scale * turned.sum(2) * middle + scale * size * shift
        return np.concatenate([scale * turned, offset[..., None]], 2)

    def _reach(self) -> np.ndarray:
        return np.array([np.radians(self.rotation), self.zoom, self.zoom, self.shift, self.shift])

    def _side(self, rows: np.ndarray, n: int, seed: int, epoch: int) -> np.ndarray:
        """(len(rows), 1): −1 where an image is mirrored."""
        if self.flip == "none":
            return np.ones((len(rows), 1))
        drawn = _sides(seed, epoch if self.flip == "random" else 0, n)[rows, None]
        return drawn * (-1) ** epoch if self.flip == "alternate" else drawn


@functools.lru_cache(4)  # an epoch is asked for batch by batch
def _uniform(seed: int, epoch: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, 1]).uniform(-1, 1, (n, 5))


@functools.lru_cache(4)
def _sides(seed: int, epoch: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, 2]).choice((-1, 1), n)
