"""Matplotlib without a window, imported where it is used; pictures written whole."""

import io
from pathlib import Path

from fer_common.files import write_whole


def pyplot():
    """`matplotlib.pyplot` on a backend that writes files alone."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    return plt


def save(figure, path: Path, dpi: int) -> None:
    """Put the figure at `path`, in the form that its ending names, and close it."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dpi, format=Path(path).suffix[1:] or "png")
    write_whole(Path(path), picture.getvalue())
    pyplot().close(figure)
