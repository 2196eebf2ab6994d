"""Paired differences by hand, and the verdicts on them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import bootstrap

from fer_common import hypotheses, records, tables
from fer_common.claims import Hypothesis
from tests.fer_common.test_tables import HISTORY, record

N = 2000


def attributes(right, role, part="UTKFace test"):
    label = np.zeros(len(right), np.uint8)
    predicted = np.where(right, label, 1)
    return records.Predictions(
        row_id=np.arange(len(right), dtype=np.int32),
        usage=np.array([part] * len(right), dtype="<U16"),
        role=role,
        label=label,
        epochs=np.array([10], np.int16),
        probabilities=np.eye(2, dtype=np.float16)[predicted][None],
    )


def group(system, accuracies, task="gender", fitted=0.9, parameters=100, **details):
    """One seed an accuracy; the first images are right, so that two systems differ on as few as they can."""
    role = np.repeat(("score", "fit"), N)
    runs = []
    for seed, accuracy in enumerate(accuracies):
        right = np.concatenate([np.arange(N) < round(accuracy * N), np.arange(N) < round(fitted * N)])
        made = record(paper="multitask_lightweight", system=system, seed=seed, task=task, epochs_run=10)
        made.parameters, made.details = parameters, details
        runs.append((made, HISTORY, attributes(right, role)))
    return tables.Group(runs[0][0], runs, 0, [], task)


def said(**changes):
    fields = {"id": "a", "says": "x", "where": "y", "system": "multi", "against": "single", "tasks": ["gender"]}
    return Hypothesis(**(fields | {"metric": "accuracy"} | changes))


@pytest.mark.parametrize(
    ("ours", "margin", "verdict"),
    [
        ((0.85, 0.86, 0.85), "0", "supported"),
        ((0.75, 0.74, 0.75), "0", "contradicted"),
        ((0.85, 0.70, 0.83), "0", "not decided"),
        ((0.797, 0.796, 0.797), "0", "contradicted"),
        ((0.797, 0.796, 0.797), "1", "supported"),
        ((0.75, 0.74, 0.75), "1", "contradicted"),
        ((0.85,), "0", "single run"),
    ],
)
def test_verdicts(ours, margin, verdict):
    groups = [group("multi", ours), group("single_gender", (0.8, 0.8, 0.8))]
    [row] = hypotheses.judged(said(margin=margin), groups)
    assert row["verdict"] == verdict and row["n_runs"] == len(ours) and row["n_images"] == N
    assert row["reproduced_mean"] == pytest.approx(np.mean(ours) - 0.8, abs=1e-9)


def test_the_interval_by_hand():
    ours = np.array([0.85, 0.86, 0.87])
    [row] = hypotheses.judged(said(), [group("multi", ours), group("single_gender", (0.8, 0.8, 0.8))])
    # Images 1,600 to 1,699 are better with all three seeds, 20 more with two, 20 more with one.
    better = np.zeros(N)
    better[1600:1700], better[1700:1720], better[1720:1740] = 1, 2 / 3, 1 / 3
    half = np.sqrt(4.302653**2 * ours.var(ddof=1) / 3 + 1.96**2 * better.var(ddof=1) / N)
    assert row["ci_low"] == pytest.approx(0.06 - half, abs=1e-6)
    assert row["ci_high"] == pytest.approx(0.06 + half, abs=1e-6)


def test_the_interval_of_one_seed_is_the_paired_bootstraps():
    [row] = hypotheses.judged(said(), [group("multi", (0.83,)), group("single_gender", (0.8,))])
    lead = (np.arange(N) < 0.83 * N).astype(float) - (np.arange(N) < 0.8 * N)
    found = bootstrap((lead,), np.mean, method="percentile", rng=0).confidence_interval
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((found.low, found.high), abs=0.0005)


def test_a_smaller_gap_is_the_better_one():
    groups = [group("multi", (0.8,) * 3, fitted=0.85), group("single_gender", (0.8,) * 3, fitted=0.95)]
    [row] = hypotheses.judged(said(metric="gap"), groups)
    assert row["reproduced_mean"] == pytest.approx(0.1) and row["verdict"] == "supported"


def test_tasks_are_averaged_and_networks_of_one_task_add_up():
    multi = [group("multi", (0.9, 0.9), "gender", multiply_adds=50), group("multi", (0.5, 0.5), "age_group")]
    multi[1] = replace(multi[1], record=multi[0].record)  # one network
    single = [group("single_gender", (0.8, 0.8), multiply_adds=100), group("single_age_group", (0.5, 0.5), "age_group")]
    both = {"tasks": ["gender", "age_group"]}
    [row] = hypotheses.judged(said(**both), multi + single)
    assert row["reproduced_mean"] == pytest.approx(0.05) and row["n_images"] == N  # both tasks are of the same images
    [row] = hypotheses.judged(said(metric="parameters", **both), multi + single)
    assert row["reproduced_mean"] == pytest.approx(0.5) and row["verdict"] == "supported"
    [row] = hypotheses.judged(said(metric="multiply_adds", **both), multi + single)
    assert row["verdict"] == "not measured"


def test_tasks_of_the_same_images_are_not_independent_and_those_of_others_are():
    """Twice the same differences say no more than once; on other images they do."""
    alone = [group("multi", (0.85, 0.86)), group("single_gender", (0.8, 0.8))]
    again = [group("multi", (0.85, 0.86), "age_group"), group("single_age_group", (0.8, 0.8), "age_group")]
    [once] = hypotheses.judged(said(), alone)
    [twice] = hypotheses.judged(said(tasks=["gender", "age_group"]), alone + again)
    assert twice["ci_low"] == pytest.approx(once["ci_low"]) and twice["ci_high"] == pytest.approx(once["ci_high"])
    for made in again:
        for _, _, predictions in made.runs:
            predictions.usage[:] = "other"
    [apart] = hypotheses.judged(said(tasks=["gender", "age_group"]), alone + again)
    assert apart["n_images"] == 2 * N and apart["ci_low"] > once["ci_low"] + 1e-4


def test_a_baseline_must_reach_what_was_asked_of_it_and_have_run():
    groups = [group("multi", (0.9, 0.9)), group("single_gender", (0.8, 0.8))]
    [row] = hypotheses.judged(said(floor="62"), groups)
    assert row["verdict"] == "baseline not run"
    for reached, verdict in ((0.61, "no baseline"), (0.63, "supported")):
        [row] = hypotheses.judged(
            said(floor="62"), [*groups, group("single_expression", (reached, reached), "expression")]
        )
        assert row["verdict"] == verdict


def test_what_did_not_run_says_so():
    [row] = hypotheses.judged(said(), [group("multi", (0.9, 0.9))])
    assert row["verdict"] == "not run" and row["n_runs"] == 0
