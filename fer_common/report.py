"""The generated parts of README.md and docs/: tables between two marks, made from tables, setups and benchmarks.

A page holds `<!-- begin NAME -->` and `<!-- end NAME -->`; what stands between them is replaced. Prose stays as it is.
"""

import importlib
import json
import re
import statistics
from pathlib import Path

import pandas as pd

from fer_common import UserError, claims, hypotheses, records, tables
from fer_common.audit import VERDICTS
from fer_common.provenance import provenance
from reproductions import PAPERS

BLOCK = re.compile(r"(<!-- begin (.+?) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def fill(text: str, blocks: dict[str, str]) -> str:
    """`text` with every block renewed. Raises UserError for a block that nobody makes."""

    def renew(match):
        if match[2] not in blocks:
            raise UserError(f"There is no generated block {match[2]!r}; there is {', '.join(blocks)}.")
        return f"{match[1]}{blocks[match[2]]}\n{match[3]}"

    return BLOCK.sub(renew, text)


def make_blocks(root: Path) -> dict[str, str]:
    """Every generated block by name, from the tables and benchmarks under `root` and the scripts' setups."""
    folder = root / "results" / "tables"
    comparison, summary, sensitivity, protocols, folds, tasks = (
        pd.read_csv(folder / f"{name}.csv", dtype={"epoch": str})
        if (folder / f"{name}.csv").stat().st_size > 1
        else pd.DataFrame()
        for name in ("comparison", "summary", "sensitivity", "protocols", "folds", "tasks")
    )
    blocks = {
        "loading": loading(root),
        "training": training(root),
        "features": features(root),
        "audit power": audit_power(root),
        "training of folds": training_of_folds(root),
        "cost of networks": cost_of_networks(root),
        "learning rates": learning_rates(root),
        "verdicts": tables.VERDICTS.rstrip(),
        "verdicts without numbers": hypotheses.EXPLAINED.rstrip(),
    }
    findings = pd.read_csv(folder / "audit.csv", keep_default_na=False)
    blocks["audit"] = audited(findings)
    for paper in sorted(set(findings["paper"])):
        blocks[f"{paper} audit"] = found_by_audit(findings, paper)
    for paper in PAPERS:
        file = claims.load(paper)
        blocks[f"{paper} headlines"] = headlines(comparison, file)
        blocks[f"{paper} systems"] = systems(summary, paper)
        blocks[f"{paper} values"] = values(paper)
        blocks[f"{paper} claims"] = compared(comparison, paper)
        blocks[f"{paper} statements"] = statements(file)
        blocks[f"{paper} sensitivity"] = changed(sensitivity, summary, file)
        known_by = list(dict.fromkeys(claim.system for claim in file.all_claims() if claim.headline == "yes"))
        readings = [reading for system in known_by for reading in file.readings.get(system, [])]
        blocks[f"{paper} hypotheses"] = judged(comparison, file)
        blocks[f"{paper} tasks"] = by_task(tasks, paper)
        blocks[f"{paper} overall"] = by_task(tasks, paper, "overall")
        blocks[f"{paper} folds"] = over_folds(folds, paper)
        blocks[f"{paper} protocols"] = by_protocol(protocols, file, known_by)
        every = list(importlib.import_module(f"reproductions.{paper}").PAPER.systems)
        blocks[f"{paper} every protocol"] = by_protocol(protocols, file, every)
        blocks[f"{paper} readings"] = by_protocol(protocols, file, readings)
        blocks[f"{paper} epochs"] = epoch_by_epoch(root / "results" / "runs" / paper, file)
        blocks[f"{paper} spent"] = spent(root / "results" / "runs" / paper)
        if importlib.import_module(f"reproductions.{paper}").PAPER.attributes:
            blocks[f"{paper} changed"] = changed_tasks(root / "results" / "runs" / paper)
        blocks[f"{paper} compressed"] = compressed(root / "results" / "runs" / paper)
        blocks[f"{paper} convergence"] = convergence(root / "results" / "runs" / paper)
    return blocks


def _markdown(rows: list[dict]) -> str:
    return (
        pd.DataFrame(rows, dtype=object).fillna("").to_markdown(index=False, disable_numparse=True)
        if rows
        else "Nothing ran yet."
    )


def _full(table: pd.DataFrame, paper: str) -> pd.DataFrame:
    """The rows of runs on all of FER2013: full ones, and reduced ones, which say so in their notes."""
    own = table[table["paper"] == paper]
    return own[own["preset"].isin(("full", "reduced")) & (own["source"] == "fer2013")]


def _reproduced(row) -> str:
    named = row.rename({"ci_low": "reproduced_mean low", "ci_high": "reproduced_mean high"})
    return tables.shown(named, "reproduced_mean", row["metric"])


def headlines(comparison: pd.DataFrame, file: claims.ClaimsFile) -> str:
    """The claims that the paper is known by, beside full runs on FER2013."""
    ids = [claim.id for claim in file.all_claims() if claim.headline == "yes"]
    images = {
        claim.id: f"{claim.images}{f', epoch {claim.epoch}' if claim.epoch else ''}" for claim in file.all_claims()
    }
    rows = _full(comparison[comparison["claim_id"].isin(ids)], file.paper)
    return _markdown(
        [
            {
                "claimed": f"{row['claimed']}, images: {images[row['claim_id']]}",
                "protocol": row["protocol"],
                "scored on": row["usage"],
                "reproduced": _reproduced(row),
                "seeds": int(row["n_runs"]),
                "verdict": row["verdict"],
            }
            | ({"notes": row["notes"]} if pd.notna(row["notes"]) else {})
            for _, row in rows.iterrows()
        ]
    )


def systems(summary: pd.DataFrame, paper: str) -> str:
    """Every system of the paper after its last epoch, on the images that nothing was fitted or selected on; and what
    the crowd's votes give there."""
    rows = []
    if len(summary):
        summary = pd.concat([_full(summary, paper), _full(summary, tables.REFERENCE)])
    for _, row in summary.iterrows():
        if pd.isna(row["epoch"]):
            continue
        name = "PrivateTest (score)"
        shown = {m: tables.shown(row, f"{name} {m}", m) for m in tables.HEADLINES}
        shown |= {"accuracy without twins": tables.shown(row, f"{tables.WITHOUT_TWINS} (score) accuracy", "accuracy")}
        if not shown["accuracy"]:
            continue
        first = {
            "system": row["system"],
            "init": row["init"],
            "protocol": row["protocol"],
            "epoch": row["epoch"],
            "seeds": row["runs"],
        }
        rows.append(
            first
            | shown
            | {"parameters": tables.whole(row["parameters"]), "s/epoch": tables.tenths(row["seconds_per_epoch"])}
            | ({"notes": row["notes"]} if pd.notna(row["notes"]) else {})
        )
    return _markdown(rows)


def values(paper: str) -> str:
    """Every value of the paper's setup, stated, inferred or assumed; then what other systems' setups default to where
    mark or value differ."""
    systems = importlib.import_module(f"reproductions.{paper}").PAPER.systems
    rows, known = [], set()
    for system, setup in systems.items():
        for name, value, mark, note in provenance(type(setup)):
            if (name, value, mark) not in known:
                known.add((name, value, mark))
                shown = tables.plain(list(value) if isinstance(value, tuple) else value)
                rows.append({"system": system, "value": name, "default": shown, "mark": mark, "why": note})
    return _markdown(rows)


def compared(comparison: pd.DataFrame, paper: str) -> str:
    """Every claim against full runs on FER2013, on PrivateTest and on the fitted images; under the first protocol
    alone where there are many."""
    own = comparison[comparison["paper"] == paper]
    protocols = list(importlib.import_module(f"reproductions.{paper}").PAPER.protocols)
    shown = protocols if len(protocols) < 5 else protocols[:1]
    rows = []
    for _, row in own.iterrows():
        full = row["preset"] in ("full", "reduced") and row["source"] == "fer2013" and row["protocol"] in shown
        whole = str(row["usage"]).startswith(("PrivateTest (", "Training (fit)", "Training (fit + select)"))
        if row["verdict"] == "not run" or (full and (whole or row["usage"] == tables.RUNNING)):
            rows.append(
                {
                    "claim": row["claim_id"],
                    "claimed": row["claimed"],
                    "metric": f"{row['metric']} {row['average']}".removesuffix(" none"),
                    "system": row["system"],
                    "protocol": row["protocol"],
                    "init": row["init"],
                    "scored on": row["usage"],
                    "reproduced": _reproduced(row),
                    "verdict": row["verdict"],
                }
            )
    return _markdown(rows)


def audited(findings: pd.DataFrame) -> str:
    """How many findings of each verdict, by paper."""
    counted = findings.groupby(["paper", "verdict"]).size().unstack(fill_value=0)
    rows = [{"paper": paper} | {v: str(row.get(v, 0)) for v in VERDICTS} for paper, row in counted.iterrows()]
    return _markdown(rows)


def found_by_audit(findings: pd.DataFrame, paper: str) -> str:
    """Everything but what is simply consistent."""
    own = findings[(findings["paper"] == paper) & ~findings["verdict"].isin(("consistent", "not applicable"))]
    named = [", ".join(about.split(", ")[:3]) + (", …" if about.count(", ") > 2 else "") for about in own["about"]]
    return _markdown(
        [
            {"verdict": row.verdict, "about": about, "evidence": row.evidence, "only if": row.condition}
            for row, about in zip(own.itertuples(), named)
        ]
    )


def statements(file: claims.ClaimsFile) -> str:
    """What the paper says about its numbers, contradictions and gaps included."""
    return _markdown([{"kind": s.kind, "the paper": s.says, "where": s.where} for s in file.statements])


def by_protocol(protocols: pd.DataFrame, file: claims.ClaimsFile, systems: list[str]) -> str:
    """What each protocol scores and gets, for some systems; full runs on FER2013, in the order of the script."""
    script = importlib.import_module(f"reproductions.{file.paper}").PAPER
    rows = []
    own = _full(protocols, file.paper) if len(protocols) else protocols
    for system in systems:
        for protocol in script.protocols:
            for _, row in own.iterrows():
                if (row["system"], row["protocol"]) == (system, protocol):
                    named = {"system": system} if len(systems) > 1 else {}
                    first = {"protocol": protocol, "init": row["init"], "seeds": row["runs"]}
                    rows.append(named | first | tables.by_protocol(row))
    return _markdown(rows)


def judged(comparison: pd.DataFrame, file: claims.ClaimsFile) -> str:
    """What the paper claims without a number, each with the difference found in full runs and its verdict."""
    rows = []
    for said in file.hypotheses:
        compared = f"{said.system} with {said.against}, {', '.join(said.tasks)}: {said.metric}"
        first = {"the paper": said.says, "compared": compared, "claimed": said.claimed}
        ran = _full(comparison[comparison["claim_id"] == said.id], file.paper)
        rows += [
            first | {"found": _reproduced(row), "seeds": int(row["n_runs"]), "verdict": row["verdict"]}
            for _, row in ran.iterrows()
        ] or [first | {"verdict": "not run"}]
    return _markdown(rows)


def by_task(table: pd.DataFrame, paper: str, only: str = "") -> str:
    """Every system's scores on each of its tasks, or on one `only`, and what it cost."""
    own = _full(table, paper) if len(table) else table
    rows = [
        {"system": row["system"], "seeds": row["runs"]} | tables.of_task(row)
        for _, row in own.iterrows()
        if row["task"] == (only or row["task"])
    ]
    return _markdown([{k: v for k, v in row.items() if any(other[k] for other in rows)} for row in rows])


def over_folds(folds: pd.DataFrame, paper: str) -> str:
    """Each setup's mean over its folds, the lowest and highest in brackets."""
    rows = []
    for _, row in (_full(folds, paper) if len(folds) else folds).iterrows():
        rows.append(
            {k: row[k] for k in ("system", "protocol", "init", "preset", "folds")}
            | {"scored on": row["usage"]}
            | {
                metric: tables.shown(row, metric, metric)
                for metric in ("accuracy", "f1.macro", "auc.macro", "log_loss")
            }
            | {"accuracy sd": tables.percent(row["accuracy sd"])}
        )
    return _markdown(rows)


def epoch_by_epoch(runs: Path, file: claims.ClaimsFile) -> str:
    """The losses and seconds that the paper prints for each epoch beside our own under the first protocol, the mean
    over the folds, as far as all of them went, where several ran; before it, what ran."""
    script = importlib.import_module(f"reproductions.{file.paper}").PAPER
    groups = tables.on_whole_fer2013(tables.collect(runs, {}), next(iter(script.protocols))) if file.curves else []
    ran = {group.record.system: group for group in reversed(groups)}
    named = {"training_loss": "running_loss", "validation_loss": "select_loss", "seconds": "seconds"}
    said, rows = [], []
    for curve in file.curves:
        printed, ours = curve.columns(), []
        if group := ran.get(curve.system):
            r = group.record
            said.append(f"Ours, {curve.system}: {r.protocol}, {r.init}, {r.device}; {group.notes or 'the full setup'}.")
            ours = list(zip(*(history for _, history, _ in group.folds or group.runs)))
        else:
            said.append(f"Ours, {curve.system}: not run.")
        for number in range(max(map(len, [*printed.values(), ours]))):
            row = {"system": curve.system, "epoch": number + 1}
            for name, own in named.items():
                label, decimals = name.replace("_", " "), 1 if name == "seconds" else 2
                row[f"{label}, printed"] = printed[name][number] if number < len(printed.get(name, [])) else ""
                found = [at[own] for at in ours[number]] if number < len(ours) else []
                row[f"{label}, ours"] = f"{statistics.mean(found):.{decimals}f}" if found else ""
            rows.append(row)
    return "\n".join([*(f"* {line}" for line in said), "", _markdown(rows)])


def compressed(runs: Path) -> str:
    """What pruning to each sparsity does before any fitting on, the mean over seeds; and, seed by seed, how far LiteRT
    is from Keras."""
    curves, exports, weights = {}, [], []
    for path in records.find(runs):
        record, history, _ = records.read(path)
        sources = record.data["source"], record.data.get("attributes", {}).get("source")
        if record.preset != "full" or sources != ("fer2013", "utkface"):
            continue
        if pruning := record.details.get("pruning"):
            points = {f"{p['sparsity']:.0%}": p for p in pruning["curve_without_fitting_on"]}
            points[f"{record.setup['sparsity']:.0%}, fitted on"] = history[-1]
            for name, point in points.items():
                accuracies = [value for key, value in point.items() if re.fullmatch("select_.+_accuracy", key)]
                curves.setdefault(name, []).append(statistics.mean(accuracies))
            weights.append(f"seed {record.seed}: {pruning['weights_left']:,} of {pruning['weights']:,}")
        if export := record.details.get("export"):
            exports += [(record.seed, kind, export[kind], export["compared_images"]) for kind in ("float32", "int8")]
    curve = [
        {
            "weights cut": cut,
            "mean accuracy over tasks": f"{100 * statistics.mean(found):.1f}",
            "seeds": len(found),
        }
        for cut, found in sorted(curves.items())
    ]
    rows = [
        {
            "seed": seed,
            "LiteRT": kind,
            "file, bytes": f"{own['file_bytes']:,}",
            "test images": f"{images:,}",
            "largest difference of a probability": f"{own['largest_difference']:.2g}",
            "same class as Keras": f"{100 * own['same_class']:.2f} %",
        }
        for seed, kind, own, images in sorted(exports, key=lambda row: row[:2])
    ]
    if not curve and not rows:
        return _markdown([])
    return f"{_markdown(curve)}\n\nWeights left after fitting on: {'; '.join(weights)}.\n\n{_markdown(rows)}"


def changed_tasks(runs: Path) -> str:
    """Of a paper with several tasks: accuracy on the selection images after the last epoch, task by task, of systems
    that ran on real data with other assumed values too; seed by seed, the unchanged runs first."""
    groups = [
        group
        for group in tables.collect(runs, {})
        if group.task == group.record.task and group.key["source"] == "fer2013" and group.record.preset != "smoke"
    ]
    varied = {group.record.system for group in groups if group.changes}
    rows = []
    for group in sorted(groups, key=lambda g: (g.record.system, g.changes)):
        for record, history, _ in group.runs if group.record.system in varied else ():
            found = {task: history[-1][f"select_{task}_accuracy"] for task in record.setup["tasks"]}
            found["mean"] = statistics.mean(found.values())
            first = {"system": record.system, "changed": group.changes or "nothing", "seed": record.seed}
            rows.append(first | {task: f"{100 * accuracy:.1f}" for task, accuracy in found.items()})
    return _markdown(rows)


def spent(runs: Path) -> str:
    """How many committed runs there are of a paper, and how long their epochs took, by device."""
    seconds = {}
    for path in records.find(runs):
        record, history, _ = records.read(path)
        seconds.setdefault(record.device, []).append(sum(row.get("seconds", 0.0) for row in history))
    said = [f"{len(own)} runs, {sum(own) / 3600:.1f} hours in epochs on {device}" for device, own in seconds.items()]
    return f"Committed: {'; '.join(said)}." if said else "Nothing ran yet."


def convergence(runs: Path) -> str:
    """How many epochs (rounds of boosting) each learning rate takes to the accuracy on the selection rows that all of
    them reach; for the systems that ran with several, under `official`."""
    histories = {}
    for path in records.find(runs):
        record, history, predictions = records.read(path)
        other = {name for name in record.changes if name != "learning_rate"}
        if predictions is None or other or record.protocol != "official" or record.preset == "smoke":
            continue
        accuracies = [row.get("select_accuracy", 0.0) for row in history]
        histories[(record.system, record.init, record.setup.get("learning_rate"), record.seed)] = accuracies
    varied = {key[:2] for key in histories if len({k[2] for k in histories if k[:2] == key[:2]}) > 1}
    inits = {init for _, init in varied}
    rows = []
    for init in sorted(inits):
        own = {key: found for key, found in sorted(histories.items()) if key[1] == init and key[:2] in varied}
        target = min(max(found) for found in own.values())
        for (system, _, rate, _), found in own.items():
            rows.append(
                {
                    "system": system,
                    "init": init,
                    "learning rate": rate,
                    f"rounds to {100 * target:.1f} %": 1 + next(n for n, a in enumerate(found) if a >= target),
                    "best accuracy on select": f"{100 * max(found):.1f}",
                    "after round": 1 + found.index(max(found)),
                }
            )
    return _markdown(rows)


def changed(sensitivity: pd.DataFrame, summary: pd.DataFrame, file: claims.ClaimsFile) -> str:
    """Runs with other assumed values, on the images that were watched, under the unchanged setup that they belong to;
    and how far below the claim on test images."""
    rows = []
    tested = [claim for claim in file.all_claims() if claim.headline == "yes" and claim.images == "test"]
    if len(sensitivity):
        sensitivity = sensitivity[(sensitivity["paper"] == file.paper) & (sensitivity["preset"] == "custom")]

    def add(row, changes: str, column: str, low: str, high: str, seeds: int) -> None:
        rows.append(
            {k: row[k] for k in ("system", "init")}
            | {"changed": changes, "parameters": tables.whole(row["parameters"]), "scored on": usage}
            | {"accuracy": tables.shown(row, column, "accuracy", low, high)}
            | {f"points below {c.value} {c.unit}": f"{100 * (c.number - row[column]):.1f}" for c in tested}
            | {"running training accuracy": tables.percent(row.get("running_training_accuracy", float("nan")))}
            | {"seeds": seeds}
        )

    same = ["system", "init", "protocol"]
    for key, own in sensitivity.groupby([*same, "usage"], sort=False) if len(sensitivity) else ():
        usage = key[-1]
        unchanged = _full(summary, file.paper)
        unchanged = unchanged[(unchanged[same] == list(key[:3])).all(axis=1)]
        for _, row in unchanged[unchanged["epoch"].str.startswith("last", na=False)].iterrows():
            add(row, "nothing", f"{usage} accuracy", " low", " high", row["runs"])
        for _, row in own.iterrows():
            add(row, row["changes"], "accuracy", "_low", "_high", row["n_runs"])
    return _markdown(rows)


def loading(root: Path) -> str:
    """benchmarks/loading.json as a table."""
    found = json.loads((root / "benchmarks" / "loading.json").read_text())
    rows = [
        {
            "reader": name,
            "seconds": f"{row['seconds']:.2f}",
            "against our first read": f"{row['times_our_first_read']:.2f} ×",
            "peak memory, MiB": f"{row['peak_mib']:,}",
        }
        for name, row in found["readers"].items()
    ]
    return f"{found['csv_bytes']:,} bytes of CSV, {found['cores']} cores, imports included.\n\n{_markdown(rows)}"


def training(root: Path) -> str:
    """benchmarks/training.json as a table."""
    found = json.loads((root / "benchmarks" / "training.json").read_text())
    rows = [
        {
            "variant": name,
            "ms per step": row["ms_per_step"],
            "speed against PyTorch in float32": f"{row['speed_against_pytorch_float32']:.2f} ×",
        }
        for name, row in found["variants"].items()
    ]
    ceiling = ", ".join(f"{value:,} GFLOP/s in {name}" for name, value in found["matrix_product_gflops"].items())
    where = f"Batch {found['batch']}, {found['cores']} cores; a matrix product reaches {ceiling} there."
    return f"{where}\n\n{_markdown(rows)}"


def training_of_folds(root: Path) -> str:
    """benchmarks/folds.json as a table, and what it says of the pipeline and of `--frozen`."""
    found = json.loads((root / "benchmarks" / "folds.json").read_text())
    rows = [
        {
            "training": name,
            "images/s": f"{row['images_per_second']:,}",
            "minutes an epoch of one fold": f"{row['seconds_per_epoch'] / 60:.1f}",
            "peak memory, MiB": f"{row['peak_mib']:,}",
        }
        for name, row in found["training"].items()
    ]
    fed, once = found["pipeline_224_px_images_per_second"], found["seconds_of_one_pass"]
    where = (
        f"{found['fitted']:,} images an epoch, {found['cores']} cores. The pipeline alone gives {fed:,} images/s at "
        f"224 px. One pass of ResNet50V2 over all images at 48 px takes {once} s: `--frozen` makes one for all folds, "
        f"where five separate ones take {5 * once} s."
    )
    return f"{where}\n\n{_markdown(rows)}"


def cost_of_networks(root: Path) -> str:
    """benchmarks/multitask.json as a table; what four networks of one task each cost together is their sum."""
    found = json.loads((root / "benchmarks" / "multitask.json").read_text())
    cells = {
        name: [own for system, own in found["networks"].items() if system.startswith(name)]
        for name in ("multitask_light", "singletask_light", "multitask_heavy", "singletask_heavy")
    }
    measures = {
        "parameters": lambda own: own["parameters"],
        "multiply-adds of an image": lambda own: own["multiply_adds"],
        "LiteRT file in float32, bytes": lambda own: own["float32"]["file_bytes"],
        "LiteRT file in int8, bytes": lambda own: own["int8"]["file_bytes"],
        "latency in LiteRT float32, ms": lambda own: own["float32"]["latency_ms"],
        "latency in LiteRT int8, ms": lambda own: own["int8"]["latency_ms"],
        "latency of Keras's `predict`, ms": lambda own: own["keras_predict_ms"],
        "Keras, batches of 64: ms an image": lambda own: 1000 / own["images_per_second"],
    }
    rows = []
    for measure, of in measures.items():
        form = "{:,.2f}" if "ms" in measure else "{:,}"
        cost = {name: sum(map(of, own)) for name, own in cells.items()}
        first = cost["multitask_light"]
        shown = {name if len(cells[name]) == 1 else f"{len(cells[name])} {name}": c for name, c in cost.items()}
        rows.append(
            {"cost": measure}
            | {name: form.format(own) for name, own in shown.items()}
            | {f"{list(shown)[0]} against {name}": f"{first / own:.2f} ×" for name, own in list(shown.items())[1:]}
        )
    where = (
        f"{found['cores']} cores, all used by Keras; LiteRT, one image at a time, has one thread. All in float32 or, "
        "where so named, int8; but for the last row, where heavy networks compute in bfloat16, as they do in training."
    )
    return f"{where}\n\n{_markdown(rows)}"


def learning_rates(root: Path) -> str:
    """benchmarks/learning_rates.json as a table."""
    found = json.loads((root / "benchmarks" / "learning_rates.json").read_text())
    rows = [
        {"network": system}
        | {f"rate {rate}": f"{100 * accuracy:.1f}" for rate, accuracy in own["select_accuracy"].items()}
        for system, own in found.items()
    ]
    [(epochs, seed)] = {(own["setup"]["epochs"], own["setup"]["seed"]) for own in found.values()}
    return f"After {epochs} epochs, seed {seed}.\n\n{_markdown(rows)}"


def audit_power(root: Path) -> str:
    """benchmarks/audit.json: alarms on true papers, and tampered reports that are found."""
    found = json.loads((root / "benchmarks" / "audit.json").read_text())
    rows = [
        {
            "changed": row["kind"],
            "by": row["by"] or "",
            "reports": row["n"],
            "found": row["found"],
            "found by mlscorecheck": row["mlscorecheck"],
            "of mlscorecheck no answer": row["no_answer"],
        }
        for row in found["power"]
    ]
    true = found["true"]
    where = (
        f"{true['n']:,} true papers: {true['inconsistent']} called inconsistent. The suite's own papers take "
        f"{found['papers_s']:.1f} s together, a report of seven classes {true['report_ms']:.0f} ms."
    )
    return f"{where}\n\n{_markdown(rows)}"


def features(root: Path) -> str:
    """benchmarks/features.json as two tables."""
    found = json.loads((root / "benchmarks" / "features.json").read_text())
    extraction = [
        {
            "extraction at 48 px": name,
            "images/s": f"{row['images_per_second']:,}",
            "time against ours": f"{row['times_ours']:.2f} ×",
            "peak memory, MiB": f"{row['peak_mib']:,}",
        }
        for name, row in found["extraction"].items()
    ]
    boosting = [
        {
            "boosting": name,
            "seconds": row["seconds"],
            "time against ours": f"{row['times_ours']:.2f} ×",
            "accuracy on PublicTest": f"{100 * row['accuracy_on_public_test']:.1f}",
            "peak memory, MiB": f"{row['peak_mib']:,}",
        }
        for name, row in found["boosting"].items()
    ]
    where = f"{found['images']:,} images, {found['rounds']} rounds, {found['cores']} cores."
    peak = f"At 224 px our extraction peaks at {found['peak_mib_at_224_px']:,} MiB."
    return f"{where} {peak}\n\n{_markdown(extraction)}\n\n{_markdown(boosting)}"
