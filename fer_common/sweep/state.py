"""What has become of the runs of a plan, told from what runs leave on disk: any process, on any machine that shares the
disk, sees the same."""

import contextlib
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import msgspec
import numpy as np

from fer_common import files, records
from fer_common.progress import wrapped
from fer_common.sweep.plan import Line

Kind = Literal["done", "running", "stopped", "failed", "waiting", "missing"]
TAIL = 12  # lines of a log that a failure shows


class Failure(msgspec.Struct):
    """Why the last attempt at a run failed, beside where its record would be. code: of the process, negative for a
    signal; tries: how often it was killed before it was given up."""

    reason: str
    code: int
    tries: int
    host: str
    when: str


@dataclass(frozen=True)
class State:
    """Of one run. `stopped`: it has begun, its process is dead, and it goes on from its last epoch when it is swept
    again; `waiting`: for a run that is not finished. epoch, epochs, loss: of the last finished epoch; reason: of a
    failure, or what it waits for."""

    kind: Kind
    epoch: int | None = None
    epochs: int | None = None
    loss: float | None = None
    reason: str = ""

    def __str__(self) -> str:
        if self.kind not in ("running", "stopped"):
            return self.reason or self.kind
        if self.epoch is None:
            return "before its first epoch is finished"
        of = f" of {self.epochs}" if self.epochs else ""
        return f"epoch {self.epoch}{of}" + (f", loss {self.loss:.4g}" if self.loss is not None else "")


class _Ended(msgspec.Struct):
    status: str = "ok"
    error: str | None = None


@dataclass
class States:
    """Of the lines of a plan. record_of: function(line) that returns the folder of a line whose record has no name
    in the plan; asked once what it waits for is done."""

    lines: Sequence[Line]
    record_of: Callable[[Line], Path]
    _by_id: dict[str, Line] = field(init=False)
    _folders: dict[str, Path] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)  # which nothing changes any more

    def __post_init__(self):
        self._by_id = {line.id: line for line in self.lines}

    def folder(self, line: Line) -> Path | None:
        """Where its record is or will be; None while that cannot be known."""
        if line.record is not None:
            return Path(line.record)
        if line.id not in self._folders:
            if not all(self.of(self._by_id[name]).kind == "done" for name in line.after):
                return None
            self._folders[line.id] = self.record_of(line)
        return self._folders[line.id]

    def all(self) -> dict[str, State]:
        """By id, in the plan's order."""
        found: dict[str, State] = {}
        for line in self.lines:
            found[line.id] = self._waiting(line, found) or self.of(line)
        return found

    def _waiting(self, line: Line, known: Mapping[str, State]) -> State | None:
        """Of a line that is not done and whose need is neither."""
        for name in line.after:
            if known[name].kind != "done":
                own = self.of(line)
                if own.kind in ("done", "running"):
                    return own
                failed = known[name].kind == "failed" or "which failed" in known[name].reason
                return State("waiting", reason=f"needs {name}, which {'failed' if failed else 'is not finished'}")
        return None

    def of(self, line: Line) -> State:
        """Of one line, whatever it needs."""
        if line.id in self._done:
            return State("done")
        folder = self.folder(line)
        if folder is None:
            return State("waiting", reason=f"needs {', '.join(line.after)}")
        found = look(folder, network="--save-model" in line.argv)
        if found.kind == "done":
            self._done.add(line.id)
        return found


def look(folder: Path, network: bool = False) -> State:
    """What has become of the run whose record is to be `folder`. network: its trained network must be there too."""
    partial = records.partial_folder(folder)
    if (partial / "lock").exists() and held(partial / "lock"):
        return State("running", *_progress(partial))
    ended = _ended(folder)
    if ended and ended.status == "ok" and (not network or (folder / "model.keras").is_file()):
        return State("done")
    if failure := read_failure(folder):
        return State("failed", reason=failure.reason)
    if ended and ended.status != "ok":
        return State("failed", reason=ended.error or ended.status)
    if partial.is_dir():
        return State("stopped", *_progress(partial))
    return State("missing")


def _ended(folder: Path) -> _Ended | None:
    try:
        return msgspec.json.decode((folder / "record.json").read_bytes(), type=_Ended)
    except OSError:
        return None
    except msgspec.MsgspecError as error:
        return _Ended("damaged", f"record.json cannot be read ({error}); remove {folder}")


def held(lock: Path) -> bool:
    """Whether a living process holds the lock of a run."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # the folder has just gone
        return False


def _progress(partial: Path) -> tuple[int | None, int | None, float | None]:
    """(epoch, epochs, loss) of the last checkpoint."""
    with contextlib.suppress(OSError, ValueError, KeyError, zipfile.BadZipFile):
        with np.load(partial / "checkpoint.npz") as file:
            kept = json.loads(str(file["state"]))
        last = kept["history"][-1]
        return last["epoch"], kept.get("epochs"), last.get("running_loss")
    return None, None, None


def log_of(folder: Path) -> Path:
    """The log of the attempts at a run, beside its record."""
    return folder.with_name(f".{folder.name}.log")


def _failure_of(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.failed.json")


def read_failure(folder: Path) -> Failure | None:
    """None where the last attempt did not fail."""
    try:
        return msgspec.json.decode(_failure_of(folder).read_bytes(), type=Failure)
    except (OSError, msgspec.MsgspecError):
        return None


def write_failure(folder: Path, failure: Failure | None) -> None:
    """Put it beside the record; None removes what is there."""
    path = _failure_of(folder)
    if failure is None:
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(OSError):  # a full disk: the log and the sweep's own line say it
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, msgspec.json.encode(failure))


def tail(folder: Path, lines: int = TAIL) -> list[str]:
    """The last lines of its log that are not empty."""
    try:
        with log_of(folder).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 20_000))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    shown = ("".join(sign for sign in line if sign.isprintable()) for line in text.splitlines())
    return [line for line in shown if line.strip()][-lines:]


def counts(states: Iterable[State]) -> str:
    """`12 done, 2 running, 1 failed, 25 missing`"""
    kinds = [state.kind for state in states]
    said = [f"{kinds.count(kind):,} {kind}" for kind in get_args(Kind) if kind in kinds]
    return ", ".join(said) or "nothing"


def text(states: States, verbose: bool = True) -> str:
    """What `status` prints: counts and the hours that are missing, then what runs, has stopped, or failed and why."""
    from fer_common.sweep.plan import total

    found = states.all()
    lines = [counts(found.values()), total(states.lines, {name for name, own in found.items() if own.kind == "done"})]
    for line in states.lines:
        own = found[line.id]
        if own.kind in ("running", "stopped"):
            alive = "running" if own.kind == "running" else "dead, goes on when it is swept again"
            lines.append(wrapped(f"{line.id}: {alive}, {own}"))
        if own.kind == "failed":
            lines.append(wrapped(f"{line.id}: failed: {own.reason}"))
            folder = states.folder(line)
            lines += [f"    {row}" for row in tail(folder)] if verbose and folder else []
            if verbose and folder and log_of(folder).exists():
                lines.append(f"    (log: {log_of(folder)})")
    blocked = [name for name, own in found.items() if own.kind == "waiting" and "which failed" in own.reason]
    lines += [f"{name}: {found[name].reason}" for name in blocked]
    return "\n".join(lines)
