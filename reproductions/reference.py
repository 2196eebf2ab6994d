"""An honest network of our own: what a single network gives on this pipeline, the line beside which claims are drawn.

No paper. Convolutions from random weights at 48 px, fitted on Training, PublicTest alone watched, and PrivateTest
scored once, after the last epoch. What was tried stands on its page, docs/reference.md.

Run: `ferrepro run reference --system small --seed 0`, or `python -m reproductions.reference --system small --seed 0`.
`small_flip` asks the same network about each image and its mirror image, and takes the mean.

Cost and result under `official`, by `ferrepro docs` from the committed records; 95 % intervals:
    large, random, full: 71.1 [66.9, 75.3] % of 3,589 images, 2 seeds, 2.1 min a run on gpu:0
    large_flip, random, full: 72.1 [70.3, 73.9] % of 3,589 images, 2 seeds
    small, random, full: 70.3 [68.4, 72.2] % of 3,589 images, 3 seeds, 71.9 min a run
    small_flip, random, full: 70.9 [69.4, 72.5] % of 3,589 images, 3 seeds
"""

from dataclasses import dataclass

import numpy as np

from fer_common import UserError, experiment
from fer_common.protocols import PROTOCOLS
from fer_common.provenance import assumed


@dataclass(frozen=True)
class Small:
    """1.2 million weights, for about an hour on two cores."""

    filters: tuple[int, ...] = assumed((32, 64, 128, 256), "of the stages, each of two 3 × 3 convolutions")
    spatial_dropout: float = assumed(0.0, "after each stage but the last")
    dropout: float = assumed(0.2, "before the last layer")
    rotation: float = assumed(10, "degrees, to either side")
    shift: float = assumed(0.1, "of width and height, to either side")
    zoom: float = assumed(0.1, "of width and height, to either side")
    batch_size: int = assumed(128, "usual")
    epochs: int = assumed(60, "about an hour on two cores")
    learning_rate: float = assumed(0.1, "at its peak; SGD with Nesterov's momentum, as for residual networks on CIFAR")
    warmup_epochs: int = assumed(3, "in which the rate rises from 0; then it follows a cosine to 0")
    momentum: float = assumed(0.9, "usual")
    weight_decay: float = assumed(5e-3, "of kernels, times the rate: at momentum .9 what a penalty of 5e-4 is")
    label_smoothing: float = assumed(0.1, "usual; the labels are noisy")
    precision: str = assumed("mixed_bfloat16", "for speed")


@dataclass(frozen=True)
class Large(Small):
    """Twice as wide, for two and a half hours on two cores."""

    filters: tuple[int, ...] = assumed((64, 128, 256, 512), "twice those of `small`")
    epochs: int = assumed(60, "as many as `small` has; two and a half hours on two cores")


@dataclass(frozen=True)
class SmallFlip(Small):
    """The network of `small`, asked about each image and its mirror image."""


@dataclass(frozen=True)
class LargeFlip(Large):
    """The network of `large`, asked about each image and its mirror image."""


SYSTEMS = {"small": Small(), "small_flip": SmallFlip(), "large": Large(), "large_flip": LargeFlip()}


def build_model(setup: Small):
    """The network: float32 (batch, 48, 48, 1) from −1 to 1 in, probabilities (batch, 7) out."""
    import keras
    from keras import layers

    inputs = x = keras.Input((48, 48, 1))
    for stage, filters in enumerate(setup.filters):
        if stage:
            x = layers.SpatialDropout2D(setup.spatial_dropout)(layers.MaxPooling2D(2)(x))
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(setup.dropout)(layers.GlobalAveragePooling2D()(x))
    # Softmax in float32 under every precision, as Keras advises for bfloat16.
    return keras.Model(inputs, layers.Dense(7, activation="softmax", dtype="float32")(x))


def build_optimizer(setup: Small, steps_per_epoch: int):
    """SGD whose rate warms up and then falls along a cosine to 0; normalisation and biases do not decay."""
    from keras import optimizers

    warmup, steps = setup.warmup_epochs * steps_per_epoch, setup.epochs * steps_per_epoch
    rate = optimizers.schedules.CosineDecay(0.0, steps - warmup, warmup_target=setup.learning_rate, warmup_steps=warmup)
    optimizer = optimizers.SGD(rate, setup.momentum, nesterov=True, weight_decay=setup.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def smoothed(amount: float):
    """Cross-entropy of labels (batch,) of which `amount` is spread over all classes (Szegedy et al. 2016)."""
    import keras

    def loss(labels, probabilities):
        labels = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), 7)
        return keras.losses.categorical_crossentropy(labels, probabilities, label_smoothing=amount)

    return loss


def train(run: experiment.Run) -> None:
    """Fit for all epochs, then predict all images with the last weights: nothing but the setup is selected."""
    from keras import metrics

    from fer_common import pipeline
    from fer_common.augmentation import Augmentation

    setup, data = run.setup, run.data
    preprocessing = pipeline.Preprocessing(scale=1 / 127.5, offset=-1.0)
    if isinstance(setup, SmallFlip | LargeFlip):
        score_flipped(run, preprocessing)
        return
    run.keep_model = True  # for the system of the same name with `_flip`
    model = build_model(setup)
    model.compile(
        optimizer=build_optimizer(setup, -(-len(run.rows("fit")) // setup.batch_size)),
        loss=smoothed(setup.label_smoothing),
        metrics=[metrics.SparseCategoricalAccuracy("accuracy")],
    )
    arguments = run.fit_arguments(
        model,
        data.images,
        data.labels,
        epochs=setup.epochs,
        batch_size=setup.batch_size,
        preprocessing=preprocessing,
        augmentation=Augmentation(setup.rotation, setup.shift, setup.zoom, flip="alternate"),
    )
    if arguments:
        model.fit(**arguments)
    run.score(model, data.images, preprocessing)


def score_flipped(run: experiment.Run, preprocessing) -> None:
    """The mean of what the network of the same seed says of each image and of its mirror image."""
    import keras

    from fer_common import pipeline

    system, images = run.record.system.removesuffix("_flip"), run.data.images
    if run.record.changes:
        raise UserError(f"{run.record.system} asks the network of {system} as it is; nothing of it can be changed.")
    folder = run.other(system)
    if not (folder / "model.keras").is_file():
        raise UserError(
            f"{folder} has no model.keras, which this system asks; make it by repeating this command with --system "
            f"{system} --again."
        )
    model = keras.models.load_model(folder / "model.keras", compile=False)
    run.record.parameters = int(model.count_params())
    run.note("flip test-time augmentation")

    def ask(images: np.ndarray) -> np.ndarray:
        every = pipeline.in_order(images, None, range(len(images)), batch_size=256, preprocessing=preprocessing)
        return model.predict(every, verbose=0)

    run.keep({run.setup.epochs: (ask(images) + ask(images[:, :, ::-1])) / 2})


PAPER = experiment.Paper(
    id="reference",
    description=__doc__,
    systems=SYSTEMS,
    protocols={"official": PROTOCOLS["official"]},
    smoke={"filters": (8, 16, 32, 64), "epochs": 2, "warmup_epochs": 1},
    train=train,
    needs=lambda system, setup, protocol: (
        (experiment.Needed(system.removesuffix("_flip")),) if system.endswith("_flip") else ()
    ),
)


def main(arguments: list[str] | None = None) -> None:
    experiment.command(PAPER, arguments)


if __name__ == "__main__":
    main()
