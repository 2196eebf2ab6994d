"""Every metric and how far it varies over images, from labels and predicted probabilities alone.

Definitions are scikit-learn's (`zero_division=0`); tests hold each of them against scikit-learn. Metrics go by flat
names: `accuracy`, `mean_ovr_accuracy` (1 − 2·error/K, which some papers print as accuracy), `log_loss`, `auc.macro`
(one-vs-rest, from probabilities), `auc_hard.macro` (from hard labels: (recall + specificity)/2), `mean_confidence`
(the mean probability of the predicted class), `ece` (the expected calibration error of Guo et al. 2017), and
`precision`, `recall` and `f1` followed by `.macro`, `.weighted`, `.lowest`, `.highest` (over the classes) or by a
class. Nothing here knows of models or records.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Stored probabilities are float16, whose smallest positive value this is; log loss clips there.
SMALLEST_PROBABILITY = 2.0**-24
RESAMPLES = 1000
CONFIDENCE_BINS = 15  # as in Guo et al. 2017: the error depends on their number
VERSION = 3  # raise when a metric or its deviation changes: what was kept of runs is then made anew


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """int (classes, classes): rows are true labels, columns predicted ones."""
    return np.bincount(labels.astype(int) * classes + predicted, minlength=classes**2).reshape(classes, classes)


def from_confusion(matrix: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """The metrics that follow from confusion matrices (..., K, K): arrays (...) by flat name."""
    matrix = matrix.astype(float)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    support, predicted = matrix.sum(-1), matrix.sum(-2)
    total = support.sum(-1)

    def ratio(a, b):
        return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b > 0)

    accuracy = hits.sum(-1) / total
    recall = ratio(hits, support)
    specificity = 1 - ratio(predicted - hits, total[..., None] - support)
    found = {
        "accuracy": accuracy,
        "mean_ovr_accuracy": 1 - 2 * (1 - accuracy) / len(classes),
        "auc_hard.macro": ((recall + specificity) / 2).mean(-1),
    }
    per_class = {"precision": ratio(hits, predicted), "recall": recall, "f1": ratio(2 * hits, support + predicted)}
    for name, values in per_class.items():
        found[f"{name}.macro"] = values.mean(-1)
        found[f"{name}.weighted"] = (values * support).sum(-1) / total
        found[f"{name}.lowest"], found[f"{name}.highest"] = values.min(-1), values.max(-1)
        for number, label in enumerate(classes):
            found[f"{name}.{label}"] = values[..., number]
    return found


def metrics(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """All metrics of labels (N,) and probabilities (N, K) of the K named classes, by flat name."""
    return {name: value for name, (value, _) in measures(labels, probabilities, classes).items()}


def measures(labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """(value, standard deviation over images) of all metrics of labels (N,) and probabilities (N, K), by flat name.

    The deviation is the bootstrap's: of what follows from the confusion matrix over 1,000 resamples, drawn as counts of
    its cells, which is what drawing images comes to, and of the calibration error likewise (see `Reliability`); of AUC,
    log loss and mean confidence by the infinitesimal jackknife (Efron 1981; of an AUC, DeLong et al. 1988), to which
    resampling converges.
    """
    n = len(labels)
    matrix = confusion_matrix(labels, probabilities.argmax(-1), len(classes))
    # The draws depend on the number of images alone, so that runs scored on the same images share them.
    drawn = np.random.default_rng([2013, n]).multinomial(n, matrix.ravel() / n, RESAMPLES)
    resampled = from_confusion(drawn.reshape(-1, *matrix.shape), classes)
    found = {
        name: (float(value), float(resampled[name].std(ddof=1)))
        for name, value in from_confusion(matrix, classes).items()
    }
    for name, influence in (
        ("auc.macro", _auc_influence(labels, probabilities)),
        ("log_loss", losses(labels, probabilities)),
        ("mean_confidence", confidence(probabilities)),
    ):
        found[name] = (float(influence.mean()), float(influence.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0)
    reliability = Reliability.of(labels, probabilities)
    found["ece"] = (float(reliability.error()), float(reliability.resampled_errors().std(ddof=1)))
    return found


def influences(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """float (N,) by flat metric, of labels (N,) and probabilities (N, K): numbers whose mean is the metric, and whose
    spread over images is its (the infinitesimal jackknife, Efron 1981). Their differences set two metrics of the same
    images against each other. There are those of which one is taken for another.
    """
    classes = probabilities.shape[-1]
    true, said = (np.eye(classes)[own.astype(int)] for own in (labels, probabilities.argmax(-1)))
    hit, share = true * said, true.mean(0)

    def ratio(a, b):
        """float (N, K): of the ratios of two means by class; 0 where nothing is below."""
        below = b.mean(0)
        value = np.divide(a.mean(0), below, out=np.zeros(classes), where=below > 0)
        return value + np.divide(a - value * b, below, out=np.zeros(a.shape), where=below > 0)

    f1, recall, false_alarms = ratio(2 * hit, true + said), ratio(hit, true), ratio(said - hit, 1 - true)
    return {
        "accuracy": hit.sum(1),
        "mean_ovr_accuracy": 1 - 2 * (1 - hit.sum(1)) / classes,
        "precision.macro": ratio(hit, said).mean(1),
        "recall.macro": recall.mean(1),
        "f1.macro": f1.mean(1),
        "f1.weighted": f1 @ share + (true - share) @ f1.mean(0),
        "auc.macro": _auc_influence(labels, probabilities),
        "auc_hard.macro": ((recall + 1 - false_alarms) / 2).mean(1),
    }


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """float (N,): the probability of the predicted class."""
    return probabilities.max(-1).astype(float)


@dataclass(frozen=True)
class Reliability:
    """How often predictions of like confidence are right: a reliability diagram's numbers (Guo et al. 2017, section 2).

    images: int (15, 2), by bin of confidence, wrong and right ones; the bins are ((k − 1)/15, k/15].
    confidence: float (15, 2), the sum of their confidences.
    """

    images: np.ndarray
    confidence: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, probabilities: np.ndarray) -> "Reliability":
        """From labels (N,) and probabilities (N, K)."""
        own = confidence(probabilities)
        right = probabilities.argmax(-1) == labels
        bins = np.ceil(own * CONFIDENCE_BINS).astype(int) - 1
        shape, cells = (CONFIDENCE_BINS, 2), 2 * bins + right
        images, sums = (np.bincount(cells, weights, minlength=2 * CONFIDENCE_BINS) for weights in (None, own))
        return cls(images.reshape(shape), sums.reshape(shape))

    def error(self) -> np.ndarray:
        """The expected calibration error, equation 3 there: the mean over images of |accuracy − mean confidence| of
        their bin, in 0 to 1; of counts (..., 15, 2) an array (...).

        Chance alone keeps it above 0: on few images a perfectly calibrated network has some too.
        """
        apart = np.abs(self.images[..., 1] - self.confidence.sum(-1)).sum(-1)
        return apart / self.images.sum((-2, -1))

    def resampled_errors(self) -> np.ndarray:
        """float (1000,): errors of images drawn with replacement, as counts of the 30 cells (bin; wrong or right).

        Each cell keeps its mean confidence, so that the differences of confidence within a cell are neglected. A bin is
        1/15 wide and evenly filled: their deviation is .02, beside the .3 to .5 of being right. This matters only where
        nearly every image is right: of images fitted to 99.9 % the deviation comes out a tenth too small.
        """
        n = self.images.sum()
        # Drawn apart from the confusion matrix, whose draws stay what they were.
        drawn = np.random.default_rng([2017, n]).multinomial(n, self.images.ravel() / n, RESAMPLES)
        drawn = drawn.reshape(-1, *self.images.shape)
        return Reliability(drawn, drawn * self.confidence / np.maximum(self.images, 1)).error()


def losses(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """float (N,): −ln of the probability given to the true label, clipped at float16's smallest."""
    true = probabilities[np.arange(len(labels)), labels].astype(float)
    return -np.log(np.maximum(true, SMALLEST_PROBABILITY))


def _auc_influence(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """float (N,): numbers whose mean is the mean one-vs-rest AUC over classes, and whose spread is its; NaN where a
    class is missing.

    An AUC is the share of (positive, negative) pairs that are ordered rightly, ties counting half. Each image adds the
    share of its own pairs, less the AUC, over the share of its side (Mann-Whitney; DeLong et al. 1988).
    """
    n = len(labels)
    found = np.zeros(n)
    for number in range(probabilities.shape[1]):
        rank, levels = _ranks(probabilities[:, number])
        positive = labels == number
        positives, negatives = (np.bincount(rank[side], minlength=levels) for side in (positive, ~positive))
        n_positive, n_negative = positives.sum(), negatives.sum()
        if not n_positive or not n_negative:
            return np.full(n, np.nan)
        below = (np.cumsum(negatives) - negatives / 2)[rank[positive]] / n_negative
        above = 1 - (np.cumsum(positives) - positives / 2)[rank[~positive]] / n_positive
        area = below.mean()
        found += area
        found[positive] += (below - area) * n / n_positive
        found[~positive] += (above - area) * n / n_negative
    return found / probabilities.shape[1]


def _ranks(score: np.ndarray) -> tuple[np.ndarray, int]:
    """(int (N,) in the order of the score, equal where it is, how many values there may be)."""
    if score.dtype == np.float16:  # of numbers from 0 on, the bits are in their order
        return np.ascontiguousarray(score).view(np.uint16).astype(np.int32), 2**15
    values, rank = np.unique(score, return_inverse=True)
    return rank, len(values)
