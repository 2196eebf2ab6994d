"""What the scores of a network can tell of what it was fitted on, and what they cannot. Nobody but its author knows.

Each pattern is a pure function of predictions, or of what the file holds; each says a sentence only where there is
something to tell. Thresholds are such that a network that was never near them stays silent.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fer_common.batches import Moves
from fer_common.data import EMOTIONS, USAGES

HONEST = 0.77  # what no honest single network is known to reach on PrivateTest (docs/design.md, the band of claims.py)
APART = 0.03  # a gap, a step or a gain in accuracy below three points is not told
DRAWS = 200  # permutations of the rows under which a step must not occur


@dataclass(frozen=True)
class Pattern:
    """One thing that the scores tell. kind: a word for machines; says: a sentence; numbers: what it follows from."""

    kind: str
    says: str
    numbers: dict[str, Any] = field(default_factory=dict)


def gaps(accuracy: dict[str, float]) -> list[Pattern]:
    """From the accuracy by usage: whether Training lies above the tests, or the tests where only fitted images do."""
    if not set(USAGES) <= set(accuracy):
        return []
    training, public, private = (accuracy[usage] for usage in USAGES)
    gap = training - private
    numbers = {"training": training, "public_test": public, "private_test": private}
    found = []
    if gap > APART:
        says = f"Training lies {100 * gap:.1f} points above PrivateTest: it was fitted on Training, or on a part of it."
        found.append(Pattern("gap to training", says, numbers))
    if private > HONEST and gap <= APART:
        says = (
            f"PrivateTest has {100 * private:.1f} %, as much as Training, and more than any honest single network is "
            "known to reach: it was fitted on images of the test parts, or on images that look the same."
        )
        found.append(Pattern("tests look fitted", says, numbers))
    elif private > HONEST:
        says = f"PrivateTest has {100 * private:.1f} %; no honest single network is known to reach that."
        found.append(Pattern("tests above what is known", says, numbers))
    elif abs(gap) <= APART and abs(training - public) <= APART:
        says = "All three parts score alike: it was fitted on none of them, or hardly learned its images by heart."
        found.append(Pattern("no gap", says, numbers))
    if public - private > APART or private - public > APART:
        higher = "PublicTest" if public > private else "PrivateTest"
        apart = f"{100 * abs(public - private):.1f} points above the other test part"
        says = f"{higher} lies {apart}: it may have been fitted on it."
        found.append(Pattern("tests differ", says, numbers))
    return found


def step(right: np.ndarray, seed: int = 0) -> Pattern | None:
    """Whether hits along the rows of Training, bool (N,) in their order, fall or rise at one place.

    A network that was fitted on the first nine tenths, say, and watched on the rest, knows the first part better. The
    place is that of the largest likelihood ratio of two rates against one; it counts where it exceeds that of all
    permutations of the rows, and the rates differ by three points or more.
    """
    n = len(right)
    if n < 1000:
        return None
    place, ratio = _largest_ratio(right[None])
    rng = np.random.default_rng(seed)
    drawn = max(float(_largest_ratio(rng.permutation(right)[None])[1][0]) for _ in range(DRAWS))
    k = int(place[0])
    before, after = float(right[:k].mean()), float(right[k:].mean())
    if ratio[0] <= drawn or abs(before - after) < APART:
        return None
    higher = "first" if before > after else "last"
    share = k / n if before > after else 1 - k / n
    says = (
        f"Within Training the hits change at row {k:,} of {n:,}: {100 * before:.1f} % before it, {100 * after:.1f} % "
        f"after. It seems to be fitted on the {higher} {100 * share:.0f} % of its rows."
    )
    return Pattern("step within training", says, {"row": k, "rows": n, "before": before, "after": after})


def _largest_ratio(right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(place, log likelihood ratio) of the best step, for each row of bool (B, N); at least 2 % are on either side."""
    n = right.shape[1]
    margin = max(10, n // 50)
    k = np.arange(margin, n - margin, max(1, n // 2000))
    hits = np.cumsum(right, axis=1, dtype=np.int64)
    total = hits[:, -1:]
    first = hits[:, k - 1]

    def likelihood(hit, of):
        p = hit / of
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(hit * np.log(p)) + np.nan_to_num((of - hit) * np.log1p(-p))

    ratio = likelihood(first, k) + likelihood(total - first, n - k) - likelihood(total, n)
    best = ratio.argmax(1)
    return k[best], ratio[np.arange(len(best)), best]


def other_order(labels: np.ndarray, predicted: np.ndarray) -> Pattern | None:
    """Whether another order of its classes would give far more hits: labels and predicted classes, int (N,)."""
    from scipy.optimize import linear_sum_assignment

    matrix = np.bincount(labels.astype(int) * 7 + predicted, minlength=49).reshape(7, 7)
    rows, columns = linear_sum_assignment(-matrix)
    now, then = np.trace(matrix) / matrix.sum(), matrix[rows, columns].sum() / matrix.sum()
    if then - now < APART or (columns == rows).all():
        return None
    # Output `columns[i]` is where class i is found: that output is to be called by class i's name.
    order = [EMOTIONS[int(rows[columns == output][0])] for output in range(7)]
    says = (
        f"With its outputs called {', '.join(order)}, in this order, it would have {100 * then:.1f} % instead of "
        f"{100 * now:.1f} %: the order of the classes may be another one."
    )
    return Pattern("another order of classes", says, {"order": order, "now": float(now), "then": float(then)})


def mixes_batches(moves: Moves) -> Pattern | None:
    """Whether images of a batch know of each other. Test images that are stored class by class then tell a network
    their class: its scores are not those of single images."""
    if not moves.mixed:  # a label may change without, where two probabilities are equal but for rounding
        return None
    return Pattern("mixes the batch", f"It {moves.says}.", asdict(moves))


def stored_mean(mean: float, of_training: float, of_all: float, scale: str) -> Pattern | None:
    """From an input mean that the file holds, and those of Training and of all images, on the scale of the input."""
    to_training, to_all = abs(mean - of_training), abs(mean - of_all)
    apart = abs(of_training - of_all)
    if not apart or min(to_training, to_all) > apart / 4:
        return None
    whose = "Training" if to_training < to_all else "all 35,887 images, the test parts among them"
    numbers = {"stored": mean, "training": of_training, "all": of_all, "scale": scale}
    return Pattern("stored statistics", f"The input mean that its file holds is that of {whose}.", numbers)
