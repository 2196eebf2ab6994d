"""What printed metrics say of each other: averages, AUC, loss."""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from fer_common.audit.printed import Bounds, overlap

CLIP = 1e-7  # Keras clips probabilities here; PyTorch and scikit-learn cut elsewhere or not at all


def harmonic(precision: Bounds, recall: Bounds) -> Bounds:
    """F1 = 2·P·R / (P + R) over the corners; it grows with both."""
    ends = [2 * p * r / (p + r) if p + r else Fraction(0) for p, r in zip(precision, recall)]
    return ends[0], ends[1]


def f1_of_means_is_possible(f1: Bounds, precision: Bounds, recall: Bounds) -> bool:
    """Whether F1 can be the harmonic mean of the printed precision and recall."""
    return overlap(f1, harmonic(precision, recall))


def mean_f1_is_possible(f1: Bounds, precision: Bounds, recall: Bounds) -> bool:
    """Whether F1 can be the mean over classes (or runs) of harmonic means, given mean precision and recall.

    The harmonic mean is concave, so the mean F1 is at most the harmonic mean of the means (Jensen). From below, each
    F1 is at least 2·P·R / 2 = P·R, and P·R ≥ P + R − 1; so the mean F1 is at least mean P + mean R − 1.
    """
    return f1[0] <= harmonic(precision, recall)[1] and f1[1] >= max(Fraction(0), precision[0] + recall[0] - 1)


def auc_of_hard_labels(matrix: np.ndarray) -> dict[str, float]:
    """AUC of predicted classes instead of probabilities, by average; a ROC curve of hard labels has one corner.

    matrix: (K, K) counts, rows true. `macro one-vs-rest`: the mean of (recall + specificity) / 2; `micro`: the same
    of all K one-vs-rest problems in one; `one-vs-one` (Hand and Till 2001): over pairs of classes, of their images
    alone.
    """
    matrix = np.asarray(matrix, float)
    own, total, k = matrix.sum(1), matrix.sum(), len(matrix)
    recall = np.diag(matrix) / own
    specificity = 1 - (matrix.sum(0) - np.diag(matrix)) / (total - own)
    accuracy = np.trace(matrix) / total
    mistaken = matrix / own[:, None]  # [j, i]: the share of class j that is called i
    pairs = [(1 + recall[i] - mistaken[j, i]) / 2 for i in range(k) for j in range(k) if i != j]
    return {
        "macro one-vs-rest": float(np.mean((recall + specificity) / 2)),
        "micro": float((accuracy + 1 - (1 - accuracy) / (k - 1)) / 2),
        "one-vs-one": float(np.mean(pairs)),
    }


def _called(cells: Sequence[Sequence[Bounds]], sizes: Sequence[int], k: int) -> tuple[Bounds, Bounds]:
    """(hits of class k, images of other classes called by its name) with so many images a class."""
    hits = sizes[k] * cells[k][k][0], sizes[k] * cells[k][k][1]
    low, high = (sum(n * row[k][end] for j, (n, row) in enumerate(zip(sizes, cells)) if j != k) for end in (0, 1))
    return hits, (Fraction(low), Fraction(high))


def precisions(cells: Sequence[Sequence[Bounds]], sizes: Sequence[int]) -> list[Bounds]:
    """The precision of every class that shares of rows (rows true) allow with so many images a class; 0 to 1 where
    nothing need be predicted as it."""
    found = []
    for k in range(len(cells)):
        hits, others = _called(cells, sizes, k)
        low = hits[0] / (hits[0] + others[1]) if hits[0] else Fraction(0)
        high = hits[1] / (hits[1] + others[0]) if hits[1] + others[0] else Fraction(1)
        found.append((low, high))
    return found


def f1s(cells: Sequence[Sequence[Bounds]], sizes: Sequence[int]) -> list[Bounds]:
    """The F1 of every class in the same way: 2 hits / (images + predictions)."""
    found = []
    for k, n in enumerate(sizes):
        hits, others = _called(cells, sizes, k)
        ends = [2 * h / (n + h + o) if n + h + o else Fraction(0) for h, o in zip(hits, reversed(others))]
        found.append((ends[0], ends[1]))
    return found


def one_vs_rest_accuracies(cells: Sequence[Sequence[Bounds]], sizes: Sequence[int]) -> list[Bounds]:
    """The accuracy of every class against the rest in the same way: 1 − (missed + wrongly called) / images."""
    total, found = sum(sizes), []
    for k, n in enumerate(sizes):
        hits, others = _called(cells, sizes, k)
        ends = [1 - Fraction(n - h + o) / total for h, o in zip(hits, reversed(others))]
        found.append((max(Fraction(0), ends[0]), min(Fraction(1), ends[1])))
    return found


def accuracy_at_least(loss: Bounds) -> float:
    """The lowest accuracy that a mean cross-entropy in nats allows: a wrong argmax has at most 1/2 on the true class,
    so that each error costs ln 2 or more."""
    return max(0.0, 1 - float(loss[1]) / math.log(2))


def loss_at_most(accuracy: Bounds, n_classes: int) -> float:
    """The highest mean cross-entropy in nats at such an accuracy, with probabilities clipped as Keras does: −ln 1e-7
    an error, and ln K a hit, since the largest of K probabilities is at least 1/K."""
    hits = float(accuracy[0])
    return (1 - hits) * -math.log(CLIP) + hits * math.log(n_classes)


def parallel(columns: Mapping[str, Sequence[Fraction]]) -> dict[str, Fraction]:
    """The most columns (metrics, over systems) that differ by amounts that are the same in every row, with what each
    lies below the first of them. Columns that are equal, as accuracy and weighted recall are by identity, count once.
    """
    different = {tuple(column): name for name, column in reversed(columns.items())}
    names = [name for name in columns if name in different.values()]
    best: dict[str, Fraction] = {}
    for i, first in enumerate(names):
        found = {first: Fraction(0)}
        for other in names[i + 1 :]:
            apart = {a - b for a, b in zip(columns[first], columns[other])}
            if len(apart) == 1:
                found[other] = apart.pop()
        best = max(best, found, key=len)
    return best


LONG = 500  # epochs; of a line so long not every part is looked at
STEPS = 100_000_000  # comparisons of two values, a second or two
BEGUN = 500  # comparisons in the time that it takes to begin any


class TooLong(Exception):
    """Looking at every part of a line would take hours."""


def longest_straight_line(values: Sequence[str]) -> tuple[int, int, Fraction, float]:
    """(first, last, step, surprise) of the stretch of values that most surprisingly lies on a straight line.
    Raises TooLong, of thousands of values with long even stretches.

    A stretch does if one line passes within half a unit of the last printed digit of each of its values. surprise: how
    many powers of ten less likely than differences spread evenly between 0 and twice the step.
    """
    numbers = np.array([float(value) for value in values])
    units = np.array([10.0 ** -len(value.partition(".")[2]) for value in values])
    best = (0, 0, Fraction(0), 0.0)
    steps = 0
    for first in range(len(values) - 1):
        low, high = -np.inf, np.inf  # the slopes that every pair within the stretch allows
        for last in range(first + 1, len(values)):
            steps += last - first + BEGUN
            if steps > STEPS:
                raise TooLong
            slack, apart = (units[last] + units[first:last]) / 2, numbers[last] - numbers[first:last]
            epochs = np.arange(last - first, 0, -1)
            low, high = max(low, ((apart - slack) / epochs).max()), min(high, ((apart + slack) / epochs).min())
            if low > high + 1e-12:
                break
            step = (Fraction(values[last]) - Fraction(values[first])) / (last - first)
            unit = units[first : last + 1].max()
            chance = min(1.0, 3 * unit / (2 * abs(float(step)))) if step else 1.0
            surprise = -(last - first - 1) * math.log10(chance)
            if surprise > best[3]:
                best = (first, last, step, surprise)
        else:
            if last - first > LONG:  # it reaches the end, and the starts after it lie on the same line
                break
    return best
