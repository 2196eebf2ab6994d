"""Which images a number is about: roles are never mixed up, and a set knows whether anything was fitted on it."""

import numpy as np
import pytest

from fer_common.results import groups, image_sets, render
from fer_common.results.image_sets import ImageSet
from tests.builders import folds, predictions


def test_each_usage_and_each_role_apart():
    role = np.array(["score"] * 1000, "<U6")
    role[:480] = "fit"
    role[480:600] = "select"
    found = predictions(1, (0.9, 0.5, 0.5), role=role)
    sets = image_sets.of_predictions(found)
    assert sets == [
        ImageSet(("PrivateTest",), ("score",)),
        ImageSet(("PublicTest",), ("score",)),
        ImageSet(("Training",), ("fit", "select")),
        ImageSet(("Training",), ("fit",)),
        ImageSet(("Training",), ("select",)),
        ImageSet(("PublicTest", "PrivateTest"), ("score",)),
    ]
    assert [own.held_out for own in sets] == [True, True, False, False, True, True]
    assert [int(own.rows(found).sum()) for own in sets] == [200, 200, 600, 480, 120, 400]


def test_pooled_usages_are_told_apart_by_role_alone():
    role = np.array(["fit", "fit", "fit", "seen", "score"] * 200, "<U6")
    found = predictions(0, (0.5, 0.5, 0.5), role=role)
    every = ("Training", "PublicTest", "PrivateTest")
    sets = image_sets.of_predictions(found)
    wanted = [("fit",), ("score",), ("seen",), ("score", "seen")]
    assert sets == [ImageSet(every, roles, pooled=True) for roles in wanted]
    assert [own.held_out for own in sets] == [False, True, False, False]
    assert image_sets.of_protocol(found) == {
        "scored": ImageSet(every, ("score", "seen"), pooled=True),
        "unseen": ImageSet(every, ("score",), pooled=True),
        "fitted": ImageSet(every, ("fit",), pooled=True),
    }


def test_folds_of_a_seed_become_one_out_of_fold_run():
    single = folds()
    pooled = groups.pool_folds(single)
    assert pooled.row_id.tolist() == [*range(800), *5 * [*range(800, 1000)]] and set(pooled.role) == {"score"}
    for number, fold in enumerate(single):  # what all keep aside is there once a fold
        of_fold = pooled.probabilities[0, 800 + 200 * number : 1000 + 200 * number]
        np.testing.assert_array_equal(of_fold, fold.probabilities[0, 800:])
    for row in (0, 7, 799):
        np.testing.assert_array_equal(pooled.probabilities[0, row], single[row % 5].probabilities[0, row])
    out_of_fold = ImageSet(("Training", "PublicTest"), ("score",), "out_of_fold", pooled=True)
    assert image_sets.of_predictions(pooled) == [out_of_fold, ImageSet(("PrivateTest",), ("score",), "each_fold")]
    assert [own.honest for own in image_sets.of_predictions(pooled)] == [False, True]
    assert image_sets.of_protocol(pooled) == {"scored": out_of_fold, "unseen": out_of_fold}
    assert out_of_fold.rows(pooled).sum() == 800


def test_a_fold_alone_is_scored_on_what_it_held_out():
    """PrivateTest, kept aside by every fold, is a set of its own, as where the folds are pooled."""
    found = folds()[0]
    of_protocol = image_sets.of_protocol(found)
    assert of_protocol["scored"].rows(found).sum() == of_protocol["unseen"].rows(found).sum() == 160
    assert ImageSet(("PrivateTest",), ("score",)) in image_sets.of_predictions(found)


def test_what_is_kept_aside_is_scored_where_nothing_of_the_pool_is():
    found = predictions(2, (0.9, 0.9, 0.5), role=np.repeat(("fit", "fit", "score"), (600, 200, 200)))
    of_protocol = image_sets.of_protocol(found)
    assert of_protocol["scored"] == of_protocol["unseen"] == ImageSet(("PrivateTest",), ("score",))
    assert of_protocol["fitted"] == ImageSet(("Training", "PublicTest"), ("fit",), pooled=True)


@pytest.mark.parametrize(
    ("image_set", "name"),
    [
        (ImageSet(("PrivateTest",), ("score",)), "PrivateTest (score)"),
        (ImageSet(("PrivateTest",), ("score",), subset="without_twins"), "PrivateTest without twins (score)"),
        (ImageSet(("Training",), ("fit", "select")), "Training (fit + select)"),
        (ImageSet(("Training",), ("fit",), "running"), "Training (fit, running metric with dropout)"),
        (ImageSet(("Training", "PublicTest"), ("score",), "out_of_fold", True), "pooled (score, out of fold)"),
        (ImageSet(("PublicTest", "PrivateTest"), ("score",)), "PublicTest + PrivateTest (score)"),
        (None, "network"),
    ],
)
def test_names(image_set, name):
    assert render.name_of(image_set) == name
