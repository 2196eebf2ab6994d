"""The report: everything that the tables say, as one HTML page that needs no network, and a page a run on demand."""

import base64
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fer_common import audit, records
from fer_common.claims import Hypothesis
from fer_common.files import write_whole
from fer_common.provenance import provenance
from fer_common.results import render
from fer_common.results.answers import Answer
from fer_common.results.tables import MAIN_PRESETS, of_usual_device

HERE = Path(__file__).parent
BESIDE = 14  # rows beside a claim that are shown before the rest is folded away


@dataclass(frozen=True)
class Source:
    """What a report is made of."""

    tables: Mapping[str, pd.DataFrame]
    found: Sequence[Answer]
    papers: Mapping
    """By id, as the scripts hand them over."""
    runs: Path
    """Where the records are."""
    figures: Path


def write(source: Source, folder: Path, *, run_pages: bool) -> Path:
    """Write `report.html` into a folder, and `runs/<run>.html` beside it where they are asked for; where `report.html`
    is."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = _runs(source, run_pages)
    pages = {row["run"]: row["page"] for row in runs if row["page"]}
    if run_pages:
        (folder / "runs").mkdir(exist_ok=True)
        from fer_common.progress import progress

        for name, page in progress(pages.items(), len(pages), "pages of runs"):
            write_whole(folder / page, _run_page(source, name))
    text = _render(
        "report.html",
        title="FER2013: claimed and found",
        articles=[_article(source, each, runs) for each in source.found],
        runs=runs,
        figure=_inlined(source.figures / "claimed_and_found.svg"),
        figure_rows=_figure_rows(source.found),
        summary=_counts(runs),
    )
    write_whole(folder / "report.html", text)
    return folder / "report.html"


def _render(name: str, **values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    script, style = (HERE / "report.js").read_text(), (HERE / "report.css").read_text()
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(name).render(
        style=jinja2.utils.markupsafe.Markup(style),
        script=jinja2.utils.markupsafe.Markup(script),
        script_hash=f"sha256-{allowed}",
        **values,
    )


def _inlined(path: Path, title: str = "", description: str = "") -> Any:
    """An SVG of matplotlib's as part of a page, with a title for those who cannot see it; "" where there is none."""
    from jinja2.utils import markupsafe

    if not path.is_file():
        return ""
    text = path.read_text()
    text = text[text.index("<svg") :]
    title = title or "Claimed, honest and reached accuracies of each headline claim"
    description = description or "Its data stands in the table below it."
    start = text.index(">") + 1
    own = f"<title>{markupsafe.escape(title)}</title><desc>{markupsafe.escape(description)}</desc>"
    head = text[:start].replace("<svg", '<svg role="img"', 1)
    # Two pictures on a page must not share their ids.
    mark = hashlib.sha256(str(path).encode()).hexdigest()[:6]
    body = text[start:].replace('id="', f'id="{mark}').replace('"#', f'"#{mark}').replace("url(#", f"url(#{mark}")
    return markupsafe.Markup(head + own + body)


# The first screen and the articles


def _figure_rows(found: Sequence[Answer]) -> list[dict[str, str]]:
    return [
        {"claim": f"{each.paper}: {each.printed}", "claimed": f"{100 * each.claim.number:g}"}
        | {"honest": each.honest_says, "gives the printed number": each.gives_says}
        for each in found
        if not isinstance(each.claim, Hypothesis)
    ]


def _article(source: Source, each: Answer, runs: list[dict]) -> dict[str, Any]:
    """Everything that is said of one headline claim."""
    file, claim = each.file, each.claim
    comparison = source.tables["comparison"]
    own = comparison[(comparison["paper"] == file.paper) & (comparison["claim_id"] == claim.id)]
    own = own[own["preset"].isin(MAIN_PRESETS)]
    rows = [_beside(row, runs) for _, row in own.iterrows()]
    of_claim = [f for f in audit.audit(file) if claim.id in f.about or each.finding == f]
    is_hypothesis = isinstance(claim, Hypothesis)
    system = claim.system if not is_hypothesis else f"{claim.system} beside {claim.against}"
    protocol = next(iter(source.papers[file.paper].protocols)) if file.paper in source.papers else "official"
    gives = str(each.gives["protocol"]) if each.gives is not None else ""
    reruns = [("the paper's own protocol", _command(file.paper, claim.system, protocol))]
    if gives and gives != protocol:
        reruns.append(("what gives the printed number", _command(file.paper, str(each.gives["system"]), gives)))
    named = {str(row["run"]) for row in runs if row["paper"] == file.paper and row["system"] == claim.system}
    return {
        "id": f"{file.paper}-{claim.id}",
        "paper": each.paper,
        "title": file.reference.title or file.paper,
        "printed": each.printed,
        "where": claim.where,
        "note": getattr(claim, "note", None) or "",
        "system": system,
        "what": file.systems.get(claim.system, ""),
        "honest": each.honest_says,
        "honest_run": _run_of(each.honest, runs),
        "gives": each.gives_says,
        "gives_run": _run_of(each.gives, runs),
        "audit": each.audit_says,
        "says": each.says,
        "tone": _tone(each.says),
        "first": rows[:BESIDE],
        "rest": rows[BESIDE:],
        "findings": [
            {"verdict": f.verdict, "says": f.says, "numbers": f.evidence, "only if": f.condition, "settle": f.settle}
            for f in of_claim
        ],
        "reruns": [{"what": what, "command": command} for what, command in reruns],
        "minutes": _minutes(source.tables["runs"], named),
        "n_runs": len(named),
    }


def _tone(says: str) -> str:
    """How an answer is coloured; its words say the same."""
    if says.startswith(("holds", "supported")):
        return "holds"
    return "open" if says.startswith(("open", "not run", "not decided")) else "fails"


def _command(paper: str, system: str, protocol: str) -> str:
    return f"ferrepro run {paper} --system {system} --protocol {protocol}"


def _beside(row: pd.Series, runs: list[dict]) -> dict[str, Any]:
    """One row of the comparison for a reader; its number links to the first run that it comes from."""
    found = render.reproduced(row)
    return {
        "found": found,
        "value": "" if pd.isna(row["reproduced"]) else f"{row['reproduced']:.6f}",
        "on": render.words_of(row["image_set"]),
        "system": row["system"],
        "protocol": row["protocol"],
        "init": row["init"],
        "seeds": int(row["n_runs"]),
        "gap": render.gap(row),
        "verdict": row["verdict"],
        "notes": row["notes"] or "",
        "run": _run_of(row, runs),
    }


def _run_of(row: pd.Series | None, runs: list[dict]) -> str:
    """Where the first of the runs stands that a row of the comparison is about."""
    if row is None:
        return ""
    same = ("paper", "system", "protocol", "init", "preset")
    found = [own for own in runs if all(own[key] == row[key] for key in same) and not own["left_out"]]
    return (found[0]["page"] or f"#{found[0]['id']}") if found else ""


def _minutes(runs: pd.DataFrame, named: set[str]) -> str:
    own = of_usual_device(runs[runs["run"].isin(named) & (runs["left_out"] == "")])
    minutes = (own["epochs_run"] * own["seconds_per_epoch"] / 60).median() if len(own) else float("nan")
    return "" if pd.isna(minutes) else "less than a minute" if minutes < 1 else f"about {minutes:.0f} minutes"


# Runs


def _runs(source: Source, pages: bool) -> list[dict[str, Any]]:
    """Every record, with the accuracies that it keeps of itself."""
    table, rows = source.tables["runs"], []
    for number, (_, row) in enumerate(table.iterrows()):
        if row["left_out"] in ("damaged", "symlink", "failed"):
            continue
        whole = {key: row[key] for key in ("paper", "system", "protocol", "init", "preset", "run", "left_out")}
        number_of = {key: "" if pd.isna(row[key]) else int(row[key]) for key in ("seed", "fold", "epochs_run")}
        seconds = row["seconds_per_epoch"]
        minutes = "" if pd.isna(seconds) or pd.isna(row["epochs_run"]) else f"{row['epochs_run'] * seconds / 60:.1f}"
        page = f"runs/{str(row['run']).replace('/', '__')}.html" if pages else ""
        rows.append(
            whole
            | number_of
            | {"id": f"run-{number}", "page": page, "minutes": minutes, "device": row["device"]}
            | {"commit": str(row["commit"])[:10], "notes": row["notes"] or ""}
        )
    return rows


def _counts(runs: list[dict]) -> str:
    papers = len({row["paper"] for row in runs})
    whole = sum(not row["left_out"] for row in runs)
    of = f"{len(runs):,} records of {papers} papers and networks"
    return f"{of}; {whole:,} are of a paper's own setup on all of its data."


def _run_page(source: Source, name: str) -> str:
    """The page of one run: its pictures, what it got, its setup with where each value comes from."""
    from fer_common import pictures
    from fer_common.experiment.result import text

    path = source.runs / name
    record, history, predictions = records.read(path)
    drawn = []
    if predictions is not None:
        with tempfile.TemporaryDirectory() as scratch:
            pictures.draw_run(Path(scratch), record, history, predictions, form="svg")
            for each, title in (
                ("learning_curves", "Loss and accuracy by epoch"),
                ("confusion", "Confusion matrices"),
                ("roc", "ROC curves"),
                ("reliability", "Confidence and accuracy"),
            ):
                described = f"of {record.paper}, {record.system}, seed {record.seed}"
                picture = _inlined(Path(scratch) / f"{each}.svg", title, described)
                drawn.append({"title": title, "svg": picture})
    paper = source.papers.get(record.paper)
    marks = {}
    if paper and record.system in paper.systems:
        marks = {field: (mark, note) for field, _, mark, note in provenance(type(paper.systems[record.system]))}
    setup = [
        {"value": key, "is": _short(value), "mark": marks.get(key, ("", ""))[0], "why": marks.get(key, ("", ""))[1]}
        for key, value in record.setup.items()
    ]
    facts = {
        "paper": record.paper, "system": record.system, "protocol": record.protocol, "begins with": record.init,
        "preset": record.preset, "seed": record.seed, "fold": record.fold, "epochs": record.epochs_run,
        "seconds an epoch": record.seconds_per_epoch, "parameters": record.parameters, "device": record.device,
        "backend": record.backend, "versions": ", ".join(f"{k} {v}" for k, v in record.versions.items()),
        "commit": record.commit, "finished": record.finished, "notes": "; ".join(record.notes),
    }  # fmt: skip
    return _render(
        "run.html",
        title=f"{record.paper}, {record.system}, seed {record.seed}",
        facts=[{"fact": key, "value": _short(value)} for key, value in facts.items() if value not in (None, "")],
        setup=setup,
        result=text(record, predictions, records.read_further(path)) if predictions is not None else "",
        pictures=drawn,
        history=history,
        command=f"{_command(record.paper, record.system, record.protocol)} --seed {record.seed}",
    )


def _short(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and value > 9999 else str(value)
