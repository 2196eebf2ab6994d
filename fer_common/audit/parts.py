"""Which images can so many images be? Named sets of a data set, shares drawn of them, and sets whose classes were
repeated or cut to one size before the draw.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from fer_common.claims import ClaimsFile

SHARES = {
    "a tenth": Fraction(1, 10),
    "15 %": Fraction(3, 20),
    "a fifth": Fraction(1, 5),
    "a quarter": Fraction(1, 4),
    "30 %": Fraction(3, 10),
    "a third": Fraction(1, 3),
    "40 %": Fraction(2, 5),
    "half": Fraction(1, 2),
    "70 %": Fraction(7, 10),
    "three quarters": Fraction(3, 4),
    "four fifths": Fraction(4, 5),
    "nine tenths": Fraction(9, 10),
}
DEVIATIONS = 4.5  # of a class of a random draw from what is expected; beyond it 1 in 150,000


@dataclass(frozen=True)
class Part:
    """A share of a named set, drawn by class or at random, perhaps after its classes were brought to one size."""

    of: str
    share: str
    n: Fraction
    """Images in all, before rounding."""
    sizes: tuple[Fraction, ...]
    """Images expected of each class."""
    balanced: int | None = None
    """The one size, where there is one."""
    how: str = ""
    """`repeated` to it or `cut` to it."""
    copies: int = 0
    """How many of its images are expected to have a copy among the other images of the balanced set."""

    @property
    def name(self) -> str:
        whole = self.of
        if self.balanced is not None:
            whole = f"{self.of} with every class {self.how} to {self.balanced:,} images"
        return whole if self.share == "all" else f"{self.share} of {whole}"


def named_sets(file: ClaimsFile) -> dict[str, list[int]]:
    """By named set of the data set that has images, their number by class in the order of the file's classes."""
    sets = {name: [int(own[label]) for label in file.classes] for name, own in file.data_set.counts.items()}
    return {name: own for name, own in sets.items() if sum(own)}


def shares(sets: dict[str, list[int]]) -> Iterator[Part]:
    """The usual shares of the named sets."""
    for name, own in sets.items():
        for share, f in SHARES.items():
            yield Part(name, share, sum(own) * f, tuple(n * f for n in own))


def balanced(sets: dict[str, list[int]]) -> Iterator[Part]:
    """Named sets with every class repeated to the size of the largest, or cut to that of the smallest, and shares of
    them."""
    for name, own in sets.items():
        if len(set(own)) == 1 or not min(own):
            continue
        for size, how in ((max(own), "repeated"), (min(own), "cut")):
            for share, f in {"all": Fraction(1), **SHARES}.items():
                n = len(own) * size * f
                copies = round(sum(_copies(k, size, float(f)) for k in own)) if how == "repeated" else 0
                yield Part(name, share, n, (size * f,) * len(own), size, how, copies)


def _copies(n: int, size: int, f: float) -> float:
    """Of a class of n images repeated to `size` by drawing from them, of which a share f is drawn: how many of those
    are expected to have a copy among the rest. A row is an original or one of the size − n that were drawn; each other
    row of its original (the original, and every draw with probability 1/n) is among the drawn with probability f."""
    if n in (0, size) or f >= 1:
        return 0.0
    alone_of_original = (1 - (1 - f) / n) ** (size - n)
    alone_of_draw = f * (1 - (1 - f) / n) ** (size - n - 1)
    return f * (n * (1 - alone_of_original) + (size - n) * (1 - alone_of_draw))


def by_total(n: int, parts: Iterator[Part]) -> list[Part]:
    """The parts that have n images, rounded either way."""
    return [part for part in parts if abs(n - part.n) < 1]


def by_class(supports: Sequence[int], parts: Iterator[Part]) -> tuple[list[Part], list[Part]]:
    """(parts that were drawn class by class, parts that may have been drawn at random) with these supports."""
    stratified, random, total = [], [], sum(supports)
    for part in parts:
        apart = [abs(n - expected) for n, expected in zip(supports, part.sizes, strict=True)]
        f = float(SHARES.get(part.share, 1))
        sd = [math.sqrt(float(expected) * (1 - f)) for expected in part.sizes]
        if all(far < 1 for far in apart):
            stratified.append(part)
        elif abs(total - part.n) < 1 and all(far <= DEVIATIONS * one for far, one in zip(apart, sd)):
            random.append(part)
    return stratified, random
