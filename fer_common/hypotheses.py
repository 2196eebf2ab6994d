"""What a paper claims without printing a number, as paired differences between two systems.

The same seeds and the same images on both sides: each seed's difference is one draw, each image's mean difference over
the seeds another. The half-width of the mean is sqrt(t²·s²/n + 1.96²·v), s the standard deviation over n seeds and v
the variance of the mean over images; of a mean over tasks, v adds up the tasks' own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fer_common.claims import Hypothesis

if TYPE_CHECKING:
    from fer_common.tables import Group

EXPLAINED = """\
Of what a paper claims without a number, the difference between two systems is given, in points, paired over seeds and
images, with its 95 % interval; claims and margins were fixed before any run. `supported`: the whole interval is on the
claimed side of the margin (0 for `ahead`, −1 point for `keeps up`); `contradicted`: the whole interval is on the other;
`not decided`: it is on both. `gap`: accuracy on the fitted images less that on the tested ones; a difference above 0
means that the system has the smaller one. `multiply_adds` and `parameters`: those of the system in per cent of what it
is compared with, where several networks of one task each add up.
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
            rows.append(
                base
                | {k: first.key[k] for k in ("protocol", "init", "preset", "source")}
                | compare(hypothesis, *sides, common)
                | {"epoch": str(first.record.epochs_run), "n_runs": len(common), "notes": first.notes}
            )
    return rows or [base | {"n_runs": 0, "verdict": "not run"}]


def _both(hypothesis: Hypothesis) -> tuple[str, str]:
    return hypothesis.system, hypothesis.against


def _of_task(groups: dict, system: str, task: str) -> Group | None:
    """A system's group of a task: its own, or that of the system trained on this task alone."""
    return groups.get((system, task)) or groups.get((f"{system}_{task}", task))


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
    over_seeds, variance, images, usages = np.zeros(len(seeds)), 0.0, 0, []
    for ours, theirs in zip(system, against):
        roles = ("score", "fit") if hypothesis.metric == "gap" else ("score",)
        for role in roles:
            better = np.stack([_right(ours, seed, role) - _right(theirs, seed, role) for seed in seeds])
            sign = -1 if role == "fit" else 1  # the smaller gap is the better one
            over_seeds += sign * better.mean(1) / len(system)
            over_images = better.mean(0)
            variance += over_images.var(ddof=1) / over_images.size / len(system) ** 2
            images += over_images.size if role == "score" else 0
        usages.append(str(ours.runs[0][2].usage[ours.runs[0][2].role == "score"][0]))
    mean, n = over_seeds.mean(), len(seeds)
    found = {"usage": " + ".join(dict.fromkeys(usages)) + " (score)", "reproduced_mean": mean, "n_images": images}
    if n == 1:
        half = 1.96 * np.sqrt(variance)
        return found | {"ci_low": mean - half, "ci_high": mean + half, "verdict": "single run"}
    from scipy.stats import t

    sd = over_seeds.std(ddof=1)
    half = np.sqrt(float(t.ppf(0.975, n - 1)) ** 2 * sd**2 / n + 1.96**2 * variance)
    low, high = mean - half, mean + half
    bound = -float(hypothesis.margin) / 100
    verdict = "supported" if low > bound else "contradicted" if high < bound else "not decided"
    return found | {"reproduced_sd": sd, "ci_low": low, "ci_high": high, "verdict": verdict}


def _right(group: Group, seed: int, role: str) -> np.ndarray:
    """float (rows of the role,): 1 where the run of this seed is right, in the order of row ids."""
    [found] = [predictions for record, _, predictions in group.runs if record.seed == seed]
    rows = np.flatnonzero(found.role == role)
    rows = rows[np.argsort(found.row_id[rows])]
    return (found.probabilities[-1][rows].argmax(1) == found.label[rows]).astype(float)
