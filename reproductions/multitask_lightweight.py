"""Expression and facial attributes at once on a lightweight network: a claim without a number, made testable.

Paper: Agzamova Mohinabonu, "Emotion Recognition Through Advanced Neural Architectures: A Comprehensive Analysis".

Claimed: one lightweight network trained on several facial tasks at once is ahead of baseline models in expression
recognition, attribute recognition and overall accuracy, at a lower cost, and sharing regularises. No number, no data
set, no architecture is printed; the figure that compares accuracies is not in our copy.

Run: `ferrepro run multitask_lightweight`, or `python -m reproductions.multitask_lightweight`. Expressions are
FER2013's, attributes UTKFace's (`--attributes PATH` or the variable UTKFACE); with `--data synthetic` both are drawn.

Cost and result under `official`, by `ferrepro docs` from the committed records; 95 % intervals:
    multitask_heavy, random, full: 60.6 [58.8, 62.3] % of 3,589 images, 5 seeds, 7.9 min a run
    multitask_light, random, full: 55.6 [53.8, 57.5] % of 3,589 images, 5 seeds, 5.5 min a run
    pruned, random, full: 55.0 [53.0, 57.0] % of 3,589 images, 5 seeds, 1.1 min a run
    quantized, random, full: 55.6 [53.8, 57.3] % of 3,589 images, 5 seeds
    singletask_heavy_expression, random, full: 64.1 [62.4, 65.8] % of 3,589 images, 5 seeds, 4.7 min a run
    singletask_light_expression, random, full: 59.0 [57.3, 60.6] % of 3,589 images, 5 seeds, 3.2 min a run

What was made of the claim, numbered:
1. Two factors, crossed: several tasks or one at a time, a light network or a heavy one. The paper compares only the
   corner `multitask_light` with unnamed "traditional baseline models", for which `singletask_heavy_…` stand here.
2. No image has both kinds of labels, so every batch mixes the two sources, and a task's loss counts the rows that have
   its label. All faces are 48-pixel grey images: neither colour nor size tells the source.
3. One budget for all: every image of each source once an epoch, ten epochs; a network of one task sees the images of
   its task. Of the same learning rates each network has its own best (benchmarks/learning_rates.py).
4. Pruning and quantisation are named among the means of lightweight networks: `pruned` and `quantized` begin as the
   finished `multitask_light` of the same seed.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fer_common import UserError, experiment, export
from fer_common.data import WITHHELD, FaceData
from fer_common.data.utkface import TASKS, AttributeData
from fer_common.protocols import PROTOCOLS
from fer_common.provenance import assumed, inferred, stated

ALL_TASKS = tuple(TASKS)
REPRESENTATIVE = 200  # training images that set the ranges of int8
COMPARED = 1000  # test images on which LiteRT and Keras are compared


@dataclass(frozen=True)
class Setup:
    """What all systems share; of the method section only kinds of things are stated, never a value."""

    tasks: tuple[str, ...] = inferred(ALL_TASKS, "Experimental Insights: expression and attributes; which, is not said")
    network: Literal["light", "heavy"] = stated("light", "depthwise separable convolutions: The Power of Lightweight …")
    filters: tuple[int, ...] = assumed((16, 48, 64, 96, 128, 192), "not printed; by convolution, sized for two cores")
    pooled_after: tuple[int, ...] = assumed((1, 3, 5), "not printed; convolutions before a halving: 24, 12, 6 pixels")
    branch: int = assumed(64, "not printed; units of the layer that each task has of its own")
    loss_weighting: Literal["fixed", "uncertainty", "normalised"] = inferred(
        "fixed",
        "Introduction: a weighted sum of the task losses; uncertainty: Kendall et al. 2018; normalised: the gradients "
        "of all tasks at the shared features have one length, which GradNorm (Chen et al. 2018) learns with α = 0",
    )
    loss_weights: tuple[float, ...] = assumed((1.0, 1.0, 1.0, 1.0), "not printed; by task, in the order of `tasks`")
    learning_rate: float = assumed(
        0.0045,
        "Model Training: mini-batches and an advanced optimizer, none is named: AdamW, annealed along a cosine; the "
        "best of four, but for singletask_light_expression, whose best is 0.0015",
    )
    weight_decay: float = assumed(0.0005, "Model Training: regularisation, no kind or amount is printed")
    dropout: float = assumed(0.2, "as above; before each task's output")
    flip: bool = assumed(True, "Data Preprocessing: augmentation, no kind is printed; left and right are swapped")
    shift: float = assumed(0.08, "as above; by up to this share of the image, either way")
    batch_size: int = assumed(64, "Model Training: mini-batches, of no printed size")
    epochs: int = assumed(10, "not printed; the same for all, for two cores")
    precision: Literal["float32", "mixed_bfloat16"] = assumed("float32", "depthwise convolutions are slow in bfloat16")


@dataclass(frozen=True)
class Heavy(Setup):
    """The same layers with full convolutions in place of separable ones: the baseline that the paper does not name."""

    network: Literal["light", "heavy"] = assumed("heavy", "Experimental Insights: baseline models, none is named")
    learning_rate: float = assumed(0.0015, "as above; the best of four for all heavy networks")
    precision: Literal["float32", "mixed_bfloat16"] = assumed("mixed_bfloat16", "for speed")


@dataclass(frozen=True)
class Pruned(Setup):
    """The finished light network without its smallest weights, fitted on with these kept at nothing."""

    sparsity: float = assumed(0.7, "The Power of Lightweight …: pruning is named, no share is printed")
    curve: tuple[float, ...] = assumed((0.5, 0.6, 0.7, 0.8, 0.9), "the sparsities whose accuracy is kept as a curve")
    further_epochs: int = assumed(2, "after pruning; not printed")
    further_learning_rate: float = assumed(0.0005, "after pruning; not printed, and not tuned")


@dataclass(frozen=True)
class Quantized(Setup):
    """The finished light network in eight-bit integers, by LiteRT's converter."""


def _single(setup: type, task: str, **own):
    return setup(tasks=(task,), loss_weights=(1.0,), **own)


# The learning rates are each network's best of four: benchmarks/learning_rates.py.
SYSTEMS = {
    "multitask_light": Setup(),
    "singletask_light_expression": _single(Setup, "expression", learning_rate=0.0015),
    "singletask_light_age_group": _single(Setup, "age_group"),
    "singletask_light_gender": _single(Setup, "gender"),
    "singletask_light_ethnicity": _single(Setup, "ethnicity"),
    "multitask_heavy": Heavy(),
    **{f"singletask_heavy_{task}": _single(Heavy, task) for task in ALL_TASKS},
    "pruned": Pruned(),
    "quantized": Quantized(),
}

# Networks


def build_network(setup: Setup):
    """The network: images float32 (batch, 48, 48, 1) from 0 to 1 in, by task probabilities (batch, classes) out."""
    import keras
    from keras import layers

    inputs = keras.Input((48, 48, 1))
    x = layers.Rescaling(4.0, offset=-2.0)(inputs)  # FER2013's mean and spread are about 0.5 and 0.25
    for number, filters in enumerate(setup.filters, 1):
        # The first has one channel to convolve, so that there is nothing to separate.
        separable = setup.network == "light" and number > 1
        convolution = layers.SeparableConv2D if separable else layers.Conv2D
        x = convolution(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        if number in setup.pooled_after:
            x = layers.MaxPooling2D()(x)
    shared = layers.GlobalAveragePooling2D(name="shared", dtype="float32")(x)
    outputs = {}
    for task in setup.tasks:
        x = same_length_gradients(shared) if setup.loss_weighting == "normalised" else shared
        x = layers.Dense(setup.branch, activation="relu", name=f"{task}_branch")(x)
        x = layers.Dropout(setup.dropout)(x)
        # Softmax in float32 under every precision, as Keras advises for bfloat16.
        outputs[task] = layers.Dense(len(TASKS[task]), activation="softmax", dtype="float32", name=task)(x)
    return keras.Model(inputs, outputs)


def same_length_gradients(shared):
    """`shared` itself, whose gradient from here on has the length 1."""
    import keras
    from keras import ops

    @ops.custom_gradient
    def passed(x):
        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            return upstream / ops.maximum(ops.sqrt(ops.sum(ops.square(upstream))), 1e-12)

        return ops.copy(x), gradient

    class SameLengthGradients(keras.layers.Layer):
        def call(self, x):
            return passed(x)

    return SameLengthGradients()(shared)


def build_training(setup: Setup, network):
    """The network under augmentation and the loss over tasks. Labels: int (batch, tasks), WITHHELD where none is."""
    import keras
    from keras import layers, ops

    augmentation = []
    if setup.flip:
        augmentation.append(layers.RandomFlip("horizontal", dtype="float32"))
    if setup.shift:
        shift = (setup.shift, setup.shift)
        augmentation.append(layers.RandomTranslation(*shift, "nearest", "nearest", dtype="float32"))

    def known(labels):
        """The labels, 0 where there is none; 1.0 where there is one."""
        there = labels != WITHHELD
        return ops.where(there, labels, 0), ops.cast(there, "float32")

    class Training(keras.Model):
        def __init__(self):
            super().__init__()
            self.network, self.augmentation = network, augmentation
            self.accuracies = [keras.metrics.Mean(name=f"{task}_accuracy") for task in setup.tasks]
            self.log_variances = None
            if setup.loss_weighting == "uncertainty":
                shape = (len(setup.tasks),)
                self.log_variances = self.add_weight(
                    shape=shape, initializer="zeros", dtype="float32", name="log_variances"
                )

        def call(self, images, training=False):
            for layer in self.augmentation:
                images = layer(images, training=training)
            return self.network(images, training=training)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            total = 0.0
            for number, (task, weight) in enumerate(zip(setup.tasks, setup.loss_weights, strict=True)):
                label, there = known(y[:, number])
                losses = keras.losses.sparse_categorical_crossentropy(label, y_pred[task])
                loss = ops.sum(losses * there) / ops.maximum(ops.sum(there), 1.0)
                if self.log_variances is not None:  # Kendall et al. 2018, with the logarithm of the variance learnt
                    loss = ops.exp(-self.log_variances[number]) * loss + self.log_variances[number] / 2
                total += weight * loss
            return total

        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            for number, (task, metric) in enumerate(zip(setup.tasks, self.accuracies)):
                label, there = known(y[:, number])
                right = ops.cast(ops.argmax(y_pred[task], -1), label.dtype) == label
                metric.update_state(right, sample_weight=there)
            return self.get_metrics_result()

    training = Training()
    training(np.zeros((1, 48, 48, 1), np.float32))  # makes every variable
    return training


def build_optimizer(setup: Setup, learning_rate: float, updates: int):
    """AdamW, annealed to nothing over `updates` along a cosine; what is no kernel does not decay."""
    import keras

    rate = keras.optimizers.schedules.CosineDecay(learning_rate, max(1, updates))
    optimizer = keras.optimizers.AdamW(rate, weight_decay=setup.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "log_variances"])
    return optimizer


# Training


@dataclass(frozen=True)
class Sources:
    """FER2013's and UTKFace's images in one array, one after the other.

    images: uint8 (N, 48, 48); labels: uint8 (N, tasks), WITHHELD where a row has none or is to be scored; role: str
    (N,); expressions: how many rows are FER2013's.
    """

    images: np.ndarray
    labels: np.ndarray
    role: np.ndarray
    expressions: int

    @classmethod
    def of(cls, data: FaceData, role: np.ndarray, attributes: AttributeData, tasks: tuple[str, ...]) -> "Sources":
        labels = np.full((len(data) + len(attributes), len(tasks)), WITHHELD, np.uint8)
        for number, task in enumerate(tasks):
            if task == "expression":
                labels[: len(data), number] = data.labels
            else:
                labels[len(data) :, number] = attributes.labels[task]
        images = np.concatenate([data.images, attributes.images])
        return cls(images, labels, np.concatenate([role, attributes.role]), len(data))

    def rows(self, role: str) -> np.ndarray:
        """The rows of this role that have a label for one of the tasks."""
        return np.flatnonzero((self.role == role) & (self.labels != WITHHELD).any(1))

    def of_task(self, task: str) -> np.ndarray:
        """All rows of the source that a task's labels come from."""
        return np.arange(self.expressions) if task == "expression" else np.arange(self.expressions, len(self.role))

    def in_order(self, rows: np.ndarray, labels: np.ndarray | None = None, batch_size: int = 256):
        """These rows' batches, with or without labels."""
        from fer_common import pipeline

        return pipeline.in_order(self.images, labels, rows, batch_size=batch_size)


def train(run: experiment.Run) -> None:
    """Fit for the setup's epochs, and predict every image of every task's source with the last weights."""
    setup = run.setup
    if unknown := set(setup.tasks) - set(TASKS):
        raise UserError(f"--tasks {' '.join(sorted(unknown))}: there is {', '.join(TASKS)}.")
    if len(setup.loss_weights) != len(setup.tasks):
        raise UserError(f"--loss-weights: {len(setup.loss_weights)} weights for {len(setup.tasks)} tasks.")
    if setup.loss_weighting == "normalised" and set(setup.loss_weights) != {1.0}:
        raise UserError("--loss-weighting normalised gives every task's gradient one length; --loss-weights are all 1.")
    if isinstance(setup, Pruned) and not all(0 <= share < 1 for share in (setup.sparsity, *setup.curve)):
        raise UserError("--sparsity, --curve: the share of weights that is cut is 0 or more, and less than 1.")
    if run.attributes.source == "synthetic":
        run.note("drawn attributes: age_group is the width of the head, gender glasses, ethnicity the hair")
    sources = Sources.of(run.data, run.role, run.attributes, setup.tasks)
    if isinstance(setup, Quantized):
        quantize(run, sources)
        return
    import keras

    if isinstance(setup, Pruned):
        network = finished_light(run)
        cut(run, network, sources)
        fit(run, network, sources, setup.further_epochs, setup.further_learning_rate)
        left = sum(int(np.count_nonzero(keras.ops.convert_to_numpy(kernel))) for kernel in prunable(network))
        whole = sum(int(np.prod(kernel.shape)) for kernel in prunable(network))
        run.record.details["pruning"] |= {"weights": whole, "weights_left": left}
    else:
        network = build_network(setup)
        fit(run, network, sources, setup.epochs, setup.learning_rate)
    if keras.backend.backend() == "tensorflow":
        run.record.details["multiply_adds"] = export.multiply_adds(network)
    # Without augmentation and loss, and with no layer of our own, so that it can be loaded anywhere.
    run.model = build_network(dataclasses.replace(setup, loss_weighting="fixed"))
    run.model.set_weights(network.get_weights())
    run.keep_model |= run.record.system == "multitask_light"  # what pruning and quantisation begin as

    def ask(rows: np.ndarray, size: int = 256) -> dict[str, np.ndarray]:
        return network.predict(sources.in_order(rows, batch_size=size), verbose=0)

    first = setup.tasks[0]
    of_first = sources.of_task(first)
    run.ask_in_other_batches(lambda rows, size: ask(of_first[rows], size)[first], ask(of_first)[first])
    score(run, sources, ask)


def fit(run: experiment.Run, network, sources: Sources, epochs: int, learning_rate: float) -> None:
    """Fit the network on all sources' images for so many epochs."""
    setup = run.setup
    rows, watched = sources.rows("fit"), sources.rows("select")
    steps = -(-len(rows) // setup.batch_size)
    training = build_training(setup, network)
    training.compile(build_optimizer(setup, learning_rate, epochs * steps), jit_compile=False)
    arguments = run.fit_arguments(
        training,
        sources.images,
        sources.labels,
        epochs=epochs,
        batch_size=setup.batch_size,
        fit=rows,
        # A loss is a sum over the tasks of a batch: in order, one batch would hold one source, and the sums half of it.
        select=np.random.default_rng(0).permutation(watched),
    )
    if arguments:
        training.fit(**arguments)
    run.record.parameters = int(network.count_params())
    run.record.details["training"] = {"images_an_epoch": len(rows), "updates": epochs * steps}


def score(run: experiment.Run, sources: Sources, predict) -> None:
    """Put into the record what `predict` (rows → probabilities by task) says of every row of each task's source."""
    tasks = run.setup.tasks
    found = {}
    for own in ([t for t in tasks if t == "expression"], [t for t in tasks if t != "expression"]):
        if own:
            predicted = predict(sources.of_task(own[0]))
            found |= {task: predicted[task] for task in own}
    run.keep_tasks(len(run.history), {task: found[task] for task in tasks})


# What comes after training


def finished_light(run: experiment.Run):
    """The network of `multitask_light` with the same seed; trained first where it is not there.

    Raises UserError where it was trained and its network is gone, or where it would have to be another one.
    """
    import keras

    own = {field.name for field in dataclasses.fields(run.setup)} - {f.name for f in dataclasses.fields(Setup)}
    if other := set(run.record.changes) - own:
        raise UserError(
            f"{run.record.system} begins as multitask_light as it is: --{', --'.join(sorted(other)).replace('_', '-')} "
            f"cannot be changed; {'what can is ' + ', '.join(sorted(own)) if own else 'nothing can'}."
        )
    folder = run.other("multitask_light")
    if not (folder / "model.keras").is_file():
        raise UserError(
            f"{folder} has no model.keras, which this system begins as; make it by repeating this command with "
            "--system multitask_light --again."
        )
    run.record.details["begins_as"] = f"{folder.parent.name}/{folder.name}"
    weights = keras.models.load_model(folder / "model.keras").get_weights()
    keras.utils.set_random_seed(run.seed)  # dropout is the same whether it was trained just now or long ago
    network = build_network(run.setup)
    network.set_weights(weights)
    return network


def prunable(network) -> list:
    """The kernels of its convolutions and dense layers, but for depthwise ones and outputs, which are small."""
    kernels = []
    for layer in network.layers:
        if layer.name not in TASKS:
            kernels += [v for v in layer.trainable_variables if v.name in ("kernel", "pointwise_kernel")]
    return kernels


def smallest_cut(kernels: list, sparsity: float) -> list[np.ndarray]:
    """float32 masks of the kernels: 0 for the share `sparsity` of all their weights that is smallest in magnitude."""
    import keras

    values = [np.abs(keras.ops.convert_to_numpy(kernel)) for kernel in kernels]
    threshold = np.quantile(np.concatenate([value.ravel() for value in values]), sparsity)
    return [(value >= threshold).astype(np.float32) for value in values]


def hold(kernels: list, values: list[np.ndarray], masks: list[np.ndarray]) -> None:
    """Give the kernels these values where the masks are 1; where they are 0 they are 0 and stay it."""
    for kernel, value, mask in zip(kernels, values, masks):
        kernel.assign(value * mask)
        kernel.constraint = lambda updated, mask=mask: updated * mask  # optimizers apply it after each step


def cut(run: experiment.Run, network, sources: Sources) -> None:
    """Prune the network to the setup's sparsity, for good: fitted on, what is cut stays at 0.

    Before, the accuracy on the selection images of the network as it is cut, at each sparsity of the setup's curve,
    goes into the record.
    """
    kernels = prunable(network)
    before = [kernel.numpy() for kernel in kernels]
    rows = sources.rows("select")

    curve = []
    for sparsity in (0.0, *run.setup.curve):
        hold(kernels, before, smallest_cut(before, sparsity))
        predicted = network.predict(sources.in_order(rows), verbose=0)
        curve.append({"sparsity": sparsity} | accuracies(run.setup.tasks, sources.labels[rows], predicted))
    run.record.details["pruning"] = {"curve_without_fitting_on": curve}
    hold(kernels, before, smallest_cut(before, run.setup.sparsity))


def accuracies(tasks: tuple[str, ...], labels: np.ndarray, predicted: dict[str, np.ndarray]) -> dict[str, float]:
    """By `select_…_accuracy` of labels (N, tasks) and probabilities (N, classes), where there is a label."""
    found = {}
    for number, task in enumerate(tasks):
        there = labels[:, number] != WITHHELD
        right = predicted[task][there].argmax(1) == labels[there, number]
        found[f"select_{task}_accuracy"] = round(float(right.mean()), 4)
    return found


def quantize(run: experiment.Run, sources: Sources) -> None:
    """Full int8 through LiteRT, its ranges set by training images, scored through its interpreter.

    What LiteRT says of test images, in float32 and in int8, is compared with what Keras says.
    """
    network = finished_light(run)
    rng = np.random.default_rng(run.seed)
    representative = floats(sources.images[rng.permutation(sources.rows("fit"))[:REPRESENTATIVE]])
    tested = rng.permutation(np.flatnonzero(sources.role == "score"))[:COMPARED]
    expected = network.predict(sources.in_order(tested), verbose=0)

    def predict(path, rows: np.ndarray) -> dict[str, np.ndarray]:
        return export.predict(path, (floats(sources.images[rows[n : n + 4096]]) for n in range(0, len(rows), 4096)))

    run.record.details["export"] = {"compared_images": len(tested), "representative_images": len(representative)}
    for kind, given in (("float32", None), ("int8", representative)):
        path = run.partial / f"{kind}.tflite"
        export.to_litert(network, path, representative=given)
        found = predict(path, tested)
        run.record.details["export"][kind] = {
            "file_bytes": path.stat().st_size,
            "largest_difference": max(float(np.abs(found[task] - own).max()) for task, own in expected.items()),
            "same_class": float(np.mean([found[task].argmax(1) == own.argmax(1) for task, own in expected.items()])),
        }
        run.files.append(path)  # with --save-model they are put beside the record
    run.record.parameters = int(network.count_params())
    run.record.details["multiply_adds"] = export.multiply_adds(network)
    watched = sources.rows("select")
    run.history = [{"epoch": 1} | accuracies(run.setup.tasks, sources.labels[watched], predict(path, watched))]
    score(run, sources, lambda rows: predict(path, rows))


def floats(images: np.ndarray) -> np.ndarray:
    """float32 (N, 48, 48, 1) from 0 to 1, as the pipeline gives them."""
    return images[..., None].astype(np.float32) / 255


# Its page


def blocks(tables) -> dict[str, str]:
    """`changed`: systems that ran with other assumed values too; `compressed`: what pruning and LiteRT do."""
    runs = tables["runs"]
    if not len(runs):
        return {"changed": changed(runs), "compressed": compressed(runs)}
    runs = runs[(runs["paper"] == PAPER.id) & (runs["source"] == "fer2013") & (runs["attributes"] == "utkface")]
    last = tables["epochs"].groupby("run").last()
    runs = runs[runs["left_out"].isin(("", "changed"))].join(
        last.drop(columns="learning_rate", errors="ignore"), on="run"
    )
    return {"changed": changed(runs), "compressed": compressed(runs[runs["left_out"] == ""])}


def changed(runs) -> str:
    """Accuracy on the selection images after the last epoch, task by task, of the systems that ran with other assumed
    values too; seed by seed, the unchanged runs first."""
    from fer_common.results.render import fields_of, markdown

    rows = []
    varied = set(runs.loc[runs["left_out"] == "changed", "system"]) if len(runs) else set()
    for _, run in runs.sort_values(["system", "changes", "seed"]).iterrows() if varied else ():
        if run["system"] in varied:
            tasks = SYSTEMS[run["system"]].tasks
            found = {task: run[f"select_{task}_accuracy"] for task in tasks} | {
                "mean": np.mean([run[f"select_{task}_accuracy"] for task in tasks])
            }
            first = {"system": run["system"], "changed": fields_of(run["changes"]) or "nothing", "seed": run["seed"]}
            rows.append(first | {name: f"{100 * accuracy:.1f}" for name, accuracy in found.items()})
    return markdown(rows)


def compressed(runs) -> str:
    """What pruning to each sparsity does before any fitting on, the mean over seeds; and, seed by seed, how far LiteRT
    is from Keras."""
    import json

    from fer_common.results.render import markdown

    curves, exports, weights = {}, [], []
    for _, run in runs.iterrows():
        details, setup = json.loads(run["details"] or "{}"), SYSTEMS[run["system"]]
        if pruning := details.get("pruning"):
            points = {f"{p['sparsity']:.0%}": p for p in pruning["curve_without_fitting_on"]}
            points[f"{setup.sparsity:.0%}, fitted on"] = run
            for name, point in points.items():
                mean = np.mean([point[f"select_{task}_accuracy"] for task in setup.tasks])
                curves.setdefault(name, []).append(mean)
            weights.append(f"seed {run['seed']}: {pruning['weights_left']:,} of {pruning['weights']:,}")
        if export := details.get("export"):
            exports += [(run["seed"], kind, export[kind], export["compared_images"]) for kind in ("float32", "int8")]
    curve = [
        {"weights cut": cut, "mean accuracy over tasks": f"{100 * np.mean(found):.1f}", "seeds": len(found)}
        for cut, found in sorted(curves.items())
    ]
    rows = [
        {"seed": seed, "LiteRT": kind, "file, bytes": f"{own['file_bytes']:,}", "test images": f"{images:,}"}
        | {"largest difference of a probability": f"{own['largest_difference']:.2g}"}
        | {"same class as Keras": f"{100 * own['same_class']:.2f} %"}
        for seed, kind, own, images in sorted(exports, key=lambda row: row[:2])
    ]
    if not curve and not rows:
        return markdown([])
    return f"{markdown(curve)}\n\nWeights left after fitting on: {'; '.join(weights)}.\n\n{markdown(rows)}"


PAPER = experiment.Paper(
    id="multitask_lightweight",
    description=__doc__,
    systems=SYSTEMS,
    protocols={"official": PROTOCOLS["official"]},
    attributes=True,
    smoke={"epochs": 1, "further_epochs": 1, "filters": (8, 16, 16), "pooled_after": (1, 2, 3), "branch": 16},
    train=train,
    needs=lambda system, setup, protocol: (
        (experiment.Needed("multitask_light"),) if isinstance(setup, Pruned | Quantized) else ()
    ),
    blocks=blocks,
)


def main(arguments: list[str] | None = None) -> None:
    experiment.command(PAPER, arguments)


if __name__ == "__main__":
    main()
