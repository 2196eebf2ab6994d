"""What a run keeps around `fit`, with everything that Keras's own backup would lose."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from fer_common import UserError, experiment, pictures, records
from fer_common.protocols import PROTOCOLS
from fer_common.provenance import assumed


@dataclasses.dataclass(frozen=True)
class Setup:
    epochs: int = assumed(40, "a test")
    patience: int = assumed(6, "a test")


def paper(stop_before: int | None = None, peek: bool = False, mixes: bool = False) -> experiment.Paper:
    """Random augmentation in the model, dropout, a plateau schedule and early stopping; a stop for a test's sake.

    mixes: the network knows of each image's batch.
    """

    def train(run):
        import keras
        from keras import layers

        model = keras.Sequential(
            [
                keras.Input((48, 48, 1)),
                layers.RandomFlip("horizontal"),
                layers.RandomRotation(0.05),
                layers.AveragePooling2D(2),
                layers.Flatten(),
                layers.Dense(32, activation="relu"),
                layers.Dropout(0.3),
                layers.Dense(7, activation="softmax"),
            ]
        )
        if mixes:
            inputs = keras.Input((48, 48, 1))
            model = keras.Model(inputs, model(inputs + keras.ops.mean(inputs, axis=0, keepdims=True)))
        model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])

        class Stop(keras.callbacks.Callback):
            def on_epoch_begin(self, epoch, logs=None):
                if epoch == stop_before:
                    raise KeyboardInterrupt

        arguments = run.fit_arguments(
            model,
            run.data.images,
            run.data.labels,
            epochs=run.setup.epochs,
            batch_size=64,
            fit=run.rows("score" if peek else "fit"),
            callbacks=[
                keras.callbacks.EarlyStopping("val_accuracy", patience=run.setup.patience, restore_best_weights=True),
                keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=2),
            ],
            score_epochs=(2,),
        )
        if arguments:
            arguments["callbacks"].append(Stop())
            model.fit(**arguments)
        run.score(model, run.data.images)

    return experiment.Paper(
        id="a_test",
        description="a test",
        systems={"net": Setup()},
        protocols={"official": PROTOCOLS["official"]},
        smoke={},
        train=train,
    )


def run(paper, folder, **options):
    chosen = experiment.Options(data="synthetic", preset="smoke", runs=folder, **options)
    return experiment.run(paper, "net", "official", paper.systems["net"], chosen)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return records.read(run(paper(), tmp_path_factory.mktemp("whole")))


@pytest.mark.training
@pytest.mark.parametrize("stops", [(1,), (2, 5)])
def test_a_stopped_run_ends_as_an_uninterrupted_one(stops, whole, tmp_path):
    """Augmentation, dropout, order, optimizer, plateau, early stopping, snapshots and history all go on."""
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            run(paper(stop_before=stop), tmp_path)
    record, history, predictions = records.read(run(paper(), tmp_path))
    assert 5 < record.epochs_run == whole[0].epochs_run < 40, "early stopping should have ended it"
    assert len({row["learning_rate"] for row in history}) > 1, "the plateau schedule should have acted"
    for ours, theirs in zip(history, whole[1], strict=True):
        assert {k: v for k, v in ours.items() if k != "seconds"} == {k: v for k, v in theirs.items() if k != "seconds"}
    np.testing.assert_array_equal(predictions.epochs, whole[2].epochs)
    np.testing.assert_array_equal(predictions.probabilities, whole[2].probabilities)


@pytest.mark.training
@pytest.mark.parametrize("epochs", [40, 4])
def test_killed_after_fit_and_before_scoring(epochs, tmp_path):
    """The best weights, which Keras puts back when `fit` ends, stopped early or not, are there although `fit` is not
    called again."""
    shortened = dataclasses.replace(paper(), systems={"net": Setup(epochs=epochs)})
    whole = records.read(run(shortened, tmp_path / "whole"))[2]
    train = shortened.train

    def train_and_die(run):
        run.score = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        train(run)

    with pytest.raises(KeyboardInterrupt):
        run(dataclasses.replace(shortened, train=train_and_die), tmp_path / "killed")
    _, _, predictions = records.read(run(shortened, tmp_path / "killed"))
    np.testing.assert_array_equal(predictions.probabilities, whole.probabilities)


@pytest.mark.training
def test_again_does_not_resume_what_a_kill_left_behind(tmp_path, capsys, monkeypatch):
    """Killed between the record and the sweeping up, the checkpoint of a finished run is still there."""
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    run(paper(), tmp_path)
    monkeypatch.undo()
    assert list(tmp_path.glob("*/*/.*/checkpoint.npz"))
    run(paper(), tmp_path, again=True)
    assert "resumed" not in capsys.readouterr().out
    assert not list(tmp_path.glob("*/*/.*"))


@pytest.mark.training
def test_a_picture_that_fails_is_a_warning(tmp_path, capsys, monkeypatch):
    def fails(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr(pictures, "_confusion", fails)
    folder = run(dataclasses.replace(paper(), systems={"net": Setup(epochs=1)}), tmp_path)
    assert records.read(folder)[0].status == "ok"
    assert "confusion.png could not be drawn (RuntimeError: no font); the record is whole." in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {
        *("record.json", "history.csv", "predictions.npz"),
        *("learning_curves.png", "roc.png", "reliability.png", "report.txt"),
    }
    assert not list(folder.parent.glob(".*"))


@dataclasses.dataclass(frozen=True)
class Begun(Setup):
    init: str = assumed("random", "a test")


def scored_only(run):
    """Nothing is trained: every image is taken for the first class with the same probability."""
    run.history.append({"epoch": 1, "running_loss": 1.0, "running_accuracy": 0.1, "seconds": 0.0})
    run.keep({1: np.full((len(run.data), 7), 1 / 7)})


@pytest.mark.training
def test_other_weights_at_the_same_path_are_another_run(tmp_path, capsys):
    own = dataclasses.replace(paper(), systems={"net": Begun()}, train=scored_only)
    chosen = experiment.Options(data="synthetic", preset="smoke", runs=tmp_path / "runs")
    weights = tmp_path / "weights.h5"

    def begun(init):
        return experiment.run(own, "net", "official", Begun(init=init), chosen)

    assert records.read(begun("random"))[0].weights is None
    weights.write_bytes(b"one")
    first = begun(str(weights))
    assert len(records.read(first)[0].weights) == 16
    assert begun(str(weights)) == first and "already run" in capsys.readouterr().out
    weights.write_bytes(b"another")
    assert begun(str(weights)) != first
    assert len(list(records.find(tmp_path))) == 3


@pytest.mark.training
def test_a_record_from_before_checksums_counts_until_its_extractor_is_trained_again(tmp_path, capsys):
    chosen = experiment.Options(data="synthetic", preset="smoke", runs=tmp_path)
    alone = dataclasses.replace(paper(), systems={"net": Begun(), "extractor": Begun()}, train=scored_only)
    before = experiment.run(alone, "net", "official", Begun(init="finetuned"), chosen)
    extractor = experiment.run(alone, "extractor", "official", Begun(), chosen)
    taking = dataclasses.replace(alone, extractor=lambda record, *_: extractor if record.system == "net" else None)

    def extractor_finished(when):
        record = json.loads((extractor / "record.json").read_text())
        (extractor / "record.json").write_text(json.dumps(record | {"finished": when}))

    def taken(**changes):
        return experiment.run(
            taking, "net", "official", Begun(init="finetuned"), dataclasses.replace(chosen, **changes)
        )

    extractor_finished("2000-01-01T00:00:00+00:00")
    assert taken() == before and "already run" in capsys.readouterr().out
    extractor_finished("2999-01-01T00:00:00+00:00")
    after = taken()
    assert after != before and before.exists() and records.read(after)[0].weights
    extractor_finished("2000-01-01T00:00:00+00:00")
    assert taken(again=True) == after and not before.exists()


@pytest.mark.training
def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(paper(stop_before=2), tmp_path)
    checkpoint = next(tmp_path.glob("*/*/.*/checkpoint.npz"))
    with np.load(checkpoint) as file:
        arrays = dict(file)
    del arrays["model-1"]
    np.savez(checkpoint, **arrays)
    with pytest.raises(UserError, match="does not fit this network"):
        run(paper(), tmp_path)


@pytest.mark.training
def test_labels_to_be_scored_are_withheld(tmp_path):
    """A script that trains on PrivateTest under `official` is refused by the code, not by a convention."""
    with pytest.raises(UserError, match="of these rows are to be scored: nothing may be fitted"):
        run(paper(peek=True), tmp_path)


@pytest.mark.training
def test_resuming_can_be_declined(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        run(paper(stop_before=2), tmp_path)
    run(paper(), tmp_path, resume=False)
    assert "resumed" not in capsys.readouterr().out


@pytest.mark.training
def test_a_checkpoint_of_another_backend_is_refused(tmp_path, monkeypatch):
    import keras

    with pytest.raises(KeyboardInterrupt):
        run(paper(stop_before=2), tmp_path)
    checkpoint = next(tmp_path.glob("*/*/.*/checkpoint.npz"))
    with np.load(checkpoint) as file:
        arrays = dict(file)
    arrays["state"] = np.array(str(arrays["state"]).replace(keras.backend.backend(), "another"))
    np.savez(checkpoint, **arrays)
    with pytest.raises(UserError, match="was made with the another backend"):
        run(paper(), tmp_path)


def test_the_hash_covers_setup_and_data_alone():
    fields = {
        "paper": "p",
        "system": "s",
        "protocol": "official",
        "init": "random",
        "seed": 0,
        "preset": "full",
        "changes": {},
    }
    one = records.Record(**fields, setup={"a": 1}, data={"fingerprint": "f", "rows": 10})
    same = records.Record(
        **fields, setup={"a": 1}, data={"fingerprint": "f", "rows": 10}, commit="x", versions={"keras": "3"}
    )
    other = records.Record(**fields, setup={"a": 2}, data={"fingerprint": "f", "rows": 10})
    assert records.config_hash(one) == records.config_hash(same) != records.config_hash(other)
    begun = records.Record(**fields, setup={"a": 1}, data={"fingerprint": "f", "rows": 10}, weights="0123456789abcdef")
    assert records.config_hash(begun) != records.config_hash(one)


@pytest.mark.training
def test_a_network_that_mixes_the_images_of_a_batch_says_so_in_every_row(tmp_path, whole):
    assert whole[0].details["batch"]["largest_difference"] < 1e-3 and not whole[0].notes
    shortened = dataclasses.replace(paper(mixes=True), systems={"net": Setup(epochs=2)})
    record, _, _ = records.read(run(shortened, tmp_path))
    assert record.details["batch"]["largest_difference"] > 1e-3
    [note] = record.notes
    assert note.startswith("mixes the images of a batch")
