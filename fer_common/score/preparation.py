"""Images as somebody else's network wants them. Nothing here imports a network."""

import numpy as np

from fer_common.score.card import Preparation


def prepared(images: np.ndarray, how: Preparation) -> np.ndarray:
    """float32 (n, size, size, channels) of images uint8 (n, 48, 48); resized bilinearly, as OpenCV and most releases
    do, before they are scaled."""
    import cv2

    size = int(how.size)
    found = np.ascontiguousarray(images)
    if found.shape[1:] != (size, size):
        found = np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR) for image in found])
    values = found.astype(np.float32)
    if how.scale == "per_image":
        spread = np.maximum(values.std((1, 2), keepdims=True), 1e-6)
        values = (values - values.mean((1, 2), keepdims=True)) / spread
    else:
        mean, deviation = {
            "0..1": (0.0, 255.0),
            "-1..1": (127.5, 127.5),
            "0..255": (0.0, 1.0),
            "mean_deviation": (float(how.mean or 0), float(how.deviation or 1)),
        }[how.scale]
        values = (values - np.float32(mean)) / np.float32(deviation)
    return np.repeat(values[..., None], int(how.channels), axis=-1)
