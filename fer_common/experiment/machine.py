"""What a run ran on: processor, versions, and the commit of this code."""

import contextlib
import importlib.metadata
import os
import platform
import shutil
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
    """The processor that trains, e.g. `AMD EPYC, 2 cores`; or `gpu:0`, with the names of the machine's GPUs."""
    import keras

    devices = keras.distribution.list_devices()
    if all(name.startswith("cpu") for name in devices):
        return processor()
    names = dict.fromkeys(_of_nvidia_smi("--query-gpu=name", "--format=csv,noheader"))
    return ", ".join(devices) + f" ({', '.join(names)})" * bool(names)


def gpus_here() -> tuple[str, ...]:
    """The numbers of the GPUs that CUDA may use here: those of CUDA_VISIBLE_DEVICES, or all that there are."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = [each.strip() for each in visible.split(",") if each.strip()]
        return tuple(named[: named.index("-1")] if "-1" in named else named)  # CUDA reads no further than a -1
    return tuple(str(number) for number, line in enumerate(_of_nvidia_smi("-L")) if line.startswith("GPU"))


def _of_nvidia_smi(*arguments: str) -> list[str]:
    """The lines that it prints; none where it is not, or does not answer."""
    if not shutil.which("nvidia-smi"):
        return []
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, check=True, timeout=20)
        return said.stdout.splitlines()
    return []


def processor() -> str:
    """The same of the processor alone, without a backend."""
    name = "CPU"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
