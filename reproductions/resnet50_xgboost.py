"""ResNet50 features from several depths, classified by boosted trees: a paper that prints 99.19 % on FER2013.

Paper: Rajeshwari M and Krishna Prasad K, "Transforming Facial Expression Prediction: Amplifying Accuracy with ResNet50
Features and Innovated XG-Boost Algorithm", INFOCOMP 23(2), December 2024.
"""

from dataclasses import dataclass
from typing import Literal

from fer_common import experiment, splits
from fer_common.provenance import assumed, inferred

TAPS = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")


@dataclass(frozen=True)
class Extractor:
    """The ResNet50 trained on the expression labels before features are taken from it."""

    init: str = assumed("imagenet", "not printed; what a ResNet50 for feature extraction starts from as a rule")
    image_size: int = assumed(48, "resizing is named (Proposed methodology), the size is not; FER2013's own")
    epochs: int = assumed(10, "not printed; what two cores allow, about 4.5 minutes each")
    batch_size: int = assumed(64, "not printed")
    learning_rate: float = inferred(0.001, "3.1: adaptive learning instead of a fixed rate; AdamW's usual peak value")
    warmup: float = assumed(0.1, "not printed; this share of the steps before a cosine decay to zero")
    weight_decay: float = assumed(0.05, "not printed; decoupled (AdamW)")
    translation: float = assumed(0.08, "no augmentation is described; shifts of up to 4 pixels, and mirroring")
    precision: Literal["float32", "mixed_bfloat16"] = assumed("mixed_bfloat16", "not printed; for speed on a CPU")


SYSTEMS = {"extractor": Extractor()}

PROTOCOLS = {
    "official": lambda data, seed: splits.official(data),
}


def input_preprocessing(setup):
    """From grey pixels to the network: 0..1 for random weights, ResNet50's own BGR means for ImageNet's."""
    from fer_common import pipeline

    return pipeline.Preprocessing(size=setup.image_size, channels=3, scale=1 / 255)


def build_network(setup):
    """ResNet50 with a softmax over the seven classes: float32 (batch, size, size, 3) in, probabilities (batch, 7) out."""
    import keras

    size = (setup.image_size, setup.image_size, 3)
    base = keras.applications.ResNet50(include_top=False, weights=None, input_shape=size, pooling="avg")
    # Softmax in float32 under every precision, as Keras advises for bfloat16.
    outputs = keras.layers.Dense(7, activation="softmax", dtype="float32", name="expression")(base.output)
    return keras.Model(base.input, outputs)


def train_extractor(run: experiment.Run) -> None:
    """Fit ResNet50 on the expression labels with mirrored and shifted images, and predict all images without."""
    import keras
    from keras import layers

    from fer_common import pipeline

    setup, data = run.setup, run.data
    preprocessing = input_preprocessing(setup)
    network = build_network(setup)
    inputs = keras.Input(network.input_shape[1:])
    augmented = layers.RandomTranslation(
        setup.translation, setup.translation, fill_mode="nearest", seed=run.seed, dtype="float32"
    )(layers.RandomFlip("horizontal", seed=run.seed, dtype="float32")(inputs))
    model = keras.Model(inputs, network(augmented))
    steps_per_epoch = -(-len(run.rows("fit")) // setup.batch_size)
    warmup = round(setup.warmup * setup.epochs * steps_per_epoch)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=setup.epochs * steps_per_epoch - warmup,
        warmup_target=setup.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=setup.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    run.resume(model)
    batches, steps = pipeline.shuffled(
        data.images,
        data.labels,
        run.rows("fit"),
        batch_size=setup.batch_size,
        seed=run.seed,
        epochs=setup.epochs,
        first_epoch=run.first_epoch,
        preprocessing=preprocessing,
    )
    if not run.done(setup.epochs):
        selected = run.rows("select")
        model.fit(
            batches,
            steps_per_epoch=steps,
            shuffle=False,  # the batches are shuffled already
            epochs=setup.epochs,
            initial_epoch=run.first_epoch,
            validation_data=pipeline.in_order(
                data.images, data.labels, selected, batch_size=256, preprocessing=preprocessing
            )
            if len(selected)
            else None,
            callbacks=run.callbacks(),
            verbose=run.verbose,
        )
    everything = range(len(data))
    run.score(
        model, lambda: pipeline.in_order(data.images, None, everything, batch_size=256, preprocessing=preprocessing)
    )


def train(run: experiment.Run) -> None:
    train_extractor(run)


PAPER = experiment.Paper(
    id="resnet50_xgboost",
    description=__doc__,
    systems=SYSTEMS,
    protocols=PROTOCOLS,
    smoke={"init": "random", "epochs": 1},
    train=train,
)


def main(arguments: list[str] | None = None) -> None:
    experiment.command(PAPER, arguments)


if __name__ == "__main__":
    main()
