"""The model card: what a released network is, how its images are prepared, and what its release prints, as data.

`reproductions/released/<name>.yaml`. Weights are never part of the suite: a card knows them by their checksum.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from fer_common import UserError
from fer_common.claims import Identifier, Numeral, PrintedNumber, Text, Usage, WholeNumber, read_as
from fer_common.data import EMOTIONS

FOLDER = Path(__file__).parent.parent.parent / "reproductions" / "released"

Scale = Literal["0..1", "-1..1", "0..255", "mean_deviation", "per_image"]


class Preparation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What happens to an image of 48 × 48 grey values before the network sees it.

    scale: `0..1`: v/255; `-1..1`: v/127.5 − 1; `0..255`: as it is; `mean_deviation`: (v − mean)/deviation, both on the
    scale of grey values; `per_image`: each image less its own mean, over its own standard deviation.
    """

    size: WholeNumber = "48"
    channels: Literal["1", "3"] = "1"
    scale: Scale = "0..1"
    mean: Numeral | None = None
    deviation: Numeral | None = None


class Printed(PrintedNumber, kw_only=True):
    """A number that the release prints."""

    metric: Literal["accuracy", "log_loss", "f1.macro", "auc.macro"]
    usages: list[Usage]
    """On which parts of FER2013, together."""
    subset: Literal["", "named_by_ferplus"] = ""
    expected: Numeral | None = None
    """What this copy was to give before it was scored, where that is not the printed number; in the unit of `value`."""
    allowed: Numeral | None = None
    """How far a control may be off, in the unit of `value`; where it is missing, the number is no control."""


class Card(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A released network."""

    name: Identifier
    title: Text
    source: Text
    file: Text
    """Its name where it was released."""
    sha256: Text
    licence: Text
    outputs: Literal["probabilities", "logits"] = "probabilities"
    classes: list[Text] = msgspec.field(default_factory=lambda: list(EMOTIONS))
    """The emotions in the order of the outputs."""
    preparation: Preparation = Preparation()
    printed: list[Printed] = []
    note: Text | None = None


def names() -> list[str]:
    """The names of the suite's cards."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str) -> Card:
    """The suite's card of that name. Raises UserError where there is none."""
    if name not in names():
        raise UserError(f"There is no card {name!r}; there is {', '.join(names())}.")
    return read(FOLDER / f"{name}.yaml")


def read(path: Path) -> Card:
    """The card at `path`. Raises UserError that lists every error with file, line and key."""
    return read_as(Card, path, _cross_check)


def of_options(
    name: str,
    path: Path,
    size: int,
    channels: int,
    scale: Scale,
    mean: float | None,
    deviation: float | None,
    outputs: Literal["probabilities", "logits"],
    classes: Sequence[str],
) -> Card:
    """The card of a file that has none, from what its user says. Raises UserError where that does not fit together."""
    preparation = Preparation(
        size=str(size),
        channels=str(channels),
        scale=scale,
        mean=None if mean is None else str(mean),
        deviation=None if deviation is None else str(deviation),
    )
    card = Card(
        name=name,
        title=path.name,
        source="unknown",
        file=path.name,
        sha256=sha256_of(path),
        licence="unknown",
        outputs=outputs,
        classes=list(classes),
        preparation=preparation,
    )
    errors: list[str] = []
    _cross_check(card, None, errors)
    if size < 1 or (deviation is not None and deviation <= 0):
        errors.append("--size and --deviation are above 0")
    if errors:
        raise UserError("; ".join(errors) + ".")
    return card


def _cross_check(card: Card, root, errors: list[str]) -> None:
    if sorted(card.classes) != sorted(EMOTIONS):
        errors.append(f"classes: {', '.join(card.classes)}; expected {', '.join(EMOTIONS)} in the network's order")
    if len(card.sha256) != 64:
        errors.append(f"sha256: has {len(card.sha256)} characters; expected 64")
    given = card.preparation.mean is not None and card.preparation.deviation is not None
    if (card.preparation.scale == "mean_deviation") != given:
        errors.append("preparation: mean and deviation go with the scale mean_deviation, and with no other")
    ids = [printed.id for printed in card.printed]
    doubles = sorted({name for name in ids if ids.count(name) > 1})
    errors += [f"printed: the id {name} is there twice; ids are unique in a file" for name in doubles]


def sha256_of(path: Path) -> str:
    """64 hex digits over the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
