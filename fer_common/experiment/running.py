"""One run: its data and roles, the lock, training, and the record; and the `Run` that a script trains through."""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fer_common import UserError, batches, pipeline, provenance, records, splits
from fer_common.augmentation import Augmentation
from fer_common.data import EMOTIONS, WITHHELD, FaceData, original, utkface
from fer_common.experiment import checkpoint, machine, result
from fer_common.experiment.paper import Needed, Options, Paper
from fer_common.progress import plain
from fer_common.protocols import Protocol

SMOKE_IMAGES = 2000
BATCH = 256  # of images that are watched or predicted
PROBED = 1.0  # seconds: somebody who only asks whether a run is alive holds its lock for a moment


def run(paper: Paper, system: str, protocol: str, setup: Any, options: Options, given: Set[str] = frozenset()) -> Path:
    """Run it unless its record is there; returns the record's folder.

    protocol: one of the paper's choices; given: the names of fields that a preset leaves as they are, changed or not.
    Of a protocol with folds all of them are run, and the last one's folder returned, unless the options name one.
    Raises UserError for what the user can mend. Any other error is written into a record with status `failed`.
    """
    folds = range(paper.choices()[protocol].folds)
    if folds and options.fold is None:
        return [run(paper, system, protocol, setup, dataclasses.replace(options, fold=n), given) for n in folds][-1]
    if options.fold is not None and options.fold not in folds:
        has = f"folds 0 to {len(folds) - 1}" if folds else "no folds"
        raise UserError(f"--fold {options.fold}: the protocol {protocol} of {paper.id} has {has}.")
    this = _prepared(paper, system, paper.word(protocol), setup, options, given)
    record = this.record
    final = records.folder(options.runs, record)
    earlier = _before_checksums(paper, record, options)
    say = f"{paper.id} · {system} · {record.protocol} · {record.init} · {record.preset} · seed {record.seed}"
    say += f" · fold {record.fold}" if folds else ""

    with _lock(records.partial_folder(final)) as partial:
        this.partial = partial
        done = next((folder for folder in (final, earlier) if folder and records.status(folder) == "ok"), None)
        if done and not options.again:
            print(f"{say}: already run, {done} (--again repeats it)")
            shutil.rmtree(partial)
            return done
        _sweep(partial, final, options.resume)
        _say_data(say, this)
        # Of the code that runs: when it ends, hours later, the checkout may be another one.
        record.commit, record.dirty = machine.commit()
        try:
            this._start()
            paper.train(this)
            _write(this, final)
        except UserError:
            if {path.name for path in partial.iterdir()} <= {"lock", "pid"}:  # nothing to go on from
                shutil.rmtree(partial)
            raise
        except Exception as error:
            record.status, record.error = "failed", f"{type(error).__name__}: {error}"
            with contextlib.suppress(OSError):
                (partial / "traceback.txt").write_text(traceback.format_exc())
                if records.status(final) != "ok":
                    machine.describe(record)
                    records.write(final, record, [], None)
            raise UserError(
                f"{say}: failed ({record.error}); the checkpoint of the last finished epoch is kept, "
                f"{partial / 'traceback.txt'} says where. Mend the cause and type the same command again."
            ) from error
        if earlier:  # the same run, which --again has just replaced
            shutil.rmtree(earlier)
        shutil.rmtree(partial)
    _draw(this, final)
    print(f"record: {final}")
    print(result.text(record, this.predictions, this.further))
    return final


class Busy(UserError):
    """Another process is making this very run."""


class Copies:
    """The data of the runs that are made with the same options: read once, and their part for a smoke run made once."""

    def __init__(self, faces: FaceData, attributes: utkface.AttributeData | None):
        self.faces, self.attributes = faces, attributes
        self._rows: dict[tuple, int] = {}

    @cached_property
    def smoke(self) -> "Copies":
        """2,000 images of each."""
        attributes = self.attributes
        if attributes:
            attributes = attributes.take(np.arange(0, len(attributes), max(1, len(attributes) // SMOKE_IMAGES)))
        return Copies(self.faces.take(splits.subset(self.faces, SMOKE_IMAGES)), attributes)

    def rows(self, protocol: Protocol, seed: int) -> int:
        """How many rows the data have once the protocol has repeated or left out what it does before the split."""
        if not protocol.prepare:
            return len(self.faces)
        if (protocol.name, seed) not in self._rows:
            self._rows[protocol.name, seed] = len(protocol.prepare(self.faces, seed))
        return self._rows[protocol.name, seed]


def described(
    paper: Paper, system: str, word: str, setup: Any, options: Options, given: Set[str], copies: Copies
) -> tuple[records.Record, Any]:
    """(record, setup) of a run as the preset, the protocol and the data make them, before anything is split, trained or
    written. `word` is what the paper calls the protocol; `given` as in `run`."""
    changed = provenance.changes(setup, paper.systems[system])
    kept = changed.keys() | given
    if options.preset == "smoke":
        smaller = {k: v for k, v in paper.smoke.items() if k not in kept and hasattr(setup, k)}
        setup, copies = dataclasses.replace(setup, **smaller), copies.smoke
    reduced = {}
    if options.preset == "reduced":
        if system not in paper.reduced:
            raise UserError(f"--preset reduced: {paper.id} has no reduced setup for {system}; it fits as it is.")
        reduced = {k: v for k, v in paper.reduced[system].items() if k not in kept}
        setup = dataclasses.replace(setup, **reduced)
    changed.pop("init", None)  # every row says it in a column of its own
    reduced.pop("init", None)
    protocol, faces, attributes = paper.choices()[word], copies.faces, copies.attributes
    record = records.Record(
        paper=paper.id,
        system=system,
        protocol=word,
        init=getattr(setup, "init", "random"),
        seed=options.seed,
        fold=options.fold,
        preset=options.preset if options.preset == "smoke" or not changed else "custom",
        changes=changed,
        reduced=reduced,
        setup=dataclasses.asdict(setup),
        data={"source": faces.source, "fingerprint": faces.fingerprint, "rows": copies.rows(protocol, options.seed)},
    )
    if attributes:
        record.data["attributes"] = {
            "source": attributes.source,
            "fingerprint": attributes.fingerprint,
            "rows": len(attributes),
        }
    record.weights = _checksum(paper.extractor(record, options, protocol), record.init)
    return record, setup


def record_folder(paper: Paper, record: records.Record, options: Options) -> Path:
    """Where the record of a run that is `described` is, or will be."""
    return _before_checksums(paper, record, options) or records.folder(options.runs, record)


def _prepared(paper: Paper, system: str, word: str, setup: Any, options: Options, given: Set[str]) -> "Run":
    """The run as the preset, the protocol and the data make it, before anything is written."""
    copies = load(paper, options)
    record, setup = described(paper, system, word, setup, options, given, copies)
    for said in original.at_a_glance(copies.faces):  # into the record, and so into every row that it gives
        print(plain(f"warning: this copy of FER2013 is not as it was published: {said}"), file=sys.stderr)
        record.notes = [*record.notes, f"copy: {said}"]
    if options.preset == "smoke":
        copies = copies.smoke
    data, role = paper.choices()[word].split(copies.faces, options.seed, options.fold)
    if paper.selects(setup) and not (role == "select").any():
        raise UserError(f"{system} stops by images that select, and under {word} none does; choose another protocol.")
    return Run(record, setup, data, role, None, options, paper, copies.attributes)


def load(paper: Paper, options: Options) -> Copies:
    """The data that a run has; UTKFace too where the paper needs it. Raises UserError where a copy is none."""
    from fer_common import data

    faces = data.load(
        options.data,
        allow_subset=options.allow_subset,
        merged_test=options.merged_test,
        without_extra=options.without_extra,
    )
    if not paper.attributes:
        return Copies(faces, None)
    drawn = faces.source == "synthetic"
    return Copies(faces, utkface.load(options.attributes, synthetic=drawn, allow_subset=options.allow_subset))


def _checksum(extractor: Path | None, init: str) -> str | None:
    """16 hex digits of SHA-256: over what the extractor of that record predicts, or over the weights file that `init`
    names; None where it is neither."""
    if extractor:
        return hashlib.sha256(records.read(extractor)[2].probabilities.tobytes()).hexdigest()[:16]
    if Path(init).is_file():
        with Path(init).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return None


def _before_checksums(paper: Paper, record: records.Record, options: Options) -> Path | None:
    """The record of the same run from before records held a checksum of the weights they began with, if there is one.

    It counts as long as its extractor is the one that is there now, which it is where that was finished first. Where
    the extractor's network was not kept there is no checksum to take, and the record's name is the old one anyway.
    """
    extractor = paper.extractor(record, options, paper.choices()[record.protocol])
    if not extractor:
        return None
    old = records.folder(options.runs, msgspec.structs.replace(record, weights=None))
    if records.status(old) != "ok":
        return None
    return old if records.read(extractor)[0].finished <= records.read(old)[0].finished else None


def _sweep(partial: Path, final: Path, resume: bool) -> None:
    """Remove the checkpoint and snapshots that must not be gone on from."""
    for file in partial.glob("*.npz"):
        # A checkpoint older than the record was left by a kill just after the record was written.
        record = final / "record.json"
        finished = record.exists() and file.stat().st_mtime < record.stat().st_mtime
        if not resume or (finished and records.status(final) == "ok"):
            file.unlink()


def _say_data(say: str, this: "Run") -> None:
    data, attributes = this.data, this.attributes
    print(plain(f"{say}\ndata: {data.source}, {len(data):,} images, fingerprint {data.fingerprint} ({data.origin})"))
    for name in splits.ROLES:
        rows = this.role == name
        if rows.any():
            print(f"  {name:6} {rows.sum():7,}  ({result.counts(data.usage[rows])})")
    if attributes:
        smoke = this.options.preset == "smoke"
        left_out = utkface.IMAGES - len(attributes) if attributes.source == "utkface" and not smoke else 0
        print(
            f"attributes: {attributes.source}, {len(attributes):,} images, fingerprint {attributes.fingerprint}"
            + (f"; {left_out} more, whose names lack a label, are left out" if left_out else "")
        )
        for part, name in utkface.ROLES.items():
            print(f"  {name:6} {(attributes.part == part).sum():7,}  ({part})")


@contextlib.contextmanager
def _lock(partial: Path):
    """Hold the run's hidden folder; a second process on the same run is told so. Dies with the process."""
    from filelock import FileLock, Timeout

    try:
        partial.mkdir(parents=True, exist_ok=True)
        lock = FileLock(partial / "lock")
        lock.acquire(timeout=PROBED)
        (partial / "pid").write_text(f"{os.getpid()}\n")
    except Timeout:
        pid = (partial / "pid").read_text().strip() if (partial / "pid").exists() else "unknown"
        raise Busy(f"This run is being made by another process (pid {pid}) in {partial}; wait for it.") from None
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
    of `data`; protocol; seed; first_epoch: how many epochs are done (set by `fit_arguments`); keep_model: whether
    `model`, the trained network, and `files` are put beside the record; history: one dict an epoch, kept by
    `fit_arguments` or filled by a script that has no use for Keras's fit.
    """

    def __init__(
        self,
        record: records.Record,
        setup: Any,
        data: FaceData,
        role: np.ndarray,
        partial: Path | None,
        options: Options | None,
        paper: Paper,
        attributes: utkface.AttributeData | None = None,
    ):
        self.record, self.setup, self.role, self.paper = record, setup, role, paper
        self.protocol = paper.choices()[record.protocol]
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
        self.model = None
        self._compiled_as = (record.paper, record.system, repr(setup), record.seed)

    def _start(self) -> None:
        """Seed everything and set the backend up, before the model is built."""
        self.record.deterministic = pipeline.start(self.options.deterministic or None)
        import keras

        if not any(key[: len(self._compiled_as)] == self._compiled_as for key in checkpoint.COMPILED):
            checkpoint.COMPILED.clear()
            keras.utils.clear_session()
        keras.config.set_dtype_policy(getattr(self.setup, "precision", "float32"))
        keras.utils.set_random_seed(self.seed)

    def rows(self, role: str) -> np.ndarray:
        """Sorted indices of the rows with this role."""
        return np.flatnonzero(self.role == role)

    def saw(self, rows: np.ndarray) -> None:
        """Say that a part of the system (an extractor, say) was fitted on `rows` (bool (N,)): where they are to be
        scored, their role becomes `seen`."""
        self.role = splits.seen_where(self.role, lambda role: rows)

    def note(self, text: str) -> None:
        """Put `text` into the record and into every table row that the run gives."""
        print(f"note: {text}")
        self.record.notes = [*self.record.notes, text]

    def other(self, system: str) -> Path:
        """The folder of the record of another system of the paper, one that `Paper.needs` names, under the same
        protocol, with the same seed, data and preset, and its own defaults. Run first if it is not there."""
        if Needed(system) not in self.paper.needs(self.record.system, self.setup, self.protocol):
            raise ValueError(f"{self.record.system} asks for {system}, which `needs` of {self.paper.id} does not name")
        print(f"needs {system}:")
        options = dataclasses.replace(self.options, again=False)
        return run(self.paper, system, self.record.protocol, self.paper.systems[system], options)

    def compiled(self, build: Callable[[], Any], *depends_on):
        """The compiled model that `build()` gives, as it is when new. Folds of one command share it, since compiling
        costs up to half a minute; a fold that is run alone comes to the same.

        depends_on: what `build` uses besides the setup and the seed.
        """
        return checkpoint.compiled((*self._compiled_as, *depends_on), build)

    def fit_arguments(
        self,
        model,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        epochs: int,
        batch_size: int,
        preprocessing: pipeline.Preprocessing | None = pipeline.Preprocessing(),
        augmentation: Augmentation | None = None,
        fit: np.ndarray | None = None,
        select: np.ndarray | None = None,
        callbacks: Iterable = (),
        score_epochs: Sequence[int] = (),
    ) -> dict[str, Any]:
        """What `model.fit` takes so that a stopped run ends as an uninterrupted one; {} where nothing is left to do:

            if arguments := run.fit_arguments(model, images, labels, epochs=13, batch_size=32):
                model.fit(**arguments)
            run.score(model, images)

        model: compiled, and new. It is brought back to the end of the last finished epoch, if there is one: weights,
        optimizer, seed states, history and the callbacks' own state; where early stopping has ended training, to the
        best weights. Otherwise it is left as it is.
        images: uint8 (N, 48, 48), or features float32 (N, D) with preprocessing None; labels: integers (N,), or (N, T)
        of T tasks; augmentation: of the images that are trained on; fit, select: indices of the rows to train on, in an
        order drawn from (seed, epoch) alone, and to watch as they come; default: those with that role. Where none is to
        be watched there is no validation.
        callbacks: Keras's, before ours, which writes the history and the checkpoint; score_epochs: epochs, counted
        from 1, that `score` is to predict too, beside the last and the one best on the watched rows.
        Raises ValueError where a row's label is WITHHELD, UserError for a checkpoint of another network or backend.
        """
        self._resume(model)
        if self._done(epochs):
            return {}
        fit = self.rows("fit") if fit is None else fit
        select = self.rows("select") if select is None else select
        batches, steps = pipeline.shuffled(
            images,
            labels,
            fit,
            batch_size=batch_size,
            seed=self.seed,
            epochs=epochs,
            first_epoch=self.first_epoch,
            preprocessing=preprocessing,
            augmentation=augmentation,
        )
        watched = None
        if len(select):
            watched = pipeline.in_order(images, labels, select, batch_size=BATCH, preprocessing=preprocessing)
        callbacks = list(callbacks)
        return {
            "x": batches,
            "steps_per_epoch": steps,
            "shuffle": False,  # the batches are shuffled already
            "epochs": epochs,
            "initial_epoch": self.first_epoch,
            "validation_data": watched,
            "callbacks": [*callbacks, checkpoint.callback_for(self, callbacks, set(score_epochs))],
            "verbose": 1 if sys.stdout.isatty() else 2,
        }

    def _resume(self, model) -> None:
        """Bring a compiled model back to the end of the last finished epoch, if there is one."""
        import keras

        self.model = model
        self.record.parameters = int(model.count_params())
        checkpoint.complete(model)
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
            checkpoint.assign(model.variables, file, "model")
            checkpoint.assign(model.optimizer.variables, file, "optimizer")
            arrays = {name: file[name] for name in file.files if name.startswith("callback")}
        self.history, self.callback_states = state["history"], (state["callbacks"], arrays)
        self.first_epoch, self.stopped_early = len(self.history), state["stopped"]
        self._best_weights = checkpoint.numbered(arrays, f"callback{state['restores']}-")
        print(f"resumed after epoch {self.first_epoch}")

    def _done(self, epochs: int) -> bool:
        """Whether `fit` has nothing left to do: all `epochs` are done, or a callback stopped it before.

        Where early stopping was to put the best weights back when `fit` ends, it is done here instead.
        """
        done = self.first_epoch >= epochs or self.stopped_early
        if done and self._best_weights:
            self.model.set_weights(self._best_weights)
        return done

    def score(
        self,
        model,
        images: np.ndarray,
        preprocessing: pipeline.Preprocessing | None = pipeline.Preprocessing(),
    ) -> None:
        """Predict every row of the data at each snapshot, and at the last epoch with the weights as `fit` left them.

        images: all rows', as in `fit_arguments`. Raises ValueError for a network that diverged.
        """
        last = len(self.history)
        left_by_fit = checkpoint.variables_of(model.variables, "model")
        weights = {checkpoint.last_number(path.stem): path for path in self.partial.glob("epoch-*.npz")} | {last: None}
        probabilities = {}
        for epoch, path in sorted(weights.items()):
            if path is None:
                checkpoint.assign(model.variables, left_by_fit, "model")
            else:
                with np.load(path) as file:
                    checkpoint.assign(model.variables, file, "model")
            every = pipeline.in_order(images, None, range(len(images)), batch_size=BATCH, preprocessing=preprocessing)
            probabilities[epoch] = model.predict(every, verbose=0)

        def ask(rows: np.ndarray, size: int) -> np.ndarray:
            given = pipeline.in_order(images, None, rows, batch_size=size, preprocessing=preprocessing)
            return model.predict(given, verbose=0)

        self.ask_in_other_batches(ask, probabilities[last])
        self.keep(probabilities)

    def ask_in_other_batches(self, ask: Callable[[np.ndarray, int], np.ndarray], predicted: np.ndarray) -> None:
        """Ask a network about some images in other batches and one by one; where that gives something else than
        `predicted`, float (N, K), every row says so. ask: function(rows, batch size) → probabilities (n, K)."""
        import keras

        rows = np.random.default_rng(0).permutation(len(predicted))[:BATCH]
        alone = np.sort(rows[: batches.SINGLES])
        pairs = [(ask(rows, BATCH), predicted[rows]), (ask(alone, 1), predicted[alone])]
        moves = batches.Moves.between(pairs, keras.config.dtype_policy().compute_dtype)
        self.record.details["batch"] = {
            "largest_difference": float(f"{moves.largest_difference:.2g}"),
            "other_labels": moves.other_labels,
            "images": moves.images,
        }
        if moves.mixed:
            self.note(moves.says)

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


def _write(this: Run, final: Path) -> None:
    """Write the record of a run that was scored, with the networks that are to be kept."""
    record, history = this.record, this.history
    record.finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    machine.describe(record)
    if history:
        seconds = [row["seconds"] for row in history if "seconds" in row]
        record.seconds_per_epoch = round(float(np.median(seconds)), 2) if seconds else None
        selected = [row.get("select_accuracy") for row in history]
        record.best_epoch = int(np.argmax(selected)) + 1 if selected[0] is not None else None
    files = list(this.files) if this.keep_model else []
    if this.keep_model and this.model:
        files.append(this.partial / "model.keras")
        this.model.save(files[-1])
    records.write(final, record, history, this.predictions, files, this.further)


def _draw(this: Run, final: Path) -> None:
    """Draw the record, which is whole by now: what cannot be drawn is a warning."""
    from fer_common import pictures

    pictures.draw_run(final, this.record, this.history, this.predictions)
