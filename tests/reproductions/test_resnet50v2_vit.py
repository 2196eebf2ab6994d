"""Folds as runs, the two readings of the ViT's heads, frozen backbones, and the weights' forms."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from fer_common import UserError, claims, data, records
from fer_common.data import synthetic
from fer_common.experiment import checkpoint
from fer_common.results import tables
from fer_common.results.render import name_of
from reproductions import resnet50v2_vit as script
from tests.conftest import ROOT, assert_legacy_weights, run_here, wait_for, write_legacy_weights

RUN = ("run", "resnet50v2_vit")
SMOKE = (*RUN, "--preset", "smoke", "--data", "synthetic")
SMALLEST = "vit_small"  # of the systems, for what takes all five folds
SMALL = {"init": "random", "image_size": 48, "layers": 2, "width": 96, "mlp_width": 192}


# Folds


@pytest.fixture(scope="module", params=["drawn", "real"])
def every_role(request):
    """(faces, by protocol the roles under each fold), of drawn faces, of which some are identical, and of the real."""
    drawn = request.param == "drawn"
    faces = synthetic.draw(3000, seed=3, duplicates=0.1) if drawn else data.load(str(request.getfixturevalue("real")))
    return faces, {
        name: [protocol.split(faces, 0, fold)[1] for fold in range(protocol.folds)]
        for name, protocol in script.PAPER.protocols.items()
        if protocol.folds
    }


def test_every_pooled_row_is_held_out_once(every_role):
    faces, roles = every_role
    private = faces.usage == "PrivateTest"
    for name, folds in roles.items():
        held_out = np.stack([role == ("select" if name == "selected_on_test_fold" else "score") for role in folds])
        pooled = ~private if name.startswith("official") else np.ones(len(faces), bool)
        assert (held_out[:, pooled].sum(0) == 1).all(), name
        assert held_out[:, ~pooled].all(), name
        for role in folds:
            labels = faces.labels[(role == folds[0][0]) & pooled]
            assert set(labels) == set(range(7))


def test_who_watches_is_fitted_by_nobody_and_never_scored(every_role):
    faces, roles = every_role
    assert not any((role[faces.usage == "PrivateTest"] != "score").any() for role in roles["official"])
    assert not any((role == "score").any() for role in roles["selected_on_test_fold"])
    for role in roles["as_published"]:
        watched = (role == "select").sum() / np.isin(role, ("fit", "select")).sum()
        assert watched == pytest.approx(0.1, abs=0.004)


def test_grouped_folds_part_no_identical_images(every_role):
    faces, roles = every_role
    for name in ("official", "as_published"):
        for together, role in ((False, roles[name][0]), (True, roles[f"{name}_grouped"][0])):
            straddle = np.isin(faces.identical[role == "score"], faces.identical[np.isin(role, ("fit", "select"))])
            assert straddle.any() != together


# The ViT's heads


@pytest.fixture(scope="module")
def published():
    """A ViT as published, but small: 12 heads, 224 px."""
    return script.vit_backbone(dataclasses.replace(script.PAPER.systems["vit_12_heads"], **SMALL), 224, 12)


@pytest.mark.training
@pytest.mark.parametrize("system", ["vit_8_heads", "vit_12_heads"])
def test_published_weights_go_into_both_readings(published, system):
    import keras

    setup = dataclasses.replace(script.PAPER.systems[system], **SMALL)
    backbone = script.vit_backbone(setup, setup.image_size, setup.heads)
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in backbone.weights]
    script.load_vit(backbone, published)
    attention = 0
    for old, variable, given in zip(before, backbone.weights, published.weights):
        now, value = keras.ops.convert_to_numpy(variable), keras.ops.convert_to_numpy(given)
        if "position_embedding" in variable.path:
            assert now.shape == (10, 96) and value.shape == (197, 96)
            np.testing.assert_allclose(now[0], value[0])
            continue
        np.testing.assert_array_equal(now.ravel(), value.ravel())
        if "kernel" in variable.path and "mha" in variable.path:
            attention += 1
            assert (now != old).any()
            assert (now.shape == value.shape) == (system == "vit_12_heads")
    assert attention == 8  # query, key, value and output of two layers


@pytest.mark.training
def test_nothing_is_skipped_where_weights_do_not_fit(published):
    setup = dataclasses.replace(script.PAPER.systems["vit_8_heads"], **SMALL | {"layers": 3})
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        script.load_vit(script.vit_backbone(setup, 48, 8), published)
    wide = dataclasses.replace(setup, layers=2, width=192)
    with pytest.raises(ValueError, match="does not go into"):
        script.load_vit(script.vit_backbone(wide, 48, 8), published)


def test_positions_of_another_grid():
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(1 + 14 * 14, 5)).astype(np.float32)
    np.testing.assert_allclose(script.resized_positions(positions, 197), positions, atol=1e-5)
    rows = np.repeat(np.linspace(-1, 1, 14, dtype=np.float32), 14)[:, None] * np.ones(5, np.float32)
    found = script.resized_positions(np.concatenate([positions[:1], rows]), 10)
    assert found.shape == (10, 5)
    grid = found[1:].reshape(3, 3, 5)
    np.testing.assert_allclose(grid[:, 0], grid[:, 2], atol=1e-5)
    assert (np.diff(grid[:, 1, 0]) > 0.4).all()


@pytest.mark.training
def test_weights_that_cannot_be_had_end_in_one_sentence(tmp_path):
    (tmp_path / "no.weights.h5").write_text("nothing")
    for system, init in (
        ("resnet50v2", "nowhere.h5"),
        ("vit_8_heads", "nowhere.h5"),
        ("resnet50v2", tmp_path / "no.weights.h5"),
        ("vit_8_heads", tmp_path / "no.weights.h5"),
        ("alexnet", "imagenet"),
        ("vit_small", "imagenet"),
    ):
        setup = dataclasses.replace(script.PAPER.systems[system], init=str(init))
        with pytest.raises(UserError):
            script.build_backbone(setup)


@pytest.mark.training
def test_a_file_like_resnet50v2s_of_imagenet_is_loaded(tmp_path):
    import keras

    blank = keras.applications.ResNet50V2(include_top=False, weights=None, input_shape=(48, 48, 3))
    path = write_legacy_weights(blank, tmp_path / script.RESNET_FILE.rsplit("/", 1)[1])
    setup = dataclasses.replace(script.PAPER.systems["resnet50v2"], image_size=48, init=str(path))
    assert_legacy_weights(script.build_backbone(setup), path, ("conv1_conv", "conv5_block3_3_conv", "post_bn"))


@pytest.mark.smoke
def test_a_published_file_is_read_by_the_command(tmp_path, published):
    path = tmp_path / "vit.weights.h5"
    published.save_weights(path)
    small = ("--layers", 2, "--width", 96, "--mlp-width", 192, "--system", "vit_8_heads", "--fold", 0)
    run_here(*SMOKE, *small, "--init", path, "--runs", tmp_path)
    [folder] = records.find(tmp_path)
    assert records.read(folder)[0].init == str(path)


@pytest.mark.parametrize(("right", "points"), [(0.4, 0), (0.5, 10), (0.7, 30)])
def test_points_above_the_majority_class(right, points):
    """100 held-out rows, 40 of one class; fitted ones count for nothing."""
    label = np.array([3] * 40 + [0] * 30 + [4] * 30 + [1] * 50)
    predicted = np.where(np.arange(150) % 100 < 100 * right, label, (label + 1) % 7)
    found = records.Predictions(
        row_id=np.arange(150),
        usage=np.array(["Training"] * 150),
        role=np.array(["score"] * 100 + ["fit"] * 50),
        label=label,
        epochs=np.array([1]),
        probabilities=np.eye(7, dtype=np.float16)[predicted][None],
    )
    assert script.points_above_majority(found) == pytest.approx(points)
    watched = dataclasses.replace(found, role=np.where(found.role == "score", "select", "fit"))
    assert script.points_above_majority(watched) == pytest.approx(points)


# By its own command


def predictions_of(runs):
    found = {}
    for path in records.find(runs):
        record, _, predictions = records.read(path)
        found[record.system, record.fold] = predictions.probabilities
    return found


@pytest.fixture(scope="module")
def two_folds(few_faces, tmp_path_factory):
    """The folder of the records of every system's first two folds, and of all five of the smallest system's."""
    runs = tmp_path_factory.mktemp("runs")
    random = (*RUN, *few_faces, "--init", "random", "--runs", runs)
    for system in script.PAPER.systems:
        for fold in () if system == SMALLEST else (0, 1):
            run_here(*random, "--system", system, "--fold", fold)
    run_here(*random, "--system", SMALLEST)
    return runs


@pytest.mark.smoke
def test_every_system_runs_its_folds_and_they_are_pooled(two_folds):
    found = predictions_of(two_folds)
    folds_of = {system: range(5 if system == SMALLEST else 2) for system in script.PAPER.systems}
    assert set(found) == {(system, fold) for system, folds in folds_of.items() for fold in folds}
    built = tables.build(two_folds, [claims.load("resnet50v2_vit")], {})
    summary = built["summary"]
    assert set(summary["system"]) == set(script.PAPER.systems) and summary["accuracy"].notna().all()
    assert set(summary["image_set"].map(name_of)) == {
        "pooled (score, out of fold)",
        "PrivateTest (score, mean of the folds' networks)",
    }
    folds = built["folds"]
    assert (folds["folds"] == folds["system"].map(lambda system: len(folds_of[system]))).all()
    named = set(folds["image_set"].map(name_of))
    assert {"pooled (fit)", "pooled (select)", "pooled (score)", "PrivateTest (score)"} <= named


@pytest.mark.smoke
def test_every_image_is_held_out_once_by_the_folds_that_ran(two_folds, few_faces):
    """By all five every image but PrivateTest's, by two their own shares; PrivateTest is scored by each."""
    faces = data.load(str(few_faces[3]), allow_subset=True)
    aside = faces.row_id[faces.usage == "PrivateTest"]
    for system in script.PAPER.systems:
        made = [records.read(path) for path in records.find(two_folds / "resnet50v2_vit" / system)]
        scored = [predictions.row_id[predictions.role == "score"] for _, _, predictions in made]
        assert all(np.isin(aside, own).all() for own in scored)
        held_out = np.concatenate([np.setdiff1d(own, aside) for own in scored])
        assert len(set(held_out)) == len(held_out)
        assert len(held_out) == pytest.approx(len(made) / 5 * (len(faces) - len(aside)), abs=7)


@pytest.mark.smoke
def test_a_fold_that_is_run_alone_comes_to_the_same(two_folds, few_faces, tmp_path):
    checkpoint.COMPILED.clear()  # which folds of one command share
    run_here(*RUN, *few_faces, "--init", "random", "--system", SMALLEST, "--fold", 3, "--runs", tmp_path)
    np.testing.assert_array_equal(predictions_of(tmp_path)[SMALLEST, 3], predictions_of(two_folds)[SMALLEST, 3])


@pytest.mark.smoke
def test_folds_killed_twice_come_to_the_same_predictions(tmp_path):
    """One of the two in the middle of a fold, and one fold run before all others."""
    options = (
        *SMOKE, "--init", "random", "--system", "alexnet", "--epochs", 3, "--filters", 8, 8, 8, 8, 8,
        "--dense-width", 32, "--precision", "float32", "--runs",
    )  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_here(*options, whole)
    run_here(*options, killed, "--fold", 2)
    for finished in (1, 3):
        arguments = [sys.executable, "-m", "fer_common.cli", *map(str, (*options, killed))]
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert wait_for(
            process,
            lambda finished=finished: (
                len(list(records.find(killed))) > finished and any(killed.glob("*/*/.*/checkpoint.npz"))
            ),
        )
        process.kill()
        process.wait(30)
    assert "already run" in run_here(*options, killed).stdout
    first, second = predictions_of(whole), predictions_of(killed)
    assert first.keys() == second.keys() and len(first) == 5
    for key in first:
        np.testing.assert_array_equal(first[key], second[key])


def test_a_fold_that_there_is_not():
    found = run_here(*SMOKE, "--fold", 5, check=False)
    assert found.returncode == 1 and "has folds 0 to 4" in found.stderr
    found = run_here(*SMOKE, "--protocol", "three_way", "--fold", 0, check=False)
    assert found.returncode == 1 and "has no folds" in found.stderr


def test_standardised_images_keep_their_form(faces):
    found = script.standardised(faces.images, "per_image")
    assert found.shape == faces.images.shape and found.dtype == np.uint8
    means = found.reshape(len(found), -1).mean(1)
    assert np.abs(means - 128).max() < 12 < np.ptp(faces.images.reshape(len(faces.images), -1).mean(1))
    assert script.standardised(faces.images, "none") is faces.images
