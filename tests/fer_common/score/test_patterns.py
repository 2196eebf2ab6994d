"""What the scores tell: each pattern is found where it was planted, and nothing where it was not."""

import numpy as np
import pytest

from fer_common.batches import Moves
from fer_common.data import EMOTIONS
from fer_common.score import patterns

N = 28709


def kinds(**accuracy):
    names = {"training": "Training", "public": "PublicTest", "private": "PrivateTest"}
    return [pattern.kind for pattern in patterns.gaps({names[name]: value for name, value in accuracy.items()})]


@pytest.mark.parametrize(
    ("training", "public", "private", "found"),
    [
        (0.80, 0.68, 0.69, ["gap to training"]),
        (0.95, 0.94, 0.95, ["tests look fitted"]),  # fitted on everything
        (0.70, 0.95, 0.95, ["tests look fitted"]),  # fitted on the test parts alone
        (0.99, 0.80, 0.80, ["gap to training", "tests above what is known"]),
        (0.66, 0.65, 0.66, ["no gap"]),
        (0.85, 0.80, 0.68, ["gap to training", "tests differ"]),  # PublicTest fitted too
    ],
)
def test_gaps(training, public, private, found):
    assert kinds(training=training, public=public, private=private) == found


def test_a_part_of_training_is_found_where_it_ends():
    rng = np.random.default_rng(0)
    rate = np.where(np.arange(N) < round(0.9 * N), 0.75, 0.68)
    found = patterns.step(rng.random(N) < rate)
    assert found.kind == "step within training"
    assert found.numbers["row"] / N == pytest.approx(0.9, abs=0.01)
    assert found.numbers["before"] == pytest.approx(0.75, abs=0.01) and "first 90 %" in found.says
    backwards = patterns.step(rng.random(N) < rate[::-1])
    assert "last 90 %" in backwards.says


def test_training_without_a_step_has_none():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert patterns.step(rng.random(N) < 0.75, seed) is None


@pytest.mark.parametrize("order", [(2, 0, 1, 3, 6, 5, 4), (0, 1, 2, 3, 5, 4, 6)])
def test_permuted_classes_are_named_in_the_order_that_they_have(order):
    """`order[class]`: the output at which a class is found."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 3589)
    predicted = np.where(rng.random(3589) < 0.7, labels, rng.integers(0, 7, 3589))
    assert patterns.other_order(labels, predicted) is None
    found = patterns.other_order(labels, np.array(order)[predicted])
    assert found.numbers["order"] == [EMOTIONS[order.index(output)] for output in range(7)]
    assert found.numbers["then"] == pytest.approx((labels == predicted).mean())


def test_a_network_that_mixes_its_batch():
    a = np.full((10, 7), 1 / 7)
    b = a.copy()
    b[3, :2] = 0.2, 1 / 7 * 2 - 0.2
    assert patterns.mixes_batches(Moves.between([(a, a + 1e-6)])) is None
    found = patterns.mixes_batches(Moves.between([(a, a), (a, b)]))
    assert found.numbers["largest_difference"] == pytest.approx(0.2 - 1 / 7) and "shuffled or one by one" in found.says
    assert not Moves.between([(a, a + 0.01)], "bfloat16").mixed and Moves.between([(a, a + 0.01)]).mixed


def test_a_stored_mean_tells_whose_it_is_where_they_can_be_told_apart():
    assert "Training" in patterns.stored_mean(129.4701, 129.47, 129.41, "0..255").says
    assert "all 35,887" in patterns.stored_mean(129.4099, 129.47, 129.41, "0..255").says
    assert patterns.stored_mean(129.44, 129.47, 129.41, "0..255") is None
    assert patterns.stored_mean(127.5, 129.47, 129.41, "0..255") is None
