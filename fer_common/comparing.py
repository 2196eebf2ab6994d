"""Two runs on the same images: which is right more often, and can these images tell?

From two records alone: their rows are joined by row id, and only images that had the same role in both count. What is
asked is whether two networks differ on such images. Whether two systems differ is another question, which needs several
seeds of each: `results.measure.mean_over_tasks` asks it for the claims. Folds are not pooled here: one fold is compared
with one fold.
"""

import re
import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from fer_common import UserError, evaluation, records
from fer_common.data.attributes import TASKS
from fer_common.records import Predictions, Record
from fer_common.results import image_sets, render
from fer_common.results.image_sets import ImageSet

ROLES = ("score", "unknown", "seen", "select", "unused", "fit")
"""In the order of how much a comparison on images of theirs says."""
LEVEL = 0.05  # of a p-value below which images tell two runs apart; the intervals are those of 1 − LEVEL
WIDTH = 100  # columns of the text


@dataclass(frozen=True)
class Run:
    """A record and its predictions by task."""

    path: Path
    record: Record
    predictions: dict[str, Predictions]

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Of a folder. Raises UserError where it holds no record of a finished run, or a damaged one."""
        if not (path / "record.json").is_file():
            raise UserError(f"{path}: there is no record; name the folder that holds record.json.")
        record = records.read_record(path)
        if record.status != "ok":
            raise UserError(f"{path}: the run failed ({record.error}); there is nothing to compare.")
        tasks = (record.task, *record.further_metrics)
        return cls(path, record, {task: records.read_predictions(path, record, task) for task in tasks})

    @property
    def name(self) -> str:
        return f"{self.record.paper}/{self.record.system}/{self.path.resolve().name}"

    def copy_of(self, task: str) -> str:
        """The fingerprint of the copy of the data that the task's rows are of."""
        data = self.record.data
        return (data if task == "expression" else data["attributes"])["fingerprint"]


@dataclass(frozen=True)
class Difference:
    """One metric of both, and A less B with its 95 % bounds over images; all are shares of 1.

    metric: its flat name, as in `evaluation`. n_images: how many it is about. only_a, only_b: the discordant pairs,
    images on which one alone is right; p_value: McNemar's exact one; p_holm: the same after Holm's correction over the
    classes. These are None where there are none: for macro-F1, and `p_holm` for all but the classes.
    """

    metric: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    n_images: int
    only_a: int | None = None
    only_b: int | None = None
    p_value: float | None = None
    p_holm: float | None = None


@dataclass(frozen=True)
class OnImages:
    """Both runs on one image set. recalls: a difference for each class that has images."""

    image_set: ImageSet
    accuracy: Difference
    macro_f1: Difference
    recalls: tuple[Difference, ...]


@dataclass(frozen=True)
class LeftOut:
    """Images of one task that are not compared.

    only_a, only_b: how many one record alone has. roles: (role in A, role in B, images) where the two differ.
    copies: rows beyond the first of their image, in both records together, where a protocol repeats images.
    """

    only_a: int
    only_b: int
    roles: tuple[tuple[str, str, int], ...]
    copies: int


@dataclass(frozen=True)
class OfTask:
    """Both runs in one task. sets: those that say most first."""

    task: str
    data: str
    sets: tuple[OnImages, ...]
    left_out: LeftOut


@dataclass(frozen=True)
class Comparison:
    """Two runs after their last epochs, in each task that both have. a, b: paper/system/folder."""

    a: str
    b: str
    epoch_a: int
    epoch_b: int
    tasks: tuple[OfTask, ...]

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


def compare(a: Run, b: Run) -> Comparison:
    """Raises UserError where the two have no task, no copy of the data, or no row in the same role in common."""
    tasks = [task for task in a.predictions if task in b.predictions]
    if not tasks:
        of_a, of_b = (", ".join(run.predictions) for run in (a, b))
        raise UserError(f"A predicts {of_a}, B {of_b}; name two runs that have a task in common.")
    found = []
    for task in tasks:
        if a.copy_of(task) != b.copy_of(task):
            raise UserError(
                f"A was run on the copy {a.copy_of(task)} of the data, B on {b.copy_of(task)}: equal row ids need not "
                "be equal images there; name two runs on one copy."
            )
        joined_a, joined_b, left_out = join(a.predictions[task], b.predictions[task])
        found.append(OfTask(task, a.copy_of(task), compare_predictions(joined_a, joined_b, TASKS[task]), left_out))
    return Comparison(a.name, b.name, a.record.epochs_run, b.record.epochs_run, tuple(found))


def join(a: Predictions, b: Predictions) -> tuple[Predictions, Predictions, LeftOut]:
    """The rows that both have in the same role, in the order of their ids and after the last epoch alone.

    Of an image that is there several times the first row counts: its copies are no further images. Raises UserError
    where no row is left, or where one has another label or usage in B than in A.
    """
    common, rows_a, rows_b = np.intersect1d(a.row_id, b.row_id, return_indices=True)  # the first of each id
    for name in ("label", "usage"):
        values_a, values_b = getattr(a, name)[rows_a], getattr(b, name)[rows_b]
        if (apart := np.flatnonzero(values_a != values_b)).size:
            first = apart[0]
            raise UserError(
                f"Row {common[first]} has the {name} {values_a[first]} in A and {values_b[first]} in B, although both "
                "name the same copy of the data; `ferrepro check` says which is wrong."
            )
    role_a, role_b = a.role[rows_a], b.role[rows_b]
    same = role_a == role_b
    pairs = Counter(zip(role_a[~same].tolist(), role_b[~same].tolist()))
    if not same.any():
        why = f"all {len(common):,} that both have differ in their role" if len(common) else "they share no row id"
        raise UserError(f"A and B have no image in the same role ({why}), so there is nothing to compare.")
    n_a, n_b = len(np.unique(a.row_id)), len(np.unique(b.row_id))
    left_out = LeftOut(
        only_a=n_a - len(common),
        only_b=n_b - len(common),
        roles=tuple((*roles, n) for roles, n in pairs.most_common()),
        copies=len(a.row_id) - n_a + len(b.row_id) - n_b,
    )
    return _take(a, rows_a[same]), _take(b, rows_b[same]), left_out


def _take(predictions: Predictions, rows: np.ndarray) -> Predictions:
    by_row = {name: getattr(predictions, name)[rows] for name in ("row_id", "usage", "role", "label")}
    last = predictions.probabilities[-1:, rows]
    return replace(predictions, **by_row, epochs=predictions.epochs[-1:], probabilities=last)


def compare_predictions(a: Predictions, b: Predictions, classes: Sequence[str]) -> tuple[OnImages, ...]:
    """On each image set of one role, of two predictions whose rows are the same (see `join`).

    The sets are those of the tables: usages that the split drew from together are one set.
    """
    sets = [image_set for image_set in image_sets.of_predictions(a) if len(image_set.roles) == 1]
    found = []
    for image_set in sorted(sets, key=lambda own: ROLES.index(own.roles[0])):
        rows = image_set.rows(a)
        predicted = (own.probabilities[-1][rows].argmax(1) for own in (a, b))
        found.append(OnImages(image_set, *differences(a.label[rows], *predicted, classes)))
    return tuple(found)


def differences(
    label: np.ndarray, a: np.ndarray, b: np.ndarray, classes: Sequence[str]
) -> tuple[Difference, Difference, tuple[Difference, ...]]:
    """(accuracy, macro-F1, recall of each class that has images) of labels and predicted classes, int (N,) each.

    The bounds are the 2.5 and 97.5 per cent quantiles of the difference over 1,000 resamples of the images, on which
    both runs are scored. They are drawn as counts of (label, predicted by A, predicted by B), which is what drawing
    images comes to; of an accuracy it is the same as counts of both right, only A, only B, both wrong.
    """
    k, n = len(classes), len(label)
    # The draw must not depend on which run is called A, or swapping them would do more than turn signs.
    turned = a.astype(np.uint8).tobytes() > b.astype(np.uint8).tobytes()
    first, second = (b, a) if turned else (a, b)
    cells = np.bincount((label.astype(int) * k + first) * k + second, minlength=k**3).reshape(k, k, k)
    drawn = np.random.default_rng([2013, n]).multinomial(n, cells.ravel() / n, evaluation.RESAMPLES)
    of_first, of_second = _scores(cells, classes)
    drawn_first, drawn_second = _scores(drawn.reshape(-1, k, k, k), classes)

    def difference(metric: str, n_images: int, only: tuple[int, int] | None = None) -> Difference:
        low, high = np.quantile(drawn_first[metric] - drawn_second[metric], (LEVEL / 2, 1 - LEVEL / 2)).tolist()
        values = float(of_first[metric]), float(of_second[metric])
        if turned:
            values, low, high, only = values[::-1], -high, -low, only and only[::-1]
        found = Difference(metric, *values, values[0] - values[1], low, high, n_images)
        return replace(found, only_a=only[0], only_b=only[1], p_value=mcnemar(*only)) if only else found

    numbers = np.arange(k)
    both = cells[numbers, numbers, numbers]
    only_first = cells[numbers, numbers].sum(1) - both
    only_second = cells[numbers, :, numbers].sum(1) - both
    support = cells.sum((1, 2)).tolist()
    accuracy = difference("accuracy", n, (int(only_first.sum()), int(only_second.sum())))
    recalls = [
        difference(f"recall.{name}", support[i], (int(only_first[i]), int(only_second[i])))
        for i, name in enumerate(classes)
        if support[i]
    ]
    corrected = holm([own.p_value for own in recalls])
    recalls = tuple(replace(own, p_holm=p) for own, p in zip(recalls, corrected, strict=True))
    return accuracy, difference("f1.macro", n), recalls


def _scores(cells: np.ndarray, classes: Sequence[str]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The metrics of both, of counts (..., label, predicted by the first, predicted by the second)."""
    return evaluation.from_confusion(cells.sum(-1), classes), evaluation.from_confusion(cells.sum(-2), classes)


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided p-value of McNemar's test (1947): of the images on which one alone is right, a half would
    be A's if both were right as often."""
    from scipy.stats import binomtest

    n = only_a + only_b
    return float(binomtest(only_a, n, 0.5).pvalue) if n else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected for being asked together, in the order in which they came (Holm 1979): the i-th smallest of m times
    m − i + 1, and no less than the one before it."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))), 1)
    return corrected.tolist()


# A terminal


def text(comparison: Comparison) -> str:
    """The comparison for a terminal, in 100 columns."""
    lines = _wrapped(f"A: {comparison.a}, epoch {comparison.epoch_a}")
    lines += _wrapped(f"B: {comparison.b}, epoch {comparison.epoch_b}")
    for own in comparison.tasks:
        for on_images in own.sets:
            task = "" if own.task == "expression" else f"{own.task}, "
            name = f"{task}{render.name_of(on_images.image_set)}"
            said = f"{name}: {sentence(on_images.accuracy)}"
            if not on_images.image_set.held_out:
                said += " Both, or a part of each, were fitted on these images."
            lines += ["", *_wrapped(said), *_table(on_images)]
        if said := _left_out(own.left_out):
            of = "" if own.task == "expression" else f" of {own.task}"
            lines += ["", *_wrapped(f"Left out{of}: {said}.")]
    note = (
        "Shares are in per cent, differences (A − B) in points, with their 95 % bootstrap interval over images. p is "
        "that of McNemar's exact test; below 0.05 it tells the two apart. Holm's p is corrected for the classes being "
        "asked together. All this is about two networks: what other seeds would give is not in it."
    )
    return "\n".join([*lines, "", *_wrapped(note)])


def sentence(accuracy: Difference) -> str:
    """What was found, and whether these images tell the two apart: they do where McNemar's p is below 0.05."""
    n, lead = accuracy.n_images, accuracy.only_a - accuracy.only_b
    apart = accuracy.only_a + accuracy.only_b
    right = round(accuracy.a * n)
    if not apart:
        return f"A and B are right on the same {right:,} of {n:,} images: these images cannot tell them apart."
    if lead:
        who = f"A is right on {abs(lead):,} {'more' if lead > 0 else 'fewer'} of {n:,} images than B"
    else:
        who = f"A and B are right on {right:,} of {n:,} images each"
    told = accuracy.p_value < LEVEL
    verdict = "this is more than the choice of images explains" if told else "these images cannot tell them apart"
    pairs = f"{apart:,} image{'s' * (apart > 1)} on which one alone is right"
    return f"{who}: {_points(accuracy, ' points')}, McNemar {_p(accuracy.p_value, 'p')} ({pairs}): {verdict}."


def _table(on_images: OnImages) -> list[str]:
    head = ("", "A", "B", "A − B [95 %]", "images", "only A", "only B", "p", "Holm's p")
    rows = [head]
    named = [("accuracy", on_images.accuracy), ("macro-F1", on_images.macro_f1)]
    named += [(own.metric.replace("recall.", "recall of ", 1), own) for own in on_images.recalls]
    for name, own in named:
        counts = ["" if n is None else f"{n:,}" for n in (own.n_images, own.only_a, own.only_b)]
        p_values = ["" if p is None else _p(p) for p in (own.p_value, own.p_holm)]
        rows.append((name, f"{100 * own.a:.1f}", f"{100 * own.b:.1f}", _points(own), *counts, *p_values))
    widths = (20, 6, 6, 22, 8, 8, 8, 8, 10)
    lines = (f"  {name:{widths[0]}}" + "".join(map(str.rjust, cells, widths[1:])) for name, *cells in rows)
    return [line.rstrip() for line in lines]


def _left_out(left_out: LeftOut) -> str:
    """Nothing where nothing was."""
    parts = []
    if left_out.roles:
        total = sum(n for *_, n in left_out.roles)
        by_pair = "; ".join(f"{a} in A, {b} in B: {n:,}" for a, b, n in left_out.roles)
        parts.append(f"{_images(total)} whose role differs ({by_pair})")
    parts += [f"{_images(n)} of {who} alone" for who, n in (("A", left_out.only_a), ("B", left_out.only_b)) if n]
    if left_out.copies:
        parts.append(f"{left_out.copies:,} further copies of images that are there several times")
    return "; ".join(parts)


def _images(n: int) -> str:
    return f"{n:,} image{'s' * (n != 1)}"


def _points(own: Difference, unit: str = "") -> str:
    """`+0.6 [−0.9, 2.2]`."""
    low, high = (_signed(bound, "") for bound in (own.low, own.high))
    return f"{_signed(own.difference, '+')}{unit} [{low}, {high}]"


def _signed(share: float, plus: str) -> str:
    """In points with one decimal; a zero has no sign."""
    value = round(100 * share, 1)
    return f"{abs(value):.1f}" if not value else f"{'−' if value < 0 else plus}{abs(value):.1f}"


def _p(value: float, name: str = "") -> str:
    """`0.41`, `0.038`, `< 0.001`; with a name `p = 0.41`, `p < 0.001`."""
    if value < 0.001:
        return f"{name} < 0.001".strip()
    shown = f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
    return f"{name} = {shown}" if name else shown


def _wrapped(line: str) -> list[str]:
    """In lines of 100 columns, which tear apart neither `p = 0.41` nor an interval."""
    kept = re.sub(r" [=<] |\[\S+, ", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), line)
    lines = textwrap.wrap(kept, WIDTH, break_on_hyphens=False)
    return [each.replace("\N{NO-BREAK SPACE}", " ") for each in lines]
