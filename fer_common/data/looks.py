"""What images look like: in the middle their sharpness, contrast and grey values; and which are twins of which."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NEAR = 4  # bits of 64 in which the perceptual hashes of two pictures of one image may differ


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


def perceptual_hashes(images: np.ndarray) -> np.ndarray:
    """uint64 (N,): 64 bits, whether each of the 8 × 8 lowest cosine frequencies is above their median (pHash)."""
    from scipy.fft import dctn

    found = np.empty(len(images), np.uint64)
    for begin in range(0, len(images), 4096):
        part = np.asarray(images[begin : begin + 4096], np.float32)
        low = dctn(part, axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(part), -1)
        bits = low > np.median(low, axis=1, keepdims=True)
        found[begin : begin + 4096] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return found


def near_twins(hashes: np.ndarray) -> Callable[[np.ndarray, np.ndarray], list[np.ndarray]]:
    """Function(rows, others) that gives for each of `rows` those of `others` whose hashes are near, itself left out."""

    def find(rows: np.ndarray, others: np.ndarray) -> list[np.ndarray]:
        found = []
        for begin in range(0, len(rows), 256):
            part = rows[begin : begin + 256]
            apart = np.bitwise_count(hashes[part, None] ^ hashes[None, others])
            near = apart <= NEAR
            found += [others[own][others[own] != row] for row, own in zip(part, near)]
        return found

    return find


def groups_of_twins(images: np.ndarray) -> np.ndarray:
    """int32 (N,): images with near perceptual hashes, and twins of twins, share the place of the first of them; two
    seconds for all of FER2013."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    every = np.arange(len(images))
    twins = near_twins(perceptual_hashes(images))(every, every)
    rows, others = np.repeat(every, [len(own) for own in twins]), np.concatenate([*twins, every[:0]])
    graph = coo_array((np.ones(len(rows), bool), (rows, others)), shape=(len(images), len(images)))
    _, first, number = np.unique(connected_components(graph, directed=False)[1], return_index=True, return_inverse=True)
    return first[number].astype(np.int32)
