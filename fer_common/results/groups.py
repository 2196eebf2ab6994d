"""Records → runs that differ in their seed alone. Folds of one seed are one run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from fer_common import records
from fer_common.data.passport import Passport
from fer_common.records import Predictions, Record
from fer_common.splits import FOLDS


@dataclass(frozen=True)
class FoundRecord:
    """What lies in a folder of records.

    record: None where it cannot be read, or was not. left_out: why it is in no main table (`damaged`, `symlink`,
    `failed`, `smoke`, `changed`, `incomplete`: folds of a seed where another seed has more), or nothing. says: what is
    wrong with it, in a sentence.
    """

    path: Path
    record: Record | None
    left_out: str = ""
    says: str = ""


@dataclass(frozen=True)
class FinishedRun:
    """One seed of a setup and one of its tasks, with the predictions still on disk.

    record: of several folds the first one's, with the epochs of the longest and the notes of all.
    history: a dict an epoch; empty where there are several folds, each of which has its own.
    paths, digests: the folders of its records, one a fold, in the order of the folds, and what their bytes come to.
    left_out_of: by named subset of the copy, the row ids that are not in it; empty where no passport is at hand.
    """

    record: Record
    history: list[dict[str, float]]
    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    task: str
    left_out_of: Mapping[str, tuple[int, ...]]

    def predictions(self) -> Predictions:
        """Read from disk; of several folds pooled. Raises UserError naming a record that is damaged."""
        found = [records.read_predictions(path, records.read_record(path), self.task) for path in self.paths]
        pooled = found[0] if len(found) == 1 else pool_folds(found)
        return replace(pooled, subsets={name: ~np.isin(pooled.row_id, out) for name, out in self.left_out_of.items()})


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone, over the images of one copy of the data, and what they say of one task."""

    record: Record  # of the first seed
    runs: tuple[FinishedRun, ...]
    folds: tuple[FinishedRun, ...] = ()  # of all seeds, where there are several a seed
    task: str = "expression"

    @property
    def source(self) -> str:
        """The data: `fer2013`, `fer2013-subset`, `synthetic`; and that of the attributes, where it is not UTKFace."""
        attributes = self.record.data.get("attributes", {}).get("source", "utkface")
        other = [] if attributes == "utkface" else [attributes]  # a part of UTKFace, or drawn ones
        return " + ".join(dict.fromkeys([self.record.data["source"], *other]))

    @property
    def key(self) -> dict[str, str]:
        """What every row of a table says of a setup."""
        r = self.record
        setup = {name: getattr(r, name) for name in ("paper", "system", "protocol", "init", "preset")}
        return setup | {"source": self.source}

    @property
    def seeds(self) -> list[int]:
        return [run.record.seed for run in self.runs]

    @property
    def last_epochs(self) -> tuple[int, ...]:
        """Of each run."""
        return tuple(run.record.epochs_run for run in self.runs)

    def by_fold(self) -> dict[int, "Group"]:
        """Where there are several folds a seed: for each the group of its runs, one a seed."""
        numbers = sorted({fold.record.fold for fold in self.folds if fold.record.fold is not None})
        of_fold = {n: tuple(fold for fold in self.folds if fold.record.fold == n) for n in numbers}
        return {n: replace(self, record=own[0].record, runs=own, folds=()) for n, own in of_fold.items()}

    def single_runs(self) -> tuple[FinishedRun, ...]:
        """One a record: each has a history of its own."""
        return self.folds or self.runs

    @property
    def begins_as(self) -> str:
        """The system whose finished network it goes on with; empty where it has none."""
        return self.record.details.get("begins_as", "").partition("/")[0]

    @property
    def notes(self) -> str:
        """What every row of it must say."""
        said = [note for run in self.runs for note in run.record.notes]
        if self.begins_as:
            said.append(f"begins as the finished {self.begins_as}; epochs are counted from there")
        if self.record.reduced:
            said.append("reduced: " + as_text(self.record.reduced))
        return "; ".join(dict.fromkeys(said))

    @property
    def unchanged(self) -> bool:
        """Whether it ran, with the setup that the script has: what main tables are made of."""
        return bool(self.runs) and not self.record.changes


@dataclass(frozen=True)
class Collected:
    """groups: what is counted; found: every record, counted or not."""

    groups: list[Group]
    found: list[FoundRecord]


def collect(root: Path, passports: Mapping[str, Passport], wrong: Mapping[Path, str] | None = None) -> Collected:
    """The records under `root`, grouped by setup, data and task.

    wrong: what is wrong with some of them, by path. They are left out, and so are all that claim to be the same run
    as another.
    """
    wrong = dict(wrong or {})
    read: dict[Path, Record] = {}
    for path in records.find(root):
        if path not in wrong:
            try:
                read[path] = records.read_record(path)
            except records.DamagedRecord as error:
                wrong[path] = error.says
    wrong |= _contradictions(read)
    by_setup: dict[tuple, list[tuple[Path, Record]]] = {}
    for path, r in read.items():
        if path not in wrong:
            key = _setup(r)
            for task in (r.task, *r.further_metrics):
                by_setup.setdefault((*key, task), []).append((path, r))
    incomplete = {path for same in by_setup.values() for path in _incomplete(same)}
    groups = [
        _group(task, [own for own in same if own[0] not in incomplete], passports)
        for (*_, task), same in sorted(by_setup.items())
    ]
    found = [
        FoundRecord(path, r, _left_out(r) or "incomplete" * (path in incomplete), r.error or "")
        for path, r in read.items()
        if path not in wrong
    ]
    found += [FoundRecord(path, read.get(path), "damaged", says) for path, says in wrong.items()]
    found += [FoundRecord(path, None, "symlink", "symbolic links are not followed") for path in _symlinks(root)]
    return Collected(groups, sorted(found, key=lambda each: each.path))


def _setup(r: Record) -> tuple[str, ...]:
    """What runs that differ in their seed or fold alone have in common."""
    data = r.data["source"], r.data["fingerprint"], str(r.data.get("attributes", ""))
    return r.paper, r.system, r.protocol, r.init, r.preset, *data, str(r.changes), r.weights or ""


def _left_out(record: Record) -> str:
    """Why a sound record is in no main table; nothing if it is in them."""
    if record.status != "ok":
        return "failed"
    return "smoke" if record.preset == "smoke" else "changed" if record.changes else ""


def _incomplete(same: list[tuple[Path, Record]]) -> set[Path]:
    """The folds of seeds that do not have those of the fullest seed: their images are others, so that they are no
    repetition of it."""
    by_seed: dict[int, dict[int, Path]] = {}
    for path, r in same:
        if r.status == "ok" and r.fold is not None:
            by_seed.setdefault(r.seed, {})[r.fold] = path
    fullest = max(by_seed.values(), key=len, default={}).keys()
    return {path for own in by_seed.values() if own.keys() != fullest for path in own.values()}


def named_folds(numbers: Iterable[int]) -> str:
    """`folds 0, 1, 2, 3, 4`; of a part of them `fold 0 alone`, `folds 0, 1 alone`."""
    each = sorted(numbers)
    return f"fold{'s' * (len(each) > 1)} {', '.join(map(str, each))}" + " alone" * (len(each) < FOLDS)


def _contradictions(read: Mapping[Path, Record]) -> dict[Path, str]:
    """What is wrong with finished records that call themselves the same run, or of which one has another setup."""
    same_setup: dict[tuple, list[Path]] = {}
    same_run: dict[tuple, list[Path]] = {}
    for path, r in read.items():
        if r.status == "ok":
            setup = _setup(r)
            same_setup.setdefault(setup, []).append(path)
            same_run.setdefault((*setup, r.seed), []).append(path)
    found: dict[Path, str] = {}
    for paths in same_run.values():
        folds = [read[path].fold for path in paths]
        if len(set(folds)) < len(folds) or (None in folds and len(folds) > 1):
            others = " and ".join(path.name for path in paths)
            found |= dict.fromkeys(paths, f"{others} are records of the same run; remove all but one")
    for paths in same_setup.values():
        setups = {str(read[path].setup): path for path in paths}
        if len(setups) > 1:
            others = " and ".join(path.name for path in setups.values())
            says = f"{others} call themselves the same run but have different setups; remove the outdated one"
            found |= dict.fromkeys(paths, says)
    return found


def _symlinks(root: Path) -> list[Path]:
    """Folders of records that are there through a symbolic link, at any of the depths at which records lie."""
    links = (path for depth in ("*", "*/*", "*/*/*") for path in Path(root).glob(depth) if path.is_symlink())
    return sorted(path for path in links if path.is_dir())


def _group(task: str, same: list[tuple[Path, Record]], passports: Mapping[str, Passport]) -> Group:
    by_seed: dict[int, list[tuple[Path, Record]]] = {}
    for path, record in same:
        if record.status == "ok":
            by_seed.setdefault(record.seed, []).append((path, record))
    runs, folded = [], []
    for seed in sorted(by_seed):
        single = [
            FinishedRun(
                record=record,
                history=records.read_history(path),
                paths=(path,),
                digests=(records.digest(path),),
                task=task,
                left_out_of=_subsets(record, task, passports),
            )
            for path, record in sorted(by_seed[seed], key=lambda item: item[1].fold or 0)
        ]
        if len(single) > 1:
            runs.append(_over_folds(single))
            folded += single
        elif (fold := single[0].record.fold) is None:
            runs += single
        else:
            [run] = single
            notes = [*run.record.notes, named_folds([fold])]
            runs.append(replace(run, record=msgspec.structs.replace(run.record, notes=notes)))
    return Group(runs[0].record if runs else same[0][1], tuple(runs), tuple(folded), task)


def _over_folds(folds: list[FinishedRun]) -> FinishedRun:
    notes = list(dict.fromkeys(note for fold in folds for note in fold.record.notes))
    record = msgspec.structs.replace(
        folds[0].record,
        epochs_run=max(fold.record.epochs_run for fold in folds),
        best_epoch=None,
        notes=[*notes, named_folds(fold.record.fold for fold in folds if fold.record.fold is not None)],
    )
    paths, digests = (tuple(getattr(fold, name)[0] for fold in folds) for name in ("paths", "digests"))
    return replace(folds[0], record=record, history=[], paths=paths, digests=digests)


def _subsets(record: Record, task: str, passports: Mapping[str, Passport]) -> dict[str, tuple[int, ...]]:
    passport = passports.get(record.data["fingerprint"])
    if passport is None or task != "expression":
        return {}
    found = {"without_twins": tuple(passport.twins_in_training)}
    if passport.unnamed is not None:
        found["named_by_ferplus"] = tuple(passport.unnamed)
    return found


def as_text(fields: Mapping) -> str:
    """`epochs=3, score_epochs=1/3`: fields of a setup in one line."""
    return ", ".join(f"{name}={value_text(value)}" for name, value in fields.items())


def value_text(value) -> str:
    """A value of a setup in one line."""
    return "/".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def pool_folds(folds: list[Predictions]) -> Predictions:
    """One run of all: each row as the one fold that held it out saw it, by its role there, and the rows that all folds
    scored once a fold, in the order of the folds; rows of neither kind are left out.

    A row is held out by the fold that scores it, or, where no row has one, by the one that selects on it. The folds
    hold the same rows in the same order, at the last epoch of each.
    """
    roles = np.stack([fold.role for fold in folds])
    scored, selected = roles == "score", roles == "select"
    scored_once = scored.sum(0) == 1
    selected_once = ~scored_once.any() & ~scored.any(0) & (selected.sum(0) == 1)
    once, by_all = np.flatnonzero(scored_once | selected_once), np.flatnonzero(scored.all(0))
    held_out_by = np.where(scored_once, scored.argmax(0), selected.argmax(0))[once]
    rows = np.concatenate([once, np.tile(by_all, len(folds))])
    by = np.concatenate([held_out_by, np.repeat(np.arange(len(folds)), len(by_all))])
    last = np.stack([fold.probabilities[-1] for fold in folds])
    first = folds[0]
    return Predictions(
        row_id=first.row_id[rows],
        usage=first.usage[rows],
        role=np.where(selected_once, "select", "score")[rows],
        label=first.label[rows],
        epochs=np.array([max(int(fold.epochs[-1]) for fold in folds)], np.int16),
        probabilities=last[by, rows][None],
        of_folds=np.repeat(["out_of_fold", "each_fold"], [len(once), len(rows) - len(once)]),
    )
