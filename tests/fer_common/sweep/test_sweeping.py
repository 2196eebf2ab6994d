"""Sweeps whose runs, workers, machines and drivers are killed: every record is there once, as one after another makes
them."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from msgspec.structs import replace

from fer_common import records
from fer_common.sweep import driver, engines, plan, state
from tests.conftest import ROOT, command, wait_for

pytestmark = [pytest.mark.training, pytest.mark.xdist_group("sweep")]

PAPER = str(Path(__file__).parent / "own_paper.py")
RUNS = int(os.environ.get("FERREPRO_SWEEP_RUNS") or 4)  # 40 by hand: minutes
SUBREAPER = "RAY_kill_child_processes_on_worker_exit_with_raylet_subreaper"
PAUSE = 0.5  # seconds an epoch, in which something can be killed


def planned(runs: Path, *arguments) -> Path:
    """A plan of RUNS runs on drawn faces, of one core each."""
    out = runs.parent / f"{runs.name}.jsonl"
    # fmt: off
    command(
        "plan", "--papers", PAPER, "--systems", "linear", "--seeds", f"0-{RUNS - 1}", "--preset", "smoke", "--data",
        "synthetic", "--runs", runs, "--cores", 1, "--memory-gb", 1, "--out", out, "--", "--pause", PAUSE,
        "--epochs", 6, *arguments,
    )
    # fmt: on
    return out


@pytest.fixture(scope="module")
def one_after_another(tmp_path_factory) -> dict[str, Path]:
    """The records that the plan's lines leave, each typed by hand: by name."""
    runs = tmp_path_factory.mktemp("typed") / "runs"
    out = planned(runs)
    for index in range(RUNS):
        command("run", "--plan", out, "--index", index, env={"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1"})
    return {path.name: path for path in records.find(runs)}


def assert_same_records(runs: Path, expected: dict[str, Path]) -> None:
    """Every record once, with the same predictions, and nothing unfinished beside them.

    Bit for bit, but for roundings. In CI, 9 of 28,042 float16 once differed by their last place; why is not known. It
    never happened in 50 repetitions here, and looks like another instruction set: with oneDNN's kernels for AVX2
    instead of AVX-512, 10 to 20 do. An epoch more or less moves 99.7 % of them by more than a last place.
    """
    found = {path.name: path for path in records.find(runs)}
    assert len(list(records.find(runs))) == len(found) == RUNS and found.keys() == expected.keys()
    for name, path in found.items():
        one, other = records.read(path)[2], records.read(expected[name])[2]
        for array in records.STORED:
            if array != "probabilities":
                np.testing.assert_array_equal(getattr(one, array), getattr(other, array))
        np.testing.assert_array_max_ulp(one.probabilities, other.probabilities, maxulp=1)
        assert (one.probabilities != other.probabilities).mean() < 0.002, "roundings are few"
    assert not list(runs.glob("*/*/.*.partial")) and not list(runs.glob("*/*/.*.failed.json"))


def sweeping(out: Path, *arguments) -> subprocess.Popen:
    with (out.parent / "sweep.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "fer_common.cli", "sweep", str(out), *map(str, arguments)],
            cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip


def in_training(out: Path, but: Collection[str] = ()) -> tuple[int, str] | None:
    """(pid, id) of a run that has finished an epoch and goes on."""
    for line in plan.read(out):
        folder = Path(line.record)
        found = state.look(folder)
        if found.kind == "running" and found.epoch and line.id not in but:
            with contextlib.suppress(OSError, ValueError):
                return int((records.partial_folder(folder) / "pid").read_text()), line.id
    return None


def kill_a_run(out: Path, process: subprocess.Popen, killed: set[str]) -> None:
    """One that is not among the killed, and wait until the sweep says that it begins it once more: a run has three
    attempts."""
    log = out.parent / "sweep.log"
    before = log.read_text().count("once more")

    def kill() -> bool:
        if found := in_training(out, but=killed):
            with contextlib.suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)
                killed.add(found[1])
                return True
        return False

    assert wait_for(process, kill), log.read_text()
    assert wait_for(process, lambda: log.read_text().count("once more") > before), log.read_text()


def test_a_local_sweep_survives_kills_of_its_runs_and_of_itself(tmp_path, one_after_another):
    out = planned(tmp_path / "runs")
    process = sweeping(out, "--workers", 2)
    killed: set[str] = set()
    kill_a_run(out, process, killed)
    kill_a_run(out, process, killed)
    assert wait_for(process, lambda: in_training(out))
    process.kill()
    process.wait(30)
    # What the dead sweep had begun is nobody's to begin again while it lives.
    again = sweeping(out, "--workers", 2)
    assert again.wait(600) == 0, (tmp_path / "sweep.log").read_text()
    assert_same_records(tmp_path / "runs", one_after_another)
    log = (tmp_path / "sweep.log").read_text()
    assert "killed by SIGKILL; once more, from its last epoch" in log
    logs = "".join(path.read_text() for path in (tmp_path / "runs").glob("*/*/.*.log"))
    assert "resumed after epoch" in logs and logs.count("record: ") == RUNS, "no run was made twice"


def test_two_sweeps_over_one_folder_share_the_work(tmp_path, one_after_another):
    out = planned(tmp_path / "runs")
    both = [sweeping(out, "--workers", 1) for _ in range(2)]
    assert [process.wait(600) for process in both] == [0, 0], (tmp_path / "sweep.log").read_text()
    assert_same_records(tmp_path / "runs", one_after_another)
    logs = "".join(path.read_text() for path in (tmp_path / "runs").glob("*/*/.*.log"))
    assert logs.count("record: ") == RUNS, "no run was made twice"
    assert re.search("(made|done) by another process", (tmp_path / "sweep.log").read_text())


def test_failures_are_rows_and_are_taken_up_alone(tmp_path):
    out = tmp_path / "plan.jsonl"
    # fmt: off
    command(
        "plan", "--papers", PAPER, "--systems", "broken", "later", "--preset", "smoke", "--data", "synthetic",
        "--runs", tmp_path / "runs", "--out", out,
    )
    # fmt: on
    ended = command("sweep", out, check=False)
    assert ended.returncode == 1 and "1 of 3 runs failed" in ended.stderr and "--retry" in ended.stderr
    assert "failed: own_paper/broken/official-random-seed0-smoke: RuntimeError: this network" in ended.stdout
    said = command("status", out).stdout
    assert "2 done, 1 failed" in said and "this network cannot be trained" in said and "(log: " in said
    again = command("sweep", out, check=False)
    assert again.returncode == 1 and "0 to run" in again.stdout, "a failure is not repeated unasked"
    retried = command("sweep", out, "--retry", check=False)
    assert retried.returncode == 1 and "1 to run (failures alone)" in retried.stdout
    later = command("run", "--plan", out, "--index", 0, check=False)
    assert later.returncode == 1 and "this network cannot be trained" in later.stderr


def test_an_array_refuses_a_run_that_begins_too_early(tmp_path):
    out = tmp_path / "plan.jsonl"
    # fmt: off
    command(
        "plan", "--papers", PAPER, "--systems", "later", "--preset", "smoke", "--data", "synthetic",
        "--runs", tmp_path / "runs", "--out", out,
    )
    # fmt: on
    early = command("run", "--plan", out, "--index", 1, check=False)
    assert early.returncode == 1 and "needs own_paper/linear/official-random-seed0-smoke, which is not" in early.stderr
    beyond = command("run", "--plan", out, "--index", 2, check=False)
    assert "has the lines 0 to 1" in beyond.stderr


def test_an_interrupted_sweep_keeps_the_epochs_of_its_runs(tmp_path):
    out = planned(tmp_path / "runs")
    process = sweeping(out, "--workers", 2)
    assert wait_for(process, lambda: in_training(out))
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    assert in_training(out) is None, "no run outlives it"
    said = command("status", out).stdout
    assert "dead, goes on when it is swept again, epoch" in said


def test_ray_survives_the_loss_of_a_machine_of_workers_and_of_the_driver(tmp_path, one_after_another, monkeypatch):
    pytest.importorskip("ray", reason="no Ray")
    monkeypatch.setenv(SUBREAPER, "true")
    short = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # the path of a Unix socket has 107 signs at most
    monkeypatch.setenv("RAY_TMPDIR", short)
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        other = cluster.add_node(num_cpus=1)
        out = planned(tmp_path / "runs")
        arguments = ("--engine", "ray", "--address", cluster.address)
        process = sweeping(out, *arguments)
        killed: set[str] = set()
        kill_a_run(out, process, killed)
        kill_a_worker(out, process, killed)
        kill_a_worker(out, process, killed)
        cluster.remove_node(other, allow_graceful=False)
        assert wait_for(process, lambda: in_training(out)), (tmp_path / "sweep.log").read_text()
        process.kill()
        process.wait(30)
        cluster.add_node(num_cpus=1)
        again = sweeping(out, *arguments)
        assert again.wait(900) == 0, (tmp_path / "sweep.log").read_text()
    finally:
        cluster.shutdown()
        shutil.rmtree(short, ignore_errors=True)
    assert_same_records(tmp_path / "runs", one_after_another)
    logs = "".join(path.read_text() for path in (tmp_path / "runs").glob("*/*/.*.log"))
    assert logs.count("record: ") == RUNS, "no run was made twice"


def kill_a_worker(out: Path, process: subprocess.Popen, killed: set[str]) -> None:
    """The process of Ray's that a run is a child of; else as `kill_a_run`."""
    log = out.parent / "sweep.log"
    before = log.read_text().count("once more")

    def kill() -> bool:
        if found := in_training(out, but=killed):
            with contextlib.suppress(OSError, ProcessLookupError):
                parent = int(re.search(r"PPid:\s+(\d+)", Path(f"/proc/{found[0]}/status").read_text())[1])
                if b"ray::" in Path(f"/proc/{parent}/cmdline").read_bytes():
                    os.kill(parent, signal.SIGKILL)
                    killed.add(found[1])
                    return True
        return False

    assert wait_for(process, kill), log.read_text()
    assert wait_for(process, lambda: log.read_text().count("once more") > before), log.read_text()


def test_a_run_killed_again_and_again_is_given_up(tmp_path, monkeypatch):
    """As when memory is too small for it: three attempts, then a row with the reason."""
    out = planned(tmp_path / "runs")
    lines = plan.read(out)[:1]
    attempts = []

    def killed(line, folder, share, cwd, stop):
        attempts.append(line.id)
        return engines.Ended(-signal.SIGKILL, False, "killed by SIGKILL", (), "here", 1.0)

    monkeypatch.setattr(engines, "attempt", killed)
    found = driver.Sweep(state.States(lines, Path), engines.Local(1)).carry_out()
    assert len(attempts) == driver.TRIES and found[lines[0].id].reason.startswith("killed by SIGKILL, 3 times")


def test_the_time_that_is_left_is_that_of_runs_side_by_side(tmp_path, monkeypatch):
    """Four runs of a minute each, two at once, that take two: after the first, three are left and three minutes."""
    shown: list[str] = []
    pair = Barrier(2)

    def attempt(*_):
        pair.wait(60)
        return engines.Ended(0, True, "", (), "here", 120.0)

    monkeypatch.setattr(driver, "say", shown.append)
    monkeypatch.setattr(engines, "attempt", attempt)
    line = plan.read(planned(tmp_path / "runs"))[0]
    lines = [replace(line, id=f"{line.id}-{number}", minutes=1.0) for number in range(4)]
    sweep = driver.Sweep(state.States(lines, Path), engines.Local(2))
    sweep.carry_out()
    left = [text.split("; ")[1] for text in shown if "left" in text]
    assert left == ["3 left, about 3 minutes", "2 left, about 2 minutes", "1 left, about 2 minutes"]
    assert sweep.picture().startswith("4 done")


def test_a_sweep_of_the_suite_s_own_paper(tmp_path):
    """The command as it is typed, on a paper of the suite, with the time that is left."""
    # fmt: off
    command(
        "plan", "--papers", "cnn_13_epochs", "--systems", "cnn", "--preset", "smoke", "--data", "synthetic", "--runs",
        tmp_path / "runs", "--out", tmp_path / "plan.jsonl", "--", "--filters", 4, 4, 4, "--epochs", 1,
    )
    # fmt: on
    assert "1 runs are there" in command("sweep", tmp_path / "plan.jsonl").stdout
    assert "1 done" in command("status", tmp_path / "plan.jsonl").stdout
