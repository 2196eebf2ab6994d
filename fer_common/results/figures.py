"""The committed figures, a paper each: claimed beside found, drawn from the tables alone."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fer_common.claims import Claim, ClaimsFile
from fer_common.data import EMOTIONS
from fer_common.data.utkface import TASKS
from fer_common.plotting import pyplot, save
from fer_common.results import render
from fer_common.results.image_sets import ImageSet, tested
from fer_common.results.tables import MAIN_PRESETS, REFERENCE, RELEASED

ROOM_FOR = 12  # systems of one figure


def draw(tables: Mapping[str, pd.DataFrame], files: Sequence[ClaimsFile], protocols: Mapping[str, str], folder: Path):
    """The figures of each paper into `folder`.

    protocols: the first protocol of each paper, under which it is set beside its printed matrices and curves.
    """
    folder.mkdir(parents=True, exist_ok=True)
    main = {name: _main(tables[name]) for name in ("summary", "tasks", "confusion", "runs")}
    for file in files:
        own = {name: table[table["paper"] == file.paper] if len(table) else table for name, table in main.items()}
        known_by = [claim for claim in file.all_claims() if claim.headline == "yes"]
        if len(own["summary"]):
            draw_overview(
                own["summary"], known_by, beside_claims(main["summary"], file.paper), folder / f"{file.paper}.png"
            )
        if file.matrices or file.curves:
            under = protocols[file.paper]
            ran = {name: table[table["protocol"] == under] for name, table in own.items() if len(table)}
            draw_printed(file, ran, tables["epochs"], folder / f"{file.paper}_printed.png")
        if len(own["tasks"]):
            draw_tasks(own["tasks"][own["tasks"]["preset"] == "full"], folder / f"{file.paper}_tasks.png")


def _main(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of unchanged runs, full or reduced, on all of FER2013."""
    if not len(table):
        return table
    table = table[table["preset"].isin(MAIN_PRESETS) & (table["source"] == "fer2013")]
    return table[table["left_out"] == ""] if "left_out" in table else table


def beside_claims(summary: pd.DataFrame, paper: str) -> pd.DataFrame:
    """What a reader should know beside a paper's claims: the reference networks and the released ones on PrivateTest.

    summary: that of all papers. Mirror images and crowd votes are left out: a paper's claims are of single networks.
    """
    others = summary[summary["paper"].isin({REFERENCE, RELEASED} - {paper}) & (summary["chosen"] == "last")]
    whole = [own.usages == ("PrivateTest",) and not own.subset for own in others["image_set"]]
    return others[np.array(whole, bool) & ~others["system"].str.endswith("_flip").to_numpy(bool)]


def draw_overview(summary: pd.DataFrame, claims: list[Claim], beside: pd.DataFrame, path: Path) -> None:
    """Accuracy on every image set of every setup of one paper after its last epoch, its headline claims as lines.

    summary: the paper's rows of the table of that name. Of many setups, those of the systems that it is known by.
    beside: rows of other papers that are drawn across all, as bands.
    """
    rows = summary[summary["chosen"] == "last"]
    setups = dict(list(rows.groupby(["system", "protocol", "init", "preset"], sort=False)))
    if len(setups) > ROOM_FOR:
        known = {claim.system for claim in claims}
        setups = {key: own for key, own in setups.items() if key[0] in known}
    if not setups:
        return
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8.5, 0.9 + 0.62 * len(setups)), layout="constrained")
    for place, own in enumerate(setups.values()):
        for number, (_, row) in enumerate(own.iterrows()):
            y = place + (number - (len(own) - 1) / 2) * 0.15
            mean, low, high = (100 * row[f"accuracy{bound}"] for bound in ("", " low", " high"))
            spread, colour = [[mean - low], [high - mean]], _colour(row["image_set"])
            axes.errorbar(mean, y, xerr=spread, fmt="o", ms=4, color=colour)
            name = render.name_of(row["image_set"])
            axes.annotate(name, (high, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=6.5)
    colours = itertools.cycle(("tab:gray", "tab:olive", "tab:cyan", "tab:pink", "tab:brown"))
    for _, row in beside.sort_values("accuracy").iterrows():
        low, high = (100 * row[f"accuracy {bound}"] for bound in ("low", "high"))
        label = f"{row['system']} ({row['paper']}, PrivateTest)"
        axes.axvspan(low, high, color=next(colours), alpha=0.2, lw=0, label=label)
    level, before = 0, -100.0
    for number, claim in enumerate(sorted(claims, key=lambda claim: claim.number)):
        value = 100 * claim.number
        axes.axvline(value, ls="--", lw=1, color="crimson")
        level, before = (level + 1 if value - before < 4 else 0), value  # close neighbours step out of each other's way
        side = "left" if number % 2 else "right"
        text = f"claimed\n{claim.value} ({claim.images})"
        style = {"fontsize": 7, "color": "crimson", "ha": side, "va": "bottom", "textcoords": "offset points"}
        axes.annotate(text, (value, -0.6), xytext=(0, 3 + 20 * level), **style)
    labels = [
        f"{system} ({init}{', reduced' * (preset == 'reduced')})\n{protocol}, seeds: {own['n_runs'].iloc[0]}"
        for (system, protocol, init, preset), own in setups.items()
    ]
    axes.set(yticks=range(len(setups)), yticklabels=labels, ylim=(len(setups) - 0.4, -0.6), xlim=(20, 104))
    axes.set(xlabel="accuracy in per cent after the last epoch, 95 % interval over seeds and images")
    axes.grid(axis="x", alpha=0.3)
    if len(beside):
        figure.legend(loc="outside lower center", ncols=3, fontsize=6.5)
    save(figure, path, dpi=100)


def draw_printed(file: ClaimsFile, ran: Mapping[str, pd.DataFrame], epochs: pd.DataFrame, path: Path) -> None:
    """The paper's confusion matrices (per cent of each true class), losses by epoch and accuracies beside our own.

    ran: the paper's rows of `summary`, `confusion` and `runs` under one protocol.
    """
    matrices = {matrix.system: matrix for matrix in file.matrices}
    curves = {curve.system: curve for curve in file.curves}
    systems = list(dict.fromkeys([*matrices, *curves]))
    plt = pyplot()
    figure = plt.figure(figsize=(12, 3.9 * len(systems) + 2.2), layout="constrained")
    grid = figure.add_gridspec(len(systems) + 1, 3, height_ratios=[3.9] * len(systems) + [2.2])
    for place, system in enumerate(systems):
        printed, ours, losses = (figure.add_subplot(grid[place, column]) for column in range(3))
        classes = list(EMOTIONS)
        if matrix := matrices.get(system):
            classes = [name for name in matrix.rows if name in EMOTIONS]
            factor = 1 if matrix.unit == "percent" else 100
            shares = np.array([[factor * float(value) for value in matrix.rows[name]] for name in classes])
            _shares(printed, shares, classes, f"{system}: printed in {matrix.where}")
        runs = _of_system(ran.get("runs"), system)
        counts = _of_system(ran.get("confusion"), system)
        if len(counts):
            first = min(set(counts["image_set"]), key=lambda own: (not own.pooled, -len(own.usages)))
            counts = counts[[own == first for own in counts["image_set"]]]
            pairs = counts.pivot_table("images", "true", "predicted", "sum").loc[classes, classes].to_numpy()
            shares = 100 * pairs / np.maximum(pairs.sum(1, keepdims=True), 1)
            _shares(ours, shares, classes, f"{_ran_as(runs)}\n{render.name_of(first)}")
        else:
            ours.text(0.5, 0.5, "not run", ha="center", transform=ours.transAxes)
            ours.set_axis_off()
        if curve := curves.get(system):
            for kind, colour in (("training", "tab:blue"), ("validation", "tab:orange")):
                values = [float(value) for value in curve.columns().get(f"{kind}_loss", [])]
                losses.plot(range(1, len(values) + 1), values, "--", color=colour, label=f"{kind}, {curve.where}")
        for number, run in enumerate(runs["run"] if len(runs) else ()):
            history = epochs[epochs["run"] == run]
            for name, said, colour in (
                ("running_loss", "ours, running", "tab:blue"),
                ("select_loss", "ours, select", "tab:orange"),
            ):
                label = said if not number else None
                losses.plot(history["epoch"], history[name], "o-", ms=3, color=colour, label=label)
        losses.set(xlabel="epoch")
        losses.set_title("loss", fontsize=9)
        losses.xaxis.get_major_locator().set_params(integer=True)
        losses.grid(alpha=0.3)
        losses.legend(fontsize=7)
    _accuracy_bars(figure.add_subplot(grid[-1, :]), file, ran)
    save(figure, path, dpi=80)


def draw_tasks(table: pd.DataFrame, path: Path) -> None:
    """Accuracy by task, over the attributes and over all tasks, as bars, and the latter against multiply-adds, into an
    image file.

    table: the paper's rows of the table `tasks`. Systems of one task each whose names begin alike are one bar each.
    Bars and points are means over the seeds, lines their 95 % intervals.
    """
    plt = pyplot()
    cells: dict[str, dict[str, pd.Series]] = {}
    for _, row in table.iterrows():
        cells.setdefault(row["system"].removesuffix(f"_{row['task']}"), {})[row["task"]] = row
    names = [*TASKS, "attributes", "overall"]
    figure, (bars, points) = plt.subplots(1, 2, figsize=(13, 4), layout="constrained", width_ratios=(6, 5))
    width, placed = 0.8 / len(cells), []
    for number, (cell, own) in enumerate(cells.items()):
        shown = [(n, own[name]) for n, name in enumerate(names) if name in own]
        places = [n - 0.4 + (number + 0.5) * width for n, _ in shown]
        heights = [100 * row["accuracy"] for _, row in shown]
        drawn = bars.bar(places, heights, width, yerr=_whiskers([row for _, row in shown]), label=cell)
        bars.bar_label(drawn, fmt="%.0f", fontsize=6)
        if "overall" in own and own["overall"].notna()["multiply_adds"]:
            at = own["overall"]["multiply_adds"] / 1e6, 100 * own["overall"]["accuracy"]
            how = {"fmt": "os^vDP"[number % 6], "fillstyle": "none", "color": drawn[0].get_facecolor()}
            points.errorbar(*at, yerr=_whiskers([own["overall"]]), **how)
            placed.append((*at, cell))
    for number, (x, y, cell) in enumerate(sorted(placed)):  # of those that cost the same, no label is on another
        side = 1 if number % 2 == 0 else -1
        how = {"textcoords": "offset points", "va": "center", "ha": "left" if side > 0 else "right", "fontsize": 7}
        points.annotate(cell, (x, y), (6 * side, 0), **how)
    bars.set_xticks(range(len(names)), [name.replace("_", " ") for name in names])
    bars.set(ylabel="accuracy in per cent on tested images", ylim=(0, 115))
    bars.legend(fontsize=7, ncols=3, loc="upper left")
    points.set(xscale="log", xlabel="multiply-adds an image, in millions, all tasks", ylabel="overall accuracy")
    points.margins(x=0.3)
    points.grid(alpha=0.3)
    save(figure, path, dpi=90)


def _whiskers(rows: list[pd.Series]) -> list[list[float]]:
    """In points: how far the interval of each row's accuracy goes down, and up."""
    return [
        [100 * (row["accuracy"] - row["accuracy low"]) for row in rows],
        [100 * (row["accuracy high"] - row["accuracy"]) for row in rows],
    ]


def _of_system(table: pd.DataFrame | None, system: str) -> pd.DataFrame:
    """Its rows; of several inits or presets the first."""
    if table is None or not len(table):
        return pd.DataFrame()
    own = table[table["system"] == system]
    return own[(own[["init", "preset"]] == own[["init", "preset"]].iloc[0]).all(axis=1)] if len(own) else own


def _ran_as(runs: pd.DataFrame) -> str:
    """`official, random, reduced, fold 0 alone`"""
    first = runs.iloc[0]
    reduced = ["reduced"] * (first["preset"] == "reduced")
    folds = sorted(runs["fold"].dropna().unique())
    alone = [f"fold {int(folds[0])} alone"] if len(folds) == 1 else []
    return ", ".join([first["protocol"], first["init"], *reduced, *alone])


def _shares(axes, shares: np.ndarray, classes: list[str], title: str) -> None:
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (i, j), share in np.ndenumerate(shares):
        axes.text(j, i, f"{share:.1f}", ha="center", va="center", fontsize=7, color="white" if share > 55 else "black")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=7)
    axes.set_yticks(range(len(classes)), classes, fontsize=7)
    axes.set_title(title, fontsize=9)


def _accuracy_bars(axes, file: ClaimsFile, ran: Mapping[str, pd.DataFrame]) -> None:
    """The accuracies that the paper is known by as bars, and those of every set that our runs of them held out."""
    claimed = {c.system: c for c in file.all_claims() if c.headline == "yes" and c.metric == "accuracy"}
    summary = ran.get("summary", pd.DataFrame())
    names = list(dict.fromkeys([*claimed, *(summary["system"] if len(summary) else ())]))
    sets: dict[str, list] = {}
    for place, system in enumerate(names):
        if system in claimed:
            sets.setdefault("claimed", []).append((place, 100 * claimed[system].number))
        own = _of_system(summary, system)
        last = own[own["chosen"] == "last"] if len(own) else own
        shown = tested(last["image_set"]) if len(own) else []
        for _, row in last.iterrows():
            if row["image_set"] in shown:
                sets.setdefault(render.name_of(row["image_set"]), []).append((place, 100 * row["accuracy"]))
    width = 0.8 / max(len(sets), 1)
    for number, (name, bars) in enumerate(sets.items()):
        style = {"color": "none", "edgecolor": "crimson", "hatch": "//"} if name == "claimed" else {}
        drawn = axes.bar([p - 0.4 + (number + 0.5) * width for p, _ in bars], [v for _, v in bars], width, **style)
        axes.bar_label(drawn, fmt="%.1f", fontsize=7)
        drawn.set_label(name)
    said = []
    for name in names:
        runs = _of_system(ran.get("runs"), name)
        said.append(_ran_as(runs).replace(", reduced", "\nreduced") if len(runs) else "not run")
    axes.set_xticks(range(len(names)), [f"{name}\n{ran_as}" for name, ran_as in zip(names, said)])
    axes.tick_params(axis="x", labelsize=7)
    axes.set(ylim=(0, 109), ylabel="accuracy in per cent")
    axes.legend(fontsize=7, loc="upper right", ncols=2)


def _colour(image_set: ImageSet) -> str:
    """By what the images were to the run; the role furthest from an honest score decides."""
    colours = {"fit": "tab:blue", "seen": "tab:red", "select": "tab:orange", "score": "tab:green"}
    return next((colour for role, colour in colours.items() if role in image_set.roles), "tab:gray")
