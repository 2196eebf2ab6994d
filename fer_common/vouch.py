"""Does a record say the truth about its rows? Their labels are held against the passport of the copy of the data that
it names, their roles are drawn again from its protocol and seed, and its metrics are computed again.

This guards against mistakes and simple edits, not against somebody who forges a whole record: whoever invents
probabilities and computes the metrics from them passes. Nothing is trained here and no image is read.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from fer_common import UserError, records, splits
from fer_common.data import USAGES, FaceData, attributes, passport
from fer_common.files import keep, kept_in
from fer_common.progress import plain, progress
from fer_common.protocols import Protocol
from fer_common.records import Predictions, Record

Verdict = Literal["ok", "wrong", "not checked"]
# By paper, and then by the paper's own word for each, which is what its records say.
Protocols = Mapping[str, Mapping[str, Protocol]]
# By paper and system: the values of its setup, by field, as JSON has them.
Setups = Mapping[str, Mapping[str, Mapping[str, Any]]]
VERSION = 3  # raise when a check changes: what was kept of records is then made anew
OFFICIAL = dict(zip(USAGES, ("fit", "select", "score")))
RELEASED = "released"  # in place of a paper: somebody else's model, whose rows are all `unknown`
ROUNDED = 0.002  # what float16 may move of an accuracy, and a GPU that asks in other batches
FINETUNED = "finetuned"  # the init of a system that stands on a network trained in another run


@dataclass(frozen=True)
class Finding:
    """What one check says of one record; `says` is a sentence unless the verdict is `ok`.

    check: `readable`; `place`, whether its folder is that of another run; `setup`, whether what it says was changed
    or reduced is all that differs from the script; `history`, whether it, the best epoch and the predictions agree;
    `rows`, `roles` and `metrics`, once for each task; `copies`, whether another run has the same predictions.
    """

    path: Path
    check: str
    verdict: Verdict
    says: str = ""


@dataclass(frozen=True)
class Passports:
    """By fingerprint: those of FER2013 and those of UTKFace."""

    faces: Mapping[str, passport.Passport]
    attributes: Mapping[str, passport.AttributePassport]

    @classmethod
    def read(cls, folder: Path) -> "Passports":
        """All in `folder`. Raises UserError where there is no such folder, or a file in it is no passport."""
        if not Path(folder).is_dir():
            raise UserError(f"{folder}: no such folder; say where the passports are with --passports.")
        return cls(passport.read_all(folder), passport.read_attributes(folder))

    @cached_property
    def digest(self) -> str:
        """Hex digits over all of them."""
        return hashlib.sha256(msgspec.json.encode((self.faces, self.attributes), order="deterministic")).hexdigest()


class _Ends(Exception):
    """Ends a check that does not come out right."""

    def __init__(self, verdict: Verdict, says: str):
        super().__init__(says)
        self.verdict, self.says = verdict, says


def find(places: Iterable[Path]) -> list[Path]:
    """The folders of all records at or under `places`, each once. Raises UserError for a place without any."""
    found: dict[Path, None] = {}
    for place in places:
        here = list(records.find(place))
        if not here:
            raise UserError(f"{place}: there is no record; name one's folder, or a folder of them.")
        found |= dict.fromkeys(here)
    return list(found)


def check_record(path: Path, passports: Passports, protocols: Protocols, setups: Setups | None = None) -> list[Finding]:
    """All findings on the record at `path` alone."""
    return _check(path, passports, protocols, setups or {})[0]


def check_records(
    paths: Iterable[Path],
    passports: Passports,
    protocols: Protocols,
    *,
    setups: Setups | None = None,
    without_randomness: Callable[[Record], bool] = lambda record: False,
    cache: Path | None = None,
) -> list[Finding]:
    """All findings on the records at `paths`, and whether any two of them are one run, counted twice.

    without_randomness: whether the seed changes nothing in a record's system, so that another seed may give the same
    predictions. cache: a folder that keeps what was found on a record until it, or what it was held against, changes.
    """
    findings: list[Finding] = []
    runs: dict[str, list[tuple[Path, Record, str]]] = defaultdict(list)
    paths = list(paths)
    for path in progress(paths, len(paths), "checking records"):
        own, record, run = _check_or_recall(path, passports, protocols, setups or {}, cache)
        findings += own
        if record and run:
            runs[run.predictions].append((path, record, run.fitted))
    for alike in runs.values():
        for path, record, fitted in alike:
            seedless = without_randomness(record)
            twins = [
                p
                for p, its, its_fitted in alike
                if p != path
                and (its.seed == record.seed or not seedless)
                # Two protocols that fit the same rows may well give the same network.
                and ((its.protocol, its.fold) == (record.protocol, record.fold) or its_fitted != fitted)
            ]
            says = f"its predictions are those of {twins[0]}, bit for bit; one run counts once" if twins else ""
            findings.append(Finding(path, "copies", "wrong" if twins else "ok", says))
    return findings


def text(findings: list[Finding]) -> str:
    """Every wrong record with what is wrong, what was not checked and why, and how many records there are."""
    of = {verdict: [each for each in findings if each.verdict == verdict] for verdict in ("wrong", "not checked")}
    lines = [f"wrong: {each.path}: {each.check}: {each.says}" for each in of["wrong"]]
    reasons = Counter((each.check, each.says) for each in of["not checked"])
    lines += [f"not checked: {check} ({n}): {says}" for (check, says), n in reasons.items()]
    every, wrong = {each.path for each in findings}, {each.path for each in of["wrong"]}
    partly = {each.path for each in of["not checked"]} - wrong
    counts = f"{len(every):,} records: {len(every - wrong - partly):,} right in every check, {len(wrong):,} wrong"
    return plain("\n".join([*lines, counts + (f", {len(partly):,} checked in part" if partly else "")]))


class _Run(msgspec.Struct, frozen=True):
    """Which run a record is of, in hex digits. predictions: over everything but protocol, fold, seed, machine and code,
    to the last probability; fitted: over the rows that it was fitted on."""

    predictions: str
    fitted: str

    @classmethod
    def of(cls, record: Record, of_task: Mapping[str, Predictions]) -> "_Run":
        setup = (record.paper, record.system, record.init, record.preset, record.setup, record.data["fingerprint"])
        predictions, fitted = hashlib.sha256(msgspec.json.encode(setup, order="deterministic")), hashlib.sha256()
        for task, own in of_task.items():
            predictions.update(task.encode())
            predictions.update(np.ascontiguousarray(own.probabilities))
            fitted.update(np.ascontiguousarray(own.row_id[own.role == "fit"]))
        return cls(predictions.hexdigest(), fitted.hexdigest())


class _Kept(msgspec.Struct):
    """What the cache holds of one record. run: None where it has no predictions."""

    findings: list[tuple[str, Verdict, str]]
    run: _Run | None


def _check_or_recall(
    path: Path, passports: Passports, protocols: Protocols, setups: Setups, cache: Path | None
) -> tuple[list[Finding], Record | None, _Run | None]:
    """What `_check` returns, from the cache where it is there."""
    try:
        record = records.read_record(path)
    except records.DamagedRecord:
        return _check(path, passports, protocols, setups)
    stands_on = _stands_on(record)
    parts = [VERSION, path.resolve().name, records.digest(path), passports.digest]
    if stands_on:
        parts.append(records.digest(path.resolve().parent.parent / stands_on))
    protocol = protocols.get(record.paper, {}).get(record.protocol)
    parts.append(protocol.name if protocol else "")
    parts.append(setups.get(record.paper, {}).get(record.system))
    file = cache and cache / f"{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"
    kept = file and kept_in(file, _Kept)
    if kept:
        return [Finding(path, *own) for own in kept.findings], record if kept.run else None, kept.run
    findings, its_record, run = _check(path, passports, protocols, setups)
    if file:
        keep(file, _Kept([(own.check, own.verdict, own.says) for own in findings], run))
    return findings, its_record, run


def _check(
    path: Path, passports: Passports, protocols: Protocols, setups: Setups
) -> tuple[list[Finding], Record | None, _Run | None]:
    """(findings, record, which run it is); neither where there are no predictions to hold against others."""
    try:
        record = records.read_record(path)
        history = records.read_history(path)
        if record.status != "ok":
            return [Finding(path, "readable", "not checked", "the run failed and has no predictions")], None, None
        tasks = (record.task, *record.further_metrics)
        of_task = {task: records.read_predictions(path, record, task) for task in tasks}
    except records.DamagedRecord as error:
        return [Finding(path, "readable", "wrong", error.says)], None, None
    findings = [
        Finding(path, "readable", "ok"),
        _finding(path, "place", _place, path, record),
        _finding(path, "setup", _setup, record, setups),
        _finding(path, "history", _history, record, history, of_task[record.task]),
    ]
    for task, own in of_task.items():
        findings += [
            _finding(path, "rows", _rows, record, task, own, passports),
            _finding(path, "roles", _roles, path, record, task, own, passports, protocols),
            _finding(path, "metrics", records.verify_metrics, record, task, own, path),
        ]
    return findings, record, _Run.of(record, of_task)


def _finding(path: Path, name: str, check: Callable[..., None], *arguments) -> Finding:
    try:
        check(*arguments)
    except _Ends as end:
        return Finding(path, name, end.verdict, end.says)
    except records.DamagedRecord as error:
        return Finding(path, name, "wrong", error.says)
    return Finding(path, name, "ok")


def _place(path: Path, record: Record) -> None:
    due = records.folder(Path(), record).name
    if path.resolve().name != due:
        raise _Ends("wrong", f"its folder should be named {due} by what it says of protocol, seed, setup and data")


def _setup(record: Record, setups: Setups) -> None:
    """Every value that is not the script's is told, as a change or a reduction, and its preset follows from them."""
    usual = setups.get(record.paper, {}).get(record.system)
    if usual is None or record.preset == "smoke":
        return
    told = record.reduced | record.changes
    for name, value in record.setup.items():
        if name == "init" or name not in usual:
            continue
        if name in told and told[name] != value:
            raise _Ends("wrong", f"it says that {name} was set to {told[name]}, and its setup has {value}")
        if name not in told and value != usual[name]:
            raise _Ends("wrong", f"its {name} is {value}, the script's is {usual[name]}, and it does not say so")
    due = "custom" if record.changes else "reduced" if record.reduced else "full"
    if record.preset != due:
        raise _Ends("wrong", f"it calls itself {record.preset}, and by what it says was changed it is {due}")


def _history(record: Record, history: list[dict[str, float]], predictions: Predictions) -> None:
    """The best epoch is the first with the highest accuracy on the `select` rows, which is that of the predictions; of
    the last ones, whose weights early stopping may have put back, at any epoch."""
    selected = [row["select_accuracy"] for row in history if "select_accuracy" in row]
    if not history or len(selected) < len(history):
        return
    watched = predictions.role == "select"
    for epoch in predictions.epochs.tolist() if watched.any() else ():
        right = predictions.at(epoch)[watched].argmax(1) == predictions.label[watched]
        told = selected if epoch == record.epochs_run else selected[epoch - 1 : epoch]
        if min(abs(right.mean() - accuracy) for accuracy in told) > ROUNDED:
            raise _Ends(
                "wrong", f"its history has no accuracy of {right.mean():.4f}, its predictions of epoch {epoch} have"
            )
    if record.best_epoch != int(np.argmax(selected)) + 1:
        raise _Ends(
            "wrong", f"its best epoch is {record.best_epoch}; by its history it is {int(np.argmax(selected)) + 1}"
        )


def _rows(record: Record, task: str, predictions: Predictions, passports: Passports) -> None:
    """Row ids, usages and labels are those of the copy that the record names."""
    of_attribute = task in attributes.ATTRIBUTES
    named = record.data.get("attributes") if of_attribute else record.data
    if not named or named["rows"] != len(predictions.row_id):
        says = f"{named['rows']:,} rows" if named else "nothing of the data"
        raise _Ends("wrong", f"its predictions for {task} are of {len(predictions.row_id):,} rows, and it says {says}")
    if record.preset == "smoke":
        raise _Ends("not checked", "a smoke run holds a subset of its copy, and passports digest whole copies alone")
    known = (passports.attributes if of_attribute else passports.faces).get(named["fingerprint"])
    if known is None:
        raise _Ends("not checked", f"there is no passport of the copy {named['fingerprint']} ({named['source']})")
    if known.source != named["source"]:
        raise _Ends("wrong", f"it says that its data are {named['source']}, and its copy is {known.source}")
    due = known.rows[task] if of_attribute else known.rows
    if due is None:
        raise _Ends("not checked", f"the passport of {named['fingerprint']} is an old one without a digest of rows")
    once = np.unique(predictions.row_id, return_index=True)[1]  # a protocol may repeat rows
    if passport.rows_digest(predictions.row_id[once], predictions.usage[once], predictions.label[once]) != due:
        raise _Ends("wrong", f"row ids, usages or labels for {task} are not those of the copy {named['fingerprint']}")


def _roles(
    path: Path, record: Record, task: str, predictions: Predictions, passports: Passports, protocols: Protocols
) -> None:
    """Roles are those that the protocol draws, and what a part of the system was fitted on is `seen`."""
    if task in attributes.ATTRIBUTES:
        _agree(_by_usage(predictions, attributes.ROLES), predictions.role, f"the parts of {task}")
        return
    if record.paper == RELEASED:
        _agree(np.full(len(predictions.role), "unknown"), predictions.role, "somebody else's model")
        return
    if record.paper not in protocols:
        raise _Ends("not checked", f"there is no paper {record.paper} here that would say what its protocols are")
    protocol = protocols[record.paper].get(record.protocol)
    if protocol is None:
        raise _Ends("wrong", f"{record.paper} has no protocol {record.protocol}")
    folds = range(protocol.folds) if protocol.folds else (None,)
    if record.fold not in folds:
        raise _Ends("wrong", f"{record.protocol} has no fold {record.fold}")
    role = _drawn(record, protocol, predictions, passports)
    stands_on = _stands_on(record)
    if stands_on is None and record.init == FINETUNED:
        raise _Ends("wrong", "it stands on a network that was trained before, and does not say on which")
    drawn_from = f"{record.protocol} with seed {record.seed}"
    if record.fold is not None:
        drawn_from += f", fold {record.fold}"
    if stands_on is None:
        _agree(role, predictions.role, drawn_from)
        return
    fitted = _fitted_by(path.resolve().parent.parent / stands_on, record)
    if fitted is not None:
        role = splits.seen_where(role, lambda role: np.isin(predictions.row_id, fitted))
        _agree(role, predictions.role, f"{drawn_from}, on {stands_on}")
        return
    _agree(splits.seen_where(role, lambda role: predictions.role == "seen"), predictions.role, drawn_from)
    if (role == "score").any():
        raise _Ends("not checked", f"{stands_on}, which it stands on, is not there to say which rows it was fitted on")


class _OfPassport(FaceData):
    """A copy of which a passport is at hand instead of its pixels."""

    @cached_property
    def alike(self) -> np.ndarray:
        raise _Ends("not checked", f"the passport of {self.fingerprint} does not say which images are nearly identical")


def _drawn(record: Record, protocol: Protocol, predictions: Predictions, passports: Passports) -> np.ndarray:
    """str (N,): the role of each row as the run drew it, from the labels in the record."""
    row_id, once = np.unique(predictions.row_id, return_index=True)
    if protocol.prepare is None and not np.array_equal(row_id, predictions.row_id):
        raise _Ends("wrong", f"its rows do not stand once each in their copy's order, and {record.protocol} moves none")
    if protocol.name == "official":
        return _by_usage(predictions, OFFICIAL)
    source, fingerprint = record.data["source"], record.data["fingerprint"]
    known = passports.faces.get(fingerprint)
    if known is None or known.identical is None:
        says = f"no passport says which images of the copy {fingerprint} ({source}) are identical"
        raise _Ends("not checked", says)
    try:
        # A split asks of pixels only whether they are the same, so four bytes stand for each image.
        images = passport.identical_of(known, row_id).astype(">u4").view(np.uint8).reshape(-1, 1, 4)
        copy = _OfPassport(
            images=images,
            labels=predictions.label[once],
            usage=predictions.usage[once],
            row_id=row_id,
            source=source,
            origin="the record",
            fingerprint=fingerprint,
        )
        if (alike := passport.alike_of(known, row_id)) is not None:
            vars(copy)["alike"] = alike
        data, role = protocol.split(copy, record.seed, record.fold)
    except UserError as error:
        raise _Ends("wrong", f"its split cannot be drawn ({error})") from None
    if not np.array_equal(data.row_id, predictions.row_id):
        raise _Ends("wrong", f"its rows are not those that {record.protocol} with seed {record.seed} makes")
    return role


def _stands_on(record: Record) -> str | None:
    """`system/folder` of the record whose network was taken over, as a script writes it into the details."""
    taken = (record.details.get(key) for key in ("extractor", "continues"))
    return next((each["record"] for each in taken if isinstance(each, dict) and "record" in each), None)


def _fitted_by(path: Path, record: Record) -> np.ndarray | None:
    """int (n,): the row ids that the network of the record at `path` was fitted on; None without a readable one."""
    try:
        other = records.read_record(path)
        its = records.read_predictions(path, other)
    except records.DamagedRecord:
        return None
    if other.data["fingerprint"] != record.data["fingerprint"]:
        raise _Ends("wrong", f"it stands on {path.parent.name}/{path.name}, which was fitted on another copy")
    if record.weights and record.weights != hashlib.sha256(its.probabilities.tobytes()).hexdigest()[:16]:
        raise _Ends("wrong", f"it stands on {path.parent.name}/{path.name}, whose predictions are others than it says")
    return its.row_id[its.role == "fit"]


def _by_usage(predictions: Predictions, roles: Mapping[str, str]) -> np.ndarray:
    return np.select([predictions.usage == usage for usage in roles], list(roles.values()), "unused")


def _agree(due: np.ndarray, stored: np.ndarray, drawn_from: str) -> None:
    differ = np.flatnonzero(due != stored)
    if len(differ):
        (is_due, is_stored), n = Counter(zip(due[differ].tolist(), stored[differ].tolist())).most_common(1)[0]
        raise _Ends("wrong", f"{n:,} rows are `{is_stored}` and should be `{is_due}` by {drawn_from}")
