"""Scores over runs that differ in their seed, and the one formula of their interval. Each run is scored once and kept.

What is kept lies in the cache folder, by the digest of the record, and is made anew where the record, the subsets of
its copy or the code of a metric changed. A file there that cannot be read counts as missing.
"""

import hashlib
import math
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import msgspec
import numpy as np

from fer_common import evaluation
from fer_common.data import cache_folder
from fer_common.data.utkface import TASKS
from fer_common.files import keep, kept_in
from fer_common.progress import progress
from fer_common.records import Predictions
from fer_common.results import image_sets
from fer_common.results.groups import FinishedRun, Group
from fer_common.results.image_sets import ImageSet

VERSION = 4  # raise when image sets or what is kept of them change: what was kept is then made anew

RUNNING = {"accuracy": "running_accuracy", "log_loss": "running_loss"}


class Cell(msgspec.Struct, frozen=True):
    """One run's scores on one image set after one epoch.

    matrix: images by true and predicted class, summed over its networks. values: by flat metric, (value, standard
    deviation over images), means over its networks: that deviation is one network's, and no less than their mean's.
    networks: how many predicted each image; more than one of `each_fold` alone.
    """

    image_set: ImageSet
    epoch: int
    matrix: list[list[int]]
    values: dict[str, tuple[float, float]]
    networks: int = 1

    @classmethod
    def of(
        cls, image_set: ImageSet, epoch: int, predictions: Predictions, classes: Sequence[str], n_folds: int
    ) -> "Cell":
        """n_folds: how many networks there are where the set is of each fold."""
        rows = np.flatnonzero(image_set.rows(predictions))
        networks = n_folds if image_set.of == "each_fold" else 1
        label, probabilities = predictions.label[rows], predictions.at(epoch)[rows]
        matrix = evaluation.confusion_matrix(label, probabilities.argmax(1), len(classes)).tolist()
        of_each = [
            evaluation.measures(*of_network, classes)
            for of_network in zip(np.split(label, networks), np.split(probabilities, networks))
        ]
        means = {
            name: (fmean(own[name][0] for own in of_each), fmean(own[name][1] for own in of_each))
            for name in of_each[0]
        }
        return cls(image_set, epoch, matrix, means, networks)


class Scored(msgspec.Struct, frozen=True):
    """Everything that is ever asked of one run's predictions.

    sets: in the order in which tables show them. protocol: by `scored`, `unseen`, `fitted`. usages: images by usage.
    right: of its rows after the last epoch: by role; and under PrivateTest of those that nothing was fitted on.
    """

    epochs: list[int]
    sets: list[ImageSet]
    protocol: dict[str, ImageSet]
    usages: dict[str, int]
    cells: list[Cell]
    right: dict[str, "Right"]


class Right(msgspec.Struct, frozen=True):
    """Which images of one usage a run is right on, in the order of row ids: a bit each."""

    usage: str
    n: int
    bits: bytes

    @classmethod
    def of(cls, predictions: Predictions, of_them: np.ndarray) -> "Right":
        """of_them: bool (N,), the rows of the usage."""
        rows = np.flatnonzero(of_them)
        rows = rows[np.argsort(predictions.row_id[rows])]
        right = predictions.probabilities[-1][rows].argmax(1) == predictions.label[rows]
        return cls(str(predictions.usage[rows[0]]), len(rows), np.packbits(right).tobytes())

    def as_numbers(self) -> np.ndarray:
        """float (n,): 1 where the run is right."""
        return np.unpackbits(np.frombuffer(self.bits, np.uint8), count=self.n).astype(float)


@dataclass(frozen=True)
class Measured:
    """A metric over seeds: mean, sd (NaN for one seed), 95 % bounds of the mean, sd of the mean over images."""

    mean: float
    sd: float
    low: float
    high: float
    image_sd: float
    n_runs: int
    n_images: int


def score(run: FinishedRun) -> Scored:
    """Score a run on every image set after every epoch that it kept."""
    predictions = run.predictions()
    sets, protocol = image_sets.of_predictions(predictions), image_sets.of_protocol(predictions)
    classes = TASKS[run.task]
    cells = [
        Cell.of(image_set, epoch, predictions, classes, len(run.paths))
        for image_set in dict.fromkeys([*sets, *protocol.values()])
        for epoch in predictions.epochs.tolist()
    ]
    folded = predictions.of_folds is not None
    once = np.unique(predictions.row_id, return_index=True)[1] if folded else slice(None)
    usages = {str(usage): int(n) for usage, n in zip(*np.unique(predictions.usage[once], return_counts=True))}
    of_them = {role: predictions.role == role for role in ("score", "fit")} | {
        "PrivateTest": image_sets.HONEST.rows(predictions)
    }
    right = {name: Right.of(predictions, rows) for name, rows in of_them.items() if rows.any()}
    return Scored(predictions.epochs.tolist(), sets, protocol, usages, cells, right)


def _key(run: FinishedRun) -> str:
    described = f"{VERSION} {evaluation.VERSION} {run.task} {run.left_out_of} {run.digests}"
    return hashlib.sha256(described.encode()).hexdigest()[:32]


def _score_and_keep(run: FinishedRun, path: Path) -> Scored:
    found = score(run)
    keep(path, found)
    return found


class Scores:
    """The scores of groups' runs, from the cache or made now, on all cores."""

    def __init__(self, groups: Iterable[Group]):
        every = {id(run): run for group in groups for run in (*group.runs, *group.folds)}
        folder = cache_folder() / "scores"
        paths = {number: folder / _key(run) for number, run in every.items()}
        kept = {number: kept_in(path, Scored) for number, path in paths.items()}
        self._of = {number: scored for number, scored in kept.items() if scored is not None}
        missing = [number for number in every if number not in self._of]
        jobs = [(every[number], paths[number]) for number in missing]
        self._of |= zip(missing, progress(_on_all_cores(jobs), len(jobs), "scoring runs"))
        self._measured: dict[tuple, Measured] = {}
        self._cells = {
            number: {(cell.image_set, cell.epoch): cell for cell in scored.cells} for number, scored in self._of.items()
        }

    def of(self, run: FinishedRun) -> Scored:
        return self._of[id(run)]

    def cell(self, run: FinishedRun, image_set: ImageSet, epoch: int) -> Cell:
        return self._cells[id(run)][image_set, epoch]

    def sets(self, group: Group) -> list[ImageSet]:
        """The image sets of a group, as its first run has them."""
        return self.of(group.runs[0]).sets

    def support(self, group: Group, image_set: ImageSet) -> list[int]:
        """Images by class, as in the first run."""
        run = group.runs[0]
        cell = self.cell(run, image_set, self.of(run).epochs[-1])
        return [sum(row) // cell.networks for row in cell.matrix]

    def n_images(self, group: Group, image_set: ImageSet) -> int:
        return sum(self.support(group, image_set))

    def keeps(self, group: Group, epochs: tuple[int, ...]) -> bool:
        """Whether each run kept its predictions after its epoch of `epochs`."""
        return all(epoch in self.of(run).epochs for epoch, run in zip(epochs, group.runs))

    def metrics(self, group: Group) -> list[str]:
        """The flat names of all metrics of a group's task."""
        return list(self.of(group.runs[0]).cells[0].values)

    def measure(self, group: Group, metric: str, image_set: ImageSet, epochs: tuple[int, ...]) -> Measured:
        """`metric` over the group's seeds, at `epochs[i]` of the i-th run."""
        key = id(group.runs[0]), len(group.runs), metric, image_set, epochs
        if key not in self._measured:
            cells = [self.cell(run, image_set, epoch).values[metric] for run, epoch in zip(group.runs, epochs)]
            values, image_sds = zip(*cells)
            n_images = self.n_images(group, image_set)
            self._measured[key] = over_seeds(metric, values, sum(image_sds) / len(image_sds), n_images)
        return self._measured[key]

    def running(self, group: Group, metric: str, epochs: tuple[int, ...]) -> tuple[ImageSet, Measured]:
        """`accuracy` or `log_loss` as Keras kept it while it trained, dropout included: no score of the network."""
        values = [run.history[epoch - 1][RUNNING[metric]] for run, epoch in zip(group.runs, epochs)]
        fitted = self.of(group.runs[0]).protocol["fitted"]
        # A loss kept only as an epoch's mean has no spread over images to be had; that over seeds is what remains.
        return replace(fitted, of="running"), over_seeds(metric, values, np.nan, self.n_images(group, fitted))

    def mean_over_tasks(
        self, system: list[Group], seeds: list[int], against: list[Group] | None = None, *, gap: bool = False
    ) -> tuple[ImageSet, Measured]:
        """Mean accuracy on tested images of a system's groups, one a task, or its lead over another's, paired.

        The same seeds and the same images are on both sides: each seed's difference is one draw, each image's mean
        difference over the seeds another. Of a mean over tasks, an image's differences in the tasks that it is labelled
        for count as one; what comes from different images adds up.
        gap: of the accuracy on tested images less that on fitted ones, of which the greater is the better.
        """
        over_tasks = np.zeros(len(seeds))
        over_images: dict[tuple[str, str], np.ndarray] = {}  # by usage and role
        for number, ours in enumerate(system):
            for role, sign in (("score", 1), ("fit", -1)) if gap else (("score", 1),):
                usage, right = self._right_by_seed(ours, seeds, role)
                if against:
                    right = right - self._right_by_seed(against[number], seeds, role)[1]
                over_tasks += sign * right.mean(1) / len(system)
                source = usage, role
                over_images[source] = over_images.get(source, 0.0) + sign * right.mean(0) / len(system)
        image_sd = np.sqrt(sum(own.var(ddof=1) / own.size for own in over_images.values()))
        scored = {usage: own.size for (usage, role), own in over_images.items() if role == "score"}
        mean, n = float(over_tasks.mean()), len(seeds)
        sd = float(over_tasks.std(ddof=1)) if n > 1 else np.nan
        half = half_interval(sd, n, image_sd)
        measured = Measured(mean, sd, mean - half, mean + half, float(image_sd), n, sum(scored.values()))
        return ImageSet(tuple(scored), ("score",)), measured

    def tells(self, group: Group, role: str) -> bool:
        """Whether each of its runs has images of this role."""
        return all(role in self.of(run).right for run in group.runs)

    def _right_by_seed(self, group: Group, seeds: list[int], role: str) -> tuple[str, np.ndarray]:
        by_seed = {run.record.seed: self.of(run).right[role] for run in group.runs}
        return by_seed[seeds[0]].usage, np.stack([by_seed[seed].as_numbers() for seed in seeds])


def kept_running(group: Group) -> bool:
    """Whether all runs kept the metric that Keras has while it trains."""
    return all(run.history and RUNNING["accuracy"] in run.history[0] for run in group.runs)


def over_seeds(metric: str, values: Sequence[float], image_sd: float, n_images: int) -> Measured:
    """The mean of one value a seed, with its interval.

    image_sd: standard deviation over images of the mean; that of an accuracy follows from its value.
    """
    n = len(values)
    mean = math.fsum(values) / n
    if metric == "accuracy":
        image_sd = math.sqrt(mean * (1 - mean) / n_images)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else math.nan
    half = half_interval(sd, n, image_sd)
    highest = math.inf if metric == "log_loss" else 1.0
    return Measured(mean, sd, max(mean - half, 0.0), min(mean + half, highest), image_sd, n, n_images)


def half_interval(sd: float, n: int, image_sd: float) -> float:
    """Half of the 95 % interval of a mean over n seeds: √(t²s²/n + 1.96²v), t Student's quantile for n − 1 degrees of
    freedom, s the standard deviation over seeds, v the variance over images; with one seed, over images alone.

    image_sd: NaN where it cannot be known; the interval is then over seeds alone.
    """
    if n == 1:
        return 1.96 * image_sd
    return math.hypot(student(n) * sd / math.sqrt(n), 0.0 if math.isnan(image_sd) else 1.96 * image_sd)


@lru_cache
def student(n: int) -> float:
    """The two-sided 95 % quantile of Student's distribution for n − 1 degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.975))


def _on_all_cores(jobs: list[tuple[FinishedRun, Path]]) -> Iterator[Scored]:
    """`_score_and_keep` of each job, in order."""
    if len(jobs) < 4:  # starting processes costs more than it saves
        yield from (_score_and_keep(*job) for job in jobs)
        return
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_score_and_keep, *zip(*jobs))
