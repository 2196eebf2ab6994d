"""What a claim's gap to a run allows one to say: the rules, for numbers and for differences between two systems."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fer_common.claims import Claim, Hypothesis
from fer_common.results.groups import Group
from fer_common.results.image_sets import ImageSet
from fer_common.results.measure import Measured, Scores, student

UNDECIDABLE = 0.03  # a seeds' part of h above it leaves a share undecided

RULES = """\
How a verdict is reached. m and s are mean and standard deviation (n − 1 in the denominator) over n seeds on N images,
v is the claim, N_v its number of images, and the gap is v − m. The half-width h is √(seeds² + images²) plus half a unit
of v's last printed digit. The seeds' part is t·s·√(1 + 1/n), with t the two-sided 95 % Student quantile for n − 1. The
images' part is 1.96·√(m(1 − m)·(1/N + 1/N_v)); for anything but accuracy the variance over images stands for
m(1 − m)/N, and where claim and run score the same images it falls away. Where the paper does not say how many images
its number is about, N_v = N is taken and the column `assumed` says so. The first rule that applies gives the verdict:

1. `not run`: nothing ran. `not measured`: an accuracy of one class against the rest, which the audit alone reads.
2. One run of a system that draws at random: the seeds' part is 1.96·√2·s*. s* is the largest standard deviation over
   seeds of the same metric on images of the same roles, at the last epoch, among the committed unchanged full groups of
   three seeds and more (`seed_spread.csv`). `claimed higher, one run` or `claimed lower, one run` beyond h; `single
   run` within it, or where no s* is known. A system without randomness has s = 0 and needs one run.
3. `reachable only on fitted images`: a claim on test images lies above every held-out interval m + h, and within that
   of images that a part of the system was fitted on.
4. `claimed higher` or `claimed lower`: the gap exceeds h, whatever h is.
5. `reached on fitted images`: the gap is within h, but a part of the system was fitted on the images (their roles hold
   `fit` or `seen`), and the claim is not about training images.
6. `not decided`: the gap is within h, and the seeds' part of h exceeds 3 points (log loss has no such limit).
7. `reproduced`: everything else.

What images were to a run: `fit`, trained on; `select`, watched while training; `score`, never seen before its
prediction counts; `seen`, scored although a part of the system (an extractor, a scaler, a copy of the image) was fitted
on them. `pooled`: the usages that the split drew from, together. `out of fold`: each image as the one fold that held it
out saw it. `mean of the folds' networks`: of the scores that the network of each fold has on images that all folds keep
aside; its interval over images is that of one network. The epoch of both is the longest fold's. `low` and `high` bound
m itself at 95 %, over seeds and images; with one run, over images.

This rule replaced an earlier one after results were known, in November 2026. The earlier one called everything with
h above 3 points `not decided`, however far the claim lay, called every single run `single run`, and let images that a
part of the system was fitted on count as `reproduced`.
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


@dataclass(frozen=True)
class Verdict:
    """One claim against one measurement, on the metric's own scale.

    gap: claim − mean. half_width: h, NaN where it is not known. seed_part: what h holds of the spread over seeds.
    assumed: whether the claim's number of images is not known and the run's was taken.
    """

    gap: float
    half_width: float
    seed_part: float
    assumed: bool
    verdict: str


@dataclass(frozen=True)
class Found:
    """A measurement that a claim is held against. same_images: whether both score the same images."""

    image_set: ImageSet
    measured: Measured
    same_images: bool = False


@dataclass(frozen=True)
class Spread:
    """s*: the largest standard deviation over seeds, by metric and roles."""

    largest: dict[tuple[str, tuple[str, ...]], float]

    @classmethod
    def of_rows(cls, rows: Iterable[Mapping]) -> "Spread":
        """From the rows of `seed_spread`."""
        return cls({(row["metric"], row["image_set"].roles): row["sd"] for row in rows})

    def of(self, metric: str, roles: tuple[str, ...]) -> float:
        """NaN where no group of three seeds tells."""
        return self.largest.get((metric, roles), np.nan)


def judge(
    claim: Claim, metric: str, found: list[Found], spread: Spread, *, without_randomness: bool = False
) -> list[Verdict]:
    """The verdict on a claim, read as the flat `metric`, for each measurement of one setup."""
    widths = [_half_width(claim, metric, own, spread, without_randomness) for own in found]
    only_fitted = _reachable_only_on_fitted(claim, found, [width for width, *_ in widths])
    return [
        Verdict(
            gap=claim.number - own.measured.mean,
            half_width=width,
            seed_part=seeds,
            assumed=assumed,
            verdict=_verdict(claim, own, width, seeds, only_fitted, without_randomness),
        )
        for own, (width, seeds, assumed) in zip(found, widths)
    ]


def _half_width(
    claim: Claim, metric: str, found: Found, spread: Spread, without_randomness: bool
) -> tuple[float, float, bool]:
    """(h, its seeds' part, whether N_v is assumed)."""
    measured = found.measured
    n, n_images = measured.n_runs, measured.n_images
    if without_randomness and n == 1:
        seeds = 0.0
    elif n == 1:
        seeds = 1.96 * np.sqrt(2) * spread.of(metric, found.image_set.roles)
    else:
        seeds = student(n) * measured.sd * np.sqrt(1 + 1 / n)
    assumed = not found.same_images and claim.n_images is None
    claimed_images = int(claim.n_images or n_images)
    images = 0.0 if found.same_images else 1.96 * measured.image_sd * np.sqrt(1 + n_images / claimed_images)
    return float(np.hypot(seeds, np.nan_to_num(images)) + claim.half_unit), float(seeds), assumed


def _verdict(
    claim: Claim, found: Found, width: float, seeds: float, only_fitted: bool, without_randomness: bool
) -> str:
    """Rules 2 to 7; the first that applies."""
    gap, roles = claim.number - found.measured.mean, set(found.image_set.roles)
    apart = "claimed higher" if gap > 0 else "claimed lower"
    if found.measured.n_runs == 1 and not without_randomness:
        return f"{apart}, one run" if abs(gap) > width + SLACK else "single run"
    if only_fitted and found.image_set.held_out:
        return "reachable only on fitted images"
    if abs(gap) > width + SLACK:
        return apart
    if roles & {"fit", "seen"} and claim.images != "training":
        return "reached on fitted images"
    if seeds > UNDECIDABLE and claim.metric != "log_loss":
        return "not decided"
    return "reproduced"


SLACK = 1e-9  # 0.832 − 0.827 is not quite 0.005


def _reachable_only_on_fitted(claim: Claim, found: list[Found], widths: list[float]) -> bool:
    """Rule 3, of one setup: what it says holds for all its held-out sets."""
    if claim.images != "test":
        return False
    gaps = [(own.image_set, claim.number - own.measured.mean, width) for own, width in zip(found, widths)]
    above = [gap > width + SLACK for image_set, gap, width in gaps if image_set.held_out]
    reached = [abs(gap) <= width + SLACK for image_set, gap, width in gaps if not image_set.held_out]
    return bool(above) and all(above) and any(reached)


def seed_spread(groups: Iterable[Group], scores: Scores) -> list[dict]:
    """Rows (metric, roles, sd, and the setup and image set that it was found at) of s*, by metric and roles."""
    largest: dict[tuple[str, tuple[str, ...]], dict] = {}
    for group in groups:
        full = group.unchanged and group.record.preset == "full" and group.record.data["source"] == "fer2013"
        if not full or len(group.runs) < 3:
            continue
        for image_set in scores.sets(group):
            for metric in scores.metrics(group):
                m = scores.measure(group, metric, image_set, group.last_epochs)
                key = metric, image_set.roles
                if m.sd > (largest[key]["sd"] if key in largest else -1):  # never NaN: an AUC of a class without images
                    largest[key] = {"metric": metric, "image_set": image_set, "sd": m.sd, "n_runs": m.n_runs} | {
                        k: group.key[k] for k in ("paper", "system", "protocol", "init")
                    }
    return [largest[key] for key in sorted(largest)]


def of_difference(hypothesis: Hypothesis, measured: Measured) -> str:
    """The verdict on a claim without a number, from the difference found; a gap above 0 is the smaller one."""
    if measured.n_runs == 1:
        return "single run"
    bound = -float(hypothesis.margin) / 100
    return "supported" if measured.low > bound else "contradicted" if measured.high < bound else "not decided"
