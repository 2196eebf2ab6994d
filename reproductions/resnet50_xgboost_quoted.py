"""The systems that the paper on ResNet50 and boosted trees only quotes beside its own; `resnet50_xgboost` runs them.

It prints numbers for them in its Tables 1, 3 and 4 and hardly a detail: small networks behind a denoising filter
(FERConvNet), two structurally similar networks (DCNN), and fusions of their predictions (EmNet). All of them are our
construction, which the setups below spell out.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fer_common import experiment
from fer_common.provenance import assumed, inferred, stated

Filter = Literal["none", "gaussian", "bilateral", "nonlocal_means", "hybrid"]


@dataclass(frozen=True)
class SmallCnn:
    """Ours, for systems that the paper quotes without details: three convolutions behind an image filter."""

    denoise: Filter = assumed("none", "the filter is what a system is named for; OpenCV, settings in `filtered`")
    kernel_size: int = assumed(3, "not printed")
    filters: tuple[int, ...] = assumed((16, 32, 64), "not printed; sized for two cores")
    dense_width: int = assumed(128, "not printed")
    dropout: float = assumed(0.0, "not printed; Table 3's train accuracy of 0.98 beside a test accuracy near 0.6")
    optimizer: Literal["adam", "sgd"] = assumed("adam", "not printed")
    learning_rate: float = assumed(0.001, "not printed; Adam's default")
    epochs: int = assumed(15, "not printed; a usual length for three convolutions")
    batch_size: int = assumed(64, "not printed")


@dataclass(frozen=True)
class Gaussian(SmallCnn):
    denoise: Filter = stated("gaussian", "Table 3; 3 × 3, sigma from it, assumed")


@dataclass(frozen=True)
class Bilateral(SmallCnn):
    denoise: Filter = stated("bilateral", "Table 3; diameter 5, sigmas 50, assumed")


@dataclass(frozen=True)
class NonlocalMeans(SmallCnn):
    denoise: Filter = stated("nonlocal_means", "Table 3; strength 10, patches 7 × 7, search 21 × 21, assumed")


@dataclass(frozen=True)
class Hybrid(SmallCnn):
    denoise: Filter = inferred("hybrid", "Table 3: HDM, a hybrid denoising method; the three one after another")


@dataclass(frozen=True)
class Dcnn1(SmallCnn):
    """First of two structurally similar networks."""

    dropout: float = assumed(0.25, "not printed; 0.5, tried first without the normalised layer, underfitted")


@dataclass(frozen=True)
class Dcnn2(Dcnn1):
    """Second of two structurally similar networks: kernels of 5 × 5."""

    kernel_size: int = assumed(5, "Table 1: a second, similar network; how it differs is not printed")


@dataclass(frozen=True)
class Dcnn1Sgd(Dcnn1):
    optimizer: Literal["adam", "sgd"] = stated("sgd", "Table 4")
    learning_rate: float = assumed(0.01, "not printed; with momentum 0.9")


@dataclass(frozen=True)
class Dcnn2Sgd(Dcnn2):
    optimizer: Literal["adam", "sgd"] = stated("sgd", "Table 4")
    learning_rate: float = assumed(0.01, "not printed; with momentum 0.9")


@dataclass(frozen=True)
class Fusion:
    """The predictions of two networks made into one."""

    members: tuple[str, str] = inferred(("dcnn_1", "dcnn_2"), "Table 1: EmNet beside DCNN models 1 and 2")
    rule: Literal["average", "weighted_maximum"] = stated("average", "Table 1")


@dataclass(frozen=True)
class WeightedMaximum(Fusion):
    rule: Literal["average", "weighted_maximum"] = stated(
        "weighted_maximum", "Table 1; the weights, accuracies on the selection rows, are assumed"
    )


@dataclass(frozen=True)
class WeightedMaximumSgd(WeightedMaximum):
    members: tuple[str, str] = inferred(("dcnn_1_sgd", "dcnn_2_sgd"), "Table 4: the weighted maximum under SGD")


QUOTED = {
    "ferconvnet": SmallCnn(),
    "ferconvnet_gaussian": Gaussian(),
    "ferconvnet_bilateral": Bilateral(),
    "ferconvnet_nonlocal_means": NonlocalMeans(),
    "ferconvnet_hdm": Hybrid(),
    "dcnn_1": Dcnn1(),
    "dcnn_2": Dcnn2(),
    "dcnn_1_sgd": Dcnn1Sgd(),
    "dcnn_2_sgd": Dcnn2Sgd(),
    "emnet_average": Fusion(),
    "emnet_weighted_maximum": WeightedMaximum(),
    "emnet_weighted_maximum_sgd": WeightedMaximumSgd(),
}


def train_small_cnn(run: experiment.Run) -> None:
    """Fit three convolutions on filtered images, and predict all images."""
    import keras
    from keras import layers, optimizers

    setup = run.setup
    inputs = x = keras.Input((48, 48, 1))
    for filters in setup.filters:
        x = layers.Conv2D(filters, setup.kernel_size, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.ReLU()(x)
        x = layers.MaxPooling2D()(x)
    # Normalised too: without it, the first try, the rectifiers of this layer died under Adam in one network.
    x = layers.Dense(setup.dense_width, use_bias=False)(layers.Flatten()(x))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dropout(setup.dropout)(x)
    model = keras.Model(inputs, layers.Dense(7, activation="softmax")(x))
    optimizer = optimizers.Adam(setup.learning_rate)
    if setup.optimizer == "sgd":
        optimizer = optimizers.SGD(setup.learning_rate, momentum=0.9)
    images = filtered(run.data.images, "none", setup.denoise)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    arguments = run.fit_arguments(model, images, run.data.labels, epochs=setup.epochs, batch_size=setup.batch_size)
    if arguments:
        model.fit(**arguments)
    run.score(model, images)


def fuse(run: experiment.Run) -> None:
    """One prediction out of two networks': their mean, or per class the larger one, each weighted by its accuracy."""
    from fer_common import records

    setup = run.setup
    members = [records.read(run.other(name))[2].probabilities[-1].astype(np.float64) for name in setup.members]
    selected = run.rows("select")
    weights = [np.mean(member[selected].argmax(1) == run.data.labels[selected]) for member in members]
    if setup.rule == "average":
        fused = np.mean(members, axis=0)
    else:
        fused = np.max([weight * member for weight, member in zip(weights, members)], axis=0)
        fused /= fused.sum(1, keepdims=True)
    run.record.details["accuracies_on_select"] = dict(zip(setup.members, map(float, weights)))
    accuracy = float(np.mean(fused[selected].argmax(1) == run.data.labels[selected]))
    run.history.append({"epoch": 1, "select_accuracy": accuracy, "seconds": 0.0})
    run.keep({1: fused})


def filtered(images: np.ndarray, contrast: str, denoise: str) -> np.ndarray:
    """uint8 (N, 48, 48) after a contrast adjustment and a denoising filter of OpenCV."""
    import cv2

    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4))
    adjust = {"none": None, "equalise": cv2.equalizeHist, "clahe": clahe.apply}[contrast]
    gaussian, bilateral, nonlocal_means = (
        lambda image: cv2.GaussianBlur(image, (3, 3), 0),
        lambda image: cv2.bilateralFilter(image, 5, 50, 50),
        lambda image: cv2.fastNlMeansDenoising(image, h=10, templateWindowSize=7, searchWindowSize=21),
    )
    steps = {
        "none": [],
        "gaussian": [gaussian],
        "bilateral": [bilateral],
        "nonlocal_means": [nonlocal_means],
        "hybrid": [gaussian, bilateral, nonlocal_means],
    }[denoise]
    steps = ([adjust] if adjust else []) + steps
    if not steps:
        return images
    found = np.array(images, np.uint8, order="C")
    for image in found:
        for step in steps:
            image[:] = step(image)
    return found
