"""One script per paper. Each runs by itself (`python -m reproductions.<paper>`) and through `ferrepro run <paper>`."""

import difflib
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from fer_common import UserError

if TYPE_CHECKING:
    from fer_common.experiment import Paper

PAPERS = (
    "cnn_13_epochs",
    "resnet50_xgboost",
    "resnet50v2_vit",
    "multitask_lightweight",
    "mini_xception",
    "reference",
    "laboratory",
)


def load(name: str) -> "Paper":
    """What the script of that name, one of PAPERS, hands over; the script is imported when it is asked for.

    Raises UserError for a name that is not registered, and for a script that is not there or hands over no such paper.
    """
    where = f"reproductions/{name}.py"
    script = Path(__file__).parent.parent / where
    if name not in PAPERS:
        if script.is_file() and "\nPAPER =" in script.read_text():
            raise UserError(f"{where} is not registered: add {name!r} to PAPERS in reproductions/__init__.py.")
        near = difflib.get_close_matches(name, PAPERS, n=3)
        hint = f"near it: {', '.join(near)}" if near else f"there is {', '.join(PAPERS)}"
        raise UserError(f"There is no paper {name!r}; {hint}.")
    if not script.is_file():
        raise UserError(f"PAPERS in reproductions/__init__.py names {name}, and there is no {where}.")
    try:
        paper = getattr(importlib.import_module(f"reproductions.{name}"), "PAPER", None)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    if paper is None:
        raise UserError(f"{where} hands over no `PAPER = experiment.Paper(…)`; docs/adding_a_paper.md has an example.")
    if paper.id != name:
        raise UserError(f"{where}: the id of its PAPER is {paper.id!r}; it has to be {name!r}, the name of the script.")
    return paper
