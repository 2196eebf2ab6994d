"""The record: what a run leaves on disk, written whole or not at all, and read back with its metrics recomputed.

A folder `<protocol>-<init>-seed<k>[-fold<j>]-<hash>/` under `runs/<paper>/<system>/` with `record.json`,
`history.csv` and `predictions.npz` (one more for each further task: `predictions-<task>.npz`); the pictures and the
report that `pictures` draws from them come after, and may be missing. While a run goes on, its checkpoint
lies beside it in a hidden `.<name>.partial/` folder.
"""

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fer_common import UserError

SCHEMA = 1


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


@dataclass(frozen=True)
class Predictions:
    """Probabilities over all rows of the data at each scored epoch.

    row_id int32 (N,), usage str (N,), of an attribute the part of UTKFace, role str (N,), label uint8 (N,), epochs
    int16 (E,), counted from 1, last one last, probabilities float16 (E, N, K), K = 7 for expressions; twin bool (N,),
    whether an image of PrivateTest has a twin in Training, or None: it is not stored, but known from the passport of
    a copy.
    """

    row_id: np.ndarray
    usage: np.ndarray
    role: np.ndarray
    label: np.ndarray
    epochs: np.ndarray
    probabilities: np.ndarray
    twin: np.ndarray | None = None

    def at(self, epoch: int) -> np.ndarray:
        """float16 (N, 7): the probabilities after `epoch`."""
        return self.probabilities[list(self.epochs).index(epoch)]


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
        return _read_json(final).status
    return "unfinished" if partial_folder(final).is_dir() else "absent"


def stored_metrics(predictions: Predictions) -> dict[str, dict[str, dict[str, float]]]:
    """The metrics that a record keeps to be checked by: per scored epoch and usage, whatever the rows' roles."""
    from fer_common import evaluation

    found: dict[str, dict[str, dict[str, float]]] = {}
    for epoch, probabilities in zip(predictions.epochs, predictions.probabilities):
        for usage in np.unique(predictions.usage):
            rows = predictions.usage == usage
            values = evaluation.metrics(predictions.label[rows], probabilities[rows])
            found.setdefault(str(epoch), {})[str(usage)] = {
                "accuracy": round(values["accuracy"], 6),
                "macro_f1": round(values["f1.macro"], 6),
                "log_loss": round(values["log_loss"], 6),
            }
    return found


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
            stored = {name: array for name, array in vars(found).items() if name != "twin"}
            np.savez_compressed(temporary / name, **stored)
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


def _read_json(path: Path) -> Record:
    try:
        record = msgspec.json.decode((path / "record.json").read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError) as error:
        raise UserError(f"{path}/record.json cannot be read ({error}); remove the folder and run again.") from None
    if record.schema != SCHEMA:
        raise UserError(f"{path}/record.json has schema {record.schema}, this version reads {SCHEMA}; run again.")
    return record


def read(path: Path) -> tuple[Record, list[dict[str, float]], Predictions | None]:
    """(record, history, predictions) of the record at `path`, checked: stored metrics must follow from predictions.

    Predictions are None for a failed run. Raises UserError naming the record where something is missing or disagrees.
    """
    record = _read_json(path)
    if record.status != "ok":
        return record, [], None
    try:
        header, *rows = (path / "history.csv").read_text().split()
        history = [dict(zip(header.split(","), map(_number, row.split(",")))) for row in rows]
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    return record, history, _predictions(path, "predictions.npz", record.metrics)


def read_further(path: Path) -> dict[str, Predictions]:
    """The predictions of the further tasks of the record at `path`, checked as those that `read` returns."""
    metrics = _read_json(path).further_metrics
    return {task: _predictions(path, f"predictions-{task}.npz", own) for task, own in metrics.items()}


def _predictions(path: Path, file: str, metrics: Metrics) -> Predictions:
    try:
        with np.load(path / file) as arrays:
            predictions = Predictions(**arrays)
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from None
    if not _agree(stored_metrics(predictions), metrics):
        raise UserError(
            f"{path}: the metrics in record.json do not follow from {file}; one of them was changed. "
            "Restore both from where they came from, or remove the folder and run again."
        )
    return predictions


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: this record is damaged ({error}); remove the folder and run again.")


def _agree(recomputed: dict, stored: dict) -> bool:
    def flat(tree):
        return {(e, u, m): value for e, usages in tree.items() for u, ms in usages.items() for m, value in ms.items()}

    recomputed, stored = flat(recomputed), flat(stored)
    # Stored with six decimals; the last one may fall otherwise on another machine.
    return recomputed.keys() == stored.keys() and all(abs(recomputed[k] - stored[k]) < 2e-6 for k in stored)


def _number(text: str) -> float:
    return float(text) if text else float("nan")


def find(root: Path) -> Iterator[Path]:
    """The folders of all records under `root`, sorted; hidden ones (unfinished runs) are left out."""
    for path in sorted(Path(root).glob("**/record.json")):
        if not path.parent.name.startswith("."):
            yield path.parent
