"""Can the printed numbers be true? Arithmetic on a claims file, claim by claim, before anyone trains anything.

No check knows a paper. A number is `inconsistent` only where it is infeasible under every reading that the paper does
not exclude; which one it needs otherwise is said. Numbers are inconsistent; people are not.
"""

import csv
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

from fer_common.audit.checks import CHECKS
from fer_common.audit.finding import MATTERS, VERDICTS, Finding
from fer_common.audit.printed import ROUNDINGS, Rounding
from fer_common.claims import ClaimsFile
from fer_common.files import write_whole
from fer_common.progress import cell, plain, wrapped


def audit(file: ClaimsFile) -> list[Finding]:
    """Every check on every item of a claims file, in the order of CHECKS."""
    known_by = [claim for claim in file.all_claims() if claim.headline == "yes"]
    numbers, systems = {claim.id for claim in known_by}, {claim.system for claim in known_by}
    items = (*file.all_claims(), *file.reports, *file.matrices, *file.curves)
    theirs = {item.id for item in items if item.system in systems}
    found = []
    for check in CHECKS:
        for finding in _plain_or_copied(check, file):
            about = set(finding.about)
            near = 0 if about & numbers else 1 if about & theirs else 2
            found.append(replace(finding, matters=MATTERS[near]))
    return found


COPIED: dict[Rounding, str] = {
    "rounded twice": "some of the numbers were rounded twice, to more digits before",
    "cut after rounding": "some of the numbers were cut after they had been rounded to more digits",
}


def _plain_or_copied(check, file: ClaimsFile) -> list[Finding]:
    """What a check finds with numbers that were rounded once or cut; what is inconsistent then is asked for again with
    numbers that were rounded, typed, and rounded or cut again."""
    found = list(check(file, ROUNDINGS))
    for rounding, condition in COPIED.items():
        before = Counter((f.check, f.about) for f in found if f.verdict == "inconsistent")
        if not before:
            break
        again = [f for f in check(file, (*ROUNDINGS, rounding)) if f.verdict == "inconsistent"]
        still = Counter((f.check, f.about) for f in again)
        found = [
            replace(f, verdict="consistent only if", condition=condition)
            if f.verdict == "inconsistent" and still[f.check, f.about] < before[f.check, f.about]
            else f
            for f in found
        ]
    return found


def summary(file: ClaimsFile, found: list[Finding]) -> str:
    """One paragraph: how many findings of each kind, and the gravest of four checks in words."""
    numbers = ", ".join(f"{n} {verdict}" for verdict in VERDICTS if (n := sum(f.verdict == verdict for f in found)))
    grave = [f for f in found if f.verdict in VERDICTS[:2] or (f.verdict == "warning" and f.matters == MATTERS[0])]
    grave.sort(key=lambda f: (VERDICTS.index(f.verdict), MATTERS.index(f.matters)))
    by_check = {f.check: f for f in reversed(grave)}  # the gravest of each check
    said = " ".join(f"{f.sentence()}." for f in [f for f in grave if by_check[f.check] is f][:4])
    if not found:
        return plain(f"{file.paper}: no number is printed that could be checked.")
    return wrapped(f"{file.paper}: {numbers}. {said}".strip())


LISTED = 8


def told(file: ClaimsFile, found: list[Finding], verbose: bool) -> str:
    """The findings of one file line by line, the gravest first: all with their numbers, or the first in a sentence."""
    counted = ", ".join(f"{n} {verdict}" for verdict in VERDICTS if (n := sum(f.verdict == verdict for f in found)))
    lines = [plain(f"{file.paper}: {counted or 'no number is printed that could be checked'}")]
    ordered = sorted(found, key=lambda f: (VERDICTS.index(f.verdict), MATTERS.index(f.matters)))
    grave = [finding for finding in ordered if finding.verdict != "consistent"]
    shown = ordered if verbose else (grave or ordered)[:LISTED]
    for finding in shown:
        lines.append(wrapped(f"{finding.verdict}: {finding.says}", "  "))
        about = f"{', '.join(finding.about)} ({finding.check}; {finding.matters})"
        for name, said, always in (
            ("about: ", about, False),
            ("numbers: ", finding.evidence, False),
            ("only if ", finding.condition, True),
            ("would settle it: ", finding.settle, False),
            ("not compared: ", finding.uncompared, True),
        ):
            if said and (always or verbose):
                lines.append(wrapped(name + said, "    "))
    if len(shown) < len(found):
        lines.append(f"  and {len(found) - len(shown)} more; --verbose has them, and the numbers behind each")
    return "\n".join(lines)


COLUMNS = (
    "paper", "check", "verdict", "about", "matters", "says", "evidence", "condition", "settle", "uncompared"
)  # fmt: skip


def rows(file: ClaimsFile, found: list[Finding]) -> list[dict[str, str]]:
    """The findings as rows of a table, the gravest first."""
    return [
        {"paper": file.paper}
        | {name: getattr(finding, name) for name in COLUMNS[1:]}
        | {"about": ", ".join(finding.about)}
        for finding in sorted(found, key=lambda f: (VERDICTS.index(f.verdict), MATTERS.index(f.matters)))
    ]


def write(found: list[dict[str, str]], folder: Path) -> None:
    """`rows` as audit.csv and audit.md in `folder`."""
    from tabulate import tabulate

    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    write_whole(folder / "audit.csv", table.getvalue())
    cells = [[cell(value) for value in row.values()] for row in found]
    readable = tabulate(cells, COLUMNS, "pipe", disable_numparse=True)
    write_whole(folder / "audit.md", readable + "\n")
