"""The runs of some papers, systems, protocols, seeds and folds, a line each, with what a line needs."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal

import msgspec
import numpy as np

from fer_common import UserError, experiment, files, records
from fer_common.experiment import machine, values
from fer_common.experiment.paper import Options, Paper
from fer_common.progress import progress, table

# A product of two matrices on one of the two cores that most committed records were made on, in seconds.
PRODUCT = 0.019
SIDE = 1024
MOST = 100_000  # seeds of a plan


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """One run of a plan.

    id: unique in the plan; paper, system, protocol, preset: as records have them; argv: what `ferrepro` takes; record:
    the folder of its record, None where the name is known only once the extractor that it takes is trained; minutes:
    expected here, None where no record tells; cores, memory_gb, gpus: what it needs at least, gpus None for one where
    there is any; after: the ids of the lines that must be finished before it.
    """

    id: str
    paper: str
    system: str
    protocol: str
    preset: str
    argv: list[str]
    record: str | None
    minutes: float | None = None
    cores: int = 2
    memory_gb: float = 3.0
    gpus: float | None = None
    after: list[str] = []


@dataclass(frozen=True)
class Choice:
    """What is asked of a plan; an empty tuple for a paper's own choice. seeds, folds: numbers; folds None for all.
    further: options that every run gets, as they are typed."""

    systems: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    folds: tuple[int, ...] | None = None
    preset: Literal["full", "reduced", "smoke"] = "full"
    data: str | None = None
    attributes: str | None = None
    allow_subset: bool = False
    runs: Path = experiment.RUNS
    further: tuple[str, ...] = ()
    cores: int = 2
    memory_gb: float = 3.0


def numbers(text: str) -> tuple[int, ...]:
    """`0-4`, `3` or `0,2,5-7` as numbers. Raises UserError."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or len(part) > 12:
            raise UserError(f"{text!r} is no list of numbers such as 0-4 or 0,2,5.")
        own = range(int(first), int(last or first) + 1)
        if len(own) + len(found) > MOST:
            raise UserError(f"{text!r} are more than {MOST:,} numbers.")
        found += own
    return tuple(dict.fromkeys(found))


def make(papers: Mapping[str, Paper], choice: Choice, known: Iterable[records.Record] = ()) -> list[Line]:
    """The lines of all runs that are chosen, those that they need before them. known: records that tell how long runs
    take. Raises UserError for a name that none of the papers has."""
    for what, asked, has in (
        ("system of these papers", choice.systems, {name for paper in papers.values() for name in paper.systems}),
        ("protocol", choice.protocols, {"all", *(name for paper in papers.values() for name in paper.choices())}),
    ):
        for name in asked:
            values.one_of(what, name, sorted(has))
    making = _Making(choice, _Minutes(known))
    wanted = [
        (paper, system, word, seed, fold)
        for paper in papers.values()
        for system, words in _pairs(paper, choice)
        for word in words
        for seed in choice.seeds
        for fold in _folds(paper, word, choice)
    ]
    for paper, system, word, seed, fold in progress(wanted, len(wanted), "planning"):
        making.add(paper, system, word, seed, fold, choice.further)
    return making.with_own_extractors()


def _pairs(paper: Paper, choice: Choice) -> list[tuple[str, tuple[str, ...]]]:
    """(system, the words of its protocols), as chosen or as the paper plans them."""
    first = (next(iter(paper.protocols)),)
    usual = paper.plan or {system: first for system in paper.systems if system not in paper.later_stages}
    systems = [name for name in choice.systems if name in paper.systems] if choice.systems else list(usual)
    if choice.protocols == ("all",):
        return [(system, tuple(paper.protocols)) for system in systems]
    named = tuple(dict.fromkeys(paper.word(name) for name in choice.protocols if name in paper.choices()))
    return [(system, named if choice.protocols else usual.get(system, first)) for system in systems]


def _folds(paper: Paper, word: str, choice: Choice) -> list[int | None]:
    has = paper.choices()[word].folds
    if not has:
        return [None]
    return [fold for fold in range(has) if choice.folds is None or fold in choice.folds]


class _Making:
    """The lines so far, and what need not be asked twice."""

    def __init__(self, choice: Choice, minutes: "_Minutes"):
        self.choice, self.minutes = choice, minutes
        self.lines: dict[str, Line] = {}
        self.other_seeds: dict[tuple[str, str], str] = {}  # line, the extractor of seed 0 → that of its own seed
        self._parsed: dict[tuple, tuple] = {}
        self._copies: dict[bool, Any] = {}

    def add(
        self, paper: Paper, system: str, word: str, seed: int, fold: int | None, further: tuple[str, ...]
    ) -> str | None:
        """The id of the line, added after those that it needs."""
        options, argv, record, setup = self._described(paper, system, word, seed, fold, further)
        name = _id(record)
        if name in self.lines:
            return name
        protocol, after, extractor_to_come = paper.choices()[word], [], False
        for needed in paper.needs(system, setup, protocol):
            own_seed = seed if needed.seed is None else needed.seed
            if "--save-model" in needed.options:
                if record.weights:  # its network is there
                    continue
                extractor_to_come = True
            under = paper.word(needed.protocol or word)
            before = self.add(paper, needed.system, under, own_seed, None if needed.protocol else fold, needed.options)
            after.append(before)
            if own_seed != seed:
                own = self._described(paper, needed.system, under, seed, None, needed.options)[2]
                self.other_seeds[name, before] = _id(own)
        folder = experiment.record_folder(paper, record, options)
        again = (
            ["--again"]
            if "--save-model" in argv and (folder / "record.json").is_file() and not (folder / "model.keras").is_file()
            else []
        )
        self.lines[name] = Line(
            id=name,
            paper=paper.id,
            system=system,
            protocol=word,
            preset=record.preset,
            argv=argv + again,
            record=None if extractor_to_come else str(folder),
            minutes=self.minutes(record),
            cores=self.choice.cores,
            memory_gb=self.choice.memory_gb,
            after=after,
        )
        return name

    def with_own_extractors(self) -> list[Line]:
        """The lines; where the extractor of a run's own seed is planned too, the run waits for that one."""
        for (name, before), own in self.other_seeds.items():
            if own in self.lines:
                line = self.lines[name]
                line.after = [own if each == before else each for each in line.after]
        return list(self.lines.values())

    def _described(self, paper, system, word, seed, fold, further) -> tuple[Options, list[str], records.Record, Any]:
        choice = self.choice
        preset = "full" if choice.preset == "reduced" and system not in paper.reduced else choice.preset
        common = ["--preset", preset, "--runs", str(choice.runs)]
        common += ["--data", choice.data] if choice.data else []
        common += ["--attributes", choice.attributes] if choice.attributes and paper.attributes else []
        common += ["--allow-subset"] if choice.allow_subset else []
        key = paper.id, system, word, further
        chosen = ["--system", system, "--protocol", word]
        if key not in self._parsed:
            self._parsed[key] = experiment.parse(paper, [*chosen, *common, *further])
        _, _, setup, options, given = self._parsed[key]
        if paper.attributes not in self._copies:
            self._copies[paper.attributes] = experiment.load(paper, options)
        options = replace(options, seed=seed, fold=fold)
        record, setup = experiment.described(paper, system, word, setup, options, given, self._copies[paper.attributes])
        of_fold = [] if fold is None else ["--fold", str(fold)]
        return (
            options,
            ["run", paper.script or paper.id, *chosen, "--seed", str(seed), *of_fold, *common, *further],
            record,
            setup,
        )


def _id(record: records.Record) -> str:
    fold = "" if record.fold is None else f"-fold{record.fold}"
    reduced = "-reduced" if record.reduced and record.preset != "reduced" else ""
    preset = "" if record.preset == "full" else f"-{record.preset}"
    init = Path(record.init).stem
    return f"{record.paper}/{record.system}/{record.protocol}-{init}-seed{record.seed}{fold}{preset}{reduced}"


class _Minutes:
    """How long a run takes here: the median of the runs with its setup, of its protocol where there are any; of those
    made on another processor, by how much quicker or slower this one multiplies matrices. What ran on a GPU says
    nothing of a processor, nor the other way round."""

    def __init__(self, known: Iterable[records.Record]):
        self._spent: dict[tuple, list[float]] = {}
        here, accelerated = machine.processor(), bool(machine.gpus_here())
        for record in known:
            if records.is_accelerator(record.device or "") != accelerated:
                continue
            if record.status == "ok" and record.epochs_run and record.seconds_per_epoch:
                minutes = record.epochs_run * record.seconds_per_epoch / 60
                if record.device and not accelerated and record.device != here:
                    minutes *= self._slower
                for key in (self._key(record, record.protocol), self._key(record, None)):
                    self._spent.setdefault(key, []).append(minutes)

    @property
    def _slower(self) -> float:
        if not hasattr(self, "_measured"):
            self._measured = product_seconds() / PRODUCT
        return self._measured

    @staticmethod
    def _key(record: records.Record, protocol: str | None) -> tuple:
        setup = msgspec.json.encode(record.setup, order="sorted")
        return record.paper, record.system, record.preset == "smoke", setup, protocol

    def __call__(self, record: records.Record) -> float | None:
        spent = self._spent.get(self._key(record, record.protocol)) or self._spent.get(self._key(record, None))
        return round(median(spent), 2) if spent else None


def product_seconds() -> float:
    """Seconds of a product of two float32 matrices of 1,024 × 1,024 here, the quickest of seven."""
    one = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    found = []
    for _ in range(7):
        started = time.perf_counter()
        one @ one
        found.append(time.perf_counter() - started)
    return min(found)


def write(lines: Sequence[Line], path: Path) -> None:
    """A line of JSON a run."""
    try:
        files.write_whole(path, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}).") from None


def read(path: Path) -> list[Line]:
    """The lines of a plan. Raises UserError where it is none, or names a line that it has not."""
    lines: dict[str, Line] = {}
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); `ferrepro plan --out {path}` makes it.") from None
    for number, row in enumerate(text.splitlines()):
        try:
            line = msgspec.json.decode(row, type=Line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UserError(f"{path}, line {number + 1}: no run of a plan ({error}).") from None
        if line.id in lines:
            raise UserError(f"{path}, line {number + 1}: {line.id} is planned twice.")
        if line.argv[:1] != ["run"] or len(line.argv) < 2:
            raise UserError(f"{path}, line {number + 1}: its argv is no `run PAPER …`.")
        if missing := set(line.after) - set(lines):
            raise UserError(f"{path}, line {number + 1}: {min(missing)}, which it needs, does not stand before it.")
        lines[line.id] = line
    if not lines:
        raise UserError(f"{path} plans no run.")
    return list(lines.values())


def summary(lines: Sequence[Line], done: set[str]) -> str:
    """A row a system and protocol: runs, done, missing, minutes a run and hours that are missing, here, one run after
    another; and the sum."""
    groups: dict[tuple, list[Line]] = {}
    for line in lines:
        groups.setdefault((line.paper, line.system, line.protocol, line.preset), []).append(line)
    rows = []
    for (paper, system, protocol, preset), own in groups.items():
        missing = [line for line in own if line.id not in done]
        minutes = [line.minutes for line in own if line.minutes is not None]
        known = [line.minutes for line in missing if line.minutes is not None]
        rows.append(
            {"paper": paper, "system": system, "protocol": protocol, "preset": preset}
            | {"runs": len(own), "done": len(own) - len(missing), "missing": len(missing)}
            | {"minutes a run": f"{median(minutes):.1f}" if minutes else "unknown"}
            | {"hours missing": f"{sum(known) / 60:.1f}" if len(known) == len(missing) else "unknown"}
        )
    return f"{table(rows)}\n\n{total(lines, done)}"


def total(lines: Sequence[Line], done: set[str]) -> str:
    """`44 runs, 4 done, 40 missing: 3.5 hours on this machine, and 2 of unknown length.`"""
    missing = [line for line in lines if line.id not in done]
    known = [line.minutes for line in missing if line.minutes is not None]
    unknown = len(missing) - len(known)
    said = f"{len(lines):,} runs, {len(lines) - len(missing):,} done, {len(missing):,} missing"
    if known:
        said += f": {sum(known) / 60:.1f} hours on this machine, one after another"
    if unknown:
        said += f"{', and' if known else ':'} {unknown:,} of unknown length"
    return said + "."
