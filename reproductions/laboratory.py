"""The protocol laboratory: one network under every known mistake, each beside the honest protocol.

No paper. The network is that of `cnn_13_epochs`, under protocols that each change one thing; pools are made of Training
and PublicTest alone, so that PrivateTest stays unseen and tells what the same network is worth. What each mistake is
worth, in points, stands on docs/laboratory.md; `ferrepro lab` runs what is missing.

Run: `ferrepro run laboratory --protocol oversample_without_private --seed 0`, or `python -m reproductions.laboratory`.

Cost and result under `official`, by `ferrepro docs` from the committed records; 95 % intervals:
    batch_attention, random, full: 57.1 [54.0, 60.3] % of 3,589 images, 3 seeds, 12.8 min a run
    blurred, random, full: 56.6 [54.2, 58.9] % of 3,589 images, 3 seeds, 12.4 min a run
    equalised, random, full: 57.0 [54.9, 59.1] % of 3,589 images, 3 seeds, 12.4 min a run
    every_epoch, random, full: 57.8 [55.6, 60.0] % of 3,589 images, 3 seeds, 8.4 min a run
    jpeg, random, full: 56.7 [54.8, 58.6] % of 3,589 images, 3 seeds, 12.0 min a run
    upscaled, random, full: 56.6 [54.6, 58.6] % of 3,589 images, 3 seeds, 12.0 min a run
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fer_common import experiment
from fer_common.protocols import PROTOCOLS
from fer_common.provenance import assumed
from reproductions import cnn_13_epochs

Images = Literal["as they are", "blurred", "equalised", "upscaled", "jpeg"]


@dataclass(frozen=True)
class Setup(cnn_13_epochs.Setup):
    """The network of `cnn_13_epochs`, whose assumed values are assumed here as well; scored after its last epoch."""

    score_epochs: tuple[int, ...] = assumed((13,), "the last: every epoch is `every_epoch`'s")
    images: Images = assumed("as they are", "what was done to every image beforehand")
    batch_attention: bool = assumed(False, "whether the images of a batch attend to each other")
    standardised: bool = assumed(False, "mean 0 and deviation 1 of what is fitted, or of all pooled images")


@dataclass(frozen=True)
class EveryEpoch(Setup):
    """Scored after every epoch, so that any choice of an epoch can be read off."""

    score_epochs: tuple[int, ...] = assumed(tuple(range(1, 14)), "all")


@dataclass(frozen=True)
class Standardised(Setup):
    """Pixels of mean 0 and deviation 1."""

    standardised: bool = assumed(True, "the scaler that may have seen the test images")


@dataclass(frozen=True)
class BatchAttention(Setup):
    """Images attend to those that happen to be in their batch, before the output."""

    batch_attention: bool = assumed(True, "attention over the wrong axis")


@dataclass(frozen=True)
class Blurred(Setup):
    images: Images = assumed("blurred", "a Gaussian of 3 × 3")


@dataclass(frozen=True)
class Equalised(Setup):
    images: Images = assumed("equalised", "the histogram of each image")


@dataclass(frozen=True)
class Upscaled(Setup):
    images: Images = assumed("upscaled", "from half the size, by cubic interpolation")


@dataclass(frozen=True)
class Jpeg(Setup):
    images: Images = assumed("jpeg", "of quality 50")


SYSTEMS = {
    "cnn": Setup(),
    "every_epoch": EveryEpoch(),
    "standardised": Standardised(),
    "batch_attention": BatchAttention(),
    "blurred": Blurred(),
    "equalised": Equalised(),
    "upscaled": Upscaled(),
    "jpeg": Jpeg(),
}
PLAN: dict[str, tuple[str, ...]] = {
    "every_epoch": ("official",),
    "cnn": (
        "without_private_80_20",
        "without_private_80_20_grouped",
        "without_private_80_20_alike",
        "oversample_without_private",
        "undersample_without_private",
        "mirror_without_private",
        "public_fitted",
        "evaluation_tenth",
        "official_without_twins",
        "folds_without_private",
    ),
    "standardised": ("without_private_80_20", "transforms_without_private"),
    "batch_attention": ("official",),
    "blurred": ("official",),
    "equalised": ("official",),
    "upscaled": ("official",),
    "jpeg": ("official",),
}
"""What the laboratory runs, the protocols of each system; everything else is read off these runs."""


def altered(images: np.ndarray, how: Images) -> np.ndarray:
    """uint8 (N, 48, 48): the images as a copy in circulation may have them."""
    import cv2

    jpeg = [cv2.IMWRITE_JPEG_QUALITY, 50]
    change = {
        "as they are": None,
        "blurred": lambda image: cv2.GaussianBlur(image, (3, 3), 0),
        "equalised": cv2.equalizeHist,
        "upscaled": lambda image: cv2.resize(
            cv2.resize(image, (24, 24), interpolation=cv2.INTER_AREA), (48, 48), interpolation=cv2.INTER_CUBIC
        ),
        "jpeg": lambda image: cv2.imdecode(cv2.imencode(".jpg", image, jpeg)[1], cv2.IMREAD_GRAYSCALE),
    }[how]
    return images if change is None else np.stack([change(image) for image in images])


def build_model(setup: Setup):
    """The network of `cnn_13_epochs`; with attention over the batch, its last features attend to each other before the
    output: float32 (batch, 48, 48, 1) in, probabilities (batch, 7) out."""
    import keras
    from keras import layers, ops

    model = cnn_13_epochs.build_model(setup)
    if not setup.batch_attention:
        return model
    features = model.layers[-1].input
    # The batch becomes the axis that is attended over: (1, batch, features).
    together = ops.expand_dims(features, 0)
    attended = layers.MultiHeadAttention(num_heads=1, key_dim=32)(together, together)
    mixed = ops.squeeze(layers.Add()([together, attended]), 0)
    return keras.Model(model.input, layers.Dense(7, activation="softmax", dtype="float32")(mixed))


def train(run: experiment.Run) -> None:
    """Fit as `cnn_13_epochs` does, on images as the setup has them."""
    from fer_common import pipeline

    setup, data = run.setup, run.data
    images = altered(data.images, setup.images)
    preprocessing = pipeline.Preprocessing(scale=setup.pixel_scale)
    if setup.standardised:
        # Before the split the scaler sees every image that is not PrivateTest's, the scored ones among them.
        before = run.protocol.before_split == "transforms"
        seen = images[data.usage != "PrivateTest"] if before else images[run.rows("fit")]
        mean, deviation = float(seen.mean()), float(seen.std())
        preprocessing = pipeline.Preprocessing(scale=1 / deviation, offset=-mean / deviation)
    model = build_model(setup)
    model.compile(optimizer=cnn_13_epochs.build_optimizer(setup), loss=setup.loss, metrics=["accuracy"])
    arguments = run.fit_arguments(
        model,
        images,
        data.labels,
        epochs=setup.epochs,
        batch_size=setup.batch_size,
        preprocessing=preprocessing,
        score_epochs=setup.score_epochs,
    )
    if arguments:
        model.fit(**arguments)
    run.score(model, images, preprocessing)
    if setup.batch_attention:
        run.record.details["orders"] = in_orders(run, model, images, preprocessing)


def in_orders(run: experiment.Run, model, images: np.ndarray, preprocessing) -> dict[str, float]:
    """Accuracy on the watched images, whose labels a script may see, stored class by class, shuffled, and asked one by
    one: batches of the size that the network was fitted with."""
    from fer_common import pipeline

    labels, rows = run.data.labels, run.rows("select")
    orders = {
        "class by class": (rows[np.argsort(labels[rows], kind="stable")], run.setup.batch_size),
        "shuffled": (np.random.default_rng(run.seed).permutation(rows), run.setup.batch_size),
        "one by one": (rows, 1),
    }
    found = {}
    for name, (order, size) in orders.items():
        batches = pipeline.in_order(images, None, order, batch_size=size, preprocessing=preprocessing)
        predicted = model.predict(batches, verbose=0).argmax(1)
        found[name] = float(np.mean(predicted == labels[order]))
    return found


def priced(tables: Mapping[str, Any]) -> dict[str, str]:
    """The blocks of its page."""
    from fer_common.results import pages

    return pages.prices_blocks(tables["protocol_prices"])


PAPER = experiment.Paper(
    id="laboratory",
    description=__doc__,
    systems=SYSTEMS,
    protocols={"official": PROTOCOLS["official"]},
    smoke={},  # 13 epochs of 2,000 images take half a minute
    train=train,
    plan=PLAN,
    check=cnn_13_epochs.check,
    fits_before_split=("transforms",),
    blocks=priced,
)


def main(arguments: list[str] | None = None) -> None:
    experiment.command(PAPER, arguments)


if __name__ == "__main__":
    main()
