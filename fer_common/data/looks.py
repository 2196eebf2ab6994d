"""What images look like: in the middle their sharpness, contrast and grey values; and which are twins of which."""

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

    sharpness = np.concatenate(
        [
            np.stack([cv2.Laplacian(image, cv2.CV_32F) for image in part]).var(axis=(1, 2))
            for part in np.array_split(np.ascontiguousarray(images), -(-len(images) // 512))
        ]
    )
    flat = images.reshape(len(images), -1)
    # Of bytes, `stable` is a radix sort, six times as quick.
    ordered = np.sort(flat, axis=1, kind="stable").astype(np.float32)
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


def near_twins(images: np.ndarray) -> list[np.ndarray]:
    """Of each of uint8 (N, 48, 48), the places of its near twins, sorted: their perceptual hash differs from its own in
    NEAR bits at most.

    Hashes that differ in NEAR bits agree in one of NEAR + 1 stretches of them (the pigeonhole principle), so that only
    those that do are held against each other.
    """
    hashes = perceptual_hashes(images)
    width = -(-64 // (NEAR + 1))
    pairs = [np.empty((2, 0), np.int64)]
    for stretch in range(NEAR + 1):
        values = (hashes >> np.uint64(stretch * width)) & np.uint64(2**width - 1)
        order = np.argsort(values, kind="stable")
        for shift in range(1, len(order)):
            begins = np.flatnonzero(values[order[shift:]] == values[order[:-shift]])
            if not len(begins):
                break
            one, other = order[begins], order[begins + shift]
            near = np.bitwise_count(hashes[one] ^ hashes[other]) <= NEAR
            pairs.append(np.stack([one[near], other[near]]))
    found = np.concatenate(pairs, axis=1)
    both_ways = np.unique(np.concatenate([found, found[::-1]], axis=1), axis=1)
    begins = np.searchsorted(both_ways[0], np.arange(1, len(images)))
    return np.split(both_ways[1], begins)


def groups_of_twins(twins: list[np.ndarray]) -> np.ndarray:
    """int32 (N,): images that `near_twins` finds, and twins of twins, share the place of the first of them."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    every = np.arange(len(twins))
    rows, others = np.repeat(every, [len(own) for own in twins]), np.concatenate([*twins, every[:0]])
    graph = coo_array((np.ones(len(rows), bool), (rows, others)), shape=(len(twins), len(twins)))
    _, first, number = np.unique(connected_components(graph, directed=False)[1], return_index=True, return_inverse=True)
    return first[number].astype(np.int32)
