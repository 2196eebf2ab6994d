"""Which runs a plan has, what they need, and what has become of them, told from files alone."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from filelock import FileLock

from fer_common import UserError, cli, experiment, records
from fer_common.data import synthetic
from fer_common.experiment import running
from fer_common.sweep import attempt, engines, gather, plan, state
from reproductions import load
from tests import builders
from tests.conftest import command, csv_lines

PAPER = str(Path(__file__).parent / "own_paper.py")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> str:
    """700 drawn faces as a copy of FER2013."""
    path = tmp_path_factory.mktemp("copy") / "fer2013.csv"
    path.write_text("\n".join(csv_lines(synthetic.draw(700, seed=1))))
    return str(path)


@pytest.fixture
def planned(copy, tmp_path):
    """function(papers, **choice) that returns the lines of a plan under `tmp_path`."""

    def make(*papers: str, known=(), **choice) -> list[plan.Line]:
        chosen = plan.Choice(data=copy, allow_subset=True, runs=tmp_path / "runs", **choice)
        return plan.make({name: load(name) for name in papers}, chosen, known)

    return make


def test_numbers():
    assert plan.numbers("0-2,5, 7-7") == (0, 1, 2, 5, 7)
    for wrong in ("", "x", "3-", "-1", "1.5", "0-99999999"):
        with pytest.raises(UserError, match="numbers"):
            plan.numbers(wrong)


def test_a_plan_is_every_seed_and_fold_of_every_system(planned):
    lines = planned(PAPER, systems=("linear",), protocols=("all",), seeds=(0, 3))
    assert [line.id.removeprefix("own_paper/linear/") for line in lines] == [
        "official-random-seed0",
        "official-random-seed3",
        *(f"folds-random-seed{seed}-fold{fold}" for seed in (0, 3) for fold in range(5)),
    ]
    assert len({line.record for line in lines}) == 12 and all(line.argv[:2] == ["run", PAPER] for line in lines)


def test_the_folder_in_a_plan_is_the_folder_of_the_run(planned, copy):
    """Of a protocol that repeats images, on a part of the data: all that the name of a record depends on."""
    [line] = planned("laboratory", protocols=("oversample_without_private",), systems=("cnn",), preset="smoke")
    system, protocol, setup, options, given = experiment.parse(load("laboratory"), line.argv[2:])
    run = running._prepared(load("laboratory"), system, protocol, setup, options, given)
    assert Path(line.record) == records.folder(options.runs, run.record)
    assert run.record.data["rows"] == len(run.data) > 700


def test_what_a_run_needs_stands_before_it(planned):
    lines = planned(PAPER, systems=("later", "linear"), seeds=(0, 1))
    order = [line.id for line in lines]
    assert order == [f"own_paper/{s}/official-random-seed{k}" for k in (0, 1) for s in ("linear", "later")]
    assert [line.after for line in lines] == [[], [order[0]], [], [order[2]]]


def test_features_wait_for_their_extractor_whose_name_tells_theirs(planned):
    """One extractor serves all seeds, unless a seed's own is planned."""
    further = {"further": ("--init", "finetuned"), "seeds": (0, 1)}
    lines = {line.id.partition("/")[2]: line for line in planned("resnet50_xgboost", systems=("svm",), **further)}
    extractor = "resnet50_xgboost/extractor/official-random-seed0"
    assert list(lines) == [
        "extractor/official-random-seed0",
        "svm/official-finetuned-seed0",
        "svm/official-finetuned-seed1",
    ]
    for seed in (0, 1):
        line = lines[f"svm/official-finetuned-seed{seed}"]
        assert line.after == [extractor] and line.record is None
    assert "--save-model" in lines["extractor/official-random-seed0"].argv

    [sees_test] = [
        line
        for line in planned("resnet50_xgboost", systems=("svm",), protocols=("extractor_sees_test",), **further)
        if line.id.endswith("extractor_sees_test-finetuned-seed1")
    ]
    assert sees_test.after == ["resnet50_xgboost/extractor_continued/all_rows-finetuned-seed0"]


def test_a_gpu_is_named(monkeypatch):
    import keras

    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0", "gpu:1"])
    monkeypatch.setattr(plan.machine, "_of_nvidia_smi", lambda *arguments: ["NVIDIA H100", "NVIDIA H100"])
    assert plan.machine.device() == "gpu:0, gpu:1 (NVIDIA H100)"
    assert records.is_accelerator(plan.machine.device())
    monkeypatch.setattr(plan.machine, "_of_nvidia_smi", lambda *arguments: [])
    assert plan.machine.device() == "gpu:0, gpu:1"
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0"])
    assert plan.machine.device() == plan.machine.processor()
    assert not records.is_accelerator(plan.machine.processor())


def test_every_script_names_what_it_asks_for():
    """`Run.other` refuses a system that `needs` does not name, so that a sweep never starts a run too early."""
    paper = load(PAPER)
    forgetful = dataclasses.replace(paper, needs=lambda system, setup, protocol: ())
    run = object.__new__(experiment.Run)
    run.paper, run.setup, run.protocol = forgetful, paper.systems["later"], paper.protocols["official"]
    run.record = builders.record(system="later")
    with pytest.raises(ValueError, match="asks for linear, which `needs` of own_paper does not name"):
        run.other("linear")


def test_minutes_come_from_records_of_the_same_setup(planned, monkeypatch):
    [line] = planned("cnn_13_epochs", systems=("cnn",))
    record = next(
        found
        for path in records.find(cli.ROOT / cli.RUNS / "cnn_13_epochs" / "cnn")
        if (found := records.read_record(path)).protocol == "official" and found.preset == "full"
    )
    minutes = record.epochs_run * record.seconds_per_epoch / 60
    assert line.minutes is None
    here = msgspec.structs.replace(record, device=plan.machine.processor())
    assert planned("cnn_13_epochs", systems=("cnn",), known=[here])[0].minutes == pytest.approx(minutes, abs=0.01)
    monkeypatch.setattr(plan, "product_seconds", lambda: 2 * plan.PRODUCT)
    elsewhere = msgspec.structs.replace(record, device="another processor")
    assert planned("cnn_13_epochs", systems=("cnn",), known=[elsewhere])[0].minutes == pytest.approx(
        2 * minutes, abs=0.01
    )
    on_a_gpu = msgspec.structs.replace(record, device="gpu:0 (NVIDIA H100 80GB HBM3)")
    monkeypatch.setattr(plan.machine, "gpus_here", lambda: ())
    assert planned("cnn_13_epochs", systems=("cnn",), known=[on_a_gpu])[0].minutes is None
    monkeypatch.setattr(plan.machine, "gpus_here", lambda: ("0",))
    known = [on_a_gpu, elsewhere]
    assert planned("cnn_13_epochs", systems=("cnn",), known=known)[0].minutes == pytest.approx(minutes, abs=0.01)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "plans no run"),
        ("nonsense\n", "line 1: no run of a plan"),
        ('{"id": "a"}\n', "line 1: no run of a plan"),
    ],
)
def test_a_broken_plan_is_refused_by_its_line(tmp_path, text, says):
    (tmp_path / "plan.jsonl").write_text(text)
    with pytest.raises(UserError, match=says):
        plan.read(tmp_path / "plan.jsonl")


def test_a_plan_that_names_what_it_has_not_is_refused(planned, tmp_path):
    lines = planned(PAPER, systems=("later",))
    plan.write(lines, tmp_path / "whole.jsonl")
    assert plan.read(tmp_path / "whole.jsonl") == lines
    for wrong, says in ((lines[1:], "which it needs, does not stand before it"), (lines[:1] * 2, "planned twice")):
        plan.write(wrong, tmp_path / "wrong.jsonl")
        with pytest.raises(UserError, match=says):
            plan.read(tmp_path / "wrong.jsonl")


# What has become of a run


def test_states_are_told_from_files(tmp_path):
    folder = tmp_path / "runs" / "paper" / "cnn" / "official-random-seed0-00000000"
    assert state.look(folder).kind == "missing"
    partial = records.partial_folder(folder)
    partial.mkdir(parents=True)
    history = [{"epoch": 1, "running_loss": 1.5}, {"epoch": 2, "running_loss": 1.25}]
    np.savez(partial / "checkpoint.npz", state=np.array(json.dumps({"history": history, "epochs": 13})))
    assert str(state.look(folder)) == "epoch 2 of 13, loss 1.25" and state.look(folder).kind == "stopped"
    with FileLock(partial / "lock"):
        assert state.look(folder).kind == "running"
    assert state.look(folder).kind == "stopped"
    state.write_failure(folder, state.Failure("it diverged", 1, 1, "here", "now"))
    assert state.look(folder) == state.State("failed", reason="it diverged")
    folder.mkdir()
    (folder / "record.json").write_text('{"status": "ok", "epochs_run": 13}')
    assert state.look(folder).kind == "done"
    assert state.look(folder, network=True).kind == "failed", "its network is what others wait for"
    (folder / "record.json").write_text("{")
    state.write_failure(folder, None)
    assert "cannot be read" in state.look(folder).reason


def test_what_needs_a_failed_run_says_so(planned):
    lines = planned(PAPER, systems=("later",))
    state.write_failure(Path(lines[0].record), state.Failure("it diverged", 1, 1, "here", "now"))
    found = state.States(lines, lambda line: pytest.fail("its record has a name")).all()
    assert found[lines[1].id].reason == f"needs {lines[0].id}, which failed"
    assert "1 failed, 1 waiting" in state.text(state.States(lines, Path))


# What a run is told


def test_a_share_is_told_by_environment():
    of_gpu = attempt.Share(1, ("3",), 0.25).environment()
    assert of_gpu["CUDA_VISIBLE_DEVICES"] == "3" and of_gpu["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert float(of_gpu["XLA_PYTHON_CLIENT_MEM_FRACTION"]) < 0.25, "something is left for the driver"
    assert attempt.Share(2).environment() == {
        "OMP_NUM_THREADS": "2",
        "TF_NUM_INTRAOP_THREADS": "2",
        "TF_NUM_INTEROP_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "",
    }


def test_shares_of_gpus_are_packed_and_given_back(planned, monkeypatch):
    """Two GPUs, runs of half of one, and one of both: as their environment tells, without a GPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    seen = []

    def pretended(line, folder, share, cwd, stop):
        seen.append(share.environment()["CUDA_VISIBLE_DEVICES"])
        stop.wait(10)

    monkeypatch.setattr(engines, "attempt", pretended)
    local = engines.Local(workers=8, gpus_per_run=0.5)
    lines = planned(PAPER, systems=("linear",), seeds=tuple(range(6)))
    started = 0
    while local.has_room(lines[started]):
        local.submit(lines[started], Path(lines[started].record))
        started += 1
    assert started == 4
    local.stop()
    assert sorted(seen) == ["4", "4", "7", "7"] and set(local.gpus.values()) == {1.0}
    whole = engines.Local(gpus_per_run=2)
    whole.submit(lines[0], Path(lines[0].record))
    assert not whole.has_room(lines[1])
    whole.stop()
    assert seen[-1] == "4,7"
    with pytest.raises(UserError, match="needs 3 GPUs, and CUDA sees 2 here"):
        engines.Local(gpus_per_run=3).has_room(lines[0])


def test_cores_and_memory_are_slots(planned, monkeypatch):
    monkeypatch.setattr(engines, "attempt", lambda line, folder, share, cwd, stop: stop.wait(10))
    monkeypatch.setattr(engines, "cores_here", lambda: 8)
    monkeypatch.setattr(engines, "memory_here", lambda: 10.0)
    lines = planned(PAPER, systems=("linear",), seeds=tuple(range(6)))  # 2 cores and 3 GB each

    def at_once(local) -> int:
        started = 0
        while started < len(lines) and local.has_room(lines[started]):
            local.submit(lines[started], Path(lines[started].record))
            started += 1
        local.stop()
        return started

    assert at_once(engines.Local()) == 3, "memory is what there is least of"
    monkeypatch.setattr(engines, "memory_here", lambda: 100.0)
    assert at_once(engines.Local()) == 4
    assert at_once(engines.Local(workers=2)) == 2


# Records of several machines


def test_gathered_records_are_one_each_and_contradictions_are_named(tmp_path):
    committed = cli.ROOT / cli.RUNS
    found = list(records.find(committed / "multitask_lightweight" / "quantized"))[:2]
    for name in ("a", "b"):
        for path in found[: 1 + (name == "b")]:
            shutil.copytree(path, tmp_path / name / path.relative_to(committed))
    gathered = gather.gather([tmp_path / "a", tmp_path / "b"], tmp_path / "runs")
    assert (len(gathered.new), len(gathered.same), gathered.refused) == (2, 1, {})
    assert {path.name for path in records.find(tmp_path / "runs")} == {path.name for path in found}
    again = gather.gather([tmp_path / "b"], tmp_path / "runs")
    assert (len(again.new), len(again.same)) == (0, 2)

    changed = tmp_path / "b" / found[0].relative_to(committed)
    record, history, predictions = records.read(changed)
    other = dataclasses.replace(predictions, probabilities=predictions.probabilities[:, ::-1])
    shutil.rmtree(changed)
    records.write(changed, record, history, other)
    refused = gather.gather([tmp_path / "b"], tmp_path / "runs").refused
    assert list(refused) == [changed] and "is the same run and its probabilities differ by up to" in refused[changed]
    with pytest.raises(UserError, match="no record below it"):
        gather.gather([tmp_path / "nothing"], tmp_path / "runs")


# What is typed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("plan", "--papers", "cnn_13_epoch"), "near it: cnn_13_epochs"),
        (("plan", "--systems", "cn"), "There is no system of these papers 'cn'; near it: cnn"),
        (("plan", "--protocols", "oficial"), "near it: official"),
        (("plan", "--seeds", "x"), "no list of numbers"),
        (("plan", "--cores", "0"), "a run needs one core"),
        (("sweep", "nowhere.jsonl"), "`ferrepro plan --out nowhere.jsonl` makes it"),
        (("sweep", "nowhere.jsonl", "--workers", "0"), "--workers 0"),
        (("sweep", "nowhere.jsonl", "--gpus-per-run", "1.5"), "a share below 1, or a whole number"),
        (("sweep", "nowhere.jsonl", "--address", "auto"), "say --engine ray"),
        (("status", "nowhere.jsonl"), "cannot be read"),
        (("run", "--plan", "nowhere.jsonl", "--index", "0"), "cannot be read"),
        (("gather",), "Say which folders"),
        (("run", "nowhere.py"), "nowhere.py: no such script"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(arguments, says):
    ended = command(*arguments, check=False, env={"FER2013": "synthetic"})
    assert ended.returncode == 1 and says in ended.stderr and "Traceback" not in ended.stderr


def test_a_script_that_is_no_paper_is_refused_with_its_reason(tmp_path):
    for text, says in (
        ("x = 1\n", "hands over no `PAPER = experiment.Paper"),
        ("import nothing_of_the_kind\n", "line 1: ModuleNotFoundError: No module named 'nothing_of_the_kind'"),
        ("from fer_common import experiment\nPAPER = 1\n", "hands over no `PAPER"),
        (
            Path(PAPER).read_text(),
            "the id of its PAPER is 'own_paper'; it has to be 'other_name', the name of the script",
        ),
    ):
        (tmp_path / "other_name.py").write_text(text)
        with pytest.raises(UserError, match=says.replace("(", r"\(")):
            load(str(tmp_path / "other_name.py"))
        sys.modules.pop("other_name", None)


def test_help_of_run_lists_every_paper_and_what_it_takes():
    printed = command("run", "--help").stdout
    assert "path/to/my_paper.py" in printed and "--plan PLAN --index N" in printed
    for name in ("cnn_13_epochs", "resnet50_xgboost"):
        assert f"{name}: " in printed
    assert "--system cnn, cnn_sgd" in printed and "--protocol official, as_published" in printed


def test_the_driver_tells_an_error_of_its_own_from_a_lost_worker():
    assert engines.Local(1).lost(RuntimeError()) is None


def test_subprocess_is_interrupted_and_then_killed(monkeypatch):
    monkeypatch.setattr(attempt, "PATIENCE", 0.5)
    stubborn = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, time; signal.signal(2, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    stubborn.stdout.readline()
    attempt.interrupt(stubborn)
    assert stubborn.returncode == -9
