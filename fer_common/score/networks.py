"""Asks somebody else's network, in whatever file it comes, what it says of images.

Here is what a caller needs, and how the process is kept that does the work; TensorFlow is never loaded in this one.
What that process does to the file is in `worker`. What the answers are worth is none of its business.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fer_common import UserError
from fer_common.score.card import Preparation
from fer_common.score.worker import Reply, Request

CLASSES = 7
LARGEST = 2 << 30  # bytes of a file, and of what is packed in it, without `trust`
MEMORY = 12 << 30  # bytes of address space beside the images; TensorFlow alone reserves some three
# What a process needs to find Python and its libraries. Nothing else is handed down: neither proxies nor credentials.
HANDED_DOWN = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "SYSTEMROOT")


@dataclass(frozen=True)
class Pass:
    """One way through the images.

    rows: int (n,), which images, in which order. batch_size: how many the network is given at once.
    """

    rows: np.ndarray
    batch_size: int


@dataclass(frozen=True)
class Answer:
    """What a network says, and what its file says about it.

    outputs: float32 (n, 7), one array a pass in the order of its rows, as the network gives them.
    input_shape: (height, width, channels) that the file asks for, None where it leaves one open.
    parameters: how many numbers it holds as weights, moving statistics included; None where they cannot be counted.
    reader: the library that read it, and its version.
    statistics: what the file keeps about its data, by the name of the layer or tensor: means and variances of
    Normalization, scale and offset of Rescaling, scale and zero point of quantised inputs and outputs.
    """

    outputs: list[np.ndarray]
    input_shape: tuple[int | None, ...]
    parameters: int | None
    reader: str
    statistics: dict[str, list[float]]


def describe(path: Path | str, *, trust: bool = False, seconds: float = 600) -> Answer:
    """What the file says about its network, without asking it anything; raises as `ask` does."""
    return ask(path, np.zeros((0, 1, 1, 1), np.float32), (), trust=trust, seconds=seconds)


def ask(
    path: Path | str,
    images: np.ndarray,
    passes: Sequence[Pass],
    *,
    preparation: Preparation | None = None,
    trust: bool = False,
    seconds: float = 600,
) -> Answer:
    """What the network at `path` (.keras, .h5, .hdf5, .tflite, .onnx) says of images, pass by pass.

    images: uint8 (N, 48, 48) with the `preparation` that the network wants, which is done batch by batch, since large
    images fill the memory; or without, float32 (N, height, width, channels), prepared already.
    trust: load what can run code of its own (Lambda layers, custom objects), and files over 2 GiB.
    seconds: how long it may take, everything included.
    Raises UserError, one sentence with what to do: the file is missing, damaged, no whole network, needs trust or a
    library that is not installed; the network has not one image as input or seven classes as output, wants other
    images, crashes, or takes too long or too much memory.
    """
    path = Path(path)
    _look_at(path, trust)
    ends = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="ferrepro-score-") as name:
        folder = Path(name)
        if passes:
            np.save(folder / "images.npy", np.asarray(images, np.uint8 if preparation else np.float32))
        for number, each in enumerate(passes):
            np.save(folder / f"rows-{number}.npy", np.asarray(each.rows, np.int64))
        request = Request(
            path=str(path),
            file=str(path.resolve()),
            trust=trust,
            batch_sizes=[each.batch_size for each in passes],
            largest=LARGEST,
            memory=MEMORY + images.nbytes,
            seconds=seconds,
            preparation=preparation,
        )
        reply = _served(request, folder, ends)
        # Files of Keras 1 and 2 that Keras 3 cannot read: two Kerases share no process.
        if reply.try_tf_keras:
            reply = _served(msgspec.structs.replace(request, first_error=reply.error), folder, ends)
        if reply.error:
            raise UserError(reply.error)
        outputs = [_output(path, folder / f"outputs-{number}.npy", each) for number, each in enumerate(passes)]
    return Answer(outputs, tuple(reply.input_shape), reply.parameters, reply.reader, reply.statistics)


def _look_at(path: Path, trust: bool) -> None:
    """Raises UserError where the file system alone says that there is no network to be read."""
    if not path.exists():
        raise UserError(f"{path}: no such file.")
    if path.is_dir():
        raise UserError(f"{path}: a folder; save the network as one file with model.save('it.keras').")
    if not path.is_file():
        raise UserError(f"{path}: not a file; expected a .keras, .h5, .tflite or .onnx file.")
    size = path.stat().st_size
    if not size:
        raise UserError(f"{path}: the file is empty; download or save it again.")
    if size > LARGEST and not trust:
        raise UserError(f"{path}: {size / 2**30:.1f} GiB, more than a network for faces has; --trust reads it anyhow.")


def _served(request: Request, folder: Path, ends: float) -> Reply:
    """What a process of its own replies; everything that goes wrong with that process is an error in the reply."""
    (folder / "request.json").write_bytes(msgspec.json.encode(request))
    (folder / "reply.json").unlink(missing_ok=True)
    environment = {name: os.environ[name] for name in HANDED_DOWN if name in os.environ} | {
        # This code and its libraries, from where this process has them, and not from the current folder.
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *(entry for entry in sys.path if entry)]),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        # Not the user's keras.json, which may say another backend or channels first.
        "KERAS_HOME": str(folder),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # A GPU's driver reserves more address space than the limit on memory allows.
        "CUDA_VISIBLE_DEVICES": "",
        # Else glibc reserves 64 MiB a thread, which on many cores reaches the limit on memory.
        "MALLOC_ARENA_MAX": "4",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fer_common.score.worker", str(folder)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            status = process.wait(max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            return Reply(
                error=f"{request.path}: not done after {request.seconds:g} s; allow it more time or fewer images."
            )
        finally:
            # With what it may have started; also when this process is interrupted.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    try:
        return msgspec.json.decode((folder / "reply.json").read_bytes(), type=Reply)
    except (OSError, msgspec.MsgspecError):
        return Reply(error=f"{request.path}: {_crash(status, folder / 'log')}")


def _crash(status: int, log: Path) -> str:
    how = f"with status {status}"
    if status < 0:
        how = f"by {signal.Signals(-status).name}"
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    last = "".join(filter(str.isprintable, last))[:200]
    return (
        f"the process that read it was ended {how}{f' ({last})' if last else ''}; the file is damaged, or needs more "
        f"memory than {MEMORY / 2**30:.0f} GiB; save or download it again."
    )


def _output(path: Path, file: Path, each: Pass) -> np.ndarray:
    """float32 (n, 7), what the process wrote of one pass; what it wrote is not taken on trust."""
    try:
        output = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: the process that read it wrote no answer ({error}); run it again.") from None
    if output.shape != (len(each.rows), CLASSES) or output.dtype != np.float32:
        raise UserError(
            f"{path}: the process that read it answered with {output.dtype} {output.shape}, not float32 "
            f"({len(each.rows)}, {CLASSES}); the file runs code of its own."
        )
    return output
