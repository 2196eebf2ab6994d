"""The record: what a run leaves on disk, written whole or not at all, and read back with everything in its range.

Whether stored metrics follow from predictions is asked apart (`verify_metrics`), since it takes longer than reading;
whether labels and roles are what they should be is asked in `vouch`.

A folder `<protocol>-<init>-seed<k>[-fold<j>]-<hash>/` under `runs/<paper>/<system>/` with `record.json`,
`history.csv` and `predictions.npz` (one more for each further task: `predictions-<task>.npz`); the pictures and the
report that `pictures` draws from them come after, and may be missing. While a run goes on, its checkpoint
lies beside it in a hidden `.<name>.partial/` folder.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fer_common import UserError, splits
from fer_common.archives import UNREADABLE, read_arrays
from fer_common.data import EMOTIONS, USAGES
from fer_common.data.attributes import PARTS, TASKS

SCHEMA = 1
# Stored as float16, and some networks end in bfloat16: the probabilities of one image may miss 1 by a little.
SUMS_TO = 1, 0.02
# Bytes of all arrays unpacked: a thousand scored epochs of all of FER2013. A hostile file is refused before it is read.
LARGEST_PREDICTIONS = 1 << 29


class DamagedRecord(UserError):
    """A record that cannot be what a run wrote. path: its folder; says: what is wrong with it, without the path."""

    def __init__(self, path: Path, says: str):
        super().__init__(f"{path}: {says}")
        self.path, self.says = Path(path), says

    def __reduce__(self):  # from a process of a pool to the one that reports it
        return type(self), (self.path, self.says)


Metrics = dict[str, dict[str, dict[str, float]]]  # epoch → usage → metric


class Record(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What was run, on what, with what, and how it ended. Numbers in `metrics` are checked against predictions."""

    schema: int = SCHEMA
    paper: str
    system: str
    protocol: str
    init: str
    seed: int
    fold: int | None = None
    preset: str  # full: the paper's own setup; reduced: the script's smaller one; custom: either with changed fields;
    # smoke: a subset, changed or not
    changes: dict[str, Any]  # the changed fields; such a run never enters the main tables
    reduced: dict[str, Any] = {}  # the fields that the preset `reduced` set otherwise than the paper has them
    setup: dict[str, Any]
    weights: str | None = None  # of the weights file or the extractor that `init` names: see `config_hash`
    data: dict[str, Any]  # source, fingerprint, rows used
    deterministic: bool | None = None
    status: str = "ok"  # or failed
    error: str | None = None
    parameters: int | None = None  # counted on the built model
    epochs_run: int = 0
    best_epoch: int | None = None  # highest accuracy on the `select` rows
    seconds_per_epoch: float | None = None  # median, watching the `select` rows included
    backend: str = ""
    device: str = ""
    versions: dict[str, str] = {}
    commit: str | None = None
    dirty: bool | None = None
    finished: str = ""  # UTC
    notes: list[str] = []  # what every table row of this run must say
    details: dict[str, Any] = {}  # what a script adds: the extractor it used, the rounds it boosted
    task: str = "expression"  # what predictions.npz are of
    metrics: Metrics = {}
    further_metrics: dict[str, Metrics] = {}  # by further task


STORED = ("row_id", "usage", "role", "label", "epochs", "probabilities")


@dataclass(frozen=True)
class Predictions:
    """Probabilities over all rows of the data at each scored epoch.

    row_id int32 (N,), usage str (N,), of an attribute the part of UTKFace, role str (N,), label uint8 (N,), epochs
    int16 (E,), counted from 1, last one last, probabilities float16 (E, N, K), K = 7 for expressions. Not stored:
    subsets, by name bool (N,), whether a row is in a named subset of the copy, where its passport is at hand; of_folds
    str (N,), where several folds were pooled: `out_of_fold`, or `each_fold` of rows that all folds scored, which are
    there once a fold, in the order of the folds.
    """

    row_id: np.ndarray
    usage: np.ndarray
    role: np.ndarray
    label: np.ndarray
    epochs: np.ndarray
    probabilities: np.ndarray
    subsets: Mapping[str, np.ndarray] = field(default_factory=dict)
    of_folds: np.ndarray | None = None

    def at(self, epoch: int) -> np.ndarray:
        """float16 (N, 7): the probabilities after `epoch`."""
        return self.probabilities[list(self.epochs).index(epoch)]


def is_accelerator(device: str) -> bool:
    """Whether a record's device is one, as `machine.device` names it."""
    return device.partition(":")[0] in ("gpu", "cuda", "tpu", "mps")


def config_hash(record: Record) -> str:
    """8 hex digits over the setup and the data; not commit, versions or machine, so that runs resume across them.

    Where the setup's `init` is only a name for weights that may change, `weights` belongs to it: 16 hex digits of
    SHA-256 over the weights file, or over what the extractor predicts. Without it the hash is what it was before there
    were any: of published or random weights, and of an extractor whose network was not kept, so that the names of
    records made then stay.
    """
    chosen = [
        record.setup,
        record.preset == "smoke",
        record.data["fingerprint"],
        record.data["rows"],
    ]
    if "attributes" in record.data:
        chosen += [record.data["attributes"]["fingerprint"], record.data["attributes"]["rows"]]
    if record.weights:
        chosen.append(record.weights)
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:8]


def folder(root: Path, record: Record) -> Path:
    """Where this run's record belongs under `root` (…/runs)."""
    fold = "" if record.fold is None else f"-fold{record.fold}"
    init = Path(record.init).stem if "/" in record.init else record.init
    name = f"{record.protocol}-{init}-seed{record.seed}{fold}-{config_hash(record)}"
    return Path(root) / record.paper / record.system / name


def partial_folder(final: Path) -> Path:
    """The hidden folder of a run that is not finished: its lock, checkpoint and snapshots."""
    return final.with_name(f".{final.name}.partial")


def status(final: Path) -> str:
    """`ok`, `failed`, `unfinished` (a checkpoint without a record) or `absent`."""
    if (final / "record.json").is_file():
        return read_record(final).status
    return "unfinished" if partial_folder(final).is_dir() else "absent"


def stored_metrics(predictions: Predictions) -> Metrics:
    """The metrics that a record keeps to be checked by: per scored epoch and usage, whatever the rows' roles."""
    from fer_common import evaluation

    rows_of = {str(usage): np.flatnonzero(predictions.usage == usage) for usage in _distinct(predictions.usage)}
    found: Metrics = {}
    for epoch, probabilities in zip(predictions.epochs, predictions.probabilities.astype(np.float32)):
        classes = probabilities.shape[1]
        predicted = probabilities.argmax(1)
        true = probabilities[np.arange(len(predicted)), predictions.label].astype(float)
        losses = -np.log(np.maximum(true, evaluation.SMALLEST_PROBABILITY))
        found[str(epoch)] = {}
        for usage, rows in rows_of.items():
            matrix = evaluation.confusion_matrix(predictions.label[rows], predicted[rows], classes)
            values = evaluation.from_confusion(matrix, [str(each) for each in range(classes)])
            found[str(epoch)][usage] = {
                "accuracy": round(float(values["accuracy"]), 6),
                "macro_f1": round(float(values["f1.macro"]), 6),
                "log_loss": round(float(losses[rows].mean()), 6),
            }
    return found


def _distinct(words: np.ndarray) -> list[str]:
    """Sorted; numpy's own `unique` sorts all of them as strings, which takes a hundred times as long."""
    found, left = [], words
    while len(left):
        found.append(str(left[0]))
        left = left[left != left[0]]
    return sorted(found)


def write(
    final: Path,
    record: Record,
    history: list[dict],
    predictions: Predictions | None,
    files: Sequence[Path] = (),
    further: dict[str, Predictions] | None = None,
) -> None:
    """Put the record at `final`: written under a temporary name, then renamed; a failed one there is replaced.

    files: what else is kept beside it (networks); further: the predictions of further tasks.
    """
    temporary = final.with_name(f".{final.name}.writing.partial")
    if temporary.exists():
        shutil.rmtree(temporary)
    temporary.mkdir(parents=True)
    if history:
        columns = list(dict.fromkeys(key for row in history for key in row))
        lines = [",".join(columns)] + [",".join(_plain(row.get(key, "")) for key in columns) for row in history]
        (temporary / "history.csv").write_text("\n".join(lines) + "\n")
    if predictions is not None:
        further = further or {}
        by_file = {"predictions.npz": predictions} | {f"predictions-{task}.npz": own for task, own in further.items()}
        for name, found in by_file.items():
            np.savez_compressed(temporary / name, **{array: getattr(found, array) for array in STORED})
        record.metrics = stored_metrics(predictions)
        record.further_metrics = {task: stored_metrics(found) for task, found in further.items()}
    for file in files:
        shutil.copy(file, temporary)
    (temporary / "record.json").write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    old = final.with_name(f".{final.name}.old.partial")
    shutil.rmtree(old, ignore_errors=True)  # left by a kill after an earlier rename
    if final.exists():
        final.rename(old)
    temporary.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def _plain(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def read_record(path: Path) -> Record:
    """What record.json says. Raises DamagedRecord."""
    try:
        record = msgspec.json.decode((path / "record.json").read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedRecord(path, f"record.json cannot be read ({error}); remove the folder and run again.") from None
    if record.schema != SCHEMA:
        raise DamagedRecord(path, f"record.json has schema {record.schema}, this version reads {SCHEMA}; run again.")
    # The names of folders are made from these two, so that nothing can be done with a record without them.
    if not (isinstance(record.data.get("fingerprint"), str) and isinstance(record.data.get("rows"), int)):
        raise DamagedRecord(path, "record.json names no fingerprint or no rows of its data; run again.")
    return record


def read_history(path: Path) -> list[dict[str, float]]:
    """One dict an epoch; none where the run had no epochs to tell of, or failed. Raises DamagedRecord."""
    file = path / "history.csv"
    if not file.exists():
        return []
    try:
        text = file.read_text()
        if not text.endswith("\n"):
            raise ValueError("it is cut off")
        header, *rows = (line.split(",") for line in text.split())
        return [dict(zip(header, map(_number, row), strict=True)) for row in rows]
    except (OSError, ValueError) as error:
        raise _damaged(path, f"history.csv: {error}") from None


def read_predictions(path: Path, record: Record, task: str | None = None) -> Predictions:
    """The predictions of a finished run for `task`, default its first, validated. Raises DamagedRecord."""
    task = task or record.task
    if task not in TASKS:
        raise _damaged(path, f"there is no task {task}")
    file = "predictions.npz" if task == record.task else f"predictions-{task}.npz"
    try:
        arrays: dict[str, Any] = read_arrays(path / file, LARGEST_PREDICTIONS, STORED)
        predictions = Predictions(**arrays)
    except UNREADABLE as error:
        raise _damaged(path, error) from None
    validate(predictions, record, len(TASKS[task]), path)
    return predictions


def read(path: Path) -> tuple[Record, list[dict[str, float]], Predictions | None]:
    """(record, history, predictions) of the record at `path`; predictions are None for a failed run.

    Raises DamagedRecord where something is missing or cannot be. Metrics are not recomputed: see `verify_metrics`.
    """
    record = read_record(path)
    if record.status != "ok":
        return record, [], None
    return record, read_history(path), read_predictions(path, record)


def read_further(path: Path) -> dict[str, Predictions]:
    """The predictions of the further tasks of the record at `path`, by task. Raises DamagedRecord."""
    record = read_record(path)
    return {task: read_predictions(path, record, task) for task in record.further_metrics}


def digest(path: Path) -> str:
    """32 hex digits that change with any byte of what the record at `path` says: json, history and predictions."""
    files = [path / "record.json", path / "history.csv", *sorted(path.glob("predictions*.npz"))]
    there = [file for file in files if file.exists()]
    return _digest(tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in there))


@cache
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    total = hashlib.sha256()
    for file, _, size in files:
        total.update(f"{file.name} {size}\n".encode())
        total.update(file.read_bytes())
    return total.hexdigest()[:32]


def validate(predictions: Predictions, record: Record, classes: int, path: Path | None = None) -> None:
    """Raise DamagedRecord, at `path` or where the record belongs, unless a run could have written the predictions.

    Lengths agree, and so do types; usages (of an attribute, parts) and roles are known ones; labels are below
    `classes`; epochs increase from 1 to the last that was run; every probability lies in 0 to 1 and an image's sum to
    1; a row that is there several times, as in a protocol that repeats images, is one image with one label.
    """
    for says in _faults(predictions, record, classes):
        raise _damaged(path or folder(Path(), record), says)


def _faults(predictions: Predictions, record: Record, classes: int) -> Iterator[str]:
    """What is wrong, each thing once those before it are right."""
    arrays = {name: getattr(predictions, name) for name in STORED}
    dimensions = dict.fromkeys(arrays, 1) | {"probabilities": 3}
    kinds = dict.fromkeys(arrays, "iu") | {"usage": "U", "role": "U", "probabilities": "f"}
    for name, array in arrays.items():
        if array.ndim != dimensions[name] or array.dtype.kind not in kinds[name]:
            yield f"{name} is {array.dtype} of {array.ndim} dimensions"
    rows, epochs = len(predictions.row_id), predictions.epochs
    for name in ("usage", "role", "label"):
        if len(arrays[name]) != rows:
            yield f"{rows} row ids and {len(arrays[name])} of {name}"
    if not rows or predictions.probabilities.shape != (len(epochs), rows, classes):
        shape = predictions.probabilities.shape
        yield f"probabilities are {shape} for {len(epochs)} epochs, {rows} rows and {classes} classes"
    usages = USAGES if classes == len(EMOTIONS) else PARTS
    for name, known in (("usage", usages), ("role", splits.ROLES)):
        if unknown := set(_distinct(arrays[name])) - set(known):
            yield f"{name} {str(min(unknown))!r} is none of {', '.join(known)}"
    if predictions.label.min() < 0 or predictions.label.max() >= classes:
        yield f"a label is {predictions.label.max()}, and there are {classes} classes"
    if not len(epochs) or epochs[0] < 1 or (np.diff(epochs.astype(int)) <= 0).any() or epochs[-1] != record.epochs_run:
        yield f"epochs {epochs.tolist()} do not lead to the last one, {record.epochs_run}"
    probabilities = predictions.probabilities.astype(np.float32)
    lowest, highest = probabilities.min(), probabilities.max()  # NaN where there is one
    if not (lowest >= 0 and highest <= 1):
        yield f"probabilities reach from {lowest} to {highest}"
    sums = probabilities @ np.ones(classes, np.float32)
    goal, apart = SUMS_TO
    if np.abs(sums - goal).max() > apart:
        yield f"the probabilities of an image add up to {sums.flat[np.abs(sums - goal).argmax()]:.3f}"
    order = np.argsort(predictions.row_id, kind="stable")
    same = np.flatnonzero(np.diff(predictions.row_id[order].astype(np.int64)) == 0)
    if len(same):
        one, next_one = order[same], order[same + 1]
        for name in ("usage", "label"):
            if (differ := np.flatnonzero(arrays[name][one] != arrays[name][next_one])).size:
                row = predictions.row_id[one[differ[0]]]
                yield f"row {row} is there with more than one {name}"


def verify_metrics(record: Record, task: str, predictions: Predictions, path: Path | None = None) -> None:
    """Raise DamagedRecord, at `path` or where the record belongs, unless the metrics that it stores for `task` follow
    from the predictions."""
    stored = record.metrics if task == record.task else record.further_metrics.get(task, {})
    if not _agree(stored_metrics(predictions), stored):
        file = "predictions.npz" if task == record.task else f"predictions-{task}.npz"
        raise DamagedRecord(
            path or folder(Path(), record),
            f"the metrics in record.json do not follow from {file}; one of them was changed. "
            "Restore both from where they came from, or remove the folder and run again.",
        )


def _damaged(path: Path, error: Exception | str) -> DamagedRecord:
    return DamagedRecord(path, f"this record is damaged ({error}); remove the folder and run again.")


def _agree(recomputed: Metrics, stored: Metrics) -> bool:
    def flat(tree: Metrics) -> dict[tuple[str, str, str], float]:
        return {(e, u, m): value for e, usages in tree.items() for u, ms in usages.items() for m, value in ms.items()}

    due, there = flat(recomputed), flat(stored)
    # Stored with six decimals; the last one may fall otherwise on another machine.
    return due.keys() == there.keys() and all(abs(due[k] - there[k]) < 2e-6 for k in there)


def _number(text: str) -> float:
    return float(text) if text else float("nan")


def find(root: Path) -> Iterator[Path]:
    """The folders of all records under `root`, sorted; hidden ones (unfinished runs) are left out."""
    for path in sorted(Path(root).glob("**/record.json")):
        if not path.parent.name.startswith("."):
            yield path.parent
