"""Fixtures: a cache of the tests' own, drawn faces on disk in FER2013's forms, and the real FER2013 where it is."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fer_common.data import FaceData, synthetic

ROOT = Path(__file__).parent.parent
REAL = Path(os.environ.get("FER2013") or ROOT.parent / "shared/data/fer2013/fer2013.tar.gz")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the user's cache, and subprocesses inherit that."""
    os.environ["FERREPRO_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def real() -> Path:
    """The real FER2013."""
    if not REAL.exists():
        pytest.skip("no real FER2013 on this machine")
    return REAL


@pytest.fixture(scope="session")
def faces() -> FaceData:
    """700 drawn faces."""
    return synthetic.draw(700, seed=1)


def csv_lines(data: FaceData) -> list[str]:
    """The rows of `data` as fer2013.csv has them, header first."""
    lines = ["emotion,pixels,Usage"]
    for image, label, usage in zip(data.images, data.labels, data.usage):
        lines.append(f"{label},{' '.join(map(str, image.ravel()))},{usage}")
    return lines


def command(*arguments, check: bool = True, env: dict | None = None, **options) -> subprocess.CompletedProcess:
    """Run the suite's own command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fer_common.cli", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=check,
        **options,
    )


def assert_same(a: FaceData, b: FaceData) -> None:
    for name in ("images", "labels", "usage"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
