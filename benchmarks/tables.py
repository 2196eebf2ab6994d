"""`ferrepro tables` and `docs` over the committed records, cold and warm; a cell beside scikit-learn and SciPy; growth.

    python benchmarks/tables.py

The peer scores the same images with scikit-learn's metrics, and has `scipy.stats.bootstrap` resample them: the same
numbers by the usual means. Growth is over drawn records of ROWS rows each. Every command runs in a process of its own.
Writes benchmarks/tables.json.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fer_common import evaluation, records
from fer_common.data import EMOTIONS, USAGES
from fer_common.files import kept_in
from fer_common.results import measure

ROOT = Path(__file__).parent.parent
IMAGES, RESAMPLES, ROWS = 3589, 1000, 5000
GROWTH = (100, 300, 1000)


def timed(*arguments: str, cache: Path) -> tuple[float, int]:
    """(seconds, peak memory of the largest process so far in MiB) of a command of the suite."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "fer_common.cli", *arguments],
        cwd=ROOT,
        env=os.environ | {"FERREPRO_CACHE": str(cache)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def committed(folder: Path) -> dict:
    """The committed records: tables without a cache, with one, and the pages."""
    out = ("tables", "--tables", str(folder / "tables"))
    runs = {"tables, cold": out, "tables, warm": out, "docs": ("docs",)}
    found = {name: timed(*arguments, cache=folder / "cache") for name, arguments in runs.items()}
    kept = [kept_in(path, measure.Scored) for path in (folder / "cache" / "scores").iterdir()]
    return {
        "records": len(list(records.find(ROOT / "results" / "runs"))),
        "cells": sum(len(own.cells) for own in kept if own),
        "seconds": {name: round(seconds, 2) for name, (seconds, _) in found.items()},
        "peak_mib": {name: peak for name, (_, peak) in found.items()},
    }


def draw(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (rows,) and float16 probabilities (rows, 7) that are right on about six in ten."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(7, rows, p=np.array([14, 1, 14, 25, 17, 12, 17]) / 100)
    probabilities = rng.dirichlet(np.ones(7), rows)
    probabilities[np.arange(rows), labels] += rng.exponential(0.4, rows)
    return labels, (probabilities / probabilities.sum(1, keepdims=True)).astype(np.float16)


def peer() -> dict:
    """One cell by scikit-learn and SciPy, and by us."""
    from scipy.stats import bootstrap
    from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support, roc_auc_score

    labels, probabilities = draw(IMAGES, 0)

    def scored(rows) -> np.ndarray:
        y, p = labels[rows], probabilities[rows].astype(float)
        p /= p.sum(1, keepdims=True)
        predicted, every = p.argmax(1), range(7)
        found = [accuracy_score(y, predicted), log_loss(y, p, labels=every)]
        found.append(roc_auc_score(y, p, multi_class="ovr", labels=every))
        found.append(roc_auc_score(y, np.eye(7)[predicted], multi_class="ovr", labels=every))
        for average in ("macro", "weighted", None):
            values = precision_recall_fscore_support(y, predicted, labels=every, average=average, zero_division=0)
            found += np.ravel([np.asarray(value, float) for value in values[:3]]).tolist()
        return np.array(found)

    started = time.perf_counter()
    theirs = bootstrap(
        (np.arange(IMAGES),), scored, n_resamples=RESAMPLES, vectorized=False, method="percentile", rng=0
    ).standard_error
    peer_s = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(20):
        ours = evaluation.measures(labels, probabilities, EMOTIONS)
    ours_s = (time.perf_counter() - started) / 20
    names = ["accuracy", "log_loss", "auc.macro", "auc_hard.macro"]
    names += [f"{m}.{a}" for a in ("macro", "weighted") for m in ("precision", "recall", "f1")]
    names += [f"{m}.{c}" for m in ("precision", "recall", "f1") for c in EMOTIONS]
    differences = [abs(ours[name][1] - own) / own for name, own in zip(names, theirs, strict=True)]
    return {
        "images": IMAGES,
        "resamples": RESAMPLES,
        "peer_s": round(peer_s, 2),
        "ours_s": round(ours_s, 5),
        "ratio": round(peer_s / ours_s),
        "largest_difference": round(max(differences), 4),
    }


def growth(n: int, folder: Path) -> dict:
    """`tables` over n drawn records, cold and warm."""
    usage = np.repeat(USAGES, (ROWS * 4 // 5, ROWS // 10, ROWS // 10))
    for number in range(n):
        labels, probabilities = draw(ROWS, number)
        made = records.Record(
            paper="cnn_13_epochs", system="cnn", protocol="official", init="random", seed=number % 5, preset="full",
            changes={}, setup={"number": number // 5}, epochs_run=1, task="expression",
            data={"source": "fer2013-subset", "fingerprint": f"{number // 5:016x}", "rows": ROWS},
        )  # fmt: skip
        found = records.Predictions(
            row_id=np.arange(ROWS, dtype=np.int32),
            usage=usage,
            role=np.repeat(("fit", "select", "score"), np.unique(usage, return_counts=True)[1][[2, 1, 0]]),
            label=labels.astype(np.uint8),
            epochs=np.array([1], np.int16),
            probabilities=probabilities[None],
        )
        records.write(records.folder(folder / "runs", made), made, [{"epoch": 1, "seconds": 1.0}], found)
    command = ("tables", "--runs", str(folder / "runs"), "--tables", str(folder / "tables"))
    cold, warm = (timed(*command, cache=folder / "cache")[0] for _ in range(2))
    return {"records": n, "rows": ROWS, "cold_s": round(cold, 2), "warm_s": round(warm, 2)}


def main() -> None:
    found = {"cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as folder:
        found["committed"] = committed(Path(folder))
    found["peer"] = peer()
    found["growth"] = []
    for n in GROWTH:
        with tempfile.TemporaryDirectory() as folder:
            found["growth"].append(growth(n, Path(folder)))
    print(json.dumps(found, indent=1))
    (Path(__file__).parent / "tables.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
