"""Fixtures: a cache of the tests' own, drawn faces on disk in FER2013's forms, and the real FER2013 where it is."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from fer_common.data import FaceData, synthetic

ROOT = Path(__file__).parent.parent
LONGEST = 1800  # seconds that a command may take, on a machine that is busy with others
REAL = Path(os.environ.get("FER2013") or ROOT.parent / "shared/data/fer2013/fer2013.tar.gz")


def pytest_collection_modifyitems(items):
    """Where commands train, the time that one of them may take is the limit, not that of setup.cfg."""
    for item in items:
        if item.get_closest_marker("training") or item.get_closest_marker("smoke"):
            item.add_marker(pytest.mark.timeout(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the user's cache, or leaves anything in the temporary folder, not even one that is killed;
    subprocesses inherit that."""
    os.environ["FERREPRO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))


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


def command(
    *arguments, check: bool = True, env: dict | None = None, file_size: int | None = None, **options
) -> subprocess.CompletedProcess:
    """Run the suite's own command line in a process of its own.

    file_size: bytes that a file may have, as a stand-in for a full disk.
    """
    if file_size:
        limit = (file_size, resource.RLIM_INFINITY)
        options["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    return subprocess.run(
        [sys.executable, "-m", "fer_common.cli", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=check,
        **{"timeout": LONGEST} | options,
    )


def wait_for(process: subprocess.Popen, happened, seconds: float = 300) -> bool:
    """Whether `happened()` before the process ended; a process that gets to neither in time is killed, and fails."""
    ends = time.monotonic() + seconds
    while not happened():
        if process.poll() is not None:
            return False
        if time.monotonic() > ends:
            process.kill()
            process.wait(30)
            pytest.fail(f"nothing happened within {seconds:.0f} s")
        time.sleep(0.05)
    return True


def write_legacy_weights(network, path: Path) -> Path:
    """Random weights for `network` in the layout of the files that Keras publishes for ImageNet: HDF5 of Keras 2."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for layer in network.layers:
            group = file.create_group(layer.name)
            # Keras 2 lists the trainable weights first, then the moving statistics.
            variables = layer.trainable_weights + layer.non_trainable_weights
            names = [f"{layer.name}/{variable.name}:0".encode() for variable in variables]
            group.attrs["weight_names"] = names
            for name, variable in zip(names, variables):
                group.create_dataset(name.decode(), data=np.random.default_rng(len(name)).normal(size=variable.shape))
    return path


def assert_legacy_weights(network, path: Path, layers: tuple[str, ...]) -> None:
    """These layers of the network hold what the file at `path` holds."""
    import h5py

    with h5py.File(path) as file:
        for name in layers:
            layer = network.get_layer(name)
            for variable in layer.trainable_weights + layer.non_trainable_weights:
                np.testing.assert_allclose(np.asarray(variable), file[name][f"{name}/{variable.name}:0"][()], rtol=1e-6)


def assert_same(a: FaceData, b: FaceData) -> None:
    for name in ("images", "labels", "usage"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
