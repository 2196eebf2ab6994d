"""Two runs on the same images: tests and intervals by hand and against plain resampling, joins, refusals, the text."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from fer_common import UserError, comparing, evaluation
from fer_common.data import EMOTIONS
from fer_common.results.image_sets import ImageSet
from tests import builders
from tests.conftest import command

PRIVATE = ImageSet(("PrivateTest",), ("score",))


def drawn(n, seed=0, shares=(0.6, 0.55)):
    """(labels, A's predictions, B's), dependent as those of two networks are: hard images are hard to both."""
    rng = np.random.default_rng(seed)
    label = rng.choice(7, n, p=(0.14, 0.02, 0.14, 0.25, 0.16, 0.12, 0.17))
    hard = rng.random(n)
    predicted = [
        np.where(0.7 * hard + 0.3 * rng.random(n) < share, label, (label + rng.integers(1, 7, n)) % 7)
        for share in shares
    ]
    return label, *predicted


def every(differences):
    accuracy, macro_f1, recalls = differences
    return [accuracy, macro_f1, *recalls]


def run(*of_tasks, **changes):
    """A run with predictions of expression, or (task, predictions)."""
    tasks = dict(own if isinstance(own, tuple) else ("expression", own) for own in of_tasks)
    return comparing.Run(Path("nowhere"), builders.record(**changes), tasks)


def test_mcnemar_is_the_binomial_of_the_discordant_pairs():
    assert comparing.mcnemar(2, 10) == pytest.approx(2 * (1 + 12 + 66) / 2**12)
    assert comparing.mcnemar(0, 6) == pytest.approx(2 / 2**6)
    assert comparing.mcnemar(5, 5) == comparing.mcnemar(0, 0) == 1


def test_holm_by_hand():
    """Times 4, 3, 2, 1 from the smallest on; 0.04 is lifted to what 0.03 became."""
    assert comparing.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert comparing.holm([0.9, 0.4]) == pytest.approx([0.9, 0.8])
    assert comparing.holm([0.9, 0.6]) == [1, 1]


def test_a_small_table_by_hand():
    """Ten images of two classes: A alone is right on 3 and 1 of them, B alone on 1 and 0."""
    label = np.array([0] * 6 + [1] * 4)
    a = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 0])
    b = np.array([0, 1, 1, 1, 0, 1, 1, 1, 0, 0])
    accuracy, macro_f1, (of_0, of_1) = comparing.differences(label, a, b, ("no", "yes"))
    assert (accuracy.a, accuracy.b, accuracy.only_a, accuracy.only_b) == (0.7, 0.4, 4, 1)
    assert accuracy.difference == pytest.approx(0.3)
    assert accuracy.p_value == pytest.approx(2 * (1 + 5) / 2**5) and accuracy.p_holm is None
    assert macro_f1.a == pytest.approx((8 / 11 + 6 / 9) / 2) and macro_f1.p_value is None
    assert (of_0.metric, of_0.n_images, of_0.only_a, of_0.only_b) == ("recall.no", 6, 3, 1)
    assert of_1.difference == pytest.approx(1 / 4) and (of_1.only_a, of_1.only_b) == (1, 0)
    assert of_0.p_value == pytest.approx(2 * 5 / 2**4) and of_1.p_value == 1
    assert (of_0.p_holm, of_1.p_holm) == (1, 1)


def test_values_are_scikit_learns_and_intervals_those_of_resampled_images():
    label, a, b = drawn(1500)
    found = every(comparing.differences(label, a, b, EMOTIONS))
    recalls = zip(*(recall_score(label, own, average=None) for own in (a, b)))
    expected = [((a == label).mean(), (b == label).mean()), [f1_score(label, own, average="macro") for own in (a, b)]]
    for own, (of_a, of_b) in zip(found, [*expected, *recalls], strict=True):
        assert (own.a, own.b, own.difference) == pytest.approx((of_a, of_b, of_a - of_b))
    rng = np.random.default_rng(1)
    resampled = {own.metric: [] for own in found}
    for _ in range(1000):
        rows = rng.integers(1500, size=1500)
        of_a, of_b = (
            evaluation.from_confusion(evaluation.confusion_matrix(label[rows], own[rows], 7), EMOTIONS)
            for own in (a, b)
        )
        for metric, values in resampled.items():
            values.append(of_a[metric] - of_b[metric])
    for own in found:
        low, high = np.quantile(resampled[own.metric], (0.025, 0.975))
        # The ends of two intervals of 1,000 resamples each: 0.08 of a width is some three standard deviations.
        assert own.low == pytest.approx(low, abs=0.08 * (high - low)), own.metric
        assert own.high == pytest.approx(high, abs=0.08 * (high - low)), own.metric
    accuracy = found[0]
    discordant = (accuracy.only_a + accuracy.only_b) / 1500
    half = 1.96 * np.sqrt((discordant - accuracy.difference**2) / 1500)
    assert accuracy.high - accuracy.low == pytest.approx(2 * half, rel=0.1)


def test_swapped_runs_turn_the_signs_and_nothing_else():
    label, a, b = drawn(600)
    for own, swapped in zip(
        every(comparing.differences(label, a, b, EMOTIONS)), every(comparing.differences(label, b, a, EMOTIONS))
    ):
        assert (own.difference, own.low, own.high) == (-swapped.difference, -swapped.high, -swapped.low)
        assert (own.a, own.b, own.only_a, own.only_b) == (swapped.b, swapped.a, swapped.only_b, swapped.only_a)
        assert (own.p_value, own.p_holm) == (swapped.p_value, swapped.p_holm)


def test_a_run_beside_itself_differs_in_nothing():
    label, a, _ = drawn(300)
    for own in every(comparing.differences(label, a, a, EMOTIONS)):
        assert (own.difference, own.low, own.high) == (0, 0, 0)
        assert own.metric == "f1.macro" or (own.only_a, own.only_b, own.p_value) == (0, 0, 1)


def test_a_class_without_images_is_not_among_those_that_are_corrected_for():
    label, a, b = drawn(400)
    kept = label != 1
    recalls = comparing.differences(label[kept], a[kept], b[kept], EMOTIONS)[2]
    assert [own.metric for own in recalls] == [f"recall.{name}" for name in EMOTIONS if name != "disgust"]
    smallest = min(recalls, key=lambda own: own.p_value)
    assert smallest.p_holm == pytest.approx(min(6 * smallest.p_value, 1))


def test_rows_are_joined_by_their_ids_in_any_order():
    a, b = builders.predictions(0, (0.8, 0.6, 0.6)), builders.predictions(1, (0.8, 0.5, 0.55))
    order = np.random.default_rng(0).permutation(1000)
    by_row = {name: getattr(b, name)[order] for name in ("row_id", "usage", "role", "label")}
    shuffled = replace(b, **by_row, probabilities=b.probabilities[:, order])
    found, of_shuffled = (comparing.compare_predictions(*comparing.join(a, own)[:2], EMOTIONS) for own in (b, shuffled))
    assert found == of_shuffled
    assert [(own.image_set, own.accuracy.n_images) for own in found] == [
        (PRIVATE, 200), (ImageSet(("PublicTest",), ("select",)), 200), (ImageSet(("Training",), ("fit",)), 600)
    ]  # fmt: skip
    assert (found[0].accuracy.a, found[0].accuracy.b) == (0.6, 0.55)


def test_images_in_another_role_are_left_out_and_counted():
    a = builders.predictions(0, (0.8, 0.6, 0.6))
    role = a.role.copy()
    role[:100], role[800:850] = "unused", "fit"
    joined_a, joined_b, left_out = comparing.join(a, replace(a, role=role))
    assert (joined_a.role == joined_b.role).all() and len(joined_a.row_id) == 850
    assert left_out == comparing.LeftOut(0, 0, (("fit", "unused", 100), ("score", "fit", 50)), 0)
    assert comparing.compare_predictions(joined_a, joined_b, EMOTIONS)[0].accuracy.n_images == 150


def test_rows_of_one_record_alone_and_copies_are_left_out_and_counted():
    a = builders.predictions(0, (0.8, 0.6, 0.6))

    def take(rows):
        by_row = {name: getattr(a, name)[rows] for name in ("row_id", "usage", "role", "label")}
        return replace(a, **by_row, probabilities=a.probabilities[:, rows])

    fewer, twice = take(np.arange(10, 1000)), take(np.r_[0:990, 500:600])
    joined_a, joined_b, left_out = comparing.join(fewer, twice)
    assert left_out == comparing.LeftOut(10, 10, (), 100)
    assert joined_a.row_id.tolist() == joined_b.row_id.tolist() == list(range(10, 990))


def test_usages_that_the_split_drew_from_together_are_one_set():
    role = np.where(np.arange(1000) % 5, "fit", "score")
    a, b = (builders.predictions(seed, (0.8, 0.6, 0.6), role=role) for seed in (0, 1))
    score, fit = comparing.compare_predictions(*comparing.join(a, b)[:2], EMOTIONS)
    assert (score.image_set.roles, fit.image_set.roles) == (("score",), ("fit",))
    assert score.image_set.pooled and (score.accuracy.n_images, fit.accuracy.n_images) == (200, 800)


def test_what_cannot_be_compared_is_refused_in_one_sentence():
    found = builders.predictions(0, (0.8, 0.6, 0.6))
    label = found.label.copy()
    label[7] = 5
    elsewhere = {"source": "fer2013", "fingerprint": "fedcba9876543210", "rows": 1000}
    for other, sentence in (
        (run(found, data=elsewhere), "A was run on the copy 0123456789abcdef of the data, B on fedcba9876543210"),
        (run(("gender", found)), "A predicts expression, B gender; name two runs that have a task in common."),
        (run(replace(found, row_id=found.row_id + 1000)), "no image in the same role (they share no row id)"),
        (run(replace(found, role=np.repeat("unused", 1000))), "no image in the same role (all 1,000 that both"),
        (run(replace(found, label=label)), "Row 7 has the label 0 in A and 5 in B"),
    ):
        with pytest.raises(UserError) as error:
            comparing.compare(run(found), other)
        assert sentence in str(error.value) and "\n" not in str(error.value)


def test_runs_of_several_tasks_are_compared_in_those_that_both_have():
    found = builders.predictions(0, (0.8, 0.6, 0.6))
    n = len(found.label)
    of_gender = replace(
        found,
        usage=np.repeat(("UTKFace train", "UTKFace test"), n // 2),
        role=np.repeat(("fit", "score"), n // 2),
        label=found.label % 2,
        probabilities=np.eye(2, dtype=np.float16)[(found.label % 2)[None]],
    )
    data = builders.record().data | {"attributes": {"fingerprint": "aa", "source": "utkface"}}
    a, b = run(found, ("gender", of_gender), data=data), run(("gender", of_gender), data=data)
    (own,) = comparing.compare(a, b).tasks
    assert (own.task, own.data, [recall.metric for recall in own.sets[0].recalls]) == (
        "gender", "aa", ["recall.male", "recall.female"]
    )  # fmt: skip
    assert "gender, UTKFace test (score): A and B are right" in comparing.text(comparing.compare(a, b))


@pytest.mark.parametrize(
    ("only_a", "only_b", "expected"),
    [
        (412, 389, "A is right on 23 more of 3,589 images than B: +0.6 points [−0.9, 2.2], McNemar p = 0.44 (801 "
         "images on which one alone is right): these images cannot tell them apart."),
        (0, 1, "A is right on 1 fewer of 3,589 images than B: 0.0 points [−0.9, 2.2], McNemar p = 1.00 (1 image on "
         "which one alone is right): these images cannot tell them apart."),
        (100, 200, "A is right on 100 fewer of 3,589 images than B: −2.8 points [−0.9, 2.2], McNemar p < 0.001 (300 "
         "images on which one alone is right): this is more than the choice of images explains."),
        (5, 5, "A and B are right on 2,005 of 3,589 images each: 0.0 points [−0.9, 2.2], McNemar p = 1.00 (10 images "
         "on which one alone is right): these images cannot tell them apart."),
        (0, 0, "A and B are right on the same 2,000 of 3,589 images: these images cannot tell them apart."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_was_found(only_a, only_b, expected):
    a, b = (2000 + only_a) / 3589, (2000 + only_b) / 3589
    p_value = comparing.mcnemar(only_a, only_b)
    accuracy = comparing.Difference("accuracy", a, b, a - b, -0.009, 0.022, 3589, only_a, only_b, p_value)
    assert comparing.sentence(accuracy) == expected


def test_the_command_fits_a_terminal_and_gives_the_same_as_data(tmp_path):
    a = builders.put(tmp_path, builders.record(), builders.predictions(0, (0.8, 0.6, 0.6)))
    role = np.repeat(("fit", "select", "score"), (600, 190, 210))
    of_b = builders.predictions(1, (0.7, 0.5, 0.5), role=role)
    b = builders.put(tmp_path, builders.record(seed=1, system="cnn_sgd", protocol="as_published"), of_b)
    printed = command("compare", a, b, "--json", tmp_path / "found.json").stdout
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100 and "\N{NO-BREAK SPACE}" not in printed
    assert lines[0] == f"A: cnn_13_epochs/cnn/{a.name}, epoch 13"
    assert lines[3].startswith("PrivateTest (score): A is right on 20 more of 200 images than B: +10.0 points [")
    assert "Left out: 10 images whose role differs (select in A, score in B: 10)." in printed
    (task,) = json.loads((tmp_path / "found.json").read_text())["tasks"]
    scored = task["sets"][0]
    assert scored["image_set"]["roles"] == ["score"] and len(scored["recalls"]) == 7
    assert scored["accuracy"]["only_a"] - scored["accuracy"]["only_b"] == 20
    for text in (f"{100 * scored['macro_f1']['a']:.1f}", f"{scored['accuracy']['only_a']:,}"):
        assert text in next(line for line in lines if line.startswith(("  macro-F1", "  accuracy")) and text in line)


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    failed = builders.put(tmp_path, builders.record(status="failed", error="no memory"), None, history=[])
    done = command("compare", failed, failed, check=False)
    assert done.returncode == 1 and "the run failed (no memory); there is nothing to compare." in done.stderr
    done = command("compare", tmp_path, tmp_path, check=False)
    assert done.returncode == 1 and "there is no record" in done.stderr


def test_networks_of_which_nobody_knows_the_roles_are_compared(tmp_path):
    paths = []
    for seed, system in enumerate(("mine", "theirs")):
        made = builders.record(paper="released", system=system)
        own = builders.predictions(seed, (0.9, 0.6, 0.6), epochs=(13,), role=np.repeat("unknown", 1000))
        paths.append(builders.put(tmp_path, made, own))
    assert "PrivateTest (unknown): A" in command("compare", *paths).stdout
