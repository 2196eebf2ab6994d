"""Somebody else's predictions and networks by the command: what is found, what is said, what is refused."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fer_common import UserError, data, records
from fer_common.data import EMOTIONS
from fer_common.score import card as cards
from tests.conftest import ROOT, command

RELEASED = ROOT.parent / "shared" / "data" / "released"
FILES = {"vicksam": "fer_model_best.h5", "mini_xception": "fer2013_mini_XCEPTION.102-0.66.hdf5"}


@pytest.fixture(scope="module")
def faces():
    return data.load("synthetic")


def probabilities(faces, accuracy, seed=0):
    """float32 (N, 7): right on a share of the rows."""
    rng = np.random.default_rng(seed)
    predicted = np.where(rng.random(len(faces)) < accuracy, faces.labels, (faces.labels + 1) % 7)
    found = np.full((len(faces), 7), 0.02, np.float32)
    found[np.arange(len(faces)), predicted] = 0.88
    return found


def as_csv(path, faces, found, order=None):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row_id", *EMOTIONS])
        writer.writerows(
            [int(faces.row_id[row]), *found[row]] for row in (range(len(faces)) if order is None else order)
        )
    return path


def score(path, runs, *options, check=True):
    return command("score", path, "--data", "synthetic", "--runs", runs, *options, check=check)


def record_of(runs):
    [path] = records.find(runs)
    return records.read(path)


def test_predictions_in_any_order_are_scored_as_they_are(faces, tmp_path):
    found = probabilities(faces, 0.66)
    order = np.random.default_rng(1).permutation(len(faces))
    printed = score(as_csv(tmp_path / "Some Model.csv", faces, found, order), tmp_path / "runs").stdout
    record, history, predictions = record_of(tmp_path / "runs")
    assert (record.paper, record.system, record.preset, history) == ("released", "some_model", "full", [])
    assert set(predictions.role) == {"unknown"}
    np.testing.assert_array_equal(predictions.probabilities[0].argmax(1), found.argmax(1))
    private = predictions.usage == "PrivateTest"
    accuracy = (found.argmax(1) == faces.labels)[private].mean()
    assert f"{100 * accuracy:.1f} [" in printed and "nobody but its author knows" in printed
    assert "PublicTest + PrivateTest (7,178)" in printed
    np.savez(tmp_path / "model.npz", probabilities=found)
    score(tmp_path / "model.npz", tmp_path / "npz", "--name", "some_model")
    np.testing.assert_allclose(record_of(tmp_path / "npz")[2].probabilities, predictions.probabilities, atol=1e-6)


def test_labels_alone_will_do(faces, tmp_path):
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["label"], *([EMOTIONS[label]] for label in faces.labels)])
    assert "100.0" in score(tmp_path / "labels.csv", tmp_path / "runs").stdout


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("row_id,label\n0,angry\n", "35,886 of 35,887 images are missing, row 1 for one"),
        ("label\nangry\n", "1 rows without row_id"),
        ("label\ncheerful\n", "row 1 has the label 'cheerful'"),
        ("row_id,happy\n0,1\n", "has the columns row_id, happy; expected angry"),
        ("row_id,label\n0,angry\n0,happy\n", "1 row ids are there twice"),
        ("", "has no rows"),
    ],
)
def test_predictions_that_are_none(content, sentence, tmp_path):
    (tmp_path / "broken.csv").write_text(content)
    done = score(tmp_path / "broken.csv", tmp_path / "runs", check=False)
    assert done.returncode == 1 and sentence in done.stderr and "Traceback" not in done.stderr
    assert not list(records.find(tmp_path))


def test_a_scored_model_is_checked_and_stands_in_the_tables(faces, tmp_path):
    score(as_csv(tmp_path / "m.csv", faces, probabilities(faces, 0.66)), tmp_path / "runs")
    assert "0 wrong" in command("check", tmp_path / "runs").stdout
    command("tables", "--runs", tmp_path / "runs", "--tables", tmp_path / "tables")
    rows = list(csv.DictReader((tmp_path / "tables" / "summary.csv").open()))
    assert {row["roles"] for row in rows} == {"unknown"} and rows[0]["system"] == "m"
    [path] = records.find(tmp_path / "runs")
    with np.load(path / "predictions.npz") as arrays:
        stored = dict(arrays)
    np.savez_compressed(path / "predictions.npz", **stored | {"role": np.full(len(faces), "score")})
    done = command("check", tmp_path / "runs", check=False)
    assert done.returncode == 1 and "should be `unknown`" in done.stdout


@pytest.mark.parametrize(
    ("kind", "accuracy"),
    [
        ("gap to training", {"Training": 0.85, "PublicTest": 0.66, "PrivateTest": 0.66}),
        ("tests look fitted", {"Training": 0.70, "PublicTest": 0.95, "PrivateTest": 0.95}),
    ],
)
def test_what_it_was_fitted_on_shows_in_the_record(kind, accuracy, faces, tmp_path):
    rates = np.array([accuracy[usage] for usage in faces.usage])
    found = probabilities(faces, rates)
    printed = score(as_csv(tmp_path / "m.csv", faces, found), tmp_path / "runs").stdout
    kinds = [pattern["kind"] for pattern in record_of(tmp_path / "runs")[0].details["patterns"]]
    assert kind in kinds and "fitted on" in printed


def test_a_card_is_asked_for_its_file(tmp_path):
    done = command("score", "vicksam", check=False)
    assert done.returncode == 1 and "get fer_model_best.h5 from https://github.com/vicksam/fer-model" in done.stderr
    (tmp_path / "other.h5").write_bytes(b"something else")
    done = command("score", "vicksam", "--weights", tmp_path / "other.h5", check=False)
    assert done.returncode == 1 and "is not fer_model_best.h5 of the card vicksam" in done.stderr
    done = command("score", "nobody", check=False)
    assert done.returncode == 1 and "neither a file nor a card" in done.stderr


def test_every_card_of_the_suite_can_be_read():
    assert set(FILES) <= set(cards.names())
    for name in cards.names():
        assert cards.load(name).name == name


def test_a_wrong_card_is_refused_with_all_its_errors(tmp_path):
    text = (cards.FOLDER / "vicksam.yaml").read_text()
    (tmp_path / "card.yaml").write_text(
        text.replace("scale: 0..1", "scale: 0..2").replace("metric: accuracy", "metric: a")
    )
    with pytest.raises(UserError, match="2 errors(.|\n)*line 12(.|\n)*line 24"):
        cards.read(tmp_path / "card.yaml")


# Networks


@pytest.fixture(scope="module")
def real_votes(real) -> Path:
    return real.parent / "fer2013new.csv"


@pytest.mark.training
@pytest.mark.parametrize("name", FILES)
def test_the_controls_pass(name, real, tmp_path):
    """Released networks give the numbers that they print: rows, labels, usages and preparation are read right."""
    weights = RELEASED / FILES[name]
    if not weights.is_file():
        pytest.skip("no released weights on this machine")
    printed = command("score", name, "--weights", weights, "--data", real, "--runs", tmp_path).stdout
    assert "passed" in printed and "failed" not in printed
    record, _, predictions = record_of(tmp_path)
    committed = ROOT / "results" / "runs" / "released" / name
    [kept] = committed.iterdir()
    assert kept.name == record_folder(tmp_path).name
    expected = records.read(kept)[2]
    np.testing.assert_allclose(predictions.probabilities, expected.probabilities, atol=1e-3)
    assert record.details["batch"]["largest_difference"] < 1e-3
    assert json.loads((kept / "record.json").read_text())["weights"] == cards.load(name).sha256[:16]


def record_folder(runs):
    [path] = records.find(runs)
    return path


@pytest.mark.training
def test_a_network_that_mixes_its_batch_is_recognised(tmp_path):
    """Attention over the batch axis, in the simplest form: every image gets a part of its batch's mean."""
    import keras

    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(8)(inputs))
    x = x + keras.ops.mean(x, axis=0, keepdims=True)
    network = keras.Model(inputs, keras.layers.Dense(7, activation="softmax", kernel_initializer="he_normal")(x))
    network.save(tmp_path / "mixing.keras")
    printed = score(tmp_path / "mixing.keras", tmp_path / "runs").stdout
    record = record_of(tmp_path / "runs")[0]
    assert record.details["batch"]["largest_difference"] > 1e-3
    assert "mixes the images of a batch" in printed and "mixes the images of a batch" in record.notes[0]
    shutil.rmtree(tmp_path / "runs")
