"""Every split gives every row one role, in the right shares, and keeps together what must stay together."""

import numpy as np
import pytest

from fer_common import UserError, splits
from fer_common.data import synthetic


@pytest.fixture(scope="module")
def data():
    return synthetic.draw(3000, seed=3, duplicates=0.1)


def shares(data, rows):
    return np.bincount(data.labels[rows], minlength=7) / rows.sum()


def test_official(data):
    role = splits.official(data)
    for usage, expected in (("Training", "fit"), ("PublicTest", "select"), ("PrivateTest", "score")):
        assert set(role[data.usage == usage]) == {expected}
    with pytest.raises(UserError, match="has no PrivateTest"):
        splits.official(data.take(data.usage != "PrivateTest"))


def test_hold_out_is_stratified_and_leaves_other_usages_alone(data):
    role = splits.hold_out(data, ("Training",), fraction=0.2, seed=1, held_out="select")
    training = data.usage == "Training"
    assert set(role[~training]) == {"score"}
    assert (role[training] == "select").mean() == pytest.approx(0.2, abs=0.001)
    np.testing.assert_allclose(shares(data, role == "fit"), shares(data, role == "select"), atol=0.003)
    assert (role == splits.hold_out(data, ("Training",), fraction=0.2, seed=1, held_out="select")).all()
    assert (role != splits.hold_out(data, ("Training",), fraction=0.2, seed=2, held_out="select")).any()


def test_folds_partition_the_rows(data):
    scored = [splits.k_fold(data, k=5, fold=fold, seed=0) == "score" for fold in range(5)]
    assert (np.sum(scored, axis=0) == 1).all()
    with pytest.raises(UserError, match="no fold 5 of 5"):
        splits.k_fold(data, fold=5, seed=0)


@pytest.mark.parametrize("make", [splits.k_fold, splits.hold_out])
def test_identical_images_stay_on_one_side(data, make):
    arguments = {"fold": 2} if make is splits.k_fold else {}

    def straddling(role):
        return len(np.intersect1d(data.identical[role == "fit"], data.identical[role == "score"]))

    assert straddling(make(data, seed=0, **arguments)) > 50  # the fault is there to be avoided
    together = make(data, seed=0, together="identical", **arguments)
    assert straddling(together) == 0
    assert (together == "score").mean() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_allclose(shares(data, together == "fit"), shares(data, together == "score"), atol=0.03)


def test_twins_of_rows_kept_aside_are_not_fitted(data):
    for role in (
        splits.official(data, together="identical"),
        splits.hold_out(data, ("Training",), seed=0, held_out="select", together="identical"),
    ):
        for kept in ("select", "score"):
            assert len(np.intersect1d(data.identical[role == "fit"], data.identical[role == kept])) == 0
        assert 0 < (role == "unused").sum() < 300
    assert "unused" not in splits.official(data)


def test_a_part_is_one_kth(data):
    with pytest.raises(UserError, match="one k-th of the rows .*, and 0.3 is none"):
        splits.hold_out(data, fraction=0.3, seed=0)


def test_selection_comes_out_of_the_fitted_rows_alone(data):
    before = splits.k_fold(data, fold=0, seed=0)
    role = splits.select_from_fit(data, before, fraction=0.1, seed=0)
    assert ((role == "score") == (before == "score")).all()
    assert (role == "select").sum() == pytest.approx((before == "fit").sum() / 10, abs=2)


def test_too_few_images_for_the_folds():
    few = synthetic.draw(60, seed=0)
    with pytest.raises(UserError, match="A class has only . images, too few"):
        splits.k_fold(few, fold=0, seed=0)


def test_subset_keeps_every_stratum(data):
    rows = splits.subset(data, 600)
    assert (np.diff(rows) > 0).all()
    assert len(rows) == pytest.approx(600, rel=0.1)
    kept = set(zip(data.usage[rows], data.labels[rows]))
    assert kept == set(zip(data.usage, data.labels))
    assert (rows == splits.subset(data, 600)).all()


def test_a_scored_row_that_was_fitted_on_is_seen(data):
    role = splits.seen_where(splits.official(data), lambda role: data.labels == 3)
    happy = data.labels == 3
    assert set(role[happy & (data.usage == "PrivateTest")]) == {"seen"}
    assert set(role[happy & (data.usage == "Training")]) == {"fit"}
    assert set(role[~happy & (data.usage == "PrivateTest")]) == {"score"}


def test_roles_in_a_narrow_array_are_not_cut(data):
    role = splits.select_from_fit(data, np.full(len(data), "fit"), fraction=0.1, seed=0)
    assert set(role) == {"fit", "select"}
