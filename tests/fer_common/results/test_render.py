"""Files are whole or as before, cells cannot end their table, and what is written is read back the same."""

import pandas as pd
import pytest

from fer_common import UserError
from fer_common.results import render
from fer_common.results.image_sets import ImageSet
from tests.builders import predictions, put, record
from tests.conftest import command


def table(value=0.5):
    image_set = ImageSet(("Training", "PublicTest"), ("score", "seen"), "out_of_fold", True, "")
    return pd.DataFrame([{"paper": "p", "image_set": image_set, "accuracy": value}, {"paper": "q", "image_set": None}])


def test_image_sets_come_back(tmp_path):
    render.write({"one": table(), "none": pd.DataFrame()}, tmp_path)
    read = render.read(tmp_path, ("one", "none"))
    pd.testing.assert_frame_equal(read["one"], table())
    assert len(read["none"]) == 0


def test_a_full_disk_leaves_the_old_tables_whole(tmp_path, monkeypatch):
    render.write({"one": table(), "two": table()}, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write, written = type(tmp_path).write_text, []

    def full(path, text):
        if written:
            raise OSError(28, "No space left on device", str(path))
        written.append(write(path, text))

    monkeypatch.setattr(type(tmp_path), "write_text", full)
    with pytest.raises(UserError, match="No space left on device.*What was there is as it was"):
        render.write({"one": table(0.9), "two": table(0.9)}, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_full_disk_ends_in_a_sentence(tmp_path):
    """A limit on file size stands for it."""
    put(tmp_path / "runs", record(), predictions(0, (0.8, 0.6, 0.6)))
    command("tables", "--runs", tmp_path / "runs", "--tables", tmp_path / "tables")
    before = {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()}
    next((tmp_path / "runs").glob("*/*/*/history.csv")).unlink()  # other tables than before
    done = command("tables", "--runs", tmp_path / "runs", "--tables", tmp_path / "tables", check=False, file_size=4096)
    assert done.returncode == 1 and "Traceback" not in done.stderr and "File too large" in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "tables").iterdir()} == before


def test_nothing_in_a_cell_ends_it():
    text = render.markdown([{"a|b": "x | y\nz \\| w", "n": 1}])
    header, _, row = text.splitlines()
    assert header.startswith("| a\\|b") and row.startswith("| x \\| y z \\\\\\| w")


@pytest.mark.parametrize(
    ("metric", "gap", "half_width", "shown"),
    [
        ("accuracy", 0.262, 0.026, "+26.2 ± 2.6"),
        ("accuracy", -0.05, float("nan"), "-5.0"),
        ("auc", 0.04, 0.012, "+0.040 ± 0.012"),
        ("log_loss", 0.338, 0.1, "+0.34 ± 0.10"),
        ("accuracy", float("nan"), float("nan"), ""),
    ],
)
def test_gaps_are_printed_in_the_metrics_own_unit(metric, gap, half_width, shown):
    assert render.gap({"metric": metric, "gap": gap, "half_width": half_width}) == shown
