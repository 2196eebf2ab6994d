"""What the engines of `ferrepro sweep` cost beside the same runs typed one after another, what packing gives, and what
10,000 runs come to.

    python benchmarks/sweep.py

Every run is a process of its own that trains a small CNN on 2,000 drawn faces. The start-up of an engine is what a
sweep takes over a plan of which everything is done. Writes benchmarks/sweep.json.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tables

from fer_common import records
from fer_common.sweep import plan

ROOT = Path(__file__).parent.parent
RUNS, REPEATS, MANY = 6, 2, 10_000
RUN = ("--preset", "smoke", "--data", "synthetic")
SETUP = ("--filters", "8", "8", "8", "--epochs", "4")


def ferrepro(*arguments: object, env: dict[str, str] | None = None) -> float:
    """Seconds of a command of the suite."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "fer_common.cli", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | (env or {}),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def planned(folder: Path, cores: int) -> Path:
    """A plan of RUNS runs whose records go below `folder`."""
    out = folder / "plan.jsonl"
    choice = ("--papers", "cnn_13_epochs", "--systems", "cnn", "--seeds", f"0-{RUNS - 1}", *RUN)
    ferrepro("plan", *choice, "--runs", folder / "runs", "--cores", cores, "--out", out, "--", *SETUP)
    return out


def typed(folder: Path) -> float:
    """The plan's commands one after another."""
    return sum(ferrepro(*line.argv) for line in plan.read(planned(folder, 2)))


def swept(folder: Path, cores: int, *engine: object) -> tuple[float, float]:
    """(seconds of a sweep, of them start-up)."""
    out = planned(folder, cores)
    return ferrepro("sweep", out, *engine), ferrepro("sweep", out, *engine)


def engines() -> dict:
    """The best of REPEATS turns of each way, in turns."""
    cores = len(os.sched_getaffinity(0))
    ways = {
        "local, one at a time": (cores, "--workers", 1),
        "ray, one at a time": (cores, "--engine", "ray"),
        f"local, {cores} at once, one core each": (1, "--workers", cores),
        f"ray, {cores} at once, one core each": (1, "--engine", "ray"),
    }
    one_by_one, found = [], {name: [] for name in ways}
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            one_by_one.append(typed(Path(folder)))
        for name, (each, *engine) in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name].append(swept(Path(folder), each, *engine))
    base = min(one_by_one)
    rows = [{"way": "typed one after another", "seconds": round(base, 1), "start_up_s": 0.0, "against_typed": 1.0}]
    for name, turns in found.items():
        start_up = min(start for _, start in turns)
        seconds = min(seconds for seconds, _ in turns)
        rows.append(
            {"way": name, "seconds": round(seconds, 1), "start_up_s": round(start_up, 1)}
            | {"against_typed": round((seconds - start_up) / base, 3)}
        )
    for row in rows:
        row["runs_per_hour"] = round(3600 * RUNS / (row["seconds"] - row["start_up_s"]))
    return {"runs": RUNS, "rows": rows}


def many() -> dict:
    """A plan of MANY runs of which all are done, its status, and the tables of as many drawn records."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = folder / "plan.jsonl"
        choice = ("--papers", "cnn_13_epochs", "--systems", "cnn", "--seeds", f"0-{MANY - 1}", *RUN)
        choice = ("plan", *choice, "--runs", folder / "runs", "--out", out)
        plan_s = ferrepro(*choice)
        for line in plan.read(out):
            record = Path(line.record)
            record.mkdir(parents=True)
            (record / "record.json").write_text(RECORD)
        again_s, status_s = ferrepro(*choice), ferrepro("status", out)
        size = out.stat().st_size
    with tempfile.TemporaryDirectory() as name:
        grown = tables.growth(MANY, Path(name))
        files = [path for path in Path(name, "runs").rglob("*") if path.is_file()]
        found = {"files": len(files), "megabytes": round(sum(path.stat().st_size for path in files) / 1e6)}
    return {
        "runs": MANY,
        "plan_s": round(plan_s, 1),
        "plan_all_done_s": round(again_s, 1),
        "status_s": round(status_s, 1),
        "plan_megabytes": round(size / 1e6, 1),
        "tables_cold_s": grown["cold_s"],
        "tables_warm_s": grown["warm_s"],
        "rows": grown["rows"],
    } | found


# As large as they are: that of one committed run.
RECORD = next(records.find(ROOT / "results/runs/cnn_13_epochs/cnn")).joinpath("record.json").read_text()


def main() -> None:
    found = {"cores": len(os.sched_getaffinity(0)), "engines": engines(), "many": many()}
    print(json.dumps(found, indent=1))
    (Path(__file__).parent / "sweep.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
