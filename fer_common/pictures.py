"""The pictures of one run, drawn from its record alone: learning curves, confusion, ROC curves, reliability
and a report.

They lie beside the record and can always be drawn again; a record is whole without them. Each panel is of one role, so
that no picture mixes images that were fitted with images that were scored. What several runs give is not drawn here.
"""

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from fer_common import evaluation
from fer_common.data import USAGES
from fer_common.data.utkface import PARTS, TASKS
from fer_common.files import write_whole
from fer_common.plotting import pyplot, save
from fer_common.records import Predictions, Record

ROLES = ("score", "seen", "select", "fit")
"""In the order of how much a number of theirs says; `unused` rows say nothing of a run."""


def draw_run(
    folder: Path, record: Record, history: list[dict], predictions: Predictions, *, form: Literal["png", "svg"] = "png"
) -> None:
    """Write learning_curves, confusion, roc and reliability as pictures of a form, and report.txt, of a run's last
    epoch into `folder`; of several tasks the record's own.

    One that fails is a warning, and leaves no file.
    """
    epoch, classes = int(predictions.epochs[-1]), TASKS[record.task]
    title = f"{record.paper} · {record.system} · {record.protocol} · {record.init} init · seed {record.seed}"
    if record.fold is not None:
        title += f" · fold {record.fold}"
    if record.preset != "full":
        title += f" · {record.preset}"
    if record.data["source"] != "fer2013":
        title += f" · {record.data['source']}"
    of_task = title if record.task == "expression" else f"{title} · {record.task}"
    drawn = {
        f"learning_curves.{form}": lambda path: _learning_curves(path, title, history),
        f"confusion.{form}": lambda path: _confusion(path, of_task, predictions, epoch, classes),
        f"roc.{form}": lambda path: _roc(path, of_task, predictions, epoch, classes),
        f"reliability.{form}": lambda path: _reliability(path, of_task, predictions, epoch),
        "report.txt": lambda path: write_whole(path, report(of_task, predictions, epoch, classes)),
    }
    if not history:  # nothing was trained
        del drawn[f"learning_curves.{form}"]
    for name, draw in drawn.items():
        try:
            draw(folder / name)
        except Exception as error:
            (folder / name).unlink(missing_ok=True)
            why = f"{type(error).__name__}: {error}"
            print(f"warning: {folder / name} could not be drawn ({why}); the record is whole.", file=sys.stderr)


def report(title: str, predictions: Predictions, epoch: int, classes: Sequence[str]) -> str:
    """scikit-learn's classification report after `epoch`, one for each role."""
    from sklearn.metrics import classification_report

    parts = [title, f"epoch {epoch}\n"]
    for heading, rows in by_role(predictions):
        parts.append(heading)
        parts.append(
            classification_report(
                predictions.label[rows],
                predictions.at(epoch)[rows].argmax(1),
                labels=range(len(classes)),
                target_names=classes,
                digits=3,
                zero_division=0,
            )
        )
    return "\n".join(parts)


def by_role(predictions: Predictions) -> list[tuple[str, np.ndarray]]:
    """(heading, mask of its rows) for each role that has rows; a heading names the role and the usages of its rows with
    their numbers, as in `score: PrivateTest 3,589`."""
    found = []
    for role in ROLES:
        rows = predictions.role == role
        numbers = {usage: int((rows & (predictions.usage == usage)).sum()) for usage in (*USAGES, *PARTS)}
        if rows.any():
            found.append((f"{role}: " + ", ".join(f"{usage} {n:,}" for usage, n in numbers.items() if n), rows))
    return found


def _learning_curves(path: Path, title: str, history: list[dict]) -> None:
    plt = pyplot()
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    epochs = [row["epoch"] for row in history]
    for axes, metric in zip(panels, ("loss", "accuracy")):
        for name, said, style in (
            ("running", "fit rows, running (dropout on)", "o-"),
            ("fit", "fit rows", "o-"),
            ("select", "select rows", "s-"),
        ):
            for key in (key for key in history[0] if key.startswith(name) and key.endswith(metric)):
                of = key.removeprefix(f"{name}_").removesuffix(metric).strip("_")  # a task, where there are several
                label = f"{of}, {said}" if of else said
                axes.plot(epochs, [row[key] for row in history], style, ms=3, label=label)
        axes.set(xlabel="epoch", ylabel=metric)
        axes.grid(alpha=0.3)
    panels[1].legend(fontsize=8)
    figure.suptitle(title, fontsize=9)
    save(figure, path, dpi=90)


def _confusion(path: Path, title: str, predictions: Predictions, epoch: int, classes: Sequence[str]) -> None:
    plt = pyplot()
    roles = by_role(predictions)
    figure, panels = plt.subplots(1, len(roles), figsize=(5 * len(roles), 6), layout="constrained", squeeze=False)
    for axes, (heading, rows) in zip(panels[0], roles):
        predicted = predictions.at(epoch)[rows].argmax(1)
        matrix = evaluation.confusion_matrix(predictions.label[rows], predicted, len(classes))
        share = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
        for i, j in np.ndindex(matrix.shape):
            colour = "white" if share[i, j] > 55 else "black"
            axes.text(
                j, i, f"{matrix[i, j]:,}\n{share[i, j]:.1f} %", ha="center", va="center", fontsize=7, color=colour
            )
        accuracy = 100 * np.trace(matrix) / matrix.sum()
        axes.set(xlabel="predicted")
        axes.set_title(f"{_wrapped(heading)}\n{accuracy:.1f} % of {matrix.sum():,} right", fontsize=9)
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", fontsize=8)
        axes.set_yticks(range(len(classes)), classes, fontsize=8)
    panels[0][0].set_ylabel("true")
    figure.suptitle(_wrapped(f"{title} · epoch {epoch} · counts and per cent of each row", len(roles)), fontsize=9)
    save(figure, path, dpi=80)


def _roc(path: Path, title: str, predictions: Predictions, epoch: int, classes: Sequence[str]) -> None:
    from sklearn.metrics import roc_curve

    plt = pyplot()
    roles = by_role(predictions)
    figure, panels = plt.subplots(1, len(roles), figsize=(4 * len(roles), 4.7), layout="constrained", squeeze=False)
    for axes, (heading, rows) in zip(panels[0], roles):
        label, probabilities = predictions.label[rows], predictions.at(epoch)[rows].astype(float)
        for number, name in enumerate(classes):
            if not 0 < (label == number).sum() < len(label):  # no curve without both kinds
                axes.plot([], [], lw=1, label=f"{name} –")
                continue
            false, true, _ = roc_curve(label == number, probabilities[:, number])
            axes.plot(false, true, lw=1, label=f"{name} {np.trapezoid(true, false):.3f}")
        axes.plot((0, 1), (0, 1), ":", color="grey", lw=1)
        axes.set(xlabel="false positive rate", aspect="equal")
        axes.set_title(_wrapped(heading), fontsize=9)
        axes.legend(fontsize=7, title="one-vs-rest AUC", title_fontsize=7)
    panels[0][0].set_ylabel("true positive rate")
    figure.suptitle(_wrapped(f"{title} · epoch {epoch}", len(roles)), fontsize=9)
    save(figure, path, dpi=80)


def _reliability(path: Path, title: str, predictions: Predictions, epoch: int) -> None:
    """Accuracy against mean confidence of each bin of confidence; below, how many images the bins hold."""
    plt = pyplot()
    roles = by_role(predictions)
    figure, panels = plt.subplots(
        2, len(roles), figsize=(4 * len(roles), 5.9), layout="constrained", squeeze=False, sharex=True,
        height_ratios=(3.2, 1),
    )  # fmt: skip
    edges = np.linspace(0, 1, evaluation.CONFIDENCE_BINS + 1)
    for (curve, bars), (heading, rows) in zip(panels.T, roles):
        reliability = evaluation.Reliability.of(predictions.label[rows], predictions.at(epoch)[rows])
        images, right, confidence = reliability.images.sum(1), reliability.images[:, 1], reliability.confidence.sum(1)
        there = images > 0
        accuracy = right[there] / images[there]
        low, high = _wilson(right[there], images[there])
        curve.plot((0, 1), (0, 1), ":", color="grey", lw=1)
        errors = np.maximum((accuracy - low, high - accuracy), 0)  # rounding may leave −1e−17
        curve.errorbar(confidence[there] / images[there], accuracy, errors, fmt="o-", ms=3, lw=1, elinewidth=0.7)
        curve.set(xlim=(0, 1), ylim=(-0.02, 1.02), aspect="equal")
        mean, overall = (100 * sums.sum() / images.sum() for sums in (confidence, right))
        of_all = f"ECE {100 * reliability.error():.1f} %: confidence {mean:.1f} %, {overall:.1f} % right"
        curve.set_title(f"{_wrapped(heading)}\n{of_all}", fontsize=9)
        bars.bar(edges[:-1], images, 1 / evaluation.CONFIDENCE_BINS, align="edge", edgecolor="white", lw=0.5)
        bars.set(xlabel="confidence: probability of the predicted class")
        bars.yaxis.set_major_formatter("{x:,.0f}")
        for axes in (curve, bars):
            axes.tick_params(labelsize=8)
    panels[0][0].set_ylabel("accuracy of a bin, 95 % over images")
    panels[1][0].set_ylabel("images")
    figure.suptitle(_wrapped(f"{title} · epoch {epoch}", len(roles)), fontsize=9)
    save(figure, path, dpi=80)


def _wilson(right: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of shares (Wilson 1927); of few images that are all right it is wide, as it should be."""
    share, z = right / images, 1.96
    middle = share + z**2 / (2 * images)
    half = z * np.sqrt(share * (1 - share) / images + (z / (2 * images)) ** 2)
    return (middle - half) / (1 + z**2 / images), (middle + half) / (1 + z**2 / images)


def _wrapped(text: str, panels: int = 1) -> str:
    """In lines as wide as so many panels."""
    return textwrap.fill(text, 58 * panels, break_on_hyphens=False)
