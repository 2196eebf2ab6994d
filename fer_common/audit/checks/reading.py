"""What a printed report or matrix makes of the metrics that a paper prints elsewhere."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from fer_common.audit.counts import Totals
from fer_common.audit.printed import Bounds
from fer_common.claims import Claim, ClaimsFile, ConfusionMatrix, Curve, Report

Key = tuple[str, str]
"""Metric and average, as in a claim; `micro` is never one, since it is the accuracy."""


@dataclass(frozen=True)
class Reading:
    """One way to read a report or a matrix."""

    of: str
    """Which: of which sizes of classes, or shares of what."""
    shares: str = ""
    """Of a matrix: what its numbers are shares of in this reading."""
    values: dict[Key, list[Bounds]] = field(default_factory=dict)
    """What each metric can be; two bounds where a metric is computed in two ways."""
    n_images: int | None = None
    hits: Totals | None = None
    """Of one run: the totals of hits that it allows among n_images; None where any between the bounds is."""


def keys_of(claim: Claim) -> list[Key]:
    """Under which keys of a reading a claim's number may be found."""
    if claim.average == "micro":
        return [("accuracy", "none")]
    if claim.average == "unstated":
        micro = [] if claim.metric == "auc" else [("accuracy", "none")]
        return [(claim.metric, "macro"), (claim.metric, "weighted"), *micro]
    return [(claim.metric, claim.average)]


def over_classes(values: dict[Key, list[Bounds]], metric: str, classes: list[str]) -> dict[Key, list[Bounds]]:
    """Lowest and highest of a metric over classes that are all there."""
    own = [values[metric, label][0] for label in classes if (metric, label) in values]
    if len(own) < len(classes):
        return {}
    return {
        (metric, name): [(pick(low for low, _ in own), pick(high for _, high in own))]
        for name, pick in (("lowest", min), ("highest", max))
    }


def plain(accuracy: Bounds, n_classes: int) -> Bounds:
    """The accuracies whose mean over one-vs-rest problems, 1 − 2·error / K, is within `accuracy`."""
    low, high = (max(Fraction(0), 1 - (1 - end) * n_classes / 2) for end in accuracy)
    return low, high


def same_images(
    file: ClaimsFile, a: Claim | Report | ConfusionMatrix, b: Claim | Report | ConfusionMatrix | Curve
) -> Literal["yes", "no", "unsaid"]:
    """Whether a paper says that two of its items are of the same images and epoch. Where one of them alone names a part
    of the data, or an epoch that is not the last, it does not say so."""
    said = [(a.epoch, getattr(b, "epoch", None))]
    if not isinstance(b, Curve):
        said += [(a.usage, b.usage), (a.images, b.images), (_n_images(a), _n_images(b))]
    if any(one != other for one, other in said if None not in (one, other) and "unstated" not in (one, other)):
        return "no"
    if isinstance(b, Curve) or a.usage != b.usage:
        return "unsaid"
    if a.epoch != b.epoch and int(a.epoch or b.epoch or 0) < _last_epoch(file, a.system):
        return "unsaid"
    return "yes" if a.images == b.images != "unstated" or a.usage is not None else "unsaid"


def _last_epoch(file: ClaimsFile, system: str) -> int:
    """The last that a paper names of a system."""
    return max((int(claim.epoch) for claim in file.all_claims() if claim.system == system and claim.epoch), default=0)


def _n_images(item: Claim | Report | ConfusionMatrix) -> str | None:
    if isinstance(item, Claim):
        return item.n_images if item.average in ("none", "macro", "weighted", "micro", "unstated") else None
    if isinstance(item, Report):
        return next((row.support for name, row in item.rows.items() if name == "accuracy"), None)
    return None
