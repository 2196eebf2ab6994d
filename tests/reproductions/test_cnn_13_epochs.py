"""The 13-epoch CNN by its own command: trained, killed, resumed, recorded, refused; on real and on drawn faces."""

import dataclasses
import io
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fer_common import experiment, provenance, records
from reproductions import cnn_13_epochs
from tests.conftest import ROOT, command, wait_for

SHORT = (
    "run",
    "cnn_13_epochs",
    "--preset",
    "smoke",
    "--data",
    "synthetic",
    "--epochs",
    "3",
    "--score-epochs",
    "1",
    "3",
)


def folders(runs):
    return list(records.find(runs))


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """(folder, what was printed) of three epochs on 2,000 drawn faces."""
    runs = tmp_path_factory.mktemp("runs")
    printed = command(*SHORT, "--runs", runs).stdout
    (folder,) = folders(runs)
    return folder, printed


def test_the_network_is_the_papers():
    """Layer by layer, as its Methods section has it."""
    model = cnn_13_epochs.build_model(cnn_13_epochs.PAPER.systems["cnn"])
    names = [type(layer).__name__ for layer in model.layers]
    convolution = ["Conv2D", "LeakyReLU", "MaxPooling2D", "BatchNormalization"]
    dense = ["Dense", "LeakyReLU", "BatchNormalization", "Dropout"]
    assert names == ["InputLayer", *convolution * 3, "Flatten", *dense * 4, "Dense"]
    assert [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"] == [0.25, 0.25, 0.25, 0.4]
    assert model.layers[2].negative_slope == pytest.approx(0.01)
    assert model.output_shape == (None, 7)
    first = cnn_13_epochs.build_model(cnn_13_epochs.PAPER.systems["first_design"])
    names = [type(layer).__name__ for layer in first.layers]
    assert names.count("Conv2D") == 4 and "ReLU" in names and "LeakyReLU" not in names
    other = dataclasses.replace(cnn_13_epochs.PAPER.systems["cnn"], dense_reading="softmax_is_fourth")
    names = [type(layer).__name__ for layer in cnn_13_epochs.build_model(other).layers]
    assert names.count("Dense") == 4


def test_every_value_says_where_it_comes_from():
    for name, _, mark, note in provenance.provenance(cnn_13_epochs.Setup):
        assert mark in ("stated", "inferred", "assumed") and len(note) > 2, name


@pytest.mark.training
def test_the_record(short_run):
    folder, printed = short_run
    record, history, predictions = records.read(folder)
    assert (record.preset, record.data["source"], record.status) == ("smoke", "synthetic", "ok")
    assert record.data["rows"] == len(predictions.label) == pytest.approx(2000, abs=20)
    assert record.parameters == 1318855 and record.epochs_run == len(history) == 3
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert {1, 3, record.best_epoch} == set(predictions.epochs.tolist())
    roles = {usage: set(predictions.role[predictions.usage == usage]) for usage in np.unique(predictions.usage)}
    assert roles == {"Training": {"fit"}, "PublicTest": {"select"}, "PrivateTest": {"score"}}
    assert predictions.probabilities.dtype == np.float16
    # Keras watched the `select` rows itself; what it saw there is what the stored predictions give.
    select = predictions.role == "select"
    for epoch in (1, 3):
        seen = (predictions.at(epoch)[select].argmax(1) == predictions.label[select]).mean()
        assert history[epoch - 1]["select_accuracy"] == pytest.approx(seen, abs=0.006)
    for name in ("learning_curves.png", "confusion.png", "roc.png", "reliability.png", "report.txt"):
        assert (folder / name).stat().st_size > 500
    report = (folder / "report.txt").read_text()
    assert "synthetic" in report and "synthetic" in printed
    order = [line.split(":")[0] for line in report.splitlines() if ": " in line and not line.startswith(" ")]
    assert order == ["score", "select", "fit"] and "score: PrivateTest 201" in report
    right = (predictions.at(3).argmax(1) == predictions.label)[predictions.role == "score"].mean()
    assert f"  score  {100 * right:5.1f} % of 201  (PrivateTest 201)" in printed
    assert "cnn: accuracy 83.2 % on test (3.3)" in printed
    assert printed.splitlines()[-1] == f"next: ferrepro tables --runs {folder.parents[2]}"
    assert not list(folder.parent.glob(".*"))


@pytest.mark.training
def test_it_learns_well_above_chance_and_below_certainty(tmp_path):
    """Thirteen epochs of 2,000 drawn faces, which nobody's network should get all right."""
    command("run", "cnn_13_epochs", "--preset", "smoke", "--data", "synthetic", "--runs", tmp_path)
    _, _, predictions = records.read(folders(tmp_path)[0])
    score = predictions.role == "score"
    accuracy = (predictions.at(13)[score].argmax(1) == predictions.label[score]).mean()
    assert 0.4 < accuracy < 0.99


@pytest.mark.smoke
@pytest.mark.parametrize("protocol", cnn_13_epochs.PAPER.protocols)
def test_on_real_faces(protocol, real, tmp_path):
    command(
        "run", "cnn_13_epochs", "--preset", "smoke", "--data", real, "--runs", tmp_path,
        "--protocol", protocol, "--epochs", "2", "--score-epochs", "2",
    )  # fmt: skip
    record, _, predictions = records.read(folders(tmp_path)[0])
    assert record.data["source"] == "fer2013"
    for usage in ("PublicTest", "PrivateTest"):
        assert "fit" not in predictions.role[predictions.usage == usage]


@pytest.mark.training
@pytest.mark.parametrize("system", [s for s in cnn_13_epochs.PAPER.systems if s != "cnn"])
def test_every_system_trains(system, tmp_path):
    command(*SHORT, "--system", system, "--runs", tmp_path)
    record, history, _ = records.read(folders(tmp_path)[0])
    assert record.system == system
    assert history[-1]["running_loss"] < history[0]["running_loss"]


@pytest.mark.training
def test_bfloat16_and_the_saved_model(tmp_path):
    """The precision is recorded; the model that was asked for gives the recorded predictions."""
    command(*SHORT, "--precision", "mixed_bfloat16", "--save-model", "--runs", tmp_path)
    (folder,) = folders(tmp_path)
    record, _, predictions = records.read(folder)
    assert record.changes["precision"] == record.setup["precision"] == "mixed_bfloat16"
    import keras

    from fer_common import data, splits

    faces = data.load("synthetic")
    faces = faces.take(splits.subset(faces, experiment.SMOKE_IMAGES))
    model = keras.models.load_model(folder / "model.keras")
    again = model.predict(faces.images[:200, ..., None] / np.float32(255), verbose=0)
    np.testing.assert_allclose(again, predictions.at(3)[:200], atol=0.02)


@pytest.mark.training
def test_a_finished_run_is_not_repeated_unless_asked(short_run):
    folder, _ = short_run
    before = (folder / "predictions.npz").read_bytes()
    stamp = (folder / "record.json").stat().st_mtime_ns
    assert "already run" in command(*SHORT, "--runs", folder.parents[2]).stdout
    assert (folder / "record.json").stat().st_mtime_ns == stamp
    # Asked: the same seed gives identical predictions on the same machine.
    command(*SHORT, "--runs", folder.parents[2], "--again")
    assert (folder / "record.json").stat().st_mtime_ns != stamp
    again = records.read(folder)[2]
    with np.load(io.BytesIO(before)) as first:
        np.testing.assert_array_equal(first["probabilities"], again.probabilities)


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "fer_common.cli", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.training
def test_five_kills_lose_at_most_the_epoch_in_flight(tmp_path):
    """Killed at random moments and started again, a run ends as an uninterrupted one: identical predictions."""
    long = (*SHORT[:6], "--epochs", "24", "--score-epochs", "5", "24")
    command(*long, "--runs", tmp_path / "whole")
    whole = records.read(folders(tmp_path / "whole")[0])[2]
    moments = random.Random(13)
    kills = 0
    while kills < 5:
        process = start(*long, "--runs", tmp_path / "killed")
        wait_for(process, lambda: any((tmp_path / "killed").glob("*/*/.*/checkpoint.npz")))
        [checkpoint] = (tmp_path / "killed").glob("*/*/.*/checkpoint.npz")
        done = epochs_done(checkpoint)
        # Wait until this process has made an epoch of its own, then a moment more.
        wait_for(process, lambda checkpoint=checkpoint, done=done: epochs_done(checkpoint) != done)
        time.sleep(moments.uniform(0, 1.5))
        reached = epochs_done(checkpoint)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        kills += 1
        assert epochs_done(checkpoint) >= reached
    printed = command(*long, "--runs", tmp_path / "killed").stdout
    assert kills == 5 and "resumed after epoch" in printed
    (folder,) = folders(tmp_path / "killed")
    _, history, killed = records.read(folder)
    assert [row["epoch"] for row in history] == list(range(1, 25))
    np.testing.assert_array_equal(killed.epochs, whole.epochs)
    np.testing.assert_array_equal(killed.probabilities, whole.probabilities)


def epochs_done(checkpoint):
    try:
        with np.load(checkpoint) as file:
            return len(json.loads(str(file["state"]))["history"])
    except FileNotFoundError:
        return -1  # the run has ended and swept it away


@pytest.mark.training
def test_a_second_process_on_the_same_run_says_so_and_stops(tmp_path):
    first = start(*SHORT, "--runs", tmp_path)
    assert wait_for(first, lambda: any(tmp_path.glob("*/*/.*/pid")))
    second = command(*SHORT, "--runs", tmp_path, check=False)
    assert second.returncode == 1
    assert f"is being made by another process (pid {first.pid})" in second.stderr
    first.communicate(timeout=300)
    assert first.returncode == 0 and len(folders(tmp_path)) == 1


@pytest.mark.training
def test_a_full_disk_ends_in_a_sentence_and_loses_nothing(tmp_path):
    """A limit on file size stands for a full disk: after the first epoch no checkpoint can be written."""
    first = start(*SHORT, "--runs", tmp_path)
    assert wait_for(first, lambda: any(tmp_path.glob("*/*/.*/checkpoint.npz")))
    first.kill()
    first.communicate(timeout=30)
    limited = f"ulimit -f 2000; exec {sys.executable} -m fer_common.cli {' '.join(SHORT)} --runs {tmp_path}"
    done = subprocess.run(["bash", "-c", limited], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "File too large" in done.stderr and "type the same command again" in done.stderr
    (folder,) = folders(tmp_path)
    assert records.status(folder) == "failed"
    assert "resumed after epoch" in command(*SHORT, "--runs", tmp_path).stdout
    assert records.status(folder) == "ok" and len(folders(tmp_path)) == 1


@pytest.mark.training
def test_a_diverging_network_is_a_failed_record(tmp_path):
    done = command(*SHORT, "--system", "cnn_sgd", "--learning-rate", "1e30", "--runs", tmp_path, check=False)
    assert done.returncode == 1 and "the network diverged" in done.stderr
    assert records.read(folders(tmp_path)[0])[0].status == "failed"


@pytest.mark.training
def test_without_tensorflow(tmp_path):
    """On JAX, in a process where importing tensorflow fails, from the command to the record."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no tensorflow here')\n")
    environment = {"KERAS_BACKEND": "jax", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    imported = subprocess.run([sys.executable, "-c", "import tensorflow"], env=os.environ | environment, check=False)
    assert imported.returncode
    command(*SHORT, "--runs", tmp_path / "runs", env=environment)
    record, history, predictions = records.read(folders(tmp_path / "runs")[0])
    assert record.backend == "jax" and history[-1]["running_loss"] < history[0]["running_loss"]
    select = predictions.role == "select"
    seen = (predictions.at(3)[select].argmax(1) == predictions.label[select]).mean()
    assert history[-1]["select_accuracy"] == pytest.approx(seen, abs=0.006)


def test_official_keeps_private_test_out_of_fit_and_select(faces):
    """Whatever a script asks for, the roles that `official` hands out hold no PrivateTest row to train or select on."""
    _, role = cnn_13_epochs.PAPER.protocols["official"].split(faces, 0)
    run = experiment.Run(records.Record(**MINIMAL), None, faces, role, None, None, cnn_13_epochs.PAPER)
    for wanted in ("fit", "select"):
        assert "PrivateTest" not in faces.usage[run.rows(wanted)]


MINIMAL = {"paper": "p", "system": "s", "protocol": "official", "init": "random", "seed": 0, "preset": "full"} | {
    "changes": {}, "setup": {}, "data": {}
}  # fmt: skip
