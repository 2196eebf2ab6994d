"""The record on disk: what cannot be is refused by name when it is read, and everything committed can be read."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_common import UserError, records
from fer_common.data import EMOTIONS, USAGES
from fer_common.data.attributes import PARTS
from tests.conftest import ROOT


def predictions(n=(60, 20, 20), epochs=(8, 13), classes=7, usages=USAGES, seed=0):
    rng = np.random.default_rng(seed)
    rows = sum(n)
    return records.Predictions(
        row_id=np.arange(rows, dtype=np.int32),
        usage=np.repeat(usages, n),
        role=np.repeat(("fit", "select", "score"), n),
        label=(np.arange(rows) % classes).astype(np.uint8),
        epochs=np.array(epochs, np.int16),
        probabilities=rng.dirichlet(np.ones(classes), (len(epochs), rows)).astype(np.float16),
    )


def record(**changes):
    fields = {
        "paper": "cnn_13_epochs", "system": "cnn", "protocol": "official", "init": "random", "seed": 0,
        "preset": "full", "changes": {}, "setup": {"epochs": 13}, "epochs_run": 13,
        "data": {"source": "fer2013", "fingerprint": "0123456789abcdef", "rows": 100},
    }  # fmt: skip
    return records.Record(**(fields | changes))


HISTORY = [{"epoch": epoch, "running_loss": 1 / epoch} for epoch in range(1, 14)]


def put(runs, record, found, history=HISTORY, **further):
    final = records.folder(runs, record)
    records.write(final, record, history, found, **further)
    return final


def changed(array, where, value):
    array = array.copy()
    array[where] = value
    return array


FORGERIES = {
    "row_id": (lambda p: p.row_id * 0, "row 0 is there with more than one usage"),
    "row_id of one usage": (lambda p: np.minimum(p.row_id, 98), "row 98 is there with more than one label"),
    "row_id as floats": (lambda p: p.row_id / 1, "row_id is float64 of 1 dimensions"),
    "usage": (lambda p: np.where(p.usage == "PublicTest", "Test", p.usage), "usage 'Test' is none of Training, Pu"),
    "usage of others": (lambda p: np.repeat(PARTS, (60, 20, 20)), "usage 'UTKFace test' is none of"),
    "role": (lambda p: np.where(p.role == "fit", "train", p.role), "role 'train' is none of fit, select, score"),
    "role cut off": (lambda p: p.role[:-1], "100 row ids and 99 of role"),
    "label": (lambda p: changed(p.label, 3, 7), "a label is 7, and there are 7 classes"),
    "label withheld": (lambda p: changed(p.label, 3, 255), "a label is 255, and there are 7 classes"),
    "label as words": (lambda p: np.array(EMOTIONS)[p.label], "label is <U8 of 1 dimensions"),
    "epochs": (lambda p: p.epochs[::-1], r"epochs \[13, 8\] do not lead to the last one, 13"),
    "epochs from 0": (lambda p: np.array([0, 13]), r"epochs \[0, 13\] do not lead"),
    "epochs elsewhere": (lambda p: np.array([8, 12]), r"epochs \[8, 12\] do not lead to the last one, 13"),
    "epochs of more": (lambda p: np.array([7, 8, 13]), "for 3 epochs, 100 rows and 7 classes"),
    "probabilities of one epoch": (lambda p: p.probabilities[0], "probabilities is float16 of 2 dimensions"),
    "probabilities of six": (lambda p: p.probabilities[..., :6], "for 2 epochs, 100 rows and 7 classes"),
    "probabilities negative": (
        lambda p: changed(p.probabilities, (0, 5), [-1, 2, 0, 0, 0, 0, 0]),
        "reach from -1.0 to",
    ),
    "probabilities with NaN": (lambda p: changed(p.probabilities, (1, 99, 6), np.nan), "reach from nan to nan"),
    "probabilities infinite": (lambda p: changed(p.probabilities, (1, 99, 6), np.inf), "to inf"),
    "probabilities halved": (lambda p: changed(p.probabilities, (1, 7), [0.5, 0, 0, 0, 0, 0, 0]), "add up to 0.500"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_what_no_run_can_have_written_is_refused(tmp_path, name):
    path = put(tmp_path, record(), predictions())
    honest = records.read(path)[2]
    field, (forge, says) = name.split()[0], FORGERIES[name]
    arrays = {array: getattr(honest, array) for array in records.STORED} | {field: forge(honest)}
    np.savez_compressed(path / "predictions.npz", **arrays)
    with pytest.raises(records.DamagedRecord, match=says) as refused:
        records.read(path)
    assert refused.value.path == path and str(refused.value).startswith(f"{path}: this record is damaged (")


def test_twins_are_not_the_records_to_tell(tmp_path):
    path = put(tmp_path, record(), predictions())
    with np.load(path / "predictions.npz") as arrays:
        stored = dict(arrays)
    np.savez_compressed(path / "predictions.npz", **stored, twin=np.zeros(100, bool))
    with pytest.raises(records.DamagedRecord, match="twin; expected row_id, usage"):
        records.read(path)


def test_rows_may_be_repeated_where_they_are_one_image(tmp_path):
    """As protocols do that repeat or mirror images before the split."""
    one = predictions()
    twice = {name: np.r_[array, array] for name, array in vars(one).items() if array is not None and len(array) == 100}
    doubled = replace(one, probabilities=np.concatenate([one.probabilities] * 2, axis=1), **twice)
    assert len(records.read(put(tmp_path, record(), doubled))[2].row_id) == 200


def test_sums_may_miss_one_by_what_short_floats_lose(tmp_path):
    short = predictions()
    path = put(tmp_path, record(), replace(short, probabilities=(short.probabilities * 1.012).clip(0, 1)))
    assert len(records.read(path)[2].row_id) == 100


@pytest.mark.parametrize("file", ["record.json", "predictions.npz", "history.csv"])
def test_a_file_cut_off_is_named(tmp_path, file):
    path = put(tmp_path, record(), predictions())
    assert len(records.read(path)[1]) == 13
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(records.DamagedRecord, match=path.name):
        records.read(path)


def test_what_is_damaged_is_told_from_one_process_to_another():
    told = pickle.loads(pickle.dumps(records.DamagedRecord(Path("runs/one"), "is damaged")))
    assert (str(told), told.path, told.says) == ("runs/one: is damaged", Path("runs/one"), "is damaged")


def test_a_missing_file_of_predictions_is_named(tmp_path):
    path = put(tmp_path, record(), predictions())
    (path / "predictions.npz").unlink()
    with pytest.raises(UserError, match=f"{path.name}: this record is damaged"):
        records.read(path)


def test_a_run_without_a_history_can_be_read(tmp_path):
    """Written since there has been a record, and called damaged when it was read."""
    path = put(tmp_path, record(), predictions(), history=[])
    _, history, found = records.read(path)
    assert history == [] and len(found.row_id) == 100


def test_a_failed_run_has_nothing_but_its_record(tmp_path):
    path = put(tmp_path, record(status="failed", error="ValueError: diverged"), None, history=[])
    assert records.read(path)[1:] == ([], None) and records.read_record(path).error == "ValueError: diverged"


def test_tasks_are_read_one_by_one(tmp_path):
    ages = predictions(epochs=(13,), classes=5, usages=PARTS)
    path = put(tmp_path, record(), predictions(), further={"age_group": ages})
    one = records.read_record(path)
    np.testing.assert_array_equal(records.read_predictions(path, one, "age_group").probabilities, ages.probabilities)
    np.testing.assert_array_equal(records.read_predictions(path, one).label, predictions().label)
    assert list(records.read_further(path)) == ["age_group"]
    assert records.read_history(path)[12] == {"epoch": 13, "running_loss": pytest.approx(1 / 13, rel=1e-5)}
    with pytest.raises(records.DamagedRecord, match="no task beauty"):
        records.read_predictions(path, one, "beauty")
    with pytest.raises(records.DamagedRecord, match="predictions-gender.npz"):
        records.read_predictions(path, one, "gender")


@pytest.mark.parametrize("task", ["expression", "age_group"])
def test_metrics_are_verified_task_by_task(tmp_path, task):
    ages = predictions(epochs=(13,), classes=5, usages=PARTS)
    path = put(tmp_path, record(), predictions(), further={"age_group": ages})
    one = records.read_record(path)
    found = records.read_predictions(path, one, task)
    records.verify_metrics(one, task, found)
    of_epoch = (one.metrics if task == "expression" else one.further_metrics[task])["13"]
    next(iter(of_epoch.values()))["log_loss"] += 1e-5
    with pytest.raises(records.DamagedRecord, match=f"{path.name}: the metrics in record.json do not follow"):
        records.verify_metrics(one, task, found)


def test_stored_metrics_are_those_of_the_evaluation():
    from fer_common import evaluation

    found = predictions()
    rows = found.usage == "PublicTest"
    expected = evaluation.metrics(found.label[rows], found.at(8)[rows], EMOTIONS)
    stored = records.stored_metrics(found)["8"]["PublicTest"]
    names = {"accuracy": "accuracy", "macro_f1": "f1.macro", "log_loss": "log_loss"}
    assert stored == pytest.approx({name: expected[known] for name, known in names.items()}, abs=1e-6)


def test_the_digest_changes_with_every_file_that_says_something(tmp_path):
    ages = predictions(epochs=(13,), classes=5, usages=PARTS)
    path = put(tmp_path, record(), predictions(), further={"age_group": ages})
    before = records.digest(path)
    (path / "report.txt").write_text("drawn again")
    assert records.digest(path) == before and len(before) == 32
    seen = {before}
    for file in ("record.json", "history.csv", "predictions.npz", "predictions-age_group.npz"):
        content = (path / file).read_bytes()
        (path / file).write_bytes(content + b" ")
        seen.add(records.digest(path))
        (path / file).write_bytes(content)
    assert len(seen) == 5 and records.digest(path) == before


def test_every_committed_record_can_be_read():
    n = 0
    for path in records.find(ROOT / "results" / "runs"):
        found = records.read(path)[2], *records.read_further(path).values()
        n += all(each is not None for each in found)
        assert json.loads((path / "record.json").read_text())["status"] == "ok"
    assert n >= 246
