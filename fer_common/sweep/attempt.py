"""One attempt at a run: a process of its own with a log of its own, judged by its status and by its record."""

import datetime
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from fer_common.sweep import state
from fer_common.sweep.plan import Line

POLLED = 0.1  # seconds between looks at a process: what waits for it can be told to stop
PATIENCE = 60.0  # seconds that an interrupted run has to say so before it is killed


@dataclass(frozen=True)
class Share:
    """What of a machine a run may use. gpus: their numbers as CUDA knows them; of_each: the share of each."""

    cores: int
    gpus: tuple[str, ...] = ()
    of_each: float = 1.0

    def environment(self) -> dict[str, str]:
        """What a run is told: threads by cores, which GPUs it sees, and not to take all of their memory."""
        threads = {
            name: str(self.cores) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        }
        if not self.gpus:
            return threads | {"CUDA_VISIBLE_DEVICES": ""}
        shared = {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        if self.of_each < 1:  # JAX takes three quarters of a GPU otherwise
            shared["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * self.of_each:.2f}"
        return threads | shared


@dataclass(frozen=True)
class Ended:
    """How an attempt ended. code: of the process, negative for a signal; done: whether its record is there and whole;
    reason: where it is not, why, and `tail` the end of its log."""

    code: int
    done: bool
    reason: str
    tail: tuple[str, ...]
    host: str
    seconds: float


def attempt(line: Line, folder: Path, share: Share, cwd: str, stop: threading.Event | None = None) -> Ended:
    """Make the run of the line in the folder `cwd`, and wait for it. `stop`, or a KeyboardInterrupt, interrupts it: it
    keeps its last epoch."""
    started, folder = time.monotonic(), Path(cwd) / folder
    log = state.log_of(folder)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fer_common.cli", *line.argv]
    environment = os.environ | share.environment() | {"PYTHONUNBUFFERED": "1"}
    with log.open("ab") as out:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        out.write(f"--- {now} {platform.node()}: ferrepro {' '.join(line.argv)}\n".encode())
        out.flush()
        # A session of its own: Ctrl-C reaches it once, through here.
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=cwd, env=environment, start_new_session=True
        )
        try:
            while process.poll() is None:
                if stop is not None and stop.wait(POLLED):
                    interrupt(process)
                elif stop is None:
                    time.sleep(POLLED)
        except BaseException:
            interrupt(process)
            raise
    found = state.look(folder, network="--save-model" in line.argv)
    done = process.returncode == 0 and found.kind == "done"
    tail = tuple(state.tail(folder))
    return Ended(
        process.returncode,
        done,
        "" if done else _reason(process.returncode, found, tail),
        tail,
        platform.node(),
        time.monotonic() - started,
    )


def interrupt(process: subprocess.Popen) -> None:
    """As Ctrl-C does; a process that does not heed it is killed."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _reason(code: int, found: state.State, tail: tuple[str, ...]) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    if code == 0:
        return "it ended with status 0 and left no record"
    said = found.reason if found.kind == "failed" else ""
    return said or (tail[-1].removeprefix("error: ") if tail else f"it ended with status {code} and said nothing")
