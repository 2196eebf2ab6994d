"""The 13-epoch CNN by its own command: trained, killed, resumed, recorded, refused; on real and on drawn faces."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fer_common import experiment, records
from reproductions import cnn_13_epochs
from tests.conftest import ROOT, command, run_here, stop_after_first_epoch, wait_for

SMOKE = ("run", "cnn_13_epochs", "--preset", "smoke", "--data", "synthetic")
SHORT = (*SMOKE, "--epochs", "3", "--score-epochs", "1", "3")
# Where the size of the network is not what is tested.
SMALL = ("--filters", "4", "8", "16", "--dense-widths", "32", "16", "16", "8")


def folders(runs):
    return list(records.find(runs))


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    """(folder, what was printed) of the whole smoke run: thirteen epochs on 2,000 drawn faces."""
    runs = tmp_path_factory.mktemp("runs")
    printed = run_here(*SMOKE, "--score-epochs", 1, 13, "--runs", runs, draw=True).stdout
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


@pytest.mark.training
def test_the_record(smoke_run):
    folder, printed = smoke_run
    record, history, predictions = records.read(folder)
    assert (record.preset, record.data["source"], record.status) == ("smoke", "synthetic", "ok")
    assert record.data["rows"] == len(predictions.label) == pytest.approx(2000, abs=20)
    assert record.parameters == 1318855 and record.epochs_run == len(history) == 13
    assert [row["epoch"] for row in history] == list(range(1, 14))
    assert {1, 13, record.best_epoch} == set(predictions.epochs.tolist())
    roles = {usage: set(predictions.role[predictions.usage == usage]) for usage in np.unique(predictions.usage)}
    assert roles == {"Training": {"fit"}, "PublicTest": {"select"}, "PrivateTest": {"score"}}
    assert predictions.probabilities.dtype == np.float16
    # Keras watched the `select` rows itself; what it saw there is what the stored predictions give.
    select = predictions.role == "select"
    for epoch in (1, 13):
        seen = (predictions.at(epoch)[select].argmax(1) == predictions.label[select]).mean()
        assert history[epoch - 1]["select_accuracy"] == pytest.approx(seen, abs=0.006)
    for name in ("learning_curves.png", "confusion.png", "roc.png", "reliability.png", "report.txt"):
        assert (folder / name).stat().st_size > 500
    report = (folder / "report.txt").read_text()
    assert "synthetic" in report and "synthetic" in printed
    order = [line.split(":")[0] for line in report.splitlines() if ": " in line and not line.startswith(" ")]
    assert order == ["score", "select", "fit"] and "score: PrivateTest 201" in report
    right = (predictions.at(13).argmax(1) == predictions.label)[predictions.role == "score"].mean()
    assert f"  score  {100 * right:5.1f} % of 201  (PrivateTest 201)" in printed
    assert "83.2 % is claimed on test images (3.3)" in printed
    assert printed.splitlines()[-1] == f"next: ferrepro tables --runs {folder.parents[2]}"
    assert not list(folder.parent.glob(".*"))


@pytest.mark.training
def test_it_learns_well_above_chance_and_below_certainty(smoke_run):
    """Thirteen epochs of 2,000 drawn faces, which nobody's network should get all right."""
    _, _, predictions = records.read(smoke_run[0])
    score = predictions.role == "score"
    accuracy = (predictions.at(13)[score].argmax(1) == predictions.label[score]).mean()
    assert 0.4 < accuracy < 0.99


@pytest.mark.smoke
@pytest.mark.parametrize("protocol", cnn_13_epochs.PAPER.protocols)
def test_on_real_faces(protocol, real, tmp_path):
    run_here(
        *SMOKE[:4], "--data", real, "--runs", tmp_path, "--protocol", protocol, "--epochs", "1", "--score-epochs", "1"
    )
    record, _, predictions = records.read(folders(tmp_path)[0])
    assert record.data["source"] == "fer2013"
    for usage in ("PublicTest", "PrivateTest"):
        assert "fit" not in predictions.role[predictions.usage == usage]


@pytest.mark.training
@pytest.mark.parametrize("system", [s for s in cnn_13_epochs.PAPER.systems if s != "cnn"])
def test_every_system_trains(system, tmp_path):
    # The others have the network of `cnn` under another optimizer.
    run_here(*SHORT, *(() if system == "first_design" else SMALL), "--system", system, "--runs", tmp_path)
    record, history, _ = records.read(folders(tmp_path)[0])
    assert record.system == system
    assert history[-1]["running_loss"] < history[0]["running_loss"]


@pytest.mark.training
def test_bfloat16_and_the_saved_model(tmp_path):
    """The precision is recorded; the model that was asked for gives the recorded predictions."""
    run_here(*SHORT, *SMALL, "--precision", "mixed_bfloat16", "--save-model", "--runs", tmp_path)
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
def test_a_finished_run_is_not_repeated_unless_asked(tmp_path):
    finished = (*SHORT, *SMALL, "--runs", tmp_path)
    run_here(*finished)
    (folder,) = folders(tmp_path)
    first = records.read(folder)[2]
    stamp = (folder / "record.json").stat().st_mtime_ns
    assert "already run" in run_here(*finished).stdout
    assert (folder / "record.json").stat().st_mtime_ns == stamp
    # Asked: the same seed gives identical predictions on the same machine, in another process too.
    command(*finished, "--again")
    assert (folder / "record.json").stat().st_mtime_ns != stamp
    np.testing.assert_array_equal(first.probabilities, records.read(folder)[2].probabilities)


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
    long = (*SMOKE, *SMALL, "--epochs", "40", "--score-epochs", "5", "40")
    run_here(*long, "--runs", tmp_path / "whole")
    whole = records.read(folders(tmp_path / "whole")[0])[2]
    moments = random.Random(13)
    kills = 0
    while kills < 5:
        process = start(*long, "--runs", tmp_path / "killed")
        wait_for(process, lambda: any((tmp_path / "killed").glob("*/*/.*/checkpoint.npz")))
        [checkpoint] = (tmp_path / "killed").glob("*/*/.*/checkpoint.npz")
        done = len(history_so_far(checkpoint))
        # Wait until this process has made an epoch of its own, then up to an epoch more; 40 are more than five times
        # what it makes before it is killed, even where this process has to wait for a core.
        wait_for(process, lambda done=done, checkpoint=checkpoint: len(history_so_far(checkpoint)) != done)
        reached = history_so_far(checkpoint)
        if process.poll() is not None:
            break
        # The first epoch of a process compiles, and takes many times as long as the others.
        time.sleep(moments.uniform(0, 1.5) * min(row["seconds"] for row in reached))
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        kills += 1
        assert len(history_so_far(checkpoint)) >= len(reached)
    printed = run_here(*long, "--runs", tmp_path / "killed").stdout
    assert kills == 5 and "resumed after epoch" in printed
    (folder,) = folders(tmp_path / "killed")
    _, history, killed = records.read(folder)
    assert [row["epoch"] for row in history] == list(range(1, 41))
    np.testing.assert_array_equal(killed.epochs, whole.epochs)
    np.testing.assert_array_equal(killed.probabilities, whole.probabilities)


def history_so_far(checkpoint):
    """The rows of the checkpoint's history; none where the run has ended and swept it away."""
    try:
        with np.load(checkpoint) as file:
            return json.loads(str(file["state"]))["history"]
    except FileNotFoundError:
        return []


@pytest.mark.training
def test_a_second_process_on_the_same_run_says_so_and_stops(tmp_path):
    first = start(*SHORT, *SMALL, "--runs", tmp_path)
    assert wait_for(first, lambda: any(tmp_path.glob("*/*/.*/pid")))
    second = run_here(*SHORT, *SMALL, "--runs", tmp_path, check=False)
    assert second.returncode == experiment.BUSY
    assert f"is being made by another process (pid {first.pid})" in second.stderr
    first.communicate(timeout=300)
    assert first.returncode == 0 and len(folders(tmp_path)) == 1


@pytest.mark.training
def test_a_full_disk_ends_in_a_sentence_and_loses_nothing(tmp_path):
    """A limit on file size stands for a full disk: after the first epoch no checkpoint can be written."""
    stop_after_first_epoch(*SHORT, "--runs", tmp_path)
    done = command(*SHORT, "--runs", tmp_path, check=False, file_size=2_000_000)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "File too large" in done.stderr and "type the same command again" in done.stderr
    (folder,) = folders(tmp_path)
    assert records.status(folder) == "failed"
    assert "resumed after epoch" in run_here(*SHORT, "--runs", tmp_path).stdout
    assert records.status(folder) == "ok" and len(folders(tmp_path)) == 1


@pytest.mark.training
def test_a_diverging_network_is_a_failed_record(tmp_path):
    diverging = (*SHORT, *SMALL, "--system", "cnn_sgd", "--learning-rate", "1e30")
    done = run_here(*diverging, "--runs", tmp_path, check=False)
    assert done.returncode == 1 and "the network diverged" in done.stderr
    assert records.read(folders(tmp_path)[0])[0].status == "failed"


@pytest.mark.training
def test_without_tensorflow(tmp_path):
    """On JAX, in a process where importing tensorflow fails, from the command to the record."""
    (tmp_path / "tensorflow.py").write_text("raise ImportError('no tensorflow here')\n")
    environment = {"KERAS_BACKEND": "jax", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    assert subprocess.run(
        [sys.executable, "-c", "import tensorflow"], env=os.environ | environment, check=False
    ).returncode
    command(*SHORT, *SMALL, "--runs", tmp_path / "runs", env=environment)
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
