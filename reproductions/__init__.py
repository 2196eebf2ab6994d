"""One script per paper. Each runs by itself (`python -m reproductions.<paper>`) and through `ferrepro run <paper>`."""

import dataclasses
import difflib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
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
    """What a script hands over: the suite's own by its name, one of PAPERS, any other by its path, which has a `/` or
    ends in `.py`. The script is imported when it is asked for.

    Raises UserError for a name that is not registered, and for a script that is not there or hands over no such paper.
    """
    if name.endswith(".py") or "/" in name:
        return _of_script(Path(name))
    where = f"reproductions/{name}.py"
    script = Path(__file__).parent.parent / where
    if name not in PAPERS:
        if script.is_file() and "\nPAPER =" in script.read_text():
            raise UserError(f"{where} is not registered: add {name!r} to PAPERS in reproductions/__init__.py.")
        near = difflib.get_close_matches(name, PAPERS, n=3)
        others = f"there is {', '.join(PAPERS)}; one of your own is run by the path of its script"
        raise UserError(f"There is no paper {name!r}; {'near it: ' + ', '.join(near) if near else others}.")
    if not script.is_file():
        raise UserError(f"PAPERS in reproductions/__init__.py names {name}, and there is no {where}.")
    try:
        module = importlib.import_module(f"reproductions.{name}")
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return _handed_over(module, where)


def _of_script(path: Path) -> "Paper":
    """The paper of a script outside the suite; a module beside it can be imported by it."""
    if not path.is_file():
        raise UserError(f"{path}: no such script.")
    if path.suffix != ".py" or not path.stem.isidentifier() or path.stem in PAPERS:
        raise UserError(f"{path}: a script ends in .py, and its name is an identifier that none of the suite's has.")
    if (known := sys.modules.get(path.stem)) is None or getattr(known, "__file__", None) != str(path.resolve()):
        sys.path.insert(0, str(path.resolve().parent))
        try:
            specification = importlib.util.spec_from_file_location(path.stem, path.resolve())
            known = importlib.util.module_from_spec(specification)
            sys.modules[path.stem] = known  # as `import` would, so that its dataclasses find themselves
            specification.loader.exec_module(known)
        except (Exception, SystemExit) as error:
            sys.modules.pop(path.stem, None)
            line = next((f"line {each.lineno}: " for each in reversed(traceback.extract_tb(error.__traceback__))), "")
            raise UserError(f"{path}: {line}{type(error).__name__}: {error}") from None
        finally:
            sys.path.remove(str(path.resolve().parent))
    return dataclasses.replace(_handed_over(known, str(path)), script=str(path))


def _handed_over(module: ModuleType, where: str) -> "Paper":
    """Its PAPER. Raises UserError where there is none, or one of another name."""
    from fer_common.experiment import Paper

    paper, name = getattr(module, "PAPER", None), Path(where).stem
    if not isinstance(paper, Paper):
        raise UserError(f"{where} hands over no `PAPER = experiment.Paper(…)`; docs/adding_a_paper.md has an example.")
    if paper.id != name:
        raise UserError(f"{where}: the id of its PAPER is {paper.id!r}; it has to be {name!r}, the name of the script.")
    return paper
