"""What a reader expects to see of a paper's runs or of a data set, drawn from records and pixels alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_common import evaluation
from fer_common.claims import Claim, ClaimsFile
from fer_common.data import EMOTIONS, USAGES, FaceData
from fer_common.data.passport import Passport
from fer_common.data.utkface import TASKS
from fer_common.pictures import _pyplot
from fer_common.records import Predictions

if TYPE_CHECKING:
    import pandas as pd

    from fer_common.tables import Group


def draw_passport(passport: Passport, path: Path) -> None:
    """Sharpness, contrast and evenness per usage, twins, and agreement with the crowd by class, into an image file."""
    plt = _pyplot()
    panels = 3 if passport.crowd else 2
    figure, axes = plt.subplots(1, panels, figsize=(4.6 * panels, 3.8), layout="constrained")
    sharpest = {name: max(getattr(own, name) for own in passport.looks.values()) for name in LOOKS}
    for usage, own in passport.looks.items():
        axes[0].plot(LOOKS, [getattr(own, name) / sharpest[name] for name in LOOKS], "o-", label=usage)
    axes[0].set(ylim=(0, 1.05), title="medians over images, relative to the highest")
    axes[0].legend(fontsize=8)
    names = [own.of if own.of == own.among else f"{own.of}\nin {own.among}" for own in passport.exact]
    for offset, (kind, twins) in enumerate((("byte for byte", passport.exact), ("nearly alike", passport.near))):
        shares = [100 * (own.same_label + own.other_label) / passport.looks[own.of].images for own in twins]
        axes[1].barh(np.arange(len(names)) + 0.4 * offset, shares, 0.4, label=kind)
    axes[1].set_yticks(np.arange(len(names)) + 0.2, names, fontsize=8)
    axes[1].invert_yaxis()
    axes[1].set(xlabel="per cent of its images", title="images with a twin")
    axes[1].legend(fontsize=8)
    if passport.crowd:
        axes[2].bar(list(passport.crowd.by_class), [100 * share for share in passport.crowd.by_class.values()])
        axes[2].axhline(100 * passport.crowd.agree, color="black", lw=1)
        axes[2].tick_params(axis="x", rotation=45)
        axes[2].set(ylim=(0, 100), title="FER+: per cent whose plurality is the label")
    figure.savefig(path, dpi=90)
    plt.close(figure)


LOOKS = ("sharpness", "contrast", "unevenness")


def draw_data(data: FaceData, path: Path, *, seed: int = 0, samples: int = 8) -> None:
    """Class counts per usage beside each class's mean face and samples of it, into the image file `path`."""
    plt = _pyplot()
    figure = plt.figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 0.1 + samples / 8) if samples else (1, 0.25))
    axes = left.subplots()
    usages = [usage for usage in USAGES if (data.usage == usage).any()]
    for number, usage in enumerate(usages):
        counts = np.bincount(data.labels[data.usage == usage], minlength=len(EMOTIONS))
        place = np.arange(len(EMOTIONS)) + (number - (len(usages) - 1) / 2) * 0.8 / len(usages)
        bars = axes.barh(place, counts, 0.8 / len(usages), label=f"{usage} ({counts.sum():,})")
        axes.bar_label(bars, labels=[f"{count:,}" for count in counts], fontsize=7, padding=2)
    axes.set(
        yticks=range(len(EMOTIONS)), yticklabels=EMOTIONS, xlabel="images", title=f"{data.source}, {len(data):,} images"
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.legend(fontsize=8)
    rng = np.random.default_rng(seed)
    grid = np.full((len(EMOTIONS) * 49 - 1, (samples + 1) * 49 - 1), 255, np.uint8)
    for number in range(len(EMOTIONS)):
        rows = np.flatnonzero(data.labels == number)
        faces = [data.images[rows].mean(0) if len(rows) else np.full((48, 48), 255)]
        faces += [data.images[row] for row in rng.permutation(rows)[:samples]]
        for place, face in enumerate(faces):
            grid[number * 49 : number * 49 + 48, place * 49 : place * 49 + 48] = face
    axes = right.subplots()
    axes.imshow(grid, cmap="gray", vmin=0, vmax=255)
    title = f"mean, and samples (seed {seed})" if samples else "mean faces"
    axes.set(xticks=[], yticks=np.arange(len(EMOTIONS)) * 49 + 24, yticklabels=EMOTIONS, title=title)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_overview(summary: pd.DataFrame, claims: list[Claim], path: Path) -> bool:
    """Accuracy on every image set of every full or reduced run on FER2013 of one paper, its headline claims as lines.

    summary: the paper's rows of the table of that name. Returns whether there was anything to draw.
    """
    whole = summary["preset"].isin(("full", "reduced")) & (summary["source"] == "fer2013")
    rows = summary[whole & (summary["runs"] > 0)]
    rows = rows[rows["epoch"].str.startswith("last")]
    if not len(rows):
        return False
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8.5, 0.9 + 0.62 * len(rows)), layout="constrained")
    for place, (_, row) in enumerate(rows.iterrows()):
        sets = [c.removesuffix(" accuracy") for c in rows.columns if c.endswith(" accuracy") and row[c] == row[c]]
        for number, name in enumerate(sets):
            y = place + (number - (len(sets) - 1) / 2) * 0.15
            mean, low, high = (100 * row[f"{name} accuracy{bound}"] for bound in ("", " low", " high"))
            axes.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt="o", ms=4, color=_colour(name))
            axes.annotate(name, (high, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=6.5)
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
        f"{r['system']} ({r['init']}{', reduced' * (r['preset'] == 'reduced')})\n{r['protocol']}, seeds: {r['runs']}"
        for _, r in rows.iterrows()
    ]
    axes.set(yticks=range(len(rows)), yticklabels=labels, ylim=(len(rows) - 0.4, -0.6), xlim=(20, 104))
    axes.set(xlabel="accuracy in per cent after the last epoch, 95 % interval over seeds and images")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return True


def draw_printed(file: ClaimsFile, groups: list[Group], path: Path) -> None:
    """The paper's confusion matrices (per cent of each true class), losses by epoch and accuracies beside our own.

    groups: what ran of the paper under one protocol; of several of one system the first is drawn.
    """
    matrices, curves = ({own.system: own for own in found} for found in (file.matrices, file.curves))
    systems = list(matrices | curves)
    plt = _pyplot()
    ran = {group.record.system: group for group in reversed(groups)}
    figure = plt.figure(figsize=(12, 3.9 * len(systems) + 2.2), layout="constrained")
    grid = figure.add_gridspec(len(systems) + 1, 3, height_ratios=[3.9] * len(systems) + [2.2])
    for place, system in enumerate(systems):
        claimed, ours, losses = (figure.add_subplot(grid[place, column]) for column in range(3))
        classes = EMOTIONS
        if matrix := matrices.get(system):
            classes = [name for name in matrix.rows if name in EMOTIONS]
            factor = 1 if matrix.unit == "percent" else 100
            shares = [[factor * float(value) for value in matrix.rows[name]] for name in classes]
            _shares(claimed, np.array(shares), classes, f"{system}: printed in {matrix.where}")
        if group := ran.get(system):
            name, rows = next(iter(held_out_sets(group.runs[0][2]).items()))
            found, order = group.runs[0][2], [EMOTIONS.index(name) for name in classes]
            counts = evaluation.confusion_matrix(found.label[rows], found.probabilities[-1][rows].argmax(1))
            shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
            _shares(ours, shares[np.ix_(order, order)], classes, f"{_ran_as(group)}\n{name}")
        else:
            ours.text(0.5, 0.5, "not run", ha="center", transform=ours.transAxes)
            ours.set_axis_off()
        if curve := curves.get(system):
            for kind, colour in (("training", "tab:blue"), ("validation", "tab:orange")):
                values = [float(value) for value in curve.columns().get(f"{kind}_loss", [])]
                losses.plot(range(1, len(values) + 1), values, "--", color=colour, label=f"{kind}, {curve.where}")
        for number, (_, history, _) in enumerate((group.folds or group.runs) if group else ()):
            for name, said, colour in (
                ("running_loss", "ours, running", "tab:blue"),
                ("select_loss", "ours, select", "tab:orange"),
            ):
                epochs, values = [row["epoch"] for row in history], [row[name] for row in history]
                losses.plot(epochs, values, "o-", ms=3, color=colour, label=said if not number else None)
        losses.set(xlabel="epoch")
        losses.set_title("loss", fontsize=9)
        losses.xaxis.get_major_locator().set_params(integer=True)
        losses.grid(alpha=0.3)
        losses.legend(fontsize=7)
    _accuracy_bars(figure.add_subplot(grid[-1, :]), file, ran)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def draw_tasks(table: pd.DataFrame, path: Path) -> None:
    """Accuracy by task, over the attributes and over all tasks, as bars, and the latter against multiply-adds, into an
    image file.

    table: the paper's rows of the table `tasks`. Systems of one task each whose names begin alike are one bar each.
    Bars and points are means over the seeds, lines their 95 % intervals.
    """
    plt = _pyplot()
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
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _whiskers(rows: list[pd.Series]) -> list[list[float]]:
    """In points: how far the interval of each row's accuracy goes down, and up."""
    return [
        [100 * (row["accuracy"] - row["accuracy low"]) for row in rows],
        [100 * (row["accuracy high"] - row["accuracy"]) for row in rows],
    ]


def held_out_sets(predictions: Predictions) -> dict[str, np.ndarray]:
    """Masks by name of the sets that are scored and that nothing was fitted on: those out of fold first."""
    from fer_common import tables

    found = {name: rows for name, rows in tables.image_sets(predictions).items() if name.partition("(score")[1]}
    return dict(sorted(found.items(), key=lambda item: not item[0].startswith("pooled")))


def _ran_as(group: Group) -> str:
    """`official, random, reduced, fold 0 alone`"""
    notes = [note for note in group.record.notes if note.endswith("alone")]
    reduced = ["reduced"] * (group.record.preset == "reduced")
    return ", ".join([group.record.protocol, group.record.init, *reduced, *notes])


def _shares(axes, shares: np.ndarray, classes: list[str], title: str) -> None:
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for (i, j), share in np.ndenumerate(shares):
        axes.text(j, i, f"{share:.1f}", ha="center", va="center", fontsize=7, color="white" if share > 55 else "black")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=7)
    axes.set_yticks(range(len(classes)), classes, fontsize=7)
    axes.set_title(title, fontsize=9)


def _accuracy_bars(axes, file: ClaimsFile, ran: dict[str, Group]) -> None:
    """The accuracies that the paper is known by as bars, and those of every set that our runs of them held out."""
    claimed = {c.system: c for c in file.all_claims() if c.headline == "yes" and c.metric == "accuracy"}
    names = list(dict.fromkeys([*claimed, *ran]))
    sets: dict[str, list] = {}
    for place, system in enumerate(names):
        if system in claimed:
            sets.setdefault("claimed", []).append((place, 100 * claimed[system].number))
        for name, rows in (held_out_sets(ran[system].runs[0][2]) if system in ran else {}).items():
            found = ran[system].runs[0][2]
            right = found.probabilities[-1][rows].argmax(1) == found.label[rows]
            sets.setdefault(name, []).append((place, 100 * right.mean()))
    width = 0.8 / max(len(sets), 1)
    for number, (name, bars) in enumerate(sets.items()):
        style = {"color": "none", "edgecolor": "crimson", "hatch": "//"} if name == "claimed" else {}
        drawn = axes.bar([p - 0.4 + (number + 0.5) * width for p, _ in bars], [v for _, v in bars], width, **style)
        axes.bar_label(drawn, fmt="%.1f", fontsize=7)
        drawn.set_label(name)
    said = [_ran_as(ran[name]).replace(", reduced", "\nreduced") if name in ran else "not run" for name in names]
    axes.set_xticks(range(len(names)), [f"{name}\n{ran_as}" for name, ran_as in zip(names, said)])
    axes.tick_params(axis="x", labelsize=7)
    axes.set(ylim=(0, 109), ylabel="accuracy in per cent")
    axes.legend(fontsize=7, loc="upper right", ncols=len(sets))


def _colour(image_set: str) -> str:
    """By what the images were to the run; the role furthest from an honest score decides."""
    colours = {"fit": "tab:blue", "seen": "tab:red", "select": "tab:orange", "score": "tab:green"}
    return next((c for role, c in colours.items() if role in image_set.partition("(")[2]), "tab:gray")
