"""ResNet50 features and boosted trees: our extraction against plain `predict` and against PyTorch, our boosting
against xgboost's defaults.

    python benchmarks/features.py [FER2013]

Each variant runs in a process of its own, three times in turn; the median counts, and the highest peak memory.
Extraction: IMAGES drawn faces at 48 px, float32, weights drawn at random, warmed up with one batch; the result is on
disk (ours) or in memory (the others). Memory at 224 px: 512 faces. Boosting: ROUNDS rounds on the features of
Training, scored on PublicTest. Needs the extra [benchmark]. Writes benchmarks/features.json.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGES, ROUNDS, TIMES = 2048, 30, 3

KERAS = """
from fer_common import features, pipeline
from fer_common.data import synthetic
from reproductions import resnet50_xgboost as script
pipeline.start(None)
import keras
def taps(size):
    network = script.build_network(size)
    pooled = [keras.layers.GlobalAveragePooling2D()(network.get_layer(tap).output) for tap in script.TAPS]
    return keras.Model(network.input, keras.layers.Concatenate()(pooled))
faces = synthetic.draw(images)
model = taps(size)
preprocessing = script.preprocessing_of("random", size)
"""
EXTRACTION = {
    "ferrepro": KERAS
    + """
features.extract(model, synthetic.draw(128, seed=9).images, preprocessing, "warm")
start = time.perf_counter()
features.extract(model, faces.images, preprocessing, "timed")
""",
    "plain predict, all images as float32 in memory": KERAS
    + """
everything = np.repeat(faces.images[..., None], 3, -1).astype("float32") / 255
model.predict(everything[:128], batch_size=128, verbose=0)
start = time.perf_counter()
model.predict(everything, batch_size=128, verbose=0)
""",
    "PyTorch eager, channels last": """
import torch
from torch import nn
from fer_common.data import synthetic
def block(i, o, kernel, stride=1, relu=True):
    layers = [nn.Conv2d(i, o, kernel, stride, kernel // 2), nn.BatchNorm2d(o)] + [nn.ReLU()] * relu
    return nn.Sequential(*layers)
class Bottleneck(nn.Module):
    def __init__(self, i, m, stride, project):
        super().__init__()
        self.path = nn.Sequential(block(i, m, 1, stride), block(m, m, 3), block(m, 4 * m, 1, relu=False))
        self.side = block(i, 4 * m, 1, stride, relu=False) if project else nn.Identity()
    def forward(self, x):
        return torch.relu(self.path(x) + self.side(x))
class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, i, self.stages = nn.Sequential(block(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)), 64, nn.ModuleList()
        for m, n, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            blocks = [Bottleneck(i, m, stride, True)] + [Bottleneck(4 * m, m, 1, False) for _ in range(n - 1)]
            self.stages.append(nn.Sequential(*blocks))
            i = 4 * m
    def forward(self, x):
        x, taps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            taps.append(x.mean((2, 3)))
        return torch.cat(taps, 1)
model = ResNet50().eval().to(memory_format=torch.channels_last)
faces = torch.from_numpy(synthetic.draw(images).images)
def features_of(batch):
    batch = (batch.float() / 255)[:, None].repeat(1, 3, 1, 1).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        return model(batch)
features_of(faces[:128])
start = time.perf_counter()
torch.cat([features_of(batch) for batch in faces.split(128)]).numpy()
""",
}
BOOSTING = """
import xgboost as xgb
from fer_common.data import EMOTIONS
with np.load(matrix) as kept:
    fit, fit_labels, select, select_labels = (kept[name] for name in ("fit", "fit_labels", "select", "select_labels"))
start = time.perf_counter()
bins = parameters.get("max_bin", 256)
fitted = xgb.QuantileDMatrix(fit, fit_labels, max_bin=bins)
common = {"objective": "multi:softprob", "num_class": len(EMOTIONS)}
model = xgb.train(common | parameters, fitted, rounds)
score = float((model.predict(xgb.DMatrix(select)).argmax(1) == select_labels).mean())
"""
TIMED = """
import json, time
import numpy as np
score = None
{code}
seconds = time.perf_counter() - start
lines = open("/proc/self/status").read().splitlines()
peak = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))
print(json.dumps([seconds, peak, score]))
"""


def timed(code: str, **values) -> list:
    """[seconds, peak MiB, score] of `code`, run in a new process with an empty cache of its own."""
    given = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", f"{given}\n{TIMED.format(code=code)}"],
            env=os.environ | {"FERREPRO_CACHE": cache},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def features_of_fer2013(path: str | None, target: Path) -> None:
    """Write the normalised features of the Training and PublicTest images, as `proposed` has them, to `target`."""
    import dataclasses

    import numpy as np

    from fer_common import data, experiment, records, splits
    from reproductions import resnet50_xgboost as script

    faces = data.load(path)
    setup = dataclasses.replace(script.PAPER.systems["proposed"], init="random")
    names = {"paper": "resnet50_xgboost", "system": "proposed", "protocol": "official", "init": "random"}
    record = records.Record(**names, seed=0, preset="full", changes={}, setup={}, data={})
    run = experiment.Run(
        record, setup, faces, splits.official(faces), target.parent, experiment.Options(), script.PAPER
    )
    run._start()
    found = script.features_for(run)
    fit, select = run.rows("fit"), run.rows("select")
    kept = {"fit": found[fit], "fit_labels": faces.labels[fit], "select": found[select]}
    np.savez(target, **kept, select_labels=faces.labels[select])


def main() -> None:
    setup = {"max_bin": 64, "lambda": 0.0, "gamma": 0.0}
    with tempfile.TemporaryDirectory() as folder:
        matrix = Path(folder) / "matrix.npz"
        features_of_fer2013(sys.argv[1] if len(sys.argv) > 1 else None, matrix)
        jobs = {("extraction", name): (code, {"images": IMAGES, "size": 48}) for name, code in EXTRACTION.items()}
        for name, parameters in (("ferrepro: 64 bins, no regulariser", setup), ("xgboost's defaults", {})):
            values = {"matrix": str(matrix), "parameters": parameters, "rounds": ROUNDS}
            jobs["boosting", name] = (BOOSTING, values)
        found = {job: [] for job in jobs}
        for _ in range(TIMES):
            for job, (code, values) in jobs.items():
                found[job].append(timed(code, **values))
        at_224 = timed(EXTRACTION["ferrepro"], images=512, size=224)
    result = {
        "cores": len(os.sched_getaffinity(0)),
        "images": IMAGES,
        "rounds": ROUNDS,
        "peak_mib_at_224_px": at_224[1],
    }
    for kind, ours in (("extraction", "ferrepro"), ("boosting", "ferrepro: 64 bins, no regulariser")):
        reference = statistics.median(seconds for seconds, _, _ in found[kind, ours])
        result[kind] = {}
        for (of, name), runs in found.items():
            if of == kind:
                seconds = statistics.median(seconds for seconds, _, _ in runs)
                row = {"seconds": round(seconds, 2), "times_ours": round(seconds / reference, 2)}
                row |= {"peak_mib": max(peak for _, peak, _ in runs)}
                row |= {"images_per_second": round(IMAGES / seconds)} if kind == "extraction" else {}
                row |= {"accuracy_on_public_test": round(runs[0][2], 4)} if kind == "boosting" else {}
                result[kind][name] = row
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
