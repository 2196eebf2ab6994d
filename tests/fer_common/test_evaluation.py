"""Each metric against scikit-learn, and the bootstrap against what statistics says of it."""

import numpy as np
import pytest
from sklearn import metrics as sk

from fer_common import evaluation
from fer_common.data import EMOTIONS


def predictions(n, seed=0, classes=7):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    probabilities = rng.dirichlet(np.full(7, 0.3), n)
    probabilities[np.arange(n), labels] += rng.random(n)
    return labels.astype(np.uint8), (probabilities / probabilities.sum(1, keepdims=True)).astype(np.float16)


def test_metrics_are_scikit_learns():
    labels, probabilities = predictions(2000)
    found, predicted = evaluation.metrics(labels, probabilities), probabilities.argmax(1)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    for average in ("macro", "weighted"):
        for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
            assert found[f"{name}.{average}"] == pytest.approx(score(labels, predicted, average=average))
    per_class = sk.precision_recall_fscore_support(labels, predicted)
    for number, emotion in enumerate(EMOTIONS):
        for name, values in zip(("precision", "recall", "f1"), per_class):
            assert found[f"{name}.{emotion}"] == pytest.approx(values[number])
    assert found["recall.lowest"] == pytest.approx(per_class[1].min())
    assert found["f1.highest"] == pytest.approx(per_class[2].max())
    exact = probabilities.astype(float)
    areas = [sk.roc_auc_score(labels == number, exact[:, number]) for number in range(7)]
    assert found["auc.macro"] == pytest.approx(np.mean(areas))
    hard = np.eye(7)[predicted]
    assert found["auc_hard.macro"] == pytest.approx(sk.roc_auc_score(labels, hard, multi_class="ovr"))
    one_vs_rest = [((labels == number) == (predicted == number)).mean() for number in range(7)]
    assert found["mean_ovr_accuracy"] == pytest.approx(np.mean(one_vs_rest))
    np.testing.assert_array_equal(
        evaluation.confusion_matrix(labels, predicted), sk.confusion_matrix(labels, predicted)
    )


def test_log_loss_clips_at_the_smallest_stored_probability():
    labels = np.array([0, 1])
    probabilities = np.zeros((2, 7), np.float16)
    probabilities[:, 0] = 1
    assert evaluation.metrics(labels, probabilities)["log_loss"] == pytest.approx(-np.log(2.0**-24) / 2)
    labels, probabilities = predictions(500)
    kept = probabilities[np.arange(500), labels] > 0
    exact = probabilities[kept].astype(float)
    expected = -np.log(exact[np.arange(kept.sum()), labels[kept]]).mean()
    assert evaluation.metrics(labels[kept], probabilities[kept])["log_loss"] == pytest.approx(expected)


def test_a_class_that_is_absent_makes_no_auc_and_zero_f1():
    labels, probabilities = predictions(300, classes=6)
    with np.errstate(all="raise"):
        found = evaluation.metrics(labels, probabilities)
    assert np.isnan(found["auc.macro"]) and found["recall.neutral"] == 0


def test_the_bootstrap_has_the_binomial_spread_and_the_right_centre():
    labels, probabilities = predictions(3589)
    found, exact = evaluation.bootstrap(labels, probabilities), evaluation.metrics(labels, probabilities)
    p = exact["accuracy"]
    assert found["accuracy"].std() == pytest.approx(np.sqrt(p * (1 - p) / 3589), rel=0.07)
    for name in ("accuracy", "f1.macro", "auc.macro", "log_loss"):
        assert len(found[name]) == 1000
        assert found[name].mean() == pytest.approx(exact[name], rel=0.005)


def test_one_resample_is_a_weighted_sample():
    """The vectorised form gives what scikit-learn gives for the repeated rows."""
    labels, probabilities = predictions(200)
    drawn = np.random.default_rng([2013, 200]).integers(200, size=(50, 200), dtype=np.int32)[7]
    expected = evaluation.metrics(labels[drawn], probabilities[drawn])
    found = evaluation.bootstrap(labels, probabilities, 50)
    for name, value in expected.items():
        assert found[name][7] == pytest.approx(value, rel=1e-5, nan_ok=True), name


def test_intervals_are_kept_by_content(tmp_path):
    labels, probabilities = predictions(400)
    first = evaluation.intervals(labels, probabilities, tmp_path)
    assert evaluation.intervals(labels, probabilities, tmp_path) == first == evaluation.intervals(labels, probabilities)
    other = probabilities.copy()
    other[0] = other[0][::-1]
    evaluation.intervals(labels, other, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
