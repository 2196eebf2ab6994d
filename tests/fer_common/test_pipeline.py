"""Batches hold the rows that were asked for, in an order drawn from (seed, epoch), the same on every backend."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from fer_common import pipeline
from tests.conftest import ROOT

ROWS = np.arange(3, 90)


def read(batches):
    return [tuple(np.asarray(part) for part in batch) for batch in batches]


def test_an_epoch_is_a_permutation_that_a_resumed_run_shares(faces):
    batches, steps = pipeline.shuffled(faces.images, np.arange(700), ROWS, batch_size=32, seed=4, epochs=3)
    found = read(batches)
    assert steps == 3 and len(found) == 9
    epochs = [np.concatenate([labels for _, labels in found[i : i + 3]]) for i in (0, 3, 6)]
    for order in epochs:
        np.testing.assert_array_equal(np.sort(order), ROWS)
    assert (epochs[0] != epochs[1]).any()
    resumed, _ = pipeline.shuffled(faces.images, np.arange(700), ROWS, batch_size=32, seed=4, epochs=3, first_epoch=2)
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in read(resumed)]), epochs[2])


def test_batches_leave_nothing_in_the_temporary_folder(faces, tmp_path, monkeypatch):
    """AutoGraph would write a file for each of our functions, and a process that is killed never removes it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    read(pipeline.shuffled(faces.images, np.arange(700), ROWS, batch_size=32, seed=4, epochs=1)[0])
    read(pipeline.in_order(faces.images, np.arange(700), ROWS, batch_size=32))
    assert not list(tmp_path.iterdir())


def test_images_go_with_their_labels(faces):
    batches, _ = pipeline.shuffled(faces.images, np.arange(700), ROWS, batch_size=32, seed=0, epochs=1)
    for images, rows in read(batches):
        assert images.dtype == np.float32 and images.shape[1:] == (48, 48, 1)
        np.testing.assert_allclose(images[..., 0] * 255, faces.images[rows], atol=1e-3)


def test_predicting_keeps_the_order(faces):
    batches = pipeline.in_order(faces.images, None, ROWS, batch_size=40)
    images = np.concatenate([np.asarray(batch) for batch in batches])
    np.testing.assert_allclose(images[..., 0] * 255, faces.images[ROWS], atol=1e-3)


def test_autotuning_is_off(faces):
    for batches in (
        pipeline.in_order(faces.images, None, ROWS, batch_size=40),
        pipeline.shuffled(faces.images, faces.labels, ROWS, batch_size=40, seed=0, epochs=1)[0],
    ):
        assert batches.options().autotune.enabled is False


SAVE_BATCHES = """
import sys, numpy as np
from fer_common import pipeline
from fer_common.data import synthetic as drawn
faces = drawn.draw(100, seed=1)
how = pipeline.Preprocessing(size=96, channels=3, scale=2 / 255, offset=-1)
batches, _ = pipeline.shuffled(
    faces.images, faces.labels, np.arange(50), batch_size=20, seed=3, epochs=2, preprocessing=how)
if hasattr(batches, "on_epoch_end"):
    found = []
    for epoch in range(2):
        found += [batches[i] for i in range(len(batches))]
        batches.on_epoch_end()
else:
    found = list(batches)
images, labels = (np.concatenate([np.asarray(batch[part]) for batch in found]) for part in (0, 1))
np.savez(sys.argv[1], images=images, labels=labels)
"""


@pytest.mark.training
def test_both_backends_give_the_same_batches(tmp_path):
    """Order, resizing, grey-to-RGB and rescaling, over two epochs."""
    found = {}
    for backend in ("tensorflow", "jax"):
        file = tmp_path / f"{backend}.npz"
        environment = os.environ | {"KERAS_BACKEND": backend}
        subprocess.run([sys.executable, "-c", SAVE_BATCHES, file], cwd=ROOT, env=environment, check=True)
        found[backend] = np.load(file)
    assert found["jax"]["images"].shape == (100, 96, 96, 3)
    np.testing.assert_array_equal(found["tensorflow"]["labels"], found["jax"]["labels"])
    np.testing.assert_allclose(found["tensorflow"]["images"], found["jax"]["images"], atol=1e-4)


STREAM = """
import resource, numpy as np
from fer_common import pipeline
images = np.random.default_rng(0).integers(0, 256, (35887, 48, 48), dtype=np.uint8)
how = pipeline.Preprocessing(size=224, channels=3)
rows = np.arange(35887)
batches, _ = pipeline.shuffled(images, np.zeros_like(rows), rows, batch_size=32, seed=0, epochs=1, preprocessing=how)
for number, (batch, _) in enumerate(batches):
    assert batch.shape[1:] == (224, 224, 3)
    if number in (100, 400):
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    if number == 400:
        break
"""


@pytest.mark.training
def test_224_pixels_stream():
    """The whole set at 224 × 224 × 3 would be 21 GB; 300 batches more do not add their 5.8 GB to the peak, nor a
    fifth of them (how much the allocator keeps depends on what else the machine does)."""
    done = subprocess.run([sys.executable, "-c", STREAM], cwd=ROOT, capture_output=True, text=True, check=True)
    after_100, after_400 = map(int, done.stdout.split())
    assert after_400 - after_100 < 1.1e9
    assert after_400 < 5.8e9


@pytest.mark.training
def test_a_backend_starts_without_a_word():
    """Whatever its log level: without a GPU, TensorFlow takes the missing driver for an error."""
    code = "from fer_common import pipeline; pipeline.start(None); import keras; keras.ops.ones(3) + 1"
    for backend in ("tensorflow", "jax"):
        environment = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "0"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_nothing_else_imports_tensorflow():
    for file in [*ROOT.glob("fer_common/**/*.py"), *ROOT.glob("reproductions/*.py")]:
        # The converter to LiteRT is TensorFlow's; somebody else's network is asked in a process of its own.
        if file.name not in ("pipeline.py", "export.py", "worker.py"):
            assert "import tensorflow" not in file.read_text(), file
            assert "tf.keras" not in file.read_text(), file
