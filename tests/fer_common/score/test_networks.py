"""Somebody else's network through every form of file; files that are broken, hostile, or nothing of the kind."""

import json
import os
import pickle
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fer_common import UserError, data, export, pipeline
from fer_common.data import ferplus
from fer_common.score import networks
from fer_common.score.networks import Pass, ask, describe
from tests.conftest import REAL, ROOT

RELEASED = REAL.parent.parent / "released"
FERPLUS = REAL.parent / "fer2013new.csv"
ROWS = np.random.default_rng(5).permutation(50)
pytestmark = pytest.mark.training  # each starts a backend, in this process or in one of its own


@pytest.fixture(scope="module")
def keras():
    pipeline.start(None)
    import keras

    return keras


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((60, 48, 48, 1), np.float32)


@pytest.fixture(scope="module")
def network(keras):
    """A small one with everything that is kept of its data, and moving statistics that are not 0 and 1."""
    keras.utils.set_random_seed(3)
    return build(keras)


def build(keras, batch: int | None = None, normalised: bool = True):
    layers = keras.layers
    inputs = x = keras.Input(batch_shape=(batch, 48, 48, 1))
    if normalised:
        x = layers.Normalization(mean=[0.5], variance=[0.08], name="faces")(x)
    x = layers.Conv2D(8, 3, 2, "same", activation="relu", name="convolution")(x)
    normalisation = layers.BatchNormalization(name="batches", epsilon=1e-3)
    x = normalisation(x)
    x = layers.MaxPooling2D(4, name="pooling")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    model = keras.Model(inputs, layers.Dense(7, activation="softmax", name="classes")(x))
    generator = np.random.default_rng(7)
    normalisation.set_weights([generator.uniform(0.5, 1.5, 8) for _ in range(4)])
    return model


def asked(path: Path, images: np.ndarray, **options) -> np.ndarray:
    """What it says of ROWS, in batches that do not divide them."""
    return ask(path, images, [Pass(ROWS, 16)], **options).outputs[0]


def refused(path: Path, *words: str, images: np.ndarray | None = None, **options) -> str:
    """The one sentence in which it ends, which has these words, begins with the path and says what to do."""
    with pytest.raises(UserError) as caught:
        describe(path, **options) if images is None else asked(path, images, **options)
    sentence = str(caught.value)
    assert all(word in sentence for word in words), sentence
    assert sentence.startswith(f"{path}: ") and sentence.endswith(".") and "\n" not in sentence, sentence
    return sentence


# Forms


def test_keras_with_a_batch_that_is_fixed(keras, images, tmp_path):
    model = build(keras, batch=20)
    model.save(tmp_path / "it.keras")
    expected = model.predict(images, batch_size=20, verbose=0)[ROWS]
    np.testing.assert_allclose(asked(tmp_path / "it.keras", images), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["it.keras", "it.h5"])
def test_keras_says_the_same_in_another_process(network, images, tmp_path, name):
    network.save(tmp_path / name)
    again = Pass(np.array([7, 7, 3]), 2)
    answer = ask(tmp_path / name, images, [Pass(ROWS, 16), again])
    expected = network.predict(images, verbose=0)
    np.testing.assert_allclose(answer.outputs[0], expected[ROWS], atol=1e-5)
    np.testing.assert_allclose(answer.outputs[1], expected[[7, 7, 3]], atol=1e-5)
    assert answer.input_shape == (48, 48, 1)
    assert answer.parameters == network.count_params()
    assert answer.reader.startswith("keras 3.")
    assert answer.statistics == {"faces.mean": [0.5], "faces.variance": [pytest.approx(0.08)]}


@pytest.mark.parametrize("batch", [None, 1, 8])
def test_litert_in_batches_where_the_file_allows_it(keras, images, tmp_path, batch):
    model = build(keras, batch)
    export.to_litert(model, tmp_path / "it.tflite")
    answer = ask(tmp_path / "it.tflite", images, [Pass(ROWS, 16)])
    expected = build(keras)
    expected.set_weights(model.get_weights())
    np.testing.assert_allclose(answer.outputs[0], expected.predict(images, verbose=0)[ROWS], atol=1e-5)
    assert answer.input_shape == (48, 48, 1)
    assert answer.reader.startswith("LiteRT ")
    assert answer.statistics == {}


def test_int8_goes_by_the_scale_in_the_file(network, images, tmp_path):
    export.to_litert(network, tmp_path / "it.tflite", representative=images)
    answer = ask(tmp_path / "it.tflite", images, [Pass(ROWS, 16)])
    expected = network.predict(images, verbose=0)[ROWS]
    assert 0 < np.abs(answer.outputs[0] - expected).max() < 0.05
    assert answer.statistics["input.scale"] == [pytest.approx(1 / 255, rel=0.01)]
    assert answer.statistics["input.zero_point"] == [-128]
    assert answer.statistics["output.scale"] == [1 / 256]


def test_parameters_of_a_litert_file(keras, tmp_path):
    """They are those of Keras where the converter has nothing to fold or to leave out, as it does biases of 0."""
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Conv2D(8, 3, 2, activation="relu", bias_initializer="ones")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(7, bias_initializer="ones")(keras.layers.Flatten()(x)))
    export.to_litert(model, tmp_path / "it.tflite")
    assert describe(tmp_path / "it.tflite").parameters == model.count_params()


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A protobuf message."""

    def varint(value: int) -> bytes:
        return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])

    def one(number: int, value: int | str | bytes) -> bytes:
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        content = value.encode() if isinstance(value, str) else value
        return varint(number << 3 | 2) + varint(len(content)) + content

    return b"".join(one(*field) for field in fields)


def write_onnx(path: Path, shape: tuple, weights: np.ndarray, transpose: bool) -> None:
    """The softmax of the flattened image (channels first) times weights; fields as in onnx.proto."""

    def value(name: str, dims: tuple) -> bytes:
        sizes = [(1, message((1, size) if isinstance(size, int) else (2, size))) for size in dims]
        return message((1, name), (2, message((1, message((1, 1), (2, message(*sizes)))))))

    def node(kind: str, takes: list[str], gives: str, *more) -> tuple[int, bytes]:
        return 1, message(*((1, name) for name in takes), (2, gives), (4, kind), *more)

    tensor = message(*((1, size) for size in weights.shape), (2, 1), (8, "weights"), (9, weights.tobytes()))
    first = [node("Identity", ["images"], "first")]
    if transpose:
        order = message((1, "perm"), *((8, axis) for axis in (0, 3, 1, 2)), (20, 7))
        first = [node("Transpose", ["images"], "first", (5, order))]
    graph = message(
        *first,
        node("Flatten", ["first"], "flat"),
        node("MatMul", ["flat", "weights"], "logits"),
        node("Softmax", ["logits"], "classes"),
        (2, "graph"),
        (5, tensor),
        (11, value("images", shape)),
        (12, value("classes", (shape[0], 7))),
    )
    path.write_bytes(message((1, 8), (7, graph), (8, message((1, ""), (2, 13)))))


@pytest.mark.parametrize(
    "shape", [("n", 48, 48, 3), ("n", 3, 48, 48), (1, 48, 48, 3), (8, 3, "height", "width")], ids=str
)
def test_onnx_with_the_channels_first_or_last(tmp_path, shape):
    pytest.importorskip("onnxruntime")
    images = np.random.default_rng(0).random((60, 48, 48, 3), np.float32)
    weights = np.random.default_rng(1).normal(0, 0.05, (48 * 48 * 3, 7)).astype(np.float32)
    write_onnx(tmp_path / "it.onnx", shape, weights, transpose=shape[3] == 3)
    answer = ask(tmp_path / "it.onnx", images, [Pass(ROWS, 16)])
    logits = images[ROWS].transpose(0, 3, 1, 2).reshape(50, -1) @ weights
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(answer.outputs[0], expected, atol=1e-4)
    assert answer.input_shape == ((None, None, 3) if "height" in shape else (48, 48, 3))
    assert answer.parameters == weights.size
    assert answer.reader.startswith("onnxruntime ")


@pytest.mark.parametrize(
    ("library", "call", "sentence"),
    [
        ("onnxruntime", "load_onnx(None)", "pip install onnxruntime (the extra `export`)"),
        ("ai_edge_litert", "load_tflite(None)", "pip install ai-edge-litert (the extra `export`)"),
        ("tf_keras", "load_keras(request, None, '')", "no, and tf_keras, which reads files of Keras 1 and 2"),
    ],
)
def test_without_a_library_a_sentence_says_how_to_get_it(library, call, sentence):
    code = (
        f"import sys; sys.modules[{library!r}] = None\nfrom fer_common.score import worker\n"
        "request = worker.Request(path='', file='', trust=False, batch_sizes=[], largest=0, memory=0, seconds=0,\n"
        f"                         first_error='no')\nworker.{call}\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert sentence in process.stderr and "pip install" in process.stderr


def write_keras_1(path: Path, model) -> None:
    """The network without Normalization as Keras 1.2 wrote it (its configuration by hand, from its documentation)."""
    import h5py

    common = {"trainable": True, "activity_regularizer": None, "W_regularizer": None, "b_regularizer": None}
    common |= {"W_constraint": None, "b_constraint": None, "init": "glorot_uniform"}
    layers = [
        ("Convolution2D", {"name": "convolution", "nb_filter": 8, "nb_row": 3, "nb_col": 3, "subsample": [2, 2],
                           "border_mode": "same", "dim_ordering": "tf", "bias": True, "activation": "relu",
                           "batch_input_shape": [None, 48, 48, 1], "input_dtype": "float32", **common}),
        ("BatchNormalization", {"name": "batches", "epsilon": 1e-3, "mode": 0, "axis": -1, "momentum": 0.99,
                                "gamma_regularizer": None, "beta_regularizer": None, "trainable": True}),
        ("MaxPooling2D", {"name": "pooling", "pool_size": [4, 4], "strides": [4, 4], "border_mode": "valid",
                          "dim_ordering": "tf", "trainable": True}),
        ("Flatten", {"name": "flat", "trainable": True}),
        ("Dropout", {"name": "dropout", "p": 0.5, "trainable": True}),
        ("Dense", {"name": "classes", "output_dim": 7, "activation": "softmax", "bias": True, **common}),
    ]  # fmt: skip
    names = {"kernel": "W", "bias": "b", "moving_mean": "running_mean", "moving_variance": "running_std"}
    with h5py.File(path, "w") as file:
        config = [{"class_name": kind, "config": each} for kind, each in layers]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config})
        file.attrs["keras_version"] = b"1.2.2"
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [each["name"].encode() for _, each in layers]
        weights.attrs["keras_version"], weights.attrs["backend"] = b"1.2.2", b"tensorflow"
        for _, each in layers:
            group = weights.create_group(each["name"])
            variables = model.get_layer(each["name"]).weights
            written = [f"{each['name']}_{names.get(v.name, v.name)}:0".encode() for v in variables]
            group.attrs["weight_names"] = np.array(written, "S")
            for name, variable in zip(written, variables):
                group.create_dataset(name.decode(), data=np.asarray(variable))


def test_a_file_of_keras_1(keras, images, tmp_path):
    model = build(keras, normalised=False)
    write_keras_1(tmp_path / "it.h5", model)
    np.testing.assert_allclose(asked(tmp_path / "it.h5", images), model.predict(images, verbose=0)[ROWS], atol=1e-5)


# Heads and inputs


def converted(keras, path: Path, inputs, outputs) -> Path:
    export.to_litert(keras.Model(inputs, outputs), path)
    return path


def test_the_only_head_with_seven_columns_is_taken(keras, images, tmp_path):
    inputs = keras.Input((48, 48, 1))
    flat = keras.layers.Flatten()(inputs)
    heads = {"ages": keras.layers.Dense(1)(flat), "classes": keras.layers.Dense(7)(flat)}
    model = keras.Model(inputs, heads)
    model.save(tmp_path / "it.keras")
    expected = model.predict(images, verbose=0)["classes"][ROWS]
    np.testing.assert_allclose(asked(tmp_path / "it.keras", images), expected, atol=1e-4)
    path = converted(keras, tmp_path / "it.tflite", inputs, heads)
    np.testing.assert_allclose(asked(path, images), expected, atol=1e-4)


def test_what_does_not_fit_ends_in_a_sentence(keras, images, tmp_path):
    inputs = keras.Input((48, 48, 1))
    flat = keras.layers.Flatten()(inputs)
    eight = converted(keras, tmp_path / "eight.tflite", inputs, keras.layers.Dense(8)(flat))
    refused(eight, "8 columns", "seven classes", images=images)
    assert describe(eight).input_shape == (48, 48, 1)
    two = converted(keras, tmp_path / "two.tflite", inputs, [keras.layers.Dense(7)(flat) for _ in range(2)])
    refused(two, "several outputs have seven columns", images=images)
    refused(eight, "wants images of 48×48×1", "was given 64×64×1", images=np.zeros((60, 64, 64, 1), np.float32))
    pixels = keras.Input((2304,))
    flat = converted(keras, tmp_path / "flat.tflite", pixels, keras.layers.Dense(7)(pixels))
    refused(flat, "its input has the shape")


# What may run code


def with_lambda(keras, function, wrapped=lambda layer: layer, shape=(48, 48, 1)):
    inputs = keras.Input(shape)
    x = wrapped(keras.layers.Lambda(function, output_shape=shape[-3:], name="code"))(inputs)
    return keras.Model(inputs, keras.layers.Dense(7)(keras.layers.Flatten()(x)))


@pytest.mark.parametrize("name", ["it.keras", "it.h5"])
def test_a_lambda_needs_trust(keras, images, tmp_path, name):
    model = with_lambda(keras, lambda x: x * 2)
    model.save(tmp_path / name)
    refused(tmp_path / name, "'code' is a Lambda", "--trust")
    if name == "it.keras":
        expected = model.predict(images, verbose=0)[ROWS]
        np.testing.assert_allclose(asked(tmp_path / name, images, trust=True), expected, atol=1e-4)


@pytest.mark.parametrize("name", ["it.keras", "it.h5"])
def test_a_lambda_is_found_wherever_it_hides(keras, tmp_path, name):
    time_distributed = keras.layers.TimeDistributed
    with_lambda(keras, lambda x: x, time_distributed, shape=(2, 48, 48, 1)).save(tmp_path / name)
    refused(tmp_path / name, "is a Lambda")
    inputs = keras.Input((48, 48, 1))
    keras.Model(inputs, with_lambda(keras, lambda x: x)(inputs)).save(tmp_path / name)
    refused(tmp_path / name, "is a Lambda")


def write_zip(path: Path, config: object, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ({"class_name": "system", "module": "os", "config": "echo"}, "system of os"),
        ({"class_name": "get_file", "module": "keras.utils", "config": {}}, "get_file of keras.utils"),
        ({"class_name": "function", "module": "keras.config", "config": "x"}, "no part of Keras"),
        ({"class_name": "Mine", "module": None, "registered_name": "authors>Mine", "config": {}}, "authors>Mine"),
        ({"class_name": "authors>Mine", "config": {}}, "authors>Mine of its authors"),
        ({"class_name": "Activation", "config": {"activation": {"class_name": "__lambda__"}}}, "__lambda__"),
        ({"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "/x"}}, "TFSMLayer"),
        ({"class_name": "Wrapper", "config": {"hidden": json.dumps({"class_name": "Lambda"})}}, "is a Lambda"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_configurations_are_refused_unread(tmp_path, layer, words):
    import h5py

    config = {"class_name": "Sequential", "config": {"layers": [layer]}}
    refused(write_zip(tmp_path / "it.keras", config), words)
    with h5py.File(tmp_path / "it.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    refused(tmp_path / "it.h5", words)


def test_pickles_are_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "was here"),)

    (tmp_path / "it.h5").write_bytes(pickle.dumps(Hostile()))
    refused(tmp_path / "it.h5", "a pickle")
    with zipfile.ZipFile(tmp_path / "it.pt", "w") as archive:
        archive.writestr("it/data.pkl", pickle.dumps(Hostile()))
    refused(tmp_path / "it.pt", "PyTorch", ".onnx")
    assert not (tmp_path / "was here").exists()


# Files that are none, or too large


def test_what_is_no_file_of_a_network(tmp_path):
    refused(tmp_path / "none.keras", "no such file")
    refused(tmp_path, "a folder", "one file")
    (tmp_path / "empty.h5").touch()
    refused(tmp_path / "empty.h5", "empty")
    for name in ("text.h5", "text.keras", "text.tflite", "text.pdf"):
        (tmp_path / name).write_text("<html>Not found</html>")
        refused(tmp_path / name, "expected a .keras" if name.endswith("pdf") else "whatever its name says")
    refused(write_zip(tmp_path / "a.keras", "[1]"), "not a network of Keras")
    refused(write_zip(tmp_path / "b.keras", "{"), "no JSON")
    refused(write_zip(tmp_path / "deep.keras", "[" * 100_000), "no JSON")
    refused(write_zip(tmp_path / "c.keras", "{}", **{"../../x": b""}), "'../../x'")
    with zipfile.ZipFile(tmp_path / "word.keras", "w") as archive:
        archive.writestr("word/document.xml", "")
    refused(tmp_path / "word.keras", "not Keras's")


def test_files_that_are_cut_off(network, tmp_path):
    export.to_litert(network, tmp_path / "it.tflite")
    for name in ("it.keras", "it.h5", "it.tflite"):
        if not name.endswith("tflite"):
            network.save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        refused(tmp_path / name, "again")


def test_weights_without_architecture(network, tmp_path):
    network.save_weights(tmp_path / "it.weights.h5")
    refused(tmp_path / "it.weights.h5", "without the architecture", "model.save")
    import h5py

    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
    refused(tmp_path / "old.h5", "without the architecture")
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["x"] = [1]
    refused(tmp_path / "table.h5", "not Keras's")


def test_files_that_are_too_large(tmp_path, monkeypatch):
    with (tmp_path / "it.keras").open("wb") as file:
        file.truncate((2 << 30) + 1)
    refused(tmp_path / "it.keras", "2.0 GiB", "--trust")
    monkeypatch.setattr(networks, "LARGEST", 1 << 20)
    bomb = write_zip(tmp_path / "bomb.keras", "{}", **{"model.weights.h5": bytes(2 << 20)})
    assert bomb.stat().st_size < 1 << 20
    refused(bomb, "unpacks to")


# The process


def test_a_network_that_needs_more_memory_than_there_is(keras, tmp_path):
    """The configuration asks for 18 GB of weights."""
    layers = [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7)]
    config = keras.Sequential(layers).to_json().replace('"units": 7', '"units": 2000000')
    refused(write_zip(tmp_path / "it.keras", config), "needs more memory than 12 GiB")


def with_lambda_that(keras, path: Path, function) -> Path:
    """A file whose Lambda was changed after the network was built, so that it runs only where the file is read."""
    model = with_lambda(keras, lambda x: x)
    model.get_layer("code").function = function
    model.save(path)
    return path


def test_a_network_that_never_ends(keras, images, tmp_path):
    path = with_lambda_that(keras, tmp_path / "it.keras", lambda x: __import__("time").sleep(1000))
    started = time.monotonic()
    refused(path, "not done after 15 s", images=images, trust=True, seconds=15)
    assert time.monotonic() - started < 20


def test_a_network_that_crashes(keras, images, tmp_path):
    path = with_lambda_that(keras, tmp_path / "it.keras", lambda x: __import__("os").abort())
    refused(path, "SIGABRT", images=images, trust=True)


def test_there_is_no_internet_in_the_process():
    """Not even to this machine, by Python's sockets or, where Linux allows it, by those beneath."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = (
            "import sys, urllib.request, _socket\nfrom fer_common.score import worker\n"
            "address = '127.0.0.1', int(sys.argv[1])\n"
            "_socket.socket().connect(address)\n"
            "worker.cut_off()\n"
            "import ssl\n"
            "for call in (lambda: worker.socket.create_connection(address), worker.socket.socket,\n"
            "             lambda: urllib.request.urlopen('http://127.0.0.1:%d' % address[1])):\n"
            "    try:\n        call()\n        sys.exit('connected')\n    except OSError as error:\n"
            "        assert 'no internet' in str(error), error\n"
            "try:\n    _socket.socket().connect(address)\n    print('open below')\n"
            "except OSError:\n    print('closed')\n"
        )
        arguments = [sys.executable, "-c", code, str(server.getsockname()[1])]
        process = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert process.returncode == 0, process.stderr
    if process.stdout.strip() == "open below":
        pytest.skip("Python's sockets are closed; this machine gives no network name space to close those beneath")


def test_tensorflow_stays_out_of_the_process_that_asks():
    code = (
        "import sys; from fer_common.score import networks\n"
        "sys.exit(bool({'tensorflow', 'keras', 'tf_keras', 'ai_edge_litert', 'h5py'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=120).returncode == 0


# Released networks


def released(name: str) -> Path:
    if not (RELEASED / name).exists():
        pytest.skip("no released networks on this machine")
    return RELEASED / name


def test_a_released_file_that_only_tf_keras_reads(real):
    """0.9184 is what the file gives in tf_keras itself, of PublicTest without the images that FER+ does not name."""
    path = released("fer_model_best.h5")
    if not FERPLUS.exists():
        pytest.skip("no FER+ on this machine")
    faces = data.load(str(real))
    ferplus.read(FERPLUS, faces)  # joined by row
    named = np.array([bool(line.split(",")[1].strip()) for line in FERPLUS.read_text().splitlines()[1:]])
    rows = np.flatnonzero((faces.usage == "PublicTest") & named)
    answer = ask(path, faces.images[..., None].astype(np.float32) / 255, [Pass(rows, 256)])
    logits = answer.outputs[0].astype(float)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert -log_probabilities[np.arange(len(rows)), faces.labels[rows]].mean() == pytest.approx(0.9184, abs=1e-4)
    assert answer.reader.startswith("tf_keras ") and answer.input_shape == (48, 48, 1)


def test_a_released_file_of_keras_2_that_keras_3_reads(real):
    """0.655 of PublicTest and PrivateTest, resized by OpenCV's bilinear on bytes."""
    import cv2

    path = released("fer2013_mini_XCEPTION.102-0.66.hdf5")
    faces = data.load(str(real))
    rows = np.flatnonzero(faces.usage != "Training")
    images = np.stack([cv2.resize(image, (64, 64), interpolation=cv2.INTER_LINEAR) for image in faces.images[rows]])
    answer = ask(path, ((images / np.float32(255) - 0.5) * 2)[..., None], [Pass(np.arange(len(rows)), 256)])
    assert (answer.outputs[0].argmax(1) == faces.labels[rows]).mean() == pytest.approx(0.655, abs=1e-3)
    assert answer.parameters == 58_423 and answer.reader.startswith("keras ")
