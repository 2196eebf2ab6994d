"""One run: the command line, seeds, the lock, the checkpoint after every epoch, scoring, and the record.

A script hands over its setups, its protocols and a function `train(run)`; that function builds the model and calls
`fit` itself, so that a reader finds them there. What the run needs around `fit` is the `Run` passed to it.
"""

import argparse
import contextlib
import dataclasses
import datetime
import inspect
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fer_common import UserError, provenance, records
from fer_common.data import EMOTIONS, WITHHELD, FaceData, utkface

RUNS = Path("results/runs")
SMOKE_IMAGES = 2000
ALL = "all"


@dataclass(frozen=True)
class Paper:
    """What a script hands over.

    systems: name → setup (a frozen dataclass made with `provenance`); the first is the paper's headline system.
    protocols: name → function(data, seed) that returns every row's role; the first is the default.
    smoke: the fields of the setup that the smoke preset replaces, where the setup has them.
    train: builds, fits and scores through the `Run` it is given.
    prepare: protocol → function(data, seed) that repeats or alters images before they are split; a scored row whose
    image, altered or not, is also fitted then has the role `seen`.
    later_stages: systems that only train another one on, under a protocol of their own; `--system all` leaves them out.
    folds: protocol → its number of folds, where it has some; its function takes the fold as a third argument, and each
    fold is a run.
    reduced: system → the fields that the preset `reduced` sets otherwise, for machines that the paper's setup is too
    much for; such rows never say `full`.
    attributes: it needs UTKFace too.
    """

    id: str
    description: str
    systems: dict[str, Any]
    protocols: dict[str, Callable[[FaceData, int], np.ndarray]]
    smoke: dict[str, Any]
    train: Callable[["Run"], None]
    prepare: dict[str, Callable[[FaceData, int], FaceData]] = field(default_factory=dict)
    later_stages: tuple[str, ...] = ()
    folds: dict[str, int] = field(default_factory=dict)
    reduced: dict[str, dict[str, Any]] = field(default_factory=dict)
    attributes: bool = False


@dataclass(frozen=True)
class Options:
    """What is chosen for a run and is not the paper's setup."""

    seed: int = 0
    """Draws the weights, the order of the images and the dropout."""
    fold: int | None = None
    """Run this fold alone, where the protocol has folds; default: one after the other."""
    preset: Literal["full", "reduced", "smoke"] = "full"
    """`full`: the paper's own schedule on everything; `reduced`: everything, with the smaller setup of the script
    where it has one; `smoke`: 2,000 images, and a shortened schedule where the paper's is long."""
    data: str | None = None
    """A copy of FER2013 (archive, CSV, image folder), or `synthetic`. Default: the variable FER2013, then the cache."""
    attributes: str | None = None
    """A copy of UTKFace (archive or folder), for a paper that needs it. Default: the variable UTKFACE, then the cache;
    with drawn faces, drawn ones."""
    allow_subset: bool = False
    """Accept a copy whose counts are not FER2013's (UTKFace's); its rows say `fer2013-subset`."""
    runs: Path = RUNS
    """Where the record goes."""
    resume: bool = True
    """Go on from the last finished epoch of a run that was stopped; --no-resume starts it over."""
    again: bool = False
    """Repeat a run that is already finished, and replace its record."""
    deterministic: bool = False
    """Same seed, same machine, identical predictions: on an accelerator too. On a CPU it costs nothing and is on."""
    save_model: bool = False
    """Keep the trained network as model.keras beside the record."""


def command(paper: Paper, arguments: Sequence[str] | None = None) -> None:
    """The script's command line: read the options, run, and exit with status 1 and one sentence on a UserError."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if _system(paper, arguments) == ALL:
            run_all(paper, arguments)
        else:
            run(paper, *parse(paper, arguments))
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the same command goes on from the last finished epoch.")


def run_all(paper: Paper, arguments: Sequence[str]) -> None:
    """Every system of the paper but its later stages in turn, with the same options; a UserError of one does not keep
    the next from running, and ends in one that names them all. Data that cannot be read end it at once."""
    failed, loaded = [], False
    systems = [system for system in paper.systems if system not in paper.later_stages]
    for system in systems:
        try:
            chosen = parse(paper, [*arguments, "--system", system])
        except SystemExit:  # the command line's own, where a system lacks one of the options
            failed.append(system)
            continue
        if not loaded:
            _load(paper, chosen[3])
            loaded = True
        try:
            run(paper, *chosen)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            failed.append(system)
    if failed:
        raise UserError(f"{paper.id}: {len(failed)} of {len(systems)} systems failed: {', '.join(failed)}.")


def _system(paper: Paper, arguments: Sequence[str]) -> str:
    look = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    look.add_argument("--system", default=next(iter(paper.systems)))
    return look.parse_known_args(arguments)[0].system


def parse(paper: Paper, arguments: Sequence[str]) -> tuple[str, str, Any, Options, set[str]]:
    """(system, protocol, setup, options, names of the options given); the setup's defaults are those of the system."""
    import tyro

    # The system decides the defaults of all other options, so it is looked at first.
    setup = paper.systems.get(_system(paper, arguments), next(iter(paper.systems.values())))
    setup_class = provenance.with_help(type(setup))

    @dataclass(frozen=True)
    class Command:
        system: Literal[(*paper.systems, ALL)] = next(iter(paper.systems))
        """Which of the paper's systems, `all` for one after the other; it sets the defaults of the setup below."""
        protocol: Literal[tuple(paper.protocols)] = next(iter(paper.protocols))
        """Who trains, who selects and who is scored."""
        run: tyro.conf.OmitArgPrefixes[Options] = field(default_factory=Options)
        setup: tyro.conf.OmitArgPrefixes[setup_class] = field(default_factory=lambda: setup)

    chosen = tyro.cli(Command, args=arguments, prog=f"ferrepro run {paper.id}", description=paper.description)
    given = {name[2:].partition("=")[0].replace("-", "_") for name in arguments if name.startswith("--")}
    return chosen.system, chosen.protocol, chosen.setup, chosen.run, given


def run(paper: Paper, system: str, protocol: str, setup: Any, options: Options, given: Set[str] = frozenset()) -> Path:
    """Run it unless its record is there; returns the record's folder.

    given: the names of fields that a preset leaves as they are, changed or not.
    Of a protocol with folds all of them are run, and the last one's folder returned, unless the options name one.
    Raises UserError for what the user can mend. Any other error is written into a record with status `failed`.
    """
    from fer_common import splits

    folds = range(paper.folds.get(protocol, 0))
    if folds and options.fold is None:
        return [run(paper, system, protocol, setup, dataclasses.replace(options, fold=n), given) for n in folds][-1]
    if options.fold is not None and options.fold not in folds:
        has = f"folds 0 to {len(folds) - 1}" if folds else "no folds"
        raise UserError(f"--fold {options.fold}: the protocol {protocol} of {paper.id} has {has}.")
    data, attributes = _load(paper, options)
    reference = paper.systems[system]
    changed = provenance.changes(setup, reference)
    if options.preset == "smoke":
        kept = changed.keys() | given
        setup = dataclasses.replace(
            setup, **{k: v for k, v in paper.smoke.items() if k not in kept and hasattr(setup, k)}
        )
        data = data.take(splits.subset(data, SMOKE_IMAGES))
        if attributes:
            attributes = attributes.take(np.arange(0, len(attributes), max(1, len(attributes) // SMOKE_IMAGES)))
    smaller = {}
    if options.preset == "reduced":
        if system not in paper.reduced:
            raise UserError(f"--preset reduced: {paper.id} has no reduced setup for {system}; it fits as it is.")
        smaller = {k: v for k, v in paper.reduced[system].items() if k not in changed.keys() | given}
        setup = dataclasses.replace(setup, **smaller)
    changed.pop("init", None)  # every row says it in a column of its own
    smaller.pop("init", None)
    if protocol in paper.prepare:
        data = paper.prepare[protocol](data, options.seed)
    role = splits.seen_where(
        paper.protocols[protocol](data, options.seed, *([options.fold] if folds else [])),
        lambda role: np.isin(data.row_id, data.row_id[role == "fit"]),
    )
    if unknown := set(role) - set(splits.ROLES):
        raise ValueError(f"{paper.id}'s protocol {protocol} gives roles that there are not: {', '.join(unknown)}")
    record = records.Record(
        paper=paper.id,
        system=system,
        protocol=protocol,
        init=getattr(setup, "init", "random"),
        seed=options.seed,
        fold=options.fold,
        preset=options.preset if options.preset == "smoke" or not changed else "custom",
        changes=changed,
        reduced=smaller,
        setup=dataclasses.asdict(setup),
        data={"source": data.source, "fingerprint": data.fingerprint, "rows": len(data)},
    )
    if attributes:
        record.data["attributes"] = {
            "source": attributes.source,
            "fingerprint": attributes.fingerprint,
            "rows": len(attributes),
        }
    final = records.folder(options.runs, record)
    say = f"{paper.id} · {system} · {protocol} · {record.init} · {record.preset} · seed {record.seed}"
    say += f" · fold {record.fold}" if folds else ""

    with _lock(records.partial_folder(final)) as partial:
        if records.status(final) == "ok" and not options.again:
            print(f"{say}: already run, {final} (--again repeats it)")
            shutil.rmtree(partial)
            return final
        for file in partial.glob("*.npz"):
            # A checkpoint older than the record was left by a kill just after the record was written.
            finished = (final / "record.json").exists() and file.stat().st_mtime < (
                final / "record.json"
            ).stat().st_mtime
            if not options.resume or (finished and records.status(final) == "ok"):
                file.unlink()
        print(f"{say}\ndata: {data.source}, {len(data):,} images, fingerprint {data.fingerprint} ({data.origin})")
        for name in splits.ROLES:
            rows = role == name
            if rows.any():
                usages = ", ".join(f"{u} {n:,}" for u, n in zip(*np.unique(data.usage[rows], return_counts=True)))
                print(f"  {name:6} {rows.sum():7,}  ({usages})")
        if attributes:
            smoke = options.preset == "smoke"
            left_out = utkface.IMAGES - len(attributes) if attributes.source == "utkface" and not smoke else 0
            print(
                f"attributes: {attributes.source}, {len(attributes):,} images, fingerprint {attributes.fingerprint}"
                + (f"; {left_out} more, whose names lack a label, are left out" if left_out else "")
            )
            for part, name in utkface.ROLES.items():
                print(f"  {name:6} {(attributes.part == part).sum():7,}  ({part})")
        this = Run(record, setup, data, role, partial, options, paper, attributes)
        try:
            this._start()
            paper.train(this)
            _finish(this, final)
        except UserError:
            if {path.name for path in partial.iterdir()} <= {"lock", "pid"}:  # nothing to go on from
                shutil.rmtree(partial)
            raise
        except Exception as error:
            record.status, record.error = "failed", f"{type(error).__name__}: {error}"
            with contextlib.suppress(OSError):
                (partial / "traceback.txt").write_text(traceback.format_exc())
                if records.status(final) != "ok":
                    _describe(this)
                    records.write(final, record, [], None)
            raise UserError(
                f"{say}: failed ({record.error}); the checkpoint of the last finished epoch is kept, "
                f"{partial / 'traceback.txt'} says where. Mend the cause and type the same command again."
            ) from error
        shutil.rmtree(partial)
    print(f"record: {final}")
    return final


def _load(paper: Paper, options: Options) -> tuple[FaceData, utkface.AttributeData | None]:
    """The data that a run has; UTKFace too where the paper needs it. Raises UserError where a copy is none."""
    from fer_common import data

    faces = data.load(options.data, allow_subset=options.allow_subset)
    if not paper.attributes:
        return faces, None
    drawn = faces.source == "synthetic"
    return faces, utkface.load(options.attributes, synthetic=drawn, allow_subset=options.allow_subset)


@contextlib.contextmanager
def _lock(partial: Path):
    """Hold the run's hidden folder; a second process on the same run is told so. Dies with the process."""
    from filelock import FileLock, Timeout

    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = FileLock(partial / "lock")
        lock.acquire(timeout=0)
        (partial / "pid").write_text(f"{os.getpid()}\n")
    except Timeout:
        pid = (partial / "pid").read_text().strip() if (partial / "pid").exists() else "unknown"
        raise UserError(f"This run is being made by another process (pid {pid}) in {partial}; wait for it.") from None
    except OSError as error:
        raise UserError(f"{partial} cannot be written ({error}); free the disk or choose another --runs.") from None
    try:
        yield partial
    finally:
        lock.release()


class Run:
    """What `train` gets: the data, the roles, and everything around `fit` that is not the paper's choice.

    setup: the script's dataclass; data: FaceData in which the labels of the rows to be scored are WITHHELD, so that
    no script can fit or select on them; attributes: AttributeData likewise, where the paper needs it; role: str (N,)
    of `data`; seed; first_epoch: how many epochs are done (set by `resume`); verbose: for `fit`; keep_model: whether
    `model`, the trained network, and `files` are put beside the record; history: one dict an epoch, kept by
    `callbacks` or filled by a script that has no use for Keras's fit.
    """

    def __init__(
        self,
        record: records.Record,
        setup: Any,
        data: FaceData,
        role: np.ndarray,
        partial: Path,
        options,
        paper,
        attributes=None,
    ):
        self.record, self.setup, self.role, self.paper = record, setup, role, paper
        self.data = dataclasses.replace(data, labels=np.where(role == "score", WITHHELD, data.labels).astype(np.uint8))
        self._labels = data.labels
        self.attributes, self._attributes = attributes and attributes.withheld(), attributes
        self.further: dict[str, records.Predictions] = {}
        self.seed, self.partial, self.options = record.seed, partial, options
        self.first_epoch = 0
        self.stopped_early = False
        self._best_weights: list[np.ndarray] = []
        self.history: list[dict[str, float]] = []
        self.callback_states: tuple[list[dict], dict[str, np.ndarray]] | None = None
        self.predictions: records.Predictions | None = None
        self.keep_model = bool(options and options.save_model)
        self.files: list[Path] = []
        self.verbose = 1 if sys.stdout.isatty() else 2
        self.model = None
        self._compiled_as = (record.paper, record.system, repr(setup), record.seed)

    def _start(self) -> None:
        """Seed everything and set the backend up, before the model is built."""
        from fer_common import pipeline

        self.record.deterministic = pipeline.start(self.options.deterministic or None)
        import keras

        if not any(key[: len(self._compiled_as)] == self._compiled_as for key in _COMPILED):
            _COMPILED.clear()
            keras.utils.clear_session()
        keras.config.set_dtype_policy(getattr(self.setup, "precision", "float32"))
        keras.utils.set_random_seed(self.seed)

    def done(self, epochs: int) -> bool:
        """Whether `fit` has nothing left to do: all `epochs` are done, or a callback stopped it before.

        Where early stopping was to put the best weights back when `fit` ends, it is done here instead.
        """
        done = self.first_epoch >= epochs or self.stopped_early
        if done and self._best_weights:
            self.model.set_weights(self._best_weights)
        return done

    def rows(self, role: str) -> np.ndarray:
        """Sorted indices of the rows with this role."""
        return np.flatnonzero(self.role == role)

    def saw(self, rows: np.ndarray) -> None:
        """Say that a part of the system (an extractor, say) was fitted on `rows` (bool (N,)): where they are to be
        scored, their role becomes `seen`."""
        from fer_common import splits

        self.role = splits.seen_where(self.role, lambda role: rows)

    def note(self, text: str) -> None:
        """Put `text` into the record and into every table row that the run gives."""
        print(f"note: {text}")
        self.record.notes = [*self.record.notes, text]

    def other(self, system: str) -> Path:
        """The folder of the record of another system of the paper under the same protocol, with the same seed, data
        and preset, and its own defaults. Run first if it is not there."""
        print(f"needs {system}:")
        options = dataclasses.replace(self.options, again=False)
        return run(self.paper, system, self.record.protocol, self.paper.systems[system], options)

    def compiled(self, build: Callable[[], Any], *depends_on):
        """The compiled model that `build()` gives, as it is when new. Folds of one command share it, since compiling
        costs up to half a minute; a fold that is run alone comes to the same.

        depends_on: what `build` uses besides the setup and the seed.
        """
        key = (*self._compiled_as, *depends_on)
        if key not in _COMPILED:
            _COMPILED.clear()
            model = build()
            _complete(model)
            new = _variables(model.variables, "model"), _variables(model.optimizer.variables, "optimizer")
            _COMPILED[key] = model, *new
        model, weights, slots = _COMPILED[key]
        _assign(model.variables, weights, "model")
        _assign(model.optimizer.variables, slots, "optimizer")
        return model

    def resume(self, model) -> None:
        """Bring a compiled model back to the end of the last finished epoch, if there is one.

        Restores all model variables (seed states included), the optimizer, the history and, through `callbacks`,
        the callbacks' own state; sets `first_epoch`.
        """
        import keras

        self.model = model
        self.record.parameters = int(model.count_params())
        _complete(model)
        path = self.partial / "checkpoint.npz"
        if not path.exists():
            return
        with np.load(path) as file:
            state = json.loads(str(file["state"]))
            if state["backend"] != keras.backend.backend():
                raise UserError(
                    f"{path} was made with the {state['backend']} backend, this is {keras.backend.backend()}; "
                    "use the same KERAS_BACKEND, or --no-resume to start over."
                )
            _assign(model.variables, file, "model")
            _assign(model.optimizer.variables, file, "optimizer")
            arrays = {name: file[name] for name in file.files if name.startswith("callback")}
        self.history, self.callback_states = state["history"], (state["callbacks"], arrays)
        self.first_epoch, self.stopped_early = len(self.history), state["stopped"]
        self._best_weights = _numbered(arrays, f"callback{state['restores']}-")
        print(f"resumed after epoch {self.first_epoch}")

    def callbacks(self, *callbacks, score_epochs: Sequence[int] = ()) -> list:
        """`callbacks` with the checkpoint behind them, which keeps snapshots of `score_epochs` (counted from 1)
        and of the epoch best on the `select` rows."""
        return [*callbacks, _checkpoint(self, callbacks, set(score_epochs))]

    def score(self, model, batches: Callable[[], Any]) -> None:
        """Predict every row of the data at each snapshot, and at the last epoch with the weights as `fit` left them.

        batches: a function that returns batches of all rows in order. Raises ValueError for a network that diverged.
        """
        last = len(self.history)
        left_by_fit = _variables(model.variables, "model")
        weights = {_last_number(path.stem): path for path in self.partial.glob("epoch-*.npz")} | {last: None}
        probabilities = {}
        for epoch, path in sorted(weights.items()):
            if path is None:
                _assign(model.variables, left_by_fit, "model")
            else:
                with np.load(path) as file:
                    _assign(model.variables, file, "model")
            probabilities[epoch] = model.predict(batches(), verbose=0)
        self.keep(probabilities)

    def keep(self, probabilities: dict[int, np.ndarray]) -> None:
        """Put the predictions (epoch → (N, 7)) of all rows into the record; the last epoch is the result.

        Raises ValueError where they are no finite probabilities.
        """
        for epoch, predicted in probabilities.items():
            _check(predicted, (len(self.data), len(EMOTIONS)), epoch)
        self.record.epochs_run = max(probabilities)
        self.predictions = records.Predictions(
            row_id=self.data.row_id,
            usage=self.data.usage,
            role=self.role,
            label=np.asarray(self._labels),
            epochs=np.array(sorted(probabilities), np.int16),
            probabilities=np.stack([probabilities[epoch].astype(np.float16) for epoch in sorted(probabilities)]),
        )

    def keep_tasks(self, epoch: int, probabilities: dict[str, np.ndarray]) -> None:
        """Put the predictions of several tasks after the last epoch into the record: (N, 7) of the data for
        `expression`, (M, classes) of `attributes` for each of those. The first is the record's task.

        Raises ValueError where they are no finite probabilities.
        """
        found = {}
        for task, predicted in probabilities.items():
            if task == "expression":
                self.keep({epoch: predicted})
                found[task] = self.predictions
                continue
            own = self._attributes
            _check(predicted, (len(own), len(utkface.ATTRIBUTES[task])), epoch)
            found[task] = records.Predictions(
                row_id=own.row_id,
                usage=own.part,
                role=own.role,
                label=np.asarray(own.labels[task]),
                epochs=np.array([epoch], np.int16),
                probabilities=predicted.astype(np.float16)[None],
            )
        self.record.task, *further = found
        self.record.epochs_run = epoch
        self.predictions, self.further = found[self.record.task], {task: found[task] for task in further}


def _check(predicted: np.ndarray, shape: tuple[int, int], epoch: int) -> None:
    if predicted.shape != shape or not np.isfinite(predicted).all():
        raise ValueError(f"the network diverged: its predictions at epoch {epoch} are not finite probabilities")


_COMPILED: dict[tuple, tuple] = {}  # by paper, system, setup and seed; one at a time


def _complete(model) -> None:
    """Make every variable that `fit` would: TensorFlow traces its step a second time if the first makes any."""
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    # A model of several outputs keeps metrics that are whole when it is new.
    if isinstance(getattr(model, "output_shape", None), tuple):
        model.compute_metrics(None, np.zeros(1), np.full((1, *model.output_shape[1:]), 0.5))
    model.reset_metrics()


def _numbered(arrays: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """The arrays named prefix0, prefix1, … in that order."""
    return [arrays[name] for name in sorted((n for n in arrays if n.startswith(prefix)), key=_last_number)]


def _assign(variables: Sequence, file, name: str) -> None:
    kept = sum(key.startswith(f"{name}-") for key in file)
    for number, variable in enumerate(variables):
        if kept != len(variables) or file[f"{name}-{number}"].shape != tuple(variable.shape):
            raise UserError(
                "The checkpoint does not fit this network: the script changed since. --no-resume starts over."
            )
        variable.assign(file[f"{name}-{number}"])


def _variables(variables: Sequence, name: str) -> dict[str, np.ndarray]:
    import keras

    return {f"{name}-{number}": keras.ops.convert_to_numpy(variable) for number, variable in enumerate(variables)}


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
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


def _checkpoint(run: Run, callbacks: Sequence, score_epochs: set[int]):
    import keras

    class Checkpoint(keras.callbacks.Callback):
        """Last in the list, so that what it writes holds the other callbacks' state after the epoch."""

        def on_train_begin(self, logs=None):
            # Keras's own callbacks forget everything in their on_train_begin, which has just been called.
            if run.callback_states:
                states, arrays = run.callback_states
                for number, (callback, state) in enumerate(zip(callbacks, states)):
                    vars(callback).update(state)
                    if best := _numbered(arrays, f"callback{number}-"):
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
                _save(run.partial / f"epoch-{epoch + 1}.npz", _variables(self.model.variables, "model"))
            best = int(np.argmax(selected)) + 1 if selected[-1] >= 0 else None
            state = {
                "backend": keras.backend.backend(),
                "history": run.history,
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
            _save(
                run.partial / "checkpoint.npz",
                {
                    "state": np.array(json.dumps(state, default=float)),
                    **_variables(self.model.variables, "model"),
                    **_variables(self.model.optimizer.variables, "optimizer"),
                    **arrays,
                },
            )
            for path in run.partial.glob("epoch-*.npz"):
                if _last_number(path.stem) not in score_epochs | {best}:
                    path.unlink()

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


def _last_number(name: str) -> int:
    return int(name.rsplit("-", 1)[1])


def _finish(run: Run, final: Path) -> None:
    """Write the record of a run that was scored."""
    from fer_common import figures

    run.record.finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    _describe(run)

    def draw(folder, record, history, predictions):
        figures.draw_run(folder, record, history, predictions)
        if run.keep_model and run.model:
            run.model.save(folder / "model.keras")
        for file in run.files if run.keep_model else ():
            shutil.copy(file, folder)

    records.write(final, run.record, run.history, run.predictions, draw, run.further)


def _describe(run: Run) -> None:
    """Fill in what the record says of machine, versions and code."""
    import importlib.metadata
    import platform

    import keras

    record = run.record
    record.backend = keras.backend.backend()
    record.device = device()
    packages = ("keras", record.backend, "numpy")
    record.versions = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            record.versions[package] = importlib.metadata.version(package)
    if run.history:
        seconds = [row["seconds"] for row in run.history if "seconds" in row]
        record.seconds_per_epoch = round(float(np.median(seconds)), 2) if seconds else None
        selected = [row.get("select_accuracy") for row in run.history]
        record.best_epoch = int(np.argmax(selected)) + 1 if selected[0] is not None else None
    record.commit, record.dirty = _commit()


def _commit() -> tuple[str | None, bool | None]:
    """The git commit of this code, and whether tracked files differ from it; (None, None) outside a checkout."""

    def git(*arguments):
        here = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def device() -> str:
    """The processor that trains, e.g. `AMD EPYC, 2 cores` or `gpu:0`."""
    import keras

    devices = keras.distribution.list_devices()
    if not all(name.startswith("cpu") for name in devices):
        return ", ".join(devices)
    name = "CPU"
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
