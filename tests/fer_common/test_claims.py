"""Claims files: printed digits survive, every error is told with its line, and nothing a paper prints is missing."""

import json

import pytest

from fer_common import UserError, claims
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
            "m: row angry: 467 in percent; expected 0 to 100; these look like counts",
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
