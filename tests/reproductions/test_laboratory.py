"""The laboratory: its network is that of the paper, its plan names what there is, and its own command runs."""

from unittest import mock

import numpy as np
import pytest

from fer_common import experiment, records
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


@pytest.mark.training
def test_the_command_runs_what_is_missing_a_seed_at_a_time(tmp_path):
    """Each fold is a run; of what is there, nothing is repeated."""
    asked = ("lab", "--preset", "smoke", "--data", "synthetic", "--runs", tmp_path / "runs")
    with mock.patch.object(experiment, "command") as command:
        printed = run_here(*asked, "--seeds", "2").stdout
    wanted = [call.args[1] for call in command.call_args_list]
    folds = 5 * sum("folds_without_private" in own for own in laboratory.PLAN.values())
    each = sum(map(len, laboratory.PLAN.values())) + folds - 1
    assert len(wanted) == 2 * each == len({tuple(argv) for argv in wanted})
    seeds = [int(argv[argv.index("--seed") + 1]) for argv in wanted]
    assert seeds == [0] * each + [1] * each and f"{2 * each} runs, 0 done, {2 * each} missing" in printed
    run_here("run", "laboratory", *wanted[0])
    with mock.patch.object(experiment, "command") as command:
        run_here(*asked, "--seeds", "2")
    assert [call.args[1] for call in command.call_args_list] == wanted[1:]
    assert "--seeds 0: one or more" in run_here("lab", "--seeds", "0", check=False).stderr


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
