"""Records → runs that differ in their seed alone. Folds of one seed are one run, which knows each image once."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from fer_common import UserError, records
from fer_common.data.passport import Passport
from fer_common.records import Predictions, Record


@dataclass(frozen=True)
class FinishedRun:
    """One seed of a setup and one of its tasks, with the predictions still on disk.

    record: of several folds the first one's, with the epochs of the longest and the notes of all.
    history: a dict an epoch; empty where there are several folds, each of which has its own.
    paths: the folders of its records, one a fold, in the order of the folds.
    twins: row ids of PrivateTest's images with a twin in Training; None where no passport of the copy is at hand.
    """

    record: Record
    history: list[dict[str, float]]
    paths: tuple[Path, ...]
    task: str
    twins: tuple[int, ...] | None

    def predictions(self) -> Predictions:
        """Read from disk; of several folds pooled. Raises UserError naming a record that is damaged."""
        found = [records.read_predictions(path, records.read_record(path), self.task) for path in self.paths]
        pooled = found[0] if len(found) == 1 else pool_folds(found)
        return pooled if self.twins is None else replace(pooled, twin=np.isin(pooled.row_id, self.twins))


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone, over the images of one copy of the data, and what they say of one task."""

    record: Record  # of the first seed
    runs: tuple[FinishedRun, ...]
    failed: int
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


def collect(runs: Path, passports: dict[str, Passport]) -> list[Group]:
    """The records under `runs`, grouped by setup, data and task.

    Raises UserError naming the record where one is damaged, or two that claim to be the same run.
    """
    by_setup: dict[tuple, list[tuple[Path, Record]]] = {}
    for path in records.find(runs):
        r = records.read_record(path)
        data = (r.data["source"], r.data["fingerprint"], str(r.data.get("attributes", "")))
        key = (r.paper, r.system, r.protocol, r.init, r.preset, *data, str(r.changes))
        for task in (r.task, *r.further_metrics):
            by_setup.setdefault((*key, task), []).append((path, r))
    return [_group(task, same, passports) for (*_, task), same in sorted(by_setup.items())]


def _group(task: str, same: list[tuple[Path, Record]], passports: dict[str, Passport]) -> Group:
    finished = [(path, record) for path, record in same if record.status == "ok"]
    setups = {str(record.setup): path for path, record in reversed(finished)}
    if len(setups) > 1:
        paths = " and ".join(map(str, reversed(setups.values())))
        raise UserError(f"{paths} call themselves the same run but have different setups; remove the outdated one.")
    by_seed: dict[int, list[tuple[Path, Record]]] = {}
    for path, record in finished:
        by_seed.setdefault(record.seed, []).append((path, record))
    runs, folded = [], []
    for seed in sorted(by_seed):
        of_seed = by_seed[seed]
        folds = [record.fold for _, record in of_seed]
        if len(set(folds)) < len(folds) or (None in folds and len(folds) > 1):
            paths = " and ".join(str(path) for path, _ in of_seed)
            raise UserError(f"{paths} are records of the same run; remove one.")
        single = [
            FinishedRun(record, records.read_history(path), (path,), task, _twins(record, task, passports))
            for path, record in sorted(of_seed, key=lambda item: item[1].fold or 0)
        ]
        if len(single) > 1:
            runs.append(_over_folds(single))
            folded += single
        elif folds == [None]:
            runs += single
        else:
            [run] = single
            notes = [*run.record.notes, f"fold {run.record.fold} alone"]
            runs.append(replace(run, record=msgspec.structs.replace(run.record, notes=notes)))
    failed = sum(record.status != "ok" for _, record in same)
    return Group(runs[0].record if runs else same[0][1], tuple(runs), failed, tuple(folded), task)


def _over_folds(folds: list[FinishedRun]) -> FinishedRun:
    notes = list(dict.fromkeys(note for fold in folds for note in fold.record.notes))
    record = msgspec.structs.replace(
        folds[0].record,
        epochs_run=max(fold.record.epochs_run for fold in folds),
        best_epoch=None,
        notes=[*notes, "folds " + ", ".join(str(fold.record.fold) for fold in folds)],
    )
    return replace(folds[0], record=record, history=[], paths=tuple(path for fold in folds for path in fold.paths))


def _twins(record: Record, task: str, passports: dict[str, Passport]) -> tuple[int, ...] | None:
    passport = passports.get(record.data["fingerprint"])
    return tuple(passport.twins_in_training) if passport and task == "expression" else None


def as_text(fields: dict) -> str:
    """`epochs=3, score_epochs=1/3`: fields of a setup in one line."""
    values = {name: "/".join(map(str, v)) if isinstance(v, list) else str(v) for name, v in fields.items()}
    return ", ".join(f"{name}={value}" for name, value in values.items())


def on_whole_fer2013(groups: Iterable[Group], protocol: str) -> list[Group]:
    """The finished ones under one protocol with an unchanged setup, full or reduced, on all of FER2013."""
    return [
        group
        for group in groups
        if group.unchanged
        and group.record.preset in ("full", "reduced")
        and (group.record.protocol, group.record.data["source"]) == (protocol, "fer2013")
    ]


def pool_folds(folds: list[Predictions]) -> Predictions:
    """One out-of-fold run: each row as the one fold that held it out saw it, by its role there, and the rows that all
    folds scored with the mean of their probabilities; rows of neither kind are left out.

    A row is held out by the fold that scores it, or, where no row has one, by the one that selects on it. The folds
    hold the same rows in the same order, at the last epoch of each.
    """
    roles = np.stack([fold.role for fold in folds])
    scored, selected = roles == "score", roles == "select"
    scored_once = scored.sum(0) == 1
    selected_once = ~scored_once.any() & ~scored.any(0) & (selected.sum(0) == 1)
    by_all = scored.all(0)
    kept = scored_once | selected_once | by_all
    by = np.where(scored_once, scored.argmax(0), selected.argmax(0))
    last = np.stack([fold.probabilities[-1].astype(np.float32) for fold in folds])
    probabilities = np.where(by_all[:, None], last.mean(0), last[by, np.arange(len(by))]).astype(np.float16)
    first = folds[0]
    return Predictions(
        row_id=first.row_id[kept],
        usage=first.usage[kept],
        role=np.where(selected_once, "select", "score")[kept],
        label=first.label[kept],
        epochs=np.array([max(int(fold.epochs[-1]) for fold in folds)], np.int16),
        probabilities=probabilities[kept][None],
        of_folds=np.where(by_all, "mean_of_folds", "out_of_fold")[kept],
    )
