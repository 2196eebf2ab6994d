"""What a printed number may have been before it was printed, as exact fractions."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

Bounds = tuple[Fraction, Fraction]
"""Lowest and highest value, both included."""

Rounding = Literal["rounded", "cut"]
FLOAT32 = Fraction(1, 2**22)
"""Relative error of a number after a few operations in float32, each of which is exact to 2^-24."""
ROUNDINGS: tuple[Rounding, ...] = ("rounded", "cut")


def bounds(value: str, unit: str, rounding: Rounding) -> Bounds:
    """The values that print as `value`, in fractions of 1 (nats for `nats`).

    `rounded` holds half-up and half-even alike, since both ends are included, and so the float noise of a tie; `cut`
    is truncation. A number of six and more digits may have been computed in float32, as Keras does, and be printed
    with digits that its arithmetic did not have: it is known to FLOAT32 of itself only.
    """
    scale = 100 if unit == "percent" else 1
    step = Fraction(1, 10 ** len(value.partition(".")[2]))
    number = Fraction(value)
    low, high = (number, number + step) if rounding == "cut" else (number - step / 2, number + step / 2)
    if max(len(value.replace(".", "").lstrip("-0")), len(value.partition(".")[2])) >= 6:
        low, high = low - number * FLOAT32, high + number * FLOAT32
    low = max(low, Fraction(0))
    if unit != "nats":
        high = min(high, Fraction(scale))
    return low / scale, high / scale


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
    return tuple(sum(weight * part[end] for weight, part in zip(weights, parts)) / total for end in (0, 1))


def percent(value: Fraction | float, decimals: int = 1) -> str:
    """A fraction of 1 as text: `83.2 %`."""
    return f"{100 * float(value):.{decimals}f} %"


def percents(value: Bounds, decimals: int = 1) -> str:
    """`82.9 to 83.4 %`, or one number where both print alike."""
    low, high = (percent(end, decimals) for end in value)
    return high if low == high else f"{low.removesuffix(' %')} to {high}"
