"""The answer to each headline claim: what honest runs give, what does give the printed number, what the audit says."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fer_common import audit
from fer_common.audit.finding import VERDICTS, Finding
from fer_common.claims import Claim, ClaimsFile, Hypothesis
from fer_common.results import render
from fer_common.results.image_sets import HONEST_EACH_FOLD, ImageSet
from fer_common.results.tables import MAIN_PRESETS

NEAR = 0.02  # what comes so near to a printed number gives it
FLAGS = ("undertrained", "reduced")
RULES = f"""\
How an answer is reached. Of a headline claim of an accuracy, every row of `comparison` counts that full or reduced runs
on FER2013 have. A row gives the printed number where it lies within {100 * NEAR:.0f} points of it. Of several that do,
images that nothing was fitted on come before others, then images that chose no epoch, then an accuracy before a mean of
one-vs-rest accuracies, then the nearest. The images of that row name the answer:

- `holds`: nothing was fitted on them, and they chose nothing; `holds on the images that chose its epoch`: they did;
  `holds read as a mean one-vs-rest accuracy`: the number is no accuracy as the word is meant.
- `only with training images among the scored`, `only on images that it was trained on`: no others give it.
- `not reached`: no row gives it. `open`: no row does, but the honest runs are reduced or undertrained, or missing.

“Honest” is the row under `official` on the whole of PrivateTest. Where a paper leaves several open (readings, weights
to begin with), it is the highest, in the claim's favour; full setups come before reduced ones. Of folds it is the mean
of their networks' scores. A claim without a number has the verdict on the difference of two systems (below). An answer
says whether a number is met at all; the verdict of a row asks whether it lies within what chance allows.
"""


@dataclass(frozen=True)
class Answer:
    """One headline claim, or one sentence without a number, and what is known of it."""

    file: ClaimsFile
    claim: Claim | Hypothesis
    honest: pd.Series | None
    """The row of `comparison` of the best honest runs: under `official`, on PrivateTest, which nothing has seen."""
    gives: pd.Series | None
    """The row that comes nearest to the printed number, where one does: on images that nothing has seen rather than on
    others."""
    finding: Finding | None
    """The gravest that concerns the claim; None where all that could be checked is consistent."""
    n_findings: int

    @property
    def paper(self) -> str:
        return cited(self.file)

    @property
    def printed(self) -> str:
        """`83.2 % on test images`."""
        if isinstance(self.claim, Hypothesis):
            return f"no number: {self.claim.says}"
        on = {"unstated": "unnamed images"}.get(self.claim.images, f"{self.claim.images} images")
        value = self.claim.printed if self.claim.unit == "percent" else f"{100 * self.claim.number:g} %"
        of = self.file.systems[self.claim.system]
        several = len({c.system for c in self.file.all_claims() if c.headline == "yes"}) > 1
        return f"{value} on {on}" + (f" ({re.split(r'[;,]| of | with ', of)[0]})" if several else "")

    @property
    def honest_says(self) -> str:
        """`57.4 [55.4, 59.5] %, 5 seeds`, and whether that is of reduced or undertrained runs."""
        if self.honest is None:
            return "not run"
        found, n = render.reproduced(self.honest), int(self.honest["n_runs"])
        unit = " points" if isinstance(self.claim, Hypothesis) else " %"
        seeds = f"{n} seed{'s' * (n != 1)}"
        return ", ".join([found + unit, seeds, *self.flags])

    @property
    def flags(self) -> list[str]:
        """What else has to be known of the honest runs."""
        row = self.honest
        if row is None:
            return []
        said = [flag for flag in FLAGS if flag in str(row["notes"]) or row["preset"] == flag]
        one = [part for part in str(row["notes"]).split("; ") if part.endswith("alone")]
        own = row["image_set"]
        each = ["mean of the folds' networks"] if own == HONEST_EACH_FOLD else []
        return said + one + each

    @property
    def gives_says(self) -> str:
        """`83.6 % on all of Training, of which most was fitted`."""
        if isinstance(self.claim, Hypothesis):
            return ""
        if self.gives is None:
            return "nothing that was run"
        read = " read as a mean one-vs-rest accuracy" * (self.gives["average"] == "mean one-vs-rest")
        return f"{render.percent(self.gives['reproduced'])} %{read} on {render.words_of(self.gives['image_set'])}"

    @property
    def audit_says(self) -> str:
        if self.finding is None:
            return "what could be checked is consistent" if self.n_findings else "no number to check"
        return self.finding.sentence()

    @property
    def says(self) -> str:
        """The answer in a few words."""
        if isinstance(self.claim, Hypothesis):
            return "not run" if self.honest is None else str(self.honest["verdict"])
        gives = self.gives
        if gives is not None and gives["image_set"].held_out and "select" not in gives["image_set"].roles:
            read = " read as a mean one-vs-rest accuracy" * (gives["average"] != "none")
            return f"holds{read}"
        if gives is not None and gives["image_set"].held_out:
            return "holds on the images that chose its epoch" + ("; honest: not run" if self.honest is None else "")
        if gives is not None and "fit" in gives["image_set"].roles and len(gives["image_set"].roles) > 1:
            return "only with training images among the scored"
        if gives is not None:
            return "only on images that it was trained on"
        if self.honest is None:
            return "open: not run"
        short = [flag for flag in FLAGS if flag in self.flags]
        return f"open: our runs are {' and '.join(short)}" if short else "not reached"


def cited(file: ClaimsFile) -> str:
    """`Arriaga et al. 2017`; `unknown authors (cnn_13_epochs)` where our copy names none."""
    names = [name.strip() for name in (file.reference.authors or "").split(",") if name.strip()]
    if not names:
        return f"unknown authors ({file.paper})"
    families = [name.split()[-1] if len(name.split()[-1]) > 2 else name for name in names]
    who = families[0] if len(names) == 1 else " and ".join(families) if len(names) == 2 else f"{families[0]} et al."
    return f"{who} {file.reference.year}" if file.reference.year else f"{who} (no year)"


def answers(comparison: pd.DataFrame, files: Sequence[ClaimsFile]) -> list[Answer]:
    """The answer to every headline claim of an accuracy and every headline hypothesis, in the order of the files."""
    shown = comparison[comparison["preset"].isin(MAIN_PRESETS) & (comparison["source"] == "fer2013")]
    found = []
    for file in files:
        findings = audit.audit(file)
        for claim in file.all_claims():
            if claim.headline == "yes" and claim.metric == "accuracy":
                own = shown[(shown["paper"] == file.paper) & (shown["claim_id"] == claim.id)]
                gravest = _gravest(file, claim, findings)
                found.append(Answer(file, claim, _honest(own), _gives(own), gravest, len(findings)))
        for said in file.hypotheses:
            if said.headline == "yes":
                own = shown[(shown["paper"] == file.paper) & (shown["claim_id"] == said.id)]
                row = own.iloc[0] if len(own) else None
                found.append(Answer(file, said, row, None, None, len(findings)))
    return found


def _honest(rows: pd.DataFrame) -> pd.Series | None:
    rows = rows[(rows["protocol"] == "official") & (rows["average"] == "none")]
    rows = rows[[isinstance(own, ImageSet) and own.honest for own in rows["image_set"]]]
    # Whole setups before reduced ones; of readings and of what a network begins with, the best.
    return (
        rows.assign(whole=rows["preset"] == "full").sort_values(["whole", "reproduced"]).iloc[-1] if len(rows) else None
    )


def _gives(rows: pd.DataFrame) -> pd.Series | None:
    rows = rows[rows["gap"].abs() <= NEAR]
    if not len(rows):
        return None
    rows = rows.assign(
        fitted=[not own.held_out for own in rows["image_set"]],
        chosen=["select" in own.roles for own in rows["image_set"]],
        another=rows["average"] != "none",
        apart=rows["gap"].abs().round(3),
    )
    return rows.sort_values(["fitted", "chosen", "another", "apart"]).iloc[0]


def _gravest(file: ClaimsFile, claim: Claim, findings: Sequence[Finding]) -> Finding | None:
    """Of what concerns the claim, or another accuracy of its system on the same images: the gravest, and of those
    alike the one that concerns the most of the paper. The band says what the table says anyway, and comes last."""
    alike = {c.id for c in file.claims if (c.system, c.metric, c.images) == (claim.system, claim.metric, claim.images)}
    alike.add(claim.id)
    own = [f for f in findings if alike & set(f.about) and f.verdict not in ("consistent", "not applicable")]
    own.sort(key=lambda f: (f.check == "band", VERDICTS.index(f.verdict), f.check == "statements", -len(f.about)))
    return own[0] if own else None


def text(found: Sequence[Answer]) -> str:
    """The answers for a terminal, a paragraph each."""
    lines = []
    for each in found:
        gives = f" {each.gives_says} gives the printed number." if each.gives is not None else ""
        lines.append(f"{each.paper}: {each.printed}. Honest, on PrivateTest: {each.honest_says}.{gives} {each.says}.")
    return "\n\n".join(lines)


def latex(found: Sequence[Answer]) -> str:
    """The answers as a table for a paper, as wide as a page (booktabs)."""
    signs = {"%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "`": ""}

    def cell(value: str) -> str:
        return "".join(signs.get(sign, sign) for sign in value)

    lines = [r"\begin{tabular}{@{}p{.2\linewidth}p{.18\linewidth}p{.24\linewidth}p{.28\linewidth}@{}}", r"\toprule"]
    lines += [r"Paper & Printed & Honest, on PrivateTest & What gives the printed number \\", r"\midrule"]
    for each in found:
        cells = (each.paper.partition(" (")[0], each.printed, each.honest_says, each.gives_says)
        lines.append(" & ".join(map(cell, cells)) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"])


def conclusion(found: Sequence[Answer]) -> str:
    """How many headline claims have which answer, in a sentence."""
    kinds = {  # by how an answer begins, the longer beginnings first
        "holds on": ("holds only on images that chose its epoch", "hold only on images that chose their epoch"),
        "holds read": ("holds read as another metric", "hold read as another metric"),
        "holds": ("holds", "hold"),
        "only": ("is met by scoring training images alone", "are met by scoring training images alone"),
        "not reached": ("is met by nothing that ran", "are met by nothing that ran"),
        "open": ("is open", "are open"),
        "contradicted": ("is contradicted", "are contradicted"),
        "supported": ("is supported", "are supported"),
        "": ("is undecided", "are undecided"),
    }
    counted = Counter(next(kind for kind in kinds if each.says.startswith(kind)) for each in found)
    said = [f"{counted[kind]} {kinds[kind][counted[kind] != 1]}" for kind in kinds if counted[kind]]
    papers = len({each.file.paper for each in found})
    counts = f"{len(found)} headline claim{'s' * (len(found) != 1)} of {papers} paper{'s' * (papers != 1)}"
    return f"Of {counts}, {', and '.join(filter(None, [', '.join(said[:-1]), *said[-1:]]))}."


def table(found: Sequence[Answer]) -> pd.DataFrame:
    """The answers as data, a row each."""
    rows = []
    for each in found:
        row: dict[str, Any] = {
            "paper": each.file.paper,
            "cited": each.paper,
            "claim_id": each.claim.id,
            "printed": each.printed,
        }
        for name, own in (("honest", each.honest), ("gives", each.gives)):
            values = [own[key] for key in ("reproduced", "low", "high", "n_runs")] if own is not None else [None] * 4
            row |= dict(zip((name, f"{name} low", f"{name} high", f"{name} seeds"), values))
            row[f"{name} system"] = "" if own is None else own["system"]
            row[f"{name} protocol"] = "" if own is None else own["protocol"]
            row[f"{name} on"] = "" if own is None else render.words_of(own["image_set"])
        row |= {"flags": "; ".join(each.flags), "audit": each.audit_says, "answer": each.says}
        rows.append(row)
    return pd.DataFrame(rows)
