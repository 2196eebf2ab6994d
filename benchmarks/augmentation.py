"""Augmentation by OpenCV in the pipeline against Keras's random layers in the network, in steps of real training.

    python benchmarks/augmentation.py

Two networks, the reference and mini-Xception, each fed without augmentation, with ours, and with Keras's layers of the
same ranges. Every variant lives in a process of its own that waits while another one works; they take turns, three
rounds after a warm-up. Writes benchmarks/augmentation.json.
"""

import json
import multiprocessing
import os
import statistics
import time
from pathlib import Path

ROUNDS, STEPS = 3, {"small": 16, "mini_xception": 64}
WAYS = ("none", "ferrepro", "Keras's random layers")


def worker(pipe, system: str, way: str) -> None:
    """Runs steps through `fit` whenever told to; answers with milliseconds a step."""
    from fer_common import pipeline
    from fer_common.augmentation import Augmentation
    from fer_common.data import synthetic
    from reproductions import mini_xception, reference

    pipeline.start(None)
    import keras
    from keras import layers

    script = reference if system == "small" else mini_xception
    setup = script.PAPER.systems[system]
    keras.config.set_dtype_policy(getattr(setup, "precision", "float32"))
    size, steps = getattr(setup, "image_size", 48), STEPS[system]
    faces = synthetic.draw(setup.batch_size * steps)
    model = network = script.build_model(setup)
    if way == WAYS[2]:
        random = [
            layers.RandomRotation(setup.rotation / 360, "nearest", dtype="float32"),
            layers.RandomTranslation(setup.shift, setup.shift, "nearest", dtype="float32"),
            layers.RandomZoom(setup.zoom, setup.zoom, "nearest", dtype="float32"),
            layers.RandomFlip("horizontal", dtype="float32"),
        ]
        model = keras.Sequential([keras.Input((size, size, 1)), *random, network])
    model.compile("adam", "sparse_categorical_crossentropy")
    batches, _ = pipeline.shuffled(
        faces.images,
        faces.labels,
        range(len(faces)),
        batch_size=setup.batch_size,
        seed=0,
        epochs=ROUNDS + 1,
        preprocessing=pipeline.Preprocessing(size, scale=1 / 127.5, offset=-1.0),
        augmentation=Augmentation(setup.rotation, setup.shift, setup.zoom, "random") if way == WAYS[1] else None,
    )

    class Turns(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            pipe.recv()
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            pipe.send(1000 * (time.perf_counter() - self.start) / steps)

    model.fit(batches, steps_per_epoch=steps, epochs=ROUNDS + 1, shuffle=False, verbose=0, callbacks=[Turns()])


def main() -> None:
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for system in STEPS:
        for way in WAYS:
            pipes[system, way], theirs = context.Pipe()
            context.Process(target=worker, args=(theirs, system, way), daemon=True).start()
    spent = {key: [] for key in pipes}
    for number in range(ROUNDS + 1):
        for key, pipe in pipes.items():
            pipe.send(None)
            took = pipe.recv()
            if number:
                spent[key].append(took)
    found = {system: {way: round(statistics.median(spent[system, way]), 1) for way in WAYS} for system in STEPS}
    result = {"cores": len(os.sched_getaffinity(0)), "ms_per_step": found}
    print(json.dumps(result, indent=1))
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
