"""The systems of resnet50v2_vit: training per image, the 224-px pipeline against what the models take, and what
`--frozen` saves over five separate passes.

    python benchmarks/folds.py

Drawn faces, weights drawn at random. Each measurement runs in a process of its own; training is timed over STEPS steps
after a first one that compiles. Writes benchmarks/folds.json.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

STEPS, FACES, FITTED = 20, 1024, 23_254  # of 32,298 images: four fifths, less a tenth that watches

COMMON = """
import dataclasses, json, time
import numpy as np
from fer_common import features, pipeline
from fer_common.data import synthetic
from reproductions import resnet50v2_vit as script
pipeline.start(None)
import keras
setup = dataclasses.replace(script.PAPER.systems[system], **changes)
keras.config.set_dtype_policy(setup.precision)
faces = synthetic.draw(images)
preprocessing = script.preprocessing_of(setup)
def batches(epochs=1):
    return pipeline.shuffled(faces.images, faces.labels, np.arange(len(faces.images)), batch_size=setup.batch_size,
                             seed=0, epochs=epochs, preprocessing=preprocessing)[0]
"""
TRAIN = """
model = script.build_model(setup)
model.compile(script.build_optimizer(setup, 100), loss=setup.loss)
step = iter(batches(epochs=9))
model.train_on_batch(*next(step))
given = [next(step) for _ in range(steps)]
start = time.perf_counter()
for batch in given:
    model.train_on_batch(*batch)
found = steps * setup.batch_size / (time.perf_counter() - start)
"""
PIPELINE = """
for _ in zip(range(3), batches()):
    pass
start = time.perf_counter()
n = sum(len(batch) for batch, _ in batches())
found = n / (time.perf_counter() - start)
"""
FROZEN = """
backbone = script.build_backbone(setup)
features.extract(backbone, synthetic.draw(128, seed=9).images, preprocessing, "warm")
start = time.perf_counter()
features.extract(backbone, faces.images, preprocessing, "timed")
found = time.perf_counter() - start
"""
REPORT = """
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
print(json.dumps([found, peak]))
"""


def measured(code: str, system: str, images: int = FACES, **changes) -> tuple[float, int]:
    """(what `code` calls found, peak MiB), in a new process with an empty cache of its own."""
    given = f"system, images, steps, changes = {system!r}, {images}, {STEPS}, {changes!r}\n"
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", given + COMMON + code + REPORT],
            env=os.environ | {"FERREPRO_CACHE": cache},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(done.stderr)
    found, peak = json.loads(done.stdout.splitlines()[-1])
    return found, peak


def main() -> None:
    fast = {"init": "random", "precision": "mixed_bfloat16"}
    training = {}
    for name, system, changes in (
        ("resnet50v2, 48 px", "resnet50v2", fast | {"image_size": 48}),
        ("vit_8_heads, 48 px", "vit_8_heads", fast | {"image_size": 48}),
        ("resnet50v2, 224 px", "resnet50v2", fast),
        ("vit_8_heads, 224 px", "vit_8_heads", fast),
        ("alexnet", "alexnet", {}),
        ("vit_small", "vit_small", {}),
    ):
        speed, peak = measured(TRAIN, system, **changes)
        training[name] = {"images_per_second": round(speed, 1), "seconds_per_epoch": round(FITTED / speed)}
        training[name]["peak_mib"] = peak
        print(name, training[name])
    pipeline, _ = measured(PIPELINE, "resnet50v2", init="random")
    extraction, _ = measured(FROZEN, "resnet50v2_frozen", init="random", image_size=48)
    result = {
        "cores": len(os.sched_getaffinity(0)),
        "fitted": FITTED,
        "training": training,
        "pipeline_224_px_images_per_second": round(pipeline),
        "extraction_48_px_images_per_second": round(FACES / extraction),
        "seconds_of_one_pass": round(extraction * 35_887 / FACES),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
