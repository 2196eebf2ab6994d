"""Records and predictions as the tests need them, drawn and right on an exact share of the images; copies in UTKFace's
form."""

import io
import tarfile

import numpy as np
from PIL import Image

from fer_common import records
from fer_common.data import USAGES

HISTORY = [
    {"epoch": epoch, "running_accuracy": 0.5 + 0.03 * epoch, "running_loss": 1.0 - 0.03 * epoch}
    for epoch in range(1, 14)
]


def predictions(seed, accuracies, n=(600, 200, 200), epochs=(8, 13), role=None):
    """Predictions that are right on an exact share of each usage, the same share in every class."""
    rng = np.random.default_rng(seed)
    usage = np.repeat(USAGES, n)
    label = (np.arange(len(usage)) % 7).astype(np.uint8)
    right = np.concatenate([rng.permutation(k) < round(share * k) for k, share in zip(n, accuracies)])
    predicted = np.where(right, label, (label + rng.integers(1, 7, len(label))) % 7)
    probabilities = rng.dirichlet(np.ones(7), len(label)) * 0.4
    probabilities[np.arange(len(label)), predicted] += 0.6
    return records.Predictions(
        row_id=np.arange(len(label), dtype=np.int32),
        usage=usage,
        role=np.repeat(("fit", "select", "score"), n) if role is None else role,
        label=label,
        epochs=np.array(epochs, np.int16),
        probabilities=np.stack([probabilities] * len(epochs)).astype(np.float16),
    )


def folds(aside=True):
    """Five folds of 1,000 rows; PrivateTest (200 rows) kept aside and scored by all, the later the better, or folded
    too."""
    made = []
    for fold in range(5):
        role = np.where(np.arange(1000) % 5 == fold, "score", "fit")
        if aside:
            role[800:] = "score"
        made.append(predictions(fold, (0.8, 0.8, 0.6 + 0.1 * fold), role=role, epochs=(13,)))
    return made


def record(**changes) -> records.Record:
    """A record of the 13-epoch CNN on 1,000 rows."""
    fields = {
        "paper": "cnn_13_epochs", "system": "cnn", "protocol": "official", "init": "random", "seed": 0,
        "preset": "full", "changes": {}, "setup": {"epochs": 13}, "parameters": 1000, "epochs_run": 13,
        "data": {"source": "fer2013", "fingerprint": "0123456789abcdef", "rows": 1000}, "seconds_per_epoch": 2.0,
        "device": "a processor",
    }  # fmt: skip
    return records.Record(**(fields | changes))


def put(runs, made, found, history=HISTORY, further=None):
    """Write the record under `runs`; returns its folder."""
    final = records.folder(runs, made)
    records.write(final, made, history, found, further=further)
    return final


# UTKFace's form


def jpeg(seed, size=64):
    """A square picture of coloured blocks, as bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((size, size)).save(buffer, "jpeg")
    return buffer.getvalue()


def utkface_names(n=300):
    """Names of files as UTKFace has them."""
    rng = np.random.default_rng(0)
    ages, dates = rng.integers(1, 100, n), 20170116174525125 + np.arange(n)
    return [f"{age}_{k % 2}_{k % 5}_{date}.jpg.chip.jpg" for k, (age, date) in enumerate(zip(ages, dates))]


def utkface_archive(path, files):
    """Write (name, bytes) of `files` as UTKFace is packed; returns the path."""
    with tarfile.open(path, "w:gz") as file:
        for name, content in files:
            member = tarfile.TarInfo(f"UTKFace/{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path
