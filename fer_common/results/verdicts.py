"""What a claim's gap to a run allows one to say: the rules, for numbers and for differences between two systems."""

import numpy as np

from fer_common.claims import Claim, Hypothesis
from fer_common.results.image_sets import ImageSet
from fer_common.results.measure import Measured, student

RULES = """\
How a verdict is reached. The rules were fixed before any run was scored, but for one: that `reachable only on
Training` goes before `not decided` was settled when the first runs showed that both can apply. m and s are mean and
standard deviation (n − 1 in the denominator) over n seeds on N images, v is the claim, N_v its number of images (N
where unknown). With t the two-sided 95 % Student quantile for n − 1, the half-width is
h = sqrt(t²·s²·(1 + 1/n) + 1.96²·m(1 − m)·(1/N + 1/N_v)) plus half a unit of v's last printed digit; the second term
falls away where claim and run score the same images, and for anything but accuracy the bootstrap variance over images
(1,000 resamples) stands for m(1 − m)/N. `reproduced`: |v − m| ≤ h. `claimed higher`, `claimed lower`: beyond it, with
the points between. `reachable only on Training`: a claim on test images that lies above every held-out interval and
not above the one on images that a part of the system was trained on. `not decided`: h exceeds 3 points (log loss has
no points and no such limit), however far the claim lies; gap and h stand beside it. `single run`: n = 1, which never
counts as reproduced. `not run`: nothing ran. In brackets after a usage: what its images were to the run; `seen`:
scored, although a part of the system (an extractor, a scaler, a copy of the image) was fitted on them; `pooled`: the
usages that the split drew from, together; `out of fold`: as the one fold that held an image out saw it; `mean
probabilities of the folds`: their average, an ensemble; the epoch of both is the longest fold's. ci_low and ci_high
bound m itself at 95 %, over seeds and images; with one run, over images.
"""

DIFFERENCES = """\
Of what a paper claims without a number, the difference between two systems is given, in points, paired over seeds and
images, with its 95 % interval, ±√(t²s²/n + 1.96²v): s is the standard deviation over n seeds, v the variance of the
mean over images, to which resampling them would come. Claims and margins were fixed before any full run. `supported`:
the whole interval is on the claimed side of the margin (0 for `ahead`, −1 for `at most 1 point behind`);
`contradicted`: the whole interval is on the other; `not decided`: it is on both. `gap`: accuracy on the fitted images
less that on the tested ones; a difference above 0 means that the system has the smaller one. `multiply_adds` and
`parameters`: those of the system in per cent of what it is compared with, where several networks of one task each add
up. `no baseline`: what it is compared with stays below the accuracy in expression that was asked of a baseline
beforehand; `baseline not run`: its network of expression is missing.
"""


def half_width(measured: Measured, claim: Claim, same_images: bool) -> float:
    """h of RULES."""
    n, n_images = measured.n_runs, measured.n_images
    claimed_images = int(claim.n_images) if claim.n_images else n_images
    over_seeds = student(n) ** 2 * measured.sd**2 * (1 + 1 / n)
    over_images = 0 if same_images else 1.96**2 * measured.image_sd**2 * (1 + n_images / claimed_images)
    return float(np.sqrt(over_seeds + over_images)) + claim.half_unit


def verdict(measured: Measured, claim: Claim, same_images: bool) -> str:
    """The verdict on one claim against one measurement; `reachable only on Training` needs all of them."""
    if measured.n_runs == 1:
        return "single run"
    h = half_width(measured, claim, same_images)
    gap = claim.number - measured.mean
    loss = claim.metric == "log_loss"
    size = f"{abs(gap):.2f}" if loss else f"{abs(100 * gap):.1f} points"
    direction = "higher" if gap > 0 else "lower"
    if h > 0.03 and not loss:
        return f"not decided (claimed {size} {direction}, h = {100 * h:.1f})"
    return "reproduced" if within(gap, h) else f"claimed {direction} by {size}"


def within(gap: float, h: float) -> bool:
    """|gap| ≤ h, with slack for binary fractions: 0.832 − 0.827 is not quite 0.005."""
    return abs(gap) <= h + 1e-9


def reachable_only_on_training(claim: Claim, found: list[tuple[ImageSet, Measured, bool]]) -> bool:
    """Whether a claim on test images lies above m + h on every held-out set and not above it on a fitted one.

    found: (image set, measurement, whether claim and run score the same images). Single runs decide nothing.
    """
    if claim.images != "test" or any(measured.n_runs == 1 for _, measured, _ in found):
        return False
    above = {
        name: claim.number > measured.mean
        and not within(claim.number - measured.mean, half_width(measured, claim, same))
        for name, measured, same in found
    }
    apart = [is_above for name, is_above in above.items() if name.held_out]
    return bool(apart) and all(apart) and not all(above.values())


def of_difference(hypothesis: Hypothesis, measured: Measured) -> str:
    """The verdict on a claim without a number, from the difference found; a gap above 0 is the smaller one."""
    if measured.n_runs == 1:
        return "single run"
    bound = -float(hypothesis.margin) / 100
    return "supported" if measured.low > bound else "contradicted" if measured.high < bound else "not decided"
