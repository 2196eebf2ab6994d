"""One budget of tuning for every network of multitask_lightweight: each learning rate for a few epochs, on real images.

    python benchmarks/learning_rates.py

Needs FER2013 and UTKFace (variables FER2013 and UTKFACE). Scores on the selection images alone (PublicTest, UTKFace's
validation part): the mean over a network's tasks of the accuracy. Writes benchmarks/learning_rates.json after every
rate, and runs what is not in it, or was of another network.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np

RATES, EPOCHS, SEED = (0.0005, 0.0015, 0.0045, 0.0135), 2, 0


def tried(script, setup, sources) -> float:
    """Mean accuracy over the tasks on the selection images, after EPOCHS."""
    import keras

    from fer_common import pipeline

    keras.utils.clear_session()
    keras.config.set_dtype_policy(setup.precision)
    keras.utils.set_random_seed(SEED)
    rows = sources.rows("fit")
    batches, steps = pipeline.shuffled(
        sources.images, sources.labels, rows, batch_size=setup.batch_size, seed=SEED, epochs=EPOCHS
    )
    network = script.build_network(setup)
    training = script.build_training(setup, network)
    training.compile(script.build_optimizer(setup, setup.learning_rate, EPOCHS * steps), jit_compile=False)
    training.fit(batches, steps_per_epoch=steps, shuffle=False, epochs=EPOCHS, verbose=0)
    watched = sources.rows("select")
    predicted = network.predict(sources.in_order(watched), verbose=0)
    return float(np.mean(list(script.accuracies(setup.tasks, sources.labels[watched], predicted).values())))


def main() -> None:
    from fer_common import data, pipeline, splits
    from fer_common.data import utkface
    from reproductions import multitask_lightweight as script

    pipeline.start(None)
    path = Path(__file__).with_suffix(".json")
    found = json.loads(path.read_text()) if path.exists() else {}
    faces, attributes = data.load(), utkface.load().withheld()
    role = splits.official(faces)
    faces = dataclasses.replace(faces, labels=np.where(role == "score", data.WITHHELD, faces.labels).astype(np.uint8))
    for system, setup in script.PAPER.systems.items():
        if not system.startswith(("multitask", "singletask")):
            continue
        tried_as = {k: v for k, v in dataclasses.asdict(setup).items() if k not in ("learning_rate", "epochs")}
        tried_as = json.loads(json.dumps(tried_as | {"epochs": EPOCHS, "seed": SEED}))
        if found.get(system, {}).get("setup") != tried_as:
            found[system] = {"setup": tried_as, "select_accuracy": {}}
        accuracy = found[system]["select_accuracy"]
        sources = script.Sources.of(faces, role, attributes, setup.tasks)
        for rate in map(str, RATES):
            if rate not in accuracy:
                accuracy[rate] = round(tried(script, dataclasses.replace(setup, learning_rate=float(rate)), sources), 4)
                path.write_text(json.dumps(found, indent=1) + "\n")
        print(system, accuracy, flush=True)


if __name__ == "__main__":
    main()
