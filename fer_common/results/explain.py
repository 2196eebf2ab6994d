"""Which protocols could give a printed accuracy, and which could not: as run on the paper's own network where that
exists, and composed from the laboratory's prices elsewhere.

A price is never carried to another network as points. On the logit scale a mistake moves the laboratory's honest
accuracy by some amount; the same amount moves the paper's own honest accuracy. That is a guess about another network,
and is called composed. It says what could give a number, never what did.
"""

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import pandas as pd

from fer_common.claims import Claim
from fer_common.data import EMOTIONS
from fer_common.results import render
from fer_common.results.answers import NEAR, Answer
from fer_common.results.prices import FITTED_SCORED, ONE_VS_REST, expit, logit
from fer_common.results.tables import MAIN_PRESETS, SETUP

SHOWN = 12
WORTH = 0.005  # what a price must be at least, and its lower limit above 0, to be composed with another


COULD = {
    "yes": "Could give it",
    "nearly": f"Comes within {100 * NEAR:.0f} points of it, its interval does not hold it",
    "no": "Could not",
}


@dataclass(frozen=True)
class Way:
    """One way to an accuracy: what, what it gives, and whether the claim lies within."""

    what: str
    mean: float
    low: float
    high: float
    seeds: int
    how: str
    """`run`; `composed` of one price, of the price `of a pair` that ran together, or `of two` that did not."""

    def could(self, claim: Claim) -> str:
        """Whether it could give a claim, of COULD: `yes`, where a value that prints as the claim lies within its
        interval."""
        if self.low <= claim.number + claim.half_unit and claim.number - claim.half_unit <= self.high:
            return "yes"
        return "nearly" if abs(self.mean - claim.number) <= NEAR else "no"


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
        found += _composed(answer.honest, own, prices)
    return sorted(found, key=lambda way: abs(way.mean - claim.number))


def _composed(honest: pd.Series, own: pd.DataFrame, prices: pd.DataFrame) -> list[Way]:
    """The honest accuracy moved by one price, and by two of different kinds, on the logit scale: by what the two gave
    together where they ran so, else by both shifts. Limits from those of the prices and of the honest accuracy, added
    as if they were independent. What is worth nothing is in no pair. Controls are no mistakes, and attention over the
    batch takes another network: neither is composed.

    Two mistakes need no price. What fitted images give may be known of the paper's own network, and another price moves
    that; a mean of one-vs-rest accuracies follows from the accuracy.

    own: rows of `comparison` of the same claim.
    """
    if not len(prices):
        return []
    prices = prices[(prices["network"] == "cnn") & (prices["metric"] == "accuracy") & prices["leak"].notna()]
    together = {row["mistake"]: row for _, row in prices[prices["kind"] == "pair"].iterrows()}
    single = [row for _, row in prices[~prices["kind"].isin(("pair", "batch", "control"))].iterrows()]
    worth = [row for row in single if row["leak"] >= WORTH and not row["leak low"] <= 0]
    shown = _shown_by(honest, own)
    found = []
    for several in ((row,) for row in single), combinations(worth, 2):
        for mistakes in several:
            names = [row["mistake"] for row in mistakes]
            if len({row["kind"] for row in mistakes}) < len(names) or (len(names) == 1 and names[0] in shown):
                continue
            what = ", and ".join(names)
            base = shown[FITTED_SCORED] if FITTED_SCORED in names and FITTED_SCORED in shown else honest
            by = [
                row
                for row in mistakes
                if row["mistake"] != ONE_VS_REST and (base is honest or row["mistake"] != FITTED_SCORED)
            ]
            how = {0: "run", 1: "composed", 2: "composed of two"}[len(by)]
            if len(by) == 2 and what in together:
                by, how = [together[what]], "composed of a pair"
            way = _moved(base, by, what, how)
            found.append(_one_vs_rest(way) if ONE_VS_REST in names else way)
    return found


def _shown_by(honest: pd.Series, own: pd.DataFrame) -> dict[str, pd.Series]:
    """By mistake, in the laboratory's words, the row of `own` that shows what it gives on the network of the honest
    row."""
    found = {}
    for _, row in own[(own[list(SETUP)] == honest[list(SETUP)]).all(axis=1)].iterrows():
        if row["average"] == "none" and row["image_set"].roles == ("fit",) and row["image_set"].of == "images":
            found[FITTED_SCORED] = row
        if row["average"] == "mean one-vs-rest" and row["image_set"] == honest["image_set"]:
            found[ONE_VS_REST] = row
    return found


def _moved(base: pd.Series, by: Sequence[pd.Series], what: str, how: str) -> Way:
    """base: the row of `comparison` that is moved."""
    to = logit(base["reproduced"])
    around = [[logit(base[end]) - to for end in ("low", "high")]]
    for row in by:
        printed = row["printed_value"]
        to += logit(printed) - logit(printed - row["leak"] - (0 if pd.isna(row["effect"]) else row["effect"]))
        spread = [row[f"leak {end}"] - row["leak"] for end in ("low", "high")]
        around.append([0.0 if pd.isna(own) else logit(printed + own) - logit(printed) for own in spread])
    low, high = (math.hypot(*ends) for ends in zip(*around))
    seeds = min(int(row["seeds"]) for row in by) if by else int(base["n_runs"])
    return Way(what, expit(to), expit(to - low), expit(to + high), seeds, how)


def _one_vs_rest(way: Way) -> Way:
    """The same as a mean of one-vs-rest accuracies: every error is one in two of the classes."""
    mean, low, high = (1 - 2 * (1 - value) / len(EMOTIONS) for value in (way.mean, way.low, way.high))
    return replace(way, mean=mean, low=low, high=high)


def text(answer: Answer, found: list[Way], prices: pd.DataFrame) -> str:
    """What could give the number and what could not, for a terminal."""
    from fer_common.progress import table, wrapped

    claim = answer.claim
    assert isinstance(claim, Claim)
    lines = [wrapped(f"{answer.paper}: {answer.printed}. Honest, on PrivateTest: {answer.honest_says}."), ""]
    for could, title in COULD.items():
        own = [way for way in found if way.could(claim) == could]
        if own or could != "nearly":
            more = f", the nearest {SHOWN}" if len(own) > SHOWN else ""
            rows = table([_row(way) for way in own[:SHOWN]]) if own else "  nothing that was run or composed"
            lines += [f"{title} ({len(own)}{more}):", rows, ""]
    lines += [wrapped(said) for said in (_how_good(found, prices), _NEVER)]
    return "\n".join(lines)


def markdown(explained: list[tuple[Answer, list[Way]]], prices: pd.DataFrame) -> str:
    """The same of all headline accuracies of a paper, for its page: the nearest ways of each."""
    shown = {"yes": 6, "nearly": 3, "no": 3}
    rows = []
    for answer, found in explained:
        claim = answer.claim
        assert isinstance(claim, Claim)
        for could, most in shown.items():
            own = [way for way in found if way.could(claim) == could]
            rows += [{"printed": answer.printed} | _row(way) | {"could give it": could} for way in own[:most]]
    said = [_how_good([way for _, found in explained for way in found], prices), _NEVER]
    return "\n\n".join([render.markdown(rows), textwrap.fill(" ".join(said), 120)])


_NEVER = "“Could” says that the number lies within an interval, never that a paper did so."


def _row(way: Way) -> dict[str, object]:
    gives = f"{100 * way.mean:.1f} [{100 * way.low:.1f}, {100 * way.high:.1f}]"
    return {"what": way.what, "gives": gives, "seeds": way.seeds, "how": way.how}


def _how_good(found: list[Way], prices: pd.DataFrame) -> str:
    """How far off composing was where two mistakes were run together; or why nothing is composed."""
    if all(way.how == "run" for way in found):
        if len(prices):
            return "Nothing is composed: no honest accuracy of the paper's own network is known yet."
        return "No price of the laboratory is known yet: `ferrepro lab` runs it."
    said = []
    if len(pairs := prices[(prices["network"] == "cnn") & prices["composed"].notna()]):
        off = 100 * (pairs["composed"] - pairs["printed_value"]).abs().max()
        ran = "the pair that was" if len(pairs) == 1 else f"the {len(pairs)} pairs that were"
        said.append(
            "“Of a pair”: by what two mistakes gave together in the laboratory. “Of two”: by both apart, which on "
            f"{ran} run together would have been off by up to {off:.1f} points."
        )
    return " ".join(said)
