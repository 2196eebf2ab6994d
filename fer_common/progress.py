"""What a terminal is shown: a bar for work that takes longer than two seconds, sentences at its width."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator


def progress(items: Iterable, total: int, what: str) -> Iterator:
    """`items` as they come, and where they stand; nothing is printed into a pipe or a log."""
    if not total:
        return iter(items)
    from tqdm import tqdm

    return iter(tqdm(items, total=total, desc=what, disable=None, delay=2, dynamic_ncols=True, leave=False))


def wrapped(text: str, indent: str = "", hanging: str = "  ") -> str:
    """A sentence at the width of the terminal; in a pipe it stays one line."""
    if not sys.stdout.isatty():
        return indent + text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent + hanging, break_on_hyphens=False)
