"""What each mistake is worth, in points: the runs of the laboratory, paired over seeds.

`leak`: what a protocol prints less what the same network gets on PrivateTest, which it had not seen. `effect`: what
that network gets on PrivateTest less what the honest one of the same seed gets. What is no protocol of its own (the
choice of an epoch, a reading of a metric) is read off the honest runs.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np
import pandas as pd

from fer_common.data import EMOTIONS
from fer_common.results.groups import FinishedRun, Group
from fer_common.results.image_sets import HONEST, ImageSet
from fer_common.results.measure import Scores, half_interval

LABORATORY = "laboratory"
OFFICIAL = "every_epoch", "official"
METRICS = ("accuracy", "f1.macro", "auc.macro")
PUBLIC = ImageSet(("PublicTest",), ("select",))
FITTED = ImageSet(("Training",), ("fit",))
MISTAKES: dict[tuple[str, str], tuple[str, str]] = {
    ("cnn", "without_private_80_20"): ("split", "test images drawn from the pool of the training images"),
    ("cnn", "without_private_80_20_grouped"): ("split", "the same, identical images on one side"),
    ("cnn", "folds_without_private"): ("split", "five folds of one pool"),
    ("cnn", "evaluation_tenth"): ("split", "a tenth of Training called evaluation set"),
    ("cnn", "public_fitted"): ("split", "PublicTest trained on, too"),
    ("cnn", "official_without_twins"): ("split", "training images that the test holds too left out"),
    ("cnn", "oversample_without_private"): ("before the split", "classes balanced by repetition before the split"),
    ("cnn", "undersample_without_private"): ("before the split", "classes balanced by a smaller draw before the split"),
    ("cnn", "mirror_without_private"): ("before the split", "mirror images added before the split"),
    ("standardised", "transforms_without_private"): ("before the split", "scaler fitted on the test images, too"),
    ("standardised", "without_private_80_20"): ("before the split", "the same, scaler fitted on training images alone"),
    ("batch_attention", "official"): ("batch", "attention over the images of a batch"),
    ("blurred", "official"): ("images", "a blurred copy"),
    ("equalised", "official"): ("images", "a copy with equalised histograms"),
    ("upscaled", "official"): ("images", "a copy brought from half the size"),
    ("jpeg", "official"): ("images", "a copy as JPEG of quality 50"),
}
"""(kind, in words) of what the laboratory runs, by system and protocol."""

BySeed = Mapping[int, tuple[float, float]]
"""Of each seed a value, and its standard deviation over images."""


@dataclass(frozen=True)
class Difference:
    """Mean over seeds of what is paired by seed, with its 95 % interval."""

    mean: float
    low: float
    high: float
    seeds: int

    @classmethod
    def of(cls, ours: BySeed, theirs: BySeed) -> "Difference | None":
        """Images of the two are other ones, or paired ones whose covariance is left out: variances add."""
        common = sorted(set(ours) & set(theirs))
        if not common:
            return None
        apart = [ours[seed][0] - theirs[seed][0] for seed in common]
        image_sd = math.hypot(*(fmean(side[seed][1] for seed in common) for side in (ours, theirs)))
        sd = float(np.std(apart, ddof=1)) if len(common) > 1 else math.nan
        half = half_interval(sd, len(common), image_sd)
        mean = fmean(apart)
        return cls(mean, mean - half, mean + half, len(common))


def prices(groups: Iterable[Group], scores: Scores) -> pd.DataFrame:
    """A row a mistake and metric, in the order of MISTAKES, then what is read off the honest runs; none where those did
    not run."""
    own = {
        (group.record.system, group.record.protocol): group
        for group in groups
        if group.record.paper == LABORATORY
        and group.unchanged
        and group.record.preset == "full"
        and group.record.data["source"] == "fer2013"
    }
    official = own.get(OFFICIAL)
    if official is None:
        return pd.DataFrame()
    rows = []
    for key, (kind, words) in MISTAKES.items():
        if group := own.get(key):
            for metric in METRICS:
                printed, private = _printed(group, metric, scores), _private(group, metric, scores)
                honest = _private(official, metric, scores)
                leak = None if kind in ("images", "batch") else Difference.of(printed, private)
                rows.append(_row(kind, words, metric, printed, leak, Difference.of(private, honest), key, "run"))
    rows += _selection(official, scores)
    rows += _arithmetic(official, scores)
    rows += _pairs(own, official, scores)
    return pd.DataFrame(rows)


def _row(kind, words, metric, printed: BySeed, leak, effect, key, source) -> dict:
    row = {"kind": kind, "mistake": words, "metric": metric, "system": key[0], "protocol": key[1], "source": source}
    row |= {"printed_value": fmean(value for value, _ in printed.values()), "seeds": len(printed)}
    for name, own in (("leak", leak), ("effect", effect)):
        row |= {name: own and own.mean, f"{name} low": own and own.low, f"{name} high": own and own.high}
    return row


def _of(runs: Iterable[FinishedRun], image_set: ImageSet, metric: str, scores: Scores, epochs=None) -> BySeed:
    epochs = epochs or {}
    return {
        run.record.seed: scores.cell(run, image_set, epochs.get(run.record.seed, run.record.epochs_run)).values[metric]
        for run in runs
    }


def _printed(group: Group, metric: str, scores: Scores) -> BySeed:
    """What the protocol calls its test images, and prints."""
    return _of(group.runs, scores.of(group.runs[0]).protocol["scored"], metric, scores)


def _private(group: Group, metric: str, scores: Scores) -> BySeed:
    """PrivateTest; of folds the mean over their networks, each of which is one."""
    if not group.folds:
        return _of(group.runs, HONEST, metric, scores)
    by_seed: dict[int, list[tuple[float, float]]] = {}
    for run in group.folds:
        own = scores.cell(run, HONEST, run.record.epochs_run).values[metric]
        by_seed.setdefault(run.record.seed, []).append(own)
    return {seed: (fmean(v for v, _ in own), fmean(sd for _, sd in own)) for seed, own in by_seed.items()}


# Read off the honest runs


def _selection(official: Group, scores: Scores) -> Iterator[dict]:
    """Which epoch, and which seed, is printed."""
    by_public = {run.record.seed: _best(run, [PUBLIC], scores) for run in official.runs}
    by_private = {run.record.seed: _best(run, [HONEST], scores) for run in official.runs}
    by_both = {run.record.seed: _best(run, [PUBLIC, HONEST], scores) for run in official.runs}
    for metric in METRICS:
        last = _of(official.runs, HONEST, metric, scores)
        chosen = _of(official.runs, HONEST, metric, scores, by_public)
        at_best = _of(official.runs, HONEST, metric, scores, by_private)
        fitted = _of(official.runs, FITTED, metric, scores)
        rows = [
            ("split", "training images scored as test images", fitted, Difference.of(fitted, last)),
            ("selection", "the epoch that is best on PrivateTest", at_best, Difference.of(at_best, chosen)),
        ]
        if metric == "accuracy":
            merged = {run.record.seed: _merged(run, by_both[run.record.seed], scores) for run in official.runs}
            says = "PublicTest and PrivateTest choose the epoch, and are printed"
            rows.append(("selection", says, merged, Difference.of(merged, chosen)))
        for kind, words, printed, leak in rows:
            yield _row(kind, words, metric, printed, leak, None, OFFICIAL, "read off")
        values = [value for value, _ in last.values()]
        for k in (3, 5):
            if len(values) >= k:
                expected = fmean(max(own) for own in combinations(values, k))
                row = _row(
                    "selection", f"the best of {k} seeds on PrivateTest", metric, last, None, None, OFFICIAL, "read off"
                )
                yield row | {"printed_value": expected, "leak": expected - fmean(values)}


def _best(run: FinishedRun, sets: Sequence[ImageSet], scores: Scores) -> int:
    """The epoch with the most hits on some images."""
    return max(scores.of(run).epochs, key=lambda epoch: sum(_hits(run, own, epoch, scores)[0] for own in sets))


def _hits(run: FinishedRun, image_set: ImageSet, epoch: int, scores: Scores) -> tuple[int, int]:
    matrix = np.array(scores.cell(run, image_set, epoch).matrix)
    return int(np.trace(matrix)), int(matrix.sum())


def _merged(run: FinishedRun, epoch: int, scores: Scores) -> tuple[float, float]:
    both = [_hits(run, own, epoch, scores) for own in (PUBLIC, HONEST)]
    share, n = sum(hits for hits, _ in both) / sum(n for _, n in both), sum(n for _, n in both)
    return share, math.sqrt(share * (1 - share) / n)


def _arithmetic(official: Group, scores: Scores) -> Iterator[dict]:
    """The same predictions, counted in another way: printed instead of what the word means."""
    values = {
        name: _of(official.runs, HONEST, name, scores)
        for name in ("accuracy", "mean_ovr_accuracy", "f1.macro", "f1.weighted", "auc.macro", "auc_hard.macro")
    }
    precision, recall = (_of(official.runs, HONEST, f"{name}.macro", scores) for name in ("precision", "recall"))
    of_means = {
        seed: (2 * precision[seed][0] * recall[seed][0] / (precision[seed][0] + recall[seed][0]), 0.0)
        for seed in recall
    }
    readings = [
        ("accuracy", "mean of one-vs-rest accuracies called accuracy", values["mean_ovr_accuracy"], "accuracy"),
        ("f1.macro", "weighted F1 called macro F1", values["f1.weighted"], "f1.macro"),
        ("f1.macro", "accuracy (micro F1) called macro F1", values["accuracy"], "f1.macro"),
        ("f1.macro", "F1 of mean precision and mean recall called macro F1", of_means, "f1.macro"),
        ("auc.macro", "AUC of predicted classes instead of probabilities", values["auc_hard.macro"], "auc.macro"),
        ("accuracy", "top-2 accuracy called accuracy", _by_predictions(official, _top_2), "accuracy"),
        (
            "accuracy",
            "mean over batches of 32 with a short last one",
            _by_predictions(official, _over_batches),
            "accuracy",
        ),
        ("accuracy", "images of disgust and fear left out", _by_predictions(official, _of_five), "accuracy"),
    ]
    if named := _named_by_the_crowd(official):
        readings.append(("accuracy", "test images that FER+ gives no name left out", named, "accuracy"))
    for metric, words, printed, meant in readings:
        # One network, the same images: only the seeds vary what lies between two ways of counting.
        exact = [{seed: (value, 0.0) for seed, (value, _) in own.items()} for own in (printed, values[meant])]
        yield _row("arithmetic", words, metric, printed, Difference.of(*exact), None, OFFICIAL, "read off")
    if len(official.runs) > 1:
        together = _ensemble(official)
        single = fmean(value for value, _ in values["accuracy"].values())
        words = f"an ensemble of {len(official.runs)} seeds printed as one network"
        row = _row("arithmetic", words, "accuracy", values["accuracy"], None, None, OFFICIAL, "read off")
        yield row | {"printed_value": together, "leak": together - single}


def _pairs(own: Mapping[tuple[str, str], Group], official: Group, scores: Scores) -> Iterator[dict]:
    """Two mistakes at once: a split, and its accuracy read as a mean of one-vs-rest accuracies. `composed`: what the
    two prices come to on the logit scale; what ran beside it says how good that is."""
    honest = _of(official.runs, HONEST, "accuracy", scores)
    read = _of(official.runs, HONEST, "mean_ovr_accuracy", scores)
    base, reading = (fmean(value for value, _ in each.values()) for each in (honest, read))
    splits = [
        (words, key, _printed(own[key], "accuracy", scores), _printed(own[key], "mean_ovr_accuracy", scores),
         _private(own[key], "accuracy", scores))
        for key, (kind, words) in MISTAKES.items()
        if key in own and kind in ("split", "before the split")
    ]  # fmt: skip
    plain, ovr = (_of(official.runs, FITTED, metric, scores) for metric in ("accuracy", "mean_ovr_accuracy"))
    splits.append(("training images scored as test images", OFFICIAL, plain, ovr, honest))
    for words, key, plain, printed, private in splits:
        leak = Difference.of(printed, private)
        says = f"{words}, and read as a mean of one-vs-rest accuracies"
        row = _row("pair", says, "accuracy", printed, leak, Difference.of(private, honest), key, "run")
        alone = fmean(value for value, _ in plain.values())
        yield row | {"composed": expit(logit(alone) + logit(reading) - logit(base))}


def logit(share: float) -> float:
    share = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


def expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _by_predictions(official: Group, count: Callable[[np.ndarray, np.ndarray], float]) -> BySeed:
    """A number from the probabilities and labels of PrivateTest after the last epoch, by seed."""
    return {run.record.seed: (count(*_private_of(run)), 0.0) for run in official.runs}


def _named_by_the_crowd(official: Group) -> dict[int, tuple[float, float]]:
    """Accuracy on the images of PrivateTest that FER+ names; {} where its votes are not known."""
    found = {}
    for run in official.runs:
        predictions = run.predictions()
        named = predictions.subsets.get("named_by_ferplus")
        if named is None:
            return {}
        rows = HONEST.rows(predictions) & named
        right = predictions.probabilities[-1][rows].argmax(1) == predictions.label[rows]
        found[run.record.seed] = float(np.mean(right)), 0.0
    return found


def _private_of(run: FinishedRun) -> tuple[np.ndarray, np.ndarray]:
    predictions = run.predictions()
    rows = HONEST.rows(predictions)
    return predictions.probabilities[-1][rows].astype(float), predictions.label[rows].astype(int)


def _top_2(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean((np.argsort(probabilities, 1)[:, -2:] == labels[:, None]).any(1)))


def _over_batches(probabilities: np.ndarray, labels: np.ndarray) -> float:
    right = probabilities.argmax(1) == labels
    return fmean(right[start : start + 32].mean() for start in range(0, len(right), 32))


def _of_five(probabilities: np.ndarray, labels: np.ndarray) -> float:
    kept = [k for k, name in enumerate(EMOTIONS) if name not in ("disgust", "fear")]
    rows = np.isin(labels, kept)
    return float(np.mean(np.array(kept)[probabilities[rows][:, kept].argmax(1)] == labels[rows]))


def _ensemble(official: Group) -> float:
    both = [_private_of(run) for run in official.runs]
    return float(np.mean(np.mean([own for own, _ in both], axis=0).argmax(1) == both[0][1]))
