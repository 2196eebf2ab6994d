"""The arrows between modules, drawn from their imports: none runs in a circle, and none runs upwards."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("fer_common", "reproductions")

# From the top down, as docs/design.md has it; a module may import what stands below it or beside it.
FLOORS = [
    ["fer_common.cli"],
    ["fer_common.score"],
    ["fer_common.sweep"],
    ["fer_common.report"],
    ["reproductions"],
    ["fer_common.results.pages", "fer_common.results.figures", "fer_common.comparing"],
    ["fer_common.showing"],
    ["fer_common.results.explain"],
    ["fer_common.results.answers"],
    ["fer_common.results.render"],
    ["fer_common.results.tables"],
    ["fer_common.results.verdicts", "fer_common.results.prices"],
    ["fer_common.results.measure"],
    ["fer_common.results.image_sets", "fer_common.results.groups"],
    ["fer_common.results"],
    ["fer_common.experiment"],
    ["fer_common.vouch", "fer_common.audit"],
    ["fer_common.pictures", "fer_common.features", "fer_common.export"],
    ["fer_common.pipeline", "fer_common.provenance"],
    ["fer_common.protocols"],
    ["fer_common.listing"],
    ["fer_common.records", "fer_common.claims"],
    ["fer_common.evaluation", "fer_common.splits"],
    ["fer_common.data"],
    ["fer_common.batches", "fer_common.files", "fer_common.progress", "fer_common.plotting"],
    ["fer_common"],
]


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> set[str]:
    """The project's own modules that a module imports, anywhere in it but for type checkers."""
    found = set()

    class Visitor(ast.NodeVisitor):
        def visit_If(self, node):
            if "TYPE_CHECKING" not in ast.dump(node.test):
                self.generic_visit(node)

        def visit_Import(self, node):
            found.update(alias.name for alias in node.names)

        def visit_ImportFrom(self, node):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in known else node.module)

    Visitor().visit(ast.parse(path.read_text()))
    return found & set(known)


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    known = modules()
    return {name: imports_of(path, known) - {name} for name, path in known.items()}


def test_there_is_no_circle(arrows):
    TopologicalSorter(arrows).prepare()  # raises CycleError with the circle


def test_no_arrow_runs_upwards(arrows):
    def floor(module):
        return max(
            (len(name), number)
            for number, names in enumerate(FLOORS)
            for name in names
            if module == name or module.startswith(f"{name}.")
        )[1]

    upwards = [(a, b) for a, others in arrows.items() for b in others if floor(b) < floor(a)]
    assert not upwards


def test_training_and_results_know_nothing_of_each_other(arrows):
    """Nor does anything below know of the papers: the command line hands them down."""
    for module, others in arrows.items():
        if module.startswith("fer_common.experiment"):
            assert not any(other.startswith("fer_common.results") for other in others), module
        if module.startswith("fer_common.results"):
            assert not any(other.startswith("fer_common.experiment") for other in others), module
        if module.startswith("fer_common") and module != "fer_common.cli":
            assert not any(other.startswith("reproductions") for other in others), module
