"""Values that cannot be, refused before anything starts, in a sentence that names them."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Iterator
from typing import Any

from fer_common import UserError
from fer_common.experiment.paper import Options, Paper

SHARES = ("dropout", "momentum", "smoothing")  # from 0, below 1
ABOVE_NOTHING = ("rate", "scale", "temperature")


def check(paper: Paper, system: str, setup: Any, options: Options) -> None:
    """Raise UserError for values of a setup, and options of a run, that no run can have; all of them at once.

    What a value may be follows from what it is by default: a number of things stays one or more where it was, a share
    below 1; lists keep at least one item. What a script knows besides is its `Paper.check`.
    """
    said = [] if 0 <= options.seed < 2**32 else [f"--seed {options.seed}: a seed is 0 or more, and below 2^32"]
    said += (
        [f"--fold {options.fold}: folds are numbered from 0"] if options.fold is not None and options.fold < 0 else []
    )
    default = paper.systems[system]
    for field in dataclasses.fields(setup):
        value, usual = getattr(setup, field.name), getattr(default, field.name)
        if value != usual:
            given = f"--{field.name.replace('_', '-')} {_shown(value)}".strip()
            said += [f"{given}: {why}" for why in _wrong(field.name, value, usual)]
    epochs = getattr(setup, "epochs", None)
    scored = getattr(setup, "score_epochs", ())
    if epochs and scored != getattr(default, "score_epochs", ()) and any(not 1 <= epoch <= epochs for epoch in scored):
        said.append(f"--score-epochs {_shown(scored)}: epochs are numbered from 1 to {epochs}")
    said += paper.check(setup)
    if said:
        raise UserError(f"{'; '.join(dict.fromkeys(said))}. Nothing was started.")


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _wrong(name: str, value: Any, usual: Any) -> Iterator[str]:
    if isinstance(usual, tuple):
        if usual and not value:
            yield "at least one is needed"
        for each in value:
            yield from _wrong(name, each, usual[0] if usual else each)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return
    elif math.isnan(value) or math.isinf(value):
        yield "is no number to calculate with"
    elif isinstance(usual, int) and value < min(1, usual):
        yield f"{min(1, usual)} or more"
    elif isinstance(usual, float) and any(word in name for word in SHARES) and not 0 <= value < 1:
        yield "0 or more, and below 1"
    elif isinstance(usual, float) and any(word in name for word in ABOVE_NOTHING) and usual > 0 and value <= 0:
        yield "above 0"
    elif isinstance(usual, float) and usual >= 0 and value < 0:
        yield "0 or more"


def one_of(what: str, name: str, known: Iterable[str]) -> None:
    """Raise UserError where a name is none of those that are known, with its neighbours."""
    known = list(known)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"near it: {', '.join(near)}" if near else f"there is {', '.join(known)}"
        raise UserError(f"There is no {what} {name!r}; {hint}.")
