"""Multiply-adds against a count by hand; a LiteRT file against Keras."""

import numpy as np
import pytest

from fer_common import export, pipeline


@pytest.fixture(scope="module")
def network():
    pipeline.start(None)
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    inputs = x = keras.Input((48, 48, 1))
    x = layers.ReLU()(layers.Conv2D(32, 3, 2, "same")(x))
    x = layers.DepthwiseConv2D(3, 3, "same")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, {"a": layers.Dense(7, "softmax", name="a")(x), "b": layers.Dense(2, name="b")(x)})


def test_multiply_adds_by_hand(network):
    assert export.multiply_adds(network) == 24 * 24 * 32 * 3 * 3 * 1 + 8 * 8 * 32 * 3 * 3 + 32 * (7 + 2)


def test_litert_says_what_keras_says(network, tmp_path):
    images = np.random.default_rng(0).random((100, 48, 48, 1), np.float32)
    expected = network.predict(images, verbose=0)
    export.to_litert(network, tmp_path / "float.tflite")
    found = export.predict(tmp_path / "float.tflite", (images[:64], images[64:]))
    export.to_litert(network, tmp_path / "int8.tflite", representative=images)
    rough = export.predict(tmp_path / "int8.tflite", [images])
    assert (tmp_path / "int8.tflite").stat().st_size < (tmp_path / "float.tflite").stat().st_size
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5)
        assert 0 < np.abs(rough[name] - values).max() < 0.05
