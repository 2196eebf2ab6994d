"""What each mistake is worth, in points: the runs of the laboratory, paired over seeds.

`leak`: what a protocol prints less what the same network gets on PrivateTest, which it had not seen. `effect`: what
that network gets on PrivateTest less what the honest one of the same seed gets. What is no protocol of its own (the
choice of an epoch, a reading of a metric) is read off the honest runs.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd

from fer_common import evaluation
from fer_common.data import EMOTIONS
from fer_common.records import Predictions
from fer_common.results.groups import FinishedRun, Group
from fer_common.results.image_sets import HONEST, HONEST_EACH_FOLD, ImageSet
from fer_common.results.measure import Scores, half_interval

NETWORKS = {"cnn": ("laboratory", "every_epoch"), "small": ("reference", "small")}
"""Of each network that is priced: the paper of its runs, and the system that is honest under `official`."""
METRICS = ("accuracy", "f1.macro", "auc.macro")
PUBLIC = ImageSet(("PublicTest",), ("select",))
FITTED = ImageSet(("Training",), ("fit",))
MISTAKES: dict[tuple[str, str], tuple[str, str]] = {
    ("cnn", "without_private_80_20"): ("split", "test images drawn from the pool of the training images"),
    ("cnn", "without_private_80_20_grouped"): (
        "split",
        "test images drawn from the pool, identical images on one side",
    ),
    ("cnn", "without_private_80_20_alike"): (
        "split",
        "test images drawn from the pool, nearly identical images on one side",
    ),
    ("cnn", "folds_without_private"): ("split", "five folds of one pool"),
    ("cnn", "evaluation_tenth"): ("split", "a tenth of Training called evaluation set"),
    ("cnn", "public_fitted"): ("split", "PublicTest trained on, too"),
    ("cnn", "official_without_twins"): ("control", "training images that the test holds too left out"),
    ("cnn", "oversample_without_private"): ("before the split", "classes balanced by repetition before the split"),
    ("cnn", "undersample_without_private"): ("before the split", "classes balanced by a smaller draw before the split"),
    ("cnn", "mirror_without_private"): ("before the split", "mirror images added before the split"),
    ("standardised", "transforms_without_private"): ("before the split", "scaler fitted on the test images, too"),
    ("standardised", "without_private_80_20"): (
        "control",
        "test images drawn from the pool, the scaler fitted on training images alone",
    ),
    ("batch_attention", "official"): ("batch", "attention over the batch, images in stored order"),
    ("blurred", "official"): ("images", "a blurred copy"),
    ("equalised", "official"): ("images", "a copy with equalised histograms"),
    ("upscaled", "official"): ("images", "a copy brought from half the size"),
    ("jpeg", "official"): ("images", "a copy as JPEG of quality 50"),
    ("small_flip", "official"): ("arithmetic", "answers averaged over an image and its mirror image, unsaid"),
}
"""(kind, in words) of what the laboratory runs, by system and protocol; another network's system stands for `cnn`."""
FITTED_SCORED = "training images scored as test images"
ONE_VS_REST = "mean of one-vs-rest accuracies called accuracy"
TOP_2 = "top-2 accuracy called accuracy"
OF_FIVE = "images of disgust and fear left out"
"""In words, of what is read off runs, what is named more than once."""

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
    def of(cls, ours: BySeed, theirs: BySeed, paired: float | None = None) -> "Difference | None":
        """paired: standard deviation over images of the mean difference, where the images of the two are the same and
        it is known; else variances add."""
        common = sorted(set(ours) & set(theirs))
        if not common:
            return None
        apart = [ours[seed][0] - theirs[seed][0] for seed in common]
        apiece = (fmean(side[seed][1] for seed in common) for side in (ours, theirs))
        image_sd = math.hypot(*apiece) if paired is None else paired
        sd = float(np.std(apart, ddof=1)) if len(common) > 1 else math.nan
        half = half_interval(sd, len(common), image_sd)
        mean = fmean(apart)
        return cls(mean, mean - half, mean + half, len(common))


def prices(groups: Sequence[Group], scores: Scores) -> pd.DataFrame:
    """A row a network, mistake and metric, in the order of MISTAKES, then what is read off the honest runs; none where
    those did not run."""
    shown = [
        group
        for group in groups
        if group.unchanged and group.record.preset == "full" and group.record.data["source"] == "fer2013"
    ]
    rows: list[dict] = []
    for network, (paper, system) in NETWORKS.items():
        own = {(group.record.system, group.record.protocol): group for group in shown if group.record.paper == paper}
        if official := own.get((system, "official")):
            rows += [{"network": network} | row for row in _of_network(network, own, official, scores)]
    if rows:
        real = [group for group in groups if group.record.data["source"] == "fer2013"]
        rows += [{"network": "cnn"} | row for row in _of_many(real, scores)]
    return pd.DataFrame(rows)


def _of_network(network: str, own: Mapping[tuple[str, str], Group], official: Group, scores: Scores) -> Iterator[dict]:
    ran = {
        (name, protocol): (*said, own[name, protocol])
        for (system, protocol), said in MISTAKES.items()
        if (name := network if system == "cnn" else system, protocol) in own
    }
    for key, (kind, words, group) in ran.items():
        standard = _standardised(group, official, scores) if kind in ("split", "before the split") else math.nan
        for metric in METRICS:
            printed, private = _printed(group, metric, scores), _private(group, metric, scores)
            honest = _private(official, metric, scores)
            # Where PrivateTest itself is printed, nothing can leak.
            leak = Difference.of(printed, private) if _test_set(group, scores) != HONEST else None
            effect = Difference.of(private, honest, _paired(group, official, scores) if metric == "accuracy" else None)
            if kind == "arithmetic":  # another answer of the same network: what it gains is what is printed too much
                leak, effect = effect, None
            row = _row(kind, words, metric, printed, leak, effect, key, "run")
            yield row | {"standardised": standard if metric == "accuracy" else math.nan}
        yield from _orders(group, key)
    key = official.record.system, "official"
    for rows in (_selection(official, scores), _arithmetic(official)):
        for row in rows:
            yield row | {"system": key[0], "protocol": key[1], "source": "read off"}
    yield from _ensembles(official, own)
    yield from _pairs(ran, official, scores)


def _orders(group: Group, key: tuple[str, str]) -> Iterator[dict]:
    """Of a network that mixes the images of a batch: what the order of the watched images gives over asking one by
    one. The images are the same, so that only the seeds vary."""
    orders = {run.record.seed: run.record.details["orders"] for run in group.runs if "orders" in run.record.details}
    if orders:
        alone = {seed: (own["one by one"], 0.0) for seed, own in orders.items()}
        for name in ("class by class", "shuffled"):
            printed = {seed: (own[name], 0.0) for seed, own in orders.items()}
            words = f"attention over the batch: PublicTest asked {name}, not one by one"
            yield _row("batch", words, "accuracy", printed, Difference.of(printed, alone), None, key, "read off")


def _paired(group: Group, official: Group, scores: Scores) -> float | None:
    """Standard deviation over the images of PrivateTest of the mean difference between two groups of the same seeds;
    None where a group has other images of it."""
    ours, theirs = (_right_by_seed(own, scores) for own in (group, official))
    common = set(ours) & set(theirs)
    if not common or any(ours[seed].shape != theirs[seed].shape for seed in common):
        return None
    return _sd_apart([ours[seed] - theirs[seed] for seed in common])


def _sd_apart(apart: Sequence[np.ndarray]) -> float:
    """Standard deviation over images of a mean difference; apart: of each seed float (n,), by how much one side is more
    right on an image than the other."""
    over_seeds = np.mean(apart, axis=0)
    return float(over_seeds.std(ddof=1) / math.sqrt(len(over_seeds)))


def _right_by_seed(group: Group, scores: Scores) -> dict[int, np.ndarray]:
    """Of each seed float (n,): the share of its networks, several where there are folds, that are right on an image."""
    found: dict[int, list[np.ndarray]] = {}
    for run in group.folds or group.runs:
        if private := scores.of(run).right.get("PrivateTest"):
            found.setdefault(run.record.seed, []).append(private.as_numbers())
    return {seed: np.mean(own, axis=0) for seed, own in found.items()}


def _standardised(group: Group, official: Group, scores: Scores) -> float:
    """Accuracy on the printed images, were their classes as frequent as in PrivateTest: the mean over seeds."""
    image_set = _test_set(group, scores)
    mix = _matrix(official.runs[0], HONEST, scores).sum(1)
    of_runs = []
    for run in group.runs:
        matrix = _matrix(run, image_set, scores)
        of_runs.append(float(mix / mix.sum() @ (np.diag(matrix) / matrix.sum(1))))
    return fmean(of_runs)


def _matrix(run: FinishedRun, image_set: ImageSet, scores: Scores) -> np.ndarray:
    return np.array(scores.cell(run, image_set, run.record.epochs_run).matrix)


def _row(kind, words, metric, printed: BySeed, leak, effect=None, key=("", ""), source="") -> dict:
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
    return _of(group.runs, _test_set(group, scores), metric, scores)


def _test_set(group: Group, scores: Scores) -> ImageSet:
    """What is held out of the parts that are fitted; where nothing is, PrivateTest."""
    found = scores.of(group.runs[0])
    scored = found.protocol.get("scored")
    if scored and scored.pooled:
        return scored
    held_out = ImageSet(("Training",), ("score",))
    return held_out if held_out in found.sets else HONEST


def _private(group: Group, metric: str, scores: Scores) -> BySeed:
    """PrivateTest; of folds the mean over their networks."""
    return _of(group.runs, HONEST_EACH_FOLD if group.folds else HONEST, metric, scores)


# Read off the honest runs


def _selection(official: Group, scores: Scores) -> Iterator[dict]:
    """Which epoch is printed; and what the images that were fitted give."""
    last_epoch = {run.record.seed: run.record.epochs_run for run in official.runs}
    by_public, by_private, by_both = (
        {run.record.seed: _best(run, sets, scores) for run in official.runs}
        for sets in ([PUBLIC], [HONEST], [PUBLIC, HONEST])
    )
    for metric in METRICS:
        last, chosen, at_best = (
            _of(official.runs, HONEST, metric, scores, epochs) for epochs in (last_epoch, by_public, by_private)
        )
        fitted = _of(official.runs, FITTED, metric, scores)
        yield _row("split", FITTED_SCORED, metric, fitted, Difference.of(fitted, last))
        if by_private == last_epoch == by_public:
            continue  # scored once: there was no choice
        over_last, over_chosen = (
            _between_epochs(official, *epochs) if metric == "accuracy" else None
            for epochs in ((by_public, last_epoch), (by_private, by_public))
        )
        words = "the epoch that is best on PublicTest, as is allowed, instead of the last"
        yield _row("control", words, metric, chosen, None, Difference.of(chosen, last, over_last))
        words = "the epoch that is best on PrivateTest"
        yield _row("selection", words, metric, at_best, Difference.of(at_best, chosen, over_chosen))
        if metric == "accuracy":
            merged = {run.record.seed: _merged(run, by_both[run.record.seed], scores) for run in official.runs}
            words = "PublicTest and PrivateTest choose the epoch, and are printed"
            yield _row("selection", words, metric, merged, Difference.of(merged, chosen))


def _between_epochs(official: Group, ours: Mapping[int, int], theirs: Mapping[int, int]) -> float:
    """Standard deviation over the images of PrivateTest of the mean difference between two epochs of the same runs;
    ours, theirs: the epoch of each seed."""
    apart = []
    for run in official.runs:
        at_ours, at_theirs = (_right(*_private_of(run, epochs[run.record.seed])) for epochs in (ours, theirs))
        apart.append(at_ours - at_theirs)
    return _sd_apart(apart)


def _of_many(groups: Sequence[Group], scores: Scores) -> Iterator[dict]:
    """What the paper's own runs of the same network give: the best seed, and the best setting, on PrivateTest, less
    what PublicTest would have chosen of as many. Expected over all choices of k; intervals by drawing runs anew."""
    network = ("cnn_13_epochs", "cnn", "official")
    own = [g for g in groups if (g.record.paper, g.record.system, g.record.protocol) == network]
    seeds = [run for group in own if group.record.preset == "full" and group.unchanged for run in group.runs]
    settings = [
        run for group in own if group.record.preset == "custom" for run in group.runs if run.record.epochs_run == 3
    ]
    for runs, many, word in ((seeds, (3, 5), "seeds"), (settings, (5, 10), "settings, of 3 epochs each,")):
        for metric in METRICS:
            public, private = (
                np.array([scores.cell(run, own, run.record.epochs_run).values[metric][0] for run in runs])
                for own in (PUBLIC, HONEST)
            )
            for k in many:
                if len(runs) >= k:
                    row = _row("selection", f"the best of {k} {word} on PrivateTest", metric, {0: (0.0, 0.0)}, None)
                    row |= {"system": "cnn", "protocol": "official", "source": "read off", "seeds": len(runs)}
                    yield row | _best_of(k, public, private)


def _best_of(k: int, public: np.ndarray, private: np.ndarray, draws: int = 2000) -> dict[str, float]:
    """Of n runs: what is printed where the best of k on PrivateTest is, and how much more that is than what the best of
    the same k on PublicTest gets there."""

    def expected(public: np.ndarray, private: np.ndarray) -> tuple[float, float]:
        return _expected_of_best(k, private, private), _expected_of_best(k, public, private)

    printed, chosen = expected(public, private)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(public), len(public)) for _ in range(draws)]
    low, high = np.quantile([np.subtract(*expected(public[own], private[own])) for own in drawn], (0.025, 0.975))
    return {"printed_value": printed, "leak": printed - chosen, "leak low": float(low), "leak high": float(high)}


def _expected_of_best(k: int, by: np.ndarray, values: np.ndarray) -> float:
    """Mean over all choices of k of the value of the one that is best by `by`."""
    n = len(by)
    weights = np.array([math.comb(rank, k - 1) for rank in range(n)]) / math.comb(n, k)
    return float(weights @ values[np.argsort(by, kind="stable")])


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


def _arithmetic(official: Group) -> Iterator[dict]:
    """The same predictions, counted in another way: printed instead of what the word means. Paired over images."""
    printed: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
    meant: dict[tuple[str, str], dict[int, tuple[float, float]]] = {}
    apart: dict[tuple[str, str], list[np.ndarray]] = {}
    for run in official.runs:
        predictions = run.predictions()
        rows = _private_rows(predictions)
        probabilities, labels = predictions.probabilities[-1][rows].astype(float), predictions.label[rows].astype(int)
        of = evaluation.influences(labels, probabilities)
        counted = _counted_otherwise(of, probabilities, labels)
        if (named := predictions.subsets.get("named_by_ferplus")) is not None:
            without = _mean_over(named[rows], of["accuracy"])
            counted["accuracy", "test images that FER+ gives no name left out"] = without
        for key, values in counted.items():
            printed.setdefault(key, {})[run.record.seed] = float(values.mean()), 0.0
            meant.setdefault(key, {})[run.record.seed] = float(of[key[0]].mean()), 0.0
            apart.setdefault(key, []).append(values - of[key[0]])
    for key, by_seed in printed.items():
        leak = Difference.of(by_seed, meant[key], _sd_apart(apart[key]))
        yield _row("arithmetic", key[1], key[0], by_seed, leak)


def _counted_otherwise(
    of: Mapping[str, np.ndarray], probabilities: np.ndarray, labels: np.ndarray
) -> dict[tuple[str, str], np.ndarray]:
    """By the metric that is meant, and what is printed instead: float (n,), numbers whose mean is printed.

    of: the metrics in that form, as `evaluation.influences` has them.
    """
    precision, recall = of["precision.macro"], of["recall.macro"]
    p, r = precision.mean(), recall.mean()
    of_means = 2 * p * r / (p + r) + 2 * (r**2 * (precision - p) + p**2 * (recall - r)) / (p + r) ** 2
    return {
        ("accuracy", ONE_VS_REST): of["mean_ovr_accuracy"],
        ("f1.macro", "weighted F1 called macro F1"): of["f1.weighted"],
        ("f1.macro", "accuracy (micro F1) called macro F1"): of["accuracy"],
        ("f1.macro", "F1 of mean precision and mean recall called macro F1"): of_means,
        ("auc.macro", "AUC of predicted classes instead of probabilities"): of["auc_hard.macro"],
        ("accuracy", TOP_2): _top_2(probabilities, labels),
        ("accuracy", "mean over batches of 32 with a short last one"): _over_batches(of["accuracy"]),
        ("accuracy", OF_FIVE): _of_five(probabilities, labels),
    }


def _ensembles(official: Group, own: Mapping[tuple[str, str], Group]) -> Iterator[dict]:
    """Mean probabilities of several networks, printed as what one gets; beside it the mean of the single ones."""
    if len(official.runs) > 1:  # one ensemble in all, so that its interval is over images alone
        row = _ensemble(f"{len(official.runs)} seeds", {0: official.runs}, ("", ""))
        yield row | {"system": official.record.system, "protocol": "official", "seeds": len(official.runs)}
    for key, group in own.items():
        of_seed: dict[int, list[FinishedRun]] = {}
        for fold in group.folds:
            of_seed.setdefault(fold.record.seed, []).append(fold)
        if of_seed:
            yield _ensemble(f"{len(next(iter(of_seed.values())))} folds", of_seed, key)


def _ensemble(members: str, of: Mapping[int, Sequence[FinishedRun]], key: tuple[str, str]) -> dict:
    """of: the networks of each ensemble."""
    together, single, apart = {}, {}, []
    for seed, runs in of.items():
        probabilities, labels = zip(*map(_private_of, runs))
        right = _right(np.mean(probabilities, axis=0), labels[0])
        alone = np.mean([_right(own, labels[0]) for own in probabilities], axis=0)
        together[seed], single[seed] = (float(right.mean()), 0.0), (float(alone.mean()), 0.0)
        apart.append(right - alone)
    words = f"an ensemble of {members} printed as one network"
    leak = Difference.of(together, single, _sd_apart(apart))
    return _row("arithmetic", words, "accuracy", together, leak, None, key, "read off")


def _pairs(ran: Mapping[tuple[str, str], tuple[str, str, Group]], official: Group, scores: Scores) -> Iterator[dict]:
    """Two mistakes at once: a split, and its test images counted in another way. `composed`: what the two prices come
    to on the logit scale; what ran beside it says how good that is. A mean of one-vs-rest accuracies follows from the
    accuracy, so that nothing is composed."""
    honest = _private(official, "accuracy", scores)
    base, alone = _mean(honest), {reading: _mean(counted) for reading, (counted, _) in _read(official, HONEST).items()}
    splits = [
        (words, key, group, _test_set(group, scores))
        for key, (kind, words, group) in ran.items()
        if kind in ("split", "before the split")
    ]
    splits.append((FITTED_SCORED, (official.record.system, "official"), official, FITTED))
    for words, key, group, image_set in splits:
        private = _private(group, "accuracy", scores)
        effect = None if group is official else Difference.of(private, honest, _paired(group, official, scores))
        plain = _mean(_of(group.runs, image_set, "accuracy", scores))
        for reading, (printed, apart) in _read(group, image_set).items():
            leak = Difference.of(printed, private, _sd_apart(apart) if image_set == HONEST else None)
            row = _row("pair", f"{words}, and {reading}", "accuracy", printed, leak, effect, key, "run")
            known = reading == ONE_VS_REST
            yield row | {"composed": math.nan if known else expit(logit(plain) + logit(alone[reading]) - logit(base))}


def _read(group: Group, image_set: ImageSet) -> Mapping[str, tuple[BySeed, list[np.ndarray]]]:
    """By reading of an accuracy: what is counted on some images after the last epoch, by seed; and of each seed, image
    by image, by how much that is more than being right, float (n,)."""
    found: dict[str, tuple[dict[int, tuple[float, float]], list[np.ndarray]]] = {}
    for run in group.runs:
        predictions = run.predictions()
        rows = image_set.rows(predictions)
        probabilities, labels = predictions.probabilities[-1][rows].astype(float), predictions.label[rows].astype(int)
        right = _right(probabilities, labels)
        for reading, count in _READINGS.items():
            counted = count(probabilities, labels)
            by_seed, apart = found.setdefault(reading, ({}, []))
            by_seed[run.record.seed] = float(counted.mean()), float(counted.std() / math.sqrt(len(counted)))
            apart.append(counted - right)
    return found


def _mean(own: BySeed) -> float:
    return fmean(value for value, _ in own.values())


def logit(share: float) -> float:
    share = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


def expit(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _private_of(run: FinishedRun, epoch: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, float (n, 7), and labels, int (n,), of PrivateTest after an epoch, by default the last; in the
    order of row ids."""
    predictions = run.predictions()
    rows = _private_rows(predictions)
    probabilities = predictions.probabilities[-1] if epoch is None else predictions.at(epoch)
    return probabilities[rows].astype(float), predictions.label[rows].astype(int)


def _private_rows(predictions: Predictions) -> np.ndarray:
    """int (n,): where PrivateTest is, in the order of row ids."""
    rows = np.flatnonzero(HONEST.rows(predictions))
    return rows[np.argsort(predictions.row_id[rows])]


# Ways of counting: from probabilities, float (n, 7), and labels, int (n,), numbers float (n,) whose mean is printed


def _right(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (probabilities.argmax(1) == labels).astype(float)


def _one_vs_rest(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return 1 - 2 * (1 - _right(probabilities, labels)) / probabilities.shape[1]


def _top_2(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (np.argsort(probabilities, 1)[:, -2:] == labels[:, None]).any(1).astype(float)


def _of_five(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    kept = [k for k, name in enumerate(EMOTIONS) if name not in ("disgust", "fear")]
    right = np.array(kept)[probabilities[:, kept].argmax(1)] == labels
    return _mean_over(np.isin(labels, kept), right)


def _mean_over(kept: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of a mean over some images alone; kept: bool (n,)."""
    mean = values[kept].mean()
    return mean + kept * (values - mean) / kept.mean()


def _over_batches(right: np.ndarray) -> np.ndarray:
    """Of the mean over batches of 32; right: float (n,), 1 where an answer is."""
    sizes = np.diff([*range(0, len(right), 32), len(right)])
    weight = np.repeat(len(right) / (len(sizes) * sizes), sizes)
    return right.mean() + weight * (right - right.mean())


_READINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    ONE_VS_REST: _one_vs_rest,
    TOP_2: _top_2,
    OF_FIVE: _of_five,
}
