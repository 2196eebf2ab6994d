"""What a check says."""

from dataclasses import dataclass
from typing import Literal, get_args

Verdict = Literal["inconsistent", "consistent only if", "warning", "consistent", "not applicable"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""The gravest first."""

MATTERS = ("a headline number", "the headline system", "other numbers")


@dataclass(frozen=True)
class Finding:
    """What one check says of one or several printed items."""

    check: str
    about: tuple[str, ...]
    """Ids in the claims file."""
    verdict: Verdict
    evidence: str
    """With its numbers, for a referee to paste."""
    condition: str = ""
    """Of `consistent only if`: what must hold."""
    settle: str = ""
    """What would settle it."""
    matters: str = ""
    """How near it is to what the paper concludes, of MATTERS."""

    def sentence(self) -> str:
        """Verdict, items and evidence in one sentence without its full stop."""
        condition = f"; consistent only if {self.condition}" if self.condition else ""
        verdict = self.verdict if not condition else ""
        about = ", ".join(self.about[:3]) + (f" and {len(self.about) - 3} more" if len(self.about) > 3 else "")
        return f"{about}: {verdict + ', ' if verdict else ''}{self.evidence}{condition}"
