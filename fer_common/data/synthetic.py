"""Drawn 48×48 grey faces with seven expressions: what runs when nobody has FER2013, and what tests plant faults in.

Brows, eyes and mouth move from a neutral face towards the expression by a random share of the way, under random
pose, lighting and noise, so that a small network learns them well above chance and below 100 %. Nothing made from
them says anything about real faces, and everything made from them says `synthetic`.
"""

import numpy as np

from fer_common.data import cache
from fer_common.data.attributes import ATTRIBUTES, PARTS, AttributeData, part_of
from fer_common.data.faces import EMOTIONS, IMAGE_SIZE, USAGES, FaceData, as_arrays

# How far an expression moves brow height, brow slope (inner end up), eye opening, mouth corners (up),
# mouth opening and mouth width; in half face heights, relative to the neutral face.
EXPRESSIONS = {
    "angry": (-0.10, -0.13, -0.03, -0.06, 0.00, -0.02),
    "disgust": (-0.08, -0.05, -0.05, -0.08, 0.05, -0.06),
    "fear": (0.07, 0.10, 0.05, -0.04, 0.06, 0.06),
    "happy": (0.02, 0.00, -0.03, 0.13, 0.05, 0.09),
    "sad": (0.00, 0.12, -0.03, -0.11, 0.00, -0.04),
    "surprise": (0.14, 0.02, 0.06, 0.00, 0.16, -0.09),
    "neutral": (0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
}
FACES_AT_ONCE = 256
VERSION = 1  # raise when the faces change: kept ones are then drawn anew


def draw(n: int = 35887, *, seed: int = 0, label_noise: float = 0.0, duplicates: float = 0.0) -> FaceData:
    """`n` drawn faces with FER2013's proportions of usages and classes, the same for the same arguments.

    label_noise: share of rows whose label is replaced by another one.
    duplicates: share of rows whose image (not label or usage) is a copy of an earlier row's.
    """
    from fer_common.data.fer2013 import OFFICIAL_COUNTS

    rng = np.random.default_rng([seed, 2013])
    counts = np.array([OFFICIAL_COUNTS[usage] for usage in USAGES])
    cell = np.repeat(np.arange(counts.size), _apportion(counts.ravel(), n))
    rng.shuffle(cell)
    order = np.argsort(cell // len(EMOTIONS), kind="stable")  # by usage, as in FER2013's own file
    usage_code, labels = (part.astype(np.uint8) for part in np.divmod(cell[order], len(EMOTIONS)))

    images = np.empty((n, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    for start in range(0, n, FACES_AT_ONCE):
        images[start : start + FACES_AT_ONCE] = _faces(labels[start : start + FACES_AT_ONCE], rng)

    copies = rng.permutation(np.arange(1, n))[: round(duplicates * n)]
    for row in np.sort(copies):
        images[row] = images[rng.integers(row)]
    noisy = rng.permutation(n)[: round(label_noise * n)]
    labels[noisy] = (labels[noisy] + rng.integers(1, len(EMOTIONS), len(noisy))) % len(EMOTIONS)

    knobs = "".join(f", {k} {v}" for k, v in (("label noise", label_noise), ("duplicates", duplicates)) if v)
    return FaceData.of(
        as_arrays(images, labels, usage_code, np.arange(n, dtype=np.int32)),
        source="synthetic",
        origin=f"{n:,} drawn faces, seed {seed}{knobs}",
    )


def draw_or_load() -> FaceData:
    """`draw()` with its defaults, from the cache where it was drawn before."""

    def arrays() -> dict:
        data = draw()
        usage_code = np.argmax(data.usage[:, None] == np.array(USAGES), axis=1).astype(np.uint8)
        return as_arrays(data.images, data.labels, usage_code, data.row_id)

    made = cache.load_or_make(f"synthetic {VERSION}", arrays)
    return FaceData.of(made, source="synthetic", origin=f"{len(made['labels']):,} drawn faces, seed 0")


def draw_attributes(n: int = 23705, *, seed: int = 0) -> AttributeData:
    """`n` drawn faces with attributes under UTKFace's names: `age_group` is the width of the head, `gender` whether it
    wears glasses, `ethnicity` how dark the hair is against the skin; expressions are mixed. Same for same arguments."""
    rng = np.random.default_rng([seed, 2017])
    labels = np.stack([rng.integers(len(classes), size=n) for classes in ATTRIBUTES.values()], 1)
    emotions = rng.integers(len(EMOTIONS), size=n)
    images = np.concatenate(
        [
            _faces(emotions[start : start + FACES_AT_ONCE], rng, labels[start : start + FACES_AT_ONCE].T)
            for start in range(0, n, FACES_AT_ONCE)
        ]
    )
    part = np.array([part_of(image) for image in images], np.uint8)
    return AttributeData.of(
        as_arrays(images, labels.astype(np.uint8), part, np.arange(n, dtype=np.int32)),
        source="synthetic",
        origin=f"{n:,} drawn faces with drawn attributes, seed {seed}",
    )


def draw_or_load_attributes() -> AttributeData:
    """`draw_attributes()` with its defaults, from the cache where it was drawn before."""

    def arrays() -> dict:
        data = draw_attributes()
        part = np.argmax(data.part[:, None] == np.array(PARTS), axis=1).astype(np.uint8)
        return as_arrays(data.images, np.stack(list(data.labels.values()), 1), part, data.row_id)

    made = cache.load_or_make(f"synthetic attributes {VERSION}", arrays)
    origin = f"{len(made['labels']):,} drawn faces with drawn attributes, seed 0"
    return AttributeData.of(made, source="synthetic", origin=origin)


def _apportion(weights: np.ndarray, n: int) -> np.ndarray:
    """`n` split in proportion to `weights` into whole numbers, largest remainders first."""
    exact = weights * (n / weights.sum())
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: n - whole.sum()]] += 1
    return whole


def _faces(labels: np.ndarray, rng: np.random.Generator, attributes: np.ndarray | None = None) -> np.ndarray:
    """uint8 (len(labels), 48, 48): one face per label.

    attributes: (3, len(labels)): width of the head and darkness of the hair in fifths, and between them glasses or not;
    drawn at random and without glasses where not given.
    """
    n = len(labels)

    def normal(scale):
        return rng.normal(0, scale, (n, 1, 1)).astype(np.float32)

    def uniform(low, high):
        return rng.uniform(low, high, (n, 1, 1)).astype(np.float32)

    moves = np.array([EXPRESSIONS[emotion] for emotion in EMOTIONS], np.float32)[labels]
    moves = moves * rng.uniform(0.3, 1.3, (n, 1)) + rng.normal(0, 0.025, moves.shape)
    brow, slope, eye, corner, opening, width = moves.astype(np.float32).T[:, :, None, None]

    # Face coordinates: x to the right, y down, the face an ellipse about 1 high and 0.8 wide; tilted and shifted.
    axis = np.linspace(-1.25, 1.25, IMAGE_SIZE, dtype=np.float32)
    tilt, size = normal(0.12), uniform(0.9, 1.15)
    x0, y0 = (axis[None, None, :] - normal(0.07)) / size, (axis[None, :, None] - normal(0.07)) / size
    x, y = x0 * np.cos(tilt) + y0 * np.sin(tilt), y0 * np.cos(tilt) - x0 * np.sin(tilt)

    def paint(canvas, distance, grey, softness=0.06):
        """Lay `grey` over the canvas where `distance` (negative inside) says so, with a soft edge."""
        canvas += np.clip(0.5 - distance / softness, 0, 1) * (grey - canvas)

    skin = uniform(0.45, 0.85)
    canvas = np.broadcast_to(uniform(0.05, 0.95), (n, IMAGE_SIZE, IMAGE_SIZE)).astype(np.float32)
    hair_width, hair = uniform(0.72, 0.9), uniform(0.15, 0.6)
    face_width = uniform(0.68, 0.8)
    if attributes is not None:
        fifth_of_width, glasses, fifth_of_hair = attributes.astype(np.float32)[:, :, None, None]
        face_width = 0.5 + 0.1 * fifth_of_width + normal(0.02)
        hair_width, hair = face_width + 0.08, 0.1 + 0.2 * fifth_of_hair + normal(0.04)
    paint(canvas, np.hypot(x / hair_width, (y + 0.12) / 1.1) - 1, np.clip(skin * hair, 0, 1))
    paint(canvas, np.hypot(x / face_width, (y - 0.05) / 1.0) - 1, skin)
    dark = skin * uniform(0.15, 0.45)
    side = np.abs(x)  # both halves of the face at once
    spread, eye_line = uniform(0.27, 0.36), normal(0.03) - 0.2
    eye_height = np.clip(0.085 + eye, 0.015, None)
    eyes = np.hypot((side - spread) / 0.15, (y - eye_line) / eye_height) - 1
    paint(canvas, eyes * eye_height, np.clip(skin * 1.35, 0, 1))
    paint(canvas, np.maximum(np.hypot(side - spread, y - eye_line) - 0.075, eyes * eye_height), dark)
    brow_line = eye_line - 0.2 - brow + slope * (side - spread) / 0.18
    paint(canvas, np.maximum(np.abs(y - brow_line) - uniform(0.025, 0.05), np.abs(side - spread) - 0.19), dark)
    paint(canvas, np.maximum(side - 0.05, np.abs(y - 0.12) - 0.16), skin * 0.9, 0.15)  # nose
    if attributes is not None:
        rims = np.abs(np.hypot(side - spread, y - eye_line) - 0.2) - 0.02
        paint(canvas, np.where(glasses > 0, rims, 1), dark * 0.5)
    half_width = np.clip(0.27 + width, 0.08, None)
    along = np.clip(side / half_width, 0, 1.2)
    lips = 0.52 + normal(0.02) - corner * (along**2 - 0.4)
    gape = np.clip(0.03 + opening, 0.02, None) * np.sqrt(np.clip(1 - along**2, 0.02, 1))
    paint(canvas, np.maximum(np.abs(y - lips) - gape, side - half_width), dark * 0.8)

    light = 1 + normal(0.15) * x0 + normal(0.15) * y0
    canvas = canvas * light + rng.normal(0, 1, canvas.shape).astype(np.float32) * uniform(0.02, 0.12)
    return np.clip(canvas * 255, 0, 255).astype(np.uint8)
