"""Features are computed once for what they are made of, and are those of the images they stand beside."""

import numpy as np
import pytest

from fer_common import UserError, features, pipeline
from fer_common.data import cache_folder

PREPROCESSING = pipeline.Preprocessing(size=48, channels=3)


@pytest.fixture
def network():
    import keras
    from keras import layers

    pipeline.start(None)
    keras.utils.set_random_seed(3)
    inputs = keras.Input((48, 48, 3))
    x = layers.Conv2D(4, 5, strides=5, activation="relu")(inputs)
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(x))


def kept() -> set:
    return set((cache_folder() / "features").glob("*.npy"))


def test_they_are_those_of_the_images_in_any_order(faces, network, monkeypatch):
    monkeypatch.setattr(features, "BATCH", 8)  # several batches of several parts
    images = faces.images[:150]
    batches = pipeline.in_order(images, None, range(150), batch_size=150, preprocessing=PREPROCESSING)
    expected = network.predict(batches, verbose=0)
    np.testing.assert_allclose(features.extract(network, images, PREPROCESSING, "a"), expected, rtol=1e-5)
    before = kept()
    monkeypatch.setattr(features, "_compute", None)  # nothing is left to compute
    rows = np.random.default_rng(0).permutation(np.r_[np.arange(150), np.arange(20)])
    again = features.extract(network, images[rows], PREPROCESSING, "a")
    np.testing.assert_allclose(again, expected[rows], rtol=1e-5)
    assert kept() == before


def test_anything_else_is_computed_anew(faces, network):
    import keras

    images = faces.images[:20]
    first = features.extract(network, images, PREPROCESSING, "b")
    for change in (
        lambda: features.extract(network, images, PREPROCESSING, "c"),
        lambda: features.extract(network, images, pipeline.Preprocessing(size=48, channels=3, scale=1.0), "b"),
        lambda: features.extract(network, images[:19], PREPROCESSING, "b"),
    ):
        before = kept()
        change()
        assert len(kept() - before) == 1
    weights = network.trainable_variables[0]
    weights.assign(keras.ops.flip(weights, -1))
    assert not np.array_equal(features.extract(network, images, PREPROCESSING, "b"), first)


def test_a_cut_file_is_made_again_and_nothing_partial_stays(faces, network):
    images = faces.images[:30]
    before = kept()
    first = features.extract(network, images, PREPROCESSING, "d")
    (path,) = kept() - before
    path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(features.extract(network, images, PREPROCESSING, "d"), first)
    assert not list(path.parent.glob("*.partial"))


def test_no_room_ends_in_a_sentence(faces, network, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FERREPRO_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="features cannot be kept in .*FERREPRO_CACHE"):
        features.extract(network, faces.images[:10], PREPROCESSING, "e")


def test_broken_weights_are_named(faces, network):
    network.trainable_variables[0].assign(np.full(network.trainable_variables[0].shape, np.inf))
    with pytest.raises(UserError, match="weights are broken"):
        features.extract(network, faces.images[:10], PREPROCESSING, "f")


def test_the_same_numbers_in_another_shape_are_another_network():
    import keras

    def zeros(wide, deep):
        return keras.Sequential([keras.Input((wide,)), keras.layers.Dense(deep, "relu", False, "zeros")])

    assert features.digest(zeros(2, 6)) == features.digest(zeros(2, 6)) != features.digest(zeros(3, 4))
