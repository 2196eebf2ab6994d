"""Every metric and its interval, from labels and predicted probabilities alone.

Definitions are scikit-learn's (`zero_division=0`); the vectorised forms below exist because an interval needs a
thousand resamples, and tests hold each of them against scikit-learn. Nothing here knows of models or records.
"""

import hashlib

import numpy as np

from fer_common.data import EMOTIONS

# Stored probabilities are float16, whose smallest positive value this is; log loss clips there.
SMALLEST_PROBABILITY = 2.0**-24
RESAMPLES = 1000
HEADLINES = ("accuracy", "macro_f1", "weighted_f1", "macro_auc", "log_loss")
# Metrics that are a proportion of images, whose variance is m(1 − m)/N.
PROPORTIONS = ("accuracy",)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int = len(EMOTIONS)) -> np.ndarray:
    """int (classes, classes): rows are true labels, columns predicted ones."""
    return np.bincount(labels.astype(int) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def from_confusion(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics from confusion matrices (..., K, K): arrays (...) and, for per-class ones, (..., K).

    `macro_auc_hard` is the one-vs-rest AUC of hard labels, (recall + specificity)/2, averaged over classes;
    `mean_ovr_accuracy` is 1 − 2·error/K, which some papers print as accuracy.
    """
    matrix = matrix.astype(float)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    support, predicted = matrix.sum(-1), matrix.sum(-2)
    total = support.sum(-1)

    def ratio(a, b):
        return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b > 0)

    precision, recall = ratio(hits, predicted), ratio(hits, support)
    f1 = ratio(2 * hits, support + predicted)
    specificity = 1 - ratio(predicted - hits, total[..., None] - support)
    accuracy = hits.sum(-1) / total
    weight = support / total[..., None]
    return {
        "accuracy": accuracy,
        "mean_ovr_accuracy": 1 - 2 * (1 - accuracy) / matrix.shape[-1],
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "macro_precision": precision.mean(-1),
        "macro_recall": recall.mean(-1),
        "macro_f1": f1.mean(-1),
        "weighted_precision": (precision * weight).sum(-1),
        "weighted_recall": (recall * weight).sum(-1),
        "weighted_f1": (f1 * weight).sum(-1),
        "macro_auc_hard": ((recall + specificity) / 2).mean(-1),
    }


def metrics(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float | np.ndarray]:
    """All metrics of labels (N,) and probabilities (N, K); per-class ones (`precision`, `recall`, `f1`) are (K,)."""
    matrix = confusion_matrix(labels, probabilities.argmax(-1), probabilities.shape[-1])
    once = np.ones((1, len(labels)), np.float32)
    values = from_confusion(matrix)
    return {name: value if value.ndim else float(value) for name, value in values.items()} | {
        "macro_auc": float(_macro_auc(labels, probabilities, once)[0]),
        "log_loss": float(_losses(labels, probabilities).mean()),
        "confusion": matrix,
    }


def _losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """float (N,): −ln of the probability given to the true label, clipped at float16's smallest."""
    true = probabilities[np.arange(len(labels)), labels].astype(float)
    return -np.log(np.maximum(true, SMALLEST_PROBABILITY))


def _macro_auc(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float (B,): mean one-vs-rest AUC over classes under image weights (B, N); NaN where a class is missing.

    The share of (positive, negative) pairs that are ordered rightly, ties counting half, from cumulative weights
    in the order of the score (the Mann-Whitney form of the area).
    """
    areas = []
    for number in range(probabilities.shape[1]):
        score = probabilities[:, number].astype(np.float32)
        order = np.argsort(score, kind="stable")
        positive = (labels == number)[order]
        ranked = weights[:, order]
        negatives = np.cumsum(np.where(positive, 0, ranked), axis=1, dtype=np.float64)
        sorted_score = score[order][positive]
        first = np.searchsorted(score[order], sorted_score, side="left")
        last = np.searchsorted(score[order], sorted_score, side="right") - 1
        below = np.where(first > 0, negatives[:, first - 1], 0)
        pairs = (ranked[:, positive] * (below + negatives[:, last]) / 2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            areas.append(pairs / (ranked[:, positive].sum(1, dtype=np.float64) * negatives[:, -1]))
    return np.mean(areas, axis=0)


def bootstrap(labels: np.ndarray, probabilities: np.ndarray, resamples: int = RESAMPLES) -> dict[str, np.ndarray]:
    """The headline metrics (HEADLINES) under multinomial resamples of the images: arrays (resamples,).

    The resamples depend on the number of images alone, so that runs scored on the same images share them and their
    values can be averaged or subtracted resample by resample.
    """
    n, classes = probabilities.shape
    cell = labels.astype(int) * classes + probabilities.argmax(1)
    losses = _losses(labels, probabilities)
    rng = np.random.default_rng([2013, n])
    parts: dict[str, list[np.ndarray]] = {name: [] for name in HEADLINES}
    at_once = max(1, 4_000_000 // n)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        drawn = rng.integers(n, size=(count, n), dtype=np.int32) + (np.arange(count, dtype=np.int64) * n)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n).astype(np.float32)
        matrices = np.stack(
            [np.bincount(cell, weights=w, minlength=classes**2).reshape(classes, classes) for w in weights]
        )
        values = from_confusion(matrices)
        values["macro_auc"] = _macro_auc(labels, probabilities, weights)
        values["log_loss"] = weights @ losses / n
        for name in HEADLINES:
            parts[name].append(values[name])
    return {name: np.concatenate(part) for name, part in parts.items()}


def digest(labels: np.ndarray, probabilities: np.ndarray) -> str:
    """32 hex digits that name these predictions, to cache their bootstrap by."""
    sha = hashlib.sha256(f"{RESAMPLES} {HEADLINES} {probabilities.shape} {probabilities.dtype}".encode())
    sha.update(np.ascontiguousarray(labels))
    sha.update(np.ascontiguousarray(probabilities))
    return sha.hexdigest()[:32]
