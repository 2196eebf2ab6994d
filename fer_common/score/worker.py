"""The process that opens somebody else's network: looks what the file holds, loads it, asks it, writes what it says.

`networks` starts it as `python -m fer_common.score.worker FOLDER` and reads its reply there. It is no jail: code that
the user trusts, or a flaw of a library, still reads and writes what the user can. It does guard against what files do
by mistake and by the known tricks: they crash, they grow, they never end, they call home, they bring code.
"""

import contextlib
import ctypes
import functools
import json
import math
import os
import re
import shutil
import socket
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fer_common import UserError
from fer_common.score.card import Preparation
from fer_common.score.preparation import prepared

CLASSES = 7
THREADS = 2  # of the interpreters of .tflite and .onnx; Keras takes what there is
HDF5 = b"\x89HDF\r\n\x1a\n"
ZIP = b"PK\x03\x04"

# Classes whose configuration is code, or names a file or a function of the library to be called.
RUNS_CODE = {
    "Lambda", "__lambda__", "TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty",
    "TensorFlowOpLayer", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TextVectorization",
    "StringLookup", "IntegerLookup",
}  # fmt: skip
# The modules that a configuration may name: Keras's own, and of those the ones that make up a network.
ALLOWED_MODULE = re.compile(
    r"builtins$|(tf_)?keras(\.src)?(\.(layers|models|engine|initializers|regularizers|constraints|activations|"
    r"optimizers|losses|metrics|dtype_policies|ops|random|quantizers|mixed_precision)(\..*)?)?$"
)
KERAS_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What `networks` asks: request.json, beside images.npy and rows-0.npy, rows-1.npy, …, one for each pass.

    path: as the user wrote it, for sentences; file: the same, absolute. largest, memory: bytes. preparation: what
    becomes of images uint8 (N, 48, 48) before the network sees them; without it they are prepared already.
    first_error: what Keras 3 said of a file that tf_keras is now to read.
    """

    path: str
    file: str
    trust: bool
    batch_sizes: list[int]
    largest: int
    memory: int
    seconds: float
    preparation: Preparation | None = None
    first_error: str = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered: reply.json, beside outputs-0.npy, …; `error` is a sentence, empty where all went well."""

    error: str = ""
    try_tf_keras: bool = False
    input_shape: list[int | None] = []
    parameters: int | None = None
    reader: str = ""
    statistics: dict[str, list[float]] = {}


@dataclass(frozen=True)
class Network:
    """A loaded network.

    forward: float32 (b, height, width, channels) → its outputs (b, …) by name.
    batch: the only b that it takes, or None.
    parameters: a function, as some networks have none before they were asked.
    """

    forward: Callable[[np.ndarray], dict[str, np.ndarray]]
    input_shape: tuple[int | None, ...]
    reader: str
    parameters: Callable[[], int | None]
    statistics: dict[str, list[float]]
    batch: int | None = None


class NotByKeras3(Exception):
    """Keras 3 cannot read the file; tf_keras may."""


def main(folder: Path) -> None:
    request = msgspec.json.decode((folder / "request.json").read_bytes(), type=Request)
    try:
        limit(request)
        cut_off()
        reply = serve(request, folder)
    except UserError as error:
        reply = Reply(error=f"{request.path}: {error}")
    except NotByKeras3 as error:
        reply = Reply(error=str(error), try_tf_keras=True)
    except Exception as error:  # whatever a stranger's file makes a library raise
        if out_of_memory(error):
            sentence = f"needs more memory than {request.memory / 2**30:.0f} GiB; give it smaller batches."
        else:
            sentence = f"could not be read or asked ({one_line(error)}); save or export it again."
        reply = Reply(error=f"{request.path}: {sentence}")
    (folder / "reply.writing").write_bytes(msgspec.json.encode(reply))
    (folder / "reply.writing").replace(folder / "reply.json")
    os._exit(0)  # what a network left running ends here


def limit(request: Request) -> None:
    """No more memory, time and disk than was asked for, where the system can say so."""
    import resource

    processor_seconds = int(request.seconds * (os.cpu_count() or 1)) + 60
    for kind, most in (
        (resource.RLIMIT_AS, request.memory),
        (resource.RLIMIT_CPU, processor_seconds),
        (resource.RLIMIT_FSIZE, request.largest),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # macOS has no limit on address space
            resource.setrlimit(kind, (most, most))


def cut_off() -> None:
    """No network, and no life after the parent's.

    Python's sockets are replaced, which stops what Keras and code in a Lambda would fetch or send by its usual means.
    It does not stop compiled code, nor Python that goes to `_socket` or starts another program: against those Linux
    gives the process a network name space with nothing in it, where it lets an ordinary user do that.
    """

    class NoSocket(socket.socket):  # a class, since `ssl` derives one from it
        def __init__(self, *arguments, **options):
            raise OSError("a network under test has no internet")

    socket.socket = NoSocket  # type: ignore[misc]
    if sys.platform == "linux":
        libc, new_network, new_user, die_with_parent = ctypes.CDLL(None), 0x40000000, 0x10000000, 1
        libc.prctl(die_with_parent, 9)
        if libc.unshare(new_network):
            libc.unshare(new_network | new_user)


def serve(request: Request, folder: Path) -> Reply:
    network = load(request, folder)
    if request.batch_sizes:
        images = np.load(folder / "images.npy", mmap_mode="r")

        def prepare(rows: np.ndarray) -> np.ndarray:
            own = np.ascontiguousarray(images[rows])
            return prepared(own, request.preparation) if request.preparation else own

        check_input(network.input_shape, prepare(np.arange(1)).shape[1:])
        for number, batch_size in enumerate(request.batch_sizes):
            rows = np.load(folder / f"rows-{number}.npy")
            np.save(folder / f"outputs-{number}.npy", answer(network, prepare, rows, batch_size))
    return Reply(
        input_shape=list(network.input_shape),
        parameters=network.parameters(),
        reader=network.reader,
        statistics=network.statistics,
    )


def check_input(wanted: tuple[int | None, ...], given: tuple[int, ...]) -> None:
    if any(size not in (None, there) for size, there in zip(wanted, given)):
        shape = "×".join("any" if size is None else str(size) for size in wanted)
        raise UserError(f"wants images of {shape} and was given {'×'.join(map(str, given))}; preprocess them to that.")


def answer(
    network: Network, prepare: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, batch_size: int
) -> np.ndarray:
    """float32 (n, 7): what the network says of these rows, in their order. prepare: rows → their images float32."""
    outputs = np.empty((len(rows), CLASSES), np.float32)
    step = network.batch or batch_size
    for start in range(0, len(rows), step):
        batch = prepare(rows[start : start + step])
        there = len(batch)
        if network.batch and there < network.batch:
            batch = np.concatenate([batch, np.zeros((network.batch - there, *batch.shape[1:]), np.float32)])
        outputs[start : start + there] = the_classes(network.forward(batch), len(batch))[:there]
    return outputs


def the_classes(outputs: dict[str, np.ndarray], images: int) -> np.ndarray:
    """(b, 7): the only output with seven columns. Raises UserError where there is none, or more than one."""
    fitting = [name for name, values in outputs.items() if values.shape == (images, CLASSES)]
    if len(fitting) == 1:
        return outputs[fitting[0]]
    if fitting:
        raise UserError(f"several outputs have seven columns ({', '.join(fitting)}); save a network with one of them.")
    shapes = ", ".join("×".join(map(str, values.shape[1:])) or "no" for values in outputs.values())
    raise UserError(f"its output has {shapes} columns an image, not the seven classes of FER2013; give it such a head.")


def load(request: Request, folder: Path) -> Network:
    """The network in the file, by what its first bytes say it is, and then by its name."""
    path = Path(request.file)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror}); check its permissions.") from None
    if start == HDF5:
        return load_hdf5(request, folder)
    if start[:4] == ZIP:
        return load_zip(request, folder)
    if start[4:8] == b"TFL3":
        return load_tflite(path)
    if start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05":
        raise UserError("a pickle, which runs code when it is read, and is not read; export the network to .onnx.")
    if path.suffix.lower() == ".onnx":
        return load_onnx(path)
    kinds = {".keras": "Keras", ".h5": "HDF5", ".hdf5": "HDF5", ".tflite": "LiteRT"}
    if path.suffix.lower() in kinds:
        kind = kinds[path.suffix.lower()]
        raise UserError(f"not {kind}, whatever its name says, for it begins with {start!r}; download or save it again.")
    raise UserError("no network that can be read; expected a .keras, .h5, .hdf5, .tflite or .onnx file.")


# Keras


def load_zip(request: Request, folder: Path) -> Network:
    """A .keras file, looked through before Keras sees it."""
    try:
        with zipfile.ZipFile(request.file) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if any(name.endswith(".pkl") for name in names):
                raise UserError("PyTorch's pickles, which run code when read, and are not read; export it to .onnx.")
            if "config.json" not in names:
                raise UserError("a zip archive without config.json, so not Keras's; save it by model.save('it.keras').")
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > request.largest and not request.trust:
                raise UserError(f"unpacks to {unpacked / 2**30:.1f} GiB, more than such a network needs; see --trust.")
            strange = {name for name in names if not name.endswith("/")} - KERAS_MEMBERS
            if strange and not request.trust:
                raise UserError(f"holds {min(strange)!r}, which no network of images needs; --trust reads it anyhow.")
            config = archive.read("config.json")
            versions = json.loads(archive.read("metadata.json")) if "metadata.json" in names else {}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"damaged or cut off ({one_line(error)}); download or save it again.") from None
    check_config(config, request.trust)
    link = folder / "network.keras"  # Keras goes by the ending
    link.unlink(missing_ok=True)
    link.symlink_to(request.file)
    return load_keras(request, link, str(versions.get("keras_version", "")) if isinstance(versions, dict) else "")


def load_hdf5(request: Request, folder: Path) -> Network:
    """A file of Keras 1 or 2 (or of Keras 3 in their form), looked through before Keras sees it."""
    import h5py

    try:
        with h5py.File(request.file) as file:
            config, version = file.attrs.get("model_config"), _text(file.attrs.get("keras_version", ""))
            content = [*file.attrs, *file]
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"damaged or cut off ({one_line(error)}); download or save it again.") from None
    if config is None:
        if {"layer_names", "layers", "vars", "_layer_checkpoint_dependencies"} & {*content}:
            raise UserError(
                "holds weights without the architecture; load them into the network that its authors' code builds, "
                "then save the whole with model.save('it.keras')."
            )
        raise UserError("HDF5 that is not Keras's (it has no model_config); save the network with model.save('it.h5').")
    configuration = check_config(_text(config), request.trust)
    link = folder / "network.h5"  # Keras goes by the ending
    link.unlink(missing_ok=True)
    if version.startswith("1.") or is_keras_1(configuration):
        shutil.copyfile(request.file, link)
        with h5py.File(link, "r+") as file:
            file.attrs["model_config"] = json.dumps(as_keras_2(configuration))
    else:
        link.symlink_to(request.file)
    return load_keras(request, link, version)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def check_config(config: str | bytes, trust: bool) -> dict:
    """A network's configuration. Raises UserError where it is none, or would run code and is not trusted."""
    try:
        configuration = json.loads(config)
        dictionaries = list(_dictionaries(configuration))
    except (ValueError, RecursionError) as error:
        raise UserError(f"its architecture is no JSON ({one_line(error)}); download or save it again.") from None
    if not isinstance(configuration, dict) or "class_name" not in configuration:
        raise UserError("its architecture is not a network of Keras; save it with model.save('it.keras').")
    if trust:
        return configuration
    for each in dictionaries:
        name, module, registered = (each.get(key) for key in ("class_name", "module", "registered_name"))
        title = each["config"].get("name") if isinstance(each.get("config"), dict) else None
        if isinstance(name, str) and name.split(">")[-1] in RUNS_CODE:
            where = f"the layer {title!r}" if title else "it"
            raise UserError(f"{where} is a {name}, which can run code from the file; --trust loads it anyhow.")
        # A layer's own configuration may have these words for something else: only a named class has a module.
        strange = [isinstance(module, str) and not ALLOWED_MODULE.match(module)]
        strange += [isinstance(text, str) and ">" in text for text in (name, registered)]
        if isinstance(name, str) and any(strange):
            raise UserError(
                f"asks for {name} of {module or registered or 'its authors'}, which is no part of Keras; save a "
                "network of Keras's own layers, or export it to .onnx or .tflite."
            )
    return configuration


def _dictionaries(value: object) -> Iterator[dict]:
    """Every dictionary in it, itself included; also in text that is JSON again, as some layers keep it."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
        elif isinstance(each, str) and each.lstrip()[:1] in ("{", "["):
            with contextlib.suppress(ValueError):
                waiting.append(json.loads(each))


def load_keras(request: Request, link: Path, version: str) -> Network:
    """By Keras 3, or by tf_keras where Keras 3 has failed. Raises NotByKeras3 where tf_keras may yet read it."""
    if request.first_error:
        try:
            import tf_keras as keras
        except ImportError:
            raise UserError(
                f"{request.first_error}, and tf_keras, which reads files of Keras 1 and 2, is not installed: "
                "pip install 'ferrepro[score]'."
            ) from None
    else:
        import keras

        if request.trust:
            keras.config.enable_unsafe_deserialization()  # HDF5 takes no safe_mode
    try:
        model = keras.models.load_model(link, compile=False, safe_mode=not request.trust)
    except Exception as error:
        if out_of_memory(error):
            raise MemoryError from None
        reason = f"{keras.__name__} {keras.__version__} cannot read it ({one_line(error)})"
        if not request.first_error and not version.startswith("3."):
            raise NotByKeras3(reason) from None
        reasons = " and ".join(filter(None, [request.first_error, reason]))
        writer = f", which Keras {version} saved" if version else ""
        raise UserError(f"{reasons}{writer}; export it to .onnx or .tflite where it can be read.") from None
    return of_keras(model, keras)


def of_keras(model, keras) -> Network:
    """A loaded network of Keras 3 or tf_keras."""
    import tensorflow as tf

    # Not model.predict, which compiles by XLA: seconds for a network that is asked once.
    asked = tf.function(functools.partial(model, training=False), reduce_retracing=True, autograph=False)

    def forward(batch: np.ndarray) -> dict[str, np.ndarray]:
        outputs = asked(tf.constant(batch))
        return {name: np.asarray(values, np.float32) for name, values in _named(outputs, model)}

    shape = getattr(model, "input_shape", None) if model.built else (None,) * 4
    if not isinstance(shape, tuple):
        raise UserError("has several inputs; save a network of which an image is the only one.")
    if len(shape) != 4:
        raise UserError(f"its input has the shape {shape}, not (None, height, width, channels); give it such an input.")
    if any(getattr(layer, "data_format", None) == "channels_first" for layer in layers_of(model)):
        raise UserError("its layers have their channels first, which TensorFlow runs on no CPU; export it to .onnx.")
    keep = {"Normalization": ("mean", "variance"), "Rescaling": ("scale", "offset")}
    statistics = {}
    for layer in layers_of(model):
        for name in keep.get(type(layer).__name__, ()):
            values = getattr(layer, name, None)
            if values is not None:
                statistics[f"{layer.name}.{name}"] = np.ravel(np.asarray(values, np.float64)).tolist()
    return Network(
        forward,
        tuple(shape[1:]),
        f"{keras.__name__} {keras.__version__}",
        lambda: int(model.count_params()) if model.built else None,
        statistics,
        batch=shape[0],
    )


def _named(outputs, model) -> Iterator[tuple[str, object]]:
    if isinstance(outputs, dict):
        yield from outputs.items()
    elif isinstance(outputs, (list, tuple)):
        yield from zip(getattr(model, "output_names", None) or map(str, range(len(outputs))), outputs)
    else:
        yield "output", outputs


def layers_of(model) -> list:
    """All layers, those of inner networks and wrappers included."""
    return list(model._flatten_layers())


# Keras 1


def is_keras_1(configuration: dict) -> bool:
    return any({"nb_filter", "output_dim", "border_mode"} & each.keys() for each in _dictionaries(configuration))


def as_keras_2(value):
    """The configuration of a network of Keras 1 in the words of Keras 2 (its release notes, March 2017), for the layers
    that networks of images are made of. How weights begin and are held in is left out: they come from the file."""
    if isinstance(value, list):
        return [as_keras_2(each) for each in value]
    if not isinstance(value, dict):
        return value
    if not (isinstance(value.get("class_name"), str) and isinstance(value.get("config"), dict)):
        return {name: as_keras_2(each) for name, each in value.items()}
    name, config = value["class_name"], dict(value["config"])
    if "layers" in config:  # a network within a network
        return value | {"config": as_keras_2(config)}
    if name == "Merge":
        axis = {"axis": config["concat_axis"]} if config.get("mode") == "concat" else {}
        kinds = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum", "concat": "Concatenate"}
        if config.get("mode") not in kinds:
            raise UserError(f"a Merge of Keras 1 by {config.get('mode')!r}, which is not read; export it to .onnx.")
        return value | {"class_name": kinds[config["mode"]], "config": {"name": config.get("name")} | axis}
    if {"nb_row", "nb_col"} <= config.keys():
        config["kernel_size"] = [config.pop("nb_row"), config.pop("nb_col")]
    words = {
        "nb_filter": "filters", "output_dim": "units", "subsample": "strides", "border_mode": "padding",
        "bias": "use_bias", "p": "rate", "dim_ordering": "data_format", "input_dtype": "dtype",
    }  # fmt: skip
    left_out = re.compile(r"(\w_|\w+_)?(init|regularizer|constraint)$|(weights|input_dim|mode|sparse_input)$")
    config = {words.get(key, key): entry for key, entry in config.items() if not left_out.match(key)}
    if "data_format" in config:
        config["data_format"] = {"tf": "channels_last", "th": "channels_first"}.get(config["data_format"])
    return value | {"class_name": name.replace("Convolution", "Conv"), "config": as_keras_2(config)}


# LiteRT


def load_tflite(path: Path) -> Network:
    try:
        import ai_edge_litert
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise UserError("LiteRT's interpreter is missing: pip install ai-edge-litert (the extra `export`).") from None
    try:
        interpreter = Interpreter(str(path), num_threads=THREADS)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise UserError(
            f"LiteRT cannot read it ({one_line(error)}); download it again, or convert it to LiteRT's own operations."
        ) from None
    inputs, gives = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1:
        raise UserError(f"has {len(inputs)} inputs; convert a network of which an image is the only one.")
    [takes] = inputs
    signature = [None if size < 0 else int(size) for size in takes["shape_signature"]]
    if len(signature) != 4:
        raise UserError(f"its input has the shape {signature}, not (batch, height, width, channels); convert it so.")

    def forward(batch: np.ndarray) -> dict[str, np.ndarray]:
        if tuple(interpreter.get_input_details()[0]["shape"]) != batch.shape:
            interpreter.resize_tensor_input(takes["index"], batch.shape, strict=True)
            interpreter.allocate_tensors()
        interpreter.set_tensor(takes["index"], as_given(batch, takes))
        interpreter.invoke()
        return {each["name"]: as_numbers(interpreter.get_tensor(each["index"]), each) for each in gives}

    statistics: dict[str, list[float]] = {}
    for side, tensor in [("input", takes)] + [("output", each) for each in gives]:
        scale, zero = tensor["quantization"]
        if scale:
            title = side if side == "input" or len(gives) == 1 else f"output {tensor['name']}"
            statistics |= {f"{title}.scale": [float(scale)], f"{title}.zero_point": [float(zero)]}
    return Network(
        forward,
        tuple(signature[1:]),
        f"LiteRT {ai_edge_litert.__version__}",
        lambda: parameters_of_tflite(path),
        statistics,
        batch=signature[0],
    )


def as_given(batch: np.ndarray, tensor: dict) -> np.ndarray:
    """The batch in the tensor's dtype: integers by its scale and zero point, or rounded where it has none."""
    dtype = np.dtype(tensor["dtype"])
    if not np.issubdtype(dtype, np.integer):
        return batch.astype(dtype, copy=False)
    scale, zero = tensor["quantization"]
    numbers = batch / scale + zero if scale else batch
    return np.clip(np.round(numbers), np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)


def as_numbers(values: np.ndarray, tensor: dict) -> np.ndarray:
    """float32: what the tensor's integers stand for."""
    scale, zero = tensor["quantization"]
    if not (scale and np.issubdtype(values.dtype, np.integer)):
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero) * np.float32(scale)


def parameters_of_tflite(path: Path) -> int:
    """The elements of all constants that are real numbers, or integers that stand for some; shapes are neither."""
    from ai_edge_litert import schema_py_generated as schema

    real = {schema.TensorType.FLOAT32, schema.TensorType.FLOAT16, schema.TensorType.FLOAT64}
    model = schema.Model.GetRootAs(path.read_bytes(), 0)
    sizes = {}
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            buffer = model.Buffers(tensor.Buffer())
            scales = tensor.Quantization().ScaleLength() if tensor.Quantization() else 0
            if (buffer.DataLength() or buffer.Size()) and (scales or tensor.Type() in real):
                sizes[tensor.Buffer()] = int(np.prod(tensor.ShapeAsNumpy())) if tensor.ShapeLength() else 1
    return sum(sizes.values())


# ONNX


def load_onnx(path: Path) -> Network:
    try:
        import onnxruntime
    except ImportError:
        raise UserError("onnxruntime is missing: pip install onnxruntime (the extra `export`).") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no ancestor of their own
        raise UserError(f"onnxruntime cannot read it ({one_line(error)}); download or export it again.") from None
    if len(session.get_inputs()) != 1:
        raise UserError(f"has {len(session.get_inputs())} inputs; export a network of which an image is the only one.")
    [takes] = session.get_inputs()
    shape = [size if isinstance(size, int) and size > 0 else None for size in takes.shape]
    if len(shape) != 4:
        raise UserError(f"its input has the shape {takes.shape}, not a batch of images; export it with such an input.")
    colours = (1, 3)
    channels_first = shape[1] in colours and shape[3] not in colours
    dtypes = {"float": "float32", "double": "float64"}
    kind = takes.type.removeprefix("tensor(").removesuffix(")")
    tensor = {"dtype": dtypes.get(kind, kind), "quantization": (0.0, 0)}

    def forward(batch: np.ndarray) -> dict[str, np.ndarray]:
        if channels_first:
            batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
        values = session.run(None, {takes.name: as_given(batch, tensor)})
        # Classifiers of other libraries also give maps and sequences, which are no arrays.
        return {
            each.name: value.astype(np.float32)
            for each, value in zip(session.get_outputs(), values)
            if isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
        }

    return Network(
        forward,
        (shape[2], shape[3], shape[1]) if channels_first else tuple(shape[1:]),
        f"onnxruntime {onnxruntime.__version__}",
        lambda: parameters_of_onnx(path.read_bytes()),
        {},
        batch=shape[0],
    )


def parameters_of_onnx(content: bytes) -> int:
    """The elements of all initialisers but those of int64 and bool, which are shapes and switches.

    The fields are onnx.proto's: graph 7 of a model, initializer 5 of a graph, dims 1 and data_type 2 of a tensor.
    """
    total = 0
    for graph in messages(memoryview(content), 7):
        for tensor in messages(graph, 5):
            dims: list[int] = []
            kind = 0
            for field, value in fields_of(tensor):
                if field == 1:
                    dims += [value] if isinstance(value, int) else _varints(value)
                elif field == 2 and isinstance(value, int):
                    kind = value
            if kind not in (7, 9):
                total += math.prod(dims)
    return total


def messages(message: memoryview, number: int) -> Iterator[memoryview]:
    yield from (value for field, value in fields_of(message) if field == number and not isinstance(value, int))


def fields_of(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of the fields of a protobuf message that are numbers, text or messages."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            number, at = _varint(message, at)
            yield key >> 3, number
        elif kind == 2:
            length, at = _varint(message, at)
            yield key >> 3, message[at : at + length]
            at += length
        else:
            at += 8 if kind == 1 else 4


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _varints(message: memoryview) -> Iterator[int]:
    at = 0
    while at < len(message):
        value, at = _varint(message, at)
        yield value


def out_of_memory(error: BaseException) -> bool:
    """Whether it is Python's error for that or TensorFlow's, without importing TensorFlow."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"


def one_line(error: BaseException) -> str:
    """The first sentence of what a library says, short and printable."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = "".join(filter(str.isprintable, lines[0] if lines else "")).split(". ")[0].rstrip(".;: ")
    text = text if len(text) <= 160 else f"{text[:160]}…"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    main(Path(sys.argv[1]))
