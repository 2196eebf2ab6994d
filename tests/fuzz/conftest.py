"""What holds for every mutated file: a limit of memory, and how many files there are."""

import os
import resource
from pathlib import Path

import pytest

ROOM = 3 << 30  # bytes that reading one file may add to what the process has


@pytest.fixture(autouse=True)
def little_memory():
    """A reader that asks for gigabytes gets a MemoryError, which fails its test, and the machine goes on."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)
