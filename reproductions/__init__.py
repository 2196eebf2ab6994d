"""One script per paper. Each runs by itself (`python -m reproductions.<paper>`) and through `ferrepro run <paper>`."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fer_common.experiment import Paper

PAPERS = ("cnn_13_epochs", "resnet50_xgboost", "resnet50v2_vit", "multitask_lightweight")


def load(name: str) -> "Paper":
    """What the script of that name, one of PAPERS, hands over; the script is imported when it is asked for."""
    return importlib.import_module(f"reproductions.{name}").PAPER
