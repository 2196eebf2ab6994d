"""The price of a mistake is what was planted, with an interval that holds it."""

import numpy as np
import pytest

from fer_common.results import figures, groups, measure, prices
from tests.builders import predictions, put, record

SEEDS = range(3)


def made(tmp_path, leaks=0.15, effect=0.0, fold=None):
    """Honest runs at .60 on PrivateTest, and runs of one pool whose test images come out better by `leaks`."""
    for seed in SEEDS:
        honest = record(paper="laboratory", system="every_epoch", seed=seed, setup={"epochs": 13})
        put(tmp_path, honest, predictions(seed, (0.9, 0.58, 0.6)))
        role = np.repeat(("fit", "score", "score"), (600, 200, 200))
        role[600:607] = "fit"  # of PublicTest too, so that the two are one pool
        own = predictions(seed + 10, (0.9, 0.6 + effect + leaks, 0.6 + effect), role=role, epochs=(13,))
        put(tmp_path, record(paper="laboratory", system="cnn", protocol="without_private_80_20", seed=seed), own)
    collected = groups.collect(tmp_path, {}).groups
    return prices.prices(collected, measure.Scores(collected)).set_index(["mistake", "metric"])


@pytest.mark.parametrize(("leak", "effect"), [(0.15, 0.0), (0.0, -0.1), (0.1, 0.05)])
def test_leak_and_training_effect_are_told_apart(tmp_path, leak, effect):
    row = made(tmp_path, leak, effect).loc["test images drawn from the pool of the training images", "accuracy"]
    assert row["seeds"] == 3 and row["source"] == "run"
    assert row["leak low"] <= leak <= row["leak high"] and row["leak"] == pytest.approx(leak, abs=0.02)
    assert row["effect low"] <= effect <= row["effect high"] and row["effect"] == pytest.approx(effect, abs=1e-3)
    assert row["printed_value"] == pytest.approx(0.6 + effect + leak, abs=0.02)


def test_what_is_read_off_the_honest_runs(tmp_path):
    found = made(tmp_path)
    fitted = found.loc["training images scored as test images", "accuracy"]
    assert fitted["leak"] == pytest.approx(0.3, abs=1e-3) and fitted["source"] == "read off"
    ovr = found.loc["mean of one-vs-rest accuracies called accuracy", "accuracy"]
    assert ovr["printed_value"] == pytest.approx(1 - 2 * 0.4 / 7, abs=1e-3)
    assert found.loc["the epoch that is best on PrivateTest", "accuracy"]["leak"] >= 0
    assert found.loc["the best of 3 seeds on PrivateTest", "accuracy"]["leak"] >= 0
    assert found.loc["top-2 accuracy called accuracy", "accuracy"]["leak"] > 0
    both = "training images scored as test images, and read as a mean of one-vs-rest accuracies"
    pair = found.loc[both, "accuracy"]
    assert pair["printed_value"] == pytest.approx(1 - 2 * 0.1 / 7, abs=1e-3) and pair["kind"] == "pair"
    odds = (0.9 / 0.1) * (1 - 0.8 / 7) / (0.8 / 7) / (0.6 / 0.4)
    assert pair["composed"] == pytest.approx(odds / (1 + odds), abs=1e-3)


def test_prices_are_drawn(tmp_path):
    figures.draw_prices(made(tmp_path / "runs").reset_index(), tmp_path / "prices.png")
    drawn = (tmp_path / "prices.svg").read_text()
    assert "test images drawn from the pool of the" in drawn and "+30.0" in drawn
    assert (tmp_path / "prices.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_is_priced_without_honest_runs(tmp_path):
    put(tmp_path, record(paper="laboratory", system="cnn", protocol="public_fitted"), predictions(0, (0.9, 0.6, 0.6)))
    collected = groups.collect(tmp_path, {}).groups
    assert not len(prices.prices(collected, measure.Scores(collected)))


def test_differences_are_paired_over_seeds():
    """Seeds that move alike on both sides cancel; images add their variance."""
    ours, theirs = ({seed: (value + 0.01 * seed, 0.0) for seed in SEEDS} for value in (0.7, 0.6))
    found = prices.Difference.of(ours, theirs)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    wider = prices.Difference.of({0: (0.7, 0.03)}, {0: (0.6, 0.04), 1: (0.5, 0.04)})
    assert wider.seeds == 1 and wider.high - wider.mean == pytest.approx(1.96 * 0.05)
    assert prices.Difference.of({0: (0.7, 0.0)}, {1: (0.7, 0.0)}) is None
