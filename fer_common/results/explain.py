"""Which protocols could give a printed accuracy, and which could not: as run on the paper's own network where that
exists, and composed from the laboratory's prices elsewhere.

A price is never carried to another network as points. On the logit scale a mistake moves the laboratory's honest
accuracy by some amount; the same amount moves the paper's own honest accuracy. That is a guess about another network,
and is called composed. It says what could give a number, never what did.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from fer_common.claims import Claim
from fer_common.results import render
from fer_common.results.answers import Answer
from fer_common.results.prices import expit, logit
from fer_common.results.tables import MAIN_PRESETS

SHOWN = 12


@dataclass(frozen=True)
class Way:
    """One way to an accuracy: what, what it gives, and whether the claim lies within."""

    what: str
    mean: float
    low: float
    high: float
    seeds: int
    how: str
    """`run`, `composed` of one price, or `composed of two`."""

    def could(self, claimed: tuple[float, float]) -> bool:
        """claimed: the values that print as the claim."""
        return self.low <= claimed[1] and claimed[0] <= self.high


def ways(answer: Answer, comparison: pd.DataFrame, prices: pd.DataFrame) -> list[Way]:
    """Every way to the accuracy of a headline claim that was run or can be composed, the nearest to it first."""
    claim = answer.claim
    assert isinstance(claim, Claim)
    own = comparison[(comparison["paper"] == answer.file.paper) & (comparison["claim_id"] == claim.id)]
    own = own[own["preset"].isin(MAIN_PRESETS) & (own["source"] == "fer2013")]
    found = []
    for _, row in own.iterrows():
        read = ", read as a mean one-vs-rest accuracy" * (row["average"] == "mean one-vs-rest")
        what = f"{row['system']}, {row['protocol']}, {row['init']}: {render.words_of(row['image_set'])}{read}"
        found.append(Way(what, row["reproduced"], row["low"], row["high"], int(row["n_runs"]), "run"))
    if answer.honest is not None:
        found += _composed(answer.honest, prices)
    return sorted(found, key=lambda way: abs(way.mean - claim.number))


def _composed(honest: pd.Series, prices: pd.DataFrame) -> list[Way]:
    """The honest accuracy moved by one price, and by two of different kinds, on the logit scale; limits from those of
    the prices and of the honest accuracy, added as if they were independent."""
    if not len(prices):
        return []
    shifts = []
    single = (prices["metric"] == "accuracy") & prices["leak"].notna() & (prices["kind"] != "pair")
    for _, row in prices[single].iterrows():
        printed = row["printed_value"]
        base = printed - row["leak"] - (0 if pd.isna(row["effect"]) else row["effect"])
        spread = [row[f"leak {end}"] - row["leak"] for end in ("low", "high")]
        shift = logit(printed) - logit(base)
        around = [0.0 if pd.isna(own) else logit(printed + own) - logit(printed) for own in spread]
        shifts.append((row["mistake"], row["kind"], shift, around, int(row["seeds"])))
    middle = logit(honest["reproduced"])
    own = [logit(honest[end]) - middle for end in ("low", "high")]
    found = []
    for size, how in ((1, "composed"), (2, "composed of two")):
        for chosen in combinations(shifts, size):
            if len({kind for _, kind, *_ in chosen}) < size:
                continue
            to = middle + sum(shift for _, _, shift, _, _ in chosen)
            half = [math.hypot(own[end], *(around[end] for *_, around, _ in chosen)) for end in (0, 1)]
            what = " and ".join(name for name, *_ in chosen)
            seeds = min(own_seeds for *_, own_seeds in chosen)
            found.append(Way(what, expit(to), expit(to - half[0]), expit(to + half[1]), seeds, how))
    return found


def text(answer: Answer, found: list[Way], prices: pd.DataFrame) -> str:
    """What could give the number and what could not, for a terminal."""
    from fer_common.progress import table, wrapped

    claim = answer.claim
    assert isinstance(claim, Claim)
    claimed = claim.number - claim.half_unit, claim.number + claim.half_unit
    lines = [wrapped(f"{answer.paper}: {answer.printed}. Honest, on PrivateTest: {answer.honest_says}."), ""]
    for title, wanted in (("Could give it", True), ("Could not", False)):
        own = [way for way in found if way.could(claimed) == wanted]
        shown = [
            {"what": way.what, "gives": f"{100 * way.mean:.1f} [{100 * way.low:.1f}, {100 * way.high:.1f}]"}
            | {"seeds": way.seeds, "how": way.how}
            for way in own[:SHOWN]
        ]
        more = f", the nearest {SHOWN}" if len(own) > SHOWN else ""
        lines += [f"{title} ({len(own)}{more}):", table(shown) if shown else "  nothing that was run or composed", ""]
    composed = sum(way.how != "run" for way in found)
    if composed and (pairs := prices[prices["kind"] == "pair"]) is not None and len(pairs):
        off = 100 * (pairs["composed"] - pairs["printed_value"]).abs().max()
        said = f"On the {len(pairs)} pairs that the laboratory ran, composing was off by at most {off:.1f} points."
        lines.append(wrapped(said))
    if not composed:
        lines.append("No price of the laboratory is known yet: `ferrepro lab` runs it.")
    lines.append(wrapped("“Could” says that the number lies within an interval, never that a paper did so."))
    return "\n".join(lines)
