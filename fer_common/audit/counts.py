"""Can whole numbers of images give what is printed? Accuracies, classification reports, confusion matrices.

Each function decides one reading and errs on one side alone: where it cannot search everything it widens, so that a
true table is never called infeasible.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from fer_common.audit.printed import Bounds, whole_numbers


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
class Counts:
    """One possibility for a class: `hits` of its images found, `fewest` to `most` images called by its name."""

    hits: int
    fewest: int
    most: int


def row_counts(row: Row, n_images: int) -> list[Counts]:
    """Every number of hits, with the numbers of predictions, that gives the printed precision, recall and F1.

    precision = hits / predictions, recall = hits / support, F1 = 2 hits / (support + predictions). Without hits all
    three are 0, or what a library prints for an undefined one (0 or 1).
    """
    found = []
    low, high = row.recall or (Fraction(0), Fraction(1))
    # A class without images has no recall; whatever is printed for it says nothing.
    for hits in whole_numbers(low * row.support, high * row.support) if row.support else [0]:
        fewest, most = hits, hits + n_images - row.support
        if hits == 0:
            undefined = [bound for bound in (row.precision, row.f1) if bound and bound[0] > 0 and bound[1] < 1]
            never = row.f1 and row.f1[0] > 0 and row.support
            if not undefined and not never:
                found.append(Counts(0, 0, 0 if row.precision and row.precision[0] > 0 else most))
            continue
        if row.precision:
            p_low, p_high = row.precision
            fewest = max(fewest, -((-hits * p_high.denominator) // p_high.numerator)) if p_high else most + 1
            most = min(most, hits * p_low.denominator // p_low.numerator) if p_low else most
        if row.f1:
            f_low, f_high = row.f1
            if not f_high:
                continue
            fewest = max(fewest, -((-2 * hits * f_high.denominator) // f_high.numerator) - row.support)
            most = min(most, 2 * hits * f_low.denominator // f_low.numerator - row.support) if f_low else most
        if fewest <= most:
            found.append(Counts(hits, fewest, most))
    return found


def report_is_possible(options: Sequence[Sequence[Counts]], n_images: int, accuracy: Bounds | None) -> bool:
    """Whether one possibility of each class can be chosen so that predictions add up to the images, and hits to the
    accuracy. For every total of hits the totals of predictions are widened to an interval."""
    reached: dict[int, tuple[int, int]] = {0: (0, 0)}
    for own in options:
        wider: dict[int, tuple[int, int]] = {}
        for hits, (fewest, most) in reached.items():
            for one in own:
                low, high = wider.get(hits + one.hits, (n_images + 1, -1))
                wider[hits + one.hits] = (min(low, fewest + one.fewest), max(high, most + one.most))
        reached = wider
    low, high = accuracy or (Fraction(0), Fraction(1))
    wanted = whole_numbers(low * n_images, high * n_images)
    return any(hits in wanted and span[0] <= n_images <= span[1] for hits, span in reached.items())


def metric_range(options: Sequence[Counts], row: Row, metric: str) -> Bounds:
    """Lowest and highest precision, recall or F1 of a class over its possibilities; 0 to 1 where it is undefined."""
    if not row.support and metric != "precision":
        return Fraction(0), Fraction(1)
    values = []
    for one in options:
        if metric == "recall":
            values.append(Fraction(one.hits, row.support))
        elif one.hits == 0:
            values += [Fraction(0), Fraction(int(metric == "precision" and one.fewest == 0))]
        elif metric == "precision":
            values += [Fraction(one.hits, one.fewest), Fraction(one.hits, one.most)]
        else:
            values += [Fraction(2 * one.hits, row.support + n) for n in (one.fewest, one.most)]
    return min(values), max(values)


# Confusion matrices in per cent


def total_is_possible(row: Sequence[Bounds], n: int) -> bool:
    """Whether whole counts that add up to n give every printed share of the row; a row of no images has no shares."""
    own = [whole_numbers(low * n, high * n) for low, high in row]
    return n > 0 and all(own) and sum(counts[0] for counts in own) <= n <= sum(counts[-1] for counts in own)


@functools.lru_cache(maxsize=1024)  # several checks ask for the same rows
def totals(row: tuple[Bounds, ...], up_to: int) -> np.ndarray:
    """int (T,): the totals n ≤ up_to for which whole counts, adding up to n, give every printed share of the row."""
    n = np.arange(1, up_to + 1, dtype=np.int64)
    low = [-((-n * bound[0].numerator) // bound[0].denominator) for bound in row]
    high = [n * bound[1].numerator // bound[1].denominator for bound in row]
    whole = np.all([a <= b for a, b in zip(low, high)], axis=0)
    return n[whole & (np.sum(low, axis=0) <= n) & (n <= np.sum(high, axis=0))]
