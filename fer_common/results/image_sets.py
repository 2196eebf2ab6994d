"""Which images a number is about, and what they were to the run: as data. Its printed name is made in `render`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fer_common.data import USAGES
from fer_common.data.utkface import PARTS
from fer_common.records import Predictions
from fer_common.splits import ROLES

Of = Literal["images", "out_of_fold", "each_fold", "running"]
Subset = Literal["", "without_twins", "named_by_ferplus"]
EVERY_USAGE = (*USAGES, *PARTS)


@dataclass(frozen=True, order=True)
class ImageSet:
    """The images of some usages that had some roles.

    usages: in the order of the data set; of UTKFace its parts. roles: in the order of `splits.ROLES`.
    of: `images`; `out_of_fold`: each as the one fold that held it out saw it; `each_fold`: all by the network of each
    fold, whose scores are averaged; `running`: no predictions, but the metric that Keras keeps as it trains, with
    dropout.
    pooled: the split drew from these usages together, so that they mean nothing apart.
    subset: all of them, or one that has a name: `without_twins`, those of PrivateTest that have no twin in Training;
    `named_by_ferplus`, those that FER+ names.
    """

    usages: tuple[str, ...]
    roles: tuple[str, ...]
    of: Of = "images"
    pooled: bool = False
    subset: Subset = ""

    @property
    def held_out(self) -> bool:
        """Whether no part of the system was fitted on any of its images."""
        return not {"fit", "seen"} & set(self.roles)

    @property
    def honest(self) -> bool:
        """Whether it is PrivateTest, whole and scored, by one network or by that of each fold."""
        return self in (HONEST, HONEST_EACH_FOLD)

    def rows(self, predictions: Predictions) -> np.ndarray:
        """bool (N,): its rows."""
        found = np.isin(predictions.usage, self.usages) & np.isin(predictions.role, self.roles)
        if predictions.of_folds is not None:
            found &= predictions.of_folds == self.of
        return found & predictions.subsets[self.subset] if self.subset else found


HONEST = ImageSet(("PrivateTest",), ("score",))
"""The images of an honest score: whole, and no part of the system was fitted or selected on them."""
HONEST_EACH_FOLD = replace(HONEST, of="each_fold")


def of_predictions(predictions: Predictions) -> list[ImageSet]:
    """Each usage with the roles of its rows, and each role apart where it has several.

    Where more than one usage is fitted (or out of fold), these were pooled, and the roles alone tell the sets apart.
    Usages that are scored alike, or select alike, are one further set, and so is PrivateTest without the images that
    have a twin in Training, where the twins are known. Of somebody else's model, whose roles nobody else knows, the
    merged test and those that FER+ names are sets too: papers and releases print numbers of both.
    """
    drawn_from = _drawn_from(predictions)
    pooled = drawn_from if len(drawn_from) > 1 else ()
    apart = [usage for usage in EVERY_USAGE if usage not in pooled and (predictions.usage == usage).any()]
    found = list(_by_role(predictions, pooled, pooled=True)) if pooled else []
    for usage in reversed(apart):
        found += _by_role(predictions, (usage,))
    without_twins = predictions.subsets.get("without_twins")
    if without_twins is not None and "PrivateTest" in apart and not without_twins.all():
        found += _by_role(predictions, ("PrivateTest",), subset="without_twins")
    role_of = {usage: set(predictions.role[predictions.usage == usage]) for usage in apart}
    for role in ("score", "select"):
        alike = tuple(usage for usage in apart if role_of[usage] == {role})
        if len(alike) > 1 and predictions.of_folds is None:
            found.append(ImageSet(alike, (role,)))
    tests = tuple(usage for usage in USAGES[1:] if role_of.get(usage) == {"unknown"})
    if len(tests) > 1:
        found.append(ImageSet(tests, ("unknown",)))
        if "named_by_ferplus" in predictions.subsets:
            found += [ImageSet((usage,), ("unknown",), subset="named_by_ferplus") for usage in tests]
    return found


def of_protocol(predictions: Predictions) -> dict[str, ImageSet]:
    """What the protocol scores (`scored`), what of it nothing was fitted on (`unseen`), and what was `fitted`.

    Where the split drew from several usages, one that it keeps aside from all folds is no part of what it scores. A
    protocol that keeps usages apart and scores none of them scores those that select.
    """
    drawn_from = _drawn_from(predictions)
    pooled = len(drawn_from) > 1
    folded = predictions.of_folds is not None
    selected_on_test = folded or (not pooled and not np.isin(predictions.role, ("score", "seen")).any())
    wanted = {
        "scored": ("score", "select") if selected_on_test else ("score", "seen"),
        "unseen": ("score",),
        "fitted": ("fit",),
    }
    # Where nothing is held out of what was pooled, the usage that is kept aside is what it scores.
    scored = np.isin(predictions.role, wanted["scored"])
    held_out = bool((scored & np.isin(predictions.usage, drawn_from)).any()) or not scored.any()
    found = {}
    for name, roles in wanted.items():
        together = pooled and (held_out or name == "fitted")
        there = np.isin(predictions.role, roles) & np.isin(predictions.usage, drawn_from if together else EVERY_USAGE)
        if folded:
            there &= predictions.of_folds == "out_of_fold"
        if there.any():
            usages = drawn_from if together else _present(EVERY_USAGE, predictions.usage[there])
            of: Of = "out_of_fold" if folded else "images"
            found[name] = ImageSet(usages, _present(ROLES, predictions.role[there]), of, together)
    return found


def tested(sets: Iterable[ImageSet]) -> list[ImageSet]:
    """Those that are whole, that nothing was fitted on, and that are scored; where none is, those that select."""
    whole = [own for own in sets if own.held_out and not own.subset and own.of != "running"]
    return [own for own in whole if "score" in own.roles] or [own for own in whole if "select" in own.roles]


def _drawn_from(predictions: Predictions) -> tuple[str, ...]:
    """The usages that were fitted on, or that folds held out in turn."""
    drawn = predictions.role == "fit"
    if predictions.of_folds is not None:
        drawn = drawn | (predictions.of_folds == "out_of_fold")
    return _present(EVERY_USAGE, predictions.usage[drawn])


def _present(names: tuple[str, ...], values: np.ndarray) -> tuple[str, ...]:
    """Those of `names` that occur among `values`, in their order."""
    there = set(values)
    return tuple(name for name in names if name in there)


def _by_role(
    predictions: Predictions, usages: tuple[str, ...], *, pooled: bool = False, subset: Subset = ""
) -> Iterator[ImageSet]:
    """All images of the usages unless they are pooled, and each role apart where there are several."""
    rows = np.isin(predictions.usage, usages)
    if subset:
        rows &= predictions.subsets[subset]
    kinds: list[Of] = (
        ["images"] if predictions.of_folds is None else sorted(set(predictions.of_folds[rows].tolist()), reverse=True)
    )
    parts = [
        (role, of)
        for of in kinds
        for role in _present(ROLES, predictions.role[rows if of == "images" else rows & (predictions.of_folds == of)])
    ]
    roles = tuple(role for role, _ in parts)
    if len(parts) == 1 or (parts and not pooled):
        yield ImageSet(usages, roles, parts[0][1], pooled, subset)
    if len(parts) > 1:
        for role, of in parts:
            yield ImageSet(usages, (role,), of, pooled, subset)
    if pooled and {"score", "seen"} <= set(roles):
        yield ImageSet(usages, ("score", "seen"), "images", pooled)
