"""Each metric against scikit-learn, and its deviation over images against resampled images."""

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
    found, predicted = evaluation.metrics(labels, probabilities, EMOTIONS), probabilities.argmax(1)
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
        evaluation.confusion_matrix(labels, predicted, 7), sk.confusion_matrix(labels, predicted)
    )


@pytest.mark.parametrize("classes", [7, 6])
def test_influences_have_the_mean_and_the_spread_of_their_metric(classes):
    """Also where a class is absent, which has an F1 of 0 and no AUC."""
    labels, probabilities = predictions(4000, classes=classes)
    found = evaluation.influences(labels, probabilities)
    for name, (value, deviation) in evaluation.measures(labels, probabilities, EMOTIONS).items():
        if name in found and not np.isnan(value):
            assert found[name].mean() == pytest.approx(value)
            assert found[name].std(ddof=1) / np.sqrt(4000) == pytest.approx(deviation, rel=0.1)
    assert np.isnan(found["auc.macro"]).all() == (classes == 6)


def test_log_loss_clips_at_the_smallest_stored_probability():
    labels = np.array([0, 1])
    probabilities = np.zeros((2, 7), np.float16)
    probabilities[:, 0] = 1
    assert evaluation.metrics(labels, probabilities, EMOTIONS)["log_loss"] == pytest.approx(-np.log(2.0**-24) / 2)
    labels, probabilities = predictions(500)
    kept = probabilities[np.arange(500), labels] > 0
    exact = probabilities[kept].astype(float)
    expected = -np.log(exact[np.arange(kept.sum()), labels[kept]]).mean()
    assert evaluation.metrics(labels[kept], probabilities[kept], EMOTIONS)["log_loss"] == pytest.approx(expected)


def test_a_class_that_is_absent_makes_no_auc_and_zero_f1():
    labels, probabilities = predictions(300, classes=6)
    with np.errstate(all="raise"):
        found = evaluation.metrics(labels, probabilities, EMOTIONS)
    assert np.isnan(found["auc.macro"]) and found["recall.neutral"] == 0


def test_classes_go_by_the_names_that_they_are_given():
    """Seven classes are not always the emotions."""
    labels, probabilities = predictions(300)
    names = [f"age {decade}0" for decade in range(7)]
    found = evaluation.metrics(labels, probabilities, names)
    assert "recall.age 30" in found and not any(emotion in name for name in found for emotion in EMOTIONS)
    two = evaluation.metrics(labels % 2, probabilities[:, :2], ("male", "female"))
    assert two["recall.female"] == evaluation.metrics(labels % 2, probabilities[:, :2], ("x", "y"))["recall.y"]


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, 3589])
def test_the_deviation_is_that_of_resampled_images(n):
    """Against the plain bootstrap: every metric of images drawn with replacement."""
    labels, probabilities = predictions(n)
    probabilities = probabilities[:, np.random.default_rng(1).permutation(7)]  # mostly wrong
    probabilities[: n // 2] = predictions(n)[1][: n // 2]
    rng = np.random.default_rng(0)
    drawn = [rng.integers(n, size=n) for _ in range(400)]
    resampled = [evaluation.metrics(labels[rows], probabilities[rows], EMOTIONS) for rows in drawn]
    for name, (_, deviation) in evaluation.measures(labels, probabilities, EMOTIONS).items():
        expected = np.std([one[name] for one in resampled], ddof=1)
        # 400 and 1,000 resamples each leave a few per cent of a deviation open.
        assert deviation == pytest.approx(expected, rel=0.2), name


def test_the_deviation_of_an_accuracy_is_the_binomial_one():
    labels, probabilities = predictions(3589)
    p, deviation = evaluation.measures(labels, probabilities, EMOTIONS)["accuracy"]
    assert deviation == pytest.approx(np.sqrt(p * (1 - p) / 3589), rel=0.07)


def test_single_and_double_precision_give_what_half_precision_does():
    """Stored probabilities are ranked by their bits, others by their values."""
    labels, probabilities = predictions(500)
    half, single = (
        evaluation.measures(labels, probabilities.astype(kind), EMOTIONS) for kind in (np.float16, np.float32)
    )
    for name in half:
        assert half[name] == pytest.approx(single[name], rel=1e-6), name


def with_confidence(confidence, right_with, seed):
    """Labels and probabilities of seven classes: the predicted class has the confidence, and is right with the
    probability `right_with`."""
    rng = np.random.default_rng(seed)
    n = len(confidence)
    predicted = rng.integers(0, 7, n)
    probabilities = np.repeat((1 - confidence)[:, None] / 6, 7, 1)
    probabilities[np.arange(n), predicted] = confidence
    wrong = (predicted + rng.integers(1, 7, n)) % 7
    return np.where(rng.random(n) < right_with, predicted, wrong), probabilities


def test_the_calibration_error_of_few_images_by_hand():
    """Bins (.4, .4667] and (.9333, 1]: |1 − .85| of two images and |1 − 2| of two, over four. An edge belongs below."""
    labels, probabilities = with_confidence(np.array([0.41, 0.44, 1.0, 1.0]), np.array([1, 0, 1, 0]), seed=0)
    found = evaluation.metrics(labels, probabilities, EMOTIONS)
    assert found["ece"] == pytest.approx((0.15 + 1) / 4)
    assert found["mean_confidence"] == pytest.approx(2.85 / 4)
    labels, probabilities = with_confidence(np.array([0.6, 0.61]), np.array([1, 0]), seed=0)
    assert evaluation.metrics(labels, probabilities, EMOTIONS)["ece"] == pytest.approx((0.4 + 0.61) / 2)


def test_a_perfectly_calibrated_set_has_the_error_that_chance_gives():
    """Of each bin the mean of |a normal of the variance Σ c(1 − c)|, which is √(2/π) of its deviation."""
    confidence = np.random.default_rng(0).uniform(0.2, 1, 3589)
    found = [evaluation.Reliability.of(*with_confidence(confidence, confidence, seed)).error() for seed in range(40)]
    variance = np.bincount(np.ceil(confidence * 15).astype(int), confidence * (1 - confidence))
    expected = np.sqrt(2 / np.pi * variance).sum() / 3589
    assert 0.015 < expected < 0.03
    assert np.mean(found) == pytest.approx(expected, rel=0.1)


def test_an_overconfident_set_has_the_error_that_was_put_in():
    confidence = np.random.default_rng(0).uniform(0.5, 1, 20_000)
    error = evaluation.Reliability.of(*with_confidence(confidence, confidence - 0.2, seed=1)).error()
    assert error == pytest.approx(0.2, abs=0.01)
