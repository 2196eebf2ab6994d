"""Matplotlib without a window, imported where it is used; pictures written whole."""

import io
from pathlib import Path

from fer_common import UserError
from fer_common.files import write_whole


def pyplot():
    """`matplotlib.pyplot` on a backend that writes files alone."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    return plt


def check(path: Path) -> None:
    """Raise UserError where no picture can be written in the form that the ending of `path` names."""
    forms = pyplot().gcf().canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:].lower() not in forms:
        known = ", ".join(f".{form}" for form in sorted(forms))
        raise UserError(f"{path}: no picture is written as {path.suffix}; expected {known}.")


def save(figure, path: Path, dpi: int) -> None:
    """Put the figure at `path`, in the form that its ending names, and close it. An SVG keeps its text as text, and is
    the same whenever it is drawn."""
    import matplotlib

    picture, form = io.BytesIO(), Path(path).suffix[1:] or "png"
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ferrepro"}):
        figure.savefig(picture, dpi=dpi, format=form, metadata={"Date": None} if form == "svg" else None)
    write_whole(Path(path), picture.getvalue())
    pyplot().close(figure)


def save_both(figure, path: Path, dpi: int) -> None:
    """The figure as PNG at `path`, and as SVG beside it."""
    save(figure, path.with_suffix(".svg"), dpi)
    save(figure, path, dpi)
