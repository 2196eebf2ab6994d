"""Every metric and its interval, from labels and predicted probabilities alone.

Definitions are scikit-learn's (`zero_division=0`); the vectorised forms below exist because an interval needs a
thousand resamples, and tests hold each of them against scikit-learn. Metrics go by flat names: `accuracy`,
`mean_ovr_accuracy` (1 − 2·error/K, which some papers print as accuracy), `log_loss`, `auc.macro` (one-vs-rest, from
probabilities), `auc_hard.macro` (from hard labels: (recall + specificity)/2), and `precision`, `recall` and `f1`
followed by `.macro`, `.weighted`, `.lowest`, `.highest` (over the classes) or by a class. Nothing here knows of
models or records.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fer_common.data import EMOTIONS

# Stored probabilities are float16, whose smallest positive value this is; log loss clips there.
SMALLEST_PROBABILITY = 2.0**-24
RESAMPLES = 1000
VERSION = 1  # raise when a metric or the resampling changes: cached intervals are then made anew


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int = len(EMOTIONS)) -> np.ndarray:
    """int (classes, classes): rows are true labels, columns predicted ones."""
    return np.bincount(labels.astype(int) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def from_confusion(matrix: np.ndarray, classes: Sequence[str] = EMOTIONS) -> dict[str, np.ndarray]:
    """The metrics that follow from confusion matrices (..., K, K): arrays (...) by flat name."""
    matrix = matrix.astype(float)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    support, predicted = matrix.sum(-1), matrix.sum(-2)
    total = support.sum(-1)

    def ratio(a, b):
        return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b > 0)

    accuracy = hits.sum(-1) / total
    recall = ratio(hits, support)
    specificity = 1 - ratio(predicted - hits, total[..., None] - support)
    found = {
        "accuracy": accuracy,
        "mean_ovr_accuracy": 1 - 2 * (1 - accuracy) / len(classes),
        "auc_hard.macro": ((recall + specificity) / 2).mean(-1),
    }
    per_class = {"precision": ratio(hits, predicted), "recall": recall, "f1": ratio(2 * hits, support + predicted)}
    for name, values in per_class.items():
        found[f"{name}.macro"] = values.mean(-1)
        found[f"{name}.weighted"] = (values * support).sum(-1) / total
        found[f"{name}.lowest"], found[f"{name}.highest"] = values.min(-1), values.max(-1)
        for number, label in enumerate(classes):
            found[f"{name}.{label}"] = values[..., number]
    return found


def metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """All metrics of labels (N,) and probabilities (N, K), by flat name; classes other than the seven emotions go by
    their numbers."""
    classes = _classes(probabilities)
    matrix = confusion_matrix(labels, probabilities.argmax(-1), len(classes))
    found = {name: float(value) for name, value in from_confusion(matrix, classes).items()}
    found["auc.macro"] = float(_macro_auc(labels, probabilities, np.ones((len(labels), 1), np.float32))[0])
    found["log_loss"] = float(_losses(labels, probabilities).mean())
    return found


def _classes(probabilities: np.ndarray) -> Sequence[str]:
    number = probabilities.shape[1]
    return EMOTIONS if number == len(EMOTIONS) else [str(each) for each in range(number)]


def _losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """float (N,): −ln of the probability given to the true label, clipped at float16's smallest."""
    true = probabilities[np.arange(len(labels)), labels].astype(float)
    return -np.log(np.maximum(true, SMALLEST_PROBABILITY))


def _macro_auc(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float (B,): mean one-vs-rest AUC over classes under image weights (N, B); NaN where a class is missing.

    The share of (positive, negative) pairs that are ordered rightly, ties counting half, from cumulative weights
    in the order of the score (the Mann-Whitney form of the area).
    """
    areas = []
    for number in range(probabilities.shape[1]):
        score = probabilities[:, number].astype(np.float32)
        order = np.argsort(score, kind="stable")
        score, positive = score[order], (labels == number)[order]
        # Sums of whole numbers below 2²⁴: exact in float32.
        negatives = np.zeros(((~positive).sum() + 1, weights.shape[1]), np.float32)
        np.cumsum(weights[order[~positive]], axis=0, out=negatives[1:])
        below = np.searchsorted(score[~positive], score[positive], side="left")
        not_above = np.searchsorted(score[~positive], score[positive], side="right")
        ranked = weights[order[positive]]
        pairs = np.einsum("nb,nb->b", ranked, negatives[below] + negatives[not_above], dtype=np.float64) / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            areas.append(pairs / (ranked.sum(0, dtype=np.float64) * negatives[-1]))
    return np.mean(areas, axis=0)


def bootstrap(labels: np.ndarray, probabilities: np.ndarray, resamples: int = RESAMPLES) -> dict[str, np.ndarray]:
    """All metrics under multinomial resamples of the images: arrays (resamples,) by flat name.

    The resamples depend on the number of images alone, so that runs scored on the same images share them.
    """
    n, classes = probabilities.shape
    cell = np.eye(classes**2, dtype=np.float32)[labels.astype(int) * classes + probabilities.argmax(1)]
    losses = _losses(labels, probabilities)
    rng = np.random.default_rng([2013, n])
    parts: dict[str, list[np.ndarray]] = {}
    at_once = 50  # the weights of fifty resamples stay in the processor's cache
    for start in range(0, resamples, at_once):
        drawn = rng.integers(n, size=(min(at_once, resamples - start), n), dtype=np.int32)
        weights = np.stack([np.bincount(row, minlength=n) for row in drawn], axis=1).astype(np.float32)
        values = from_confusion((weights.T @ cell).reshape(-1, classes, classes), _classes(probabilities))
        values["auc.macro"] = _macro_auc(labels, probabilities, weights)
        values["log_loss"] = losses @ weights / n
        for name, value in values.items():
            parts.setdefault(name, []).append(value)
    return {name: np.concatenate(part) for name, part in parts.items()}


def intervals(labels: np.ndarray, probabilities: np.ndarray, cache: Path | None = None) -> dict[str, list[float]]:
    """[2.5 % quantile, 97.5 % quantile, standard deviation] of every metric under the bootstrap over images.

    cache: a folder that keeps them by the digest of what they were made from.
    """
    kept = None if cache is None else kept_at(labels, probabilities, cache)
    if kept is not None and kept.is_file():
        return json.loads(kept.read_text())
    found = {
        name: [*map(float, np.quantile(values, (0.025, 0.975))), float(values.std(ddof=1))]
        for name, values in bootstrap(labels, probabilities).items()
    }
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.with_suffix(f".{os.getpid()}.partial")
        temporary.write_text(json.dumps(found))
        temporary.rename(kept)
    return found


def kept_at(labels: np.ndarray, probabilities: np.ndarray, cache: Path) -> Path:
    """Where `intervals` keeps what it finds for these predictions."""
    sha = hashlib.sha256(f"{VERSION} {RESAMPLES} {probabilities.shape} {probabilities.dtype}".encode())
    sha.update(np.ascontiguousarray(labels))
    sha.update(np.ascontiguousarray(probabilities))
    return Path(cache) / f"{sha.hexdigest()[:32]}.json"
