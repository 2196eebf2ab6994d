"""The committed figures, a paper each: claimed beside found, drawn from the tables alone."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fer_common.claims import Claim, ClaimsFile, Curve
from fer_common.data import EMOTIONS
from fer_common.data.utkface import TASKS
from fer_common.plotting import pyplot, save_both
from fer_common.results import render
from fer_common.results.answers import FLAGS, Answer
from fer_common.results.image_sets import ImageSet
from fer_common.results.tables import MAIN_PRESETS, REFERENCE, RELEASED

ROOM_FOR = 12  # systems of one figure


def draw(
    tables: Mapping[str, pd.DataFrame],
    files: Sequence[ClaimsFile],
    found: Sequence[Answer],
    protocols: Mapping[str, str],
    folder: Path,
) -> None:
    """The figures of each paper, and the one of all, into `folder`.

    protocols: the first protocol of each paper, under which it is set beside its printed matrices and curves.
    """
    folder.mkdir(parents=True, exist_ok=True)
    main = {name: _main(tables[name]) for name in ("summary", "tasks", "confusion", "runs")}
    if len(main["summary"]):
        draw_answers(found, beside_claims(main["summary"], ""), folder / "claimed_and_found.png")
    if len(tables["protocol_prices"]):
        draw_prices(tables["protocol_prices"], folder / "protocol_prices.png")
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


# What images were to a run: shape, colour, and what a reader is told. The nearest to an honest score comes first.
MARKS = {
    "score": ("o", "tab:green", "honest: images that it had not seen"),
    "select": ("^", "tab:orange", "images that chose its epoch"),
    "seen": ("D", "tab:red", "test images of which it had seen some, or a copy"),
    "part": ("P", "tab:purple", "training images among others"),
    "fit": ("s", "tab:blue", "images that it was trained on"),
}


def _mark(image_set: ImageSet) -> str:
    roles = set(image_set.roles)
    if "fit" in roles:
        return "fit" if roles == {"fit"} else "part"
    return next((role for role in ("seen", "select", "score") if role in roles), "score")


def draw_answers(found: Sequence[Answer], beside: pd.DataFrame, path: Path) -> None:
    """Each headline claim of an accuracy, the honest accuracy of its network, and what comes to the printed number.

    beside: rows of `summary` of the reference and released networks on PrivateTest, as one band.
    """
    found = [each for each in found if isinstance(each.claim, Claim)]
    if not found:
        return
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 1.3 + 0.62 * len(found)), layout="constrained")
    _band(axes, beside)
    for place, each in enumerate(found):
        assert isinstance(each.claim, Claim)
        value = 100 * each.claim.number
        axes.plot(value, place - 0.2, marker="X", ms=9, color="crimson", ls="", clip_on=False)
        axes.annotate(f"{value:g}", (value, place - 0.2), (0, 6), **_ABOVE, color="crimson")
        same = each.honest is not None and each.gives is not None and each.honest.name == each.gives.name
        for row, below in ((each.honest, 0.0), (None if same else each.gives, 0.2)):
            if row is not None:
                marker, colour, _ = MARKS[_mark(row["image_set"])]
                mean, low, high = (100 * row[name] for name in ("reproduced", "low", "high"))
                hollow = {"mfc": "white"} if below or set(FLAGS) & set(each.flags) else {}
                axes.errorbar(
                    mean, place + below, xerr=[[mean - low], [high - mean]], fmt=marker, ms=7, color=colour, **hollow
                )
                side = {"ha": "right", "xytext": (-9, 0)} if below else {"ha": "left", "xytext": (9, -3)}
                text = f"{mean:.1f}" if below else ", ".join([f"{mean:.1f}", *each.flags])
                axes.annotate(text, (low if below else high, place + below), **side, **_BESIDE)
    axes.set(yticks=range(len(found)), ylim=(len(found) - 0.4, -0.75), xlim=(30, 104))
    axes.set_yticklabels([f"{each.paper.partition(' (')[0]}\n{each.printed}" for each in found], fontsize=8)
    axes.set_xlabel("accuracy, per cent", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    handles = [plt.Line2D([], [], marker="X", color="crimson", ls="", ms=8, label="claimed")]
    handles += [
        plt.Line2D(
            [], [], marker=marker, color=colour, ls="", ms=7, mfc=None if role == "score" else "white", label=said
        )
        for role, (marker, colour, said) in MARKS.items()
        if role in {_mark(row["image_set"]) for each in found for row in (each.honest, each.gives) if row is not None}
    ]
    if any(set(FLAGS) & set(each.flags) for each in found):
        weak = {"mfc": "white", "label": "the same, by a run of ours that is weaker than the paper's"}
        handles.insert(2, plt.Line2D([], [], marker="o", color="tab:green", ls="", ms=7, **weak))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    save_both(figure, path, dpi=100)


_BESIDE: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
_ABOVE: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 8}


def _band(axes, beside: pd.DataFrame) -> None:
    """What honest networks give: from the lowest to the highest mean, named where it stands."""
    if not len(beside):
        return
    low, high = 100 * beside["accuracy"].min(), 100 * beside["accuracy"].max()
    axes.axvspan(low, high, color="0.85", lw=0, zorder=0)
    where = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom", "fontsize": 8, "color": "0.35"}
    text = f"reference and released networks on\nPrivateTest, one look each: {low:.1f} to {high:.1f}"
    axes.annotate(text, ((low + high) / 2, 1.0), (0, 2), textcoords="offset points", **where)


def draw_overview(summary: pd.DataFrame, claims: list[Claim], beside: pd.DataFrame, path: Path) -> None:
    """Accuracy of a paper's setups after their last epoch by what the images were to the run, its headline claims as
    lines.

    summary: the paper's rows of the table of that name. Of more setups than there is room for, those of the systems
    that it is known by; then those with the weights of the best of them.
    beside: rows of other papers on PrivateTest that are drawn across all, as a band.
    """
    rows = summary[summary["chosen"] == "last"]
    keys = ["system", "protocol", "init", "preset"]
    if rows.groupby(keys).ngroups > ROOM_FOR and claims:
        rows = rows[rows["system"].isin({claim.system for claim in claims})]
    if rows.groupby(keys).ngroups > ROOM_FOR:
        unseen = rows[[_mark(own) == "score" for own in rows["image_set"]]]
        rows = rows[rows["init"] == unseen.iloc[int(unseen["accuracy"].argmax())]["init"]]
    setups = list(rows.groupby(keys, sort=False))[:ROOM_FOR]
    if not setups:
        return
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 1.5 + 0.42 * len(setups)), layout="constrained")
    _band(axes, beside)
    used = set()
    for place, (_, own) in enumerate(setups):
        for role, row in _one_each(own).items():
            used.add(role)
            marker, colour, _ = MARKS[role]
            mean, low, high = (100 * row[f"accuracy{bound}"] for bound in ("", " low", " high"))
            y = place + 0.16 * (list(MARKS).index(role) - 2) / 2
            spread = [[mean - low], [high - mean]]
            hollow = {} if role == "score" else {"mfc": "white"}
            axes.errorbar(mean, y, xerr=spread, fmt=marker, ms=6, color=colour, lw=1, **hollow)
            if role == "score":
                axes.annotate(f"{mean:.1f}", (low, y), (-4, 0), ha="right", color=colour, **_BESIDE)
    # Their names stand in a strip of their own below the rows.
    for number, claim in enumerate(sorted(claims, key=lambda claim: claim.number)):
        value = 100 * claim.number
        axes.axvline(value, ls="--", lw=1, color="crimson")
        of = f" ({claim.system})" if len({c.system for c in claims}) > 1 else ""
        at = (value, len(setups) - 0.25 + 0.45 * number)
        how = {"xytext": (-4, 0), "ha": "right", "color": "crimson", "bbox": {"color": "white", "pad": 0.5}}
        axes.annotate(f"claimed: {value:g} %{of}", at, **how, **_BESIDE)
    several = len({key[2] for key, _ in setups}) > 1
    labels = []
    for (system, protocol, init, preset), own in setups:
        n = int(own["n_runs"].iloc[0])
        drawn = {row["image_set"].of for row in _one_each(own).values()}
        notes = [f"{init} weights"] * several + ["reduced"] * (preset == "reduced")
        notes += ["out of fold"] * ("out_of_fold" in drawn) + ["mean of folds"] * ("each_fold" in drawn)
        notes.append(f"{n} seed{'s' * (n != 1)}")
        labels.append(f"{system}, {protocol}\n{', '.join(notes)}")
    axes.set(
        yticks=range(len(setups)), ylim=(len(setups) - 0.4 + 0.45 * len(claims), -0.6), xlim=(_from(rows, claims), 104)
    )
    axes.set_yticklabels(labels, fontsize=8)
    axes.set_xlabel("accuracy, per cent, after the last epoch; lines are 95 % intervals", fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    handles = [
        plt.Line2D([], [], marker=m, color=c, ls="", ms=6, mfc=None if role == "score" else "white", label=said)
        for role, (m, c, said) in MARKS.items()
        if role in used
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    save_both(figure, path, dpi=100)


def _one_each(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """By what the images were to the run, the row of the plainest set: PrivateTest before pooled images before others,
    whole before parts."""
    found: dict[str, pd.Series] = {}
    whole = [row for _, row in rows.iterrows() if not row["image_set"].subset]
    order = sorted(whole, key=lambda row: (row["image_set"].usages != ("PrivateTest",), not row["image_set"].pooled))
    for row in order:
        found.setdefault(_mark(row["image_set"]), row)
    return found


def _from(rows: pd.DataFrame, claims: list[Claim]) -> float:
    """Where the axis begins: at a ten below everything that is drawn, interval and label."""
    lowest = min([100 * rows["accuracy low"].min(), *(100 * claim.number for claim in claims)])
    return max(0, 10 * ((lowest - 6) // 10))


def draw_printed(file: ClaimsFile, ran: Mapping[str, pd.DataFrame], epochs: pd.DataFrame, path: Path) -> None:
    """The paper's confusion matrices (per cent of each true class) and losses by epoch beside our own.

    ran: the paper's rows of `confusion` and `runs` under one protocol.
    """
    matrices = {matrix.system: matrix for matrix in file.matrices}
    curves = {curve.system: curve for curve in file.curves}
    systems = list(dict.fromkeys([*matrices, *curves]))
    plt = pyplot()
    rows = len(systems) + bool(curves)
    figure = plt.figure(figsize=(7, 3.7 * len(systems) + 2.8 * bool(curves)), layout="constrained")
    grid = figure.add_gridspec(rows, 2, height_ratios=[3.7] * len(systems) + [2.8] * bool(curves))
    for place, system in enumerate(systems):
        printed, ours = (figure.add_subplot(grid[place, column]) for column in range(2))
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
            where = textwrap.fill(f"on {render.words_of(first)}", 40)
            _shares(ours, shares, classes, f"ours ({_ran_as(runs)}),\n{where}")
        else:
            ours.text(0.5, 0.5, "not run", ha="center", transform=ours.transAxes)
            ours.set_axis_off()
    for place, (system, curve) in enumerate(curves.items()):
        runs = _of_system(ran.get("runs"), system)
        _losses(figure.add_subplot(grid[-1, place]), curve, runs["run"] if len(runs) else (), epochs)
    save_both(figure, path, dpi=100)


def _losses(axes, curve: Curve, runs: Iterable[str], epochs: pd.DataFrame) -> None:
    """The printed losses, dashed, and those of our runs by epoch."""
    for kind, colour in (("training", "tab:blue"), ("validation", "tab:orange")):
        values = [float(value) for value in curve.columns().get(f"{kind}_loss", [])]
        axes.plot(range(1, len(values) + 1), values, "--", color=colour, label=f"{kind}, {curve.where}")
        column = {"training": "running_loss", "validation": "select_loss"}[kind]
        for number, run in enumerate(runs):
            history = epochs[epochs["run"] == run]
            label = f"{kind}, ours" if not number else None
            axes.plot(history["epoch"], history[column], "o-", ms=3, color=colour, label=label)
    axes.set_xlabel("epoch", fontsize=8)
    axes.set_title(f"{curve.system}: loss", fontsize=9)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def draw_prices(prices: pd.DataFrame, path: Path) -> None:
    """What each mistake is worth in accuracy: what leaks, the most first, and what the training itself gains or loses.

    prices: the table `protocol_prices`, of which the CNN of 13 epochs is drawn. Pairs are the page's.
    """
    shown = prices[(prices["network"] == "cnn") & (prices["metric"] == "accuracy")]
    shown = shown[shown["kind"] != "pair"]
    shown = shown.sort_values(["leak", "effect"], ascending=False, kind="stable")
    if not len(shown):
        return
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(7, 1.2 + 0.36 * len(shown)), layout="constrained")
    for place, (_, row) in enumerate(shown.iterrows()):
        for name, marker, colour, apart in (("leak", "D", "tab:red", -0.12), ("effect", "o", "tab:blue", 0.12)):
            if pd.isna(row[name]):
                continue
            low, high = (row[f"{name} {end}"] for end in ("low", "high"))
            mean = 100 * row[name]
            spread = [[0.0], [0.0]] if pd.isna(low) else [[mean - 100 * low], [100 * high - mean]]
            fill = "white" if row["kind"] == "arithmetic" else colour
            axes.errorbar(mean, place + apart, xerr=spread, fmt=marker, ms=5, color=colour, mfc=fill, lw=1)
            if name == "leak":
                axes.annotate(f"{mean:+.1f}", (max(mean, mean + spread[1][0]), place + apart), (6, 0), **_BESIDE)
    axes.axvline(0, color="0.5", lw=1)
    axes.set(yticks=range(len(shown)), ylim=(len(shown) - 0.4, -0.6))
    axes.set_yticklabels([textwrap.fill(words, 44) for words in shown["mistake"]], fontsize=8)
    axes.set_xlabel("points of accuracy; lines are 95 % intervals over seeds and images", fontsize=8)
    axes.margins(x=0.16)
    axes.grid(axis="x", alpha=0.3)
    leak = "what is printed, less what the same network gets on images that it had not seen"
    counted = "the same answers counted otherwise, less what the word means"
    effect = "what that network gets there, less what the honest one gets"
    handles = [
        plt.Line2D([], [], marker=marker, color=colour, mfc=fill, ls="", ms=6, label=said)
        for marker, colour, fill, said in (
            ("D", "tab:red", "tab:red", leak),
            ("D", "tab:red", "white", counted),
            ("o", "tab:blue", "tab:blue", effect),
        )
    ]
    figure.legend(handles=handles, loc="outside lower center", fontsize=8, frameon=False)
    figure.suptitle("FER2013, the CNN of 13 epochs: what each mistake adds to its accuracy", fontsize=10)
    save_both(figure, path, dpi=100)


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
    figure, (bars, points) = plt.subplots(2, 1, figsize=(7, 7), layout="constrained")
    width, placed = 0.8 / len(cells), []
    for number, (cell, own) in enumerate(cells.items()):
        shown = [(n, own[name]) for n, name in enumerate(names) if name in own]
        places = [n - 0.4 + (number + 0.5) * width for n, _ in shown]
        heights = [100 * row["accuracy"] for _, row in shown]
        drawn = bars.bar(places, heights, width, yerr=_whiskers([row for _, row in shown]), label=cell)
        bars.bar_label(drawn, fmt="%.0f", fontsize=7)
        if "overall" in own and own["overall"].notna()["multiply_adds"]:
            at = own["overall"]["multiply_adds"] / 1e6, 100 * own["overall"]["accuracy"]
            how = {"fmt": "os^vDP"[number % 6], "fillstyle": "none", "color": drawn[0].get_facecolor()}
            points.errorbar(*at, yerr=_whiskers([own["overall"]]), **how)
            placed.append((*at, cell))
    for number, (x, y, cell) in enumerate(sorted(placed)):  # of those that cost the same, no label is on another
        side = 1 if number % 2 == 0 else -1
        how = {"textcoords": "offset points", "va": "center", "ha": "left" if side > 0 else "right", "fontsize": 8}
        points.annotate(cell, (x, y), (6 * side, 0), **how)
    bars.set_xticks(range(len(names)), [name.replace("_", " ") for name in names])
    bars.set(ylabel="accuracy, per cent, on tested images", ylim=(0, 118))
    bars.legend(fontsize=8, ncols=3, loc="upper left")
    points.set(xscale="log", xlabel="multiply-adds an image, in millions, all tasks", ylabel="overall accuracy")
    points.margins(x=0.3)
    points.grid(alpha=0.3)
    save_both(figure, path, dpi=100)


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
