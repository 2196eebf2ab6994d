"""The laboratory: its network is that of the paper, its plan names what there is, and its own command runs."""

import numpy as np
import pytest

from fer_common import records
from reproductions import cnn_13_epochs, laboratory
from tests.conftest import run_here

SMOKE = ("run", "laboratory", "--preset", "smoke", "--data", "synthetic")


def test_its_network_is_that_of_the_paper():
    for field in ("filters", "dense_widths", "dropouts", "optimizer", "learning_rate", "batch_size", "epochs"):
        assert getattr(laboratory.SYSTEMS["cnn"], field) == getattr(cnn_13_epochs.SYSTEMS["cnn"], field)
    assert laboratory.SYSTEMS["every_epoch"].score_epochs == tuple(range(1, 14))
    plain, mixed = (laboratory.build_model(laboratory.SYSTEMS[name]) for name in ("cnn", "batch_attention"))
    assert plain.count_params() == 1_318_855 < mixed.count_params()


def test_every_system_and_protocol_of_the_plan_is_there():
    protocols = laboratory.PAPER.choices()
    assert set(laboratory.PLAN) == set(laboratory.SYSTEMS)
    assert {name for own in laboratory.PLAN.values() for name in own} <= set(protocols)


@pytest.mark.parametrize("how", ["blurred", "equalised", "upscaled", "jpeg"])
def test_images_are_altered_and_stay_images(how):
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48), dtype=np.uint8)
    found = laboratory.altered(images, how)
    assert found.shape == images.shape and found.dtype == np.uint8 and (found != images).any()
    np.testing.assert_array_equal(laboratory.altered(images, "as they are"), images)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("system", "protocol"), [("batch_attention", "official"), ("standardised", "transforms_without_private")]
)
def test_its_own_command_from_start_to_record(system, protocol, tmp_path):
    run_here(*SMOKE, "--system", system, "--protocol", protocol, "--runs", tmp_path)
    [folder] = records.find(tmp_path)
    record, history, predictions = records.read(folder)
    assert (record.status, len(history)) == ("ok", 13)
    private = predictions.usage == "PrivateTest"
    assert set(predictions.role[private]) == {"score"}
    if system == "batch_attention":
        assert set(record.details["orders"]) == {"class by class", "shuffled", "one by one"}
        assert any("mixes the images of a batch" in note for note in record.notes)
    else:
        assert set(predictions.role[~private]) == {"fit", "seen"}, "the scaler saw what is printed"
