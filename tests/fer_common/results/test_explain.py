"""What could give a printed number: as run, or composed from prices on the logit scale."""

import msgspec
import pandas as pd
import pytest

from fer_common.claims import ClaimsFile
from fer_common.results import answers, explain
from fer_common.results.prices import FITTED_SCORED, ONE_VS_REST
from tests.fer_common.results.test_answers import FILE, FITTED, PRIVATE, row

PRICE = {"network": "cnn", "metric": "accuracy", "effect": 0.0, "seeds": 3}
PRICES = pd.DataFrame(
    [
        PRICE | {"mistake": "a pool", "kind": "split", "printed_value": 0.7, "leak": 0.1}
        | {"leak low": 0.09, "leak high": 0.11},
        PRICE | {"mistake": "a reading", "kind": "arithmetic", "printed_value": 0.85, "leak": 0.25}
        | {"leak low": 0.25, "leak high": 0.25},
        PRICE | {"mistake": "another pool", "kind": "split", "printed_value": 0.61, "leak": 0.01}
        | {"leak low": 0.0, "leak high": 0.02},
    ]
)  # fmt: skip
PAIR = PRICE | {"mistake": "a pool, and a reading", "kind": "pair", "printed_value": 0.88, "composed": 0.9}
PAIR |= {"leak": 0.28, "leak low": 0.27, "leak high": 0.29}


def found(rows, prices):
    comparison = pd.DataFrame(rows)
    [answer] = answers.answers(comparison, [msgspec.convert(FILE, ClaimsFile)])
    return answer, {way.what: way for way in explain.ways(answer, comparison, prices)}


def test_prices_are_composed_on_the_logit_scale_never_added():
    _, ways = found([row(0.6, PRIVATE)], PRICES)
    # On the laboratory's own honest accuracy (.6) each gives what it gave there.
    assert ways["a pool"].mean == pytest.approx(0.7) and ways["a pool"].how == "composed"
    both = ways["a pool, and a reading"]
    odds = (0.7 / 0.3) * (0.85 / 0.15) / (0.6 / 0.4)
    assert both.mean == pytest.approx(odds / (1 + odds)) and both.how == "composed of two"
    assert "a pool, and another pool" not in ways, "one split cannot be drawn in two ways"
    assert "another pool, and a reading" not in ways, "what may be worth nothing is in no pair"
    # What ran together is not composed of two.
    _, ways = found([row(0.6, PRIVATE)], pd.concat([PRICES, pd.DataFrame([PAIR])]))
    assert ways["a pool, and a reading"].mean == pytest.approx(0.88)
    assert ways["a pool, and a reading"].how == "composed of a pair"
    # On another network they are worth other points.
    _, ways = found([row(0.9, PRIVATE)], PRICES)
    assert 0.9 < ways["a pool"].mean < 0.94


def test_it_says_what_could_and_what_could_not():
    prices = pd.concat([PRICES, pd.DataFrame([PAIR])])
    answer, ways = found([row(0.6, PRIVATE), row(0.8, FITTED)], prices)
    text = explain.text(answer, list(ways.values()), prices)
    could, could_not = text.split("Could not")
    assert "the images that it was trained on" in could and "a pool" in could_not
    assert "never that a paper did so" in text
    said = " ".join(text.split())
    assert "which on the pair that was run together would have been off by up to 2.0 points." in said
    text = explain.text(answer, list(found([row(0.6, PRIVATE)], pd.DataFrame())[1].values()), pd.DataFrame())
    assert "nothing that was run or composed" in text and "`ferrepro lab` runs it" in text


def test_what_the_own_network_was_asked_is_not_composed():
    """In the laboratory fitted images gave .9 where .6 is honest; here they gave .65. Another price moves that."""
    fitted = PRICE | {"mistake": FITTED_SCORED, "kind": "split", "printed_value": 0.9, "leak": 0.3}
    fitted |= {"leak low": 0.28, "leak high": 0.32}
    ovr = PRICE | {"mistake": ONE_VS_REST, "kind": "arithmetic", "printed_value": 0.9, "leak": 0.3}
    ovr |= {"leak low": 0.29, "leak high": 0.31}
    rows = [row(0.6, PRIVATE), row(0.65, FITTED)]
    _, ways = found(rows, pd.concat([pd.DataFrame([fitted]), PRICES, pd.DataFrame([ovr])]))
    assert FITTED_SCORED not in ways and ways["net, official, random: the images that it was trained on (Training)"]
    both = ways[f"{FITTED_SCORED}, and a reading"]
    odds = (0.85 / 0.15) / (0.6 / 0.4) * 0.65 / 0.35
    assert both.mean == pytest.approx(odds / (1 + odds)) and both.how == "composed"
    # A mean of one-vs-rest accuracies is arithmetic on whatever accuracy there is.
    for what, accuracy, how in (
        (ONE_VS_REST, 0.6, "run"),
        (f"{FITTED_SCORED}, and {ONE_VS_REST}", 0.65, "run"),
        (f"a pool, and {ONE_VS_REST}", 0.7, "composed"),
    ):
        assert (ways[what].mean, ways[what].how) == (pytest.approx(1 - 2 * (1 - accuracy) / 7), how)
    assert ways[ONE_VS_REST].low == pytest.approx(1 - 2 * 0.41 / 7)
