"""What a run says when it ends: its accuracy by role, beside what the paper is known by."""

import numpy as np

from fer_common import UserError
from fer_common.records import Predictions, Record


def counts(usages: np.ndarray) -> str:
    """`PublicTest 3,589, Training 28,709`: how many of these rows, str (N,), are of each usage."""
    return ", ".join(f"{usage} {n:,}" for usage, n in zip(*np.unique(usages, return_counts=True)))


def text(record: Record, predictions: Predictions, further: dict[str, Predictions]) -> str:
    """Lines with the accuracy after the last epoch of each task, apart by role: scored, seen, fitted; then the claims.

    What selects is shown where nothing is scored: its accuracy is what such a protocol prints.
    """
    lines = []
    for task, own in {record.task: predictions, **further}.items():
        tested = np.isin(own.role, ("score", "seen")).any()
        lines.append(f"accuracy of {task} after epoch {own.epochs[-1]}:")
        for role in ("score", "seen", "fit") if tested else ("select", "fit"):
            rows = own.role == role
            if rows.any():
                right = np.mean(own.probabilities[-1][rows].argmax(1) == own.label[rows])
                lines.append(f"  {role:6} {100 * right:5.1f} % of {rows.sum():,}  ({counts(own.usage[rows])})")
    return "\n".join([*lines, *_claims(record)])


def _claims(record: Record) -> list[str]:
    """The headline claims for the system, or for the paper's other ones where it has none; [] without a claims file."""
    from fer_common import claims

    if not (claims.FOLDER / f"{record.paper}.yaml").exists():
        return []
    try:
        known_by = [claim for claim in claims.load(record.paper).all_claims() if claim.headline == "yes"]
    except UserError as error:  # a run that is whole does not fail for it
        return [f"warning: {error}"]
    known_by = [claim for claim in known_by if claim.system == record.system] or known_by
    if not known_by:
        return []
    whole = record.preset in ("full", "reduced") and record.data["source"] == "fer2013"
    said = [
        f"  {claim.system}: {claim.metric} {claim.value}{' %' if claim.unit == 'percent' else ''}"
        f" on {'images that it does not name' if claim.images == 'unstated' else claim.images} ({claim.where})"
        for claim in known_by
    ]
    return [f"{record.paper} prints:" if whole else f"{record.paper} prints, of other runs than this one:", *said]
