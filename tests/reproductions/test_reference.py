"""The reference network: what it is, its schedule, and its own command from start to record."""

import numpy as np
import pytest

from fer_common import records
from reproductions import reference
from tests.conftest import run_here

SMOKE = ("run", "reference", "--preset", "smoke", "--data", "synthetic")


def test_the_network_is_plain():
    """Eight convolutions of 3 × 3, each normalised; 118 million multiply-adds for `small`."""
    setup = reference.SYSTEMS["small"]
    model = reference.build_model(setup)
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    assert [layer.filters for layer in convolutions] == [32, 32, 64, 64, 128, 128, 256, 256]
    assert not any(layer.use_bias for layer in convolutions)
    cost = sum(layer.kernel.shape.num_elements() * np.prod(layer.output.shape[1:3]) for layer in convolutions)
    assert 115e6 < cost < 121e6
    assert model.count_params() == 1_176_359
    assert reference.build_model(reference.SYSTEMS["large"]).layers[1].filters == 64


def test_the_rate_warms_up_and_falls_to_nothing():
    setup = reference.SYSTEMS["small"]
    optimizer = reference.build_optimizer(setup, 100)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 150, 300, 3150, 6000)]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.05, 0], abs=1e-6)


def test_normalisation_and_biases_do_not_decay():
    model = reference.build_model(reference.SYSTEMS["small"])
    optimizer = reference.build_optimizer(reference.SYSTEMS["small"], 100)
    optimizer.build(model.trainable_variables)
    decays = {
        variable.path.rsplit("/")[-1] for variable in model.trainable_variables if optimizer._use_weight_decay(variable)
    }
    assert decays == {"kernel"}


def test_smoothed_labels_cost_what_they_should():
    """Against the formula: nine tenths on the label, the rest spread evenly."""
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), 5).astype(np.float32)
    labels = np.arange(5)
    target = np.full((5, 7), 0.1 / 7) + 0.9 * np.eye(7)[labels]
    expected = -(target * np.log(probabilities)).sum(1)
    np.testing.assert_allclose(reference.smoothed(0.1)(labels, probabilities), expected, rtol=1e-5)


@pytest.mark.smoke
def test_the_network_runs_and_is_asked_about_mirror_images_too(tmp_path):
    run_here(*SMOKE, "--system", "small_flip", "--runs", tmp_path)
    found = {folder.parent.name: records.read(folder) for folder in records.find(tmp_path)}
    assert set(found) == {"small", "small_flip"}
    (record, history, plain), (flipped, no_history, both) = found["small"], found["small_flip"]
    assert (record.status, len(history), flipped.status, no_history) == ("ok", 2, "ok", [])
    assert "flip test-time augmentation" in flipped.notes and flipped.parameters == record.parameters
    for predictions in (plain, both):
        records.verify_metrics(record if predictions is plain else flipped, "expression", predictions)
    assert (plain.probabilities != both.probabilities).any()
    np.testing.assert_allclose(both.probabilities.astype(float).sum(-1), 1, atol=0.01)
    refused = run_here(*SMOKE, "--system", "small_flip", "--epochs", 3, "--runs", tmp_path, check=False)
    assert refused.returncode == 1 and "nothing of it can be changed" in refused.stderr
    (next((tmp_path / "reference" / "small").iterdir()) / "model.keras").unlink()
    refused = run_here(*SMOKE, "--system", "small_flip", "--again", "--runs", tmp_path, check=False)
    assert "has no model.keras" in refused.stderr
