"""The rows of every table, from groups of records, their scores and the claims; nothing is formatted here.

`measurements` holds every number that was measured, one a row; `runs` and `epochs` hold what is no measurement; the
others are pivots of these, and `comparison` is their join with the claims. An image set stands in a row as an
`ImageSet`; `render` writes it as columns. Needs neither keras nor tensorflow.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_common.claims import Claim, ClaimsFile, Hypothesis
from fer_common.data.passport import Passport
from fer_common.data.utkface import ATTRIBUTES, TASKS
from fer_common.records import Record
from fer_common.results import prices, verdicts
from fer_common.results.groups import FoundRecord, Group, collect
from fer_common.results.image_sets import ImageSet, tested
from fer_common.results.measure import Measured, Scores, kept_running
from fer_common.results.verdicts import Found, Spread

RELEASED = "released"  # in place of a paper: networks that somebody released, or sent
REFERENCE = "reference"  # in place of a paper: a line to compare with
HEADLINES = ("accuracy", "f1.macro", "f1.weighted", "auc.macro", "log_loss")
MAIN_PRESETS = ("full", "reduced")


def build(
    runs: Path,
    files: Sequence[ClaimsFile],
    passports: Mapping[str, Passport],
    *,
    wrong: Mapping[Path, str] | None = None,
    without_randomness: Callable[[Record], bool] = lambda record: False,
    known_spread: Spread | None = None,
    released: Iterable[tuple[str, Sequence]] = (),
) -> dict[str, pd.DataFrame]:
    """All tables of the records under `runs` and the claims in `files`, as data frames by name.

    passports: of `passport.read_all`; the copies without one have no PrivateTest without twins.
    wrong: what is wrong with records that are left out. without_randomness: whether a record's system needs one run.
    known_spread: s* of the committed records, for runs of somebody else; default: that of the records themselves.
    released: (name, printed numbers) of each card of a released network.
    """
    collected = collect(runs, passports, wrong or {})
    every = collected.groups
    scores = Scores(every)
    spread = pd.DataFrame(verdicts.seed_spread(every, scores))
    judges = Judges(known_spread or Spread.of_rows(spread.to_dict("records")), without_randomness)
    measured = measurements(every, scores, files)
    listed = of_runs(runs, collected.found, {file.paper for file in files})
    expression = [group for group in every if group.task == "expression"]
    return {
        "measurements": measured,
        "runs": listed,
        "epochs": of_epochs(runs, every),
        "comparison": comparison(files, every, scores, judges),
        "controls": pd.DataFrame(controls(released, expression, scores)),
        "seed_spread": spread,
        "summary": summary(measured, from_crowd_votes(expression, passports), expression),
        "per_class": per_class(expression, scores),
        "protocols": protocols(expression, scores),
        "folds": folds(measured),
        "tasks": by_task([group for group in every if "attributes" in group.record.data], scores),
        "sensitivity": sensitivity(measured, listed),
        "protocol_prices": prices.prices(expression, scores),
        "confusion": confusion([group for group in expression if _prints_matrix(group, files)], scores),
    }


# What was measured


def measurements(groups: Iterable[Group], scores: Scores, files: Sequence[ClaimsFile]) -> pd.DataFrame:
    """Every number, one a row: each metric on each image set, of every setup and of each of its folds.

    `chosen` says how the epoch was: `last`; `best on select` where that is another one; `printed` where the paper
    prints numbers for it. `changes` is JSON. `fold` is empty for what is about whole runs.
    """
    printed = {file.paper: {int(c.epoch) for c in file.all_claims() if c.epoch} for file in files}
    rows = []
    for group in groups:
        if not group.runs:
            continue
        setup = group.key | {"data": group.record.data["fingerprint"], "changes": _json(group.record.changes)}
        setup |= {"task": group.task}
        for chosen, epochs in epoch_choices(group, scores, printed.get(group.record.paper, set())):
            about = setup | {"fold": None, "epoch": _joined(epochs), "chosen": chosen}
            for image_set in scores.sets(group):
                rows += [
                    about | _measured(metric, image_set, scores.measure(group, metric, image_set, epochs))
                    for metric in scores.metrics(group)
                ]
            if kept_running(group):
                for metric in ("accuracy", "log_loss"):
                    image_set, running = scores.running(group, metric, epochs)
                    rows.append(about | _measured(metric, image_set, running))
        for fold, own in group.by_fold().items():
            about = setup | {"fold": fold, "epoch": _joined(own.last_epochs), "chosen": "last"}
            for image_set in scores.sets(own):
                for metric in HEADLINES:
                    measured = scores.measure(own, metric, image_set, own.last_epochs)
                    rows.append(about | _measured(metric, image_set, measured))
    return pd.DataFrame(rows).astype({"fold": "Int64"}) if rows else pd.DataFrame(rows)


def _measured(metric: str, image_set: ImageSet, measured: Measured) -> dict:
    name, _, of = metric.partition(".")
    average = of if of in ("macro", "weighted", "lowest", "highest") else ""
    return {"image_set": image_set, "metric": name, "average": average, "class": "" if average else of} | vars(measured)


def epoch_choices(group: Group, scores: Scores, printed: Iterable[int] = ()) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(how it was chosen, epoch of each run): the last one, the best on the select rows, those that a paper prints."""
    last = group.last_epochs
    yield "last", last
    best = tuple(run.record.best_epoch for run in group.runs if run.record.best_epoch is not None)
    if len(best) == len(last) and best != last and scores.keeps(group, best):
        yield "best on select", best
    for epoch in sorted(printed):
        epochs = tuple(min(epoch, own) for own in last)
        if epochs != last and scores.keeps(group, epochs):
            yield "printed", epochs


def of_runs(root: Path, found: Iterable[FoundRecord], papers: set[str]) -> pd.DataFrame:
    """Every record: what it is of, what it took, and why it is in no main table, if so.

    `left_out`: `damaged`, `symlink`, `failed`, `smoke`, `changed`, `incomplete`, `unknown paper`, or nothing.
    `changes`, `reduced`, `versions` and `details` are JSON.
    """
    rows = []
    for each in found:
        row: dict[str, Any] = {"run": str(each.path.relative_to(root)), "left_out": each.left_out, "says": each.says}
        if (r := each.record) is not None:
            if not each.left_out and r.paper not in (*papers, RELEASED):
                row["left_out"] = "unknown paper"
            row |= {k: getattr(r, k) for k in ("paper", "system", "protocol", "init", "preset", "seed", "fold")}
            row |= {k: _json(getattr(r, k)) for k in ("changes", "reduced")}
            row |= {"source": r.data["source"], "data": r.data["fingerprint"], "rows": r.data["rows"]}
            row |= {"attributes": r.data.get("attributes", {}).get("source")}
            row |= {k: getattr(r, k) for k in ("parameters", "epochs_run", "best_epoch", "seconds_per_epoch")}
            row |= {k: getattr(r, k) for k in ("backend", "device", "commit", "dirty", "finished")}
            row |= {"versions": _json(r.versions), "notes": "; ".join(r.notes), "details": _json(r.details)}
            row["learning_rate"] = r.setup.get("learning_rate")
        rows.append(row)
    whole = dict.fromkeys(("seed", "fold", "rows", "parameters", "epochs_run", "best_epoch"), "Int64")
    table = pd.DataFrame(rows)
    return table.astype({name: kind for name, kind in whole.items() if name in table})


def of_usual_device(own: pd.DataFrame) -> pd.DataFrame:
    """The runs of those that were made on the device of most of them: a second on another is another second."""
    return own[own["device"] == own["device"].mode()[0]] if own["device"].notna().any() else own


def of_epochs(root: Path, groups: Iterable[Group]) -> pd.DataFrame:
    """The history of every finished run, a row an epoch, as Keras and the scripts kept it."""
    rows = []
    for group in groups:
        if group.task != group.record.task:
            continue
        for run in group.single_runs():
            name = str(run.paths[0].relative_to(root))
            rows += [{"run": name} | epoch for epoch in run.history]
    return pd.DataFrame(rows)


def _json(value) -> str:
    return json.dumps(value) if value else ""


def _joined(epochs: Iterable[int]) -> str:
    return "/".join(map(str, dict.fromkeys(epochs)))


# Claims beside them


COMPARISON_COLUMNS = [
    *("claim_id", "paper", "headline", "images", "where", "system", "protocol", "init", "preset", "source"),
    *("metric", "average", "epoch", "image_set", "claimed", "unit", "reproduced", "sd", "low", "high"),
    *("gap", "half_width", "seed_part", "assumed", "n_runs", "n_images", "verdict", "above_honest", "notes"),
]


def honest_rows(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of `summary` of honest scores: of whole runs on FER2013, on PrivateTest, which nothing had seen."""
    if not len(summary):
        return summary
    honest = np.array([own.honest for own in summary["image_set"]], bool)
    return summary[honest & summary["preset"].isin(MAIN_PRESETS) & (summary["source"] == "fer2013")]


def best_honest(groups: Iterable[Group], scores: Scores) -> tuple[Group, Measured] | None:
    """The highest accuracy on PrivateTest that whole runs of any paper or of the reference have, on FER2013."""
    found = [
        (group, scores.measure(group, "accuracy", image_set, group.last_epochs))
        for group in groups
        if group.unchanged
        and group.task == "expression"
        and group.record.preset in MAIN_PRESETS
        and group.record.data["source"] == "fer2013"
        for image_set in scores.sets(group)
        if image_set.honest
    ]
    return max(found, key=lambda own: own[1].mean, default=None)


class Judges:
    """What the verdict on a claim needs besides the claim and the run."""

    def __init__(self, spread: Spread, without_randomness: Callable[[Record], bool]):
        self.spread, self.without_randomness = spread, without_randomness


def comparison(files: Sequence[ClaimsFile], groups: list[Group], scores: Scores, judges: Judges) -> pd.DataFrame:
    """Every claim beside every unchanged run that it may be about, a row for each reading and image set.

    above_honest: of an accuracy that is not of training images, how far it lies above `best_honest`.
    """
    rows = []
    best = best_honest(groups, scores)
    for file in files:
        own = [group for group in groups if group.record.paper == file.paper]
        for claim in file.all_claims():
            systems = [claim.system]
            if claim.headline == "yes":
                systems += file.readings.get(claim.system, [])
            ran = [g for g in own if g.record.system in systems and g.task == "expression" and g.unchanged]
            said = compare(claim, file.paper, ran, scores, judges)
            if best and claim.metric == "accuracy" and claim.images != "training":
                said = [row | {"above_honest": claim.number - best[1].mean} for row in said]
            rows += said
        for hypothesis in file.hypotheses:
            rows += [{"paper": file.paper} | row for row in differences(hypothesis, own, scores)]
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS).astype({"n_runs": "Int64", "n_images": "Int64"})


def _reproduced(measured: Measured) -> dict[str, float]:
    return {"reproduced": measured.mean} | {
        k: getattr(measured, k) for k in ("sd", "low", "high", "n_runs", "n_images")
    }


def readings(claim: Claim) -> Iterator[tuple[str, str]]:
    """(flat metric name, what to call its average): the ways to read the claim's metric."""
    if claim.metric in ("accuracy", "log_loss"):
        yield claim.metric, "none"
        if claim.also:
            yield claim.also, "mean one-vs-rest"
    elif claim.metric == "auc":
        yield "auc.macro", "macro, from probabilities"
        yield "auc_hard.macro", "macro, from hard labels"
    elif claim.average == "micro":
        yield "accuracy", "micro, which is the accuracy"
    elif claim.metric == "ovr_accuracy":
        if claim.average == "macro":
            yield "mean_ovr_accuracy", "mean one-vs-rest"
    elif claim.average == "unstated":
        for average in ("macro", "weighted"):
            yield f"{claim.metric}.{average}", f"unstated: {average}"
    else:
        yield f"{claim.metric}.{claim.average}", claim.average


def compare(claim: Claim, paper: str, groups: list[Group], scores: Scores, judges: Judges) -> list[dict]:
    """The rows of one claim: one for each group, reading and image set, or a single `not run`."""
    base = {
        "claim_id": claim.id,
        "paper": paper,
        "headline": claim.headline,
        "images": claim.images,
        "where": claim.where,
        "system": claim.system,
        "metric": claim.metric,
        "claimed": claim.value,
        "unit": claim.unit,
    }
    rows = []
    for group in groups:
        epochs = tuple(min(int(claim.epoch or 10**9), last) for last in group.last_epochs)
        kept = scores.keeps(group, epochs)
        for metric, average in readings(claim):
            found = [
                Found(own, scores.measure(group, metric, own, epochs), same_images(claim, group, own, scores))
                for own in (scores.sets(group) if kept else [])
            ]
            if claim.running != "no" and metric in ("accuracy", "log_loss") and kept_running(group):
                found.append(Found(*scores.running(group, metric, epochs)))
            needs_one_run = judges.without_randomness(group.record)
            judged = verdicts.judge(claim, metric, found, judges.spread, without_randomness=needs_one_run)
            for own, verdict in zip(found, judged, strict=True):
                rows.append(
                    base
                    | group.key
                    | {"average": average, "epoch": _joined(epochs), "image_set": own.image_set}
                    | _reproduced(own.measured)
                    | vars(verdict)
                    | {"assumed": "n_images" if verdict.assumed else "", "notes": group.notes}
                )
    nothing = "not run" if list(readings(claim)) else "not measured"
    return rows or [base | {"average": claim.average, "epoch": claim.epoch, "n_runs": 0, "verdict": nothing}]


def same_images(claim: Claim, group: Group, image_set: ImageSet, scores: Scores) -> bool:
    """Whether a claim whose part of FER2013 is beyond doubt and an image set of a group are about the same images."""
    if claim.usage is None or image_set.usages != (claim.usage,):
        return False
    n_images = scores.n_images(group, image_set)
    whole = n_images == scores.of(group.runs[0]).usages[claim.usage]
    real = group.record.data["source"] == "fer2013" and group.record.preset != "smoke"
    return bool(real and whole and (claim.n_images is None or n_images == int(claim.n_images)))


def differences(hypothesis: Hypothesis, groups: list[Group], scores: Scores) -> list[dict]:
    """The rows of one hypothesis: one for each preset, init and copy of the data that both sides ran on, or a single
    `not run`. The image set is missing where what is compared is the network itself."""
    base = {
        "claim_id": hypothesis.id,
        "where": hypothesis.where,
        "headline": "yes",
        "system": hypothesis.system,
        "metric": f"{hypothesis.metric} beside {hypothesis.against}",
        "average": ", ".join(hypothesis.tasks),
        "claimed": hypothesis.claimed,
    }
    rows = []
    for kind in dict.fromkeys(map(_kind, groups)):
        own = {(g.record.system, g.task): g for g in groups if _kind(g) == kind and g.unchanged}
        system, against = (_of_tasks(own, name, hypothesis.tasks) for name in (hypothesis.system, hypothesis.against))
        if not system or not against:
            continue
        common = sorted(set.intersection(*(set(group.seeds) for group in (*system, *against))))
        if not common:
            continue
        if hypothesis.metric in ("multiply_adds", "parameters"):
            found = _cost(hypothesis.metric, system, against)
        elif hypothesis.metric == "gap" and not all(scores.tells(group, "fit") for group in (*system, *against)):
            found = {"verdict": "not measured"}
        else:
            gap = hypothesis.metric == "gap"
            image_set, measured = scores.mean_over_tasks(system, common, against, gap=gap)
            verdict = verdicts.of_difference(hypothesis, measured)
            found = {"image_set": image_set} | _reproduced(measured) | {"verdict": verdict}
        if hypothesis.floor:
            baseline = _of_task(own, hypothesis.against, "expression")
            if baseline is None:
                found["verdict"] = "baseline not run"
            elif 100 * scores.mean_over_tasks([baseline], baseline.seeds)[1].mean < float(hypothesis.floor):
                found["verdict"] = "no baseline"
        setup = {k: system[0].key[k] for k in ("protocol", "init", "preset", "source")}
        epoch = str(system[0].record.epochs_run)
        rows.append(base | setup | found | {"epoch": epoch, "n_runs": len(common), "notes": system[0].notes})
    return rows or [base | {"n_runs": 0, "verdict": "not run"}]


def _kind(group: Group) -> tuple:
    return group.record.protocol, group.record.init, group.record.preset, str(group.record.data)


def _of_task(groups: dict, system: str, task: str) -> Group | None:
    """A system's group of a task: its own, or that of the system trained on this task alone."""
    return groups.get((system, task)) or groups.get((f"{system}_{task}", task))


def _of_tasks(groups: dict, system: str, tasks: Sequence[str]) -> list[Group]:
    """A system's groups, one a task; none at all where one is missing."""
    found = [group for task in tasks if (group := _of_task(groups, system, task))]
    return found if len(found) == len(tasks) else []


def _cost(metric: str, system: list[Group], against: list[Group]) -> dict:
    """The share that one side's networks have of the other's; a network of several tasks counts once."""
    totals = []
    for side in (system, against):
        networks = {group.record.system: group.record for group in side}.values()
        costs = [r.parameters if metric == "parameters" else r.details.get("multiply_adds") for r in networks]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs):
            return {"verdict": "not measured"}
        totals.append(sum(known))
    share = totals[0] / totals[1]
    return {"reproduced": share, "verdict": "supported" if share < 1 else "contradicted"}


def controls(released: Iterable[tuple[str, Sequence]], groups: Iterable[Group], scores: Scores) -> list[dict]:
    """The numbers that releases print beside what their networks give, one a row.

    released: (system, printed numbers) of each card. A control, which has an allowed difference, passes within
    it of the expected number, the printed one where no other is expected. Another number is `within the interval` over
    images and half a printed unit, or not.
    """
    of_system = {group.record.system: group for group in groups if group.record.paper == RELEASED and group.runs}
    rows = []
    for system, printed in released:
        group = of_system.get(system)
        for number in printed:
            image_set = ImageSet(tuple(number.usages), ("unknown",), subset=number.subset)
            row = {"system": system, "id": number.id, "metric": number.metric, "printed": number.value}
            where = "; ".join(filter(None, (number.where, number.note)))
            row |= {"unit": number.unit, "where": where, "image_set": image_set}
            if group is None or image_set not in scores.sets(group):
                rows.append(row | {"verdict": "not run"})
                continue
            m = scores.measure(group, number.metric, image_set, group.last_epochs)
            gap = number.number - m.mean
            row |= {"found": m.mean, "low": m.low, "high": m.high, "n_images": m.n_images, "gap": gap}
            if number.allowed is not None:
                factor = 100 if number.unit == "percent" else 1
                expected, allowed = (float(n) / factor for n in (number.expected or number.value, number.allowed))
                row |= {"expected": expected, "allowed": allowed}
                row["verdict"] = "passed" if abs(expected - m.mean) <= allowed else "failed"
            else:
                within = abs(gap) <= (m.high - m.low) / 2 + number.half_unit
                row["verdict"] = "within the interval" if within else "printed higher" if gap > 0 else "printed lower"
            rows.append(row)
    return rows


# Pivots


def _unchanged(measured: pd.DataFrame) -> pd.DataFrame:
    """What whole runs of setups as the scripts have them gave in expression."""
    return measured[(measured["changes"] == "") & measured["fold"].isna() & (measured["task"] == "expression")]


def _pivot(measured: pd.DataFrame, keys: Sequence[str], metrics: Iterable[str]) -> pd.DataFrame:
    """A row for each value of `keys` in their order, with mean, sd, low and high of each flat metric in columns."""
    wanted = set(metrics)
    rows: dict[tuple, dict[str, Any]] = {}
    names = {metric.partition(".")[0] for metric in wanted}
    for row in measured[(measured["class"] == "") & measured["metric"].isin(names)].to_dict("records"):
        metric = f"{row['metric']}.{row['average']}".removesuffix(".")
        if metric in wanted:
            cells = rows.setdefault(tuple(row[k] for k in keys), {k: row[k] for k in keys})
            cells |= {metric: row["mean"]} | {f"{metric} {k}": row[k] for k in ("sd", "low", "high")}
    return pd.DataFrame(list(rows.values()))


def summary(measured: pd.DataFrame, crowd: pd.DataFrame, groups: Iterable[Group]) -> pd.DataFrame:
    """The headline metrics of every setup as the scripts have it, a row for the last epoch and one for the best on the
    selection rows on each image set, with what the runs say of themselves; and the line that the crowd's votes draw."""
    if not len(measured):
        return crowd
    notes = {tuple(group.key.values()): group.notes for group in groups if group.unchanged}
    keys = [*SETUP, "data", "epoch", "chosen", "image_set", "n_runs", "n_images"]
    of_predictions = np.array([own.of != "running" for own in measured["image_set"]])
    shown = _unchanged(measured[of_predictions & (measured["chosen"] != "printed")])
    table = _pivot(shown, keys, HEADLINES)
    if len(table):
        table["notes"] = [notes.get(setup, "") for setup in table[list(SETUP)].itertuples(index=False, name=None)]
    return pd.concat([table, crowd], ignore_index=True)


SETUP = ("paper", "system", "protocol", "init", "preset", "source")


def from_crowd_votes(groups: list[Group], passports: Mapping[str, Passport]) -> pd.DataFrame:
    """The reference line of each copy of the data that was run: PrivateTest from the votes of FER+ alone, by a rule
    from votes to labels that was fitted on Training. No ceiling: networks also learn how this set was labelled."""
    rows = []
    for fingerprint, passport in passports.items():
        if passport.crowd and any(group.record.data["fingerprint"] == fingerprint for group in groups):
            mean, n_images = passport.crowd.from_votes, passport.looks["PrivateTest"].images
            half = 1.96 * np.sqrt(mean * (1 - mean) / n_images)
            rows.append(
                {"paper": REFERENCE, "system": "from crowd votes", "protocol": "official", "init": "-"}
                | {"preset": "full", "source": passport.source, "data": fingerprint, "epoch": "-", "chosen": "-"}
                | {"image_set": ImageSet(("PrivateTest",), ("score",)), "n_runs": 1, "n_images": n_images}
                | {"accuracy": mean, "accuracy low": mean - half, "accuracy high": mean + half}
            )
    return pd.DataFrame(rows)


def per_class(groups: Iterable[Group], scores: Scores) -> pd.DataFrame:
    """Precision, recall and F1 of each class at the last epoch, per group and image set, with their intervals."""
    rows = []
    for group in groups:
        if not group.unchanged:
            continue
        for image_set in scores.sets(group):
            for name, support in zip(TASKS[group.task], scores.support(group, image_set)):
                row = group.key | {"image_set": image_set, "class": name, "support": support}
                for metric in ("precision", "recall", "f1"):
                    m = scores.measure(group, f"{metric}.{name}", image_set, group.last_epochs)
                    row |= {metric: m.mean} | {f"{metric} {k}": getattr(m, k) for k in ("sd", "low", "high")}
                rows.append(row | {"n_runs": len(group.runs)})
    return pd.DataFrame(rows)


def confusion(groups: Iterable[Group], scores: Scores) -> pd.DataFrame:
    """Counts of (true, predicted) at the last epoch, summed over seeds and the folds' networks, on the images that are
    tested; for the systems whose matrix a paper prints."""
    rows = []
    for group in groups:
        for image_set in tested(scores.sets(group)):
            cells = [scores.cell(run, image_set, run.record.epochs_run) for run in group.runs]
            counts = np.sum([cell.matrix for cell in cells], axis=0)
            names = TASKS[group.task]
            rows += [
                group.key | {"image_set": image_set, "true": names[i], "predicted": names[j], "images": int(n)}
                for (i, j), n in np.ndenumerate(counts)
            ]
    return pd.DataFrame(rows)


def protocols(groups: Iterable[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup that ran: what its protocol scores, and of this what is unseen; what was fitted."""
    rows = []
    for group in groups:
        if not group.unchanged or not scores.of(group.runs[0]).protocol:
            continue
        row = group.key | {"n_runs": len(group.runs), "epoch": _joined(group.last_epochs)}
        for name, image_set in scores.of(group.runs[0]).protocol.items():
            metrics = ("accuracy", "mean_ovr_accuracy", "f1.macro", "auc.macro") if name == "scored" else ("accuracy",)
            for metric in metrics:
                m = scores.measure(group, metric, image_set, group.last_epochs)
                row |= {f"{name} {metric}": m.mean} | {f"{name} {metric} {k}": getattr(m, k) for k in ("low", "high")}
            row[f"{name} images"] = scores.n_images(group, image_set)
        rows.append(row | {"notes": group.notes})
    table = pd.DataFrame(rows)
    return table.astype({name: "Int64" for name in table.columns if name.endswith(" images")})


def folds(measured: pd.DataFrame) -> pd.DataFrame:
    """One row per setup with several folds and image set: each metric's mean over the folds, sd, lowest, highest."""
    rows: dict[tuple, dict[str, list[float]]] = {}
    own = measured[(measured["changes"] == "") & measured["fold"].notna()] if len(measured) else measured
    for row in own.to_dict("records"):
        key = tuple(row[k] for k in (*SETUP, "image_set", "data"))
        metric = f"{row['metric']}.{row['average']}".removesuffix(".")
        rows.setdefault(key, {}).setdefault(metric, []).append(row["mean"])
    table = []
    for key, by_metric in rows.items():
        cells = dict(zip((*SETUP, "image_set"), key)) | {"folds": len(by_metric["accuracy"])}
        for metric in ("accuracy", "f1.macro", "auc.macro", "log_loss"):
            values = np.array(by_metric[metric])
            cells |= {metric: values.mean(), f"{metric} sd": values.std(ddof=1)}
            cells |= {f"{metric} low": values.min(), f"{metric} high": values.max()}
        table.append(cells)
    return pd.DataFrame(table)


def by_task(groups: Iterable[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup and task of the papers with several: scores on the tested images, the gap to the fitted ones,
    and what training cost, beyond what the network that it begins as did."""
    rows = []
    shown = [group for group in groups if group.unchanged]
    for group in shown:
        tested, fitted = _tested(group, scores), scores.of(group.runs[0]).protocol.get("fitted")
        record = group.record
        row: dict[str, Any] = group.key | {"task": group.task, "n_runs": len(group.runs), "image_set": tested}
        for metric in ("accuracy", "f1.macro", "auc.macro"):
            m = scores.measure(group, metric, tested, group.last_epochs)
            row |= {metric: m.mean} | {f"{metric} {k}": getattr(m, k) for k in ("sd", "low", "high")}
        # Pooled folds have no fitted images: each was held out by one of them.
        on_fitted = scores.measure(group, "accuracy", fitted, group.last_epochs).mean if fitted else np.nan
        # An epoch that shared the machine with other work takes longer, and says nothing of the network.
        seconds = [
            len(run.history) * np.median([epoch["seconds"] for epoch in run.history])
            for run in group.single_runs()
            if run.history and "seconds" in run.history[0]
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
    table = pd.DataFrame(rows + _means(rows, shown, scores))
    return table.astype({name: "Int64" for name in COSTS[:-1] if name in table})


def _tested(group: Group, scores: Scores) -> ImageSet:
    """What the protocol scores; where all folds score the same images, these."""
    scored = scores.of(group.runs[0])
    return scored.protocol.get("scored") or next(own for own in scored.sets if own.held_out and "score" in own.roles)


COSTS = ("parameters", "multiply_adds", "images_an_epoch", "updates", "training_seconds")


def _means(rows: list[dict], groups: list[Group], scores: Scores) -> list[dict]:
    """The mean over the attributes and the paper's overall accuracy, the mean over all tasks: two rows for each network
    of all of them and for each set of networks of one, whose costs add up."""
    cells: dict[tuple, dict[str, tuple]] = {}
    for row, group in zip(rows, groups, strict=True):
        cell = row["system"].removesuffix(f"_{group.task}")
        cells.setdefault((cell, str(group.record.data), row["preset"], row["init"]), {})[group.task] = row, group
    found = []
    every = [(*item, *mean) for item in cells.items() for mean in (("attributes", ATTRIBUTES), ("overall", TASKS))]
    for (cell, *_), own, name, tasks in every:
        if not set(tasks) <= set(own):
            continue
        of_tasks, parts = [own[task][0] for task in tasks], [own[task][1] for task in tasks]
        seeds = sorted(set.intersection(*(set(part.seeds) for part in parts)))
        if not seeds:
            continue
        image_set, m = scores.mean_over_tasks(parts, seeds)
        told = all(scores.tells(part, "fit") for part in parts)
        gap = -scores.mean_over_tasks(parts, seeds, gap=True)[1].mean if told else np.nan
        networks = {row["system"]: row for row in of_tasks}.values()
        costs = {cost: [row[cost] for row in networks] for cost in COSTS}
        found.append(
            of_tasks[0]
            | {"system": cell, "task": name, "n_runs": len(seeds), "image_set": image_set}
            | {f"{metric}{end}": None for metric in ("f1.macro", "auc.macro") for end in ("", " sd", " low", " high")}
            | {"accuracy": m.mean}
            | {f"accuracy {k}": getattr(m, k) for k in ("sd", "low", "high")}
            | {"fitted accuracy": m.mean + gap, "gap": gap}
            | {cost: None if None in values else sum(values) for cost, values in costs.items()}
        )
    return found


def sensitivity(measured: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Runs whose setup was changed, on the rows they watched alone: what assumed values are judged by."""
    if not len(measured):
        return measured
    keys = [*SETUP, "changes", "task"]
    of_record = [*SETUP[:-1], "changes"]  # without the source, which in `measured` may name that of the attributes, too
    parameters = {tuple(row[k] for k in of_record): row["parameters"] for row in runs.to_dict("records")}
    last = measured[measured["fold"].isna() & (measured["chosen"] == "last") & (measured["metric"] == "accuracy")]
    rows, running = [], {}
    for row in last[last["changes"] != ""].to_dict("records"):
        image_set, key = row["image_set"], tuple(row[k] for k in keys)
        if image_set.of == "running":
            running[key] = row["mean"]
        elif image_set.roles == ("select",) and image_set.of == "images":
            rows.append(
                {k: row[k] for k in keys}
                | {
                    "parameters": parameters[tuple(row[k] for k in of_record)],
                    "image_set": image_set,
                    "accuracy": row["mean"],
                }
                | {f"accuracy {k}": row[k] for k in ("low", "high")}
                | {k: row[k] for k in ("n_runs", "n_images")}
            )
    return pd.DataFrame(
        [row | {"running_training_accuracy": running.get(tuple(row[k] for k in keys), np.nan)} for row in rows]
    )


def _prints_matrix(group: Group, files: Sequence[ClaimsFile]) -> bool:
    systems = {(file.paper, matrix.system) for file in files for matrix in file.matrices}
    return group.unchanged and (group.record.paper, group.record.system) in systems
