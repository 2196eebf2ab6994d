"""The audit: true papers pass, false ones are found, and what is found in the suite's own papers is pinned."""

import csv
import json
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlscorecheck.check.binary import check_1_testset_no_kfold
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

from fer_common import audit, claims
from fer_common.audit import counts, metrics
from fer_common.audit.checks import curves, reports
from fer_common.audit.printed import ROUNDINGS, bounds
from fer_common.claims import ClaimsFile, Curve
from tests import drawn_papers
from tests.conftest import ROOT, command

NOT_CONSISTENT = {
    "multitask_lightweight": [],
    "mini_xception": [],
    "reference": [],
    "cnn_13_epochs": [
        ("agreement", "accuracy_epoch_13", "consistent only if", "82.8 to 83.4 % (its rows); printed 90 %"),
        *(
            ("statements", said, "warning", fragment)
            for said, fragment in (
                ("test_images_without_labels", "pixels alone"),
                ("test_report_on_training_supports", "supports of the Training part"),
                ("training_90_report_83", "28,709 training rows"),
                ("three_or_four_steps", "four steps"),
                ("pretrained_or_not", "from scratch"),
            )
        ),
        ("statements", "surprise_highest_precision_and_recall", "inconsistent", "happy 0.95"),
        ("statements", "sad_lowest_precision_and_recall", "inconsistent", "fear 0.72"),
        ("band", "accuracy_epoch_8", "warning", "82 %"),
        ("band", "accuracy_epoch_13", "warning", "90 %"),
        ("band", "test_accuracy_evaluation", "warning", "83 %"),
        ("band", "test_accuracy_results", "warning", "83.2 %"),
        ("band", "test_accuracy_conclusion", "warning", "83.2 %"),
    ],
    "resnet50_xgboost": [
        ("granularity", "adam_accuracy", "consistent only if", "77.17 % is no whole number of hits on PublicTest"),
        ("identities", "accuracy_table_4", "consistent only if", "recall 98 %"),
        ("identities", "sgd_accuracy", "consistent only if", "recall 61.07 %"),
        ("identities", "sgd_precision", "consistent only if", "f1 61.09 %"),
        ("identities", "adam_accuracy", "consistent only if", "recall 66.8 %"),
        ("statements", "emnet_weighted_maximum_accuracy", "consistent only if", "74.06 %"),
        ("statements", "split_80_20", "consistent only if", "28,709 are 80 per cent of all images"),
        ("statements", "regularisation", "warning", "without any"),
        ("band", "accuracy", "warning", "an accuracy of 97.2 %"),
        ("band", "accuracy_table_4", "warning", "99.1 %"),
        ("band", "test_accuracy", "warning", "0.99"),
        ("band", "ferconvnet_hdm_test", "warning", "0.95"),
        ("band", "adam_accuracy", "warning", "77.17 %"),
    ],
    "resnet50v2_vit": [
        ("confusion matrix", "table_5", "consistent only if", "together 1,666"),
        (
            "confusion matrix",
            "table_6",
            "consistent only if",
            "happy 65, sad 60, surprise 59, neutral 58, together 431",
        ),
        ("two matrices", "table_5", "consistent only if", "in angry, disgust, surprise, neutral"),
        ("agreement", "resnet50v2_accuracy", "consistent only if", "printed 0.76"),
        ("agreement", "resnet50v2_accuracy_text", "consistent only if", "printed 76 %"),
        ("agreement", "resnet50v2_recall", "consistent only if", "77.5 to 77.6 %"),
        ("agreement", "resnet50v2_precision", "consistent only if", "72.8 % (Training)"),
        ("statements", "vit_accuracy", "consistent only if", "0.78 and 0.76 by Table 4; 77.5 % and 78.6"),
        ("statements", "vit_recall", "consistent only if", "0.76 and 0.74 by Table 4; 76.6 % and 77.5"),
        ("statements", "image_size", "consistent only if", "86 and 256 pixels"),
        ("statements", "llava_or_vit", "warning", "writes text"),
        ("statements", "heads", "warning", "12 heads of 64"),
        ("statements", "five_folds_or_three_parts", "warning", "5-fold"),
        ("statements", "fifty_epochs_or_sixteen", "warning", "50 epochs"),
        ("auc", "alexnet_auc", "not applicable", "no whole confusion matrix"),
        ("loss", "vit_accuracy", "consistent only if", "97.1 % or more"),
        ("loss", "vit_accuracy_abstract", "consistent only if", "97.1 % or more"),
        ("loss", "table_2", "warning", "16 of 16 epochs"),
        ("loss", "resnet50v2_accuracy", "consistent only if", "85.6 % or more"),
        ("loss", "resnet50v2_accuracy_text", "consistent only if", "85.6 % or more"),
        ("loss", "table_3", "warning", "11 of 16 epochs"),
        ("identities", "vit_accuracy", "consistent only if", "recall 0.76"),
        ("identities", "resnet50v2_accuracy", "consistent only if", "recall 0.74"),
        ("identities", "alexnet_accuracy", "consistent only if", "recall 0.73"),
        ("curves", "table_2", "warning", "epoch 9 to 16, to the last printed digit; seconds: +0.1857"),
        ("curves", "table_3", "warning", "epoch 6 to 14, to the last printed digit; seconds: +0.19"),
        ("curves", "vit_accuracy", "warning", "accuracy − recall = +0.02"),
        ("curves", "table_3", "warning", "lowest after epoch 11 (0.09)"),
        ("band", "vit_accuracy", "warning", "0.78"),
        ("band", "vit_accuracy_abstract", "warning", "78 %"),
    ],
}


@pytest.mark.parametrize("paper", NOT_CONSISTENT)
def test_findings_in_the_papers(paper):
    found = [f for f in audit.audit(claims.load(paper)) if f.verdict != "consistent"]
    pinned = NOT_CONSISTENT[paper]
    assert sorted((f.check, f.about[0], f.verdict) for f in found) == sorted(pin[:3] for pin in pinned)
    for *key, fragment in pinned:
        assert any([f.check, f.about[0], f.verdict] == key and fragment in f"{f.says}; {f.evidence}" for f in found), (
            fragment
        )


def test_the_report_on_training_rows_is_possible_and_names_them():
    found = {f.check: f for f in audit.audit(claims.load("cnn_13_epochs")) if "fig2" in f.about}
    assert found["classification report"].verdict == "consistent"
    assert "those of Training" in found["supports"].says


@pytest.mark.parametrize(("name", "reports"), [("covid_net", 6), ("twenty_newsgroups", 1)])
def test_published_tables_of_other_fields(name, reports):
    """True tables, as far as anyone knows: everything is consistent, and one wrong digit is found."""
    file = claims.read(ROOT / "docs" / "examples" / f"{name}.yaml")
    found = audit.audit(file)
    assert {f.verdict for f in found} == {"consistent"}
    assert sum(f.check == "classification report" for f in found) == reports
    row = file.reports[0].rows[file.classes[0]]
    row.precision = row.precision.replace("9", "8", 1)
    assert "inconsistent" in {f.verdict for f in audit.audit(file)}


def test_no_row_is_called_impossible_that_mlscorecheck_finds_possible():
    """An independent tool on the same rows, where it has a check: each class as a binary problem."""
    both = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        file = drawn_papers.tampered(
            drawn_papers.file_of([drawn_papers.draw_counts(rng, 3)], rng, whole=True), "one cell", rng
        )
        report, n_images = file.reports[0], int(file.reports[0].rows["macro"].support)
        decimals = len(report.rows["accuracy"].accuracy.partition(".")[2])
        for name in file.classes:
            row = report.rows[name]
            testset = {"p": int(row.support), "n": n_images - int(row.support)}
            if not testset["p"]:
                continue
            scores = {"sens": float(row.recall), "ppv": float(row.precision), "f1": float(row.f1)}
            theirs = check_1_testset_no_kfold(testset=testset, scores=scores, eps=0.5 * 10.0**-decimals)[
                "inconsistency"
            ]
            options = reports.read(file, report, "rounded").options[name]
            assert len(options) or theirs, (seed, name)
            both += theirs and not len(options)
    assert both > 10


# No false alarms


@pytest.mark.parametrize("printed", ["rounded", "mixed", "float32", "float64"])
def test_true_papers_are_never_inconsistent(printed):
    """One run and means over folds, whole and partial reports, classes without images, mean one-vs-rest accuracies,
    balanced and imbalanced; all tables rounded alike, each in its own way, or with all digits of a float."""
    for seed in (*range(60), 9948):  # the last: a matrix that can be of rows, and is of columns
        file = drawn_papers.draw_file(np.random.default_rng(seed), printed)
        copied = (*audit.COPIED.values(), reports.CALCULATED)
        alarms = [f for f in audit.audit(file) if f.verdict == "inconsistent" or f.condition in copied]
        assert not alarms, (seed, alarms)


def as_decimals(value, decimals, rounding=ROUND_HALF_UP):
    return str(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-decimals), rounding))


@pytest.mark.parametrize("how", ["F1 of printed", "averages of printed", "both", "cut after rounding"])
@pytest.mark.parametrize("decimals", [2, 3])
def test_true_numbers_that_were_calculated_from_printed_ones_are_never_inconsistent(how, decimals):
    for seed in range(15):
        labels, predicted = drawn_papers.as_predictions(drawn_papers.draw_counts(np.random.default_rng(seed), 7))
        *columns, support = precision_recall_fscore_support(labels, predicted, labels=range(7), zero_division=0)
        if how == "cut after rounding":
            columns = [[as_decimals(as_decimals(v, 4), decimals, ROUND_DOWN) for v in own] for own in columns]
        else:
            precision, recall, f1 = ([as_decimals(v, decimals) for v in own] for own in columns)
            if how != "averages of printed":
                pairs = [(float(p), float(r)) for p, r in zip(precision, recall)]
                f1 = [as_decimals(2 * p * r / (p + r) if p + r else 0, decimals) for p, r in pairs]
            columns = [precision, recall, f1]
        names = ("precision", "recall", "f1")
        rows = {c: dict(zip((*names, "support"), (*own, str(n)))) for c, *own, n in zip("abcdefg", *columns, support)}
        if how in ("averages of printed", "both"):
            rows["macro"] = {
                m: as_decimals(np.mean([float(v) for v in own]), decimals) for m, own in zip(names, columns)
            }
        report = {"id": "r", "system": "net", "unit": "fraction", "where": "T", "images": "test", "rows": rows}
        file = file_with(classes=list("abcdefg"), data_set={"name": "D", "counts": {}}, reports=[report])
        assert not [f.says for f in audit.audit(file) if f.verdict == "inconsistent"], seed


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_scikit_learns_own_reports_are_possible(digits):
    for seed in range(40):
        file = drawn_papers.scikit_learn_file(drawn_papers.draw_counts(np.random.default_rng(seed)), digits)
        found = [f for f in audit.audit(file) if f.check == "classification report"]
        assert [f.verdict for f in found] == ["consistent"], seed


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.sampled_from(drawn_papers.ROUNDINGS), st.integers(2, 300))
def test_the_true_total_of_a_row_is_among_those_found(seed, decimals, rounding, total):
    rng = np.random.default_rng(seed)
    row = rng.multinomial(total, rng.dirichlet(np.ones(7)))
    texts = [drawn_papers.write(100 * n / total, decimals, rounding) for n in row]
    ways = [counts.totals(tuple(bounds(text, "percent", r) for text in texts), 400) for r in ROUNDINGS]
    assert any(total in own for own in ways)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.data())
def test_a_true_accuracy_is_a_whole_number_of_images(n_images, data):
    hits = data.draw(st.integers(0, n_images))
    text = drawn_papers.write(
        100 * hits / n_images, data.draw(st.integers(0, 4)), data.draw(st.sampled_from(drawn_papers.ROUNDINGS))
    )
    assert any(counts.accuracy_is_possible(bounds(text, "percent", r), n_images) for r in ROUNDINGS)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6))
def test_the_bounds_on_loss_and_auc_hold_for_real_predictions(seed):
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(7), rng.integers(0, 7, 60)]
    probabilities = rng.dirichlet(np.full(7, rng.choice([0.05, 0.5, 5])), len(labels))
    probabilities[np.arange(len(labels)), labels] += rng.choice([0, 1, 5])
    probabilities /= probabilities.sum(1, keepdims=True)
    probabilities = np.clip(probabilities, metrics.CLIP, 1)
    loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
    accuracy = np.mean(probabilities.argmax(1) == labels)
    value = Fraction(float(loss)), Fraction(float(loss))
    assert accuracy >= metrics.accuracy_at_least(value) - 1e-12
    assert loss <= metrics.loss_at_most((Fraction(float(accuracy)),) * 2, 7) + 1e-9
    matrix = np.zeros((7, 7))
    np.add.at(matrix, (labels, probabilities.argmax(1)), 1)
    hard = np.eye(7)[probabilities.argmax(1)]
    found = metrics.auc_of_hard_labels(matrix)
    assert found["macro one-vs-rest"] == pytest.approx(roc_auc_score(labels, hard, multi_class="ovr"))
    assert found["one-vs-one"] == pytest.approx(roc_auc_score(labels, hard, multi_class="ovo"))
    assert found["micro"] == pytest.approx(roc_auc_score(np.eye(7)[labels].ravel(), hard.ravel()))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.sampled_from(drawn_papers.ROUNDINGS))
def test_the_precision_of_a_true_matrix_is_within_its_bounds(seed, decimals, rounding):
    matrix = drawn_papers.draw_counts(np.random.default_rng(seed), 5)
    sizes = matrix.sum(1)
    share = 100 * matrix / np.maximum(sizes, 1)[:, None]
    cells = [[bounds(drawn_papers.write(v, decimals, rounding), "percent", "rounded") for v in row] for row in share]
    if rounding == drawn_papers.ROUNDINGS[2]:
        cells = [[bounds(drawn_papers.write(v, decimals, rounding), "percent", "cut") for v in row] for row in share]
    true = np.diag(matrix) / np.maximum(matrix.sum(0), 1)
    for (low, high), value in zip(metrics.precisions(cells, sizes.tolist()), true):
        assert float(low) - 1e-9 <= value <= float(high) + 1e-9


def file_with(**parts) -> ClaimsFile:
    """A file about classes a and b with 10 images each, of one run."""
    counts_ = {"test": {"a": "10", "b": "10"}}
    base = {"paper": "p", "reference": {}, "systems": {"net": "n"}, "classes": ["a", "b"], "runs": "one", "claims": []}
    return msgspec.convert(base | {"data_set": {"name": "D", "counts": counts_}} | parts, ClaimsFile)


ACCURACY = {"id": "acc", "system": "net", "metric": "accuracy", "unit": "fraction", "where": "T", "images": "test"}
MATRIX = {"id": "m", "system": "net", "unit": "percent", "where": "T", "columns": ["a", "b"], "images": "test"}


@pytest.mark.parametrize(
    "parts",
    [
        # of training images, beside a test accuracy
        {
            "claims": [ACCURACY | {"value": "0.60"}],
            "matrices": [MATRIX | {"images": "training", "rows": {"a": ["80.0", "20.0"], "b": ["20.0", "80.0"]}}],
        },
        # shares of all images, whose diagonal adds up to the accuracy
        {
            "claims": [ACCURACY | {"value": "0.80"}],
            "matrices": [MATRIX | {"rows": {"a": ["40.0", "10.0"], "b": ["10.0", "40.0"]}}],
        },
        # shares of columns, of which one was never predicted
        {"matrices": [MATRIX | {"rows": {"a": ["50.0", "0.0"], "b": ["50.0", "0.0"]}}]},
        # one column printed
        {"matrices": [MATRIX | {"columns": ["a"], "rows": {"a": ["80.0"], "b": ["20.0"]}}]},
        # averages of different kinds
        {
            "claims": [
                ACCURACY | {"id": metric, "metric": metric, "value": value, "average": average}
                for metric, value, average in (
                    ("precision", "0.60", "macro"),
                    ("recall", "0.55", "macro"),
                    ("f1", "0.70", "weighted"),
                )
            ]
        },
    ],
)
def test_what_other_readings_allow_is_not_inconsistent(parts):
    assert "inconsistent" not in {f.verdict for f in audit.audit(file_with(**parts))}


def test_a_matrix_that_no_class_sizes_reconcile_with_the_accuracy():
    rows = {"a": ["80.0", "20.0"], "b": ["30.0", "70.0"]}
    file = file_with(claims=[ACCURACY | {"value": "0.90"}], matrices=[MATRIX | {"rows": rows}])
    found = [f for f in audit.audit(file) if f.check == "agreement"]
    assert [f.verdict for f in found] == ["inconsistent"] and "whatever the sizes" in found[0].evidence


@pytest.mark.parametrize(("kind", "verdict"), [("highest", "inconsistent"), ("lowest", "consistent")])
def test_a_system_that_is_said_to_be_ahead(kind, verdict):
    claims_ = [ACCURACY | {"id": "other", "system": "net_2", "value": "0.9"}, ACCURACY | {"value": "0.50"}]
    said = {"id": "s", "kind": kind, "says": "x", "where": "T", "about": ["acc", "other"], "of": "net"}
    systems = {"net": "n", "net_2": "m"}
    file = file_with(systems=systems, claims=claims_, statements=[said | {"metrics": ["accuracy"]}])
    assert [f.verdict for f in audit.audit(file) if f.check == "statements"] == [verdict]


SYSTEMS = {
    "systems": {"net": "n", "net_2": "m"},
    "claims": [
        ACCURACY | {"value": "0.90"},
        ACCURACY | {"id": "other", "system": "net_2", "value": "0.80"},
        ACCURACY | {"id": "recall_a", "metric": "recall", "average": "a", "value": "0.70"},
        ACCURACY | {"id": "recall_b", "metric": "recall", "average": "b", "value": "0.95"},
    ],
}
BOTH, RECALLS = {"about": ["acc", "other"], "metrics": ["accuracy"]}, {"about": ["recall_a", "recall_b"]}
RECALLS |= {"metrics": ["recall"], "kind": "range"}


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (RECALLS | {"low": "70", "high": "95"}, "consistent"),
        (RECALLS | {"low": "0.70", "high": "0.95", "unit": "fraction"}, "consistent"),
        (RECALLS | {"low": "75", "high": "95"}, "inconsistent"),
        (RECALLS | {"low": "75", "high": "95", "but_for": ["a"]}, "consistent"),
        (BOTH | {"kind": "margin", "of": "net", "low": "10"}, "consistent"),
        (BOTH | {"kind": "margin", "of": "net", "low": "12"}, "inconsistent"),
        (BOTH | {"kind": "margin", "of": "net", "low": "2", "high": "3"}, "inconsistent"),
        (BOTH | {"kind": "ranking", "order": ["net", "net_2"]}, "consistent"),
        (BOTH | {"kind": "ranking", "order": ["net_2", "net"]}, "inconsistent"),
        ({"kind": "split", "parts": ["16", "4"], "shares": ["80", "20"]}, "consistent"),
        ({"kind": "split", "parts": ["16", "2"], "shares": ["80", "20"]}, "consistent only if"),
        ({"kind": "image_size", "pixels": ["48"]}, "consistent"),
        ({"kind": "image_size", "pixels": ["64"]}, "consistent only if"),
        (RECALLS | {"high": "90"}, "inconsistent"),
        (RECALLS | {"high": "95"}, "consistent"),
        ({"kind": "contradiction"}, "warning"),
    ],
)
def test_statements_are_held_against_the_numbers(said, verdict):
    data_set = {"name": "D", "counts": {"test": {"a": "10", "b": "10"}}, "image_size": "48"}
    said = {"id": "s", "says": "x", "where": "T"} | said
    file = file_with(**SYSTEMS, statements=[said], data_set=data_set)
    assert [f.verdict for f in audit.audit(file) if "s" in f.about] == [verdict]


def test_a_split_names_the_whole_that_it_is_a_share_of():
    said = {"id": "s", "kind": "split", "says": "x", "where": "T", "parts": ["16", "2"], "shares": ["80", "20"]}
    [found] = [f for f in audit.audit(file_with(statements=[said])) if "s" in f.about]
    assert "16 are 80 per cent of test" in found.evidence


def test_an_accuracy_of_a_part_that_nobody_names():
    """7 of 9 images: neither of 20, nor of a fifth or a tenth; 3 of 4 is of a fifth."""
    unnamed = [ACCURACY | {"value": "0.78"}], [ACCURACY | {"value": "0.750"}]
    data_set = {"name": "D", "counts": {"test": {"a": "11", "b": "10"}}}
    first, second = (
        [f for f in audit.audit(file_with(claims=own, data_set=data_set)) if f.check == "granularity"]
        for own in unnamed
    )
    assert first[0].verdict == second[0].verdict == "consistent only if"
    assert "fifth" not in first[0].condition and "a fifth of test" in second[0].condition


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({}, "inconsistent"),
        ({"epoch": "3"}, "inconsistent"),  # the last that is named
        ({"epoch": "2"}, "consistent only if"),
        ({"usage": "PrivateTest"}, "consistent only if"),
    ],
)
def test_a_number_that_alone_says_of_what_it_is_need_not_be_of_the_report(said, verdict):
    row = {"precision": "0.80", "recall": "0.80", "f1": "0.80", "support": "10"}
    report = {
        "id": "r",
        "system": "net",
        "unit": "fraction",
        "where": "T",
        "images": "test",
        "rows": {"a": row, "b": row},
    }
    others = [ACCURACY | {"id": "last", "value": "0.80", "epoch": "3"}] * ("epoch" in said)
    file = file_with(claims=[ACCURACY | {"value": "0.60"} | said, *others], reports=[report])
    [found] = [f for f in audit.audit(file) if f.check == "agreement" and "acc" in f.about]
    assert found.verdict == verdict


# Power


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("one cell", 18),
        ("one average", 18),
        ("accuracy", 19),
        ("whole rows", 19),
        ("one support", 20),
        ("accuracy claim", 20),
        ("matrix cell", 17),
    ],
)
def test_tampering_is_found(kind, least):
    caught = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        file = drawn_papers.file_of([drawn_papers.draw_counts(rng, 7)], rng, whole=True)
        found = audit.audit(drawn_papers.tampered(file, kind, rng))
        caught += any(f.verdict == "inconsistent" for f in found)
    assert caught >= least


def test_names_change_no_finding():
    """Renaming papers, systems and classes leaves verdicts as they are."""
    file = claims.load("resnet50v2_vit")
    text = msgspec.json.encode(file).decode()
    for old, new in (("happy", "klasse"), ("disgust", "autre"), ("vit", "modell_a"), ("resnet50v2", "modell_b")):
        text = text.replace(old, new)
    renamed = msgspec.json.decode(text, type=ClaimsFile)
    assert [f.verdict for f in audit.audit(renamed)] == [f.verdict for f in audit.audit(file)]


# Single checks


def test_a_matrix_in_counts_of_its_own_rows():
    row = tuple(
        bounds(text, "percent", "rounded") for text in ("83.08", "3.08", "1.54", "3.08", "4.62", "3.08", "1.54")
    )
    assert list(counts.totals(row, 200)) == [65, 130, 195]


def small_file(**items) -> ClaimsFile:
    """One network on two classes of no known sizes, with these items."""
    file = {
        "paper": "mine", "reference": {}, "classes": ["a", "b"], "systems": {"net": "a network"}, "claims": [],
        "data_set": {"name": "Mine", "counts": {}},
    }  # fmt: skip
    return msgspec.convert(file | items, ClaimsFile)


def claim(name, value, metric="accuracy", **fields) -> dict:
    given = {"id": name, "system": "net", "metric": metric, "value": value, "unit": "fraction", "where": "4"}
    return given | fields


@pytest.mark.parametrize("n_images", [3589, 7178, 35887])
def test_numbers_at_full_precision_are_what_keras_prints(n_images):
    """float32 as float64, its per cent, six decimals of it, and float64: every true one passes, and a hit more or less
    is none of them."""
    rng = np.random.default_rng(n_images)
    for hits in map(int, rng.integers(1, n_images, 200)):
        single, double = np.float32(hits) / np.float32(n_images), hits / n_images
        printed = [
            (repr(float(single)), "fraction"), (f"{single:.6f}", "fraction"), (f"{single:.7f}", "fraction"),
            (repr(float(single * np.float32(100))), "percent"), (repr(100 * double), "percent"),
            (repr(double), "fraction"),
        ]  # fmt: skip
        for value, unit in printed:
            if "e" not in value:
                assert counts.accuracy_is_possible(bounds(value, unit, "rounded"), n_images), value
        wrong = (hits + 0.3) / n_images
        assert not counts.accuracy_is_possible(bounds(repr(wrong), "fraction", "rounded"), n_images)


def test_a_number_of_keras_is_of_one_run():
    file = small_file(runs="one", claims=[claim("accuracy", "0.26469770073890686", n_images="7178")])
    [found] = [finding for finding in audit.audit(file) if finding.check == "granularity"]
    assert found.verdict == "consistent"


def test_the_sizes_of_a_set_are_asked_for_however_large_they_are():
    """30,000 images of a class are more than the search over all totals reaches."""
    rows = {"a": ["95.003", "4.997"], "b": ["14.140", "85.860"]}
    file = small_file(
        runs="one",
        data_set={
            "name": "Mine",
            "counts": {"test": {"a": "30000", "b": "30000"}, "other": {"a": "30001", "b": "777"}},
        },
        matrices=[{"id": "fig", "system": "net", "unit": "percent", "where": "4", "columns": ["a", "b"], "rows": rows}],
    )
    [found] = [finding for finding in audit.audit(file) if finding.check == "confusion matrix"]
    assert found.verdict == "consistent" and "The class counts of test give every share" in found.says


def test_supports_of_a_thousand_million_are_audited_at_once_and_the_rest_is_said():
    row = {"precision": "0.63", "recall": "0.61", "f1": "0.62"}
    rows = {"a": row | {"support": "1000000000"}, "b": row | {"support": "7"}}
    file = small_file(reports=[{"id": "r", "system": "net", "unit": "fraction", "where": "T", "rows": rows}])
    said = [finding.uncompared for finding in audit.audit(file) if finding.check == "classification report"]
    assert any("1,000,000,007 images are too many to search" in text for text in said)


def test_a_line_of_too_many_even_stretches_is_said_not_to_be_checked():
    values = [f"{1 + 0.01 * (n // 100 % 2) * (n % 100):.2f}" for n in range(20_000)]
    curve = {"id": "c", "system": "net", "where": "F", "validation_loss": values}
    [found] = [finding for finding in audit.audit(small_file(curves=[curve])) if finding.verdict == "not applicable"]
    assert "20,000 values have too many even stretches" in found.uncompared


def test_the_plainest_reading_of_a_macro_f1_needs_no_condition():
    values = [claim(m, v, m, average="macro") for m, v in (("precision", ".63"), ("recall", ".61"), ("f1", ".58"))]
    [found] = [finding for finding in audit.audit(small_file(claims=values)) if finding.check == "identities"]
    assert found.verdict == "consistent"


def test_a_matrix_of_training_images_is_not_held_against_one_of_test_images():
    rows = {"a": ["95.1", "4.9"], "b": ["14.3", "85.7"]}, {"a": ["60.0", "40.0"], "b": ["33.3", "66.7"]}
    matrices = [
        {
            "id": name,
            "system": "net",
            "unit": "percent",
            "where": "4",
            "columns": ["a", "b"],
            "images": name,
            "rows": own,
        }
        for name, own in zip(("training", "test"), rows)
    ]
    assert not [finding for finding in audit.audit(small_file(matrices=matrices)) if finding.check == "two matrices"]


@pytest.mark.parametrize(
    ("recall", "warns"), [(("0.80", "0.75", "0.70", "0.61"), False), (("0.78", "0.73", "0.68", "0.59"), True)]
)
def test_equal_metrics_are_no_suspicious_offsets(recall, warns):
    """Accuracy and weighted recall are one number: what both differ from F1 by is one coincidence, not two."""
    columns = {"accuracy": ("0.80", "0.75", "0.70", "0.61"), "recall": recall, "f1": ("0.70", "0.65", "0.60", "0.51")}
    printed = [
        claim(
            f"{system}_{metric}", value, metric, system=system, average="none" if metric == "accuracy" else "weighted"
        )
        for metric, values in columns.items()
        for system, value in zip("wxyz", values)
    ]
    file = small_file(systems=dict.fromkeys("wxyz", "a network"), claims=printed)
    assert any(finding.check == "curves" for finding in audit.audit(file)) == warns


def test_a_long_straight_line_is_found_at_once():
    """Its search once grew with the fourth power of the length: 120 values took 22 seconds."""
    values = [f"{0.5 + 0.03 * epoch:.2f}" for epoch in range(400)]
    assert metrics.longest_straight_line(values)[:3] == (0, 399, Fraction(3, 100))


def test_a_mean_of_one_vs_rest_accuracies_is_no_reading_of_a_low_number():
    """Errors cannot exceed images: over seven classes such a mean is at least 1 − 2/7."""
    for value, possible in (("32.97", False), ("71.4", True), ("71.3", False), ("99.19", True)):
        found = counts.errors_are_possible(bounds(value, "percent", "rounded"), 3589, 7)
        assert found == possible, value


def test_a_matrix_of_classes_whose_sizes_nobody_knows_still_bounds_the_accuracy():
    rows = {"a": ["95", "5"], "b": ["14", "86"]}
    file = small_file(
        claims=[claim("within", ".896"), claim("above", ".961")],
        matrices=[{"id": "fig", "system": "net", "unit": "percent", "where": "4", "columns": ["a", "b"], "rows": rows}],
    )
    found = {finding.about[0]: finding for finding in audit.audit(file) if finding.check == "agreement"}
    assert found["within"].verdict == "consistent" and found["above"].verdict == "consistent only if"
    for finding in found.values():
        assert "the matrix gives ;" not in finding.evidence


def test_smooth_noise_is_no_straight_line():
    rng = np.random.default_rng(0)
    for _ in range(200):
        seconds = [f"{55 + value:.2f}" for value in np.cumsum(0.2 + rng.normal(0, 0.1, 30))]
        assert metrics.longest_straight_line(seconds)[3] < curves.SURPRISE
    assert metrics.longest_straight_line(["1.10", "1.29", "1.48", "1.67", "1.86", "2.05", "2.24", "2.43"])[3] > 5


def test_a_curve_of_unequal_columns_is_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "paper: a\nreference: {title: A}\nsystems: {net: a net}\nclaims: []\n"
        "curves:\n  - {id: c, system: net, where: T, training_loss: [1.0, 0.5], seconds: [1]}\n"
    )
    with pytest.raises(Exception, match="line 6, c: the columns of a curve have one value an epoch"):
        claims.read(path)
    assert Curve(id="c", system="net", where="T", seconds=["1"]).columns() == {"seconds": ["1"]}


# The command


def test_the_command_says_a_paragraph_a_paper_and_writes_the_table(tmp_path):
    done = command("audit", "--out", str(tmp_path))
    assert done.returncode == 0 and "resnet50v2_vit: 17 consistent only if" in done.stdout
    assert len((tmp_path / "audit.csv").read_text().splitlines()) > 50
    assert "together 431" in (tmp_path / "audit.md").read_text()
    assert command("audit", "cnn_13_epochs", "--strict", check=False).returncode == 1
    assert command("audit", "resnet50v2_vit", "--strict").returncode == 0
    unknown = command("audit", "nothing", check=False)
    assert unknown.returncode == 1 and "There is no claims file nothing" in unknown.stderr
    verbose = command("audit", "resnet50v2_vit", "--verbose").stdout
    assert "only if it is about images that are none of FER2013's named sets" in verbose


def test_the_committed_table_is_what_the_audit_says():
    with (ROOT / "results" / "tables" / "audit.csv").open(newline="") as file:
        committed = list(csv.DictReader(file))
    papers = sorted(path.stem for path in claims.FOLDER.glob("*.yaml"))
    assert committed == [
        row for paper in papers for row in audit.rows(claims.load(paper), audit.audit(claims.load(paper)))
    ]


def test_a_strangers_paper_from_another_field(tmp_path):
    path = tmp_path / "iris.yaml"
    path.write_text(
        json.dumps(
            {
                "paper": "iris",
                "reference": {"title": "A paper on irises"},
                "classes": ["setosa", "versicolor", "virginica"],
                "data_set": {
                    "name": "Iris",
                    "counts": {"test": {"setosa": "10", "versicolor": "9", "virginica": "11"}},
                },
                "systems": {"tree": "a decision tree"},
                "runs": "one",
                "claims": [
                    {
                        "id": "accuracy",
                        "system": "tree",
                        "metric": "accuracy",
                        "value": "95.4",
                        "unit": "percent",
                        "n_images": "30",
                        "where": "Table 1",
                    }
                ],
            }
        )
    )
    done = command("audit", str(path), "--verbose")
    assert "about: accuracy (granularity; other numbers)" in done.stdout
    assert "95.4 % is no whole number of hits on 30 images" in done.stdout
