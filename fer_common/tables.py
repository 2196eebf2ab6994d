"""The results collector: every committed table, recomputed from stored predictions and claims files.

`summary` has one row per setup that ran, `comparison` sets each printed number beside what runs gave, `protocols` says
what each protocol scores and gets, `per_class` opens the averages up, `sensitivity` lists runs with a changed setup.
Needs neither keras nor tensorflow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from fer_common import UserError, claims, evaluation, hypotheses, records
from fer_common.data import EMOTIONS, USAGES, cache_folder
from fer_common.data.passport import Passport
from fer_common.data.utkface import ATTRIBUTES, PARTS, TASKS
from fer_common.records import Predictions, Record
from fer_common.splits import ROLES

RUNNING = "Training (fit, running metric with dropout)"
WITHOUT_TWINS = "PrivateTest without twins"
REFERENCE = "reference"
OUT_OF_FOLD, AVERAGED = ", out of fold", ", mean probabilities of the folds"
FOLDED_ROLES = (f"score{OUT_OF_FOLD}", f"select{OUT_OF_FOLD}", f"score{AVERAGED}")
HEADLINES = ("accuracy", "f1.macro", "f1.weighted", "auc.macro", "log_loss")
COMPARISON_COLUMNS = [
    *("claim_id", "paper", "system", "protocol", "init", "preset", "source", "metric", "average", "epoch", "usage"),
    *("claimed", "reproduced_mean", "reproduced_sd", "ci_low", "ci_high", "n_runs", "n_images", "verdict", "notes"),
]

VERDICTS = """\
How a verdict is reached. The rules were fixed before any run was scored, but for one: that `reachable only on
Training` goes before `not decided` was settled when the first runs showed that both can apply. m and s are mean and
standard deviation (n − 1 in the denominator) over n seeds on N images, v is the claim, N_v its number of images (N
where unknown). With t the two-sided 95 % Student quantile for n − 1, the half-width is
h = sqrt(t²·s²·(1 + 1/n) + 1.96²·m(1 − m)·(1/N + 1/N_v)) plus half a unit of v's last printed digit; the second term
falls away where claim and run score the same images, and for anything but accuracy the bootstrap variance over images
(1,000 resamples) stands for m(1 − m)/N. `reproduced`: |v − m| ≤ h. `claimed higher`, `claimed lower`: beyond it, with
the points between. `reachable only on Training`: a claim on test images that lies above every held-out interval and
not above the one on images that a part of the system was trained on. `not decided`: h exceeds 3 points (log loss has
no points and no such limit), however far the claim lies; gap and h stand beside it. `single run`: n = 1, which never
counts as reproduced. `not run`: nothing ran. In brackets after a usage: what its images were to the run; `seen`:
scored, although a part of the system (an extractor, a scaler, a copy of the image) was fitted on them; `pooled`: the
usages that the split drew from, together; `out of fold`: as the one fold that held an image out saw it; `mean
probabilities of the folds`: their average, an ensemble; the epoch of both is the longest fold's. ci_low and ci_high
bound m itself at 95 %, over seeds and images; with one run, over images.
"""


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone, over the images of one copy of the data."""

    record: Record  # of the first seed
    runs: list[tuple[Record, list[dict], Predictions]]
    failed: int
    folds: list[tuple[Record, list[dict], Predictions]]  # of all seeds, where there are several a seed
    task: str = "expression"

    @property
    def key(self) -> dict:
        r = self.record
        attributes = r.data.get("attributes", {}).get("source", "utkface")
        other = [] if attributes == "utkface" else [attributes]  # a part of UTKFace, or drawn ones
        return {
            "paper": r.paper,
            "system": r.system,
            "protocol": r.protocol,
            "init": r.init,
            "preset": r.preset,
            "source": " + ".join(dict.fromkeys([r.data["source"], *other])),
        }

    @property
    def notes(self) -> str:
        said = [note for record, _, _ in self.runs for note in record.notes]
        if self.begins_as:
            said.append(f"begins as the finished {self.begins_as}; epochs are counted from there")
        if self.record.reduced:
            said.append(
                "reduced: " + ", ".join(f"{name}={plain(value)}" for name, value in self.record.reduced.items())
            )
        return "; ".join(dict.fromkeys(said))

    @property
    def begins_as(self) -> str:
        """The system whose finished network it goes on with; empty where it has none."""
        return self.record.details.get("begins_as", "").partition("/")[0]

    @property
    def changes(self) -> str:
        return ", ".join(f"{name}={plain(value)}" for name, value in self.record.changes.items())


def plain(value) -> str:
    return "/".join(map(str, value)) if isinstance(value, list) else str(value)


def collect(runs: Path, passports: dict[str, Passport]) -> list[Group]:
    """The records under `runs`, grouped. Folds of one seed become one out-of-fold run. With the passport of their
    copy of the data the predictions know which images have twins.

    Raises UserError naming the record where one is damaged, or two that claim to be the same run.
    """
    grouped: dict[tuple, list] = {}
    for path in records.find(runs):
        record, history, predictions = records.read(path)
        further = records.read_further(path) if predictions else {}
        r = record
        passport = passports.get(r.data["fingerprint"])
        if passport and predictions:
            predictions = replace(predictions, twin=np.isin(predictions.row_id, passport.twins_in_training))
        for task, own in ({r.task: predictions} | further).items():
            data = (r.data["source"], r.data["fingerprint"], str(r.data.get("attributes", "")))
            key = (r.paper, r.system, r.protocol, r.init, r.preset, *data, str(r.changes), task)
            grouped.setdefault(key, []).append((path, record, history, own))
    groups = []
    for (*_, task), found in sorted(grouped.items()):
        by_seed: dict[int, list] = {}
        for item in found:
            if item[1].status == "ok":
                by_seed.setdefault(item[1].seed, []).append(item)
        setups = {str(item[1].setup): item[0] for items in by_seed.values() for item in items}
        if len(setups) > 1:
            paths = " and ".join(map(str, setups.values()))
            raise UserError(f"{paths} call themselves the same run but have different setups; remove the outdated one.")
        finished, folded = [], []
        for seed in sorted(by_seed):
            same = by_seed[seed]
            folds = [record.fold for _, record, _, _ in same]
            if len(set(folds)) < len(folds) or (None in folds and len(folds) > 1):
                paths = " and ".join(str(path) for path, *_ in same)
                raise UserError(f"{paths} are records of the same run; remove one.")
            _, record, history, predictions = same[0]
            notes = list(dict.fromkeys(note for item in same for note in item[1].notes))
            if len(folds) > 1:
                predictions = pool_folds([item[3] for item in same])
                record = msgspec.structs.replace(
                    record,
                    epochs_run=int(predictions.epochs[-1]),
                    best_epoch=None,
                    notes=[*notes, "folds " + ", ".join(map(str, sorted(folds)))],
                )
                history = []  # every fold has its own
                folded += [item[1:] for item in same]
            elif folds != [None]:
                record = msgspec.structs.replace(record, notes=[*notes, f"fold {record.fold} alone"])
            finished.append((record, history, predictions))
        failed = sum(item[1].status != "ok" for item in found)
        groups.append(Group(finished[0][0] if finished else found[0][1], finished, failed, folded, task))
    return groups


def on_whole_fer2013(groups: list[Group], protocol: str) -> list[Group]:
    """The finished ones under one protocol with an unchanged setup, full or reduced, on all of FER2013."""
    return [
        group
        for group in groups
        if group.runs
        and not group.record.changes
        and group.record.preset in ("full", "reduced")
        and (group.record.protocol, group.record.data["source"]) == (protocol, "fer2013")
    ]


def pool_folds(folds: list[Predictions]) -> Predictions:
    """One out-of-fold run: each row as the one fold that held it out saw it, by its role there, and the rows that all
    folds scored with the mean of their probabilities; rows of neither kind are left out.

    A row is held out by the fold that scores it, or, where no row has one, by the one that selects on it. The folds
    hold the same rows in the same order, at the last epoch of each.
    """
    roles = np.stack([fold.role for fold in folds])
    scored, selected = roles == "score", roles == "select"
    scored_once = scored.sum(0) == 1
    selected_once = ~scored_once.any() & ~scored.any(0) & (selected.sum(0) == 1)
    by_all = scored.all(0)
    kept = scored_once | selected_once | by_all
    by = np.where(scored_once, scored.argmax(0), selected.argmax(0))
    last = np.stack([fold.probabilities[-1].astype(np.float32) for fold in folds])
    probabilities = np.where(by_all[:, None], last.mean(0), last[by, np.arange(len(by))]).astype(np.float16)
    role = np.select([scored_once, selected_once], [f"score{OUT_OF_FOLD}", f"select{OUT_OF_FOLD}"], f"score{AVERAGED}")
    first = folds[0]
    return Predictions(
        row_id=first.row_id[kept],
        usage=first.usage[kept],
        role=role[kept],
        label=first.label[kept],
        epochs=np.array([max(int(fold.epochs[-1]) for fold in folds)], np.int16),
        probabilities=probabilities[kept][None],
        twin=None if first.twin is None else first.twin[kept],
    )


def image_sets(predictions: Predictions) -> dict[str, np.ndarray]:
    """Masks by name: each usage with the roles of its rows in brackets, and each role apart where it has several.

    Where more than one usage is fitted (or out of fold), these parts of the data set were pooled and mean nothing to
    the run: their name is `pooled`, and the roles alone tell the sets apart. Usages that are scored alike are one
    further set, and so is PrivateTest without the images that have a twin in Training, where the twins are known.
    """
    fitted = np.unique(predictions.usage[_fitted_or_out_of_fold(predictions.role)])
    found, alike, usages = {}, [], (*USAGES, *PARTS)
    if len(fitted) > 1:
        found |= _by_role("pooled", predictions.role, np.isin(predictions.usage, fitted))
    for usage in reversed([usage for usage in usages if len(fitted) < 2 or usage not in fitted]):
        rows = predictions.usage == usage
        found |= _by_role(usage, predictions.role, rows)
        if rows.any() and (predictions.role[rows] == "score").all():
            alike.append(usage)
    tested = (predictions.usage == "PrivateTest") & (len(fitted) < 2 or "PrivateTest" not in fitted)
    if predictions.twin is not None and (predictions.twin & tested).any():
        found |= _by_role(WITHOUT_TWINS, predictions.role, tested & ~predictions.twin)
    if len(alike) > 1:
        found[f"{' + '.join(reversed(alike))} (score)"] = np.isin(predictions.usage, alike)
    return found


def _by_role(name: str, role: np.ndarray, rows: np.ndarray) -> dict[str, np.ndarray]:
    """The masks of one name: all of it unless it is pooled, and each role apart where there are several."""
    roles = [each for each in (*ROLES, *FOLDED_ROLES) if (rows & (role == each)).any()]
    found = {}
    if len(roles) == 1 or (roles and name != "pooled"):
        found[f"{name} ({' + '.join(roles)})"] = rows
    if len(roles) > 1:
        found |= {f"{name} ({each})": rows & (role == each) for each in roles}
    if name == "pooled" and {"score", "seen"} <= set(roles):
        found["pooled (score + seen)"] = rows & scored(role)
    return found


def _fitted_or_out_of_fold(role: np.ndarray) -> np.ndarray:
    return np.isin(role, ("fit", *FOLDED_ROLES[:2]))


def scored(role: np.ndarray) -> np.ndarray:
    """The rows that a protocol scores, whether a part of the system has seen them or not; of folds those that were
    held out, not those that all folds scored."""
    return np.isin(role, ("score", "seen", *FOLDED_ROLES[:2]))


def held_out(image_set: str) -> bool:
    """Whether a set's name says that no part of the system was trained on any of its images."""
    roles = image_set.partition("(")[2]
    return "fit" not in roles and "seen" not in roles


@dataclass(frozen=True)
class Measured:
    """A metric over the seeds of a group: mean, sd (NaN for one seed), 95 % bounds of the mean, sd over images."""

    mean: float
    sd: float
    low: float
    high: float
    image_sd: float
    n_runs: int
    n_images: int


class Scores:
    """Metrics and intervals of groups, each computed once."""

    def __init__(self):
        self._metrics: dict[tuple, dict] = {}
        self._intervals: dict[tuple, dict] = {}
        self._sets: dict[int, dict[str, np.ndarray]] = {}

    def _rows(self, predictions: Predictions, image_set: str) -> np.ndarray:
        if id(predictions) not in self._sets:
            self._sets[id(predictions)] = image_sets(predictions) | protocol_sets(predictions)
        return self._sets[id(predictions)][image_set]

    def metrics(self, run: tuple, image_set: str, epoch: int) -> dict[str, float]:
        """All metrics of one run."""
        predictions, key = run[2], (id(run[2]), image_set, epoch)
        if key not in self._metrics:
            rows = self._rows(predictions, image_set)
            self._metrics[key] = evaluation.metrics(predictions.label[rows], predictions.at(epoch)[rows])
        return self._metrics[key]

    def intervals(self, run: tuple, image_set: str, epoch: int) -> dict[str, list[float]]:
        """Their intervals over images."""
        predictions, key = run[2], (id(run[2]), image_set, epoch)
        if key not in self._intervals:
            rows = self._rows(predictions, image_set)
            found = predictions.label[rows], predictions.at(epoch)[rows]
            self._intervals[key] = evaluation.intervals(*found, cache_folder() / "intervals")
        return self._intervals[key]

    def measure(self, group: Group, metric: str, image_set: str, epochs: list[int]) -> Measured:
        """`metric` over the group's seeds, at `epochs[i]` of the i-th run."""
        runs = list(zip(group.runs, epochs))
        values = np.array([self.metrics(run, image_set, epoch)[metric] for run, epoch in runs])
        bounds = [self.intervals(run, image_set, epoch)[metric] for run, epoch in runs]
        n_images = int(self._rows(group.runs[0][2], image_set).sum())
        mean, n = values.mean(), len(values)
        image_sd = np.sqrt(mean * (1 - mean) / n_images) if metric == "accuracy" else np.mean([b[2] for b in bounds])
        if n == 1:
            low, high = bounds[0][:2]
            return Measured(mean, np.nan, low, high, image_sd, 1, n_images)
        sd = values.std(ddof=1)
        half = np.sqrt(_student(n) ** 2 * sd**2 / n + 1.96**2 * image_sd**2)
        return Measured(mean, sd, *_bounds(metric, mean, half), image_sd, n, n_images)


def _bounds(metric: str, mean: float, half: float) -> tuple[float, float]:
    """mean ± half, kept where the metric can lie."""
    return np.maximum(mean - half, 0.0), mean + half if metric == "log_loss" else np.minimum(mean + half, 1.0)


def _student(n: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.975, n - 1))


def half_width(measured: Measured, claim: claims.Claim, same_images: bool) -> float:
    """h of VERDICTS."""
    n, n_images = measured.n_runs, measured.n_images
    claimed_images = int(claim.n_images) if claim.n_images else n_images
    over_seeds = _student(n) ** 2 * measured.sd**2 * (1 + 1 / n)
    over_images = 0 if same_images else 1.96**2 * measured.image_sd**2 * (1 + n_images / claimed_images)
    return float(np.sqrt(over_seeds + over_images)) + claim.half_unit


def verdict(measured: Measured, claim: claims.Claim, same_images: bool) -> str:
    """The verdict on one claim against one measurement; `reachable only on Training` needs all of them."""
    if measured.n_runs == 1:
        return "single run"
    h = half_width(measured, claim, same_images)
    gap = claim.number - measured.mean
    loss = claim.metric == "log_loss"
    size = f"{abs(gap):.2f}" if loss else f"{abs(100 * gap):.1f} points"
    direction = "higher" if gap > 0 else "lower"
    if h > 0.03 and not loss:
        return f"not decided (claimed {size} {direction}, h = {100 * h:.1f})"
    return "reproduced" if _within(gap, h) else f"claimed {direction} by {size}"


def _within(gap: float, h: float) -> bool:
    """|gap| ≤ h, with slack for binary fractions: 0.832 − 0.827 is not quite 0.005."""
    return abs(gap) <= h + 1e-9


def _readings(claim: claims.Claim) -> Iterator[tuple[str, str]]:
    """(flat metric name, what to call its average): the ways to read the claim's metric."""
    if claim.metric in ("accuracy", "log_loss"):
        yield claim.metric, "none"
        if claim.also:
            yield claim.also, "mean one-vs-rest"
    elif claim.metric == "auc":
        yield "auc.macro", "macro, from probabilities"
        yield "auc_hard.macro", "macro, from hard labels"
    elif claim.average == "unstated":
        for average in ("macro", "weighted"):
            yield f"{claim.metric}.{average}", f"unstated: {average}"
    else:
        yield f"{claim.metric}.{claim.average}", claim.average


def compare(claim: claims.Claim, paper: str, groups: list[Group], scores: Scores) -> list[dict]:
    """The rows of one claim: one for each group, reading and image set, or a single `not run`."""
    base = {
        "claim_id": claim.id,
        "paper": paper,
        "system": claim.system,
        "metric": claim.metric,
        "claimed": claim.value,
    }
    if claim.unit == "percent":
        base["claimed"] += " %"
    rows = []
    for group in groups:
        if not group.runs or group.record.changes:
            continue
        epochs = [min(int(claim.epoch or 10**9), record.epochs_run) for record, _, _ in group.runs]
        kept = all(epoch in predictions.epochs for epoch, (_, _, predictions) in zip(epochs, group.runs))
        for metric, average in _readings(claim):
            sets = list(image_sets(group.runs[0][2])) if kept else []
            measurements = [
                (
                    name,
                    scores.measure(group, metric, name, epochs),
                    same_images(claim, group, name),
                )
                for name in sets
            ]
            only_training = reachable_only_on_training(claim, measurements)
            if claim.running != "no" and metric in ("accuracy", "log_loss") and _watched_running(group):
                measurements.append((RUNNING, _running(group, metric, epochs), False))
            found = []
            for name, measured, same in measurements:
                judged = verdict(measured, claim, same)
                if only_training and held_out(name):
                    gap = 100 * (claim.number - measured.mean)
                    judged = f"reachable only on Training (claimed {gap:.1f} points higher)"
                found.append((name, measured, judged))
            for name, measured, judged in found:
                rows.append(
                    base
                    | {k: group.key[k] for k in ("system", "protocol", "init", "preset", "source")}
                    | {
                        "average": average,
                        "epoch": "/".join(map(str, dict.fromkeys(epochs))),
                        "usage": name,
                        "reproduced_mean": measured.mean,
                        "reproduced_sd": measured.sd,
                        "ci_low": measured.low,
                        "ci_high": measured.high,
                        "n_runs": measured.n_runs,
                        "n_images": measured.n_images,
                        "verdict": judged,
                        "notes": group.notes,
                    }
                )
    return rows or [base | {"average": claim.average, "epoch": claim.epoch, "n_runs": 0, "verdict": "not run"}]


def same_images(claim: claims.Claim, group: Group, image_set: str) -> bool:
    """Whether a claim whose part of FER2013 is beyond doubt and an image set of a group are about the same images."""
    predictions = group.runs[0][2]
    if claim.usage is None or not image_set.startswith(claim.usage):
        return False
    n_images = int(image_sets(predictions)[image_set].sum())
    whole = n_images == (predictions.usage == claim.usage).sum()
    real = group.record.data["source"] == "fer2013" and group.record.preset != "smoke"
    return bool(real and whole and (claim.n_images is None or n_images == int(claim.n_images)))


def reachable_only_on_training(claim: claims.Claim, found: list[tuple[str, Measured, bool]]) -> bool:
    """Whether a claim on test images lies above m + h on every held-out set and not above it on a fitted one.

    found: (image set, measurement, whether claim and run score the same images). Single runs decide nothing.
    """
    if claim.images != "test" or any(measured.n_runs == 1 for _, measured, _ in found):
        return False
    above = {
        name: claim.number > measured.mean
        and not _within(claim.number - measured.mean, half_width(measured, claim, same))
        for name, measured, same in found
    }
    apart = [is_above for name, is_above in above.items() if held_out(name)]
    return bool(apart) and all(apart) and not all(above.values())


def _watched_running(group: Group) -> bool:
    return all(history and "running_accuracy" in history[0] for _, history, _ in group.runs)


def _running(group: Group, metric: str, epochs: list[int]) -> Measured:
    column = {"accuracy": "running_accuracy", "log_loss": "running_loss"}[metric]
    values = np.array([history[epoch - 1][column] for epoch, (_, history, _) in zip(epochs, group.runs)])
    n_images = int((group.runs[0][2].role == "fit").sum())
    mean, n = values.mean(), len(values)
    sd = values.std(ddof=1) if n > 1 else np.nan
    # A loss kept only as an epoch's mean has no spread over images to be had; that over seeds is what remains.
    image_sd = np.sqrt(mean * (1 - mean) / n_images) if metric == "accuracy" else np.nan
    variances = [1.96**2 * image_sd**2, np.nan if n == 1 else _student(n) ** 2 * sd**2 / n]
    half = np.nan if np.isnan(variances).all() else np.sqrt(np.nansum(variances))
    return Measured(mean, sd, *_bounds(metric, mean, half), np.nan_to_num(image_sd), n, n_images)


def _epoch_choices(group: Group) -> Iterator[tuple[str, list[int]]]:
    """(name, epoch of each run): the last one, and the best on the select rows where that is another."""
    last = [record.epochs_run for record, _, _ in group.runs]
    yield "last", last
    best = [record.best_epoch for record, _, _ in group.runs]
    if best != last and None not in best and all(b in run[2].epochs for b, run in zip(best, group.runs)):
        yield "best on select", best


def summary(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup that ran, every headline per usage; one more where another epoch is best on `select` rows."""
    rows = []
    for group in groups:
        if group.record.changes:
            continue
        base = group.key | {"data": group.record.data["fingerprint"], "runs": len(group.runs), "failed": group.failed}
        if not group.runs:
            rows.append(base | {"error": group.record.error})
            continue
        seconds = [record.seconds_per_epoch for record, _, _ in group.runs if record.seconds_per_epoch]
        for name, epochs in _epoch_choices(group):
            row = base | {
                "epoch": f"{name}: {'/'.join(str(e) for e in dict.fromkeys(epochs))}",
                "parameters": group.record.parameters,
                "seconds_per_epoch": round(float(np.median(seconds)), 1) if seconds else None,
                "device": group.record.device,
                "notes": group.notes,
            }
            for image_set in image_sets(group.runs[0][2]):
                for metric in HEADLINES:
                    m = scores.measure(group, metric, image_set, epochs)
                    column = f"{image_set} {metric}"
                    row |= {column: m.mean, f"{column} sd": m.sd, f"{column} low": m.low, f"{column} high": m.high}
            rows.append(row)
    return pd.DataFrame(rows)


def from_crowd_votes(groups: list[Group], passports: dict[str, Passport]) -> pd.DataFrame:
    """The reference line of each copy of the data that was run: PrivateTest from the votes of FER+ alone."""
    rows = []
    for fingerprint, passport in passports.items():
        if passport.crowd and any(group.record.data["fingerprint"] == fingerprint for group in groups):
            mean, column = passport.crowd.from_votes, "PrivateTest (score) accuracy"
            half = 1.96 * np.sqrt(mean * (1 - mean) / passport.looks["PrivateTest"].images)
            rows.append(
                {"paper": REFERENCE, "system": "from crowd votes", "protocol": "official", "init": "-"}
                | {"preset": "full", "source": passport.source, "data": fingerprint, "runs": 1, "failed": 0}
                | {"epoch": "-"}
                | {column: mean, f"{column} low": mean - half, f"{column} high": mean + half}
                | {"notes": "ten people's votes a face, a rule from votes to labels fitted on Training; no ceiling"}
            )
    return pd.DataFrame(rows)


def per_class(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """Precision, recall and F1 of each class at the last epoch, per group and image set, with their intervals."""
    rows = []
    for group in groups:
        if not group.runs or group.record.changes:
            continue
        epochs = [record.epochs_run for record, _, _ in group.runs]
        predictions = group.runs[0][2]
        for image_set, mask in image_sets(predictions).items():
            for number, emotion in enumerate(EMOTIONS):
                row = group.key | {
                    "usage": image_set,
                    "class": emotion,
                    "support": int((predictions.label[mask] == number).sum()),
                }
                for metric in ("precision", "recall", "f1"):
                    m = scores.measure(group, f"{metric}.{emotion}", image_set, epochs)
                    row |= {metric: m.mean, f"{metric}_sd": m.sd, f"{metric}_low": m.low, f"{metric}_high": m.high}
                rows.append(row | {"n_runs": len(group.runs)})
    return pd.DataFrame(rows)


def protocol_sets(predictions: Predictions) -> dict[str, np.ndarray]:
    """Masks by name: what the protocol scores, what of it nothing was fitted on, and what was fitted. Where it draws
    from several usages, one that it keeps aside from all folds is no part of what it scores."""
    fitted = np.unique(predictions.usage[_fitted_or_out_of_fold(predictions.role)])
    drawn_from = np.isin(predictions.usage, fitted) | (len(fitted) < 2)
    masks = {
        "scored": scored(predictions.role) & drawn_from,
        "unseen": np.isin(predictions.role, ("score", FOLDED_ROLES[0])) & drawn_from,
        "fitted": predictions.role == "fit",
    }
    return {name: mask for name, mask in masks.items() if mask.any()}


def protocols(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup that ran: what its protocol scores, and of this what is unseen; what was fitted."""
    rows = []
    for group in groups:
        if not group.runs or group.record.changes:
            continue
        epochs = [record.epochs_run for record, _, _ in group.runs]
        row = group.key | {"runs": len(group.runs), "epoch": "/".join(map(str, dict.fromkeys(epochs)))}
        sets = protocol_sets(group.runs[0][2])
        for name in sets:
            metrics = ("accuracy", "mean_ovr_accuracy", "f1.macro", "auc.macro") if name == "scored" else ("accuracy",)
            for metric in metrics:
                m = scores.measure(group, metric, name, epochs)
                row |= {f"{name} {metric}": m.mean, f"{name} {metric} low": m.low, f"{name} {metric} high": m.high}
            row[f"{name} images"] = int(sets[name].sum())
        rows.append(row | {"notes": group.notes})
    return pd.DataFrame(rows)


def folds(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup with several folds and image set: each metric's mean and spread over the folds."""
    rows = []
    for group in groups:
        if group.record.changes or not group.folds:
            continue
        for image_set in image_sets(group.folds[0][2]):
            found = [scores.metrics(fold, image_set, int(fold[2].epochs[-1])) for fold in group.folds]
            row = group.key | {"folds": len(found), "usage": image_set}
            for metric in ("accuracy", "f1.macro", "auc.macro", "log_loss"):
                values = np.array([metrics[metric] for metrics in found])
                row |= {metric: values.mean(), f"{metric} sd": values.std(ddof=1)}
                row |= {f"{metric} low": values.min(), f"{metric} high": values.max()}
            rows.append(row | {"notes": group.notes})
    return pd.DataFrame(rows)


def by_task(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup and task of the papers with several: scores on the tested images, the gap to the fitted ones,
    and what training cost, beyond what the network that it begins as did."""
    rows = []
    for group in groups:
        if not group.runs or group.record.changes:
            continue
        sets = image_sets(group.runs[0][2])
        tested, fitted = (next(n for n in sets if n.endswith(f"({role})")) for role in ("score", "fit"))
        epochs = [record.epochs_run for record, _, _ in group.runs]
        row = group.key | {"task": group.task, "runs": len(group.runs), "usage": tested}
        for metric in ("accuracy", "f1.macro", "auc.macro"):
            m = scores.measure(group, metric, tested, epochs)
            row |= {metric: m.mean, f"{metric} sd": m.sd, f"{metric} low": m.low, f"{metric} high": m.high}
        on_fitted = scores.measure(group, "accuracy", fitted, epochs).mean
        record = group.record
        # An epoch that shared the machine with other work takes longer, and says nothing of the network.
        seconds = [
            len(history) * np.median([r["seconds"] for r in history])
            for _, history, _ in group.runs
            if "seconds" in history[0]
        ]
        row |= {
            "fitted accuracy": on_fitted,
            "gap": on_fitted - row["accuracy"],
            "begins_as": group.begins_as or None,
            "parameters": record.parameters,
            "multiply_adds": record.details.get("multiply_adds"),
            "images_an_epoch": record.details.get("training", {}).get("images_an_epoch"),
            "updates": record.details.get("training", {}).get("updates"),
            "training_seconds": round(float(np.median(seconds)), 1) if seconds else None,
        }
        rows.append(row | {"notes": group.notes})
    return pd.DataFrame(rows + _means(rows, groups))


def _means(rows: list[dict], groups: list[Group]) -> list[dict]:
    """The mean over the attributes and the paper's overall accuracy, the mean over all tasks: two rows for each network
    of all of them and for each set of networks of one, whose costs add up."""
    cells: dict[tuple, dict[str, tuple]] = {}
    shown = [group for group in groups if group.runs and not group.record.changes]
    for row, group in zip(rows, shown, strict=True):
        cell = row["system"].removesuffix(f"_{group.task}")
        cells.setdefault((cell, str(group.record.data), row["preset"], row["init"]), {})[group.task] = row, group
    found = []
    every = [(*item, *mean) for item in cells.items() for mean in (("attributes", ATTRIBUTES), ("overall", TASKS))]
    for (cell, *_), own, name, tasks in every:
        if not set(tasks) <= set(own):
            continue
        of_tasks, parts = [own[task][0] for task in tasks], [own[task][1] for task in tasks]
        seeds = sorted(set.intersection(*({record.seed for record, _, _ in part.runs} for part in parts)))
        if not seeds:
            continue
        m = hypotheses.mean_over_tasks(parts, seeds)
        gap = -hypotheses.mean_over_tasks(parts, seeds, gap=True)["reproduced_mean"]
        networks = {row["system"]: row for row in of_tasks}.values()
        added = ("parameters", "multiply_adds", "images_an_epoch", "updates", "training_seconds")
        costs = {cost: [row[cost] for row in networks] for cost in added}
        found.append(
            of_tasks[0]
            | {"system": cell, "task": name, "runs": len(seeds), "usage": m["usage"]}
            | {f"{metric}{end}": None for metric in ("f1.macro", "auc.macro") for end in ("", " sd", " low", " high")}
            | {"accuracy": m["reproduced_mean"], "accuracy sd": m["reproduced_sd"]}
            | {"accuracy low": m["ci_low"], "accuracy high": m["ci_high"]}
            | {"fitted accuracy": m["reproduced_mean"] + gap, "gap": gap}
            | {cost: None if None in values else sum(values) for cost, values in costs.items()}
        )
    return found


def sensitivity(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """Runs whose setup was changed, on the rows they watched alone: what assumed values are judged by."""
    rows = []
    for group in groups:
        if not group.record.changes or not group.runs:
            continue
        epochs = [record.epochs_run for record, _, _ in group.runs]
        for image_set in image_sets(group.runs[0][2]):
            if image_set.endswith("(select)"):
                m = scores.measure(group, "accuracy", image_set, epochs)
                running = _running(group, "accuracy", epochs).mean if _watched_running(group) else np.nan
                rows.append(
                    group.key
                    | {
                        "changes": group.changes,
                        "parameters": group.record.parameters,
                        "usage": image_set,
                        "accuracy": m.mean,
                        "accuracy_low": m.low,
                        "accuracy_high": m.high,
                        "running_training_accuracy": running,
                        "n_runs": m.n_runs,
                        "n_images": m.n_images,
                    }
                )
    return pd.DataFrame(rows)


def _prepare_intervals(groups: list[Group], log) -> None:
    """Compute the intervals that the cache lacks, on all cores: one takes seconds on 28,709 images."""
    import multiprocessing
    import os
    from concurrent.futures import ProcessPoolExecutor

    cache = cache_folder() / "intervals"
    missing = {}
    for _, _, predictions in (run for group in groups for run in group.runs):
        sets = image_sets(predictions) | protocol_sets(predictions)
        for epoch in predictions.epochs:
            for rows in sets.values():
                found = predictions.label[rows], predictions.at(epoch)[rows]
                path = evaluation.kept_at(*found, cache)
                if not path.is_file():
                    missing[path] = found
    if len(missing) < 20:  # starting processes costs more than it saves
        return
    log(f"intervals of {len(missing)} sets of predictions, {evaluation.RESAMPLES} resamples each; kept afterwards")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core a process
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        labels, probabilities = zip(*missing.values())
        list(pool.map(evaluation.intervals, labels, probabilities, [cache] * len(missing)))


def build(
    runs: Path, papers: list[str], passports: dict[str, Passport] | None = None, log=lambda text: None
) -> dict[str, pd.DataFrame]:
    """All tables of the records under `runs` and the claims of `papers`, as data frames by name.

    passports: of `passport.read_all`; the copies without one have no PrivateTest without twins.
    """
    every = collect(runs, passports or {})
    groups = [group for group in every if group.task == "expression"]
    runs_of = [len(group.runs) for group in every if group.task == group.record.task]
    log(f"{sum(runs_of)} finished runs in {len(runs_of)} groups")
    _prepare_intervals(every, log)
    scores = Scores()
    compared = []
    for paper in papers:
        file = claims.load(paper)
        for claim in file.all_claims():
            systems = [claim.system]
            if claim.headline == "yes":
                systems += file.readings.get(claim.system, [])
            own = [g for g in groups if g.record.paper == paper and g.record.system in systems]
            compared += compare(claim, paper, own, scores)
        own = [group for group in every if group.record.paper == paper]
        compared += [{"paper": paper} | row for said in file.hypotheses for row in hypotheses.judged(said, own)]
    return {
        "summary": pd.concat([summary(groups, scores), from_crowd_votes(groups, passports or {})], ignore_index=True),
        "comparison": pd.DataFrame(compared, columns=COMPARISON_COLUMNS).astype(
            {"n_runs": "Int64", "n_images": "Int64"}
        ),
        "per_class": per_class(groups, scores),
        "protocols": protocols(groups, scores),
        "folds": folds(groups, scores),
        "tasks": by_task([group for group in every if "attributes" in group.record.data], scores),
        "sensitivity": sensitivity(groups, scores),
    }


# Writing


def write(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Each table as csv (fractions, four decimals), md and tex (per cent, one decimal) in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table = table.round(4)  # once, so that the readable forms round what the csv says
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.4f", lineterminator="\n")
        sections = _READABLE[name](table) if len(table) else {"": table}
        text, tex = [f"# {name}\n"], []
        for title, section in sections.items():
            if title:
                text.append(f"## {title}\n")
                tex.append(f"% {title}")
            text.append(section.to_markdown(index=False, disable_numparse=True) + "\n" if len(section) else "no rows\n")
            tex.append(section.to_latex(index=False, escape=True).rstrip() + "\n")
        if name == "comparison":
            text.append(f"{VERDICTS}\n{hypotheses.EXPLAINED}")
        (folder / f"{name}.md").write_text("\n".join(text))
        (folder / f"{name}.tex").write_text("\n".join(tex))


def overview(tables: dict[str, pd.DataFrame]) -> str:
    """For a terminal: the claims outside of reports of the papers that ran, beside PrivateTest and Training."""
    table = tables["comparison"]
    single = ~table["claim_id"].str.contains(".", regex=False)  # the numbers of a report are named report.class.metric
    rows = []
    ran = set(tables["summary"]["paper"]) if len(tables["summary"]) else set()
    for _, row in table[single & table["paper"].isin(ran)].iterrows():
        shown_sets = ("PrivateTest (", "Training", "PrivateTest + UTKFace", "UTKFace", "network")
        if row["verdict"] == "not run" or str(row["usage"]).startswith(shown_sets):
            named = row.rename({"ci_low": "reproduced_mean low", "ci_high": "reproduced_mean high"})
            rows.append(
                {
                    "claim": row["claim_id"],
                    "claimed": row["claimed"],
                    "reproduced": shown(named, "reproduced_mean", row["metric"]),
                    "on": row["usage"],
                    "of": " ".join(str(row[k]) for k in ("system", "protocol", "preset", "source") if pd.notna(row[k])),
                    "runs": row["n_runs"],
                    "verdict": row["verdict"],
                }
            )
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True, tablefmt="simple")


def whole(value: float) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def tenths(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def percent(value: float) -> str:
    return tenths(100 * value)


def shown(row, column: str, metric: str, low: str = " low", high: str = " high") -> str:
    """`61.2 [59.6, 62.8]`, per cent for shares; three decimals for AUC, two for log loss."""
    decimals, factor = (3, 1) if metric.startswith("auc") else (2, 1) if metric == "log_loss" else (1, 100)
    values = [row.get(column), row.get(column + low), row.get(column + high)]
    if pd.isna(values[0]):
        return ""
    mean, lowest, highest = (f"{factor * value:.{decimals}f}" for value in values)
    return mean if pd.isna(values[1]) else f"{mean} [{lowest}, {highest}]"


_GROUP = ["system", "protocol", "init", "preset", "source"]


def readable_summary(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A section per paper and image set: accuracy, F1, AUC and log loss with 95 % intervals."""
    sections = {}
    sets = [c.removesuffix(" accuracy") for c in table.columns if c.endswith(" accuracy")]
    for paper in dict.fromkeys(table["paper"]):
        if paper == REFERENCE:
            continue
        for image_set in sets:
            rows = []
            for _, row in table[table["paper"].isin((paper, REFERENCE))].iterrows():
                if pd.notna(row.get(f"{image_set} accuracy")):
                    rows.append(
                        {k: row[k] for k in [*_GROUP, "epoch", "runs"]}
                        | {metric: shown(row, f"{image_set} {metric}", metric) for metric in HEADLINES}
                        | {"parameters": whole(row["parameters"]), "s/epoch": tenths(row["seconds_per_epoch"])}
                        | {"notes": row["notes"]}
                    )
            if rows:
                sections[f"{paper}: {image_set}"] = pd.DataFrame(rows)
        failed = table[(table["paper"] == paper) & (table["failed"] > 0)]
        if len(failed):
            columns = [c for c in (*_GROUP, "failed", "error") if c in failed]
            sections[f"{paper}: failed runs"] = failed[columns]
    return sections


def readable_comparison(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A section per paper: claimed beside reproduced, with the verdict."""
    sections = {}
    for paper in dict.fromkeys(table["paper"]):
        rows = []
        for _, row in table[table["paper"] == paper].iterrows():
            named = row.rename({"ci_low": "reproduced_mean low", "ci_high": "reproduced_mean high"})
            rows.append(
                {"claim": row["claim_id"], "claimed": row["claimed"]}
                | {"reproduced": shown(named, "reproduced_mean", row["metric"])}
                | {"usage": row["usage"], "metric": f"{row['metric']} {row['average']}".removesuffix(" none")}
                | {k: row[k] for k in ("system", "protocol", "init", "preset", "source", "epoch", "n_runs")}
                | {k: row[k] for k in ("verdict", "notes")}
            )
        sections[paper] = pd.DataFrame(rows).fillna("").astype(str)
    return sections


def readable_per_class(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows = []
    for _, row in table.iterrows():
        rows.append(
            {k: row[k] for k in ["paper", *_GROUP, "usage", "class", "support"]}
            | {m: shown(row, m, "recall", "_low", "_high") for m in ("precision", "recall", "f1")}
            | {"runs": row["n_runs"]}
        )
    return {"": pd.DataFrame(rows)}


def readable_protocols(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A section per paper."""
    sections = {}
    for paper in dict.fromkeys(table["paper"]):
        rows = [
            {k: row[k] for k in [*_GROUP, "runs"]} | by_protocol(row)
            for _, row in table[table["paper"] == paper].iterrows()
        ]
        sections[paper] = pd.DataFrame(rows).fillna("")
    return sections


def by_protocol(row) -> dict[str, str]:
    """The readable cells of one row of the table `protocols`."""
    return {
        "scored": shown(row, "scored accuracy", "accuracy"),
        "of it unseen": shown(row, "unseen accuracy", "accuracy"),
        "fitted": shown(row, "fitted accuracy", "accuracy"),
        "scored: F1 macro": shown(row, "scored f1.macro", "f1"),
        "AUC": shown(row, "scored auc.macro", "auc"),
        "mean one-vs-rest accuracy": shown(row, "scored mean_ovr_accuracy", "accuracy"),
        "images scored, unseen, fitted": ", ".join(
            whole(row.get(f"{name} images")) or "0" for name in ("scored", "unseen", "fitted")
        ),
        "notes": row["notes"] if pd.notna(row["notes"]) else "",
    }


def readable_folds(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Mean over the folds, and in brackets the lowest and the highest."""
    rows = []
    for _, row in table.iterrows():
        rows.append(
            {k: row[k] for k in ("paper", *_GROUP, "folds", "usage")}
            | {m: shown(row, m, m) for m in ("accuracy", "f1.macro", "auc.macro", "log_loss")}
            | {"accuracy sd": percent(row["accuracy sd"]), "notes": row["notes"]}
        )
    return {"": pd.DataFrame(rows)}


def readable_tasks(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows = []
    for _, row in table.iterrows():
        rows.append({k: row[k] for k in ("paper", *_GROUP, "runs")} | of_task(row) | {"notes": row["notes"]})
    return {"": pd.DataFrame(rows)}


def of_task(row) -> dict[str, str]:
    """The readable cells of one row of the table `tasks`."""
    return {
        "task": row["task"],
        "scored on": row["usage"],
        **{metric: shown(row, metric, metric) for metric in ("accuracy", "f1.macro", "auc.macro")},
        "fitted": percent(row["fitted accuracy"]),
        "gap": percent(row["gap"]),
        "begins as": row["begins_as"] if pd.notna(row["begins_as"]) else "",
        "parameters": whole(row["parameters"]),
        "multiply-adds": whole(row["multiply_adds"]),
        "images an epoch": whole(row["images_an_epoch"]),
        "updates": whole(row["updates"]),
        "training, s": whole(row["training_seconds"]),
    }


def readable_sensitivity(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows = []
    for _, row in table.iterrows():
        rows.append(
            {k: row[k] for k in ("paper", *_GROUP, "changes", "parameters", "usage")}
            | {"accuracy": shown(row, "accuracy", "accuracy", "_low", "_high")}
            | {"running training accuracy": percent(row["running_training_accuracy"]), "runs": row["n_runs"]}
        )
    return {"": pd.DataFrame(rows)}


_READABLE = {
    "summary": readable_summary,
    "comparison": readable_comparison,
    "per_class": readable_per_class,
    "protocols": readable_protocols,
    "folds": readable_folds,
    "tasks": readable_tasks,
    "sensitivity": readable_sensitivity,
}
