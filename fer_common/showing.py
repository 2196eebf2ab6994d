"""What `ferrepro best` and `ferrepro show` print: from the tables, and of one run from its record."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fer_common import UserError, audit, claims, records
from fer_common.experiment.result import text as result_of
from fer_common.progress import table, wrapped
from fer_common.results import answers, render
from fer_common.results.tables import MAIN_PRESETS, honest_rows


def best(summary: pd.DataFrame, n: int) -> str:
    """The n best honest accuracies."""
    shown = honest_rows(summary)
    if not len(shown):
        return "Nothing ran yet."
    rows = []
    for _, row in shown.sort_values("accuracy", ascending=False).head(n).iterrows():
        rows.append(
            {"accuracy": render.shown(row, "accuracy", "accuracy"), "macro F1": render.shown(row, "f1.macro", "f1")}
            | {"system": row["system"], "paper": row["paper"], "protocol": row["protocol"], "seeds": row["n_runs"]}
            | {"epoch": row["chosen"], "begins with": row["init"]}
            | {"preset": "" if row["preset"] == "full" else row["preset"]}
        )
    return table(rows)


def show(name: str, tables: Mapping[str, pd.DataFrame], papers: Mapping, runs: Path) -> str:
    """One run, claim or paper with its evidence. Raises UserError where it is none of them."""
    if (Path(name) / "record.json").is_file():
        return _run(Path(name))
    if name in papers:
        return _paper(name, tables)
    paper, _, claim_id = name.rpartition("/")
    found = [
        (file, claim)
        for file in map(claims.load, [paper] if paper in papers else papers)
        for claim in (*file.all_claims(), *file.hypotheses)
        if claim.id == claim_id
    ]
    if len(found) > 1:
        listed = ", ".join(f"{file.paper}/{claim_id}" for file, _ in found)
        raise UserError(f"{name} is a claim of several papers: {listed}.")
    if not found:
        raise UserError(f"{name}: neither the folder of a record, nor a claim, nor a paper ({', '.join(papers)}).")
    return _claim(*found[0], tables["comparison"])


def _run(path: Path) -> str:
    record, _, predictions = records.read(path)
    setup = f"{record.paper}, {record.system}: {record.protocol}, {record.init}, {record.preset}, seed {record.seed}"
    lines = [setup + (f", fold {record.fold}" if record.fold is not None else "")]
    if record.changes:
        lines.append(f"changed: {', '.join(f'{k}={v}' for k, v in record.changes.items())}")
    seconds = record.seconds_per_epoch
    each = f" of {seconds:.1f} s" if seconds else ""
    lines.append(
        f"{record.epochs_run} epochs{each}, {record.device}, {record.backend}; commit {(record.commit or '')[:12]}"
    )
    lines += [wrapped(note) for note in record.notes]
    if predictions is None:
        return "\n".join([*lines, f"failed: {record.error}"])
    return "\n".join([*lines, "", result_of(record, predictions, records.read_further(path))])


def _paper(name: str, tables: Mapping[str, pd.DataFrame]) -> str:
    file = claims.load(name)
    lines = [f"{answers.cited(file)}: {file.reference.title or name}", ""]
    for each in answers.answers(tables["comparison"], [file]):
        lines += [
            wrapped(f"claimed: {each.printed}"),
            wrapped(f"honest, on PrivateTest: {each.honest_says}", "  "),
            *([wrapped(f"gives the printed number: {each.gives_says}", "  ")] if each.gives_says else []),
            wrapped(f"the audit: {each.audit_says}", "  "),
            wrapped(f"answer: {each.says}", "  "),
            "",
        ]
    return "\n".join([*lines, f"docs/{name}.md has everything; `ferrepro audit {name}` the findings."])


def _claim(file: claims.ClaimsFile, claim, comparison: pd.DataFrame) -> str:
    own = comparison[(comparison["paper"] == file.paper) & (comparison["claim_id"] == claim.id)]
    said = claim.says if isinstance(claim, claims.Hypothesis) else f"{claim.metric} {claim.printed}"
    lines = [wrapped(f"{answers.cited(file)}, {claim.where}: {said}"), ""]
    rows = [
        {"found": render.reproduced(row), "on": render.words_of(row["image_set"])}
        | {"system": row["system"], "protocol": row["protocol"], "begins with": row["init"], "seeds": row["n_runs"]}
        | {"gap ± h": render.gap(row), "verdict": row["verdict"]}
        for _, row in own[own["preset"].isin(MAIN_PRESETS)].iterrows()
    ]
    lines.append(table(rows) if rows else "Nothing ran.")
    findings = [finding for finding in audit.audit(file) if claim.id in finding.about]
    lines += ["", *(wrapped(f"audit, {finding.verdict}: {finding.sentence()}") for finding in findings)]
    return "\n".join(lines)
