"""ResNet50 features and boosted trees: who sees what under each protocol, the readings, and the weights' forms."""

import dataclasses
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from fer_common import UserError, claims, data, experiment, pipeline, records, splits
from fer_common.data import EMOTIONS, synthetic
from fer_common.results import tables
from reproductions import resnet50_xgboost as script
from tests.conftest import assert_can_be_drawn, assert_legacy_weights, run_here, write_legacy_weights

RUN = ("run", "resnet50_xgboost")


def roles(faces, protocol, seed=0):
    """(data, role) as a run has them."""
    return script.PAPER.protocols[protocol].split(faces, seed)


# Protocols


@pytest.fixture(scope="module")
def real_faces(real):
    return data.load(str(real))


def test_the_shares_are_what_their_names_say(real_faces):
    def share(protocol):
        prepared, role = roles(real_faces, protocol)
        counts = {name: int((role == name).sum()) for name in splits.ROLES if name != "unknown"}
        assert sum(counts.values()) == len(prepared)
        return counts

    assert share("official") == {
        "fit": 28_709, "select": 3_589, "score": 3_589, "seen": 0, "unused": 0,
    }  # fmt: skip
    assert share("official_80_20")["score"] == 7_178
    for protocol in ("split_80_20", "split_80_20_grouped"):
        counts = share(protocol)
        assert counts["score"] == pytest.approx(0.2 * 35_887, rel=0.03) and counts["seen"] == 0
        assert counts["select"] == pytest.approx(0.08 * 35_887, rel=0.03)
    assert share("training_80_20")["score"] == pytest.approx(0.2 * 28_709, abs=2)
    assert share("named_80_20")["score"] == pytest.approx(0.2 * 32_298, abs=2)
    assert share("fit_transforms_before_split")["score"] == 0
    assert share("fit_transforms_before_split")["seen"] == pytest.approx(0.2 * 35_887, abs=2)
    assert share("train_as_test")["score"] == share("all_rows")["score"] == 0
    assert share("all_rows")["fit"] == 35_887
    copies = share("oversample_before_split")
    assert copies["seen"] + copies["score"] == pytest.approx(0.2 * 7 * 8_989, abs=2)
    assert copies["seen"] > copies["score"]  # most test images have a copy in training
    mirrored = share("augment_before_split")
    assert mirrored["seen"] + mirrored["score"] == pytest.approx(0.4 * 35_887, abs=2)


def test_what_draws_nothing_says_so():
    official, drawn = (script.PAPER.protocols[word] for word in ("official", "split_80_20"))
    says = script.PAPER.without_randomness
    assert says("proposed", official, "imagenet") and says("svm", official, "finetuned")
    for chosen in (("proposed_dart", official, "imagenet"), ("random_forest", official, "imagenet")):
        assert not says(*chosen)
    assert not says("proposed", official, "random") and not says("proposed", drawn, "imagenet")


@pytest.mark.parametrize("which", ["drawn", "real"])
def test_grouped_keeps_identical_images_on_one_side(which, request):
    drawn = which == "drawn"
    faces = synthetic.draw(3000, seed=3, duplicates=0.1) if drawn else request.getfixturevalue("real_faces")
    _, role = roles(faces, "split_80_20_grouped")
    fitted, scored = (set(faces.identical[role == name]) for name in ("fit", "score"))
    assert not fitted & scored
    _, plain = roles(faces, "split_80_20")
    assert set(faces.identical[plain == "fit"]) & set(faces.identical[plain == "score"])


def test_oversampling_balances_and_mirror_images_are_mirrored(faces):
    repeated, _ = roles(faces, "oversample_before_split")
    counts = np.bincount(repeated.labels)
    assert len(set(counts)) == 1 and counts[0] == np.bincount(faces.labels).max()
    assert set(repeated.row_id) == set(faces.row_id)
    twice, _ = roles(faces, "augment_before_split")
    np.testing.assert_array_equal(twice.images[len(faces) :], faces.images[:, :, ::-1])
    np.testing.assert_array_equal(twice.row_id[: len(faces)], twice.row_id[len(faces) :])


def run_on(faces, protocol, tmp_path, **changes):
    """A Run outside of the command line, and the features that its setup asks for."""
    prepared, role = roles(faces, protocol)
    setup = dataclasses.replace(script.PAPER.systems["proposed"], init="random", image_size=32, **changes)
    record = records.Record(
        paper="resnet50_xgboost",
        system="proposed",
        protocol=protocol,
        init="random",
        seed=0,
        preset="smoke",
        changes={},
        setup={},
        data={"source": "synthetic", "fingerprint": prepared.fingerprint, "rows": len(prepared)},
    )
    run = experiment.Run(record, setup, prepared, role, tmp_path, experiment.Options(runs=tmp_path), script.PAPER)
    run._start()
    return run


@pytest.mark.smoke
def test_only_the_leaky_protocol_fits_its_transforms_on_scored_rows(tmp_path):
    faces = synthetic.draw(1200, seed=1)
    honest = run_on(faces, "split_80_20", tmp_path, selected=40)
    found = script.features_for(honest)
    fit = honest.rows("fit")
    assert found.shape == (len(faces), 40)
    np.testing.assert_allclose(found[fit].mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(found[fit].std(0), 1, atol=1e-3)
    assert np.abs(found.mean(0)).max() > 0.003
    leaky = run_on(faces, "fit_transforms_before_split", tmp_path, selected=40)
    np.testing.assert_allclose(script.features_for(leaky).mean(0), 0, atol=1e-3)
    every = script.features_for(run_on(faces, "split_80_20", tmp_path, selected=0))
    assert every.shape == (len(faces), 256 + 512 + 1024 + 2048)


# What goes into the network


def test_imagenet_weights_meet_keras_own_preprocessing(faces):
    import keras

    images = faces.images[:4]
    batches = pipeline.in_order(
        images, None, range(4), batch_size=4, preprocessing=script.preprocessing_of("imagenet", 48)
    )
    ours = np.concatenate([np.asarray(batch) for batch in batches])
    rgb = np.repeat(images[..., None].astype(np.float32), 3, -1)
    np.testing.assert_allclose(ours, keras.applications.resnet50.preprocess_input(rgb), atol=1e-4)


@pytest.fixture(scope="module")
def legacy_file(tmp_path_factory):
    """Random weights in the layout of the file that Keras publishes for ImageNet: HDF5 of Keras 2, without a top."""
    import keras

    pipeline.start(None)
    keras.utils.set_random_seed(5)
    network = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(48, 48, 3))
    folder = tmp_path_factory.mktemp("weights")
    return write_legacy_weights(network, folder / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5")


@pytest.mark.training
def test_a_file_like_imagenets_is_loaded(legacy_file):
    network = script.build_network(48, str(legacy_file))
    assert_legacy_weights(network, legacy_file, ("conv1_conv", "conv5_block3_3_bn"))


@pytest.mark.training
def test_weights_that_cannot_be_had_end_in_a_sentence(tmp_path, monkeypatch, legacy_file):
    import keras

    with pytest.raises(UserError, match="no such file; random, finetuned, imagenet"):
        script.build_network(48, str(tmp_path / "absent.h5"))
    (tmp_path / "other.h5").write_bytes(legacy_file.read_bytes()[:100_000])
    with pytest.raises(UserError, match="does not hold the weights of a ResNet50"):
        script.build_network(48, str(tmp_path / "other.h5"))

    def no_network(*arguments, **options):
        raise Exception("URL fetch failure on …: None -- [Errno -3] Temporary failure in name resolution")

    monkeypatch.setattr(keras.src.applications.resnet.file_utils, "get_file", no_network)
    with pytest.raises(UserError, match="could not be downloaded .* say --init PATH, or choose --init random"):
        script.build_network(48, "imagenet")


# The classifier


def test_a_leaf_weighs_what_the_papers_equations_say():
    """Equations 1 and 2 without regularisation: the split of the highest gain, and −S/V in each leaf."""
    import xgboost as xgb

    setup = script.PAPER.systems["proposed"]
    rng = np.random.default_rng(0)
    found, labels = rng.normal(size=(200, 1)).astype(np.float32), rng.integers(0, 2, 200)
    labels[found[:, 0] > 0.3] = 1
    parameters = {"objective": "binary:logistic", "max_depth": 1, "eta": 1.0, "base_score": 0.5}
    # Every threshold is tried, not the quantiles that the histogram method tries.
    parameters |= {"lambda": setup.reg_lambda, "gamma": setup.gamma, "tree_method": "exact"}
    tree = xgb.train(parameters, xgb.DMatrix(found, labels), 1).trees_to_dataframe()
    threshold = tree.loc[0, "Split"]
    slope, curvature = 0.5 - labels, np.full(200, 0.25)

    def gain(cut):
        sides = (found[:, 0] < cut, found[:, 0] >= cut, np.ones(200, bool))
        left, right, both = (slope[s].sum() ** 2 / curvature[s].sum() for s in sides)
        return left + right - both

    candidates = np.sort(found[:, 0])[5:-5]
    assert gain(threshold) == pytest.approx(max(map(gain, candidates)), rel=1e-4)
    for side, leaf in ((found[:, 0] < threshold, 1), (found[:, 0] >= threshold, 2)):
        assert tree.loc[leaf, "Gain"] == pytest.approx(-slope[side].sum() / curvature[side].sum(), rel=1e-4)


def test_class_weights_are_balanced_with_mean_one():
    labels = np.repeat(np.arange(7), [1, 2, 3, 4, 5, 6, 70])
    weights = script.balanced(labels)
    assert weights.mean() == pytest.approx(1)
    totals = [weights[labels == label].sum() for label in range(7)]
    np.testing.assert_allclose(totals, totals[0])


@pytest.mark.smoke
def test_the_leaf_weights_of_a_step_have_norm_1():
    import xgboost

    rng = np.random.default_rng(0)
    matrix = xgboost.DMatrix(rng.normal(size=(500, 5)), rng.integers(0, 3, 500))
    trees = xgboost.train({"objective": "multi:softprob", "num_class": 3, "max_depth": 3, "base_score": 0.0}, matrix, 1)
    step = script.step_of_norm_1(trees, matrix)
    # Every leaf holds images, so the values of a class over all images are the weights of its tree's leaves.
    assert [np.linalg.norm(np.unique(step[:, k])) for k in range(3)] == pytest.approx([1, 1, 1], abs=1e-5)


# By its own command


@pytest.fixture(scope="module")
def every_system(few_faces, tmp_path_factory):
    """(folder of the records of every system, what was printed); the network of the extractor was kept."""
    runs = tmp_path_factory.mktemp("runs")
    run_here(*RUN, *few_faces, "--system", "extractor", "--save-model", "--runs", runs)
    return runs, run_here(*RUN, *few_faces, "--system", "all", "--runs", runs)


@pytest.mark.smoke
def test_every_system_leaves_a_record(every_system):
    runs, printed = every_system
    assert "error" not in printed.stderr and "already run" in printed.stdout
    made = {found[0].system: found for found in map(records.read, records.find(runs))}
    assert set(made) == set(script.PAPER.systems) - {"extractor_continued"}
    _, _, first = made["dcnn_1"]
    _, _, second = made["dcnn_2"]
    fused = made["emnet_average"][2].probabilities[-1].astype(float)
    members = [p.probabilities[-1].astype(float) for p in (first, second)]
    np.testing.assert_allclose(fused, np.mean(members, axis=0), atol=1e-3)
    record, _, weighted = made["emnet_weighted_maximum"]
    weights = [record.details["accuracies_on_select"][name] for name in ("dcnn_1", "dcnn_2")]
    highest = np.maximum(weights[0] * members[0], weights[1] * members[1])
    expected = highest / highest.sum(1, keepdims=True)
    np.testing.assert_allclose(weighted.probabilities[-1].astype(float), expected, atol=2e-3)
    assert made["proposed"][2].probabilities.shape == (1, len(fused), len(EMOTIONS))


@pytest.mark.smoke
def test_every_kind_of_run_can_be_drawn(every_system, tmp_path):
    """A history of Keras's, of boosting, of a classifier's epochs, of one row."""
    assert_can_be_drawn(every_system[0], ("extractor", "proposed", "neural_network", "emnet_average"), tmp_path)


def trained_extractor(runs, faces, seed=0, learning_rate=0.001, preset="full", init="random"):
    """The folder of an extractor's record whose network was kept; nothing is trained."""
    setup = dataclasses.replace(script.PAPER.systems["extractor"], init=init, learning_rate=learning_rate)
    changes = {} if learning_rate == 0.001 else {"learning_rate": learning_rate}
    record = records.Record(
        paper="resnet50_xgboost",
        system="extractor",
        protocol="official",
        init=init,
        seed=seed,
        preset="custom" if changes else preset,
        changes=changes,
        setup=dataclasses.asdict(setup),
        epochs_run=1,
        data={"source": "fer2013", "fingerprint": faces.fingerprint, "rows": len(faces)},
    )
    network = runs / "model.keras"
    network.parent.mkdir(exist_ok=True)
    network.write_bytes(b"a network")
    predictions = records.Predictions(
        row_id=faces.row_id,
        usage=faces.usage,
        role=splits.official(faces),
        label=faces.labels,
        epochs=np.array([1], np.int16),
        probabilities=np.full((1, len(faces), 7), 1 / 7, np.float16),
    )
    folder = records.folder(runs, record)
    records.write(folder, record, [{"epoch": 1, "running_loss": 1.0}], predictions, [network])
    return folder


def test_the_extractor_that_is_taken_is_the_one_whose_setup_is_unchanged(faces, tmp_path):
    protocol = script.PAPER.protocols["official"]

    def taken(runs, seed=0, preset="full"):
        record = records.Record(
            paper="resnet50_xgboost", system="proposed", protocol="official", init="finetuned", seed=seed,
            preset=preset, changes={}, setup={}, data={"fingerprint": faces.fingerprint},
        )  # fmt: skip
        return script.finetuned_record(record, experiment.Options(runs=runs), protocol)

    runs = tmp_path / "runs"
    for rate in (0.1, 0.01, 0.0001, 0.00001):
        trained_extractor(runs, faces, learning_rate=rate)
    with pytest.raises(UserError, match="with its setup as it is"):
        taken(runs)
    whole = trained_extractor(runs, faces)
    assert whole != next(iter(sorted(whole.parent.iterdir()))), "globbing should find a changed one first"
    assert taken(runs) == taken(runs, seed=4) == whole
    with pytest.raises(UserError, match="which is not under"):
        taken(runs, preset="smoke")
    fourth = trained_extractor(runs, faces, seed=4)
    assert taken(runs, seed=4) == fourth and taken(runs, seed=3) == whole
    other = trained_extractor(runs, faces, init="imagenet")
    with pytest.raises(UserError, match="may mean any of") as error:
        taken(runs)
    assert other.name in str(error.value) and whole.name in str(error.value)


@pytest.mark.smoke
def test_a_fine_tuned_extractor_says_what_it_has_seen(every_system, few_faces, tmp_path):
    """From the extractor's own run to the notes in the table: none of it can be left out."""

    def smoke(*arguments, check=True):
        return run_here(*RUN, *few_faces, "--runs", tmp_path, *arguments, check=check)

    missing = smoke("--init", "finetuned", check=False)
    assert missing.returncode == 1 and "--system extractor --protocol official" in missing.stderr
    shutil.copytree(every_system[0] / "resnet50_xgboost/extractor", tmp_path / "resnet50_xgboost/extractor")
    smoke("--init", "finetuned")
    smoke("--init", "finetuned", "--protocol", "split_80_20")
    smoke("--system", "extractor_continued", "--init", "finetuned", "--protocol", "all_rows", "--save-model")
    smoke("--init", "finetuned", "--protocol", "extractor_sees_test")
    refused = smoke("--init", "random", "--protocol", "extractor_sees_test", check=False)
    assert "say --init finetuned" in refused.stderr
    made = {
        folder.name.rsplit("-seed", 1)[0]: records.read(folder)
        for folder in records.find(tmp_path / "resnet50_xgboost" / "proposed")
    }
    record, _, predictions = made["official-finetuned"]
    assert any(note.startswith("undertrained") for note in record.notes)
    assert (predictions.role[predictions.usage == "PrivateTest"] == "score").all()
    record, _, predictions = made["split_80_20-finetuned"]
    assert "the extractor has seen scored rows" in record.notes
    test = np.isin(predictions.role, ("score", "seen"))
    assert set(predictions.role[test & (predictions.usage == "Training")]) == {"seen"}
    assert set(predictions.role[test & (predictions.usage != "Training")]) == {"score"}
    record, _, predictions = made["extractor_sees_test-finetuned"]
    assert "score" not in predictions.role
    built = tables.build(tmp_path, [claims.load("resnet50_xgboost")], {})
    rows = built["protocols"].set_index("protocol")
    proposed = rows[(rows["system"] == "proposed")]
    assert "seen" in proposed.loc["split_80_20", "notes"]
    assert np.isnan(proposed.loc["extractor_sees_test", "unseen accuracy"])
    assert made["official-finetuned"][0].details["extractor"]["epochs"] == 1


def test_filters_change_images_and_keep_their_form(faces):
    images = faces.images[:5]
    assert script.filtered(images, "none", "none") is images
    kinds = [("none", kind) for kind in ("gaussian", "bilateral", "nonlocal_means", "hybrid")]
    made = [script.filtered(images, *kind) for kind in [*kinds, ("equalise", "none"), ("clahe", "none")]]
    assert len({found.tobytes() for found in made}) == len(made)

    def roughness(found):
        return np.abs(np.diff(found.astype(float), axis=2)).mean()

    assert all(found.shape == images.shape and found.dtype == np.uint8 for found in made)
    assert all(roughness(found) < roughness(images) for found in made[:4])


@pytest.mark.parametrize("protocol", ["fit_transforms_before_split", "transforms_without_private"])
def test_transforms_before_the_split_never_see_what_is_kept_aside(protocol):
    faces = synthetic.draw(1400, seed=0)
    data, role = script.PAPER.choices()[protocol].split(faces, 0, None)
    run = SimpleNamespace(protocol=script.PAPER.choices()[protocol], role=role, data=data)
    rows = script.rows_of_transforms(run)
    assert not (role[rows] == "score").any() and (role[rows] == "seen").any() and (role[rows] == "fit").any()
    assert set(role[np.setdiff1d(np.arange(len(role)), rows)]) <= {"score"}
