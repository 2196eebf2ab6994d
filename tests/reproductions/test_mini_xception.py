"""mini-Xception: the network that was released, its setup, and its own command from start to record."""

from unittest import mock

import numpy as np
import pytest

from fer_common import records
from fer_common.experiment import machine
from reproductions import mini_xception
from tests.conftest import ROOT, run_here, stop_after_first_epoch

SMOKE = ("run", "mini_xception", "--preset", "smoke", "--data", "synthetic")
WEIGHTS = ROOT.parent / "shared/data/released/fer2013_mini_XCEPTION.102-0.66.hdf5"


def test_the_network_is_the_papers():
    model = mini_xception.build_model(mini_xception.PAPER.systems["mini_xception"])
    names = [type(layer).__name__ for layer in model.layers]
    assert [names.count(name) for name in ("Conv2D", "SeparableConv2D", "BatchNormalization")] == [7, 8, 14]
    assert model.output_shape == (None, 7)
    assert model.count_params() == 58_423, "about 60,000"
    assert len(model.losses) == 2, "only the two first convolutions are penalised"


def test_it_has_the_arrays_of_the_released_network():
    if not WEIGHTS.exists():
        pytest.skip("no released weights on this machine")
    import h5py

    with h5py.File(WEIGHTS) as file:
        weights = file["model_weights"]
        released = sorted(
            weights[layer][name].shape
            for layer in weights
            for name in (own.decode() for own in weights[layer].attrs["weight_names"])
        )
    model = mini_xception.build_model(mini_xception.PAPER.systems["mini_xception"])
    assert sorted(tuple(variable.shape) for variable in model.weights) == released


@pytest.mark.smoke
@pytest.mark.parametrize("protocol", mini_xception.PAPER.protocols)
def test_a_short_run_leaves_its_record(protocol, tmp_path):
    with mock.patch.object(machine, "commit", side_effect=[("as it began", False), ("as it ended", True)]):
        run_here(*SMOKE, "--protocol", protocol, "--epochs", 2, "--runs", tmp_path)
    [folder] = records.find(tmp_path)
    record, history, predictions = records.read(folder)
    assert (record.status, record.protocol, len(history)) == ("ok", protocol, 2)
    assert (record.commit, record.dirty) == ("as it began", False)
    records.verify_metrics(record, record.task, predictions)
    roles = {usage: set(predictions.role[predictions.usage == usage]) for usage in np.unique(predictions.usage)}
    tested = "score" if protocol == "official" else "select"
    assert roles == {"Training": {"fit"}, "PublicTest": {"select"}, "PrivateTest": {tested}}


@pytest.mark.training
def test_a_stopped_run_ends_as_an_uninterrupted_one(tmp_path):
    """With its distortions, and the weights of its best epoch."""
    arguments = (*SMOKE, "--epochs", 2)
    run_here(*arguments, "--runs", tmp_path / "whole")
    stop_after_first_epoch(*arguments, "--runs", tmp_path / "stopped")
    run_here(*arguments, "--runs", tmp_path / "stopped")
    whole, stopped = (records.read(*records.find(tmp_path / name))[2] for name in ("whole", "stopped"))
    np.testing.assert_array_equal(whole.probabilities, stopped.probabilities)
