"""What carries attempts out: a queue over processes on this machine, or Ray. Both hand out futures of
`concurrent.futures`, and both judge a run where it was made."""

import concurrent.futures
import os
import threading
from pathlib import Path
from typing import Protocol

from fer_common import UserError
from fer_common.experiment.machine import gpus_here
from fer_common.sweep.attempt import Ended, Share, attempt
from fer_common.sweep.plan import Line

GIGABYTE = 10**9
SUBREAPER = "RAY_kill_child_processes_on_worker_exit_with_raylet_subreaper"


class Engine(Protocol):
    """has_room: whether a line may be submitted now; submit: the future of its end; lost: what became of an attempt
    whose future raised, where its machine or worker died, None for any other error; stop: interrupt all that run, and
    wait for them."""

    def has_room(self, line: Line) -> bool: ...

    def submit(self, line: Line, folder: Path) -> "concurrent.futures.Future[Ended]": ...

    def lost(self, error: BaseException) -> str | None: ...

    def stop(self) -> None: ...


def cores_here() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_here() -> float:
    """GB of this machine; infinite where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    except (ValueError, OSError, AttributeError):
        return float("inf")


class Local:
    """A queue over processes on this machine, with slots for cores, memory and GPUs.

    workers: how many runs at once, which then share the cores evenly; default: as many as fit by what lines need.
    gpus_per_run: default: what lines need, and one each where they do not say and there is any.
    """

    def __init__(self, workers: int | None = None, gpus_per_run: float | None = None):
        self.workers, self.gpus_per_run = workers, gpus_per_run
        self.cores, self.memory = cores_here(), memory_here()
        self.gpus = dict.fromkeys(gpus_here(), 1.0)  # what of each is free
        self._taken: dict[concurrent.futures.Future, tuple[int, float, Share]] = {}
        self._stop = threading.Event()
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=workers or max(1, self.cores))

    def _cores(self, line: Line) -> int:
        return max(1, self.cores // self.workers) if self.workers else min(line.cores, self.cores)

    def _gpus(self, line: Line) -> float:
        asked = self.gpus_per_run if self.gpus_per_run is not None else line.gpus
        if asked is None:
            return 1.0 if self.gpus else 0.0
        if asked > len(self.gpus):
            raise UserError(f"{line.id} needs {asked:g} GPUs, and CUDA sees {len(self.gpus)} here.")
        return asked

    def has_room(self, line: Line) -> bool:
        taken = [own for future, own in list(self._taken.items()) if not future.done()]
        if not taken:
            self._gpus(line)
            return True
        if self.workers:  # asked for, whatever lines say that they need
            fits = len(taken) < self.workers
        else:
            cores, memory = sum(own[0] for own in taken), sum(own[1] for own in taken)
            fits = self._cores(line) <= self.cores - cores and line.memory_gb <= self.memory - memory
        return fits and self._free(self._gpus(line)) is not None

    def _free(self, asked: float) -> tuple[str, ...] | None:
        """The GPUs for a run: whole ones, or the fullest of which such a share is left."""
        if asked < 1:
            fitting = sorted((left, name) for name, left in self.gpus.items() if left >= asked - 1e-9)
            return (fitting[0][1],) if asked and fitting else () if not asked else None
        whole = [name for name, left in self.gpus.items() if left >= 1 - 1e-9][: round(asked)]
        return tuple(whole) if len(whole) == round(asked) else None

    def submit(self, line: Line, folder: Path) -> "concurrent.futures.Future[Ended]":
        asked = self._gpus(line)
        share = Share(self._cores(line), self._free(asked) or (), min(1.0, asked))
        for name in share.gpus:
            self.gpus[name] -= share.of_each
        future = self._pool.submit(attempt, line, folder, share, str(Path.cwd()), self._stop)
        self._taken[future] = share.cores, line.memory_gb, share
        future.add_done_callback(self._give_back)
        return future

    def _give_back(self, future: concurrent.futures.Future) -> None:
        *_, share = self._taken.pop(future)
        for name in share.gpus:
            self.gpus[name] += share.of_each

    def lost(self, error: BaseException) -> str | None:
        return None

    def stop(self) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)


class Ray:
    """Ray's own queue, on this machine (address None) or on a cluster that runs.

    Ray restarts nothing here: whether an attempt is made again is the driver's to say, which knows the records.
    """

    def __init__(self, address: str | None = None, gpus_per_run: float | None = None):
        # Read when Ray starts its processes: children of a worker die with it.
        os.environ.setdefault(SUBREAPER, "true")
        try:
            import ray
        except ImportError:
            raise UserError("--engine ray needs Ray: pip install 'ferrepro[cluster]'.") from None
        self.ray = ray
        try:
            # Without an address Ray would join whatever cluster it finds here.
            ray.init(address or "local", log_to_driver=False, include_dashboard=None if address else False)
        except ConnectionError as error:
            raise UserError(
                f"--address {address}: no Ray cluster answers ({error}); start one with ray start."
            ) from None
        has = ray.cluster_resources()
        self.cores, self.gpus = has.get("CPU", 1), has.get("GPU", 0)
        self.gpus_per_run = gpus_per_run
        self._running: list = []

    def has_room(self, line: Line) -> bool:
        self._running = [future for future in self._running if not future[1].done()]
        return len(self._running) < 2 * self.cores + 2  # Ray queues what does not fit yet

    def submit(self, line: Line, folder: Path) -> "concurrent.futures.Future[Ended]":
        asked = self.gpus_per_run if self.gpus_per_run is not None else line.gpus
        gpus = asked if asked is not None else (1.0 if self.gpus else 0.0)
        if gpus > self.gpus:
            raise UserError(f"{line.id} needs {gpus:g} GPUs, and the cluster has {self.gpus:g}.")
        cores = int(min(line.cores, self.cores))
        task = self.ray.remote(_attempt).options(
            num_cpus=cores, num_gpus=gpus, memory=int(line.memory_gb * GIGABYTE), max_retries=0, name=line.id
        )
        reference = task.remote(line, folder, cores, gpus, str(Path.cwd()))
        future = reference.future()
        self._running.append((reference, future))
        return future

    def lost(self, error: BaseException) -> str | None:
        if isinstance(error, self.ray.exceptions.RayTaskError):  # raised in the task itself
            return None
        return type(error).__name__ if isinstance(error, self.ray.exceptions.RayError) else None

    def stop(self) -> None:
        running = [reference for reference, future in self._running if not future.done()]
        for reference in running:
            self.ray.cancel(reference, force=False)  # a KeyboardInterrupt in the worker
        if running:
            self.ray.wait(running, num_returns=len(running), timeout=90)
        self.ray.shutdown()


def _attempt(line: Line, folder: Path, cores: int, gpus: float, cwd: str) -> Ended:
    """The task that a worker of Ray's carries out."""
    import signal

    import ray

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # Ray reaps children itself, and their status with them
    numbers = ray.get_runtime_context().get_accelerator_ids().get("GPU", ())
    return attempt(line, folder, Share(cores, tuple(map(str, numbers)), min(1.0, gpus or 1.0)), cwd)
