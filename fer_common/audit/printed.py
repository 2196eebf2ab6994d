"""What a printed number may have been before it was printed, as exact fractions."""

import functools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

from fer_common.claims import Claim

Bounds = tuple[Fraction, Fraction]
"""Lowest and highest value, both included."""

Rounding = Literal["rounded", "cut", "rounded twice", "cut after rounding"]
FLOAT32 = Fraction(1, 2**22)
"""Relative error of a number after a few operations in float32, each of which is exact to 2^-24."""
ROUNDINGS: tuple[Rounding, ...] = ("rounded", "cut")
"""The plain ones. The others, of numbers that were printed before, are asked for where neither explains a number."""


@functools.lru_cache(maxsize=100_000)  # several checks ask for the same numbers
def bounds(value: str, unit: str, rounding: Rounding) -> Bounds:
    """The values that print as `value`, in fractions of 1 (nats for `nats`).

    `rounded` holds half-up and half-even alike, since both ends are included, and so the float noise of a tie;
    `cut` is truncation; `rounded twice` is rounding, and `cut after rounding` cutting, a number that was rounded to
    a digit more (.87546 → .8755 → .876; .87497 → .8750 → .875). A number of six and more digits may have been
    computed in float32, as Keras does, and be printed with digits that its arithmetic did not have: it is known to
    FLOAT32 of itself only.
    """
    scale = 100 if unit == "percent" else 1
    step = Fraction(1, 10 ** len(value.partition(".")[2]))
    number = Fraction(value)
    below, above = {
        "rounded": (step / 2, step / 2),
        "cut": (Fraction(0), step),
        "rounded twice": (step * 11 / 20, step * 11 / 20),
        "cut after rounding": (step / 20, step * 19 / 20),
    }[rounding]
    low, high = number - below, number + above
    if max(len(value.replace(".", "").lstrip("-0")), len(value.partition(".")[2])) >= 6:
        # Outwards to twelve decimals, since fractions of seventeen digits are slow to add up.
        low = Fraction(math.floor((low - number * FLOAT32) * 10**12), 10**12)
        high = Fraction(math.ceil((high + number * FLOAT32) * 10**12), 10**12)
    low = max(low, Fraction(0))
    if unit != "nats":
        high = min(high, Fraction(scale))
    return low / scale, high / scale


def of_claim(claim: Claim, rounding: Rounding) -> Bounds:
    """The values that print as a claim; a count of hits is exact."""
    if claim.unit == "count":
        share = Fraction(int(claim.value), int(claim.n_images or 1))
        return share, share
    return bounds(claim.value, claim.unit, rounding)


def whole_numbers(low: Fraction, high: Fraction) -> range:
    """The whole numbers from low to high, both included."""
    return range(-(-low.numerator // low.denominator), high.numerator // high.denominator + 1)


def overlap(a: Bounds, b: Bounds) -> bool:
    """Whether one value can lie in both."""
    return a[0] <= b[1] and b[0] <= a[1]


def mean(parts: Sequence[Bounds], weights: Sequence[int] | None = None) -> Bounds:
    """What the mean of values within `parts` can be; `weights` as in a weighted mean, all 1 without."""
    weights = weights or [1] * len(parts)
    total = sum(weights)
    low, high = (sum(weight * part[end] for weight, part in zip(weights, parts)) / total for end in (0, 1))
    return low, high


def percent(value: Fraction | float, decimals: int = 1) -> str:
    """A fraction of 1 as text: `83.2 %`."""
    return f"{100 * float(value):.{decimals}f} %"


def percents(value: Bounds, decimals: int = 1) -> str:
    """`82.9 to 83.4 %`, or one number where both print alike."""
    low, high = (percent(end, decimals) for end in value)
    return high if low == high else f"{low.removesuffix(' %')} to {high}"
