"""What a paper claims without printing a number, as paired differences between two systems.

The same seeds and the same images on both sides: each seed's difference is one draw, each image's mean difference over
the seeds another, which holds a part of the seeds' spread too: the interval is rather too wide. Of a mean over tasks,
an image's differences in the tasks that it is labelled for count as one; what comes from different images adds up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_common.claims import Hypothesis

if TYPE_CHECKING:
    from fer_common.tables import Group

EXPLAINED = """\
Of what a paper claims without a number, the difference between two systems is given, in points, paired over seeds and
images, with its 95 % interval, ±√(t²s²/n + 1.96²v): s is the standard deviation over n seeds, v the variance of the
mean over images, to which resampling them would come. Claims and margins were fixed before any full run. `supported`:
the whole interval is on the claimed side of the margin (0 for `ahead`, −1 for `at most 1 point behind`);
`contradicted`: the whole interval is on the other; `not decided`: it is on both. `gap`: accuracy on the fitted images
less that on the tested ones; a difference above 0 means that the system has the smaller one. `multiply_adds` and
`parameters`: those of the system in per cent of what it is compared with, where several networks of one task each add
up. `no baseline`: what it is compared with stays below the accuracy in expression that was asked of a baseline
beforehand; `baseline not run`: its network of expression is missing.
"""


def judged(hypothesis: Hypothesis, groups: list[Group]) -> list[dict]:
    """The rows of the table `comparison` for one hypothesis: one for each preset, init and copy of the data that both
    sides ran on, or a single `not run`."""
    base = {
        "claim_id": hypothesis.id,
        "system": hypothesis.system,
        "metric": f"{hypothesis.metric} beside {hypothesis.against}",
        "average": ", ".join(hypothesis.tasks),
        "claimed": hypothesis.claimed,
    }
    rows = []
    kinds = dict.fromkeys((g.record.protocol, g.record.init, g.record.preset, str(g.record.data)) for g in groups)
    for kind in kinds:
        own = {
            (g.record.system, g.task): g
            for g in groups
            if (g.record.protocol, g.record.init, g.record.preset, str(g.record.data)) == kind
            and g.runs
            and not g.record.changes
        }
        sides = [[_of_task(own, system, task) for task in hypothesis.tasks] for system in _both(hypothesis)]
        seeds = [{record.seed for record, _, _ in g.runs} if g else set() for side in sides for g in side]
        if common := sorted(set.intersection(*seeds)):
            compare = _cost if hypothesis.metric in ("multiply_adds", "parameters") else _difference
            first = sides[0][0]
            found = compare(hypothesis, *sides, common)
            if hypothesis.floor:
                reached = _expression(own, hypothesis.against)
                if reached is None:
                    found["verdict"] = "baseline not run"
                elif 100 * reached < float(hypothesis.floor):
                    found["verdict"] = "no baseline"
            rows.append(
                base
                | {k: first.key[k] for k in ("protocol", "init", "preset", "source")}
                | found
                | {"epoch": str(first.record.epochs_run), "n_runs": len(common), "notes": first.notes}
            )
    return rows or [base | {"n_runs": 0, "verdict": "not run"}]


def _both(hypothesis: Hypothesis) -> tuple[str, str]:
    return hypothesis.system, hypothesis.against


def _of_task(groups: dict, system: str, task: str) -> Group | None:
    """A system's group of a task: its own, or that of the system trained on this task alone."""
    return groups.get((system, task)) or groups.get((f"{system}_{task}", task))


def _expression(groups: dict, system: str) -> float | None:
    """Mean accuracy of a system in expression over its seeds, on tested images; None where it did not run."""
    group = _of_task(groups, system, "expression")
    if not group:
        return None
    return mean_over_tasks([group], [record.seed for record, _, _ in group.runs])["reproduced_mean"]


def _cost(hypothesis: Hypothesis, system: list[Group], against: list[Group], seeds: list[int]) -> dict:
    """The share that one side's networks have of the other's; a network of several tasks counts once."""
    totals = []
    for side in (system, against):
        records = {group.record.system: group.record for group in side}.values()
        costs = [r.parameters if hypothesis.metric == "parameters" else r.details.get("multiply_adds") for r in records]
        if None in costs:
            return {"verdict": "not measured"}
        totals.append(sum(costs))
    share = totals[0] / totals[1]
    return {"usage": "network", "reproduced_mean": share, "verdict": "supported" if share < 1 else "contradicted"}


def _difference(hypothesis: Hypothesis, system: list[Group], against: list[Group], seeds: list[int]) -> dict:
    found = mean_over_tasks(system, seeds, against, gap=hypothesis.metric == "gap")
    if len(seeds) == 1:
        return found | {"verdict": "single run"}
    bound = -float(hypothesis.margin) / 100
    low, high = found["ci_low"], found["ci_high"]
    return found | {"verdict": "supported" if low > bound else "contradicted" if high < bound else "not decided"}


def mean_over_tasks(
    system: list[Group], seeds: list[int], against: list[Group] | None = None, *, gap: bool = False
) -> dict:
    """`reproduced_mean`, `reproduced_sd` over the seeds, `ci_low`, `ci_high`, `n_images` and `usage` of the mean
    accuracy on tested images of a system's groups, one a task, or of its lead over another's.

    gap: of the accuracy on tested images less that on fitted ones, of which the greater is the better.
    """
    over_seeds, over_images = np.zeros(len(seeds)), {}
    for number, ours in enumerate(system):
        predictions = ours.runs[0][2]
        for role, sign in (("score", 1), ("fit", -1)) if gap else (("score", 1),):
            right = np.stack([_right(ours, seed, role) for seed in seeds])
            if against:
                right -= np.stack([_right(against[number], seed, role) for seed in seeds])
            over_seeds += sign * right.mean(1) / len(system)
            source = str(predictions.usage[predictions.role == role][0]), role
            over_images[source] = over_images.get(source, 0.0) + sign * right.mean(0) / len(system)
    variance = sum(own.var(ddof=1) / own.size for own in over_images.values())
    scored = {usage: own.size for (usage, role), own in over_images.items() if role == "score"}
    mean, n, sd, half = over_seeds.mean(), len(seeds), np.nan, 1.96 * np.sqrt(variance)
    if n > 1:
        from scipy.stats import t

        sd = over_seeds.std(ddof=1)
        half = np.sqrt(float(t.ppf(0.975, n - 1)) ** 2 * sd**2 / n + half**2)
    return {
        "usage": " + ".join(scored) + " (score)",
        "reproduced_mean": mean,
        "reproduced_sd": sd,
        "ci_low": mean - half,
        "ci_high": mean + half,
        "n_images": sum(scored.values()),
    }


def _right(group: Group, seed: int, role: str) -> np.ndarray:
    """float (rows of the role,): 1 where the run of this seed is right, in the order of row ids."""
    [found] = [predictions for record, _, predictions in group.runs if record.seed == seed]
    rows = np.flatnonzero(found.role == role)
    rows = rows[np.argsort(found.row_id[rows])]
    return (found.probabilities[-1][rows].argmax(1) == found.label[rows]).astype(float)
