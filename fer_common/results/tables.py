"""The rows of every table, from groups of records, their scores and the claims; nothing is formatted here.

An image set stands in a row as an `ImageSet`; `render` prints it. Needs neither keras nor tensorflow.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fer_common import claims
from fer_common.claims import Claim, ClaimsFile, Hypothesis
from fer_common.data import EMOTIONS
from fer_common.data.passport import Passport
from fer_common.data.utkface import ATTRIBUTES, TASKS
from fer_common.results import groups as grouping
from fer_common.results import verdicts
from fer_common.results.groups import Group
from fer_common.results.image_sets import ImageSet
from fer_common.results.measure import Measured, Scores, kept_running

REFERENCE = "reference"
HEADLINES = ("accuracy", "f1.macro", "f1.weighted", "auc.macro", "log_loss")
NETWORK = "network"  # in place of an image set: what is compared is the network itself


def build(
    runs: Path, papers: list[str], passports: dict[str, Passport] | None = None, log=lambda text: None
) -> dict[str, pd.DataFrame]:
    """All tables of the records under `runs` and the claims of `papers`, as data frames by name.

    passports: of `passport.read_all`; the copies without one have no PrivateTest without twins.
    """
    every = grouping.collect(runs, passports or {})
    groups = [group for group in every if group.task == "expression"]
    runs_of = [len(group.runs) for group in every if group.task == group.record.task]
    log(f"{sum(runs_of)} finished runs in {len(runs_of)} groups")
    scores = Scores(every)
    crowd = from_crowd_votes(groups, passports or {})
    return {
        "summary": pd.concat([summary(groups, scores), crowd], ignore_index=True),
        "comparison": comparison([claims.load(paper) for paper in papers], every, scores),
        "per_class": per_class(groups, scores),
        "protocols": protocols(groups, scores),
        "folds": folds(groups, scores),
        "tasks": by_task([group for group in every if "attributes" in group.record.data], scores),
        "sensitivity": sensitivity(groups, scores),
    }


def epoch_choices(group: Group, scores: Scores) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(name, epoch of each run): the last one, and the best on the select rows where that is another."""
    last = group.last_epochs
    yield "last", last
    best = tuple(run.record.best_epoch for run in group.runs)
    if best != last and None not in best and scores.keeps(group, best):
        yield "best on select", best


def summary(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """Per setup that ran: every headline metric on each image set at the last epoch, and where another is the best on
    `select` rows after that one too; a row with the error where all its runs failed."""
    rows = []
    for group in groups:
        if group.record.changes:
            continue
        base = group.key | {"data": group.record.data["fingerprint"], "runs": len(group.runs), "failed": group.failed}
        if not group.runs:
            rows.append(base | {"error": group.record.error})
            continue
        seconds = [run.record.seconds_per_epoch for run in group.runs if run.record.seconds_per_epoch]
        for name, epochs in epoch_choices(group, scores):
            setup = base | {
                "epoch": f"{name}: {'/'.join(str(e) for e in dict.fromkeys(epochs))}",
                "parameters": group.record.parameters,
                "seconds_per_epoch": round(float(np.median(seconds)), 1) if seconds else None,
                "device": group.record.device,
                "notes": group.notes,
            }
            for image_set in scores.sets(group):
                rows.append(setup | {"image_set": image_set} | _wide(group, scores, HEADLINES, image_set, epochs))
    return pd.DataFrame(rows)


def _wide(
    group: Group, scores: Scores, metrics: tuple[str, ...], image_set: ImageSet, epochs: tuple[int, ...]
) -> dict[str, float]:
    """Mean, sd, low and high of each metric, a column each."""
    row = {}
    for metric in metrics:
        m = scores.measure(group, metric, image_set, epochs)
        row |= {metric: m.mean, f"{metric} sd": m.sd, f"{metric} low": m.low, f"{metric} high": m.high}
    return row


def from_crowd_votes(groups: list[Group], passports: dict[str, Passport]) -> pd.DataFrame:
    """The reference line of each copy of the data that was run: PrivateTest from the votes of FER+ alone."""
    rows = []
    for fingerprint, passport in passports.items():
        if passport.crowd and any(group.record.data["fingerprint"] == fingerprint for group in groups):
            mean = passport.crowd.from_votes
            half = 1.96 * np.sqrt(mean * (1 - mean) / passport.looks["PrivateTest"].images)
            rows.append(
                {"paper": REFERENCE, "system": "from crowd votes", "protocol": "official", "init": "-"}
                | {"preset": "full", "source": passport.source, "data": fingerprint, "runs": 1, "failed": 0}
                | {"epoch": "-", "image_set": ImageSet(("PrivateTest",), ("score",))}
                | {"accuracy": mean, "accuracy low": mean - half, "accuracy high": mean + half}
                | {"notes": "ten people's votes a face, a rule from votes to labels fitted on Training; no ceiling"}
            )
    return pd.DataFrame(rows)


def comparison(files: list[ClaimsFile], groups: list[Group], scores: Scores) -> pd.DataFrame:
    """Every claim beside every run that it may be about."""
    rows = []
    for file in files:
        own = [group for group in groups if group.record.paper == file.paper]
        for claim in file.all_claims():
            systems = [claim.system]
            if claim.headline == "yes":
                systems += file.readings.get(claim.system, [])
            ran = [g for g in own if g.record.system in systems and g.task == "expression" and g.unchanged]
            rows += compare(claim, file.paper, ran, scores)
        for hypothesis in file.hypotheses:
            rows += [{"paper": file.paper} | row for row in differences(hypothesis, own, scores)]
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS).astype({"n_runs": "Int64", "n_images": "Int64"})


COMPARISON_COLUMNS = [
    *("claim_id", "paper", "system", "protocol", "init", "preset", "source", "metric", "average", "epoch", "image_set"),
    *("claimed", "reproduced_mean", "reproduced_sd", "ci_low", "ci_high", "n_runs", "n_images", "verdict", "notes"),
]


def _values(measured: Measured) -> dict[str, float]:
    return {
        "reproduced_mean": measured.mean,
        "reproduced_sd": measured.sd,
        "ci_low": measured.low,
        "ci_high": measured.high,
        "n_runs": measured.n_runs,
        "n_images": measured.n_images,
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
    elif claim.average == "unstated":
        for average in ("macro", "weighted"):
            yield f"{claim.metric}.{average}", f"unstated: {average}"
    else:
        yield f"{claim.metric}.{claim.average}", claim.average


def compare(claim: Claim, paper: str, groups: list[Group], scores: Scores) -> list[dict]:
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
        epochs = tuple(min(int(claim.epoch or 10**9), last) for last in group.last_epochs)
        kept = scores.keeps(group, epochs)
        for metric, average in readings(claim):
            found = [
                (name, scores.measure(group, metric, name, epochs), same_images(claim, group, name, scores))
                for name in (scores.sets(group) if kept else [])
            ]
            only_training = verdicts.reachable_only_on_training(claim, found)
            if claim.running != "no" and metric in ("accuracy", "log_loss") and kept_running(group):
                running = ImageSet(("Training",), ("fit",), "running")
                found.append((running, scores.running(group, metric, epochs), False))
            for name, measured, same in found:
                judged = verdicts.verdict(measured, claim, same)
                if only_training and name.held_out:
                    gap = 100 * (claim.number - measured.mean)
                    judged = f"reachable only on Training (claimed {gap:.1f} points higher)"
                rows.append(
                    base
                    | {k: group.key[k] for k in ("system", "protocol", "init", "preset", "source")}
                    | {"average": average, "epoch": "/".join(map(str, dict.fromkeys(epochs))), "image_set": name}
                    | _values(measured)
                    | {"verdict": judged, "notes": group.notes}
                )
    return rows or [base | {"average": claim.average, "epoch": claim.epoch, "n_runs": 0, "verdict": "not run"}]


def same_images(claim: Claim, group: Group, image_set: ImageSet, scores: Scores) -> bool:
    """Whether a claim whose part of FER2013 is beyond doubt and an image set of a group are about the same images."""
    if image_set.usages != (claim.usage,):
        return False
    n_images = scores.n_images(group, image_set)
    whole = n_images == scores.of(group.runs[0]).usages[claim.usage]
    real = group.record.data["source"] == "fer2013" and group.record.preset != "smoke"
    return bool(real and whole and (claim.n_images is None or n_images == int(claim.n_images)))


# Claims without a number


def differences(hypothesis: Hypothesis, groups: list[Group], scores: Scores) -> list[dict]:
    """The rows of one hypothesis: one for each preset, init and copy of the data that both sides ran on, or a single
    `not run`."""
    base = {
        "claim_id": hypothesis.id,
        "system": hypothesis.system,
        "metric": f"{hypothesis.metric} beside {hypothesis.against}",
        "average": ", ".join(hypothesis.tasks),
        "claimed": hypothesis.claimed,
    }
    rows = []
    kinds = dict.fromkeys(map(_kind, groups))
    for kind in kinds:
        own = {(g.record.system, g.task): g for g in groups if _kind(g) == kind and g.unchanged}
        sides = [
            [_of_task(own, system, task) for task in hypothesis.tasks]
            for system in (hypothesis.system, hypothesis.against)
        ]
        seeds = [set(group.seeds) if group else set() for side in sides for group in side]
        if common := sorted(set.intersection(*seeds)):
            first = sides[0][0]
            if hypothesis.metric in ("multiply_adds", "parameters"):
                found = _cost(hypothesis, *sides)
            else:
                image_set, measured = scores.mean_over_tasks(
                    sides[0], common, sides[1], gap=hypothesis.metric == "gap"
                )
                found = {"image_set": image_set} | _values(measured)
                found["verdict"] = verdicts.of_difference(hypothesis, measured)
            if hypothesis.floor:
                baseline = _of_task(own, hypothesis.against, "expression")
                if baseline is None:
                    found["verdict"] = "baseline not run"
                elif 100 * scores.mean_over_tasks([baseline], baseline.seeds)[1].mean < float(hypothesis.floor):
                    found["verdict"] = "no baseline"
            rows.append(
                base
                | {k: first.key[k] for k in ("protocol", "init", "preset", "source")}
                | found
                | {"epoch": str(first.record.epochs_run), "n_runs": len(common), "notes": first.notes}
            )
    return rows or [base | {"n_runs": 0, "verdict": "not run"}]


def _kind(group: Group) -> tuple:
    return group.record.protocol, group.record.init, group.record.preset, str(group.record.data)


def _of_task(groups: dict, system: str, task: str) -> Group | None:
    """A system's group of a task: its own, or that of the system trained on this task alone."""
    return groups.get((system, task)) or groups.get((f"{system}_{task}", task))


def _cost(hypothesis: Hypothesis, system: list[Group], against: list[Group]) -> dict:
    """The share that one side's networks have of the other's; a network of several tasks counts once."""
    totals = []
    for side in (system, against):
        networks = {group.record.system: group.record for group in side}.values()
        costs = [
            r.parameters if hypothesis.metric == "parameters" else r.details.get("multiply_adds") for r in networks
        ]
        if None in costs:
            return {"verdict": "not measured"}
        totals.append(sum(costs))
    share = totals[0] / totals[1]
    verdict = "supported" if share < 1 else "contradicted"
    return {"image_set": NETWORK, "reproduced_mean": share, "verdict": verdict}


# Pivots


def per_class(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """Precision, recall and F1 of each class at the last epoch, per group and image set, with their intervals."""
    rows = []
    for group in groups:
        if not group.unchanged:
            continue
        for image_set in scores.sets(group):
            support = scores.support(group, image_set)
            for number, emotion in enumerate(EMOTIONS):
                row = group.key | {"image_set": image_set, "class": emotion, "support": support[number]}
                for metric in ("precision", "recall", "f1"):
                    m = scores.measure(group, f"{metric}.{emotion}", image_set, group.last_epochs)
                    row |= {metric: m.mean, f"{metric}_sd": m.sd, f"{metric}_low": m.low, f"{metric}_high": m.high}
                rows.append(row | {"n_runs": len(group.runs)})
    return pd.DataFrame(rows)


def protocols(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup that ran: what its protocol scores, and of this what is unseen; what was fitted."""
    rows = []
    for group in groups:
        if not group.unchanged:
            continue
        epochs = group.last_epochs
        row = group.key | {"runs": len(group.runs), "epoch": "/".join(map(str, dict.fromkeys(epochs)))}
        for name, image_set in scores.of(group.runs[0]).protocol.items():
            metrics = ("accuracy", "mean_ovr_accuracy", "f1.macro", "auc.macro") if name == "scored" else ("accuracy",)
            for metric in metrics:
                m = scores.measure(group, metric, image_set, epochs)
                row |= {f"{name} {metric}": m.mean, f"{name} {metric} low": m.low, f"{name} {metric} high": m.high}
            row[f"{name} images"] = scores.n_images(group, image_set)
        rows.append(row | {"notes": group.notes})
    return pd.DataFrame(rows)


def folds(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup with several folds and image set: each metric's mean and spread over the folds."""
    rows = []
    for group in groups:
        if group.record.changes or not group.folds:
            continue
        for image_set in scores.of(group.folds[0]).sets:
            cells = [scores.cell(fold, image_set, fold.record.epochs_run) for fold in group.folds]
            row = group.key | {"folds": len(cells), "image_set": image_set}
            for metric in ("accuracy", "f1.macro", "auc.macro", "log_loss"):
                values = np.array([cell.values[metric][0] for cell in cells])
                row |= {metric: values.mean(), f"{metric} sd": values.std(ddof=1)}
                row |= {f"{metric} low": values.min(), f"{metric} high": values.max()}
            rows.append(row | {"notes": group.notes})
    return pd.DataFrame(rows)


def by_task(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """One row per setup and task of the papers with several: scores on the tested images, the gap to the fitted ones,
    and what training cost, beyond what the network that it begins as did."""
    rows = []
    shown = [group for group in groups if group.unchanged]
    for group in shown:
        tested, fitted = (
            next(s for s in scores.sets(group) if s.roles == (role,) and not s.without_twins)
            for role in ("score", "fit")
        )
        epochs, record = group.last_epochs, group.record
        row = group.key | {"task": group.task, "runs": len(group.runs), "image_set": tested}
        row |= _wide(group, scores, ("accuracy", "f1.macro", "auc.macro"), tested, epochs)
        on_fitted = scores.measure(group, "accuracy", fitted, epochs).mean
        # An epoch that shared the machine with other work takes longer, and says nothing of the network.
        seconds = [
            len(run.history) * np.median([epoch["seconds"] for epoch in run.history])
            for run in group.runs
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
    return pd.DataFrame(rows + _means(rows, shown, scores))


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
        gap = -scores.mean_over_tasks(parts, seeds, gap=True)[1].mean
        networks = {row["system"]: row for row in of_tasks}.values()
        added = ("parameters", "multiply_adds", "images_an_epoch", "updates", "training_seconds")
        costs = {cost: [row[cost] for row in networks] for cost in added}
        found.append(
            of_tasks[0]
            | {"system": cell, "task": name, "runs": len(seeds), "image_set": image_set}
            | {f"{metric}{end}": None for metric in ("f1.macro", "auc.macro") for end in ("", " sd", " low", " high")}
            | {"accuracy": m.mean, "accuracy sd": m.sd, "accuracy low": m.low, "accuracy high": m.high}
            | {"fitted accuracy": m.mean + gap, "gap": gap}
            | {cost: None if None in values else sum(values) for cost, values in costs.items()}
        )
    return found


def sensitivity(groups: list[Group], scores: Scores) -> pd.DataFrame:
    """Runs whose setup was changed, on the rows they watched alone: what assumed values are judged by."""
    rows = []
    for group in groups:
        if not group.record.changes or not group.runs:
            continue
        epochs = group.last_epochs
        for image_set in scores.sets(group):
            if image_set.roles == ("select",) and image_set.of == "images":
                m = scores.measure(group, "accuracy", image_set, epochs)
                rows.append(
                    group.key
                    | {"changes": grouping.as_text(group.record.changes), "parameters": group.record.parameters}
                    | {"image_set": image_set, "accuracy": m.mean, "accuracy_low": m.low, "accuracy_high": m.high}
                    | {
                        "running_training_accuracy": scores.running(group, "accuracy", epochs).mean
                        if kept_running(group)
                        else np.nan
                    }
                    | {"n_runs": m.n_runs, "n_images": m.n_images}
                )
    return pd.DataFrame(rows)
