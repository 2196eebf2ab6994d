"""Batches for fit, predict and evaluate: rows in a given order, preprocessed, never the whole set at once.

Apart from `export` the only module that imports tensorflow. With the TensorFlow backend batches come from tf.data; with
any other backend from a `keras.utils.PyDataset` with the same order and the same preprocessing, and TensorFlow may be
absent. Order and augmentation are drawn from (seed, epoch) when the epoch begins. Random layers of Keras may stand at
the head of a model instead: a checkpoint keeps their seed states.
"""

import contextlib
import math
import os
import sys
import tempfile
from dataclasses import dataclass

import numpy as np

from fer_common import UserError
from fer_common.augmentation import Augmentation
from fer_common.data import WITHHELD


@dataclass(frozen=True)
class Preprocessing:
    """From uint8 (48, 48) to what a network takes: float32 (size, size, channels) = pixel · scale + offset.

    offset: one number, or one for each channel.
    """

    size: int = 48
    channels: int = 1
    scale: float = 1 / 255
    offset: float | tuple[float, ...] = 0.0


@dataclass(frozen=True)
class _Order:
    """Which rows come in which order, in each of `epochs`; shuffled where there is a seed.

    An epoch's order follows from (seed, epoch) alone, so that a resumed run goes on as an uninterrupted one would.
    """

    rows: np.ndarray
    epochs: range = range(1)
    seed: int | None = None
    augmentation: Augmentation | None = None

    def of(self, epoch: int) -> np.ndarray:
        """int32 (len(rows),)"""
        return self.rows if self.seed is None else np.random.default_rng([self.seed, epoch]).permutation(self.rows)

    def augmented(self, images: np.ndarray, rows: np.ndarray, epoch: int, size: int) -> np.ndarray:
        return self.augmentation.apply(images, rows, size=size, seed=self.seed, epoch=epoch)


def shuffled(
    images: np.ndarray,
    labels: np.ndarray,
    rows: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    epochs: int,
    first_epoch: int = 0,
    preprocessing: Preprocessing | None = Preprocessing(),
    augmentation: Augmentation | None = None,
):
    """Training batches (images, labels) for `model.fit` from epoch `first_epoch` (0-based) up to `epochs`.

    images: uint8 (N, 48, 48), or, with preprocessing None, features float32 (N, D) that are taken as they are; labels:
    integers (N,), or (N, T) of T tasks, WITHHELD where a row is none of a task's; rows: the row indices to train on;
    augmentation: of images, before their pixels are scaled.
    Returns (batches, steps_per_epoch), both of them for `fit`: steps_per_epoch is None where the batches know it.
    Raises ValueError where a row's label, or each of its T, is WITHHELD: it is to be scored.
    """
    order = _Order(np.asarray(rows, np.int32), range(first_epoch, epochs), seed, augmentation)
    batches = _batches(images, labels, order, batch_size, preprocessing)
    return batches, (-(-len(rows) // batch_size) if _on_tensorflow() else None)


def in_order(
    images: np.ndarray,
    labels: np.ndarray | None,
    rows: np.ndarray,
    *,
    batch_size: int,
    preprocessing: Preprocessing | None = Preprocessing(),
):
    """Batches of `rows` as they come, for `predict` (labels None: images alone) and `evaluate`."""
    return _batches(images, labels, _Order(np.asarray(rows, np.int32)), batch_size, preprocessing)


def _on_tensorflow() -> bool:
    import keras

    return keras.backend.backend() == "tensorflow"


def _batches(images, labels, order: _Order, batch_size, preprocessing):
    if labels is not None:
        missing = np.asarray(labels)[order.rows] == WITHHELD
        if withheld := int((missing if missing.ndim == 1 else missing.all(1)).sum()):
            raise ValueError(
                f"{withheld} of these rows are to be scored: nothing may be fitted or selected on their labels"
            )
    make = _tensorflow_batches if _on_tensorflow() else _keras_batches
    return make(images, labels, order, batch_size, preprocessing)


def _tensorflow_batches(images, labels, order: _Order, batch_size, preprocessing):
    import tensorflow as tf

    pixels = None if order.augmentation else tf.constant(images)
    labels = None if labels is None else tf.constant(labels, tf.int32)

    def from_numpy(function, arguments, dtype, shape):
        found = tf.numpy_function(function, arguments, dtype, stateful=False)
        found.set_shape(shape)
        return found

    def augmented(rows, epoch):
        size = preprocessing.size

        def at(rows, epoch):
            return order.augmented(images, rows, int(epoch), size)

        return from_numpy(at, [rows, epoch], tf.uint8, (None, size, size))

    def preprocess(batch):
        batch = tf.cast(batch[..., None], tf.float32)
        if preprocessing.size != batch.shape[1]:
            batch = tf.image.resize(batch, (preprocessing.size, preprocessing.size))
        if preprocessing.channels > 1:
            batch = tf.repeat(batch, preprocessing.channels, axis=-1)
        return batch * preprocessing.scale + preprocessing.offset

    # As they are: AutoGraph would write each function into the temporary folder, where a kill leaves it for good.
    @tf.autograph.experimental.do_not_convert
    def load(rows, epoch):
        batch = augmented(rows, epoch) if order.augmentation else tf.gather(pixels, rows)
        batch = batch if preprocessing is None else preprocess(batch)
        return batch if labels is None else (batch, tf.gather(labels, rows))

    @tf.autograph.experimental.do_not_convert
    def epoch_of(epoch):
        rows = from_numpy(lambda epoch: order.of(int(epoch)), [epoch], tf.int32, (len(order.rows),))
        rows = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)
        return tf.data.Dataset.zip(rows, tf.data.Dataset.from_tensors(epoch).repeat())

    # Autotuning would idle for seconds whenever an iterator is destroyed, and falsify every timing around fit.
    options = tf.data.Options()
    options.autotune.enabled = False
    steps = len(order.epochs) * -(-len(order.rows) // batch_size)
    return (
        tf.data.Dataset.range(order.epochs.start, order.epochs.stop)
        .flat_map(epoch_of)
        .map(load, num_parallel_calls=2)
        .prefetch(4)
        .with_options(options)
        # Keras warns that data ran out where it cannot know how much there is.
        .apply(tf.data.experimental.assert_cardinality(steps))
    )


def _keras_batches(images, labels, order: _Order, batch_size, preprocessing):
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.begin(order.epochs.start)

        def begin(self, epoch):
            self.epoch, self.order = epoch, order.of(epoch)

        def __len__(self):
            return math.ceil(len(order.rows) / batch_size)

        def __getitem__(self, step):
            rows = self.order[step * batch_size : (step + 1) * batch_size]
            if order.augmentation:
                batch = order.augmented(images, rows, self.epoch, preprocessing.size).astype(np.float32)
            else:
                batch = np.asarray(images[rows], np.float32)
            if preprocessing is not None:
                batch = self.preprocess(batch[..., None])
            return (batch,) if labels is None else (batch, np.asarray(labels[rows], np.int32))

        def preprocess(self, batch):
            if preprocessing.size != batch.shape[1]:
                size = (preprocessing.size, preprocessing.size)
                batch = keras.ops.convert_to_numpy(
                    keras.ops.image.resize(batch, size, interpolation="bilinear", data_format="channels_last")
                )
            batch = np.repeat(batch, preprocessing.channels, axis=-1)
            return batch * np.float32(preprocessing.scale) + np.asarray(preprocessing.offset, np.float32)

        def on_epoch_end(self):
            # Keras calls this after the last epoch too, and after each pass of predict and evaluate.
            self.begin(min(self.epoch + 1, order.epochs.stop - 1))

    return Batches()


def start(deterministic: bool | None) -> bool:
    """Import Keras and its backend, before any model is built; returns whether runs are now deterministic.

    deterministic: the same seed on the same machine gives identical numbers; None: on a CPU, where it costs nothing.
    """
    devices = _imported_quietly()
    if deterministic is None:
        deterministic = all(name.startswith("cpu") for name in devices)
    if _on_tensorflow():
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")  # it warns of every further network in a process, however small
        if deterministic:
            tf.config.experimental.enable_op_determinism()
    return deterministic


def _imported_quietly() -> list[str]:
    """Import Keras and its backend; returns the devices, named as Keras does ("cpu:0").

    TensorFlow's C++ code greets on standard error, and takes a driver that is not there for an error, in lines that
    its log level hides only in part and that JAX, where it is installed, sets lower; a failure of ours is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            import keras

            with contextlib.suppress(ImportError):  # where it is there, Keras imports it later on any backend
                import tensorflow  # noqa: F401

            return keras.distribution.list_devices()
        except ImportError as error:
            raise UserError(
                f"Keras's backend {os.environ.get('KERAS_BACKEND', 'tensorflow')} cannot be imported ({error}); "
                "install it, or choose another with the variable KERAS_BACKEND."
            ) from None
        except BaseException:
            said.seek(0)
            os.write(terminal, said.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
