"""A trained network as a LiteRT file, and what one predicts. Apart from the pipeline all that imports tensorflow."""

import contextlib
import io
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from fer_common import UserError


def to_litert(network, path: Path, *, representative: np.ndarray | None = None) -> None:
    """Write a Keras network with one input and named outputs to `path` (.tflite).

    representative: inputs float32 (N, …) whose ranges set those of full int8; without them the file is float32.
    Raises UserError under another backend than TensorFlow, whose converter it is.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise UserError("The export to LiteRT needs TensorFlow; say KERAS_BACKEND=tensorflow.")
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    if representative is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([each[None]] for each in representative)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    # It lists every variable, and warns that ranges are missing which it then takes from the representative inputs.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Path(path).write_bytes(converter.convert())


def multiply_adds(network) -> int:
    """Those of one image's way through a Keras network with one input: of its convolutions and matrix products, as
    TensorFlow's profiler counts them (half of what it calls floating-point operations)."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    given = tf.TensorSpec((1, *network.input_shape[1:]), tf.float32)
    # Without AutoGraph, which would leave a file in the temporary folder where the process is killed.
    traced = tf.function(network, autograph=False).get_concrete_function(given)
    graph = convert_variables_to_constants_v2(traced).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    options = options.with_empty_output().build()
    found = tf.compat.v1.profiler.profile(graph, cmd="scope", options=options)
    kinds = ("Conv2D", "DepthwiseConv2dNative", "MatMul")
    counted = {node.name for node in graph.get_operations() if node.type in kinds}

    def total(node) -> int:
        own = node.float_ops if node.name in counted else 0
        return own + sum(map(total, node.children))

    return total(found) // 2


def predict(path: Path, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """float32 (N, K) by output: what the file at `path` says, on one thread, of inputs float32 (n, …), batch by batch.

    An int8 file is given and gives integers, which stand for numbers as it says itself.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError("LiteRT's interpreter is missing: pip install ai-edge-litert (the extra `export`).") from None
    runner = Interpreter(str(path), num_threads=1).get_signature_runner()
    [(name, given)] = runner.get_input_details().items()
    gives = runner.get_output_details()
    found: dict[str, list[np.ndarray]] = {output: [] for output in gives}
    for batch in batches:
        for output, values in runner(**{name: _as_given(batch, given)}).items():
            found[output].append(_as_numbers(values, gives[output]))
    return {output: np.concatenate(values) for output, values in found.items()}


def _as_given(numbers: np.ndarray, tensor: dict) -> np.ndarray:
    if tensor["dtype"] != np.int8:
        return numbers
    scale, zero = tensor["quantization"]
    return np.clip(np.round(numbers / scale + zero), -128, 127).astype(np.int8)


def _as_numbers(values: np.ndarray, tensor: dict) -> np.ndarray:
    if tensor["dtype"] != np.int8:
        return values
    scale, zero = tensor["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale)
