"""What a run says when it ends: its accuracy by role, beside what the paper is known by."""

import numpy as np

from fer_common import UserError
from fer_common.progress import wrapped
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
    return "\n".join([*lines, *_claims(record, predictions)])


def _claims(record: Record, predictions: Predictions) -> list[str]:
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
    yours = _yours(predictions)
    return [
        *([] if whole else [f"{record.paper} prints, of other runs than this one:"]),
        *(_said(claim, known_by, yours if whole else "") for claim in known_by),
    ]


def _said(claim, known_by: list, yours: str) -> str:
    """`83.2 % is claimed on test images (3.3); you got 57.0 % [55.3, 58.6] on PrivateTest.`"""
    of = f" of {claim.system}" if len({each.system for each in known_by}) > 1 else ""
    on = "images that it does not name" if claim.images == "unstated" else f"{claim.images} images"
    metric = "" if claim.metric == "accuracy" else f"{claim.metric} "
    return wrapped(
        f"{metric}{claim.printed} is claimed{of} on {on} ({claim.where})" + (f"; {yours}." if yours else ".")
    )


def _yours(predictions: Predictions) -> str:
    """What a run got on what it had not seen, or watched where there is nothing unseen; and on what it was fitted on,
    apart and, where the same part holds other images, together with them."""
    right = predictions.probabilities[-1].argmax(1) == predictions.label
    role, usage = predictions.role, predictions.usage
    unseen = (role == "score") & (usage == "PrivateTest")
    unseen = unseen if unseen.any() else role == "score"
    where = " and ".join(dict.fromkeys(usage[unseen])) if unseen.any() else "the images that chose its epoch"
    unseen = unseen if unseen.any() else role == "select"
    said = []
    if unseen.any():
        share, n = right[unseen].mean(), unseen.sum()
        half = 1.96 * np.sqrt(share * (1 - share) / n)
        said.append(f"you got {100 * share:.1f} % [{100 * (share - half):.1f}, {100 * (share + half):.1f}] on {where}")
    fitted = role == "fit"
    if fitted.any():
        said.append(f"{100 * right[fitted].mean():.1f} % on the images that it was fitted on")
        together = np.isin(usage, np.unique(usage[fitted]))
        if (together & ~fitted).any() and len(np.unique(usage[fitted])) == 1:
            said.append(f"{100 * right[together].mean():.1f} % on all of {usage[fitted][0]}, those among them")
    return ", ".join(said[:-1]) + (", and " if len(said) > 1 else "") + said[-1] if said else ""
