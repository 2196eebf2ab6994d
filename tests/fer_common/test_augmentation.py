"""Distortions stay within what was asked for, reach it, and follow from (seed, epoch, row) alone."""

import numpy as np
import pytest

from fer_common import pipeline
from fer_common.augmentation import Augmentation

ROWS = np.arange(300)
ALL = Augmentation(rotation=10, shift=0.1, zoom=0.1, flip="random")


def shown(images, augmentation, rows=ROWS, size=48, seed=0, epoch=0):
    return augmentation.apply(images, rows, size=size, seed=seed, epoch=epoch)


@pytest.fixture(scope="module")
def bars() -> np.ndarray:
    """300 times the same image: a wide bar of light along the middle row, brighter towards the right."""
    image = np.zeros((48, 48), np.uint8)
    image[21:27, 12:36] = np.linspace(100, 250, 24)
    return np.repeat(image[None], 300, 0)


def moments(images):
    """Of each image the middle of its light (x, y), its spread along x and along y, the angle of its longer axis."""
    y, x = np.mgrid[:48, :48]
    weights = images.astype(float) / images.sum((1, 2), keepdims=True)
    middle = np.stack([(weights * x).sum((1, 2)), (weights * y).sum((1, 2))], 1)
    dx, dy = x - middle[:, 0, None, None], y - middle[:, 1, None, None]
    xx, yy, xy = ((weights * a).sum((1, 2)) for a in (dx**2, dy**2, dx * dy))
    return middle, np.sqrt(xx), np.sqrt(yy), np.degrees(np.arctan2(2 * xy, xx - yy) / 2)


def test_without_a_distortion_images_are_what_prediction_sees(faces):
    np.testing.assert_array_equal(shown(faces.images, Augmentation()), faces.images[ROWS])
    expected = pipeline.in_order(
        faces.images, None, ROWS, batch_size=300, preprocessing=pipeline.Preprocessing(64, scale=1)
    )
    expected = np.asarray(next(iter(expected)))[..., 0]
    found = shown(faces.images, Augmentation(), size=64).astype(float)
    inside = slice(1, -1)  # OpenCV counts in 32nds of a pixel, and rounds to whole values
    assert np.abs(found - expected)[:, inside, inside].max() < 6
    assert np.abs(found - expected).mean() < 0.6


def test_a_face_is_distorted_as_its_seed_epoch_and_row_say(faces):
    found = shown(faces.images, ALL, epoch=3)
    np.testing.assert_array_equal(shown(faces.images, ALL, ROWS[::-7], epoch=3), found[::-7])
    for other in (shown(faces.images, ALL, epoch=4), shown(faces.images, ALL, seed=1, epoch=3)):
        assert (other != found).any((1, 2)).all()


@pytest.mark.parametrize(
    ("augmentation", "measured", "least", "most"),
    [
        (Augmentation(rotation=10), lambda m: m[3], -10, 10),
        (Augmentation(shift=0.1), lambda m: m[0][:, 0], None, None),
        (Augmentation(zoom=0.2), lambda m: m[1], None, None),
    ],
)
def test_distortions_reach_what_was_asked_for_and_no_further(bars, augmentation, measured, least, most):
    undistorted = measured(moments(bars))
    found = measured(moments(shown(bars, augmentation)))
    if augmentation.shift:
        found, least, most = found - undistorted, -4.8, 4.8
    if augmentation.zoom:
        found, least, most = undistorted / found, 0.8, 1.2
    reach = most - least
    assert least - 0.02 * reach < found.min() < least + 0.05 * reach
    assert most - 0.05 * reach < found.max() < most + 0.02 * reach


def test_width_and_height_have_factors_and_shifts_of_their_own(bars):
    middle, wide, high, _ = moments(shown(bars, Augmentation(shift=0.1, zoom=0.2)))
    for a, b in ((middle[:, 0], middle[:, 1]), (wide, high)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.2


def test_flips(faces):
    mirrored = faces.images[ROWS][:, :, ::-1]

    def flipped(how, epoch):
        found = shown(faces.images, Augmentation(flip=how), epoch=epoch)
        is_mirrored = (found == mirrored).all((1, 2))
        assert (is_mirrored | (found == faces.images[ROWS]).all((1, 2))).all()
        return is_mirrored

    for how in ("random", "alternate"):
        assert 100 < flipped(how, 0).sum() < 200
    np.testing.assert_array_equal(flipped("alternate", 1), ~flipped("alternate", 0))
    np.testing.assert_array_equal(flipped("alternate", 2), flipped("alternate", 0))
    assert 100 < (flipped("random", 0) != flipped("random", 1)).sum() < 200


def test_batches_are_augmented_for_fitting_and_a_resumed_run_goes_on_with_the_same(faces):
    def batches(first_epoch):
        made, _ = pipeline.shuffled(
            faces.images, np.arange(700) + 1000, ROWS, batch_size=100, seed=4, epochs=2, first_epoch=first_epoch,
            preprocessing=pipeline.Preprocessing(64, scale=1), augmentation=ALL,
        )  # fmt: skip
        return [tuple(map(np.asarray, batch)) for batch in made]

    every = batches(0)
    assert len(every) == 6
    for number, (images, labels) in enumerate(every):
        expected = shown(faces.images, ALL, labels - 1000, size=64, seed=4, epoch=number // 3)
        np.testing.assert_array_equal(images[..., 0], expected)
    for whole, resumed in zip(every[3:], batches(1), strict=True):
        for part, again in zip(whole, resumed, strict=True):
            np.testing.assert_array_equal(part, again)
