"""Every named protocol, once: who is fitted, who selects, who is scored, and what happens before the images are split.

The arithmetic of splitting is in `splits`. A paper may have a word of its own for one of these (`as_published`); its
records keep that word, and a `Paper` says which protocol it means. Nothing here trains or scores.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fer_common import UserError, splits
from fer_common.data import EMOTIONS, USAGES, FaceData

BeforeSplit = Literal["nothing", "repetition", "mirror_images", "transforms", "extractor"]


@dataclass(frozen=True)
class Protocol:
    """Who trains, who selects, who is scored.

    name: the canonical one; says: the same in a sentence; roles: function(data, seed, fold) that returns every row's
    role, str (N,), where `fold` is None unless the protocol has `folds`; known: works that state it or must have done
    it, by the ids of this suite's papers or as they are cited; folds: how many, each of which is a run; prepare:
    function(data, seed) that repeats or alters images before they are split; before_split: what is done, or fitted, on
    images before they are split. `repetition` and `mirror_images` are done by `prepare`; `transforms` (means, choices
    of columns) and `extractor` are a script's to do, which asks for this field.
    """

    name: str
    says: str
    roles: Callable[[FaceData, int, int | None], np.ndarray]
    known: tuple[str, ...] = ()
    folds: int = 0
    prepare: Callable[[FaceData, int], FaceData] | None = None
    before_split: BeforeSplit = "nothing"

    def split(self, data: FaceData, seed: int, fold: int | None = None) -> tuple[FaceData, np.ndarray]:
        """(data, role): the data as prepared, and the role, str (N,), of each of its rows.

        A scored row is `seen` where its image, altered or not, is fitted too. Raises UserError for a split that the
        data do not allow, ValueError for a role that there is not.
        """
        if self.prepare:
            data = self.prepare(data, seed)
        role = self.roles(data, seed, fold)
        if unknown := set(role) - set(splits.ROLES):
            raise ValueError(f"the protocol {self.name} gives roles that there are not: {', '.join(unknown)}")
        return data, splits.seen_where(role, lambda role: np.isin(data.row_id, data.row_id[role == "fit"]))


WITHOUT_PRIVATE, WITHOUT_PUBLIC = ("Training", "PublicTest"), ("Training", "PrivateTest")


# Roles


def _official(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    return splits.official(data)


def _tenth_selects(data: FaceData, role: np.ndarray, seed: int, together: splits.Together | None = None) -> np.ndarray:
    """A tenth of the fitted rows selects instead."""
    return splits.select_from_fit(data, role, fraction=0.1, seed=seed, together=together)


def _80_20(usages: Sequence[str] = USAGES, together: splits.Together | None = None) -> Callable:
    """Of these usages a fifth is scored; the other usages are not used."""

    def roles(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
        role = splits.hold_out(data, usages, fraction=0.2, seed=seed, together=together, others="unused")
        return _tenth_selects(data, role, seed, together)

    return roles


def _training_80_20_watched(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    return splits.hold_out(data, ("Training",), fraction=0.2, seed=seed, held_out="select")


def _selected_on_merged_test(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    return np.where(splits.official(data) == "fit", "fit", "select")


def _official_80_20(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    return _tenth_selects(data, np.where(data.usage == "Training", "fit", "score"), seed)


def _80_20_all_seen(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    return splits.seen_where(_80_20()(data, seed, fold), lambda role: role == "score")


def _pooled_without_private(together: splits.Together | None = None) -> Callable:
    """Of Training and PublicTest a fifth is scored, the rest is fitted, none selects; PrivateTest is scored too."""

    def roles(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
        return splits.hold_out(data, WITHOUT_PRIVATE, fraction=0.2, seed=seed, together=together)

    return roles


def _pooled_seen(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    pooled = np.isin(data.usage, WITHOUT_PRIVATE)
    return splits.seen_where(_pooled_without_private()(data, seed, fold), lambda role: pooled)


def _pooled_undersampled(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    """Of Training and PublicTest as many rows of every class as the smallest has, drawn; the others are not used."""
    rng, pooled = np.random.default_rng(seed), np.isin(data.usage, WITHOUT_PRIVATE)
    smallest = np.bincount(data.labels[pooled], minlength=len(EMOTIONS)).min()
    classes = (np.flatnonzero(pooled & (data.labels == label)) for label in range(len(EMOTIONS)))
    drawn = np.concatenate([rng.choice(own, smallest, replace=False) for own in classes])
    kept = np.sort(np.r_[drawn, np.flatnonzero(~pooled)])
    role = np.full(len(data), "unused")
    role[kept] = _pooled_without_private()(data.take(kept), seed, fold)
    return role


def _public_fitted(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    return np.where(data.usage == "PrivateTest", "score", "fit")


def _evaluation_tenth(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    return splits.hold_out(data, ("Training",), fraction=0.1, seed=seed)


def _without_twins(data: FaceData, seed: int, fold: int | None) -> np.ndarray:
    return splits.official(data, together="identical")


def _folded(
    usages: Sequence[str] = USAGES, together: splits.Together | None = None, held_out: str = "score"
) -> Callable:
    """Of these usages one fold is held out; the other usages are scored. A tenth of what is fitted selects, unless the
    fold that is held out does."""

    def roles(data: FaceData, seed: int, fold: int) -> np.ndarray:
        role = splits.k_fold(data, usages, k=splits.FOLDS, fold=fold, seed=seed, together=together, held_out=held_out)
        return role if held_out == "select" else _tenth_selects(data, role, seed, together)

    return roles


# What is done before the split


def oversampled(data: FaceData, seed: int) -> FaceData:
    """Every class repeated at random until it is as large as the largest."""
    rng = np.random.default_rng(seed)
    largest = np.bincount(data.labels).max()
    rows = (np.flatnonzero(data.labels == label) for label in range(len(EMOTIONS)))
    there = [own for own in rows if len(own)]
    return data.take(np.concatenate([np.r_[own, rng.choice(own, largest - len(own))] for own in there]))


def but_private(prepare: Callable[[FaceData, int], FaceData]) -> Callable[[FaceData, int], FaceData]:
    """The same of Training and PublicTest alone; PrivateTest follows as it is."""

    def prepared(data: FaceData, seed: int) -> FaceData:
        pooled = np.isin(data.usage, WITHOUT_PRIVATE)
        made, rest = prepare(data.take(np.flatnonzero(pooled)), seed), data.take(np.flatnonzero(~pooled))
        both = {
            name: np.concatenate([value, getattr(rest, name)]) if isinstance(value, np.ndarray) else value
            for name, value in vars(made).items()
        }
        return FaceData(**both)

    return prepared


def with_mirror_images(data: FaceData, seed: int) -> FaceData:
    """Every image, and its mirror image with the same row_id."""
    twice = data.take(np.tile(np.arange(len(data)), 2))
    images = np.concatenate([data.images, data.images[:, :, ::-1]])
    return FaceData(**vars(twice) | {"images": images})


class Registry(dict[str, Protocol]):
    """Protocols by name. A name that there is not raises UserError instead of KeyError, since a script may say one."""

    def __missing__(self, name: str) -> Protocol:
        near = difflib.get_close_matches(name, self, n=3)
        raise UserError(
            f"There is no protocol {name!r}{'; near it: ' if near else ''}{', '.join(near)}. All of them stand in "
            "docs/design.md, and are made in fer_common/protocols.py."
        )


PROTOCOLS = Registry(
    (protocol.name, protocol)
    for protocol in (
        Protocol(
            "official",
            "Training is fitted, PublicTest selects, PrivateTest is scored once, as in the contest of 2013.",
            _official,
            known=("Goodfellow 2013", "Tang 2013"),
        ),
        Protocol(
            "selected_on_merged_test",
            "Training is fitted; PublicTest and PrivateTest, the last fifth of the rows, select together, and are what "
            "the accuracy is printed of.",
            _selected_on_merged_test,
            known=("mini_xception",),
        ),
        Protocol(
            "official_80_20",
            "Training is fitted, a tenth of it selects, and the other 7,178 are scored: 28,709 of 35,887 are 80.0 %.",
            _official_80_20,
        ),
        Protocol(
            "split_80_20",
            "All three usages are pooled: a fifth, drawn, is scored, a tenth of the rest selects, the rest is fitted.",
            _80_20(),
            known=("resnet50_xgboost",),
        ),
        Protocol(
            "split_80_20_grouped",
            "split_80_20 with identical images on one side.",
            _80_20(together="identical"),
        ),
        Protocol(
            "training_80_20",
            "A fifth of Training is scored, a tenth of the rest selects, the rest is fitted; no other image is used.",
            _80_20(("Training",)),
        ),
        Protocol(
            "without_public_80_20",
            "Training and PrivateTest are pooled and split as in split_80_20; PublicTest is not used.",
            _80_20(WITHOUT_PUBLIC),
        ),
        Protocol(
            "training_80_20_watched",
            "Four fifths of Training are fitted, the fifth selects, and PublicTest and PrivateTest are scored.",
            _training_80_20_watched,
            known=("cnn_13_epochs",),
        ),
        Protocol(
            "fit_transforms_before_split",
            "split_80_20 after means, deviations and the choice of columns were fitted on all images.",
            _80_20_all_seen,
            before_split="transforms",
        ),
        Protocol(
            "oversample_before_split",
            "split_80_20 after every class was repeated at random to the size of the largest.",
            _80_20(),
            prepare=oversampled,
            before_split="repetition",
        ),
        Protocol(
            "augment_before_split",
            "split_80_20 after the mirror image of every image was added.",
            _80_20(),
            prepare=with_mirror_images,
            before_split="mirror_images",
        ),
        Protocol(
            "extractor_sees_test",
            "split_80_20 of the features of an extractor that was trained on all images.",
            _80_20(),
            before_split="extractor",
        ),
        Protocol(
            "train_as_test",
            "All images are fitted but a tenth, which selects; what is printed is the accuracy of the fitted ones.",
            lambda data, seed, fold: _tenth_selects(data, np.full(len(data), "fit"), seed),
        ),
        Protocol(
            "all_rows",
            "All images are fitted, and none selects or is scored: what an extractor that sees the test is fitted on.",
            lambda data, seed, fold: np.full(len(data), "fit"),
        ),
        Protocol(
            "public_fitted",
            "Training and PublicTest are fitted, none selects, and PrivateTest is scored.",
            _public_fitted,
        ),
        Protocol(
            "official_without_twins",
            "official without the training images that PublicTest or PrivateTest holds too, byte for byte.",
            _without_twins,
        ),
        Protocol(
            "evaluation_tenth",
            "A tenth of Training is printed as the evaluation set, the rest is fitted; the others are scored too.",
            _evaluation_tenth,
        ),
        Protocol(
            "without_private_80_20",
            "Training and PublicTest are pooled: a fifth, drawn, is printed, the rest is fitted; PrivateTest is scored "
            "beside it.",
            _pooled_without_private(),
        ),
        Protocol(
            "without_private_80_20_grouped",
            "without_private_80_20 with identical images on one side.",
            _pooled_without_private(together="identical"),
        ),
        Protocol(
            "without_private_80_20_alike",
            "without_private_80_20 with identical images, and those whose perceptual hashes are near, on one side.",
            _pooled_without_private(together="alike"),
        ),
        Protocol(
            "transforms_without_private",
            "without_private_80_20 after means and deviations were fitted on all of its images.",
            _pooled_seen,
            before_split="transforms",
        ),
        Protocol(
            "oversample_without_private",
            "without_private_80_20 after every class was repeated at random to the size of the largest.",
            _pooled_without_private(),
            prepare=but_private(oversampled),
            before_split="repetition",
        ),
        Protocol(
            "undersample_without_private",
            "without_private_80_20 after every class was cut at random to the size of the smallest.",
            _pooled_undersampled,
        ),
        Protocol(
            "mirror_without_private",
            "without_private_80_20 after the mirror image of every image was added.",
            _pooled_without_private(),
            prepare=but_private(with_mirror_images),
            before_split="mirror_images",
        ),
        Protocol(
            "folds_without_private",
            "Five folds of Training and PublicTest: each is scored by a network fitted on the other four, of which a "
            "tenth selects; all five score PrivateTest.",
            _folded(WITHOUT_PRIVATE),
            folds=splits.FOLDS,
        ),
        Protocol(
            "folds_without_private_grouped",
            "folds_without_private with identical images in one fold.",
            _folded(WITHOUT_PRIVATE, together="identical"),
            folds=splits.FOLDS,
        ),
        Protocol(
            "folds_pooled",
            "Five folds of all three usages: each is scored by a network fitted on the other four, of which a tenth "
            "selects.",
            _folded(),
            known=("resnet50v2_vit",),
            folds=splits.FOLDS,
        ),
        Protocol(
            "folds_pooled_grouped",
            "folds_pooled with identical images in one fold.",
            _folded(together="identical"),
            folds=splits.FOLDS,
        ),
        Protocol(
            "folds_pooled_selected_on_test",
            "folds_pooled in which the fold that is held out selects, and is what the accuracy is printed of.",
            _folded(held_out="select"),
            folds=splits.FOLDS,
        ),
    )
)
