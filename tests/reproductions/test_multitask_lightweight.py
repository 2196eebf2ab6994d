"""Several tasks from two sources: a loss that counts only what is labelled, its weightings, pruning and int8."""

import dataclasses
import json

import numpy as np
import pytest

from fer_common import UserError, claims, pipeline, records
from fer_common.data import WITHHELD, utkface
from fer_common.data.utkface import ATTRIBUTES, TASKS
from fer_common.results import figures, tables
from reproductions import multitask_lightweight as script
from tests.builders import jpeg, utkface_archive, utkface_names
from tests.conftest import ROOT, assert_can_be_drawn, csv_lines, run_here, stop_after_first_epoch

SMOKE = ("run", "multitask_lightweight", "--preset", "smoke", "--data", "synthetic")
SMALL = dataclasses.replace(
    script.PAPER.systems["multitask_light"], filters=(4, 8), pooled_after=(1, 2), branch=16, dropout=0.0
)


def test_the_crossed_systems_differ_in_what_they_are_crossed_by():
    light, heavy = script.PAPER.systems["multitask_light"], script.PAPER.systems["multitask_heavy"]
    assert dataclasses.asdict(light) | {
        "network": "heavy",
        "precision": heavy.precision,
        "learning_rate": heavy.learning_rate,
    } == dataclasses.asdict(heavy)
    for task in TASKS:
        for whole, network in ((light, "light"), (heavy, "heavy")):
            single = script.PAPER.systems[f"singletask_{network}_{task}"]
            rate = single.learning_rate
            assert single == dataclasses.replace(whole, tasks=(task,), loss_weights=(1.0,), learning_rate=rate)


@pytest.fixture(scope="module")
def batch():
    """Four faces with an expression, four with attributes."""
    pipeline.start(None)
    images = np.random.default_rng(0).random((8, 48, 48, 1), np.float32)
    labels = np.full((8, 4), WITHHELD, np.int32)
    labels[:4, 0], labels[4:, 1:] = (0, 1, 2, 3), [[1, 0, 4], [2, 1, 3], [0, 0, 2], [4, 1, 1]]
    return images, labels


def compiled(setup):
    import keras

    keras.utils.set_random_seed(1)
    network = script.build_network(setup)
    training = script.build_training(setup, network)
    training.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    return network, training


@pytest.mark.training
def test_the_loss_counts_what_is_labelled(batch):
    images, labels = batch
    network, training = compiled(SMALL)
    predicted = network.predict(images, verbose=0)
    by_hand = sum(
        -np.log(predicted[task][rows, labels[rows, number]]).mean()
        for number, task in enumerate(TASKS)
        for rows in [np.flatnonzero(labels[:, number] != WITHHELD)]
    )
    found = training.evaluate(images, labels, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(by_hand, rel=1e-5)
    for number, task in enumerate(TASKS):
        rows = np.flatnonzero(labels[:, number] != WITHHELD)
        right = predicted[task][rows].argmax(1) == labels[rows, number]
        assert found[f"{task}_accuracy"] == pytest.approx(right.mean())


@pytest.mark.training
def test_a_task_without_labels_in_a_batch_moves_nothing_of_its_own(batch):
    images, labels = batch
    network, training = compiled(SMALL)
    branches = {task: network.get_layer(task).kernel.numpy() for task in TASKS}
    training.fit(images[:4], labels[:4], epochs=1, verbose=0)
    for task, before in branches.items():
        assert (network.get_layer(task).kernel.numpy() != before).any() == (task == "expression")


@pytest.mark.training
def test_uncertainty_learns_a_weight_for_each_task(batch):
    images, labels = batch
    _, training = compiled(dataclasses.replace(SMALL, loss_weighting="uncertainty"))
    training.fit(images, labels, epochs=3, verbose=0)
    learned = training.log_variances.numpy()
    assert learned.shape == (4,) and (learned != 0).all()


@pytest.mark.training
def test_normalised_gradients_have_one_length_for_every_task(batch):
    """Whatever the weight of a task, its gradient at the shared features is as long."""
    import keras
    import tensorflow as tf

    images, labels = batch
    lengths = {}
    for weighting in ("fixed", "normalised"):
        setup = dataclasses.replace(SMALL, loss_weighting=weighting)
        network, _ = compiled(setup)
        head = keras.Model(network.get_layer("shared").output, network.outputs)
        shared = keras.Model(network.input, network.get_layer("shared").output)(images)
        for number in range(len(TASKS)):
            alone = dataclasses.replace(setup, loss_weights=tuple(float(number == n) * 5 for n in range(4)))
            training = script.build_training(alone, network)
            with tf.GradientTape() as tape:
                tape.watch(shared)
                loss = training.compute_loss(y=tf.constant(labels), y_pred=dict(zip(sorted(TASKS), head(shared))))
            lengths.setdefault(weighting, []).append(float(tf.norm(tape.gradient(loss, shared))))
    np.testing.assert_allclose(lengths["normalised"], 1.0, rtol=1e-4)
    assert np.ptp(lengths["fixed"]) > 0.1


@pytest.mark.training
def test_the_smallest_weights_are_cut():
    pipeline.start(None)
    network = script.build_network(SMALL)
    kernels = script.prunable(network)
    masks = script.smallest_cut(kernels, 0.7)
    values = np.concatenate([np.abs(k.numpy()).ravel() for k in kernels])
    kept = np.concatenate([mask.ravel() for mask in masks]) == 1
    assert kept.mean() == pytest.approx(0.3, abs=0.01)
    assert values[kept].min() > values[~kept].max()


@pytest.mark.training
def test_what_is_cut_stays_cut_whatever_the_optimizer_moves(batch):
    """Momentum, decay and the normalisation's gradients included."""
    images, labels = batch
    network = script.build_network(SMALL)
    kernels = script.prunable(network)
    masks = script.smallest_cut(kernels, 0.5)
    before = [kernel.numpy() for kernel in kernels]
    script.hold(kernels, before, masks)
    training = script.build_training(SMALL, network)
    training.compile(script.build_optimizer(SMALL, 0.01, 100), jit_compile=False)
    training.fit(images, labels, epochs=3, verbose=0)
    for kernel, mask, value in zip(kernels, masks, before):
        assert (kernel.numpy()[mask == 0] == 0).all()
        assert (kernel.numpy() != value)[mask == 1].mean() > 0.9


@pytest.fixture(scope="module")
def every_system(tmp_path_factory):
    """The folder of the records of every system, one command's."""
    runs = tmp_path_factory.mktemp("runs")
    run_here(*SMOKE, "--system", "all", "--save-model", "--runs", runs)
    return runs


@pytest.mark.smoke
def test_every_system_runs_and_what_is_claimed_is_judged(every_system, tmp_path):
    found = {}
    for path in records.find(every_system):
        record, _, predictions = records.read(path)
        found[record.system] = (record, {record.task: predictions} | records.read_further(path))
    assert set(found) == set(script.PAPER.systems)
    for system, (record, tasks) in found.items():
        assert tuple(tasks) == script.PAPER.systems[system].tasks
        for task, own in tasks.items():
            assert own.probabilities.shape[2] == len(TASKS[task])
            assert own.usage[0].startswith("UTKFace") == (task != "expression")
            assert {"fit", "select", "score"} == set(own.role)
        if system.startswith(("multitask", "singletask")):
            assert record.details["multiply_adds"] > 0
            sees = {"expression": 1600, "multi": 1600 + 1689}
            rows = sees.get(system.rsplit("_", 1)[-1]) or (sees["multi"] if system.startswith("multi") else 1689)
            assert record.details["training"]["images_an_epoch"] == rows
    pruned = found["pruned"][0]
    assert pruned.details["begins_as"].startswith("multitask_light/")
    weights = pruned.details["pruning"]
    assert weights["weights_left"] == pytest.approx(0.3 * weights["weights"], rel=0.01)
    compared = found["quantized"][0].details["export"]
    tested = sum((found["quantized"][1][task].role == "score").sum() for task in ("expression", "gender"))
    assert compared["representative_images"] == 200 and compared["compared_images"] == min(1000, tested)
    assert compared["float32"]["largest_difference"] < 1e-5 and compared["float32"]["same_class"] == 1.0
    assert compared["int8"]["file_bytes"] < compared["float32"]["file_bytes"]
    [kept] = [p for p in records.find(every_system) if p.parent.name == "quantized"]
    assert (kept / "int8.tflite").stat().st_size == compared["int8"]["file_bytes"]
    assert not (kept / "model.keras").exists()
    built = tables.build(every_system, [claims.load("multitask_lightweight")], {})
    of_tasks = built["tasks"].set_index(["system", "task"])
    assert len(of_tasks) == 4 * 4 + 8 + 2 * 6
    for mean, tasks in (("overall", list(TASKS)), ("attributes", list(ATTRIBUTES))):
        for system, networks in (("multitask_light", "multitask_light"), ("singletask_light", "singletask_light_{}")):
            own = of_tasks.loc[[(networks.format(task), task) for task in tasks]]
            for measure in ("accuracy", "fitted accuracy", "gap"):
                assert of_tasks.loc[(system, mean), measure] == pytest.approx(own[measure].mean())
    assert of_tasks.loc[("pruned", "overall"), "begins_as"] == "multitask_light"
    assert "begins as the finished multitask_light" in of_tasks.loc[("quantized", "gender"), "notes"]
    light = [of_tasks.loc[(f"singletask_light_{task}", task), "parameters"] for task in TASKS]
    assert of_tasks.loc[("singletask_light", "overall"), "parameters"] == sum(light)
    figures.draw_tasks(built["tasks"], tmp_path / "tasks.png")
    assert (tmp_path / "tasks.png").stat().st_size > 10_000
    verdicts = built["comparison"].set_index("claim_id")["verdict"]
    assert set(verdicts) == {"single run", "supported", "no baseline"}
    assert verdicts["fewer_multiply_adds"] == verdicts["fewer_parameters"] == "supported"


@pytest.mark.smoke
def test_every_kind_of_run_can_be_drawn(every_system, tmp_path):
    """Of all tasks, of an attribute alone, and without epochs."""
    assert_can_be_drawn(every_system, ("multitask_light", "singletask_heavy_gender", "quantized"), tmp_path)


@pytest.mark.smoke
def test_pruning_is_the_same_whether_its_network_was_trained_before_or_with_it(every_system, tmp_path):
    """And what it begins as cannot be changed on the way."""
    run_here(*SMOKE, "--system", "pruned", "--runs", tmp_path)
    at_once, later = (
        records.read(path)[2].probabilities
        for runs in (tmp_path, every_system)
        for path in records.find(runs)
        if path.parent.name == "pruned"
    )
    np.testing.assert_array_equal(at_once, later)
    found = run_here(*SMOKE, "--system", "pruned", "--branch", 8, "--runs", tmp_path, check=False)
    assert found.returncode == 1 and "pruned begins as multitask_light as it is: --branch" in found.stderr


@pytest.mark.smoke
def test_a_run_that_goes_on_ends_as_one_left_alone(tmp_path):
    """Augmentation, the loss's own weights and the metrics included."""
    options = (*SMOKE, "--system", "multitask_light", "--loss-weighting", "uncertainty", "--epochs", 2, "--runs")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run_here(*options, whole)
    stop_after_first_epoch(*options, stopped)
    assert "resumed after epoch 1" in run_here(*options, stopped).stdout
    [one], [other] = records.find(whole), records.find(stopped)
    np.testing.assert_array_equal(*(records.read(path)[2].probabilities for path in (one, other)))


@pytest.mark.smoke
def test_on_real_faces(real, real_utkface, tmp_path):
    run_here(*SMOKE[:4], "--data", real, "--attributes", real_utkface, "--runs", tmp_path)
    [path] = records.find(tmp_path)
    record, _, expressions = records.read(path)
    assert (record.data["source"], record.data["attributes"]["source"]) == ("fer2013", "utkface")
    assert set(expressions.role[expressions.usage == "PrivateTest"]) == {"score"}
    for own in records.read_further(path).values():
        assert set(own.role[own.usage == "UTKFace test"]) == {"score"}


@pytest.mark.training
def test_a_bad_copy_of_utkface_ends_every_system_in_one_sentence_and_leaves_nothing(tmp_path, faces, monkeypatch):
    monkeypatch.setenv("FERREPRO_CACHE", str(tmp_path / "cache"))
    data, cut = tmp_path / "fer2013.csv", tmp_path / "UTKFace.tar.gz"
    data.write_text("\n".join(csv_lines(faces)))
    whole = utkface_archive(tmp_path / "whole.tar.gz", [(name, jpeg(0)) for name in utkface_names(20)])
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = run_here(
        *SMOKE[:2], "--system", "all", "--data", data, "--allow-subset", "--attributes", cut,
        "--runs", tmp_path / "runs", check=False,
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.count("UTKFace.tar.gz: is damaged or cut off") == 1 == found.stderr.count("error:")
    assert not (tmp_path / "runs").exists()
    kept = {path.name for path in (tmp_path / "cache/data").iterdir()}
    assert len(kept) == 3 and kept > {"index", "lock"}  # the third is FER2013's


@pytest.mark.training
def test_values_that_cannot_be_end_in_one_sentence(tmp_path):
    found = run_here(*SMOKE, "--tasks", "expression", "beauty", "--runs", tmp_path, check=False)
    assert found.returncode == 1 and "--tasks beauty: there is expression, age_group" in found.stderr
    found = run_here(*SMOKE, "--loss-weights", 1, 2, "--runs", tmp_path, check=False)
    assert found.returncode == 1 and "2 weights for 4 tasks" in found.stderr
    found = run_here(*SMOKE, "--system", "pruned", "--sparsity", 1.5, "--runs", tmp_path, check=False)
    assert found.returncode == 1 and "--sparsity, --curve: the share of weights" in found.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name.endswith(".partial")]
    with pytest.raises(UserError, match="nothing is there"):
        utkface.load(str(tmp_path / "absent"))


def test_the_networks_whose_cost_was_measured_are_those_that_ran():
    found = json.loads((ROOT / "benchmarks" / "multitask.json").read_text())["networks"]
    assert set(found) == set(script.PAPER.systems) - {"pruned", "quantized"}
    for path in records.find(ROOT / "results" / "runs" / "multitask_lightweight"):
        record = json.loads((path / "record.json").read_text())
        if not record["changes"] and record["system"] in found:
            own = found[record["system"]]
            assert (own["parameters"], own["multiply_adds"]) == (
                record["parameters"],
                record["details"]["multiply_adds"],
            )


def test_every_network_has_the_best_of_the_learning_rates_that_all_were_tried_with():
    found = json.loads((ROOT / "benchmarks" / "learning_rates.json").read_text())
    assert set(found) == set(script.PAPER.systems) - {"pruned", "quantized"}
    assert len({tuple(own["select_accuracy"]) for own in found.values()}) == 1
    for system, own in found.items():
        setup = json.loads(json.dumps(dataclasses.asdict(script.PAPER.systems[system])))
        assert {k: v for k, v in setup.items() if k not in ("learning_rate", "epochs")} | {
            key: own["setup"][key] for key in ("epochs", "seed")
        } == own["setup"]
        best = max(own["select_accuracy"], key=own["select_accuracy"].get)
        assert script.PAPER.systems[system].learning_rate == float(best)
