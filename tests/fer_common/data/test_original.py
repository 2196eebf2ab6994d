"""A copy that is altered alike in every part, in another order, or under other labels is told from the original."""

import dataclasses

import cv2
import numpy as np
import pytest

from fer_common import data
from fer_common.data import EMOTIONS, original, synthetic
from fer_common.data.looks import look

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(real):
    return data.load(str(real))


def remarks(faces):
    own = look(faces.images[:3000])
    return original.remarks(faces, own.sharpness, own.contrast, own.unevenness)


def jpeg(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], cv2.IMREAD_GRAYSCALE)


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        (lambda image: cv2.GaussianBlur(image, (3, 3), 0), "blurred, or brought from another size"),
        (lambda image: cv2.medianBlur(image, 3), "blurred, or brought from another size"),
        (jpeg, "JPEG of low quality"),
        (lambda image: cv2.resize(image[4:44, 4:44], (48, 48)), "cropped and zoomed"),
        (cv2.createCLAHE(2.0, (8, 8)).apply, "(CLAHE)"),
        (lambda image: 255 - image, "Its images are negatives."),
        (lambda image: image[:, ::-1], "Its images are mirrored."),
        (lambda image: image.T, "Its images are transposed."),
        (lambda image: image[::-1, ::-1], "Its images are turned by 180°."),
    ],
)
def test_what_was_done_to_every_image(copy, change, fragment):
    altered = dataclasses.replace(copy, images=np.stack([change(image) for image in copy.images]))
    assert any(fragment in said for said in remarks(altered))


def test_the_original_says_nothing_and_drawn_faces_are_no_copy(copy):
    assert remarks(copy) == [] == remarks(synthetic.draw(600, seed=0))


def test_rows_labels_and_usages_in_another_order(copy):
    order = np.random.default_rng(0).permutation(len(copy))
    shuffled = dataclasses.replace(copy.take(order), row_id=copy.row_id)
    assert remarks(shuffled) == ["Its rows are in another order than the original's."]
    alphabetical = np.array([sorted(EMOTIONS).index(name) for name in EMOTIONS], np.uint8)
    renamed = dataclasses.replace(copy, labels=alphabetical[copy.labels])
    assert remarks(renamed) == [
        "Its labels are not the original's: sad is called surprise, surprise is called neutral, neutral is called sad."
    ]
    both = dict(zip(("Training", "PublicTest", "PrivateTest"), ("Training", "PrivateTest", "PublicTest")))
    swapped = dataclasses.replace(copy, usage=np.array([both[usage] for usage in copy.usage]))
    assert remarks(swapped) == [
        "Its usages are not the original's: PublicTest is called PrivateTest, PrivateTest is called PublicTest."
    ]


def test_a_run_says_so_before_it_starts(copy, monkeypatch, capsys):
    from fer_common.experiment import paper, running
    from reproductions import load

    mirrored = dataclasses.replace(copy, images=copy.images[:, :, ::-1])
    monkeypatch.setattr(running, "load", lambda *_: running.Copies(mirrored, None))
    own = load("cnn_13_epochs")
    run = running._prepared(own, "cnn", "official", own.systems["cnn"], paper.Options(), set())
    assert run.record.notes == ["copy: Its images are mirrored."]
    assert "not as it was published: Its images are mirrored." in capsys.readouterr().err
