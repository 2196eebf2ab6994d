"""What is true of every paper: where its values come from, what it is called, and what is claimed of its systems."""

import dataclasses

import pytest

from fer_common import claims
from reproductions import PAPERS, load

every_paper = pytest.mark.parametrize("paper", PAPERS)


@every_paper
def test_every_value_says_where_it_comes_from(paper):
    """A mark and a note, which the help, the record and the pages print."""
    silent = [
        f"{paper}.{type(setup).__name__}.{field.name}"
        for setup in load(paper).systems.values()
        for field in dataclasses.fields(setup)
        if field.metadata.get("mark") not in ("stated", "inferred", "assumed")
        or len(field.metadata.get("note", "")) < 3
    ]
    assert not silent, f"made without `stated`, `inferred` or `assumed`, or without a note: {', '.join(silent)}"


@every_paper
def test_its_name_is_that_of_its_script_and_its_smaller_setups_are_its_own(paper):
    own = load(paper)
    assert own.id == paper
    fields = {system: {field.name for field in dataclasses.fields(setup)} for system, setup in own.systems.items()}
    assert own.smoke.keys() <= set().union(*fields.values())
    assert set(own.later_stages) < set(own.systems)
    for system, smaller in own.reduced.items():
        assert smaller.keys() <= fields[system], system


@every_paper
def test_its_claims_are_about_its_systems(paper):
    own, file = load(paper), claims.load(paper)
    not_run = {name for name, what in file.systems.items() if "not run" in what}
    assert set(file.systems) - not_run == set(own.systems)
    assert {reading for names in file.readings.values() for reading in names} <= set(own.systems)


def test_there_is_no_claims_file_without_a_paper():
    assert {path.stem for path in claims.FOLDER.glob("*.yaml")} == set(PAPERS)
