"""What a run ran on: processor, versions, and the commit of this code."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

from fer_common.records import Record


def describe(record: Record) -> None:
    """Fill in what the record says of machine, versions and code."""
    import keras

    record.backend = keras.backend.backend()
    record.device = device()
    record.versions = {"python": platform.python_version()}
    for package in ("keras", record.backend, "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            record.versions[package] = importlib.metadata.version(package)
    if record.commit is None:
        record.commit, record.dirty = commit()


def commit() -> tuple[str | None, bool | None]:
    """The git commit of this code, and whether tracked files differ from it; (None, None) outside a checkout."""

    def git(*arguments):
        here = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def device() -> str:
    """The processor that trains, e.g. `AMD EPYC, 2 cores` or `gpu:0`."""
    import keras

    devices = keras.distribution.list_devices()
    if not all(name.startswith("cpu") for name in devices):
        return ", ".join(devices)
    return processor()


def processor() -> str:
    """The same of the processor alone, without a backend."""
    name = "CPU"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
