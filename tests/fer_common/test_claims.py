"""Claims files: printed digits survive, every error is told with its line, and nothing a paper prints is missing."""

import json

import pytest

from fer_common import UserError, audit, claims
from tests.conftest import ROOT, command

TEXTS = {  # of papers whose text is at hand: its file, and where its results section begins and ends
    "cnn_13_epochs": ("002_1bb084239491745b.txt", "3.1 Experimental settings", None),
    "resnet50_xgboost": ("003_d756865b36491b0a.txt", "III. Results and Discussions", "REFERENCES"),
    "resnet50v2_vit": ("004_b4cbeff6e01c447a.txt", "4. Results and Discussion", "Conflict of interest"),
    "multitask_lightweight": ("000_97432055eba806c8.txt", "Experimental Insights", "REFERENCES"),
}
GOOD = """\
paper: example
reference: {title: An example}
systems: {net: a network}
claims:
  - {id: a, system: net, metric: accuracy, value: 83.20, unit: percent, where: Table 1}
"""


def read(tmp_path, text):
    path = tmp_path / "example.yaml"
    path.write_text(text)
    return claims.read(path)


def test_printed_decimals_survive(tmp_path):
    claim = read(tmp_path, GOOD).claims[0]
    assert claim.value == "83.20"
    assert (claim.number, claim.half_unit) == (pytest.approx(0.832), pytest.approx(0.00005))


def test_every_error_is_listed_with_its_line(tmp_path):
    text = GOOD.replace("accuracy", "acuracy").replace("83.20", "eighty").replace(", where: Table 1", "")
    text = text.replace("title:", "titel:") + "paper: again\n"
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    for sentence in (
        "example.yaml: 5 errors",
        "line 2, reference.titel: unknown key; expected one of title, authors",
        "line 5, claims[0].metric: 'acuracy' does not fit; expected one of accuracy, precision",
        "line 5, claims[0].value: 'eighty' does not fit; expected a number as printed",
        "line 5, claims[0]: missing where",
        "line 6, paper: the key is there twice",
    ):
        assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("system: net", "system: other"), "line 5, a: system other is not under systems"),
        (("metric: accuracy", "metric: log_loss"), "unit percent of log_loss"),
        (("where:", "average: macro, where:"), "average macro of accuracy"),
        (
            ("claims:\n", "claims:\n  - {id: a, system: net, metric: accuracy, value: 1, unit: fraction, where: x}\n"),
            "the id is there twice",
        ),
        (
            ("83.20, unit: percent", "83.20, unit: fraction"),
            "value: 83.20 in fraction; expected 0 to 1, or unit: percent",
        ),
        (("83.20", "-0.5"), "line 5, a: value: -0.5 in percent; expected 0 to 100"),
        (("83.20", "120"), "line 5, a: value: 120 in percent; expected 0 to 100"),
        (
            (
                "claims:",
                "matrices:\n  - {id: m, system: net, unit: percent, where: x, columns: [angry], rows: {angry: [467]}}\n"
                "claims:",
            ),
            "m: row angry: 467 in percent; expected 0 to 100; these look like counts: unit: count",
        ),
        (("83.20, unit: percent", "83, unit: count"), "line 5, a: unit count without n_images"),
        (
            ("83.20, unit: percent", "83, unit: count, n_images: 80"),
            "value: 83 of 80 images; hits cannot exceed images",
        ),
        (("claims:", "claims: ["), "not YAML"),
        (("systems: {net: a network}", "systems: [net]"), "line 3, systems: expected keys with values"),
        ((GOOD, ""), "is empty"),
    ],
)
def test_what_the_schema_cannot_say(change, sentence, tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, GOOD.replace(*change))
    assert sentence in str(error.value)


REPORT = """\
reports:
  - id: report
    system: net
    unit: fraction
    where: Table 2
    rows:
      angry: {precision: 0.5, recall: 0.5, f1: 0.5, support: 9.0}
      hapy: {precision: 0.5, recall: 0.5, f1: 0.5, support: 9}
      macro avg: {precision: 0.5, recall: 0.5, f1: 0.5, support: 18}
statements:
"""


def test_errors_of_keys_and_of_what_they_name_are_listed_together(tmp_path):
    """What cannot be read is no reason to keep the rest back."""
    text = GOOD.replace("An example", "An example, with a comma").replace("83.20", "eighty") + REPORT
    text += """\
  - {id: s1, kind: range, says: x, where: T, about: [report], metrics: [recall]}
  - {id: s2, kind: ranking, says: x, where: T, metrics: [accuracy]}
  - {id: s3, kind: highest, says: x, where: T, about: [reports, "3,589"], metrics: [recall], of: hapy}
  - {id: s4, kind: split, says: x, where: T, parts: [80, 20], shares: [80]}
  - {id: s5, kind: higest, says: x, where: T}
"""
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    for sentence in (
        "line 2, reference.with a comma: unknown key; expected one of title",
        "in {…} a comma begins a new key",
        "line 5, claims[0].value: 'eighty' does not fit",
        "line 7, report: row hapy is no class; happy is; expected one of angry",
        "line 7, report: row macro avg is no class; macro is; expected one of",
        "line 16, s1: a range needs low, high or both",
        "line 17, statements[1]: missing order",
        "line 18, s3: of hapy: neither class nor system; happy is; expected one of",
        "line 18, s3: about reports: neither an id of this file nor a numeral; report is; expected one of a, report",
        "line 19, s4: 2 parts and 1 shares",
        "line 20, statements[4]: 'higest' is no kind; expected one of highest, lowest",
    ):
        assert sentence in str(error.value), sentence
    assert "10 errors" in str(error.value)


def test_a_support_as_scikit_learn_prints_it_and_what_is_written_is_read_again(tmp_path):
    text = GOOD + REPORT.replace("hapy", "happy").replace("macro avg", "macro").replace("statements:\n", "")
    file = read(tmp_path, text)
    assert file.reports[0].rows["angry"].support == "9"
    said = claims.Highest(id="s", says="x", where="T", metrics=["recall"], of="angry", about=["report"])
    file.statements.append(said)
    (tmp_path / "example.yaml").write_text(claims.as_yaml(file))
    assert claims.read(tmp_path / "example.yaml") == file


def test_the_schema_is_printed():
    schema = json.loads(command("claims", "schema").stdout)
    assert schema["$defs"]["Claim"]["additionalProperties"] is False


def test_a_report_becomes_claims():
    found = {claim.id: claim for claim in claims.load("cnn_13_epochs").all_claims()}
    fear = found["fig2.fear.precision"]
    assert (fear.value, fear.average, fear.usage, fear.n_images) == ("0.72", "fear", "Training", "28709")
    assert found["fig2.accuracy"].value == "0.83"


@pytest.mark.parametrize("paper", TEXTS)
def test_no_numeral_of_the_results_is_missing(paper):
    name, start, end = TEXTS[paper]
    path = ROOT.parent / "shared" / "seeds" / name
    if not path.exists():
        pytest.skip("no text of the paper")
    text = path.read_text()
    found = set(claims.numerals(text[text.index(start) : end and text.index(end)]))
    assert found - claims.printed_numerals(claims.load(paper)) == set()


def test_a_paper_without_a_claims_file_and_a_file_of_another_name(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="example has no claims file: write reproductions/claims/example.yaml"):
        claims.load("example")
    (tmp_path / "other.yaml").write_text(GOOD)
    with pytest.raises(UserError, match="it says `paper: example`; it has to be other, the name of the file"):
        claims.load("other")
    (tmp_path / "example.yaml").write_text(GOOD)
    assert claims.load("example").paper == "example"


SMALL = GOOD.replace("claims:\n", "classes: [a, b]\ndata_set: {name: D, counts: {}}\nclaims:\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (SMALL + "? [a, b]\n: 1\n", "a key is one word, not a list"),
        ("[" * 3000, "is nested too deep"),
        (
            SMALL + "statements:\n  - {id: s, kind: split, says: x, where: T, parts: [0, 0], shares: [50, 50]}\n",
            "no images",
        ),
        (SMALL.replace("83.20", "0." + "1" * 5000), "does not fit; expected a number as printed"),
        (SMALL.replace("a network", '"\\x1b[31mred"'), "expected text without control characters"),
        (
            SMALL + "statements:\n  - {id: [1], kind: undefined, says: x, where: T}\n",
            "expected one value, found a list",
        ),
        (SMALL.replace("claims:\n", f"runs: {'9' * 5000}\nclaims:\n"), "does not fit; expected one, several"),
        (SMALL + "context: &a [*a]\n", "an alias (*)"),
        (SMALL + "#" * claims.LARGEST, "has more than 4,194,304 bytes; no paper prints so much"),
        (SMALL + "statements:\n  - 3\n", "missing kind; expected one of highest"),
    ],
)
def test_hostile_files_end_in_a_sentence(text, sentence, tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert sentence in str(error.value)


def test_a_curve_of_20_000_points_and_text_that_would_break_a_table(tmp_path):
    values = ", ".join(f"{1 + 0.5 * (n % 7) / 7:.3f}" for n in range(20_000))
    curve = f"curves:\n  - {{id: c, system: net, where: 'T | <b>', validation_loss: [{values}]}}\n"
    file = read(tmp_path, SMALL + curve)
    found = audit.audit(file)
    assert any(finding.about == ("c",) for finding in found)
    audit.write(audit.rows(file, found), tmp_path)
    table = (tmp_path / "audit.md").read_text()
    assert "T \\| &lt;b>" in table and "<b>" not in table
