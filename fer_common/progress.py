"""What a reader is shown: a bar for work that takes longer than two seconds, sentences at a terminal's width, and
somebody else's text without what a terminal or a page would obey."""

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence


def progress(items: Iterable, total: int, what: str) -> Iterator:
    """`items` as they come, and where they stand; nothing is printed into a pipe or a log."""
    if not total:
        return iter(items)
    from tqdm import tqdm

    return iter(tqdm(items, total=total, desc=what, disable=None, delay=2, dynamic_ncols=True, leave=False))


# Control characters, the separators that are line ends to some, what turns the direction of writing, half characters.
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: object) -> str:
    """For a terminal: control characters and the like stand there as their escapes, lines and tabs stay."""
    return OBEYED.sub(lambda match: match[0].encode("unicode_escape").decode(), str(text))


def say(text: object = "", error: bool = False) -> None:
    """Print what may hold somebody else's text."""
    print(plain(text), file=sys.stderr if error else sys.stdout, flush=True)


def cell(value: object) -> str:
    """For a cell of a Markdown table: what would end a cell or a line, begin a tag or steer a terminal is escaped."""
    text = str(value).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return " ".join(plain(" ".join(text.split())).split())


def wrapped(text: str, indent: str = "", hanging: str = "  ") -> str:
    """A sentence at the width of the terminal; in a pipe it stays one line."""
    text = plain(text)
    if not sys.stdout.isatty():
        return indent + text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent + hanging, break_on_hyphens=False)


NARROWEST = 9  # columns of a cell that is broken over lines


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a table that fits the terminal: the widest columns are broken over lines. In a pipe a row is a line."""
    from tabulate import tabulate

    shown = [{name: "" if value is None else plain(value) for name, value in row.items()} for row in rows]
    names = list(dict.fromkeys(name for row in shown for name in row))
    widths = {name: max([len(name), *(len(row.get(name, "")) for row in shown)]) for name in names}
    if sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - 2 * (len(names) - 1)
        while sum(widths.values()) > room and max(widths.values()) > NARROWEST:
            widths[max(widths, key=lambda name: widths[name])] -= 1
    cells = [
        [textwrap.fill(row.get(name, ""), widths[name], break_on_hyphens=False) for name in names] for row in shown
    ]
    heads = [textwrap.fill(name, widths[name]) for name in names]
    return tabulate(cells, heads, tablefmt="simple", disable_numparse=True)
