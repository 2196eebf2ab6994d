"""A bar for work that takes longer than two seconds, on a terminal alone."""

from collections.abc import Iterable, Iterator


def progress(items: Iterable, total: int, what: str) -> Iterator:
    """`items` as they come, and where they stand; nothing is printed into a pipe or a log."""
    if not total:
        return iter(items)
    from tqdm import tqdm

    return iter(tqdm(items, total=total, desc=what, disable=None, delay=2, dynamic_ncols=True, leave=False))
