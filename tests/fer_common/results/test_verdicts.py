"""Each rule of a verdict, by hand, and the order that decides where several apply."""

import numpy as np
import pytest

from fer_common import claims
from fer_common.results import groups, verdicts
from fer_common.results.image_sets import ImageSet
from fer_common.results.measure import Measured, Scores
from fer_common.results.verdicts import Found, Spread, judge
from tests.builders import predictions, put, record

PRIVATE, TRAINING = ImageSet(("PrivateTest",), ("score",)), ImageSet(("Training",), ("fit",))
SEEN = ImageSet(("Training", "PrivateTest"), ("seen",), pooled=True)
KNOWN = Spread({("accuracy", ("score",)): 0.005, ("accuracy", ("fit",)): 0.005})


def claim(value, **changes):
    fields = {"id": "a", "system": "s", "metric": "accuracy", "value": value, "unit": "percent", "where": "x"}
    return claims.Claim(**(fields | {"images": "test"} | changes))


def measured(mean, sd=0.004, n_runs=3, n_images=3589):
    image_sd = np.sqrt(mean * (1 - mean) / n_images)
    return Measured(mean, sd if n_runs > 1 else np.nan, 0, 1, image_sd, n_runs, n_images)


def verdict_of(value, found, image_set=PRIVATE, same_images=False, spread=KNOWN, *, alone=False, **changes):
    own = Found(image_set, found, same_images)
    [verdict] = judge(claim(value, **changes), "accuracy", [own], spread, without_randomness=alone)
    return verdict


def test_the_half_width_by_hand():
    """t for two degrees of freedom is 4.303; m = 0.7, s = 0.004, n = 3, N = N_v = 3,589; claim printed to a tenth."""
    seeds = 4.302653 * 0.004 * np.sqrt(1 + 1 / 3)
    images = 1.96**2 * 0.7 * 0.3 * (2 / 3589)
    found = verdict_of("83.2", measured(0.7))
    assert found.half_width == pytest.approx(np.sqrt(seeds**2 + images) + 0.0005, rel=1e-5)
    assert found.seed_part == pytest.approx(seeds, rel=1e-5)
    assert found.gap == pytest.approx(0.132) and found.assumed
    same = verdict_of("83.2", measured(0.7), same_images=True)
    assert same.half_width == pytest.approx(seeds + 0.0005, rel=1e-5) and not same.assumed
    known = 1.96**2 * 0.7 * 0.3 * (1 / 3589 + 1 / 28709)
    wide = verdict_of("83", measured(0.7), n_images="28709")
    assert wide.half_width == pytest.approx(np.sqrt(seeds**2 + known) + 0.005, rel=1e-5) and not wide.assumed


def test_a_single_run_borrows_the_largest_spread_by_hand():
    found = verdict_of("70", measured(0.7, n_runs=1))
    assert found.seed_part == pytest.approx(1.96 * np.sqrt(2) * 0.005)
    images = 1.96**2 * 0.7 * 0.3 * (2 / 3589)
    assert found.half_width == pytest.approx(np.sqrt(found.seed_part**2 + images) + 0.005)
    unknown = verdict_of("99", measured(0.7, n_runs=1), spread=Spread({}))
    assert unknown.verdict == "single run" and np.isnan(unknown.half_width)


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        ("70.4", measured(0.7, sd=0.001), "reproduced"),
        ("73.2", measured(0.7, sd=0.001), "claimed higher"),
        ("66", measured(0.7, sd=0.001), "claimed lower"),
        ("70", measured(0.7, sd=0.02), "not decided"),
        ("99", measured(0.7, sd=0.02), "claimed higher"),  # however wide h is
        ("40", measured(0.7, sd=0.02), "claimed lower"),
        ("70", measured(0.7, n_runs=1), "single run"),
        ("99", measured(0.7, n_runs=1), "claimed higher, one run"),
        ("40", measured(0.7, n_runs=1), "claimed lower, one run"),
    ],
)
def test_on_images_that_were_held_out(value, found, expected):
    assert verdict_of(value, found).verdict == expected


def test_a_system_without_randomness_needs_one_run():
    found = verdict_of("70", measured(0.7, n_runs=1), alone=True)
    assert found.verdict == "reproduced" and found.seed_part == 0
    assert verdict_of("75", measured(0.7, n_runs=1), alone=True).verdict == "claimed higher"


@pytest.mark.parametrize("image_set", [TRAINING, SEEN, ImageSet(("Training",), ("fit", "select"))])
def test_what_was_fitted_is_never_reproduced(image_set):
    within, beyond = measured(0.832, sd=0.001), measured(0.9, sd=0.001)
    assert verdict_of("83.2", within, image_set).verdict == "reached on fitted images"
    assert verdict_of("83.2", within, image_set, images="unstated").verdict == "reached on fitted images"
    assert verdict_of("83.2", within, image_set, images="training").verdict == "reproduced"
    assert verdict_of("83.2", beyond, image_set).verdict == "claimed lower"
    assert verdict_of("83.2", measured(0.832, sd=0.02), image_set).verdict == "reached on fitted images"


def test_reachable_only_on_fitted_images():
    """Above every held-out interval and within a fitted one; it goes before `claimed higher`."""

    def judged(private, training, **changes):
        found = [Found(PRIVATE, measured(private)), Found(TRAINING, measured(training, n_images=28709))]
        return [own.verdict for own in judge(claim("83.2", **changes), "accuracy", found, KNOWN)]

    assert judged(0.57, 0.832) == ["reachable only on fitted images", "reached on fitted images"]
    assert judged(0.57, 0.95) == ["claimed higher", "claimed lower"]
    assert judged(0.57, 0.60) == ["claimed higher", "claimed higher"]
    assert judged(0.83, 0.832) == ["reproduced", "reached on fitted images"]
    assert judged(0.57, 0.832, images="unstated") == ["claimed higher", "reached on fitted images"]
    single = [Found(PRIVATE, measured(0.57, n_runs=1)), Found(TRAINING, measured(0.832, n_runs=1))]
    assert [own.verdict for own in judge(claim("83.2"), "accuracy", single, KNOWN)] == [
        "claimed higher, one run",
        "single run",
    ]


def test_a_loss_has_no_points():
    found = Found(PRIVATE, Measured(1.4, 0.02, 0, 2, 0.02, 3, 3589))
    loss = {"metric": "log_loss", "unit": "nats"}
    [far] = judge(claim("1.738", **loss), "log_loss", [found], KNOWN)
    [near] = judge(claim("1.45", **loss), "log_loss", [found], KNOWN)
    assert (far.verdict, near.verdict) == ("claimed higher", "reproduced") and near.seed_part > 0.03


def test_the_spread_is_the_largest_among_full_unchanged_groups_of_three(tmp_path):
    def seeds(system, shifts, **changes):
        for seed, shift in enumerate(shifts):
            made = record(system=system, seed=seed, **changes)
            put(tmp_path, made, predictions(seed, (0.8, 0.6, 0.6 + shift)))

    seeds("cnn", (-0.01, 0, 0.01))
    seeds("cnn_sgd", (-0.03, 0, 0.03))
    seeds("cnn_adadelta", (-0.1, 0.1))  # two seeds
    seeds("first_design", (-0.1, 0, 0.1), preset="custom", changes={"epochs": 13})
    seeds("cnn_sgd_momentum", (-0.1, 0, 0.1), preset="reduced")
    every = groups.collect(tmp_path, {}).groups
    rows = verdicts.seed_spread(every, Scores(every))
    spread = Spread.of_rows(rows)
    assert spread.of("accuracy", ("score",)) == pytest.approx(0.03, abs=1e-9)
    [row] = [row for row in rows if row["metric"] == "accuracy" and row["image_set"].roles == ("score",)]
    assert (row["system"], row["n_runs"]) == ("cnn_sgd", 3)
    assert np.isnan(spread.of("accuracy", ("seen",)))


def test_what_has_no_spread_hides_that_of_no_other(tmp_path):
    """An AUC is undefined where a class has no image: whichever comes first, it is not the largest."""
    for seed in range(3):
        for system, classes in (("cnn", 6), ("cnn_sgd", 7), ("cnn_sgd_momentum", 6)):
            own = predictions(seed, (0.8, 0.6, 0.6 + 0.01 * seed))
            own.label[own.usage == "PrivateTest"] %= classes
            put(tmp_path, record(system=system, seed=seed), own)
    every = groups.collect(tmp_path, {}).groups
    rows = {(row["metric"], row["image_set"].roles): row for row in verdicts.seed_spread(every, Scores(every))}
    assert rows["auc.macro", ("score",)]["system"] == "cnn_sgd" and rows["auc.macro", ("score",)]["sd"] > 0
