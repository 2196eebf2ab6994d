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
    says: str
    """In one sentence without its full stop, for an editor."""
    evidence: str = ""
    """The numbers behind it, for a referee to paste."""
    condition: str = ""
    """Of `consistent only if`: what must hold."""
    settle: str = ""
    """What would settle it."""
    uncompared: str = ""
    """What could not be held against it, and why."""
    matters: str = ""
    """How near it is to what the paper concludes, of MATTERS."""

    def sentence(self) -> str:
        """What it says, and under which condition that can be true."""
        return self.says + (f"; consistent only if {self.condition}" if self.condition else "")
