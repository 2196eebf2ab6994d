"""The answer to a headline claim follows from the comparison alone, and says in which way it is weak."""

import msgspec
import pandas as pd
import pytest

from fer_common.claims import ClaimsFile
from fer_common.results import answers
from fer_common.results.image_sets import ImageSet

CLAIM = {"id": "a", "system": "net", "metric": "accuracy", "value": "80", "unit": "percent", "images": "test"}
FILE = {"paper": "mine", "reference": {"authors": "A. Nobody, B. Somebody, C. Else", "year": "2020"}}
FILE |= {"systems": {"net": "a network; ours"}, "claims": [CLAIM | {"headline": "yes", "where": "4"}]}
PRIVATE = ImageSet(("PrivateTest",), ("score",))
FITTED = ImageSet(("Training",), ("fit",))
EACH_FOLD = ImageSet(("PrivateTest",), ("score",), "each_fold")
CHOSE = ImageSet(("PublicTest", "PrivateTest"), ("select",))


def row(found, image_set, protocol="official", **fields):
    base = {"paper": "mine", "claim_id": "a", "system": "net", "protocol": protocol, "init": "random"}
    base |= {"preset": "full", "source": "fer2013", "average": "none", "metric": "accuracy", "n_runs": 3, "notes": ""}
    return base | {"reproduced": found, "low": found - 0.01, "high": found + 0.01, "gap": 0.8 - found} | {
        "image_set": image_set
    } | fields  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "says", "honest", "gives"),
    [
        (
            [row(0.57, PRIVATE), row(0.80, FITTED)],
            "only on images that it was trained on",
            "57.0",
            "80.0 % on the images",
        ),
        ([row(0.79, PRIVATE), row(0.80, FITTED)], "holds", "79.0", "79.0 % on PrivateTest"),
        ([row(0.57, PRIVATE), row(0.6, FITTED)], "not reached", "57.0", "nothing that was run"),
        (
            [row(0.4, PRIVATE, preset="reduced", notes="undertrained: x")],
            "open: our runs are undertrained and reduced",
            "40.0 [39.0, 41.0] %, 3 seeds, undertrained, reduced",
            "nothing that was run",
        ),
        (
            [row(0.57, PRIVATE), row(0.8, CHOSE, protocol="mine")],
            "holds on the images that chose its epoch",
            "57.0",
            "80.0 % on PublicTest and PrivateTest, which chose the epoch",
        ),
        ([row(0.8, PRIVATE, protocol="split"), row(0.5, FITTED)], "holds", "not run", "80.0 % on PrivateTest"),
        ([row(0.8, PRIVATE, preset="smoke")], "open: not run", "not run", "nothing that was run"),
        (
            [row(0.57, PRIVATE), row(0.6, PRIVATE, preset="reduced")],
            "not reached",
            "57.0 [56.0, 58.0] %, 3 seeds",
            "nothing that was run",
        ),
        (
            [row(0.57, EACH_FOLD, notes="folds 0, 1 alone")],
            "not reached",
            "57.0 [56.0, 58.0] %, 3 seeds, folds 0, 1 alone, mean of the folds' networks",
            "nothing that was run",
        ),
        (
            [row(0.57, PRIVATE), row(0.8, PRIVATE, average="mean one-vs-rest")],
            "holds read as a mean one-vs-rest accuracy",
            "57.0",
            "80.0 % read as a mean one-vs-rest accuracy on PrivateTest",
        ),
    ],
)
def test_the_answer_to_a_claim(rows, says, honest, gives):
    [found] = answers.answers(pd.DataFrame(rows), [msgspec.convert(FILE, ClaimsFile)])
    assert (found.says, found.paper) == (says, "Nobody et al. 2020")
    assert found.honest_says.startswith(honest) and found.gives_says.startswith(gives)
    assert found.printed == "80 % on test images"
    table = answers.table([found])
    assert list(table["answer"]) == [says]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([[row(0.79, PRIVATE)]], "Of 1 headline claim of 1 paper, 1 holds."),
        ([[row(0.57, PRIVATE), row(0.8, CHOSE)]] * 2, "2 hold only on images that chose their epoch."),
        ([[row(0.79, PRIVATE)], [row(0.5, PRIVATE)], []], "1 holds, 1 is met by nothing that ran, and 1 is open."),
    ],
)
def test_the_conclusion_counts_every_answer_once(rows, says):
    file, columns = msgspec.convert(FILE, ClaimsFile), list(row(0.5, PRIVATE))
    found = [answers.answers(pd.DataFrame(own, columns=columns), [file])[0] for own in rows]
    assert answers.conclusion(found).endswith(says)
