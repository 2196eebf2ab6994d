"""What every registered paper has: claims of its systems, a page with its blocks, a test, a row in docs/papers.md."""

import dataclasses
import re
import sys

import pytest

import reproductions
from fer_common import UserError, claims
from reproductions import PAPERS, load
from tests.conftest import ROOT


def test_every_script_is_registered():
    """A script that hands over a paper; what a paper keeps in a second module hands over none."""
    scripts = {path.stem for path in (ROOT / "reproductions").glob("*.py") if "\nPAPER =" in path.read_text()}
    assert scripts == set(PAPERS), "PAPERS in reproductions/__init__.py names every script, and no other"
    files = {path.stem for path in claims.FOLDER.glob("*.yaml")}
    assert files == set(PAPERS), "reproductions/claims holds a file a paper, and no other"


@pytest.mark.parametrize("name", PAPERS)
def test_claims_and_script_have_the_same_systems(name):
    """But for a system that is said not to be run."""
    file, systems = claims.load(name), set(load(name).systems)
    to_run = {system for system, what in file.systems.items() if "not run" not in what}
    assert to_run == systems, f"systems of reproductions/claims/{name}.yaml, and of reproductions/{name}.py"
    assert {reading for names in file.readings.values() for reading in names} <= systems


@pytest.mark.parametrize("name", PAPERS)
def test_its_page_says_where_it_comes_from_and_what_it_assumed(name):
    path = ROOT / "docs" / f"{name}.md"
    assert path.is_file(), "docs/adding_a_paper.md has a page to begin with"
    page = path.read_text()
    for file in (f"reproductions/{name}.py", f"reproductions/claims/{name}.yaml"):
        assert f"(../{file})" in page, f"{path.name} links to {file}"
    assert f"<!-- begin {name} values -->" in page, f"{path.name} holds the block `{name} values`"
    of_others = {other for other in PAPERS if other != name and f"<!-- begin {other} " in page}
    assert not of_others, f"{path.name} holds blocks of {of_others}"


@pytest.mark.parametrize("name", PAPERS)
def test_it_is_tested_and_listed(name):
    assert (ROOT / "tests" / "reproductions" / f"test_{name}.py").is_file()
    papers = (ROOT / "docs" / "papers.md").read_text()
    assert re.search(rf"^\| `{name}` \|", papers, re.MULTILINE), "docs/papers.md has a row a paper"


@pytest.mark.parametrize(
    ("registered", "script", "sentence"),
    [
        (False, "PAPER = None\n", r"mine_2020.py is not registered: add 'mine_2020' to PAPERS in"),
        (False, None, r"There is no paper 'mine_2020'; there is cnn_13_epochs, "),
        (True, None, r"PAPERS in reproductions/__init__.py names mine_2020, and there is no reproductions/mine_"),
        (True, "SETUP = 1\n", r"mine_2020.py hands over no `PAPER = experiment.Paper"),
        (True, "from reproductions.cnn_13_epochs import PAPER\n", r"the id of its PAPER is 'cnn_13_epochs'; it has to"),
        (
            True,
            "from fer_common.protocols import PROTOCOLS\nPAPER = PROTOCOLS['offical']\n",
            r"reproductions/mine_2020.py: There is no protocol 'offical'; near it: official",
        ),
    ],
)
def test_what_is_wrong_with_a_script_is_said(registered, script, sentence, tmp_path, monkeypatch):
    folder = tmp_path / "reproductions"
    folder.mkdir()
    if script:
        (folder / "mine_2020.py").write_text(f'"""Mine."""\n\n{script}')
    monkeypatch.setattr(reproductions, "__file__", str(folder / "__init__.py"))
    monkeypatch.setattr(reproductions, "__path__", [str(folder), *reproductions.__path__])
    if registered:
        monkeypatch.setattr(reproductions, "PAPERS", (*PAPERS, "mine_2020"))
    try:
        with pytest.raises(UserError, match=sentence):
            load("mine_2020")
    finally:
        sys.modules.pop("reproductions.mine_2020", None)


@pytest.mark.parametrize("name", PAPERS)
def test_every_value_says_where_it_comes_from(name):
    """A mark and a note, which the help, the record and the pages print."""
    silent = [
        f"{name}.{type(setup).__name__}.{field.name}"
        for setup in load(name).systems.values()
        for field in dataclasses.fields(setup)
        if field.metadata.get("mark") not in ("stated", "inferred", "assumed")
        or len(field.metadata.get("note", "")) < 3
    ]
    assert not silent, f"made without `stated`, `inferred` or `assumed`, or without a note: {', '.join(silent)}"


@pytest.mark.parametrize("name", PAPERS)
def test_its_name_is_that_of_its_script_and_its_smaller_setups_are_its_own(name):
    own = load(name)
    assert own.id == name
    fields = {system: {field.name for field in dataclasses.fields(setup)} for system, setup in own.systems.items()}
    assert own.smoke.keys() <= set().union(*fields.values())
    assert set(own.later_stages) < set(own.systems)
    for system, smaller in own.reduced.items():
        assert smaller.keys() <= fields[system], system
