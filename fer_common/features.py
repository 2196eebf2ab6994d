"""Features: what a network gives for every image, computed once and kept, since it costs minutes and never changes.

The cache knows a set of features by the pixels, the network's weights and outputs, and the preprocessing, so that
protocols, seeds and classifiers share it and nothing else can. Identical images are computed once.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np

from fer_common import UserError, pipeline
from fer_common.data import cache, cache_folder

BATCH = 128


def extract(network, images: np.ndarray, preprocessing: pipeline.Preprocessing, outputs: str) -> np.ndarray:
    """float32 (N, D): what `network`, a Keras model, gives for images uint8 (N, 48, 48).

    outputs: names what the network's output is made of, which its weights alone do not say. Streams: besides the
    result, a few batches are in memory. Raises UserError where the disk is full.
    """
    flat = np.ascontiguousarray(images).reshape(len(images), -1)
    _, first, inverse = np.unique(
        flat.view(np.dtype((np.void, flat.shape[1]))).ravel(), return_index=True, return_inverse=True
    )
    # In order of their bytes, so that the same images in another order, or repeated, are the same set.
    return _kept(network, np.asarray(images)[first], preprocessing, outputs)[inverse]


def digest(network) -> str:
    """16 hex digits over a network's weights and their shapes, in which attention says how many heads it has."""
    import keras

    found = hashlib.sha256()
    for variable in network.variables:
        found.update(str(tuple(variable.shape)).encode())
        found.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)))
    return found.hexdigest()[:16]


def _kept(network, images: np.ndarray, preprocessing: pipeline.Preprocessing, outputs: str) -> np.ndarray:
    import keras
    from filelock import FileLock

    described = json.dumps([asdict(preprocessing), digest(network), outputs, keras.config.dtype_policy().name])
    key = hashlib.sha256(described.encode() + images.tobytes()).hexdigest()[:32]
    path = cache_folder() / "features" / f"{key}.npy"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            try:
                found = np.load(path, mmap_mode="r")
                cache.used(path)
                return found
            except (FileNotFoundError, EOFError, ValueError):  # ValueError: a file that was cut
                _compute(network, images, preprocessing, path)
                cache.evict(keep=path)
            return np.load(path, mmap_mode="r")
    except OSError as error:
        needed = len(images) * network.output_shape[-1] * 4 / 2**20
        raise UserError(
            f"The features cannot be kept in {path.parent} ({error}); they need {needed:,.0f} MiB there, or move the "
            "cache with the variable FERREPRO_CACHE."
        ) from None


def _compute(network, images: np.ndarray, preprocessing: pipeline.Preprocessing, path: Path) -> None:
    """Write the features to `path`: under a temporary name, renamed when whole."""
    temporary = path.with_suffix(".partial")
    print(f"features of {len(images):,} different images at {preprocessing.size} px, kept in {path.parent}")
    try:
        with temporary.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(images), network.output_shape[-1])}
            np.lib.format.write_array_header_2_0(file, header)
            for begin in range(0, len(images), 16 * BATCH):
                rows = range(begin, min(begin + 16 * BATCH, len(images)))
                batches = pipeline.in_order(
                    images[rows.start : rows.stop],
                    None,
                    range(len(rows)),
                    batch_size=BATCH,
                    preprocessing=preprocessing,
                )
                found = np.asarray(network.predict(batches, verbose=0), np.float32)
                if not np.isfinite(found).all():
                    raise UserError("The extractor gives features that are not finite numbers; its weights are broken.")
                file.write(np.ascontiguousarray(found))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
