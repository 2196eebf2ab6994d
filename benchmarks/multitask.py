"""What the light and the heavy network of multitask_lightweight cost: size, multiply-adds, latency, training.

    python benchmarks/multitask.py

Weights and images drawn at random. Latency: one image at a time through LiteRT on one thread, the median of many;
Keras's `predict` of the same network beside it. Throughput: batches of 64 through Keras on all cores, each network in
the precision that it is trained in. Each runs in a process of its own. Writes benchmarks/multitask.json.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

STEPS, IMAGES = 60, 400

CODE = """
import json, tempfile, time
from pathlib import Path
import numpy as np
from fer_common import export, pipeline
from reproductions import multitask_lightweight as script
pipeline.start(None)
import keras
setup = script.SYSTEMS[system]
network = script.build_network(setup)  # in float32, which LiteRT takes
rng = np.random.default_rng(0)
faces = rng.random((64, 48, 48, 1), np.float32)

def median(each):
    stamps = []
    def stamped():
        for n in range(images + 20):
            stamps.append(time.perf_counter())
            yield faces[n % 64][None]
    each(stamped())
    return 1000 * float(np.median(np.diff(stamps)[20:]))

found = {"parameters": network.count_params(), "multiply_adds": export.multiply_adds(network)}
found["keras_predict_ms"] = median(lambda batches: [network.predict(batch, verbose=0) for batch in batches])
with tempfile.TemporaryDirectory() as folder:
    for kind, given in (("float32", None), ("int8", rng.random((200, 48, 48, 1), np.float32))):
        path = Path(folder) / f"{kind}.tflite"
        export.to_litert(network, path, representative=given)
        found[kind] = {"file_bytes": path.stat().st_size}
        found[kind]["latency_ms"] = median(lambda batches: export.predict(path, batches))
keras.config.set_dtype_policy(setup.precision)
network = script.build_network(setup)
def rate(step):
    step()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return round(64 * steps / (time.perf_counter() - start))
found["images_per_second"] = rate(lambda: network.predict_on_batch(faces))
labels = np.stack([rng.integers(0, len(script.TASKS[task]), 64) for task in setup.tasks], 1)
training = script.build_training(setup, network)
training.compile(script.build_optimizer(setup, setup.learning_rate, 1000), jit_compile=False)
found["training_images_per_second"] = rate(lambda: training.train_on_batch(faces, labels))
print(json.dumps(found))
"""


def main() -> None:
    result = {"cores": len(os.sched_getaffinity(0)), "networks": {}}
    for system in ("multitask_light", "multitask_heavy", "singletask_heavy_expression"):
        given = f"system, steps, images = {system!r}, {STEPS}, {IMAGES}\n"
        done = subprocess.run([sys.executable, "-c", given + CODE], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        result["networks"][system] = json.loads(done.stdout.splitlines()[-1])
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
