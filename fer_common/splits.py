"""Who trains, who selects, who is scored: every split gives each row of the data its role.

Roles are strings in an array beside the rows: `fit` (trained on), `select` (watched while training: early stopping,
choice of epoch or setting), `score` (never seen before its prediction counts), `seen` (scored, although a part of the
system was fitted on it: an extractor, a scaler, a copy of the image) and `unused`; no split gives `unknown`, which is
for somebody else's model, of which only its author knows what it was fitted on. A split that keeps `identical` images
together never puts two rows with the same pixels on both sides; one that keeps images together that are `alike`, nor
two whose perceptual hashes are near.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from fer_common import UserError
from fer_common.data import EMOTIONS, USAGES, FaceData

ROLES = ("fit", "select", "score", "seen", "unused", "unknown")
FOLDS = 5
_ROLE_DTYPE = "<U6"
Together = Literal["identical", "alike"]
"""Which images stay on one side: a field of FaceData that numbers them."""


def official(data: FaceData, *, together: Together | None = None) -> np.ndarray:
    """Roles (N,): fit on Training, select on PublicTest, score PrivateTest, as the 2013 contest was run.

    together: twins of a scored row (or, to be fitted, of a selected one) become `unused`.
    """
    if missing := [usage for usage in USAGES if not (data.usage == usage).any()]:
        raise UserError(
            f"The official protocol needs all three usages, and {data.origin} has no {' and no '.join(missing)}; "
            "use fer2013.csv or icml_face_data.csv, which hold them all."
        )
    role = dict(zip(USAGES, ("fit", "select", "score")))
    roles = np.array([role[usage] for usage in data.usage], _ROLE_DTYPE)
    return _without_twins(data, roles, together) if together else roles


def _without_twins(data: FaceData, role: np.ndarray, together: Together) -> np.ndarray:
    """Roles in which no fitted row is a twin of a selected or scored one, and no selected row of a scored one."""
    role, number = role.copy(), getattr(data, together)
    for kept, dropped in (("score", ("fit", "select")), ("select", ("fit",))):
        role[np.isin(role, dropped) & np.isin(number, number[role == kept])] = "unused"
    return role


def hold_out(
    data: FaceData,
    usages: Sequence[str] = USAGES,
    *,
    fraction: float = 0.2,
    seed: int,
    together: Together | None = None,
    held_out: str = "score",
    others: str = "score",
) -> np.ndarray:
    """Roles (N,): of the rows in `usages`, a stratified `fraction` gets the role `held_out`, the rest is fitted.

    fraction: one k-th. Rows outside `usages` get the role `others`. together: twins stay on one side,
    and such as also occur among the others are not fitted but `unused`.
    """
    return k_fold(
        data,
        usages,
        k=_parts(fraction),
        fold=0,
        seed=seed,
        together=together,
        held_out=held_out,
        others=others,
    )


def k_fold(
    data: FaceData,
    usages: Sequence[str] = USAGES,
    *,
    k: int = 5,
    fold: int,
    seed: int,
    together: Together | None = None,
    held_out: str = "score",
    others: str = "score",
) -> np.ndarray:
    """Roles (N,) of fold `fold` of `k`, stratified by label over the rows in `usages`; otherwise as `hold_out`."""
    if not 0 <= fold < k:
        raise UserError(f"There is no fold {fold} of {k}: folds are numbered 0 to {k - 1}.")
    role = np.full(len(data), others, _ROLE_DTYPE)
    rows = np.flatnonzero(np.isin(data.usage, usages))
    role[rows] = "fit"
    role[rows[_fold_of(data, rows, k, seed, together) == fold]] = held_out
    return _without_twins(data, role, together) if together else role


def select_from_fit(
    data: FaceData, role: np.ndarray, *, fraction: float, seed: int, together: Together | None = None
) -> np.ndarray:
    """Roles (N,) in which a stratified `fraction` (one k-th) of the `fit` rows has become `select`."""
    rows = np.flatnonzero(role == "fit")
    role = role.astype(_ROLE_DTYPE)  # strings of numpy are cut to the width of their array
    role[rows[_fold_of(data, rows, _parts(fraction), seed, together) == 0]] = "select"
    return role


def seen_where(role: np.ndarray, fitted_on: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Roles (N,) in which a `score` row that a part of the system was fitted on (bool (N,) of the roles) is `seen`."""
    return np.where((role == "score") & fitted_on(role), "seen", role).astype(_ROLE_DTYPE)


def _parts(fraction: float) -> int:
    parts = round(1 / fraction)
    if abs(1 / parts - fraction) > 1e-9:
        raise UserError(f"A stratified part is one k-th of the rows (1/2, 1/3, …), and {fraction} is none.")
    return parts


def _fold_of(data: FaceData, rows: np.ndarray, k: int, seed: int, together: Together | None) -> np.ndarray:
    """int (len(rows),): the fold of each row, stratified by label."""
    from sklearn.model_selection import StratifiedKFold

    if together is None:
        members = np.arange(len(rows))
        representatives = members
    else:
        # One row stands for all of its twins and takes them along; its label decides the stratum.
        _, representatives, members = np.unique(getattr(data, together)[rows], return_index=True, return_inverse=True)
    labels = data.labels[rows[representatives]]
    fold = np.empty(len(representatives), int)
    smallest = np.bincount(labels, minlength=1)
    smallest = smallest[smallest > 0].min(initial=len(labels))
    if smallest < k:
        raise UserError(f"A class has only {smallest} images, too few for a stratified split into {k} parts.")
    for number, (_, held_out) in enumerate(
        StratifiedKFold(k, shuffle=True, random_state=seed).split(representatives, labels)
    ):
        fold[held_out] = number
    return fold[members]


def subset(data: FaceData, n: int, *, seed: int = 0) -> np.ndarray:
    """About `n` sorted row indices, stratified by usage and label with at least five rows a stratum; the same
    for the same arguments. For smoke runs: a record made from it is never a full one."""
    if n >= len(data):
        return np.arange(len(data))
    stratum = np.searchsorted(USAGES, data.usage, sorter=np.argsort(USAGES)) * len(EMOTIONS) + data.labels
    order = np.random.default_rng([seed, n]).permutation(len(data))
    chosen = [
        rows[: max(5, round(n * len(rows) / len(data)))]
        for rows in (order[stratum[order] == number] for number in range(len(USAGES) * len(EMOTIONS)))
    ]
    return np.sort(np.concatenate(chosen))
