"""What every network of multitask_lightweight costs at inference: size, multiply-adds, latency, throughput.

    python benchmarks/multitask.py

Weights, statistics of the normalisation and images are drawn at random. Latency: one image at a time through LiteRT on
one thread, the median of many; Keras's `predict` of the same network beside it. Throughput: batches of 64 through Keras
on all cores, each network in the precision that it is trained in. Each runs in a process of its own. What training
costs is in the records. Writes benchmarks/multitask.json.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

STEPS, IMAGES = 60, 200

CODE = """
import json, tempfile, time
from pathlib import Path
import numpy as np
from fer_common import export, pipeline
from reproductions import multitask_lightweight as script
pipeline.start(None)
import keras
setup = script.PAPER.systems[system]
network = script.build_network(setup)  # in float32, which LiteRT takes
rng = np.random.default_rng(0)
for variable in network.variables:  # as they are when new, a converter leaves some of them out
    if variable.name in ("beta", "moving_mean"):
        variable.assign(rng.normal(0, 0.1, variable.shape))
    elif variable.name in ("gamma", "moving_variance", "bias"):
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
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
network.predict_on_batch(faces)
start = time.perf_counter()
for _ in range(steps):
    network.predict_on_batch(faces)
found["images_per_second"] = round(64 * steps / (time.perf_counter() - start))
print(json.dumps(found))
"""


def main() -> None:
    from reproductions.multitask_lightweight import PAPER

    result = {"cores": len(os.sched_getaffinity(0)), "networks": {}}
    for system in (name for name in PAPER.systems if name.startswith(("multitask", "singletask"))):
        given = f"system, steps, images = {system!r}, {STEPS}, {IMAGES}\n"
        done = subprocess.run([sys.executable, "-c", given + CODE], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        result["networks"][system] = json.loads(done.stdout.splitlines()[-1])
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
