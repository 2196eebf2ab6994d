"""FER+ (Barsoum et al. 2016): ten crowd votes for each image of FER2013, as `fer2013new.csv` of Microsoft's repository.

Its rows are those of FER2013's CSV in the same order. The numbers in its image names drift and are not used.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np

from fer_common import UserError
from fer_common.data.faces import USAGES, FaceData

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
# FER2013's label of the first seven columns; contempt, unknown and not-a-face have none.
LABEL_OF = np.array([6, 3, 5, 4, 0, 1, 2])
VOTE = re.compile("[0-9]{1,2}")  # ten people were asked
# Joined by row about two thirds of the pluralities agree with FER2013, joined wrongly a fifth.
AGREEMENT = 0.5
# Nothing longer is FER+: a hostile file is refused before it fills the memory.
LONGEST_LINE, MOST_ROWS = 1_000, 200_000


@dataclass(frozen=True)
class Votes:
    """counts: uint8 (N, 10), votes by the columns of VOTES, one row for each row of FER2013 in its order; named: bool
    (N,), whether FER+ gives the image a name, which it does not where it is no face."""

    counts: np.ndarray
    named: np.ndarray

    @property
    def plurality(self) -> np.ndarray:
        """int64 (N,): the FER2013 label with the most votes; −1 where there is a tie, or another column is ahead."""
        named = self.counts[:, : len(LABEL_OF)].astype(int)
        most = named.max(1)
        clear = ((named == most[:, None]).sum(1) == 1) & (most > self.counts[:, len(LABEL_OF) :].max(1))
        return np.where(clear, LABEL_OF[named.argmax(1)], -1)

    @property
    def tied(self) -> np.ndarray:
        """bool (N,): two or more columns share the most votes."""
        return (self.counts == self.counts.max(1, keepdims=True)).sum(1) > 1

    @property
    def not_a_face(self) -> np.ndarray:
        """bool (N,): `NF` has more votes than any other column."""
        return (self.counts[:, -1] > self.counts[:, :-1].max(1)) | (self.counts.sum(1) == 0)


def read(path: Path, data: FaceData) -> Votes:
    """The votes for the rows of `data`, whose row_id must be the row number of FER2013's CSV.

    Raises UserError where the file is not FER+, has other rows, or is joined wrongly, as its labels then show.
    """
    try:
        with path.open(newline="") as file:
            rows = list(csv.reader(_lines(path, file)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as FER+ ({error}); expected fer2013new.csv.") from None
    if not rows or tuple(rows[0]) != ("Usage", "Image name", *VOTES):
        raise UserError(f"{path}: its first row is not that of FER+; expected Usage, Image name, {', '.join(VOTES)}.")
    rows = rows[1:]
    if short := [number for number, row in enumerate(rows) if len(row) != 2 + len(VOTES)]:
        raise UserError(f"{path}: row {short[0] + 2} has {len(rows[short[0]])} columns; expected {2 + len(VOTES)}.")
    if len(rows) != len(data):
        raise UserError(f"{path}: {len(rows):,} rows of votes for {len(data):,} images; FER+ is about a whole FER2013.")
    usages = np.array([row[0] for row in rows])
    if (wrong := np.flatnonzero(usages != data.usage)).size:
        raise UserError(
            f"{path}: row {wrong[0] + 2} is {rows[wrong[0]][0]!r}, and the image in its place {data.usage[wrong[0]]} "
            f"(one of {', '.join(USAGES)}); the two are not in the same order."
        )
    for number, row in enumerate(rows, 2):
        if wrong := [vote for vote in row[2:] if not VOTE.fullmatch(vote)]:
            raise UserError(f"{path}: row {number} has {wrong[0][:20]!r} votes; expected a whole number from 0 to 99.")
    named = np.array([bool(row[1].strip()) for row in rows])
    votes = Votes(np.array([row[2:] for row in rows], np.uint8), named)
    clear = votes.plurality >= 0
    for usage in USAGES:
        own = clear & (data.usage == usage)
        agreement = (votes.plurality[own] == data.labels[own]).mean() if own.any() else 0.0
        if agreement < AGREEMENT:
            raise UserError(
                f"{path}: only {100 * agreement:.0f} % of its pluralities in {usage} are the label of the image in the "
                "same row; this FER2013 is in another order than the CSV that FER+ was made for."
            )
    return votes


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    """The lines of a file that may be FER+. Raises UserError where there are too many, or one is too long."""
    for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE + 1), ""), 1):
        if len(line) > LONGEST_LINE or number > MOST_ROWS:
            what = f"line {number:,} is longer than {LONGEST_LINE:,} characters"
            raise UserError(
                f"{path}: {what if number <= MOST_ROWS else f'has more than {MOST_ROWS:,} lines'}; not FER+."
            )
        yield line
