"""The generated parts of README and docs are those that the committed tables, setups and benchmarks give."""

import pytest

from fer_common import UserError, claims, records, report
from tests.conftest import ROOT
from tests.fer_common.test_tables import predictions, record


def test_pages_are_up_to_date():
    blocks = report.make_blocks(ROOT)
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    filled = {page.name: page.read_text() for page in pages if "<!-- begin" in page.read_text()}
    assert len(filled) > 4
    for name, text in filled.items():
        assert report.fill(text, blocks) == text, f"{name}: say `ferrepro docs`"


def test_an_unknown_block_is_named():
    with pytest.raises(UserError, match="no generated block 'nothing'"):
        report.fill("<!-- begin nothing -->\n<!-- end nothing -->", {"something": ""})


def test_printed_epochs_stand_beside_the_mean_of_our_folds(tmp_path):
    losses = ((2.0, 1.5), (1.0, 0.5, 0.25))  # the second fold ran an epoch more, which has no mean
    for fold, own in enumerate(losses):
        made = record(paper="resnet50v2_vit", system="resnet50v2", fold=fold, preset="reduced", reduced={"epochs": 3})
        history = [
            {"epoch": n + 1, "running_loss": loss, "select_loss": 2 * loss, "seconds": 10.0 + fold}
            for n, loss in enumerate(own)
        ]
        records.write(records.folder(tmp_path, made), made, history, predictions(fold, (0.6, 0.5, 0.5)))
    text = report.epoch_by_epoch(tmp_path, claims.load("resnet50v2_vit"))
    assert "Ours, vit_8_heads: not run." in text
    assert "Ours, resnet50v2: official, random, a processor; folds 0, 1; reduced: epochs=3." in text
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "| resnet50v2" in line]
    assert cells[0] == ["resnet50v2", "1", "2.1", "1.50", "2.05", "3.00", "55.3", "10.5"]
    assert cells[1] == ["resnet50v2", "2", "1.95", "1.00", "1.9", "2.00", "55.6", "10.5"]
    assert cells[2] == ["resnet50v2", "3", "1.8", "", "1.75", "", "55.7", ""]
    assert len(cells) == 16


def test_changed_runs_of_several_tasks_stand_below_the_unchanged(tmp_path):
    def put(seed, expression, gender, system="multitask_light", changes=None):
        tasks = {"tasks": ["expression", "gender"]}
        made = record(
            paper="multitask_lightweight",
            system=system,
            seed=seed,
            setup=tasks | (changes or {}),
            changes=changes or {},
        )
        history = [{"epoch": 1, "select_expression_accuracy": expression, "select_gender_accuracy": gender}]
        records.write(records.folder(tmp_path, made), made, history, predictions(seed, (0.6, 0.5, 0.5)))

    put(0, 0.5, 0.75, changes={"loss_weighting": "uncertainty"})
    put(0, 0.5, 0.8)
    put(1, 0.6, 0.9)
    put(0, 0.7, 0.9, "multitask_heavy")  # never changed
    lines = report.changed_tasks(tmp_path).splitlines()[2:]
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines] == [
        ["multitask_light", "nothing", "0", "50.0", "80.0", "65.0"],
        ["multitask_light", "nothing", "1", "60.0", "90.0", "75.0"],
        ["multitask_light", "loss_weighting=uncertainty", "0", "50.0", "75.0", "62.5"],
    ]
