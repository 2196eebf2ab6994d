"""Names, decimals, and the files of the tables: csv (fractions, four decimals), md and tex (per cent, one decimal)."""

from pathlib import Path

import pandas as pd

from fer_common.results.image_sets import ImageSet
from fer_common.results.tables import HEADLINES, REFERENCE

OF = {
    "images": "",
    "out_of_fold": ", out of fold",
    "mean_of_folds": ", mean probabilities of the folds",
    "running": ", running metric with dropout",
}


def name_of(image_set: ImageSet | str | None) -> str:
    """`Training (fit + select)`, `pooled (score, out of fold)`, `PrivateTest without twins (score)`; a word stays."""
    if not isinstance(image_set, ImageSet):
        return image_set if isinstance(image_set, str) else ""
    usages = "pooled" if image_set.pooled else " + ".join(image_set.usages)
    without = " without twins" if image_set.without_twins else ""
    return f"{usages}{without} ({' + '.join(image_set.roles)}{OF[image_set.of]})"


def write(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Each table as csv, md and tex in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table = named(table, name).round(4)  # once, so that the readable forms round what the csv says
        table.to_csv(folder / f"{name}.csv", index=False, float_format="%.4f", lineterminator="\n")
        sections = _READABLE[name](table) if len(table) else {"": table}
        text, tex = [f"# {name}\n"], []
        for title, section in sections.items():
            if title:
                text.append(f"## {title}\n")
                tex.append(f"% {title}")
            text.append(section.to_markdown(index=False, disable_numparse=True) + "\n" if len(section) else "no rows\n")
            tex.append(section.to_latex(index=False, escape=True).rstrip() + "\n")
        if name == "comparison":
            from fer_common.results.verdicts import DIFFERENCES, RULES

            text.append(f"{RULES}\n{DIFFERENCES}")
        (folder / f"{name}.md").write_text("\n".join(text))
        (folder / f"{name}.tex").write_text("\n".join(tex))


def named(table: pd.DataFrame, name: str) -> pd.DataFrame:
    if "image_set" not in table:
        return table
    table = table.assign(image_set=table["image_set"].map(name_of)).rename(columns={"image_set": "usage"})
    if name != "summary":
        return table
    metrics = [f"{m}{end}" for m in HEADLINES for end in ("", " sd", " low", " high")]
    first = [c for c in table.columns if c not in (*metrics, "usage")]
    rows = {}
    for number, row in enumerate(table.to_dict("records")):
        key = tuple(str(row[k]) for k in ("paper", "system", "protocol", "init", "preset", "source", "data", "epoch"))
        if not row["usage"]:
            key = number
        own = rows.setdefault(key, {k: row[k] for k in first})
        for metric in metrics:
            if row["usage"] and not (row["paper"] == REFERENCE and pd.isna(row[metric])):
                own[f"{row['usage']} {metric}"] = row[metric]
    return pd.DataFrame(list(rows.values()))


def overview(tables: dict[str, pd.DataFrame]) -> str:
    """For a terminal: the claims outside of reports of the papers that ran, beside PrivateTest and Training."""
    table = tables["comparison"]
    single = ~table["claim_id"].str.contains(".", regex=False)  # the numbers of a report are named report.class.metric
    rows = []
    ran = set(tables["summary"]["paper"]) if len(tables["summary"]) else set()
    for _, row in table[single & table["paper"].isin(ran)].iterrows():
        shown_sets = ("PrivateTest (", "Training", "PrivateTest + UTKFace", "UTKFace", "network")
        if row["verdict"] == "not run" or str(row["usage"]).startswith(shown_sets):
            named = row.rename({"ci_low": "reproduced_mean low", "ci_high": "reproduced_mean high"})
            rows.append(
                {
                    "claim": row["claim_id"],
                    "claimed": row["claimed"],
                    "reproduced": shown(named, "reproduced_mean", row["metric"]),
                    "on": row["usage"],
                    "of": " ".join(str(row[k]) for k in ("system", "protocol", "preset", "source") if pd.notna(row[k])),
                    "runs": row["n_runs"],
                    "verdict": row["verdict"],
                }
            )
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True, tablefmt="simple")


def whole(value: float) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def tenths(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def percent(value: float) -> str:
    return tenths(100 * value)


def shown(row, column: str, metric: str, low: str = " low", high: str = " high") -> str:
    """`61.2 [59.6, 62.8]`, per cent for shares; three decimals for AUC, two for log loss."""
    decimals, factor = (3, 1) if metric.startswith("auc") else (2, 1) if metric == "log_loss" else (1, 100)
    values = [row.get(column), row.get(column + low), row.get(column + high)]
    if pd.isna(values[0]):
        return ""
    mean, lowest, highest = (f"{factor * value:.{decimals}f}" for value in values)
    return mean if pd.isna(values[1]) else f"{mean} [{lowest}, {highest}]"


_GROUP = ["system", "protocol", "init", "preset", "source"]


def readable_summary(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A section per paper and image set: accuracy, F1, AUC and log loss with 95 % intervals."""
    sections = {}
    sets = [c.removesuffix(" accuracy") for c in table.columns if c.endswith(" accuracy")]
    for paper in dict.fromkeys(table["paper"]):
        if paper == REFERENCE:
            continue
        for image_set in sets:
            rows = []
            for _, row in table[table["paper"].isin((paper, REFERENCE))].iterrows():
                if pd.notna(row.get(f"{image_set} accuracy")):
                    rows.append(
                        {k: row[k] for k in [*_GROUP, "epoch", "runs"]}
                        | {metric: shown(row, f"{image_set} {metric}", metric) for metric in HEADLINES}
                        | {"parameters": whole(row["parameters"]), "s/epoch": tenths(row["seconds_per_epoch"])}
                        | {"notes": row["notes"]}
                    )
            if rows:
                sections[f"{paper}: {image_set}"] = pd.DataFrame(rows)
        failed = table[(table["paper"] == paper) & (table["failed"] > 0)]
        if len(failed):
            columns = [c for c in (*_GROUP, "failed", "error") if c in failed]
            sections[f"{paper}: failed runs"] = failed[columns]
    return sections


def readable_comparison(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A section per paper: claimed beside reproduced, with the verdict."""
    sections = {}
    for paper in dict.fromkeys(table["paper"]):
        rows = []
        for _, row in table[table["paper"] == paper].iterrows():
            named = row.rename({"ci_low": "reproduced_mean low", "ci_high": "reproduced_mean high"})
            rows.append(
                {"claim": row["claim_id"], "claimed": row["claimed"]}
                | {"reproduced": shown(named, "reproduced_mean", row["metric"])}
                | {"usage": row["usage"], "metric": f"{row['metric']} {row['average']}".removesuffix(" none")}
                | {k: row[k] for k in ("system", "protocol", "init", "preset", "source", "epoch", "n_runs")}
                | {k: row[k] for k in ("verdict", "notes")}
            )
        sections[paper] = pd.DataFrame(rows).fillna("").astype(str)
    return sections


def readable_per_class(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows = []
    for _, row in table.iterrows():
        rows.append(
            {k: row[k] for k in ["paper", *_GROUP, "usage", "class", "support"]}
            | {m: shown(row, m, "recall", "_low", "_high") for m in ("precision", "recall", "f1")}
            | {"runs": row["n_runs"]}
        )
    return {"": pd.DataFrame(rows)}


def readable_protocols(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """A section per paper."""
    sections = {}
    for paper in dict.fromkeys(table["paper"]):
        rows = [
            {k: row[k] for k in [*_GROUP, "runs"]} | by_protocol(row)
            for _, row in table[table["paper"] == paper].iterrows()
        ]
        sections[paper] = pd.DataFrame(rows).fillna("")
    return sections


def by_protocol(row) -> dict[str, str]:
    """The readable cells of one row of the table `protocols`."""
    return {
        "scored": shown(row, "scored accuracy", "accuracy"),
        "of it unseen": shown(row, "unseen accuracy", "accuracy"),
        "fitted": shown(row, "fitted accuracy", "accuracy"),
        "scored: F1 macro": shown(row, "scored f1.macro", "f1"),
        "AUC": shown(row, "scored auc.macro", "auc"),
        "mean one-vs-rest accuracy": shown(row, "scored mean_ovr_accuracy", "accuracy"),
        "images scored, unseen, fitted": ", ".join(
            whole(row.get(f"{name} images")) or "0" for name in ("scored", "unseen", "fitted")
        ),
        "notes": row["notes"] if pd.notna(row["notes"]) else "",
    }


def readable_folds(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Mean over the folds, and in brackets the lowest and the highest."""
    rows = []
    for _, row in table.iterrows():
        rows.append(
            {k: row[k] for k in ("paper", *_GROUP, "folds", "usage")}
            | {m: shown(row, m, m) for m in ("accuracy", "f1.macro", "auc.macro", "log_loss")}
            | {"accuracy sd": percent(row["accuracy sd"]), "notes": row["notes"]}
        )
    return {"": pd.DataFrame(rows)}


def readable_tasks(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows = []
    for _, row in table.iterrows():
        rows.append({k: row[k] for k in ("paper", *_GROUP, "runs")} | of_task(row) | {"notes": row["notes"]})
    return {"": pd.DataFrame(rows)}


def of_task(row) -> dict[str, str]:
    """The readable cells of one row of the table `tasks`."""
    return {
        "task": row["task"],
        "scored on": row["usage"],
        **{metric: shown(row, metric, metric) for metric in ("accuracy", "f1.macro", "auc.macro")},
        "fitted": percent(row["fitted accuracy"]),
        "gap": percent(row["gap"]),
        "begins as": row["begins_as"] if pd.notna(row["begins_as"]) else "",
        "parameters": whole(row["parameters"]),
        "multiply-adds": whole(row["multiply_adds"]),
        "images an epoch": whole(row["images_an_epoch"]),
        "updates": whole(row["updates"]),
        "training, s": whole(row["training_seconds"]),
    }


def readable_sensitivity(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows = []
    for _, row in table.iterrows():
        rows.append(
            {k: row[k] for k in ("paper", *_GROUP, "changes", "parameters", "usage")}
            | {"accuracy": shown(row, "accuracy", "accuracy", "_low", "_high")}
            | {"running training accuracy": percent(row["running_training_accuracy"]), "runs": row["n_runs"]}
        )
    return {"": pd.DataFrame(rows)}


_READABLE = {
    "summary": readable_summary,
    "comparison": readable_comparison,
    "per_class": readable_per_class,
    "protocols": readable_protocols,
    "folds": readable_folds,
    "tasks": readable_tasks,
    "sensitivity": readable_sensitivity,
}
