"""Curves and tables of measurements: what training logs and their losses look like, told from what they do not.

Each warning says how often it meets an honest log or table, measured by `benchmarks/audit.py` on drawn ones.
"""

import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

from fer_common.audit import metrics
from fer_common.audit.checks.reading import same_images
from fer_common.audit.finding import Finding
from fer_common.audit.printed import Rounding, bounds, of_claim, percent
from fer_common.claims import Claim, ClaimsFile

SURPRISE = 7.5  # a straight line in a measured curve is told from 1 in 10^7.5 on
RISE = 5  # times its minimum, at the end of a log
COINCIDENCES = 6  # of differences between metrics, beyond those of one system
RATES = Path(__file__).parent.parent / "rates.json"


@cache
def _rates() -> dict[str, dict[str, int]]:
    return json.loads(RATES.read_text()) if RATES.is_file() else {}


def rate(warning: str) -> str:
    """How many honest logs or tables meet a warning."""
    own = _rates().get(warning)
    return f"; {own['met']:,} of {own['of']:,} honest ones do" if own else ""


def loss_and_accuracy(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Each wrong argmax costs ln 2 at least: a small loss forbids a low accuracy on the same images."""
    for curve in file.curves:
        claims = [
            claim
            for claim in file.claims
            if claim.system == curve.system and claim.metric == "accuracy" and claim.images != "training"
        ]
        losses = curve.validation_loss
        for claim in claims if losses else ():
            best = min(range(len(losses)), key=lambda epoch: Fraction(losses[epoch]))
            for epoch in sorted({best, len(losses) - 1}):
                where = f"validation, epoch {epoch + 1}"
                yield _loss_finding(file, (claim.id, curve.id), claim, losses[epoch], where, roundings)
        for epoch, (loss, accuracy) in enumerate(zip(curve.validation_loss, curve.validation_accuracy), 1):
            printed = Claim(
                id=curve.id, system=curve.system, metric="accuracy", value=accuracy, unit="fraction", where=""
            )
            found = _loss_finding(file, (curve.id,), printed, loss, f"validation, epoch {epoch}", roundings)
            if found.verdict != "consistent":
                yield found
                break
        else:
            if losses and curve.validation_accuracy:
                says = f"Loss and accuracy of {curve.where} go together in each of {len(losses)} epochs"
                yield Finding("loss", (curve.id,), "consistent", says)
        if half := half_as_large(curve.training_loss, losses):
            lower = sum(Fraction(v) < Fraction(t) for t, v in zip(curve.training_loss, losses))
            yield Finding(
                *("loss", (curve.id,), "warning"),
                f"The validation loss of {curve.where} comes to less than half of the training loss in epoch {half[0]}",
                f"it is {losses[half[0] - 1]} beside {curve.training_loss[half[0] - 1]}, and below it in {lower} of "
                f"{len(losses)} epochs{rate('validation below training')}",
                settle="which images the validation loss is of",
            )
    losses_of = [claim for claim in file.claims if claim.metric == "log_loss"]
    for loss in losses_of:
        for accuracy in (c for c in file.claims if c.metric == "accuracy" and c.system == loss.system):
            together = accuracy.where == loss.where or (accuracy.epoch and accuracy.epoch == loss.epoch)
            if together and same_images(file, accuracy, loss) != "no" and accuracy.images == loss.images:
                where = f"epoch {loss.epoch}" if loss.epoch else loss.where
                yield _loss_finding(file, (loss.id, accuracy.id), accuracy, loss.value, where, roundings)


def half_as_large(training: Sequence[str], validation: Sequence[str]) -> list[int]:
    """The epochs, from 1, in which the validation loss is less than half of the training loss."""
    return [epoch for epoch, (t, v) in enumerate(zip(training, validation), 1) if 2 * Fraction(v) < Fraction(t)]


def _loss_finding(file, about, accuracy: Claim, loss: str, where: str, roundings) -> Finding:
    least = max(0.0, min(metrics.accuracy_at_least(bounds(loss, "nats", rounding)) for rounding in roundings))
    values = [of_claim(accuracy, rounding) for rounding in roundings]
    ceiling = metrics.loss_at_most((min(low for low, _ in values),) * 2, len(file.classes))
    evidence = f"a loss of {loss} ({where}) allows an accuracy of {percent(least)} or more; printed {accuracy.printed}"
    if all(float(high) < least for _, high in values):
        return Finding(
            *("loss", about, "consistent only if"),
            f"A loss of {loss} ({where}) is too small for an accuracy of {accuracy.printed} on the same images",
            evidence,
            "the accuracy is of other images than the loss, or the loss is no natural-log cross-entropy",
            "loss and accuracy on the same images",
        )
    if min(float(bounds(loss, "nats", rounding)[0]) for rounding in roundings) > ceiling:
        return Finding(
            *("loss", about, "consistent only if"),
            f"A loss of {loss} ({where}) is too large for an accuracy of {accuracy.printed} on the same images",
            f"clipped probabilities allow {ceiling:.2f} at most",
            "the loss is of other images, or not clipped",
        )
    return Finding(
        *("loss", about, "consistent"),
        f"A loss of {loss} ({where}) goes with an accuracy of {accuracy.printed}",
        evidence,
    )


def straight_lines(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Measured values that lie on a line to the last printed digit over many epochs."""
    for curve in file.curves:
        for name, values in curve.columns().items():
            what = name.replace("_", " ")
            try:
                first, last, step, surprise = metrics.longest_straight_line(values)
            except metrics.TooLong:
                says = f"Whether {what} of {curve.where} lies on a straight line was not checked"
                why = f"its {len(values):,} values have too many even stretches to look at each"
                yield Finding("curves", (curve.id,), "not applicable", says, uncompared=why)
                continue
            if surprise >= SURPRISE:
                yield Finding(
                    *("curves", (curve.id,), "warning"),
                    f"In {curve.where}, {what} lies on a straight line from epoch {first + 1} to {last + 1}, to the "
                    "last printed digit",
                    f"{what}: {float(step):+.4g} an epoch; measurements scatter{rate('straight line')}",
                    settle="the training log",
                )


def constant_offsets(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Metrics that differ by the same amount for every system of a table."""
    tables: dict[str, dict[str, dict[str, Claim]]] = {}
    for claim in file.claims:
        tables.setdefault(claim.where, {}).setdefault(claim.system, {})[claim.metric] = claim
    for where, systems in tables.items():
        names = sorted(set.intersection(*(set(own) for own in systems.values())))
        together = metrics.parallel({name: [Fraction(own[name].value) for own in systems.values()] for name in names})
        if (len(systems) - 1) * (len(together) - 1) >= COINCIDENCES:
            first = next(iter(together))
            said = "; ".join(f"{first} − {other} = {float(offset):+g}" for other, offset in together.items() if offset)
            about = tuple(claim.id for own in systems.values() for claim in own.values())
            yield Finding(
                *("curves", about, "warning"),
                f"{len(together)} metrics of {where} differ by the same amounts for each of {len(systems)} systems",
                said + rate("constant offsets"),
                settle="the predictions",
            )


def late_rise(losses: Sequence[Fraction | float]) -> bool:
    """Whether a loss ends at more than RISE times its minimum."""
    return bool(losses[-1] > RISE * min(losses))


def minimum_before_the_end(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """A validation loss that ends at many times its minimum: which epoch was scored?"""
    for curve in file.curves:
        losses = [Fraction(value) for value in curve.validation_loss]
        if losses and late_rise(losses):
            best = losses.index(min(losses))
            yield Finding(
                *("curves", (curve.id,), "warning"),
                f"The validation loss of {curve.where} ends at more than {RISE} times its minimum",
                f"it is lowest after epoch {best + 1} ({curve.validation_loss[best]}) and ends at "
                f"{curve.validation_loss[-1]} after epoch {len(losses)}{rate('late rise')}",
                settle="which epoch was scored, and who chose it",
            )
