"""What images look like in the middle: sharpness, contrast, how their grey values are spread."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Looks:
    """Of one usage: medians over its images."""

    images: int
    constant: int
    lowest: int
    highest: int
    sharpness: float
    """Variance of the Laplacian (Pech-Pacheco et al. 2000), grey values squared."""
    contrast: float
    """Standard deviation of the grey values."""
    unevenness: float
    """Largest distance between the distribution of the grey values and an even one, 0 to 1."""


def look(images: np.ndarray) -> Looks:
    """Of uint8 (N, 48, 48)."""
    import cv2

    sharpness = [cv2.Laplacian(image, cv2.CV_32F).var() for image in np.ascontiguousarray(images)]
    flat = images.reshape(len(images), -1)
    ordered = np.sort(flat, axis=1).astype(np.float32)
    even = np.linspace(0, 255, flat.shape[1], dtype=np.float32)
    return Looks(
        images=len(images),
        constant=int((flat.min(1) == flat.max(1)).sum()),
        lowest=int(flat.min()),
        highest=int(flat.max()),
        sharpness=float(np.median(sharpness)),
        contrast=float(np.median(flat.std(1))),
        unevenness=float(np.median(np.abs(ordered - even).max(1)) / 255),
    )
