"""A paper outside the suite, as somebody else would write one: what sweeps are tested with."""

import time
from dataclasses import dataclass

from fer_common import experiment
from fer_common.protocols import PROTOCOLS
from fer_common.provenance import assumed


@dataclass(frozen=True)
class Setup:
    """A linear layer, trained as slowly as a test needs it."""

    epochs: int = assumed(4, "enough to be killed within")
    pause: float = assumed(0.0, "seconds that an epoch takes longer")
    init: str = assumed("random", "not printed")


@dataclass(frozen=True)
class Broken(Setup):
    """It ends in an error of its own."""


@dataclass(frozen=True)
class Later(Setup):
    """It begins as a linear layer that was trained before."""


def train(run: experiment.Run) -> None:
    import keras

    if isinstance(run.setup, Broken):
        raise RuntimeError("this network cannot be trained")
    if isinstance(run.setup, Later):
        run.record.details["begins_as"] = run.other("linear").name
    model = keras.Sequential(
        [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
    )
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    wait = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: time.sleep(run.setup.pause))
    arguments = run.fit_arguments(
        model, run.data.images, run.data.labels, epochs=run.setup.epochs, batch_size=64, callbacks=[wait]
    )
    if arguments:
        model.fit(**arguments)
    run.score(model, run.data.images)


PAPER = experiment.Paper(
    id="own_paper",
    description=__doc__,
    systems={"linear": Setup(), "broken": Broken(), "later": Later()},
    protocols={"official": PROTOCOLS["official"], "folds": PROTOCOLS["folds_pooled"]},
    smoke={},
    train=train,
    needs=lambda system, setup, protocol: (experiment.Needed("linear"),) if system == "later" else (),
)
