"""Fixtures: a cache of the tests' own, drawn faces on disk in FER2013's forms, the real FER2013 and UTKFace where they
are; the suite's command in a process of its own or in this one; a line at the end that counts what was skipped."""

import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from fer_common import cli, records
from fer_common.data import FaceData, synthetic
from fer_common.experiment import checkpoint

ROOT = Path(__file__).parent.parent
LONGEST = 1800  # seconds that a command may take, on a machine that is busy with others
REAL = Path(os.environ.get("FER2013") or ROOT.parent / "shared/data/fer2013/fer2013.tar.gz")
REAL_UTKFACE = Path(os.environ.get("UTKFACE") or ROOT.parent / "shared/data/utkface/UTKFace.tar.gz")


def pytest_collection_modifyitems(config, items):
    """Where commands train, the time that one of them may take is the limit, not that of setup.cfg; --timeout makes it
    longer."""
    for item in items:
        if item.get_closest_marker("training") or item.get_closest_marker("smoke"):
            item.add_marker(pytest.mark.timeout(max(LONGEST, config.getoption("timeout") or 0)))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the user's cache, or leaves anything in the temporary folder, not even one that is killed;
    subprocesses inherit that."""
    os.environ["FERREPRO_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))


ROOM = 3 << 30  # bytes that reading one file may add to what the process has


@pytest.fixture
def little_memory():
    """A reader that asks for gigabytes gets a MemoryError, which fails its test, and the machine goes on."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def pytest_terminal_summary(terminalreporter):
    """One line such as `12 tests skipped: no real FER2013 (9), no real UTKFace (3)`."""
    skipped = terminalreporter.stats.get("skipped", ())
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        said = ", ".join(f"{reason} ({n})" for reason, n in reasons.most_common())
        terminalreporter.write_line(f"{reasons.total()} tests skipped: {said}")


@pytest.fixture(scope="session")
def real() -> Path:
    """The real FER2013."""
    if not REAL.exists():
        pytest.skip("no real FER2013")
    return REAL


@pytest.fixture(scope="session")
def real_utkface() -> Path:
    """The real UTKFace."""
    if not REAL_UTKFACE.exists():
        pytest.skip("no real UTKFace")
    return REAL_UTKFACE


@pytest.fixture(scope="session")
def faces() -> FaceData:
    """700 drawn faces."""
    return synthetic.draw(700, seed=1)


@pytest.fixture(scope="session")
def few_faces(tmp_path_factory) -> tuple:
    """The options of a smoke run on 1,000 drawn faces in place of 2,000: where what is trained is costly and its data
    are not what is tested. Fewer do not hold enough of the rarest class for folds."""
    path = tmp_path_factory.mktemp("few") / "fer2013.csv"
    path.write_text("\n".join(csv_lines(synthetic.draw(1000, seed=1))))
    return "--preset", "smoke", "--data", path, "--allow-subset"


def csv_lines(data: FaceData) -> list[str]:
    """The rows of `data` as fer2013.csv has them, header first."""
    lines = ["emotion,pixels,Usage"]
    for image, label, usage in zip(data.images, data.labels, data.usage):
        lines.append(f"{label},{' '.join(map(str, image.ravel()))},{usage}")
    return lines


def run_here(*arguments, check: bool = True, draw: bool = False) -> subprocess.CompletedProcess:
    """`command` in this process, which has loaded Keras already: where the process is not what is tested.

    draw: draw the run's pictures too, which takes about as long as training a small network.
    """
    from fer_common import pictures, pipeline

    pipeline.start(None)
    import keras

    printed, complained, status = io.StringIO(), io.StringIO(), 0
    with (
        contextlib.nullcontext() if draw else mock.patch.object(pictures, "draw_run"),
        mock.patch.object(sys, "argv", ["ferrepro", *map(str, arguments)]),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(complained),
    ):
        try:
            cli.main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            if isinstance(stop.code, str):
                print(stop.code, file=complained)
        finally:
            keras.config.set_dtype_policy("float32")  # a run leaves its own behind
    if check and status:
        pytest.fail(f"status {status}: {complained.getvalue()}")
    return subprocess.CompletedProcess(arguments, status, printed.getvalue(), complained.getvalue())


def assert_can_be_drawn(runs: Path, systems: tuple[str, ...], folder: Path) -> None:
    """The pictures and the report of one run of each of these systems come out whole, into `folder`."""
    from fer_common import pictures

    first = {path.parent.name: path for path in records.find(runs)}
    for system in systems:
        folder.joinpath(system).mkdir()
        complained = io.StringIO()
        with contextlib.redirect_stderr(complained):
            pictures.draw_run(folder / system, *records.read(first[system]))
        assert not complained.getvalue()
        assert len(list((folder / system).glob("*.png"))) == 4 and (folder / system / "report.txt").exists()


def stop_after_first_epoch(*arguments) -> None:
    """The command in this process, interrupted when its first checkpoint is written: what a kill there leaves."""
    save = checkpoint.save

    def save_and_stop(path, arrays):
        save(path, arrays)
        if path.name == "checkpoint.npz":
            raise KeyboardInterrupt

    with mock.patch.object(checkpoint, "save", save_and_stop):
        assert "interrupted" in run_here(*arguments, check=False).stderr


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
