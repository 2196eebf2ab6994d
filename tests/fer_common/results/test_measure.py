"""The one interval by hand, paired differences by hand, and what is kept of a run that was scored."""

import numpy as np
import pytest
from scipy.stats import bootstrap

from fer_common import evaluation, records
from fer_common.claims import Hypothesis
from fer_common.data import EMOTIONS, cache_folder
from fer_common.results import groups, tables
from fer_common.results.image_sets import HONEST_EACH_FOLD, ImageSet
from fer_common.results.measure import Scores, over_seeds
from tests.builders import predictions, put, record

N = 2000
PRIVATE = ImageSet(("PrivateTest",), ("score",))


def test_the_interval_by_hand():
    """t for two degrees of freedom is 4.303."""
    found = over_seeds("accuracy", [0.69, 0.70, 0.71], np.nan, 3589)
    half = np.sqrt(4.302653**2 * 0.01**2 / 3 + 1.96**2 * 0.7 * 0.3 / 3589)
    assert (found.mean, found.sd) == pytest.approx((0.7, 0.01))
    assert (found.low, found.high) == pytest.approx((0.7 - half, 0.7 + half), abs=1e-6)
    one = over_seeds("f1.macro", [0.7], 0.01, 3589)
    assert (one.low, one.high) == pytest.approx((0.7 - 0.0196, 0.7 + 0.0196)) and np.isnan(one.sd)


def test_an_interval_stays_where_the_metric_can_lie():
    assert over_seeds("accuracy", [0.99, 1.0], np.nan, 20).high == 1.0
    assert over_seeds("log_loss", [0.9, 1.1], 0.1, 20).high > 1.1
    loss_of_training = over_seeds("log_loss", [0.9, 1.1], np.nan, 20)
    assert loss_of_training.low < 0.9 < 1.1 < loss_of_training.high, "over seeds alone, and still an interval"


def test_scores_are_kept_and_made_anew_when_the_record_changes(tmp_path, monkeypatch):
    # A cache of its own: another test may have kept the scores of the same record.
    monkeypatch.setenv("FERREPRO_CACHE", str(tmp_path / "cache"))
    final = put(tmp_path / "runs", record(), predictions(0, (0.8, 0.6, 0.6)))

    def accuracy():
        [group] = groups.collect(tmp_path / "runs", {}).groups
        return Scores([group]).measure(group, "accuracy", PRIVATE, group.last_epochs).mean

    assert accuracy() == 0.6
    [kept] = (cache_folder() / "scores").glob("*")
    stamp = kept.stat().st_mtime_ns
    assert accuracy() == 0.6 and kept.stat().st_mtime_ns == stamp
    for broken in (b"", b"nothing"):
        kept.write_bytes(broken)
        assert accuracy() == 0.6 and kept.stat().st_size > 100
    records.write(final, record(), [], predictions(0, (0.8, 0.6, 0.5)))
    assert accuracy() == 0.5


def test_of_folds_each_network_counts_alone(tmp_path):
    """On what all folds keep aside, the score is the mean of theirs, on as many images as there are: no ensemble."""
    for fold, accuracy in enumerate((0.5, 0.7)):
        role = np.repeat(("fit", "score"), (800, 200))
        role[:800] = np.where(np.arange(800) % 2 == fold, "score", "fit")
        own = predictions(fold, (0.8, 0.8, accuracy), role=role, epochs=(13,))
        own.probabilities[:] = own.probabilities if fold else 0.1 * own.probabilities + 0.9 / 7  # the second is sure
        put(tmp_path, record(fold=fold), own)
    [group] = groups.collect(tmp_path, {}).groups
    scores = Scores([group])
    found = scores.measure(group, "accuracy", HONEST_EACH_FOLD, group.last_epochs)
    assert (found.mean, found.n_runs, found.n_images) == (pytest.approx(0.6), 1, 200)
    assert found.high - found.mean == pytest.approx(1.96 * np.sqrt(0.6 * 0.4 / 200))
    assert scores.of(group.runs[0]).usages == {"Training": 600, "PublicTest": 200, "PrivateTest": 200}
    singles = [evaluation.measures(*of, EMOTIONS)["auc.macro"][0] for of in map(private_of, group.folds)]
    auc = scores.measure(group, "auc.macro", HONEST_EACH_FOLD, group.last_epochs).mean
    assert auc == pytest.approx(np.mean(singles)) and singles[0] != singles[1]


def test_copies_of_an_image_count_each(tmp_path):
    """A split that repeats or mirrors images has several rows of one; they are no folds."""
    own = predictions(0, (0.8, 0.6, 0.6))
    own.row_id[900:], own.label[900:] = own.row_id[800:900], own.label[800:900]
    put(tmp_path, record(), own)
    [group] = groups.collect(tmp_path, {}).groups
    scores = Scores([group])
    assert scores.n_images(group, PRIVATE) == scores.of(group.runs[0]).usages["PrivateTest"] == 200


def private_of(run):
    predictions = run.predictions()
    rows = predictions.usage == "PrivateTest"
    return predictions.label[rows], predictions.probabilities[-1][rows]


# Differences


def attributes(right, role, parts):
    label = np.zeros(len(right), np.uint8)
    return records.Predictions(
        row_id=np.arange(len(right), dtype=np.int32),
        usage=parts,
        role=role,
        label=label,
        epochs=np.array([10], np.int16),
        probabilities=np.eye(2, dtype=np.float16)[np.where(right, label, 1)][None],
    )


def run(root, system, accuracies, task="gender", fitted=0.9, parameters=100, **details):
    """One record a seed; the first images are right, so that two systems differ on as few as they can."""
    role = np.repeat(("score", "fit"), N)
    for seed, accuracy in enumerate(accuracies):
        right = np.concatenate([np.arange(N) < round(accuracy * N), np.arange(N) < round(fitted * N)])
        made = record(paper="multitask_lightweight", system=system, seed=seed, task=task, epochs_run=10)
        made.parameters, made.details = parameters, details
        if task == "expression":
            found = attributes(right, role, np.repeat(("PrivateTest", "Training"), N))
            seven = np.zeros((1, 2 * N, 7), np.float16)
            seven[..., :2] = found.probabilities
            found = records.Predictions(**vars(found) | {"probabilities": seven})
        else:
            parts = np.repeat(("UTKFace test", "UTKFace train"), N)
            found = attributes(right, role, parts)
            if task == "age_group":
                five = np.zeros((1, 2 * N, 5), np.float16)
                five[..., :2] = found.probabilities
                found = records.Predictions(**vars(found) | {"probabilities": five})
        put(root, made, found)


def judged(root, **changes):
    fields = {"id": "a", "says": "x", "where": "y", "system": "multi", "against": "single", "tasks": ["gender"]}
    hypothesis = Hypothesis(**(fields | {"metric": "accuracy"} | changes))
    every = groups.collect(root, {}).groups
    [row] = tables.differences(hypothesis, every, Scores(every))
    return row


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
def test_verdicts_on_differences(ours, margin, verdict, tmp_path):
    run(tmp_path, "multi", ours)
    run(tmp_path, "single_gender", (0.8, 0.8, 0.8))
    row = judged(tmp_path, margin=margin)
    assert row["verdict"] == verdict and row["n_runs"] == len(ours) and row["n_images"] == N
    assert row["reproduced"] == pytest.approx(np.mean(ours) - 0.8, abs=1e-9)


def test_the_interval_of_a_difference_by_hand(tmp_path):
    ours = np.array([0.85, 0.86, 0.87])
    run(tmp_path, "multi", ours)
    run(tmp_path, "single_gender", (0.8, 0.8, 0.8))
    # Images 1,600 to 1,699 are better with all three seeds, 20 more with two, 20 more with one.
    better = np.zeros(N)
    better[1600:1700], better[1700:1720], better[1720:1740] = 1, 2 / 3, 1 / 3
    half = np.sqrt(4.302653**2 * ours.var(ddof=1) / 3 + 1.96**2 * better.var(ddof=1) / N)
    row = judged(tmp_path)
    assert (row["low"], row["high"]) == pytest.approx((0.06 - half, 0.06 + half), abs=1e-6)


def test_the_interval_of_one_seed_is_the_paired_bootstraps(tmp_path):
    run(tmp_path, "multi", (0.83,))
    run(tmp_path, "single_gender", (0.8,))
    lead = (np.arange(N) < 0.83 * N).astype(float) - (np.arange(N) < 0.8 * N)
    expected = bootstrap((lead,), np.mean, method="percentile", rng=0).confidence_interval
    row = judged(tmp_path)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), abs=0.0005)


def test_a_smaller_gap_is_the_better_one(tmp_path):
    run(tmp_path, "multi", (0.8,) * 3, fitted=0.85)
    run(tmp_path, "single_gender", (0.8,) * 3, fitted=0.95)
    row = judged(tmp_path, metric="gap")
    assert row["reproduced"] == pytest.approx(0.1) and row["verdict"] == "supported"


def test_costs_of_networks_of_one_task_add_up(tmp_path):
    run(tmp_path, "multi", (0.9, 0.9), multiply_adds=50)
    run(tmp_path, "single_gender", (0.8, 0.8), multiply_adds=100)
    assert judged(tmp_path, metric="multiply_adds")["reproduced"] == pytest.approx(0.5)
    run(tmp_path, "multi_age_group", (0.5, 0.5), "age_group")
    run(tmp_path, "single_age_group", (0.5, 0.5), "age_group", parameters=300)
    both = {"tasks": ["gender", "age_group"]}
    row = judged(tmp_path, **both)
    assert row["reproduced"] == pytest.approx(0.05) and row["n_images"] == N  # both tasks are of the same images
    row = judged(tmp_path, metric="parameters", **both)
    assert row["reproduced"] == pytest.approx(0.5) and row["verdict"] == "supported"
    assert judged(tmp_path, metric="multiply_adds", **both)["verdict"] == "not measured"


def test_tasks_of_the_same_images_are_not_independent_and_those_of_others_are(tmp_path):
    """Twice the same differences say no more than once; on other images they do."""
    for task in ("gender", "age_group", "expression"):
        run(tmp_path, f"multi_{task}", (0.85, 0.86), task)
        run(tmp_path, f"single_{task}", (0.8, 0.8), task)
    once = judged(tmp_path)
    twice = judged(tmp_path, tasks=["gender", "age_group"])
    assert (twice["low"], twice["high"]) == pytest.approx((once["low"], once["high"]))
    apart = judged(tmp_path, tasks=["expression", "gender"])
    assert apart["n_images"] == 2 * N and apart["low"] > once["low"] + 1e-4


def test_a_baseline_must_reach_what_was_asked_of_it_and_have_run(tmp_path):
    run(tmp_path, "multi", (0.9, 0.9))
    run(tmp_path, "single_gender", (0.8, 0.8))
    assert judged(tmp_path, floor="62")["verdict"] == "baseline not run"
    for reached, verdict in ((0.61, "no baseline"), (0.63, "supported")):
        run(tmp_path, "single_expression", (reached, reached), "expression")
        assert judged(tmp_path, floor="62")["verdict"] == verdict


def test_what_did_not_run_says_so(tmp_path):
    run(tmp_path, "multi", (0.9, 0.9))
    row = judged(tmp_path)
    assert row["verdict"] == "not run" and row["n_runs"] == 0
