"""The generated parts of README and docs are those that the committed tables, setups and benchmarks give."""

import dataclasses
import json
import runpy

import pandas as pd
import pytest

from fer_common import UserError, claims
from fer_common.cli import Papers
from fer_common.results import pages, render, tables
from reproductions import PAPERS
from tests.builders import predictions, put, record
from tests.conftest import ROOT


def test_pages_are_up_to_date():
    of_benchmarks = runpy.run_path(str(ROOT / "benchmarks" / "pages.py"))["blocks"](ROOT / "benchmarks")
    blocks = pages.make_blocks(ROOT, Papers().loaded) | of_benchmarks
    texts = {page.name: page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
    filled = {name: text for name, text in texts.items() if "<!-- begin" in text}
    assert len(filled) > 4
    for name, text in filled.items():
        assert pages.fill(text, blocks) == text, f"{name}: say `ferrepro docs`"
    for name in PAPERS:
        script = (ROOT / "reproductions" / f"{name}.py").read_text()
        assert f"\n\n{blocks[f'{name} docstring']}\n" in script, f"{name}.py: say `ferrepro docs`"


def test_a_script_without_a_place_for_its_cost_is_named(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text('"""Mine.\n\nCost and result: somewhere,\nsomehow.\n"""\n\nx = 1\n')
    pages.renew_script(script, "Cost and result:\n    none")
    assert script.read_text() == '"""Mine.\n\nCost and result:\n    none\n"""\n\nx = 1\n'
    script.write_text('"""Mine."""\n')
    with pytest.raises(UserError, match="mine.py: its docstring needs a paragraph"):
        pages.renew_script(script, "")


BLOCKS = {"audit": "", "mine claims": "all of them", "mine values": ""}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mine claim", "no generated block 'mine claim'; near it: mine claims."),
        ("mine pictures", "no generated block 'mine pictures'; there is mine claims, mine values."),
        ("yours claims", r"no generated block 'yours claims'; of papers there are those of mine \(PAPERS in"),
    ],
)
def test_a_block_that_nobody_makes_is_named_with_its_page(name, sentence, tmp_path):
    page = tmp_path / "mine.md"
    page.write_text(f"<!-- begin {name} -->\n<!-- end {name} -->\n")
    with pytest.raises(UserError, match=f"mine.md: There is {sentence}"):
        pages.renew(page, BLOCKS)
    assert page.read_text() == f"<!-- begin {name} -->\n<!-- end {name} -->\n"


def test_a_mark_without_its_fellow_is_named():
    """Such a block would stay empty for good."""
    with pytest.raises(UserError, match="<!-- begin mine claims --> stands alone"):
        pages.fill("<!-- begin mine claims -->\n<!-- end mine claim -->\n", BLOCKS)


def test_marks_inside_a_fence_are_an_example():
    block = "<!-- begin mine claims -->\n<!-- end mine claims -->\n"
    filled = "<!-- begin mine claims -->\nall of them\n<!-- end mine claims -->\n"
    fence = f"```\n{block}```\n"
    assert pages.fill(f"{fence}{block}{fence}", BLOCKS) == f"{fence}{filled}{fence}"


def test_an_empty_block_says_why_it_is_empty():
    findings = pd.DataFrame([{"paper": "mine", "verdict": "consistent", "about": "a", "evidence": "", "condition": ""}])
    assert pages.found_by_audit(findings, "mine") == "Nothing that could be checked is other than consistent."
    assert "`ferrepro audit --out results/tables` is due" in pages.found_by_audit(findings, "yours")
    file = claims.ClaimsFile(paper="mine", reference=claims.Reference(), systems={}, claims=[])
    assert pages.headlines(pd.DataFrame(), file) == "No claim of the paper is marked `headline: yes`."
    assert pages.statements(file) == "Its claims file holds no statements."


def test_a_script_needs_nothing_but_its_paper(tmp_path):
    """Neither SYSTEMS nor PROTOCOLS is asked of the module that it comes from."""
    paper = dataclasses.replace(Papers().loaded["cnn_13_epochs"], description="from nowhere")
    assert "cnn_13_epochs values" in pages.make_blocks(ROOT, {"cnn_13_epochs": paper})


def built(runs, paper, folder):
    render.write(tables.build(runs, [claims.load(paper)], {}), folder)
    return render.read(folder, pages.TABLES)


def cells_of(text):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")][2:]


def test_printed_epochs_stand_beside_the_mean_of_our_folds(tmp_path):
    losses = ((2.0, 1.5), (1.0, 0.5, 0.25))  # the second fold ran an epoch more, which has no mean
    for fold, own in enumerate(losses):
        made = record(paper="resnet50v2_vit", system="resnet50v2", fold=fold, preset="reduced", reduced={"epochs": 3})
        history = [
            {"epoch": n + 1, "running_loss": loss, "select_loss": 2 * loss, "seconds": 10.0 + fold}
            for n, loss in enumerate(own)
        ]
        put(tmp_path / "runs", made, predictions(fold, (0.6, 0.5, 0.5)), history)
    other = record(paper="resnet50v2_vit", system="resnet50v2", fold=0, init="tuned")  # which is no part of the mean
    put(
        tmp_path / "runs",
        other,
        predictions(0, (0.9, 0.9, 0.9)),
        [{"epoch": 1, "running_loss": 0.0, "select_loss": 0.0}],
    )
    read = built(tmp_path / "runs", "resnet50v2_vit", tmp_path / "tables")
    paper = Papers().loaded["resnet50v2_vit"]
    text = pages.epoch_by_epoch(read["runs"], read["epochs"], paper, claims.load("resnet50v2_vit"))
    assert "Ours, vit_8_heads: not run." in text
    assert "Ours, resnet50v2: official, random, a processor; reduced: epochs=3; folds 0, 1 alone." in text
    rows = [cells for cells in cells_of(text) if cells[0] == "resnet50v2"]
    assert rows[0] == ["resnet50v2", "1", "2.1", "1.50", "2.05", "3.00", "55.3", "10.5"]
    assert rows[1] == ["resnet50v2", "2", "1.95", "1.00", "1.9", "2.00", "55.6", "10.5"]
    assert rows[2] == ["resnet50v2", "3", "1.8", "", "1.75", "", "55.7", ""]
    assert len(rows) == 16


def test_changed_runs_of_several_tasks_stand_below_the_unchanged(tmp_path):
    names = ("expression", "age_group", "gender", "ethnicity")

    def one(seed, *accuracies, system="multitask_light", changes=None):
        made = record(paper="multitask_lightweight", system=system, seed=seed, changes=changes or {})
        made.setup = made.setup | (changes or {})
        made.data["attributes"] = {"source": "utkface", "fingerprint": "f" * 16, "rows": 10}
        history = [{"epoch": 1} | {f"select_{name}_accuracy": a for name, a in zip(names, accuracies)}]
        put(tmp_path / "runs", made, predictions(seed, (0.6, 0.5, 0.5)), history)

    one(0, 0.5, 0.7, 0.75, 0.65, changes={"loss_weighting": "uncertainty"})
    one(0, 0.5, 0.7, 0.8, 0.6)
    one(1, 0.6, 0.7, 0.9, 0.6)
    one(0, 0.7, 0.7, 0.9, 0.6, system="multitask_heavy")  # never changed
    read = built(tmp_path / "runs", "multitask_lightweight", tmp_path / "tables")
    blocks = Papers().loaded["multitask_lightweight"].blocks(read)
    assert cells_of(blocks["changed"]) == [
        ["multitask_light", "nothing", "0", "50.0", "70.0", "80.0", "60.0", "65.0"],
        ["multitask_light", "nothing", "1", "60.0", "70.0", "90.0", "60.0", "70.0"],
        ["multitask_light", "loss_weighting=uncertainty", "0", "50.0", "70.0", "75.0", "65.0", "65.0"],
    ]


def test_convergence_needs_several_learning_rates(tmp_path):
    def one(rate, *accuracies, changes):
        made = record(paper="resnet50_xgboost", system="proposed", setup={"learning_rate": rate}, changes=changes)
        history = [{"epoch": n + 1, "select_accuracy": a, "seconds": 1.0} for n, a in enumerate(accuracies)]
        put(tmp_path / "runs", made, predictions(0, (0.6, 0.5, 0.5)), history)

    one(0.3, 0.2, 0.4, 0.5, changes={})
    one(1.0, 0.4, 0.45, 0.3, changes={"learning_rate": 1.0})
    read = built(tmp_path / "runs", "resnet50_xgboost", tmp_path / "tables")
    rows = cells_of(Papers().loaded["resnet50_xgboost"].blocks(read)["convergence"])
    assert rows == [
        ["proposed", "random", "0.3", "3", "50.0", "3"],
        ["proposed", "random", "1.0", "2", "45.0", "2"],
    ]
    assert json.loads(read["runs"].query("left_out == 'changed'")["changes"].iloc[0]) == {"learning_rate": 1.0}


def test_the_readme_is_read_to_its_end():
    """At most 120 lines, none wider than a terminal but the rows of its one table."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []
    tables = [n for n, line in enumerate(lines) if line.startswith("|") and not lines[n - 1].startswith("|")]
    assert len(tables) == 1


def test_minutes_are_those_of_one_device(tmp_path):
    def one(system, seed, device, seconds):
        made = record(paper="reference", system=system, seed=seed, device=device, seconds_per_epoch=seconds)
        put(tmp_path / "runs", made, predictions(seed, (0.6, 0.5, 0.5)))

    for seed, device, seconds in (
        (0, "a processor, 2 cores", 60.0),
        (1, "a processor, 2 cores", 80.0),
        (2, "gpu:0", 2.0),
    ):
        one("small", seed, device, seconds)
    one("large", 0, "gpu:0", 2.0)
    read = built(tmp_path / "runs", "reference", tmp_path / "tables")
    rows = {row["system"]: row for row in pages.cost(read["protocols"], read["runs"], "reference")}
    assert (rows["small"]["minutes a run"], rows["small"]["on"]) == ("15.2", "a processor, 2 cores")
    assert rows["small"]["and on"] == "gpu:0"
    assert (rows["large"]["minutes a run"], rows["large"]["on"], rows["large"]["and on"]) == ("0.4", "gpu:0", "")
    said = pages.in_docstring(list(rows.values()), "official", ["small"]).splitlines()
    assert [line.endswith("0.4 min a run on gpu:0") for line in said] == [False, True, False]
