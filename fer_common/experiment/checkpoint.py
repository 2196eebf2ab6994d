"""The checkpoint after every epoch: everything that a stopped run needs to end as an uninterrupted one.

Keras's own backup loses what this keeps: the callbacks' state, the best weights of early stopping, seed states, and
snapshots of the epochs to be scored.
"""

import inspect
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_common import UserError

COMPILED: dict[tuple, tuple] = {}  # by paper, system, setup and seed; one at a time


def compiled(key: tuple, build: Callable[[], Any]):
    """The compiled model that `build()` gives, as it is when new; built again only where the last one's key differs."""
    if key not in COMPILED:
        COMPILED.clear()
        model = build()
        complete(model)
        new = variables_of(model.variables, "model"), variables_of(model.optimizer.variables, "optimizer")
        COMPILED[key] = model, *new
    model, weights, slots = COMPILED[key]
    assign(model.variables, weights, "model")
    assign(model.optimizer.variables, slots, "optimizer")
    return model


def complete(model) -> None:
    """Make every variable that `fit` would: TensorFlow traces its step a second time if the first makes any."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    # A model of several outputs keeps metrics that are whole when it is new.
    if isinstance(getattr(model, "output_shape", None), tuple):
        model.compute_metrics(None, np.zeros(1), np.full((1, *model.output_shape[1:]), 0.5))
    model.reset_metrics()


def numbered(arrays: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """The arrays named prefix0, prefix1, … in that order."""
    return [arrays[name] for name in sorted((n for n in arrays if n.startswith(prefix)), key=last_number)]


def assign(variables: Sequence, file, name: str) -> None:
    kept = sum(key.startswith(f"{name}-") for key in file)
    for number, variable in enumerate(variables):
        if kept != len(variables) or file[f"{name}-{number}"].shape != tuple(variable.shape):
            raise UserError(
                "The checkpoint does not fit this network: the script changed since. --no-resume starts over."
            )
        variable.assign(file[f"{name}-{number}"])


def variables_of(variables: Sequence, name: str) -> dict[str, np.ndarray]:
    import keras

    return {f"{name}-{number}": keras.ops.convert_to_numpy(variable) for number, variable in enumerate(variables)}


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Replace `path` by the arrays at once: a kill leaves the old file or the new one, never a torn one."""
    temporary = path.with_suffix(".writing")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def callback_for(run: Any, callbacks: Sequence, score_epochs: set[int]):
    import keras

    class Checkpoint(keras.callbacks.Callback):
        """Last in the list, so that what it writes holds the other callbacks' state after the epoch."""

        def on_train_begin(self, logs=None):
            # Keras's own callbacks forget everything in their on_train_begin, which has just been called.
            if run.callback_states:
                states, arrays = run.callback_states
                for number, (callback, state) in enumerate(zip(callbacks, states)):
                    vars(callback).update(state)
                    if best := numbered(arrays, f"callback{number}-"):
                        callback.best_weights = best

        def on_epoch_begin(self, epoch, logs=None):
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            logs = logs or {}
            if not np.isfinite(logs.get("loss", 0.0)):
                raise ValueError(f"the network diverged: the loss of epoch {epoch + 1} is {logs['loss']}")
            run.history.append(
                {"epoch": epoch + 1}
                | {_history_name(name): float(value) for name, value in logs.items()}
                | {
                    "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
                    "seconds": round(time.perf_counter() - self.started, 3),
                }
            )
            selected = [row.get("select_accuracy", -1.0) for row in run.history]
            if epoch + 1 in score_epochs or (selected[-1] >= 0 and selected[-1] > max(selected[:-1], default=-1)):
                save(run.partial / f"epoch-{epoch + 1}.npz", variables_of(self.model.variables, "model"))
            best = int(np.argmax(selected)) + 1 if selected[-1] >= 0 else None
            state = {
                "backend": keras.backend.backend(),
                "history": run.history,
                "epochs": self.params["epochs"],
                "stopped": bool(self.model.stop_training),
                "callbacks": [_progress(callback) for callback in callbacks],
                "restores": next(
                    (n for n, c in enumerate(callbacks) if getattr(c, "restore_best_weights", False)), None
                ),
            }
            arrays = {
                f"callback{number}-{position}": np.asarray(array)
                for number, callback in enumerate(callbacks)
                for position, array in enumerate(getattr(callback, "best_weights", None) or [])
            }
            save(
                run.partial / "checkpoint.npz",
                {
                    "state": np.array(json.dumps(state, default=float)),
                    **variables_of(self.model.variables, "model"),
                    **variables_of(self.model.optimizer.variables, "optimizer"),
                    **arrays,
                },
            )
            forget(best)

    def forget(best: int | None) -> None:
        """Remove the snapshots that nothing asks for any more."""
        for path in run.partial.glob("epoch-*.npz"):
            if last_number(path.stem) not in score_epochs | {best}:
                path.unlink()

    if run.history:  # a kill may have come between a checkpoint and this
        selected = [row.get("select_accuracy", -1.0) for row in run.history]
        forget(int(np.argmax(selected)) + 1 if selected[-1] >= 0 else None)
    return Checkpoint()


def _progress(callback) -> dict[str, float]:
    """The numbers that a callback keeps while training (best, wait, …). What its constructor takes is a setting and
    comes from the script again; Keras turns the sign of one of them, min_delta, each time training begins."""
    settings = inspect.signature(type(callback).__init__).parameters
    return {
        name: value
        for name, value in vars(callback).items()
        if isinstance(value, (bool, int, float, np.number)) and name not in settings and not name.startswith("_")
    }


# Keras's `loss` and `accuracy` run along while the network changes, with dropout on: never to be taken for a score.
def _history_name(name: str) -> str:
    if name == "learning_rate":  # a callback of Keras's puts it among the losses
        return name
    return f"select_{name[4:]}" if name.startswith("val_") else f"running_{name}"


def last_number(name: str) -> int:
    return int(name.rsplit("-", 1)[1])
