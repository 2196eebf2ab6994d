"""Names, decimals, and the files of the tables: csv for machines, md and tex for those short enough to read."""

import json
import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd

from fer_common import UserError, progress
from fer_common.records import Record
from fer_common.results import tables
from fer_common.results.groups import Group, as_text
from fer_common.results.image_sets import ImageSet, Of, Subset
from fer_common.results.measure import Scores
from fer_common.results.tables import SETUP
from fer_common.results.verdicts import Spread

OF = {
    "images": "",
    "out_of_fold": ", out of fold",
    "each_fold": ", mean of the folds' networks",
    "running": ", running metric with dropout",
}
SUBSETS = {"": "", "without_twins": " without twins", "named_by_ferplus": ", named by FER+"}
READABLE_ROWS = 200  # a longer table is a csv alone


# Names and decimals


def name_of(image_set: ImageSet | None) -> str:
    """`Training (fit + select)`, `pooled (score, out of fold)`, `PrivateTest without twins (score)`; `network` where
    there are no images."""
    if not isinstance(image_set, ImageSet):
        return "network"
    usages = "pooled" if image_set.pooled else " + ".join(image_set.usages)
    return f"{usages}{SUBSETS[image_set.subset]} ({' + '.join(image_set.roles)}{OF[image_set.of]})"


def words_of(image_set: ImageSet | None) -> str:
    """The same for a reader who knows none of the suite's words: `all of Training, most of it fitted`."""
    if not isinstance(image_set, ImageSet):
        return "the network itself"
    roles = set(image_set.roles)
    what = "the images that it was split from" if image_set.pooled else " and ".join(image_set.usages)
    if image_set.of == "running":
        return f"{what}, while it was trained on them"
    if roles == {"fit"}:
        said = f"the images that it was trained on ({'of its own split' if image_set.pooled else what})"
    elif "fit" in roles:
        said = f"all of {what}, part of which it was trained on"
    elif "seen" in roles:
        said = "test images that a part of it had seen, or a copy of them"
    elif image_set.pooled:
        said = "test images of its own split" + (", which chose the epoch" if "select" in roles else "")
    else:
        said = what + (", which chose the epoch" if "select" in roles else "")
    how = {"out_of_fold": ", each by the fold that had not seen it", "each_fold": ", mean of the folds' networks"}
    return said + SUBSETS[image_set.subset] + how.get(image_set.of, "")


def whole(value: float) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"


def points(value: float) -> str:
    """A difference of two shares of 1 in points, with its sign."""
    return "" if pd.isna(value) else f"{100 * value:+.1f}"


def tenths(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def percent(value: float) -> str:
    return tenths(100 * value)


def scale_of(metric: str) -> tuple[int, int]:
    """(decimals, factor) of a metric: per cent with one decimal for shares; three decimals of AUC, two of log loss."""
    return (3, 1) if metric.startswith("auc") else (2, 1) if metric == "log_loss" else (1, 100)


def shown(row, column: str, metric: str, low: str = " low", high: str = " high") -> str:
    """`61.2 [59.6, 62.8]`; nothing where there is no value."""
    decimals, factor = scale_of(metric)
    values = [row.get(column), row.get(column + low), row.get(column + high)]
    if pd.isna(values[0]):
        return ""
    mean, lowest, highest = (f"{factor * value:.{decimals}f}" for value in values)
    return mean if pd.isna(values[1]) else f"{mean} [{lowest}, {highest}]"


def reproduced(row) -> str:
    """The value found for a row of `comparison`, with its interval."""
    named = row.rename({"low": "reproduced low", "high": "reproduced high"})
    return shown(named, "reproduced", row["metric"])


def gap(row) -> str:
    """`+26.2 ± 2.6`: how far a row's claim lies above what was found, and the half-width that decides on it."""
    if pd.isna(row["gap"]):
        return ""
    decimals, factor = scale_of(row["metric"])
    text = f"{factor * row['gap']:+.{decimals}f}"
    return text if pd.isna(row["half_width"]) else f"{text} ± {factor * row['half_width']:.{decimals}f}"


def apart(row, name: str) -> str:
    """A difference of a metric with its interval, in points: `+5.1 [4.2, 6.0]`."""
    if pd.isna(row[name]):
        return ""
    mean, low, high = (100 * row[f"{name}{bound}"] for bound in ("", " low", " high"))
    return f"{mean:+.1f}" if math.isnan(low) or low == high else f"{mean:+.1f} [{low:.1f}, {high:.1f}]"


def claimed(row) -> str:
    """`83.2 %`, `0.86`."""
    return f"{row['claimed']} %" if row["unit"] == "percent" else str(row["claimed"])


def metric_of(row) -> str:
    """`accuracy`, `f1 macro`."""
    return f"{row['metric']} {row['average']}".removesuffix(" none")


def fields_of(changed: str) -> str:
    """`epochs=3, score_epochs=1/3`, from the JSON in the columns `changes` and `reduced`."""
    return as_text(json.loads(changed or "{}"))


def markdown(rows: Iterable[dict] | pd.DataFrame) -> str:
    """A Markdown table; what would end a cell or a line is escaped."""
    from tabulate import tabulate

    table = pd.DataFrame(rows, dtype=object).fillna("")
    if not len(table):
        return "Nothing ran yet."
    cells = [[progress.cell(value) for value in row] for row in table.itertuples(index=False)]
    return tabulate(cells, [progress.cell(name) for name in table.columns], "pipe", disable_numparse=True)


# Files


def write(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Each table as csv in `folder`, and as md and tex where it is meant to be read.

    All are written before the first old one is replaced: where that fails, UserError is raised and the old are whole.
    """
    partial = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            texts = {f"{name}.csv": as_csv(table)}
            if name in READABLE and len(table) <= READABLE_ROWS:
                texts |= {f"{name}.{form}": text for form, text in _readable(name, table).items()}
            for file, text in texts.items():
                partial[folder / file] = folder / f".{file}.{os.getpid()}.partial"
                partial[folder / file].write_text(text)
        for final, written in partial.items():
            written.replace(final)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); free the disk or choose another --tables. "
            "What was there is as it was."
        ) from None
    finally:
        for written in partial.values():
            written.unlink(missing_ok=True)


def as_csv(table: pd.DataFrame) -> str:
    """Shares as fractions, five significant digits; an image set as its fields, a column each."""
    return _with_columns(table).to_csv(index=False, float_format="%.5g", lineterminator="\n")


def read(folder: Path, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """The tables of these names as `write` left them in `folder`; image sets are whole again."""
    return {name: _read(folder / f"{name}.csv") for name in names}


def read_spread(path: Path) -> list[dict]:
    """The rows of a `seed_spread.csv`. Raises UserError where it cannot be read, or a row lacks what it has to say."""
    rows = _read(path).to_dict("records")
    for number, row in enumerate(rows, 2):
        if not (row.get("metric") and isinstance(row.get("image_set"), ImageSet) and _is_spread(row.get("sd"))):
            raise UserError(f"{path}, row {number}: no metric, image set or spread; `ferrepro tables` writes it anew.")
    return rows


def _is_spread(value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0


def _with_columns(table: pd.DataFrame) -> pd.DataFrame:
    if "image_set" not in table:
        return table
    place = list(table.columns).index("image_set")
    sets = [own if isinstance(own, ImageSet) else None for own in table["image_set"]]
    columns = {
        field.name: [None if own is None else _joined(getattr(own, field.name)) for own in sets]
        for field in fields(ImageSet)
    }
    rest = table.drop(columns="image_set")
    before, after = rest.iloc[:, :place], rest.iloc[:, place:]
    return pd.concat([before, pd.DataFrame(columns, index=table.index), after], axis=1)


def _joined(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "+".join(value) if isinstance(value, tuple) else value


def _read(path: Path) -> pd.DataFrame:
    try:
        if path.stat().st_size < 2:
            return pd.DataFrame()
        table = pd.read_csv(path, dtype=dict.fromkeys(TEXTS, str), low_memory=False)
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: is no table ({error}); `ferrepro tables` writes it anew.") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise UserError(f"{path}: has rows of more cells than its header; `ferrepro tables` writes it anew.")
    for name in table.columns.intersection(TEXTS):
        table[name] = table[name].fillna("")
    names = [field.name for field in fields(ImageSet)]
    if not set(names) <= set(table):
        return table
    keys = list(table[names].itertuples(index=False, name=None))
    known = {key: _image_set(*key) for key in set(keys)}
    place = min(list(table.columns).index(name) for name in names)
    table = table.drop(columns=names)
    table.insert(place, "image_set", [known[key] for key in keys])
    return table


# Columns of text, which may be empty throughout.
TEXTS = [
    *SETUP,
    *("attributes", "data", "changes", "reduced", "versions", "details", "notes", "device", "backend", "commit"),
    *("left_out", "says", "run", "finished", "epoch", "chosen", "metric", "average", "class", "task", "begins_as"),
    *("usages", "roles", "of", "pooled", "subset", "claim_id", "headline", "images", "where", "claimed", "unit"),
    *("assumed", "verdict", "true", "predicted", "id", "printed"),
    *("kind", "mistake"),
]


def _image_set(usages: str, roles: str, of: Of, pooled: str, subset: Subset) -> ImageSet | None:
    if not usages:
        return None
    return ImageSet(tuple(usages.split("+")), tuple(roles.split("+")), of, pooled == "yes", subset)


# What a reader sees of the short ones


def _readable(name: str, table: pd.DataFrame) -> dict[str, str]:
    sections = READABLE[name](table) if len(table) else {"": table}
    text, tex = [f"# {name}\n"], []
    for title, section in sections.items():
        if title:
            text.append(f"## {title}\n")
            tex.append(f"% {title}")
        text.append(markdown(section) + "\n")
        tex.append(pd.DataFrame(section).to_latex(index=False, escape=True).rstrip() + "\n")
    return {"md": "\n".join(text), "tex": "\n".join(tex)}


def _rows(table: pd.DataFrame, cells) -> dict[str, pd.DataFrame]:
    """A section for each paper, a row `cells(row)` below its setup."""
    return {
        str(paper): pd.DataFrame([{k: row[k] for k in SETUP[1:]} | cells(row) for _, row in own.iterrows()]).fillna("")
        for paper, own in table.groupby("paper", sort=False)
    }


def by_protocol(row) -> dict[str, str]:
    """The readable cells of one row of the table `protocols`."""
    counts = [whole(row.get(f"{name} images", math.nan)) or "0" for name in ("scored", "unseen", "fitted")]
    return {
        "scored": shown(row, "scored accuracy", "accuracy"),
        "of it unseen": shown(row, "unseen accuracy", "accuracy"),
        "fitted": shown(row, "fitted accuracy", "accuracy"),
        "scored: F1 macro": shown(row, "scored f1.macro", "f1"),
        "AUC": shown(row, "scored auc.macro", "auc"),
        "mean one-vs-rest accuracy": shown(row, "scored mean_ovr_accuracy", "accuracy"),
        "images scored, unseen, fitted": ", ".join(counts),
        "notes": row["notes"],
    }


def over_folds(row) -> dict[str, str]:
    """Mean over the folds, and in brackets the lowest and the highest."""
    metrics = ("accuracy", "f1.macro", "auc.macro", "log_loss")
    return (
        {"folds": row["folds"], "scored on": name_of(row["image_set"])}
        | {metric: shown(row, metric, metric) for metric in metrics}
        | {"accuracy sd": percent(row["accuracy sd"])}
    )


def of_task(row) -> dict[str, str]:
    """The readable cells of one row of the table `tasks`."""
    return {
        "task": row["task"],
        "scored on": name_of(row["image_set"]),
        **{metric: shown(row, metric, metric) for metric in ("accuracy", "f1.macro", "auc.macro")},
        "fitted": percent(row["fitted accuracy"]),
        "gap": percent(row["gap"]),
        "begins as": row["begins_as"] if row["begins_as"] and pd.notna(row["begins_as"]) else "",
        "parameters": whole(row["parameters"]),
        "multiply-adds": whole(row["multiply_adds"]),
        "images an epoch": whole(row["images_an_epoch"]),
        "updates": whole(row["updates"]),
        "training, s": whole(row["training_seconds"]),
    }


def of_change(row) -> dict[str, str]:
    """The readable cells of one row of the table `sensitivity`."""
    return {
        "task": row["task"],
        "changed": fields_of(row["changes"]),
        "parameters": whole(row["parameters"]),
        "scored on": name_of(row["image_set"]),
        "accuracy": shown(row, "accuracy", "accuracy"),
        "running training accuracy": percent(row["running_training_accuracy"]),
        "seeds": row["n_runs"],
    }


READABLE = {
    "protocols": lambda table: _rows(table, lambda row: {"seeds": row["n_runs"]} | by_protocol(row)),
    "folds": lambda table: _rows(table, over_folds),
    "tasks": lambda table: _rows(table, lambda row: {"seeds": row["n_runs"]} | of_task(row)),
    "sensitivity": lambda table: _rows(table, of_change),
}


# A terminal


def overview(tables: Mapping[str, pd.DataFrame], spread: Spread) -> str:
    """The claims outside of reports of the papers that ran, beside PrivateTest and Training; below them s*.

    spread: what single runs were judged by.
    """
    table, rows = tables["comparison"], []
    ran = set(table.loc[table["n_runs"] > 0, "paper"])
    single = ~table["claim_id"].str.contains(".", regex=False)  # the numbers of a report are named report.class.metric
    for _, row in table[single & table["paper"].isin(ran)].iterrows():
        own = row["image_set"]
        of_interest = not isinstance(own, ImageSet) or (
            not own.pooled and not own.subset and own.usages[0] in ("PrivateTest", "Training", "UTKFace test")
        )
        if row["verdict"] == "not run" or of_interest:
            setup = " ".join(str(row[k]) for k in SETUP[1:] if k != "init" and pd.notna(row[k]))
            rows.append(
                {"claim": row["claim_id"], "claimed": claimed(row), "found": reproduced(row), "on": name_of(own)}
                | {"of": setup, "runs": row["n_runs"], "gap": gap(row), "verdict": row["verdict"]}
            )
    if not rows:
        return "No run with a paper's own setup stands beside a claim."
    shown = progress.table(rows)
    known = [
        f"{100 * sd:.1f} on {' + '.join(roles)}"
        for (metric, roles), sd in spread.largest.items()
        if metric == "accuracy"
    ]
    if not known:
        return shown
    return f"{shown}\ns*, the largest spread of an accuracy over seeds, in points: {'; '.join(known)} images."


def found(runs: pd.DataFrame, folder: Path) -> str:
    """How many records there are, which are in no main table and why, and where to see them."""
    where = {
        "changed": "sensitivity.csv and measurements.csv have them",
        "smoke": "every row says `smoke`, and no page has one",
        "incomplete": "another seed of the setup has more folds",
        "unknown paper": "there are no claims to set them beside",
    }
    counts: dict[str, int] = dict(runs["left_out"].value_counts()) if len(runs) else {}
    lines = [f"{len(runs):,} records; {counts.get('', 0):,} are of a paper's own setup on all of its data."]
    for why, number in counts.items():
        if why:
            lines.append(f"  {number:,} {why}: {where.get(why, 'runs.csv names them')}")
    for _, row in runs[runs["left_out"] == "damaged"].iterrows() if len(runs) else ():
        lines.append(f"  wrong: {row['run']}: {row['says']}")
    return progress.plain("\n".join([*lines, f"Tables are in {folder}."]))


def scored(group: Group, scores: Scores, printed: Sequence, record: Record) -> str:
    """What a scored network gives on each image set, beside what its release prints, and what the scores tell."""
    from tabulate import tabulate

    epochs = group.last_epochs
    rows = []
    for image_set in scores.sets(group):
        row = {"images": f"{_without_roles(image_set)} ({scores.n_images(group, image_set):,})"}
        for metric, title in (
            ("accuracy", "accuracy"),
            ("f1.macro", "macro F1"),
            ("auc.macro", "AUC"),
            ("log_loss", "log loss"),
            ("ece", "calibration error"),
        ):
            m = scores.measure(group, metric, image_set, epochs)
            row[title] = shown({metric: m.mean, f"{metric} low": m.low, f"{metric} high": m.high}, metric, metric)
        rows.append(row)
    printed_rows = tables.controls([(record.system, printed)], [group], scores)
    said = [_said_of(row) for row in printed_rows] + [f"* {pattern['says']}" for pattern in record.details["patterns"]]
    said.append("What it was fitted on, nobody but its author knows; every row has the role `unknown`.")
    table = tabulate(rows, "keys", disable_numparse=True, tablefmt="simple")
    return "\n".join([table, "", *(textwrap.fill(line, 100) for line in said)])


def _said_of(row: Mapping) -> str:
    """A row of `controls` as a sentence."""
    factor = 100 if row["unit"] == "percent" else 1
    decimals = max(2, len(row["printed"].partition(".")[2]) + 1)
    found = f"{factor * row['found']:.{decimals}f}" if "found" in row else "nothing"
    value = f"{row['metric']} {row['printed']}{' %' * (row['unit'] == 'percent')}"
    where = _without_roles(row["image_set"])
    control = "expected" in row
    expected = f", expected {factor * row['expected']:.6g} ± {factor * row['allowed']:g}" if control else ""
    return f"{value} ({row['where']}){expected}; found {found} on {where}: {row['verdict']}."


def _without_roles(image_set: ImageSet) -> str:
    """`PublicTest, named by FER+`: where all roles are unknown, none need be said."""
    return name_of(image_set).removesuffix(f" ({' + '.join(image_set.roles)})")
