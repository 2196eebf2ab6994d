"""What arithmetic can prove of a paper's items together: each was missed once, or wrongly called."""

import time

import msgspec
import numpy as np
import pytest

from fer_common import audit
from fer_common.audit import counts, parts
from fer_common.audit.checks import reports
from fer_common.audit.finding import Finding
from fer_common.claims import ClaimsFile, fer2013
from tests import drawn_papers

SIZES = {"a": "40", "b": "60"}
FILE = {
    "paper": "mine", "reference": {}, "classes": ["a", "b"], "systems": {"net": "a network"}, "runs": "one",
    "claims": [], "data_set": {"name": "Mine", "counts": {"test": SIZES}},
}  # fmt: skip
COMMON = {"system": "net", "unit": "fraction", "images": "test"}
# 30 of 40 and 48 of 60 found; 42 and 58 called: accuracy .78
ROWS = {
    "a": {"precision": "0.714", "recall": "0.750", "f1": "0.732", "support": "40"},
    "b": {"precision": "0.828", "recall": "0.800", "f1": "0.814", "support": "60"},
    "accuracy": {"accuracy": "0.780", "support": "100"},
    "macro": {"precision": "0.771", "recall": "0.775", "f1": "0.773", "support": "100"},
    "weighted": {"precision": "0.782", "recall": "0.780", "f1": "0.781", "support": "100"},
}
REPORT = COMMON | {"id": "report", "where": "Table 1", "rows": ROWS}
CELLS = {"a": ["30", "10"], "b": ["12", "48"]}
MATRIX = COMMON | {"id": "matrix", "unit": "count", "where": "Fig. 1", "columns": ["a", "b"], "rows": CELLS}


def claim(value, metric="accuracy", **fields) -> dict:
    return COMMON | {"id": f"{metric}_{len(fields)}", "metric": metric, "value": value, "where": "4"} | fields


def found(check: str | None = None, **items) -> list[Finding]:
    file = msgspec.convert(FILE | items, ClaimsFile)
    return [finding for finding in audit.audit(file) if check in (None, finding.check)]


def verdicts(check: str | None = None, **items) -> set[str]:
    return {finding.verdict for finding in found(check, **items)}


def changed(rows: dict, label: str, **fields) -> dict:
    return rows | {label: rows[label] | fields}


def test_the_true_paper_is_consistent():
    own = [claim("0.78"), claim("0.775", "recall", average="macro"), claim("78", unit="count", n_images="100")]
    assert verdicts(claims=own, reports=[REPORT], matrices=[MATRIX]) == {"consistent"}


def test_supports_that_do_not_add_up_to_the_printed_total():
    rows = {k: row | {"support": "110"} if k in ("accuracy", "macro", "weighted") else row for k, row in ROWS.items()}
    [finding] = found("classification report", reports=[REPORT | {"rows": rows}])
    assert finding.verdict == "inconsistent"
    assert "the supports add up to 100 images; printed in all are 110" in finding.says
    # two totals that differ
    [finding] = found("classification report", reports=[REPORT | {"rows": changed(ROWS, "macro", support="99")}])
    assert finding.verdict == "inconsistent" and "100 (accuracy), 99 (macro)" in finding.says


def test_a_finding_says_what_it_could_not_compare():
    rows = {label: row for label, row in ROWS.items() if label != "a"}
    [finding] = found("classification report", reports=[REPORT | {"rows": rows}])
    assert finding.verdict == "consistent" and "a is not printed" in finding.uncompared
    rows = {label: row for label, row in ROWS.items() if label in "ab"}
    [finding] = found("classification report", reports=[REPORT | {"rows": rows}])
    assert "none is printed" in finding.uncompared


@pytest.mark.parametrize(
    ("moved", "fields"),
    [
        ("0.80", {}),
        ("0.785", {}),  # no whole number of hits within .780
        ("0.79", {"metric": "recall", "average": "weighted"}),
        ("0.70", {"metric": "precision", "average": "macro"}),
        ("0.70", {"metric": "f1", "average": "a"}),
        ("0.77", {"metric": "recall", "average": "lowest"}),
        ("0.76", {"metric": "f1", "average": "micro"}),
    ],
)
def test_a_claim_against_the_report_of_the_same_system(moved, fields):
    own = claim(moved, fields.pop("metric", "accuracy"), **fields)
    assert "inconsistent" in verdicts("agreement", claims=[own], reports=[REPORT])
    # not of the same images, as far as anyone says, or of others
    assert verdicts("agreement", claims=[own | {"images": "unstated"}], reports=[REPORT]) == {"consistent only if"}
    assert verdicts("agreement", claims=[own | {"images": "training"}], reports=[REPORT]) == set()
    assert "inconsistent" in verdicts("agreement", claims=[own], matrices=[MATRIX])


@pytest.mark.parametrize("unit", ["count", "percent"])
def test_a_matrix_against_the_report(unit):
    matrix = MATRIX
    if unit == "percent":
        matrix = MATRIX | {"unit": "percent", "rows": {"a": ["75.0", "25.0"], "b": ["20.0", "80.0"]}}
    assert verdicts("matrix and report", matrices=[matrix], reports=[REPORT]) == {"consistent"}
    wrong = REPORT | {"rows": changed(ROWS, "b", precision="0.848")}
    [finding] = found("matrix and report", matrices=[matrix], reports=[wrong])
    assert finding.verdict == "inconsistent" and "precision of b is printed 0.848" in finding.says
    assert verdicts("matrix and report", matrices=[matrix | {"images": "unstated"}], reports=[wrong]) == {
        "consistent only if"
    }
    other = REPORT | {"rows": changed(changed(ROWS, "a", support="44"), "b", support="56")}
    assert verdicts("matrix and report", matrices=[matrix], reports=[other]) == {"inconsistent"}


def test_numbers_of_one_class_without_supports():
    own = [claim(value, metric, average="a") for metric, value in (("precision", ".61"), ("recall", ".65"))]
    assert verdicts("identities", claims=[*own, claim(".63", "f1", average="a")]) == {"consistent"}
    assert verdicts("identities", claims=[*own, claim(".99", "f1", average="a")]) == {"inconsistent"}


def test_statements_about_numbers_of_single_classes():
    own = [claim(v, "recall", average=k) | {"id": k} for k, v in (("a", ".61"), ("b", ".65"))]
    said = {"id": "s", "says": "x", "where": "T", "about": ["a", "b"], "metrics": ["recall"], "of": "a"}
    assert verdicts("statements", claims=own, statements=[said | {"kind": "highest"}]) == {"inconsistent"}
    assert verdicts("statements", claims=own, statements=[said | {"kind": "lowest"}]) == {"consistent"}
    assert verdicts("statements", statements=[said | {"kind": "lowest", "about": []}]) == {"not applicable"}


def test_a_report_without_a_column_of_supports():
    rows = {label: {k: v for k, v in row.items() if k != "support"} for label, row in ROWS.items()}
    [finding] = found("classification report", reports=[REPORT | {"rows": rows}])
    assert finding.verdict == "consistent" and "no supports are printed" in finding.uncompared
    for label, wrong in (("a", {"f1": "0.76"}), ("macro", {"recall": "0.79"}), ("weighted", {"precision": "0.84"})):
        [finding] = found("classification report", reports=[REPORT | {"rows": changed(rows, label, **wrong)}])
        assert finding.verdict == "inconsistent", label
    # the part that it is of is known
    official = {"Training": SIZES}
    data_set = {"name": "Mine", "counts": official}
    report = REPORT | {"rows": changed(rows, "a", recall="0.76"), "usage": "Training"}
    assert verdicts("classification report", data_set=data_set, reports=[report]) == {"inconsistent"}


def test_a_loss_beside_an_accuracy_without_epoch():
    loss = claim("0.05", "log_loss", unit="nats")
    assert verdicts("loss", claims=[loss, claim("0.70")]) == {"consistent only if"}
    assert verdicts("loss", claims=[loss, claim("0.95")]) == {"consistent"}
    assert verdicts("loss", claims=[loss | {"where": "5"}, claim("0.70")]) == set()


def test_counts_can_be_entered():
    hits = claim("78", unit="count", n_images="100")
    assert verdicts("granularity", claims=[hits]) == {"consistent"}
    assert verdicts("agreement", claims=[hits | {"value": "79"}], reports=[REPORT]) == {"inconsistent"}
    ovr = [claim(v, "ovr_accuracy", average=k) | {"id": f"{k}{v}"} for k, v in (("a", "0.78"), ("b", "0.80"))]
    assert [f.verdict for f in found("agreement", claims=ovr, matrices=[MATRIX])] == ["consistent", "inconsistent"]
    of_class = claim("0.755", "recall", average="a", n_images="40")
    assert verdicts("granularity", claims=[of_class]) == {"inconsistent"}


def test_a_matrix_with_a_column_of_images_without_an_answer():
    rows = {"a": ["70.0", "20.0", "10.0"], "b": ["20.0", "75.0", "5.0"]}
    matrix = MATRIX | {"unit": "percent", "columns": ["a", "b", "no face"], "rows": rows, "unanswered": "no face"}
    assert "inconsistent" not in verdicts(matrices=[matrix])
    hidden = matrix | {"columns": ["a", "b"], "rows": {k: row[:2] for k, row in rows.items()}}
    assert "inconsistent" not in verdicts(matrices=[hidden])
    assert "inconsistent" in verdicts(matrices=[hidden | {"unanswered": None}])


def test_rounded_twice_is_a_reading_and_says_so():
    """.875486 → .8755 → .876"""
    own = claim("0.876", n_images="257")  # 225 of 257 are .875486
    [finding] = found("granularity", claims=[own])
    assert finding.verdict == "consistent only if" and "rounded twice" in finding.condition
    assert verdicts("granularity", claims=[own | {"n_images": "9"}]) == {"inconsistent"}


def test_means_over_three_runs_are_whole_numbers_of_three_times_the_images():
    for value, verdict in (("0.7767", "consistent"), ("0.7762", "inconsistent")):
        assert verdicts("granularity", claims=[claim(value, n_images="100")], runs="3") == {verdict}
    rows = changed(ROWS, "a", recall="0.758")  # 91 of 120
    assert verdicts("classification report", reports=[REPORT | {"rows": rows}], runs="3") != {"inconsistent"}
    rows = changed(ROWS, "a", recall="0.754")
    assert verdicts("classification report", reports=[REPORT | {"rows": rows}], runs="3") == {"inconsistent"}


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        ({"a": ["71.43", "17.24"], "b": ["28.57", "82.76"]}, "consistent"),  # of columns of 42 and 58
        ({"a": ["30.0", "10.0"], "b": ["12.0", "48.0"]}, "consistent"),  # of all 100
        ({"a": ["71.4286", "17.2411"], "b": ["28.5714", "82.7589"]}, "consistent only if"),
    ],
)
def test_whole_numbers_behind_columns_and_totals(rows, verdict):
    matrix = MATRIX | {"unit": "percent", "rows": rows}
    assert verdicts("confusion matrix", matrices=[matrix]) == {verdict}


def test_a_system_that_is_better_by_one_table_and_worse_by_another():
    matrices = [
        MATRIX | {"id": name, "system": name, "unit": "percent", "rows": {"a": [p, q], "b": ["5.0", "95.0"]}}
        for name, p, q in (("x", "70.0", "30.0"), ("y", "75.0", "25.0"))
    ]
    own = [claim(value, system=name) | {"id": f"of_{name}"} for name, value in (("x", "0.82"), ("y", "0.80"))]
    systems = {"x": "one", "y": "another"}
    turned = [f for f in found("statements", systems=systems, matrices=matrices, claims=own) if "ahead" in f.says]
    assert [f.verdict for f in turned] == ["consistent only if"]
    assert set(turned[0].about) == {"of_x", "of_y", "x", "y"}


# Which images


def test_classes_that_were_repeated_before_the_split():
    """25,170 = 40 % of seven times 8,989, which a Hugging Face card reports on; and its images have copies."""
    empty = msgspec.convert({"paper": "x", "reference": {}, "systems": {}, "claims": []}, ClaimsFile)
    sets = parts.named_sets(empty)
    [part] = parts.by_class([3596] * 5 + [3595] * 2, parts.balanced(sets))[0]
    assert (part.of, part.share, part.balanced) == ("all images", "40 %", 8989)
    # by drawing: every class repeated, two in five taken out, and asked for their copies among the rest
    rng, copies = np.random.default_rng(0), 0
    for n in map(int, fer2013().counts["all images"].values()):
        rows = np.r_[np.arange(n), rng.integers(0, n, 8989 - n)]
        taken = rng.random(8989) < 0.4
        copies += np.isin(rows[taken], rows[~taken]).sum()
    assert part.copies == pytest.approx(copies, rel=0.02)


@pytest.mark.parametrize(
    ("n_images", "fragment"),
    [
        ("2871", "a tenth of Training"),
        ("5742", "a fifth of Training"),
        ("25170", "40 % of all images with every class repeated to 8,989 images"),
        ("3829", "all images with every class cut to 547 images"),
    ],
)
def test_numbers_of_images_that_are_parts(n_images, fragment):
    own = claim("0.9", n_images=n_images)
    file = {name: value for name, value in FILE.items() if name not in ("classes", "data_set")}
    found_ = audit.audit(msgspec.convert(file | {"claims": [own]}, ClaimsFile))
    [finding] = [f for f in found_ if f.check == "sizes"]
    assert fragment in finding.condition


def test_a_full_precision_accuracy_prefers_the_merged_test_images():
    """What Keras prints of 1,901 hits among 7,178."""
    file = {name: value for name, value in FILE.items() if name not in ("classes", "data_set")}
    own = claim(repr(float(np.float32(1901 / 7178))))
    [finding] = [
        f for f in audit.audit(msgspec.convert(file | {"claims": [own]}, ClaimsFile)) if f.check == "granularity"
    ]
    assert finding.condition.startswith("it is of PublicTest + PrivateTest")


# Speed


@pytest.mark.parametrize("kept", [("precision",), ("recall",), ("f1",), ("precision", "recall", "f1")])
def test_a_long_search_is_bounded_and_says_so(kept):
    """Once minutes; the limit here is far above what it takes, and guards against that alone."""
    rng = np.random.default_rng(0)
    sizes = rng.multinomial(100_000, rng.dirichlet(np.full(20, 3.0)))
    shares = [rng.dirichlet(np.full(20, 0.7) + 20 * (np.arange(20) == k)) for k in range(20)]
    file = drawn_papers.scikit_learn_file(np.array([rng.multinomial(n, own) for n, own in zip(sizes, shares)]), 2)
    for row in file.reports[0].rows.values():
        for metric in {"precision", "recall", "f1"} - set(kept):
            setattr(row, metric, None)
    started = time.perf_counter()
    [finding] = [f for f in audit.audit(file) if f.check == "classification report"]
    assert finding.verdict == "consistent" and time.perf_counter() - started < 30
    assert ("too many to try" in finding.uncompared) == (kept in (("precision",), ("f1",)))


def test_intervals_hold_what_the_whole_search_finds(monkeypatch):
    """Where the search is too long, its totals are widened and never lost."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        matrix = drawn_papers.draw_counts(rng, 4)
        file = drawn_papers.scikit_learn_file(matrix, 2)
        own = reports.read(file, file.reports[0], "rounded")
        rows, options = list(own.rows.values()), list(own.options.values())
        exact = counts.hits_in_all(rows, options, int(matrix.sum()))
        monkeypatch.setattr(counts, "STEPS", 0)
        wider = counts.hits_in_all(rows, options, int(matrix.sum()))
        monkeypatch.undo()
        assert np.trace(matrix) in exact.every and wider.every is None
        assert wider.low <= exact.low and exact.high <= wider.high


def test_a_billion_images_are_no_search():
    rows = ROWS | {k: ROWS[k] | {"support": str(int(ROWS[k]["support"]) * 10**7)} for k in ROWS}
    started = time.perf_counter()
    assert verdicts("classification report", reports=[REPORT | {"rows": rows}]) == {"consistent"}
    assert time.perf_counter() - started < 30
