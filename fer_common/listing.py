"""What has been run, from the records alone and without heavy imports: the table of `ferrepro list`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean, median, mode

from fer_common import claims, records
from fer_common.progress import table
from fer_common.records import Record

WHOLE = ("full", "reduced")


def all_papers(papers: Mapping, runs: Path) -> str:
    """A row a paper: what it prints, the honest accuracy of what it is about, minutes a run, how many runs."""
    rows = []
    for name, paper in papers.items():
        own = _records(runs / name)
        headline = [claim for claim in claims.load(name).all_claims() if claim.headline == "yes"]
        known_by = {claim.system for claim in headline} or set(paper.systems)
        official = [r for r in own if r.protocol == "official" and r.preset in WHOLE and r.system in known_by]
        rows.append(
            {
                "paper": name,
                "prints": ", ".join(claim.printed for claim in headline) or "no number",
                "honest so far": _best(official),
                "minutes a run": _minutes([r for r in own if r.preset in WHOLE and r.system in known_by]),
                "whole runs": sum(r.preset in WHOLE and not r.changes for r in own),
                "others": _others(own),
            }
        )
    said = "Honest: accuracy on PrivateTest under `official`, per cent. `ferrepro list PAPER`: its systems."
    return f"{table(rows)}\n\n{said}"


def one_paper(name: str, paper, runs: Path) -> str:
    """A row a system and protocol of one paper, and the systems that nobody ran."""
    own = _records(runs / name)
    rows = []
    for system in paper.systems:
        of_system = [r for r in own if r.system == system]
        for key in dict.fromkeys(map(_setup, of_system)):
            same = [r for r in of_system if _setup(r) == key]
            preset = key[2] + " with changes" * key[3] + f" on {key[4]}" * (key[4] != "fer2013")
            rows.append(
                {"system": system, "protocol": key[0], "begins with": key[1], "preset": preset}
                | {"runs": len(same), "PrivateTest": _mean(same), "minutes a run": _minutes(same)}
            )
        if not of_system:
            rows.append({"system": system, "protocol": "not run"})
    said = [paper.description.splitlines()[0], f"protocols: {', '.join(paper.protocols)}", ""]
    whole = "PrivateTest: accuracy on all of it, whatever its images were to a run; many protocols fit on most of them."
    return "\n".join([*said, table(rows), "", whole])


def _records(folder: Path) -> list[Record]:
    """The finished records below a folder; damaged ones are `ferrepro check`'s to name."""
    found = []
    for path in records.find(folder):
        try:
            record = records.read_record(path)
        except records.DamagedRecord:
            continue
        if record.status == "ok":
            found.append(record)
    return found


def _setup(record: Record) -> tuple:
    return record.protocol, record.init, record.preset, bool(record.changes), record.data["source"]


def _private(record: Record) -> float | None:
    last = record.metrics.get(str(record.epochs_run)) or next(reversed(record.metrics.values()), {})
    return last.get("PrivateTest", {}).get("accuracy")


def _mean(same: Iterable[Record]) -> str:
    values = [value for record in same if (value := _private(record)) is not None]
    return f"{100 * fmean(values):.1f}" if values else ""


def _best(official: list[Record]) -> str:
    """The best of the setups, with its seeds or folds."""
    setups: dict[tuple, list[Record]] = {}
    for record in official:
        if not record.changes and record.data["source"] == "fer2013":
            setups.setdefault((record.system, record.init, record.preset), []).append(record)
    if not setups:
        return "not run"
    key, same = max(setups.items(), key=lambda item: float(_mean(item[1]) or 0))
    folds = len({record.fold for record in same if record.fold is not None})
    of = f"{folds} fold{'s' * (folds != 1)}" if folds else f"{len(same)} seed{'s' * (len(same) != 1)}"
    return f"{_mean(same)} ({of}{', reduced' * (key[2] == 'reduced')})"


def _minutes(same: list[Record]) -> str:
    timed = [r for r in same if r.epochs_run and r.seconds_per_epoch]
    if not timed:
        return ""
    usual = mode(r.device for r in timed)  # a minute on another device is another minute
    spent = [r.epochs_run * r.seconds_per_epoch / 60 for r in timed if r.device == usual]
    return f"{median(spent):.0f}" if median(spent) >= 1 else "below 1"


def _others(own: list[Record]) -> str:
    smoke, changed = (sum(r.preset == "smoke" for r in own), sum(bool(r.changes) and r.preset != "smoke" for r in own))
    return ", ".join(f"{n} {what}" for n, what in ((changed, "changed"), (smoke, "smoke")) if n)
