"""Records from several folders into one: of machines without a common disk."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fer_common import UserError, records
from fer_common.progress import progress


@dataclass
class Gathered:
    """Folders: new here; there already, with the same predictions; refused, with why."""

    new: list[Path] = field(default_factory=list)
    same: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)


def gather(sources: Sequence[Path], runs: Path) -> Gathered:
    """Copy every record below the sources to where it belongs under `runs`; nothing that is there is changed but a
    failed record, which gives way to a whole one. Raises UserError where a source has no record.

    Two records of one run must predict the same: what contradicts is left where it is, and named. Records of the same
    run that were made twice, with the same predictions, are one.
    """
    found, gathered = [], Gathered()
    for source in sources:
        own = list(records.find(source))
        if not own:
            raise UserError(f"{source}: there is no record below it.")
        found += own
    for path in progress(found, len(found), "records"):
        try:
            record, _, predictions = records.read(path)
        except records.DamagedRecord as error:
            gathered.refused[path] = error.says
            continue
        target = records.folder(runs, record)
        if path.name != target.name:
            gathered.refused[path] = f"what it says of itself belongs into {target.name}"
        elif target.resolve() == path.resolve():
            gathered.same.append(path)
        elif records.status(target) != "ok":
            if record.status == "ok" or not target.exists():
                _copy(path, target)
                gathered.new.append(target)
        elif record.status == "ok" and (why := _differ(predictions, path, target)):
            gathered.refused[path] = f"{target} is the same run and {why}"
        else:
            gathered.same.append(path)
    return gathered


def _contradiction(one: records.Predictions | None, other: records.Predictions | None) -> str | None:
    assert one is not None and other is not None  # both are whole
    for name in records.STORED:
        a, b = getattr(one, name), getattr(other, name)
        if a.shape != b.shape or not np.array_equal(a, b):
            if name == "probabilities" and a.shape == b.shape:
                moved = float(np.abs(a.astype(np.float32) - b.astype(np.float32)).max())
                return f"its probabilities differ by up to {moved:.2g}"
            return f"its {name} is another"
    return None


def _differ(predictions: records.Predictions | None, path: Path, target: Path) -> str | None:
    """In what the record at `path`, with its predictions, contradicts the whole one at `target`, in any task."""
    if why := _contradiction(predictions, records.read(target)[2]):
        return why
    one, other = records.read_further(path), records.read_further(target)
    if set(one) != set(other):
        return "has other tasks"
    said = ((task, _contradiction(one[task], other[task])) for task in one)
    return next((f"{why} (of {task})" for task, why in said if why), None)


def _copy(path: Path, target: Path) -> None:
    """The whole folder under another name, then renamed."""
    aside = target.with_name(f".{target.name}.gathered-{os.getpid()}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(path, aside)
        if target.exists():
            shutil.rmtree(target)
        aside.rename(target)
    except OSError as error:
        raise UserError(
            f"{target} cannot be written ({error.strerror}); what was gathered before it is whole."
        ) from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
