"""From somebody else's network or predictions to an ordinary record, whose rows all have the role `unknown`.

The record says what was scored by its checksum, how images were prepared, and whether the network mixes the images of
a batch; tables and pages treat it as any other.
"""

import csv
import dataclasses
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from fer_common import UserError, records
from fer_common.archives import UNREADABLE, read_arrays
from fer_common.batches import SINGLES, Moves
from fer_common.data import EMOTIONS, USAGES, FaceData
from fer_common.experiment.machine import commit
from fer_common.score import networks, patterns
from fer_common.score.card import Card, sha256_of
from fer_common.score.patterns import Pattern

PAPER = "released"  # in place of a paper: networks that somebody released, or sent
BATCH = 128
LONGEST = 3 * 3600  # seconds that a network may take over all images
LARGEST = 1 << 27  # bytes of a file of predictions, unpacked
SHOWN = 200  # characters of what is wrong


@dataclass(frozen=True)
class Asked:
    """What was asked of a network or found in a file of predictions: probabilities float32 (N, 7), in the order of
    EMOTIONS; how far they move with the batch; what else is known."""

    probabilities: np.ndarray
    parameters: int | None = None
    reader: str = ""
    moves: Moves | None = None
    statistics: dict = dataclasses.field(default_factory=dict)


def ask(data: FaceData, path: Path, card: Card, *, tta: Literal["none", "flip"] = "none", trust: bool = False) -> Asked:
    """The probabilities of a network for all images of `data`, asked for in their order, shuffled, and for some one by
    one. tta: `flip`: the mean of those of each image and of its mirror image.

    Raises UserError where the file cannot be read, or is not what the card says.
    """
    n = len(data)
    rng = np.random.default_rng(0)
    shuffled, singles = rng.permutation(n), np.sort(rng.permutation(n)[: min(SINGLES, n)])
    passes = [networks.Pass(np.arange(n), BATCH), networks.Pass(shuffled, BATCH), networks.Pass(singles, 1)]
    answer = _ask(path, data.images, card, passes, trust)
    in_order, in_other, alone = (_probabilities(own, card) for own in answer.outputs)
    again = in_order.copy()
    again[shuffled] = in_other
    moves = Moves.between([(again, in_order), (alone, in_order[singles])])
    if tta == "flip":
        mirrored = _ask(path, data.images[:, :, ::-1], card, passes[:1], trust)
        in_order = (in_order + _probabilities(mirrored.outputs[0], card)) / 2
    return Asked(in_order, answer.parameters, answer.reader, moves, answer.statistics)


def _ask(path: Path, images: np.ndarray, card: Card, passes: list[networks.Pass], trust: bool) -> networks.Answer:
    return networks.ask(path, images, passes, preparation=card.preparation, trust=trust, seconds=LONGEST)


def _probabilities(outputs: np.ndarray, card: Card) -> np.ndarray:
    """float32 (n, 7) in the order of EMOTIONS."""
    found = outputs.astype(np.float64)
    if not np.isfinite(found).all():
        raise UserError("Its outputs are not finite numbers for some images; the file is broken, or --scale is wrong.")
    if card.outputs == "logits":
        found = np.exp(found - found.max(1, keepdims=True))
    elif (found < -1e-3).any() or np.abs(found.sum(1) - 1).max() > 0.02:
        raise UserError(
            "Its outputs are no probabilities: they do not add up to 1. Say --outputs logits if they are logits."
        )
    found = np.clip(found, 0, None)
    found /= found.sum(1, keepdims=True)
    return found[:, [card.classes.index(emotion) for emotion in EMOTIONS]].astype(np.float32)


# Predictions in place of a network


def read_predictions(path: Path, data: FaceData, card: Card) -> Asked:
    """Predictions for all images of `data` from a CSV or an .npz.

    CSV: a header; `row_id`, or rows in the copy's order; and seven columns named by the emotions, or one, `label`, with
    names or numbers. npz: arrays `row_id` (optional) and `probabilities` (N, 7) or `label` (N,).
    Raises UserError, one sentence.
    """
    row_id, found = (_from_npz if path.suffix == ".npz" else _from_csv)(path)
    if found.ndim == 1:
        known = {str(number): number for number in range(7)}
        known |= {name: number for number, name in enumerate(card.classes)}
        numbers = [known.get(str(value), -1) for value in found]
        if -1 in numbers:
            wrong = found[numbers.index(-1)]
            raise UserError(
                f"{path}: row {numbers.index(-1) + 1} has the label {str(wrong)!r}; expected 0 to 6 or an emotion."
            )
        found = np.eye(7, dtype=np.float32)[numbers]
    if row_id is None:
        if len(found) != len(data):
            raise UserError(f"{path}: {len(found):,} rows without row_id; the copy has {len(data):,} images.")
        row_id = data.row_id
    if len(row_id) != len(found):
        raise UserError(f"{path}: {len(row_id):,} row ids and {len(found):,} predictions.")
    place = {int(row): number for number, row in enumerate(row_id)}
    missing = [int(row) for row in data.row_id if int(row) not in place]
    if len(place) < len(row_id):
        raise UserError(f"{path}: {len(row_id) - len(place):,} row ids are there twice.")
    if missing:
        raise UserError(f"{path}: {len(missing):,} of {len(data):,} images are missing, row {missing[0]} for one.")
    ordered = found[[place[int(row)] for row in data.row_id]]
    if not np.isfinite(ordered).all():
        raise UserError(f"{path}: holds numbers that are not finite.")
    return Asked(_probabilities(ordered, card), reader="predictions")


def _from_csv(path: Path) -> tuple[np.ndarray | None, np.ndarray]:
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: has more than {LARGEST:,} bytes, expected a line an image.")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from None
    if not rows:
        raise UserError(f"{path}: has no rows below its header.")
    try:
        row_id = np.array([int(row["row_id"]) for row in rows], np.int64) if "row_id" in columns else None
        if set(EMOTIONS) <= set(columns):
            return row_id, np.array([[float(row[emotion]) for emotion in EMOTIONS] for row in rows])
        if "label" in columns:
            return row_id, np.array([str(row["label"]) for row in rows])
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: a value is no number ({str(error)[:SHOWN]}).") from None
    raise UserError(f"{path}: has the columns {', '.join(columns)[:SHOWN]}; expected {', '.join(EMOTIONS)}, or label.")


def _from_npz(path: Path) -> tuple[np.ndarray | None, np.ndarray]:
    try:
        arrays = read_arrays(path, LARGEST)
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be read as arrays ({str(error)[:SHOWN]}).") from None
    row_id, probabilities, label = (arrays.get(name) for name in ("row_id", "probabilities", "label"))
    if row_id is not None and (row_id.ndim != 1 or row_id.dtype.kind not in "iu"):
        raise UserError(f"{path}: row_id is {row_id.dtype} {row_id.shape}; expected whole numbers (N,).")
    if probabilities is not None and probabilities.shape[1:] == (7,) and probabilities.dtype.kind in "fiu":
        return row_id, probabilities
    if label is not None and label.ndim == 1 and label.dtype.kind in "iuUS":
        return row_id, label.astype(str)
    held = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items())
    raise UserError(f"{path}: holds {held[:SHOWN]}; expected probabilities (N, 7) or label (N,).")


# The record


def make_record(name: str, path: Path, card: Card, data: FaceData, asked: Asked, tta: str) -> tuple:
    """(record, predictions) of what was asked of the file at `path`."""
    system = name + "_flip" * (tta == "flip")
    found = patterns_of(data, asked)
    mixed = [pattern.says for pattern in found if pattern.kind == "mixes the batch"]
    record = records.Record(
        paper=PAPER,
        system=system,
        protocol="unknown",
        init="released",
        seed=0,
        preset="full",
        changes={},
        setup={"preparation": msgspec.to_builtins(card.preparation), "outputs": card.outputs, "classes": card.classes}
        | {"test_time_augmentation": tta},
        weights=sha256_of(path)[:16],
        data={"source": data.source, "fingerprint": data.fingerprint, "rows": len(data)},
        parameters=asked.parameters,
        epochs_run=1,
        backend=asked.reader,
        notes=[
            *(["flip test-time augmentation"] if tta == "flip" else []),
            *mixed,
            *(f"copy: {said}" for said in data.notes),
        ],
        details={
            "batch": dataclasses.asdict(asked.moves) if asked.moves else {},
            "statistics": asked.statistics,
            "patterns": [dataclasses.asdict(pattern) for pattern in found],
        },
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    record.commit, record.dirty = commit()
    predictions = records.Predictions(
        row_id=data.row_id,
        usage=data.usage,
        role=np.full(len(data), "unknown"),
        label=np.asarray(data.labels),
        epochs=np.array([1], np.int16),
        probabilities=asked.probabilities[None],
    )
    return record, predictions


def patterns_of(data: FaceData, asked: Asked) -> list[Pattern]:
    """Everything that the scores tell."""
    predicted = asked.probabilities.argmax(1)
    right = predicted == data.labels
    public = data.usage == "PublicTest"
    found = patterns.gaps(
        {usage: float(right[data.usage == usage].mean()) for usage in USAGES if (data.usage == usage).any()}
    )
    found.append(patterns.step(right[data.usage == "Training"]))
    if public.any():
        found.append(patterns.other_order(data.labels[public], predicted[public]))
    if asked.moves:
        found.append(patterns.mixes_batches(asked.moves))
    found += _stored_means(data, asked.statistics)
    return [pattern for pattern in found if pattern]


def _stored_means(data: FaceData, statistics: dict[str, list[float]]) -> list[Pattern | None]:
    """Whose mean the file holds, on whichever scale of grey values it does."""
    stored = [values[0] for name, values in statistics.items() if name.endswith(".mean") and len(set(values)) == 1]
    if not stored:
        return []
    of_training, of_all = (float(images.mean()) for images in (data.images[data.usage == "Training"], data.images))
    scales = {"0..255": (0.0, 1.0), "0..1": (0.0, 255.0), "-1..1": (127.5, 127.5)}
    return [
        patterns.stored_mean(mean, (of_training - less) / over, (of_all - less) / over, scale)
        for mean in stored
        for scale, (less, over) in scales.items()
    ]
