"""The generated parts of README.md and docs/: tables between two marks, made from the committed tables and setups.

A page holds `<!-- begin NAME -->` and `<!-- end NAME -->`; what stands between them is replaced. Prose stays as it is,
and so do marks inside a fenced block of code, which are an example. No record is opened here. What one paper alone
needs comes from its script (`Paper.blocks`), what benchmarks measured from `benchmarks/pages.py`.
"""

import difflib
import re
import statistics
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from fer_common import UserError, claims
from fer_common.audit import VERDICTS
from fer_common.files import write_whole
from fer_common.provenance import provenance
from fer_common.records import is_accelerator
from fer_common.results import answers, explain, render, verdicts
from fer_common.results.groups import named_folds, value_text
from fer_common.results.image_sets import ImageSet
from fer_common.results.tables import HEADLINES, MAIN_PRESETS, REFERENCE, honest_rows, of_usual_device

# A fenced block of code, or a generated block.
BLOCK = re.compile(
    r"^```.*?^```$|^(<!-- begin (?P<name>.+?) -->\n).*?^(<!-- end (?P=name) -->)$", re.DOTALL | re.MULTILINE
)
MARK = re.compile(r"^<!-- (?:begin|end) .*-->$", re.MULTILINE)
# What a script's docstring says of its cost and result, up to the next empty line or its end.
COST = re.compile(r"^Cost and result.*?(?=\n\n|\n\"\"\")", re.DOTALL | re.MULTILINE)
TABLES = (
    "controls",
    "comparison",
    "summary",
    "sensitivity",
    "protocols",
    "folds",
    "tasks",
    "runs",
    "epochs",
    "seed_spread",
    "protocol_prices",
)


def renew(page: Path, blocks: Mapping[str, str]) -> None:
    """Replace the blocks of a page, the whole file at once. Raises UserError, with the page, as `fill` does."""
    try:
        write_whole(page, fill(page.read_text(), blocks))
    except UserError as error:
        raise UserError(f"{page}: {error}") from None


def fill(text: str, blocks: Mapping[str, str]) -> str:
    """`text` with every block renewed. Raises UserError for a block that nobody makes, and for a mark without its
    fellow."""

    def renewed(match: re.Match) -> str:
        name = match["name"]
        if name is None:
            return match[0]
        if name not in blocks:
            raise UserError(f"There is no generated block {name!r}; {_instead(name, blocks)}.")
        return f"{match[1]}{blocks[name]}\n{match[3]}"

    if alone := MARK.search(BLOCK.sub("", text)):
        raise UserError(f"{alone[0]} stands alone; a block begins and ends with the same name, on lines of their own.")
    return BLOCK.sub(renewed, text)


def renew_script(script: Path, said: str) -> None:
    """Replace what the docstring of a paper's script says of cost and result. Raises UserError where it has no place
    for it."""
    text, n = COST.subn(lambda _: said, script.read_text(), count=1)
    if not n:
        raise UserError(f"{script}: its docstring needs a paragraph that begins with “Cost and result”.")
    write_whole(script, text)


def _instead(name: str, blocks: Iterable[str]) -> str:
    """What may have been meant by a block that nobody makes."""
    of_paper = [block for block in blocks if block.partition(" ")[0] == name.partition(" ")[0]]
    if near := difflib.get_close_matches(name, of_paper or blocks, n=3, cutoff=0.8):
        return f"near it: {', '.join(near)}"
    if of_paper:
        return f"there is {', '.join(of_paper)}"
    papers = sorted({block.removesuffix(" claims") for block in blocks if block.endswith(" claims")})
    return f"of papers there are those of {', '.join(papers)} (PAPERS in reproductions/__init__.py)"


def make_blocks(root: Path, papers: Mapping) -> dict[str, str]:
    """Every block by name, from the tables and docs under `root`, and the setups and protocols of `papers`, by id."""
    folder = root / "results" / "tables"
    tables = render.read(folder, TABLES)
    comparison, summary = tables["comparison"], tables["summary"]
    blocks = {
        "verdicts": verdicts.RULES.rstrip(),
        "answer rules": answers.RULES.rstrip(),
        "verdicts without numbers": verdicts.DIFFERENCES.rstrip(),
        "verdict counts": verdict_counts(comparison),
        "verdict changes": verdict_changes(pd.read_csv(root / "docs" / "verdict_changes.csv")),
        "controls": controls(tables["controls"]),
        "seed spread": seed_spread(tables["seed_spread"]),
        "named protocols": named_protocols(papers),
        "best honest": best_honest(summary),
    }
    found = answers.answers(comparison, [claims.load(name) for name in papers])
    blocks["answers"] = answered(found)
    blocks["conclusion"] = textwrap.fill(answers.conclusion(found), 100)
    blocks["try"] = first_commands(tables["protocols"], tables["runs"], papers)
    findings = pd.read_csv(folder / "audit.csv", keep_default_na=False)
    blocks["audit"] = audited(findings)
    for paper in sorted({*findings["paper"], *papers}):
        blocks[f"{paper} audit"] = found_by_audit(findings, paper)
    for name, paper in papers.items():
        file = claims.load(name)
        known_by = list(dict.fromkeys(claim.system for claim in file.all_claims() if claim.headline == "yes"))
        others = [reading for system in known_by for reading in file.readings.get(system, [])]
        protocols = tables["protocols"]
        own = {
            "answer": answered([each for each in found if each.file.paper == name], of_all=False),
            "explained": explained([each for each in found if each.file.paper == name], tables),
            "headlines": headlines(comparison, file),
            "systems": systems(summary, tables["runs"], name),
            "values": values(paper.systems),
            "claims": compared(comparison, name, list(paper.protocols)),
            "statements": statements(file),
            "sensitivity": changed(tables["sensitivity"], summary, tables["runs"], file),
            "hypotheses": judged(comparison, file),
            "tasks": by_task(tables["tasks"], name),
            "overall": by_task(tables["tasks"], name, "overall"),
            "folds": over_folds(tables["folds"], name),
            "protocols": by_protocol(protocols, paper, known_by),
            "every protocol": by_protocol(protocols, paper, list(paper.systems)),
            "readings": by_protocol(protocols, paper, others),
            "epochs": epoch_by_epoch(tables["runs"], tables["epochs"], paper, file),
            "spent": spent(tables["runs"], tables["epochs"], name),
            "cost": render.markdown(_if_any(cost(protocols, tables["runs"], name), "and on")),
            "docstring": in_docstring(cost(protocols, tables["runs"], name), next(iter(paper.protocols)), known_by),
        }
        blocks |= {f"{name} {block}": text for block, text in (own | paper.blocks(tables)).items()}
    return blocks


def _full(table: pd.DataFrame, paper: str) -> pd.DataFrame:
    """The rows of runs on all of FER2013: full ones, and reduced ones, which say so in their notes."""
    if not len(table):
        return table
    return table[(table["paper"] == paper) & table["preset"].isin(MAIN_PRESETS) & (table["source"] == "fer2013")]


def _if_any(rows: list[dict], *optional: str) -> list[dict]:
    """Rows without those of the optional columns that are empty throughout."""
    empty = [name for name in optional if not any(row[name] for row in rows)]
    return [{k: v for k, v in row.items() if k not in empty} for row in rows]


# The answer


def answered(found: Sequence[answers.Answer], *, of_all: bool = True) -> str:
    """A row a headline claim; on the page of all papers with a link to each."""
    rows = [
        ({"paper": f"[{each.paper.partition(' (')[0]}](docs/{each.file.paper}.md)"} if of_all else {})
        | {"printed": each.printed, "honest, on PrivateTest": each.honest_says}
        | {"what gives the printed number": each.gives_says, "the audit says": each.audit_says}
        | {"answer": f"**{each.says}**"}
        for each in found
    ]
    return render.markdown(rows) if rows else "The paper is known by no number."


def explained(found: Sequence[answers.Answer], tables: Mapping[str, pd.DataFrame]) -> str:
    """What could give each headline accuracy, and what comes near it and could not."""
    prices = tables["protocol_prices"]
    asked = [each for each in found if isinstance(each.claim, claims.Claim)]
    return explain.markdown([(each, explain.ways(each, tables["comparison"], prices)) for each in asked], prices)


def first_commands(protocols: pd.DataFrame, runs: pd.DataFrame, papers: Mapping) -> str:
    """The commands to begin with, with the minutes and the numbers of the committed runs of the first."""
    paper = next(iter(papers))
    protocol = next(iter(papers[paper].protocols))
    rows = [row for row in cost(protocols, runs, paper) if row["protocol"] == protocol and row["system"] == "cnn"]
    expect = f"{float(rows[0]['minutes a run']):.0f} minutes; expect {rows[0]['accuracy']} %" if rows else "minutes"
    lines = [
        ("make reproduce", f"a paper's CNN: {expect}"),
        ("ferrepro audit docs/examples/printed/rafdb*", "a second: can a printed report be true?"),
        ("make test", "every test; make quick: those that train nothing"),
    ]
    return "\n".join(["```", *(f"{command:45}# {what}" for command, what in lines), "```"])


# Claims


def headlines(comparison: pd.DataFrame, file: claims.ClaimsFile) -> str:
    """The claims that the paper is known by, beside full runs on FER2013."""
    by_id = {claim.id: claim for claim in file.all_claims() if claim.headline == "yes"}
    if not by_id:
        return "No claim of the paper is marked `headline: yes`."
    rows = []
    for _, row in _full(comparison[comparison["claim_id"].isin(by_id)], file.paper).iterrows():
        epoch = by_id[row["claim_id"]].epoch
        rows.append(
            {"claimed": f"{render.claimed(row)}, images: {row['images']}{f', epoch {epoch}' if epoch else ''}"}
            | {"protocol": row["protocol"], "scored on": render.words_of(row["image_set"])}
            | {"found": render.reproduced(row), "seeds": row["n_runs"], "gap ± h": render.gap(row)}
            | {"verdict": row["verdict"], "above the best honest": render.points(row["above_honest"])}
            | {"notes": row["notes"]}
        )
    return render.markdown(_if_any(rows, "above the best honest", "notes"))


def compared(comparison: pd.DataFrame, paper: str, protocols: list[str]) -> str:
    """Every claim against full runs on FER2013, on PrivateTest and on the fitted images; under the first protocol
    alone where there are many."""
    own = comparison[comparison["paper"] == paper]
    of_protocols = protocols if len(protocols) < 5 else protocols[:1]
    rows = []
    for _, row in own.iterrows():
        full = row["preset"] in MAIN_PRESETS and row["source"] == "fer2013" and row["protocol"] in of_protocols
        if row["verdict"] == "not run" or (full and _is_told(row["image_set"])):
            rows.append(
                {"claim": row["claim_id"], "claimed": render.claimed(row), "metric": render.metric_of(row)}
                | {k: row[k] for k in ("system", "protocol", "init")}
                | {"scored on": "" if row["verdict"] == "not run" else render.words_of(row["image_set"])}
                | {"found": render.reproduced(row)}
                | {"gap ± h": render.gap(row), "verdict": row["verdict"]}
            )
    return render.markdown(rows)


def _is_told(image_set: ImageSet | None) -> bool:
    """Whether a set is PrivateTest whole, or the images that were fitted on, with those that watched among them."""
    if image_set is None or image_set.pooled or image_set.subset:
        return False
    fitted = image_set.usages == ("Training",) and image_set.roles in (("fit",), ("fit", "select"))
    return image_set.usages == ("PrivateTest",) or fitted


def judged(comparison: pd.DataFrame, file: claims.ClaimsFile) -> str:
    """What the paper claims without a number, each with the difference found in full runs and its verdict."""
    rows = []
    for said in file.hypotheses:
        about = f"{said.system} with {said.against}, {', '.join(said.tasks)}: {said.metric}"
        first = {"the paper": said.says, "compared": about, "claimed": said.claimed}
        ran = _full(comparison[comparison["claim_id"] == said.id], file.paper)
        rows += [
            first | {"found": render.reproduced(row), "seeds": row["n_runs"], "verdict": row["verdict"]}
            for _, row in ran.iterrows()
        ] or [first | {"verdict": "not run"}]
    return render.markdown(rows)


def verdict_counts(comparison: pd.DataFrame) -> str:
    """How many rows of the table have which verdict, by paper."""
    counted = comparison.groupby(["verdict", "paper"]).size().unstack(fill_value=0)
    rows = [{"verdict": verdict} | own.to_dict() | {"all": own.sum()} for verdict, own in counted.iterrows()]
    return render.markdown(sorted(rows, key=lambda row: -row["all"]))


def verdict_changes(table: pd.DataFrame) -> str:
    """How many rows went from which verdict to which when the rule was changed."""
    counted = table.groupby(["before", "after"]).size().reset_index(name="rows")
    return f"{len(table):,} rows changed.\n\n{render.markdown(counted)}"


def seed_spread(table: pd.DataFrame) -> str:
    """s*, in points, of the headline metrics."""
    rows = []
    for _, row in table.iterrows() if len(table) else ():
        if row["metric"] in HEADLINES:
            decimals, factor = render.scale_of(row["metric"])
            rows.append(
                {"metric": row["metric"], "roles": " + ".join(row["image_set"].roles)}
                | {"s*": f"{factor * row['sd']:.{decimals}f}", "found for": f"{row['system']}, {row['protocol']}"}
                | {"on": render.name_of(row["image_set"]), "seeds": row["n_runs"]}
            )
    return render.markdown(rows)


def best_honest(summary: pd.DataFrame) -> str:
    """The system that every claimed accuracy is set beside, in a sentence."""
    shown = honest_rows(summary)
    if not len(shown):
        return "Nothing ran yet."
    shown = shown[shown["chosen"] == "last"]
    row = shown.iloc[int(shown["accuracy"].argmax())]
    said = (
        f"The best honest accuracy that the suite has reached is {render.shown(row, 'accuracy', 'accuracy')} % on "
        f"PrivateTest, by {claims.load(row['paper']).systems[row['system']]} (`{row['system']}` of `{row['paper']}`, "
        f"{_seeds(row['n_runs'])})."
    )
    return textwrap.fill(said, 100)


def controls(table: pd.DataFrame) -> str:
    """What releases print beside what their networks give here."""
    rows = []
    for _, row in table.iterrows() if len(table) else ():
        factor = 100 if row["unit"] == "percent" else 1
        found = "" if pd.isna(row["found"]) else f"{factor * row['found']:.5g}"
        expected = "" if pd.isna(row["allowed"]) else f"{factor * row['expected']:.6g} ± {factor * row['allowed']:g}"
        rows.append(
            {"network": row["system"], "metric": row["metric"], "on": render.name_of(row["image_set"])}
            | {
                "images": render.whole(row["n_images"]),
                "printed": render.claimed({"claimed": row["printed"], "unit": row["unit"]}),
            }
            | {"expected": expected, "found": found, "verdict": row["verdict"], "where": row["where"]}
        )
    return render.markdown(rows)


# Runs


def systems(summary: pd.DataFrame, runs: pd.DataFrame, paper: str) -> str:
    """Every system of the paper on the images of PrivateTest that nothing was fitted or selected on, for each choice of
    epoch; and what the crowd's votes give there."""
    shown = pd.concat([_full(summary, own) for own in dict.fromkeys((paper, REFERENCE))])
    without = {_setup(row): row for _, row in shown.iterrows() if _is_without_twins(row["image_set"])}
    rows = []
    for _, row in shown[[own.honest for own in shown["image_set"]]].iterrows():
        record = _records_of(runs, row)
        twinless = without.get(_setup(row))
        rows.append(
            {k: row[k] for k in ("system", "init", "protocol")}
            | {"epoch": f"{row['chosen']}: {row['epoch']}".removeprefix("-: "), "seeds": row["n_runs"]}
            | {metric: render.shown(row, metric, metric) for metric in HEADLINES}
            | {"accuracy without twins": "" if twinless is None else render.shown(twinless, "accuracy", "accuracy")}
            | {"parameters": render.whole(record["parameters"].max()) if len(record) else ""}
            | {"s/epoch": render.tenths(of_usual_device(record)["seconds_per_epoch"].median()) if len(record) else ""}
            | {"notes": _notes(record)}
        )
    return render.markdown(_if_any(rows, "notes"))


def _is_without_twins(image_set: ImageSet) -> bool:
    return image_set.subset == "without_twins" and replace(image_set, subset="").honest


def _setup(row) -> tuple:
    return tuple(row[k] for k in ("paper", "system", "protocol", "init", "preset", "source", "epoch"))


def _records_of(runs: pd.DataFrame, row) -> pd.DataFrame:
    """The finished, unchanged records that a row of `summary` is about."""
    same = ["paper", "system", "protocol", "init", "preset"]
    return runs[(runs[same] == [row[k] for k in same]).all(axis=1) & (runs["left_out"] == "")]


def _notes(record: pd.DataFrame) -> str:
    reduced = [f"reduced: {render.fields_of(value)}" for value in record["reduced"] if value]
    folds = [int(n) for n in record["fold"].dropna().unique()]
    said = [*record["notes"], *reduced, *([named_folds(folds)] if folds else [])]
    return "; ".join(dict.fromkeys(filter(None, said)))


def values(systems: Mapping) -> str:
    """Every value of the paper's setup, stated, inferred or assumed; then what other systems' setups default to where
    mark or value differ."""
    rows, known = [], set()
    for system, setup in systems.items():
        for name, value, mark, note in provenance(type(setup)):
            if (name, value, mark) not in known:
                known.add((name, value, mark))
                default = value_text(value)
                rows.append({"system": system, "value": name, "default": default, "mark": mark, "why": note})
    return render.markdown(rows)


def named_protocols(papers: Mapping) -> str:
    """Each protocol that a paper's runs use: its name, what it does, who is known to have done it, and what the papers
    call it."""
    words: dict[str, list[str]] = {}
    known = {}
    for name, paper in papers.items():
        for word, protocol in paper.protocols.items():
            known[protocol.name] = protocol
            if word != protocol.name:
                words.setdefault(protocol.name, []).append(f"{word} ({name})")
    return render.markdown(
        [
            {"protocol": name, "what it does": own.says, "known to have done it": ", ".join(own.known)}
            | {"called": ", ".join(words.get(name, []))}
            for name, own in sorted(known.items())
        ]
    )


def by_protocol(protocols: pd.DataFrame, paper, systems: list[str]) -> str:
    """What each protocol scores and gets, for some systems; full runs on FER2013, in the order of the script."""
    rows = []
    own = _full(protocols, paper.id)
    planned = [protocol for words in paper.plan.values() for protocol in words]
    for system in systems:
        for protocol in dict.fromkeys((*paper.protocols, *planned)):
            for _, row in own.iterrows():
                if (row["system"], row["protocol"]) == (system, protocol):
                    named = {"system": system} if len(systems) > 1 else {}
                    first = {"protocol": protocol, "init": row["init"], "seeds": row["n_runs"]}
                    rows.append(named | first | render.by_protocol(row))
    return render.markdown(rows)


def by_task(table: pd.DataFrame, paper: str, only: str = "") -> str:
    """Every system's scores on each of its tasks, or on one `only`, and what it cost."""
    rows = [
        {"system": row["system"], "seeds": row["n_runs"]} | render.of_task(row)
        for _, row in _full(table, paper).iterrows()
        if row["task"] == (only or row["task"])
    ]
    return render.markdown(_if_any(rows, *rows[0])) if rows else render.markdown(rows)


def over_folds(folds: pd.DataFrame, paper: str) -> str:
    """Each setup's mean over its folds, the lowest and highest in brackets."""
    return render.markdown(
        [
            {k: row[k] for k in ("system", "protocol", "init", "preset")} | render.over_folds(row)
            for _, row in _full(folds, paper).iterrows()
        ]
    )


def epoch_by_epoch(runs: pd.DataFrame, epochs: pd.DataFrame, paper, file: claims.ClaimsFile) -> str:
    """The losses and seconds that the paper prints for each epoch beside our own under the first protocol, of what the
    first of its runs begins with, at its size; the mean over seeds and folds, as far as all of them went, where several
    ran. Before it, what ran."""
    named = {"training_loss": "running_loss", "validation_loss": "select_loss", "seconds": "seconds"}
    said, rows = [], []
    for curve in file.curves:
        printed = curve.columns()
        ours: list[tuple[dict, ...]] = []
        own = _full(runs[runs["left_out"] == ""], file.paper)
        own = own[(own["system"] == curve.system) & (own["protocol"] == next(iter(paper.protocols)))]
        if len(own):
            first = own.iloc[0]
            own = own[(own["init"] == first["init"]) & (own["preset"] == first["preset"])]
            setup = f"{first['protocol']}, {first['init']}, {first['device']}; {_notes(own) or 'the full setup'}"
            said.append(f"Ours, {curve.system}: {setup}.")
            histories = [epochs[epochs["run"] == run].to_dict("records") for run in own["run"]]
            ours = list(zip(*histories))
        else:
            said.append(f"Ours, {curve.system}: not run.")
        for number in range(max([len(ours), *map(len, printed.values())])):
            row = {"system": curve.system, "epoch": number + 1}
            for name, column in named.items():
                label, decimals = name.replace("_", " "), 1 if name == "seconds" else 2
                row[f"{label}, printed"] = printed[name][number] if number < len(printed.get(name, [])) else ""
                found = [at[column] for at in ours[number]] if number < len(ours) else []
                row[f"{label}, ours"] = f"{statistics.mean(found):.{decimals}f}" if found else ""
            rows.append(row)
    return "\n".join([*(f"* {line}" for line in said), "", render.markdown(rows)])


def spent(runs: pd.DataFrame, epochs: pd.DataFrame, paper: str) -> str:
    """How many committed runs there are of a paper, and how long their epochs took, by device."""
    if not len(runs) or not len(epochs):
        return "Nothing ran yet."
    seconds = epochs.groupby("run")["seconds"].sum()
    said = []
    for device, own in runs[(runs["paper"] == paper) & (runs["device"] != "")].groupby("device", sort=False):
        hours = sum(seconds.get(run, 0.0) for run in own["run"]) / 3600
        said.append(f"{len(own)} runs, {hours:.1f} hours in epochs on {device}")
    return f"Committed: {'; '.join(said)}." if said else "Nothing ran yet."


def cost(protocols: pd.DataFrame, runs: pd.DataFrame, paper: str) -> list[dict[str, str]]:
    """What a run of each setup takes, the median over seeds and folds on the device of most of them, and what its
    protocol scores."""
    rows = []
    for _, row in _full(protocols, paper).iterrows():
        own = _records_of(runs, row)
        usual = of_usual_device(own)
        minutes = (usual["epochs_run"] * usual["seconds_per_epoch"] / 60).median()
        devices, every = list(usual["device"].unique()), own["device"].unique()
        rows.append(
            {k: row[k] for k in ("system", "protocol", "init", "preset")}
            | {"seeds": row["n_runs"], "minutes a run": render.tenths(minutes)}
            | {"accuracy": render.shown(row, "scored accuracy", "accuracy")}
            | {"images": render.whole(row.get("scored images", float("nan"))), "on": ", ".join(devices)}
            | {"and on": ", ".join(each for each in every if each not in devices)}
        )
    return rows


def _seeds(n) -> str:
    return f"{n} seed" if int(n) == 1 else f"{n} seeds"


def in_docstring(rows: list[dict[str, str]], protocol: str, known_by: list[str]) -> str:
    """The rows of `cost` under one protocol, as a paragraph of a script's docstring; of many, those of the systems that
    the paper is known by."""
    rows = [row for row in rows if row["protocol"] == protocol]
    rows = rows if len(rows) < 9 else [row for row in rows if row["system"] in known_by]
    lines = []
    for row in rows:
        line = f"{row['system']}, {row['init']}, {row['preset']}: {row['accuracy']} % of {row['images']} images"
        minutes = f", {row['minutes a run']} min a run" * bool(row["minutes a run"])
        device = f" on {row['on']}" * (bool(minutes) and is_accelerator(row["on"]))
        lines.append(f"    {line}, {_seeds(row['seeds'])}{minutes}{device}")
    said = f"Cost and result under `{protocol}`, by `ferrepro docs` from the committed records; 95 % intervals"
    return "\n".join([f"{said}:", *(lines or ["    nothing ran yet"])])


def changed(sensitivity: pd.DataFrame, summary: pd.DataFrame, runs: pd.DataFrame, file: claims.ClaimsFile) -> str:
    """Runs with other assumed values, on the images that were watched, under the unchanged setup that they belong to;
    and how far below the claim on test images."""
    rows: list[dict] = []
    tested = [claim for claim in file.all_claims() if claim.headline == "yes" and claim.images == "test"]
    if not len(sensitivity):
        return render.markdown(rows)

    def add(row, changes: str, parameters: float, running: float) -> None:
        rows.append(
            {k: row[k] for k in ("system", "init")}
            | {"changed": changes, "parameters": render.whole(parameters)}
            | {"scored on": render.words_of(row["image_set"]), "accuracy": render.shown(row, "accuracy", "accuracy")}
            | {f"points below {c.value} {c.unit}": f"{100 * (c.number - row['accuracy']):.1f}" for c in tested}
            | {"running training accuracy": render.percent(running), "seeds": row["n_runs"]}
        )

    own = sensitivity[(sensitivity["paper"] == file.paper) & (sensitivity["preset"] == "custom")]
    own = own[own["task"] == "expression"]
    same = ["system", "init", "protocol", "image_set"]
    for key, varied in own.groupby(same, sort=False):
        unchanged = _full(summary, file.paper)
        unchanged = unchanged[(unchanged["chosen"] == "last") & (unchanged[same] == list(key)).all(axis=1)]
        for _, row in unchanged.iterrows():
            add(row, "nothing", _records_of(runs, row)["parameters"].max(), float("nan"))
        for _, row in varied.iterrows():
            add(row, render.fields_of(row["changes"]), row["parameters"], row["running_training_accuracy"])
    return render.markdown(rows)


# The audit, and what the paper says


def audited(findings: pd.DataFrame) -> str:
    """How many findings of each verdict, by paper."""
    counted = findings.groupby(["paper", "verdict"]).size().unstack(fill_value=0)
    rows = [{"paper": paper} | {v: str(row.get(v, 0)) for v in VERDICTS} for paper, row in counted.iterrows()]
    return render.markdown(rows)


def found_by_audit(findings: pd.DataFrame, paper: str) -> str:
    """Everything but what is simply consistent."""
    own = findings[findings["paper"] == paper]
    if not len(own):
        return "No number is printed that the audit could check, or `ferrepro audit --out results/tables` is due."
    own = own[~own["verdict"].isin(("consistent", "not applicable"))]
    if not len(own):
        return "Nothing that could be checked is other than consistent."
    named = [", ".join(about.split(", ")[:3]) + (", …" if about.count(", ") > 2 else "") for about in own["about"]]
    return render.markdown(
        [
            {"verdict": row.verdict, "about": about, "evidence": row.evidence, "only if": row.condition}
            for row, about in zip(own.itertuples(), named)
        ]
    )


def statements(file: claims.ClaimsFile) -> str:
    """What the paper says about its numbers, contradictions and gaps included."""
    if not file.statements:
        return "Its claims file holds no statements."
    return render.markdown([{"kind": s.kind, "the paper": s.says, "where": s.where} for s in file.statements])


# The page of the laboratory


def prices_blocks(table: pd.DataFrame) -> dict[str, str]:
    """Of the laboratory's page, from `protocol_prices`: the answer, what each mistake is worth, the dearest first; the
    pairs, with what composing them gives; and the same on the reference network."""

    def shown(row, value: float) -> str:
        decimals, factor = render.scale_of(row["metric"])
        return "" if pd.isna(value) else f"{factor * value:.{decimals}f}"

    def block(chosen, **further: str) -> str:
        chosen = chosen.sort_values(["leak", "effect"], ascending=False, kind="stable")
        without = chosen["printed_value"] - chosen["leak"].fillna(chosen["effect"])
        rows = [
            {"what is done": row["mistake"], "kind": row["kind"], "metric": row["metric"]}
            | {"printed": shown(row, row["printed_value"]), "without it": shown(row, other)}
            | {words: shown(row, row[name]) for name, words in further.items()}
            | {name: render.apart(row, name) for name in ("leak", "effect")}
            | {"seeds": row["seeds"]}
            for (_, row), other in zip(chosen.iterrows(), without)
        ]
        return render.markdown(rows)

    if not len(table):
        return dict.fromkeys(("answer", "prices", "pairs", "composing", "small"), render.markdown([]))
    pair, cnn = table["kind"] == "pair", table["network"] == "cnn"
    told = (table["metric"] == "accuracy") | (table["kind"] == "arithmetic")
    return {
        "answer": _answer(table[cnn & ~pair & (table["metric"] == "accuracy")]),
        "prices": block(table[cnn & ~pair & told], standardised="at PrivateTest's mix of classes"),
        "pairs": block(table[cnn & pair], composed="composed"),
        "composing": _composing(table[cnn & pair]),
        "small": block(table[~cnn & told], composed="composed"),
    }


LARGE = 0.05  # an accuracy of which a leak is told at the head of the page


def _answer(prices: pd.DataFrame) -> str:
    """What makes large numbers, and what cannot be told from nothing; prices: of accuracy, one mistake each."""
    leaks = prices[prices["leak"].notna()].sort_values("leak", ascending=False, kind="stable")
    large = leaks[leaks["leak"] >= LARGE]
    listed = "; ".join(f"{row['mistake']}, {render.apart(row, 'leak')}" for _, row in large.iterrows())
    splits = leaks[(leaks["leak"] < LARGE) & leaks["kind"].isin(("split", "before the split"))]
    none = splits[(splits["leak low"] <= 0) & (splits["leak high"] >= 0)]
    said = f"These make an accuracy large, in points above what the same network gets without them: {listed}."
    if len(none):
        other = f"other {len(splits)} ways to split, or to prepare images before the split,"
        which = f"None of the {other} can" if len(none) == len(splits) else f"Of the {other} {len(none)} cannot"
        said += (
            f" {which} be told from no leak at all, at {100 * none['leak'].min():+.1f} to "
            f"{100 * none['leak'].max():+.1f} points: {'; '.join(none['mistake'])}."
        )
    return textwrap.fill(said, 120)


def _composing(pairs: pd.DataFrame) -> str:
    pairs = pairs[pairs["composed"].notna()]
    if not len(pairs):
        return "No pair was run."
    off = 100 * (pairs["composed"] - pairs["printed_value"]).abs()
    worst = pairs["mistake"].iloc[off.argmax()]
    return textwrap.fill(
        f"On {len(pairs)} of these pairs composing is off by {off.median():.1f} points at the median, and by "
        f"{off.max():.1f} at most ({worst}).",
        120,
    )
