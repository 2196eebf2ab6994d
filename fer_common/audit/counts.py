"""Can whole numbers of images give what is printed? Accuracies, classification reports, confusion matrices.

Each function decides one reading and errs on one side alone: where it cannot search everything it widens, so that a
true table is never called infeasible. Large tables are searched in floating point, with a slack that widens too.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fer_common.audit.printed import Bounds, whole_numbers

SLACK = 1e-9  # of a whole number; bounds of five digits are further from one unless they contain it
MANY = 1_000_000  # numbers of hits of a class
STEPS = 30_000_000  # of additions in the search over totals of a report: a tenth of a second
BEGUN = 1_000  # additions in the time that it takes to begin any


def accuracy_is_possible(accuracy: Bounds, n_images: int) -> bool:
    """Whether some number of hits among n_images is such an accuracy (GRIM, Brown and Heathers 2017)."""
    return bool(whole_numbers(accuracy[0] * n_images, accuracy[1] * n_images))


def errors_are_possible(accuracy: Bounds, n_images: int, n_classes: int) -> bool:
    """Whether some number of errors among n_images gives such a mean one-vs-rest accuracy, 1 − 2·errors / (K·n): each
    error is one in two of the K problems, so that the mean is at least 1 − 2/K."""
    scale = Fraction(n_images * n_classes, 2)
    return bool(whole_numbers((1 - accuracy[1]) * scale, min((1 - accuracy[0]) * scale, Fraction(n_images))))


# Classification reports


@dataclass(frozen=True)
class Row:
    """One class of a printed report: what its numbers can have been, None where none is printed."""

    support: int
    precision: Bounds | None = None
    recall: Bounds | None = None
    f1: Bounds | None = None


@dataclass(frozen=True)
class Options:
    """The possibilities of a class, int64 (N,) each: `hits` of its images found, `fewest` to `most` images called by
    its name."""

    hits: np.ndarray
    fewest: np.ndarray
    most: np.ndarray

    def __len__(self) -> int:
        return len(self.hits)


def _up(values) -> np.ndarray:
    return np.ceil(values - SLACK - 1e-13 * np.abs(values)).astype(np.int64)


def _down(values) -> np.ndarray:
    return np.floor(values + SLACK + 1e-13 * np.abs(values)).astype(np.int64)


def row_options(row: Row, n_images: int) -> Options:
    """Every number of hits, with the numbers of predictions, that gives the printed precision, recall and F1.

    precision = hits / predictions, recall = hits / support, F1 = 2 hits / (support + predictions). Without hits all
    three are 0, or what a library prints for an undefined one (0 or 1).
    """
    low, high = row.recall or (Fraction(0), Fraction(1))
    # A class without images has no recall; whatever is printed for it says nothing.
    possible = whole_numbers(low * row.support, high * row.support) if row.support else range(1)
    if len(possible) > MANY:  # too many to list: both ends, with every number of predictions that is left
        ends = np.array([possible.start, possible.stop - 1], dtype=np.int64)
        return Options(ends, ends.copy(), np.full(2, n_images, np.int64))
    hits = np.arange(possible.start, max(possible.start, possible.stop), dtype=np.int64)
    fewest, most = hits.copy(), hits + (n_images - row.support)
    some = hits > 0
    if row.precision:
        p_low, p_high = map(float, row.precision)
        fewest = np.maximum(fewest, _up(hits / p_high)) if p_high else np.where(some, most + 1, fewest)
        most = np.minimum(most, _down(hits / p_low)) if p_low else most
    if row.f1:
        f_low, f_high = map(float, row.f1)
        fewest = (
            np.maximum(fewest, _up(2 * hits / f_high) - row.support) if f_high else np.where(some, most + 1, fewest)
        )
        most = np.minimum(most, _down(2 * hits / f_low) - row.support) if f_low else most
    if len(hits) and hits[0] == 0:
        undefined = [bound for bound in (row.precision, row.f1) if bound and bound[0] > 0 and bound[1] < 1]
        never = row.f1 and row.f1[0] > 0 and row.support
        one = row.precision and row.precision[0] > 0  # what a library prints where nothing was called by the name
        fewest[0], most[0] = (1, 0) if undefined or never else (0, 0 if one else n_images - row.support)
    kept = fewest <= most
    return Options(hits[kept], fewest[kept], most[kept])


@dataclass(frozen=True)
class Totals:
    """The totals of hits that a report allows."""

    low: int
    high: int
    every: np.ndarray | None
    """int (H,) where each whole number was tried; None where all between the two ends may be."""

    def any_within(self, share: Bounds, n_images: int) -> bool:
        """Whether one of them is such a share of the images."""
        if self.every is None:
            wanted = whole_numbers(share[0] * n_images, share[1] * n_images)
            return bool(wanted) and wanted[0] <= self.high and self.low <= wanted[-1]
        shares, (low, high) = self.every / n_images, map(float, share)
        return bool(np.any((shares >= low - SLACK) & (shares <= high + SLACK)))


def hits_in_all(rows: Sequence[Row], options: Sequence[Options], n_images: int) -> Totals | None:
    """The totals of hits that a report allows; None where there is none.

    One possibility of each class is chosen so that the predictions add up to the images. For every total of hits the
    totals of predictions are widened to an interval. Where that is too long a search, hits and predictions need not be
    whole: the totals are then all those between the two ends of a linear programme.
    """
    if any(not len(own) for own in options):
        return None
    spans = np.cumsum([int(own.hits[-1] - own.hits[0]) for own in options]) + 1
    steps = sum((int(span) + BEGUN) * len(own) for span, own in zip([1, *spans], options))
    only_ends = any(int(own.hits[-1] - own.hits[0]) >= MANY for own in options)  # see `row_options`
    if only_ends or steps > STEPS:
        return _hits_between(rows, options, n_images)
    first = 0
    fewest, most = np.zeros(1), np.zeros(1)
    for own in options:
        size = len(fewest) + int(own.hits[-1] - own.hits[0])
        wider = np.full(size, np.inf), np.full(size, -np.inf)
        for hits, low, high in zip(own.hits - own.hits[0], own.fewest, own.most):
            part = slice(int(hits), int(hits) + len(fewest))
            np.minimum(wider[0][part], fewest + low, out=wider[0][part])
            np.maximum(wider[1][part], most + high, out=wider[1][part])
        first += int(own.hits[0])
        fewest, most = wider
    every = first + np.flatnonzero((fewest <= n_images) & (n_images <= most))
    return Totals(int(every[0]), int(every[-1]), every) if len(every) else None


def _hits_between(rows: Sequence[Row], options: Sequence[Options], n_images: int) -> Totals | None:
    from scipy.optimize import linprog

    # hits, then predictions, of each class
    k = len(rows)
    limits = [(own.hits[0], own.hits[-1]) for own in options]
    limits += [(own.fewest.min(), own.most.max()) for own in options]
    at_most: list[tuple[np.ndarray, float]] = []
    for i, (row, own) in enumerate(zip(rows, options)):
        if own.hits[0] == 0 and (row.precision or row.f1):  # what is printed may be undefined
            continue
        for low, high, h, p, constant in (
            *([(*map(float, row.precision), 1, 1, 0)] if row.precision else []),
            *([(*map(float, row.f1), 2, 1, row.support)] if row.f1 else []),
        ):
            # low · (p + constant) ≤ h · hits ≤ high · (p + constant)
            for sign, end in ((1, low), (-1, high)):
                line = np.zeros(2 * k)
                line[i], line[k + i] = -sign * h, sign * end * p
                at_most.append((line, -sign * end * constant))
        line = np.zeros(2 * k)
        line[i], line[k + i] = 1, -1
        at_most.append((line, 0.0))
    ends = []
    for sign in (1, -1):
        found = linprog(
            np.r_[np.full(k, sign), np.zeros(k)],
            A_ub=np.array([line for line, _ in at_most]) if at_most else None,
            b_ub=np.array([limit for _, limit in at_most]) if at_most else None,
            A_eq=[np.r_[np.zeros(k), np.ones(k)]],
            b_eq=[n_images],
            bounds=limits,
        )
        if found.status == 2:  # infeasible
            return None
        ends.append(sign * found.fun)
    return Totals(int(_up(ends[0] - 1e-4)), int(_down(ends[1] + 1e-4)), None)


def metric_range(own: Options, row: Row, metric: str) -> Bounds:
    """Lowest and highest precision, recall or F1 of a class over its possibilities; 0 to 1 where it is undefined."""
    if not row.support and metric != "precision":
        return Fraction(0), Fraction(1)
    if metric == "recall":
        return Fraction(int(own.hits[0]), row.support), Fraction(int(own.hits[-1]), row.support)
    some = own.hits > 0
    hits = own.hits[some]
    values = [Fraction(0)] * (not some.all())
    if metric == "precision":
        # what a library prints where nothing was called by the name
        values += [Fraction(1)] * bool((own.fewest[~some] == 0).any())
        scale, below = 1, (own.fewest[some], own.most[some])
    else:
        scale, below = 2, (row.support + own.fewest[some], row.support + own.most[some])
    for predicted, pick in zip(below, (np.argmax, np.argmin)):
        if len(hits):
            best = pick(hits / predicted)
            values.append(Fraction(scale * int(hits[best]), int(predicted[best])))
    return min(values), max(values)


# Confusion matrices in per cent


def total_is_possible(row: Sequence[Bounds], n: int) -> bool:
    """Whether whole counts that add up to n give every printed share of the row; a row of no images has no shares."""
    own = [whole_numbers(low * n, high * n) for low, high in row]
    return n > 0 and all(own) and sum(counts[0] for counts in own) <= n <= sum(counts[-1] for counts in own)


@functools.lru_cache(maxsize=1024)  # several checks ask for the same rows
def totals(row: tuple[Bounds, ...], up_to: int, times: int = 1) -> np.ndarray:
    """int (T,): the n ≤ up_to for which whole counts, adding up to times · n, give every printed share of the row."""
    n = times * np.arange(1, up_to + 1, dtype=np.int64)
    whole, fewest, most = np.ones(up_to, bool), np.zeros(up_to, np.int64), np.zeros(up_to, np.int64)
    for low, high in row:
        least, largest = _up(n * float(low)), _down(n * float(high))
        whole &= least <= largest
        fewest, most = fewest + least, most + largest
    return n[whole & (fewest <= n) & (n <= most)] // times
