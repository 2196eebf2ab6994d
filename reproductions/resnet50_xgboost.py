"""ResNet50 features from several depths, classified by boosted trees: a paper that prints 99.19 % on FER2013.

Paper: Rajeshwari M and Krishna Prasad K, "Transforming Facial Expression Prediction: Amplifying Accuracy with ResNet50
Features and Innovated XG-Boost Algorithm", INFOCOMP 23(2), December 2024.

Claimed: 99.19 % accuracy with 98 % precision, recall and F1 (Tables 1, 2 and 4, Conclusion), and 0.99 on train and test
alike (Table 3), after a split of 80:20; beside it numbers for other systems, some of them its own comparisons.

Run: `ferrepro run resnet50_xgboost --init random`, or `python -m reproductions.resnet50_xgboost --init random`. With
`--init finetuned` the ResNet50 must have been trained before: `--system extractor --init random --save-model`.

Cost and result under `official`, by `ferrepro docs` from the committed records; 95 % intervals:
    proposed, finetuned, full: 56.5 [54.9, 58.1] % of 3,589 images, 1 seed, 0.0 min a run
    proposed, random, full: 37.5 [35.4, 39.6] % of 3,589 images, 3 seeds, 0.1 min a run

Differences to what the paper may have done, numbered:
1. "Weight normalised" is defined nowhere: the system `proposed` reads it as normalised features, which the text names;
   `proposed_unit_vectors`, `proposed_class_weights`, `proposed_dart` and `proposed_leaf_norm` are the other readings.
   `proposed_regularised` and `proposed_unstopped` settle what else is open: the regulariser and early stopping.
2. Whether its ResNet50 had ImageNet weights, random ones or some trained on faces is not said: `init`.
3. How features were reduced is not said: the 256 columns that separate the classes best (analysis of variance).
4. The denoising and the fusion systems are quoted in the paper without details; those here are our construction.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from fer_common import UserError, experiment
from fer_common.data import EMOTIONS
from fer_common.protocols import PROTOCOLS, Protocol
from fer_common.provenance import assumed, inferred, stated
from fer_common.records import Record
from reproductions.resnet50_xgboost_quoted import QUOTED, Filter, Fusion, SmallCnn, filtered, fuse, train_small_cnn

TAPS = ("conv2_block3_out", "conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
UNDERTRAINED = 0.58  # accuracy on PrivateTest below which a fine-tuned extractor's rows say so
IMAGENET_FILE = (
    "https://storage.googleapis.com/tensorflow/keras-applications/resnet/"
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
)

Normalisation = Literal["features", "unit_vectors", "class_weights", "dart", "leaf_norm"]


@dataclass(frozen=True)
class Features:
    """What goes into a classifier: ResNet50's features of the images."""

    init: str = assumed("imagenet", "not printed; what feature extraction with ResNet50 means as a rule")
    image_size: int = assumed(48, "IV: resizing is named, the size is not; FER2013's own")
    contrast: Literal["none", "equalise", "clahe"] = assumed("none", "IV: adjusted contrast is named, no method is")
    denoise: Filter = assumed(
        "none", "IV: less noise is named, no method is; the filters of its comparison are options"
    )
    taps: tuple[str, ...] = inferred(
        TAPS, "3.1: features from each of the layers; the last block of each stage, averaged"
    )
    selected: int = inferred(
        256, "Abstract, IV: selected features, redundancy reduced; the number is not printed. 0: all"
    )


@dataclass(frozen=True)
class Proposed(Features):
    """Boosted trees on normalised features: the first reading of "weight normalised"."""

    normalisation: Normalisation = inferred(
        "features", "IV: its advantage is that the individual features are normalised"
    )
    reg_lambda: float = stated(0.0, "equations 1 and 2: the gain and the leaf weight have no regulariser")
    gamma: float = stated(0.0, "equation 1: a split costs nothing")
    learning_rate: float = assumed(0.3, "1: higher rates are praised, none is printed; xgboost's default")
    max_depth: int = assumed(6, "not printed; xgboost's default")
    max_bin: int = assumed(64, "not printed; a quarter of xgboost's default, for speed")
    rounds: int = assumed(100, "not printed; the most, early stopping ends sooner where there is something to tell")
    patience: int = assumed(10, "not printed; rounds without a lower log loss on the selection rows; 0: no stopping")


@dataclass(frozen=True)
class Regularised(Proposed):
    """The same with xgboost's own regularisation."""

    reg_lambda: float = inferred(
        1.0, "IV: in-built regularisation is praised, against its equations; xgboost's default"
    )


@dataclass(frozen=True)
class Unstopped(Proposed):
    """The same without early stopping."""

    rounds: int = assumed(300, "no early stopping is described; three times the rounds that the others may have")
    patience: int = inferred(0, "no early stopping is described; 0: none")


@dataclass(frozen=True)
class UnitVectors(Proposed):
    """Every image's feature vector scaled to length 1."""

    normalisation: Normalisation = inferred("unit_vectors", "IV: normalised features; each image's vector instead")


@dataclass(frozen=True)
class ClassWeights(Proposed):
    """Images weighted so that every class counts the same, their mean weight being 1."""

    normalisation: Normalisation = inferred(
        "class_weights", "title of 3.2: weights that are normalised; those of images"
    )


@dataclass(frozen=True)
class Dart(Proposed):
    """DART: trees are dropped while a new one is fitted, and the weights of all are normalised afterwards."""

    normalisation: Normalisation = inferred(
        "dart", "title of 3.2; xgboost's own `normalize_type`, the weights of trees"
    )
    rate_drop: float = assumed(0.1, "not printed; at xgboost's default of 0 the normalisation does nothing")
    rounds: int = assumed(60, "not printed")
    patience: int = assumed(0, "no early stopping, since later rounds reweight the earlier trees")


@dataclass(frozen=True)
class LeafNorm(Proposed):
    """Each new tree's vector of leaf weights has a fixed norm, times the learning rate (Salimans and Kingma 2016)."""

    normalisation: Normalisation = inferred("leaf_norm", "1: a stable gradient step, higher rates, faster convergence")
    leaf_norm: float = assumed(8.0, "a full tree of depth 6 has 64 leaves: at norm 8 a typical one weighs 1")


@dataclass(frozen=True)
class RandomForest(Features):
    """A random forest on the same features."""

    trees: int = assumed(200, "IV: random forests are named as an alternative, without settings")


@dataclass(frozen=True)
class Svm(Features):
    """A support vector machine on principal components of the same features."""

    components: int = assumed(100, "IV: SVMs are named, without settings; all columns would take most of an hour a fit")
    cost: float = assumed(10.0, "not printed")


@dataclass(frozen=True)
class NeuralNetwork(Features):
    """A network of one hidden layer on the same features."""

    hidden: int = assumed(256, "IV: artificial neural networks are named, without settings")
    epochs: int = assumed(20, "not printed; the epoch best on the selection rows counts")


@dataclass(frozen=True)
class Extractor:
    """The ResNet50 trained on the expression labels before features are taken from it."""

    init: str = assumed("imagenet", "not printed; what a ResNet50 for feature extraction starts from as a rule")
    image_size: int = assumed(48, "resizing is named (Proposed methodology), the size is not; FER2013's own")
    epochs: int = assumed(10, "not printed; what two cores allow")
    batch_size: int = assumed(64, "not printed")
    learning_rate: float = inferred(0.001, "3.1: adaptive learning instead of a fixed rate; AdamW's usual peak value")
    warmup: float = assumed(0.1, "not printed; this share of the steps before a cosine decay to zero")
    weight_decay: float = assumed(0.05, "not printed; decoupled (AdamW)")
    translation: float = assumed(0.08, "no augmentation is described; shifts of up to 4 pixels, and mirroring")
    precision: Literal["float32", "mixed_bfloat16"] = assumed("mixed_bfloat16", "not printed; for speed on a CPU")


@dataclass(frozen=True)
class ContinuedExtractor(Extractor):
    """The extractor trained on, from where the one fitted on Training ended."""

    init: str = assumed("finetuned", "the extractor fitted on Training; from scratch would double the cost")
    epochs: int = assumed(2, "not printed; enough to fit rows that are new to it")
    learning_rate: float = assumed(0.0005, "half of the first peak, as the weights are no longer random")


SYSTEMS = {
    "proposed": Proposed(),
    "proposed_regularised": Regularised(),
    "proposed_unstopped": Unstopped(),
    "proposed_unit_vectors": UnitVectors(),
    "proposed_class_weights": ClassWeights(),
    "proposed_dart": Dart(),
    "proposed_leaf_norm": LeafNorm(),
    "random_forest": RandomForest(),
    "svm": Svm(),
    "neural_network": NeuralNetwork(),
    "extractor": Extractor(),
    "extractor_continued": ContinuedExtractor(),
    **QUOTED,
}


# Images and networks


def build_network(image_size: int, weights: str | None = None):
    """ResNet50 with a softmax over the seven classes: float32 (batch, size, size, 3) in, probabilities (batch, 7) out.

    weights: None for random ones, `imagenet`, or a weights file without a top in any form that Keras reads.
    Raises UserError where they cannot be had.
    """
    import keras

    shape = (image_size, image_size, 3)
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise UserError(
            f"--init {weights}: no such file; random, finetuned, imagenet, or a file with ResNet50's weights."
        )
    try:
        base = keras.applications.ResNet50(include_top=False, weights=weights, input_shape=shape, pooling="avg")
    except Exception as error:  # Keras raises a bare Exception without a network, and h5py and Keras what they like
        if weights == "imagenet":
            raise UserError(
                f"ResNet50's ImageNet weights could not be downloaded (no network?); fetch {IMAGENET_FILE} elsewhere "
                "and say --init PATH, or choose --init random."
            ) from None
        raise UserError(f"{weights} does not hold the weights of a ResNet50 without its top ({error}).") from None
    # Softmax in float32 under every precision, as Keras advises for bfloat16.
    outputs = keras.layers.Dense(7, activation="softmax", dtype="float32", name="expression")(base.output)
    return keras.Model(base.input, outputs)


def preprocessing_of(init: str, image_size: int):
    """What the network takes: 0..1 for random weights; for ImageNet's, its mean pixel (B, G, R) subtracted."""
    from fer_common import pipeline

    if init == "random":
        return pipeline.Preprocessing(image_size, channels=3, scale=1 / 255)
    return pipeline.Preprocessing(image_size, channels=3, scale=1.0, offset=(-103.939, -116.779, -123.68))


def network_for(run: experiment.Run):
    """(network, preprocessing) of the setup's `init`; what a fine-tuned one was fitted on becomes `seen`."""
    import keras

    setup = run.setup
    if setup.init == "random":
        return build_network(setup.image_size), preprocessing_of("random", setup.image_size)
    if setup.init != "finetuned":
        weights = setup.init
        return build_network(setup.image_size, weights), preprocessing_of("imagenet", setup.image_size)

    from fer_common import records

    folder = finetuned_record(run.record, run.options, run.protocol)
    record, _, predictions = records.read(folder)
    run.saw(np.isin(run.data.row_id, predictions.row_id[predictions.role == "fit"]))
    accuracy = record.metrics[str(record.epochs_run)]["PrivateTest"]["accuracy"]
    # It has seen PrivateTest: what counts is the extractor that it began as.
    if run.protocol.before_split == "extractor":
        accuracy = record.details.get("continues", {}).get("private_test_accuracy")
    if accuracy is not None and accuracy < UNDERTRAINED:
        run.note(f"undertrained: the extractor fitted on Training has {100 * accuracy:.1f} % on PrivateTest")
    if (run.role == "seen").any():
        run.note("the extractor has seen scored rows")
    network = keras.models.load_model(folder / "model.keras").layers[-1]
    started_from = record.details.get("continues", {}).get("init", record.init)
    run.record.details["continues" if isinstance(setup, Extractor) else "extractor"] = {
        "record": f"{record.system}/{folder.name}",
        "init": started_from,
        "epochs": record.epochs_run,
        "private_test_accuracy": accuracy,
    }
    return network, preprocessing_of(started_from, setup.image_size)


def finetuned_record(record: Record, options: experiment.Options, protocol: Protocol) -> Path:
    """The folder of the extractor that a run with `--init finetuned` loads.

    Raises UserError with the command that makes it, where its network was not kept.
    """
    if folder := kept_extractor(record, options, protocol):
        return folder
    system, under = extractor_for(protocol)
    start = "finetuned" if system == "extractor_continued" else "random"
    raise UserError(
        f"--init finetuned needs the trained network of {system}, with its setup as it is, which is not under "
        f"{options.runs}; make it first (on two cores it takes most of an hour): ferrepro run {record.paper} --system "
        f"{system} --protocol {under} --init {start} --save-model --again --runs {options.runs}."
    )


def extractor_for(protocol: Protocol) -> tuple[str, str]:
    """(system, protocol) of the extractor that features are taken from: one fitted on Training, but where the protocol
    wants one that has seen the test."""
    return ("extractor_continued", "all_rows") if protocol.before_split == "extractor" else ("extractor", "official")


def kept_extractor(record: Record, options: experiment.Options, protocol: Protocol) -> Path | None:
    """The folder of the extractor that the run of `record` takes its features from; None where it takes none, or where
    no such network was kept.

    It has an unchanged setup, the same data and, of presets, is as much a smoke run. Of several seeds it is the run's
    own, or else seed 0's, so that one extractor serves all seeds where there is but one. Raises UserError where several
    are left, which differ in what they themselves began as.
    """
    from fer_common import records

    if record.init != "finetuned":
        return None
    system, under = extractor_for(protocol)
    found = []
    for path in sorted((options.runs / record.paper / system).glob(f"{under}-*/model.keras")):
        made = records.read(path.parent)[0]
        same_data = made.data["fingerprint"] == record.data["fingerprint"]
        if same_data and not made.changes and (made.preset == "smoke") == (record.preset == "smoke"):
            found.append((made.seed, path.parent))
    seed = record.seed if record.seed in {seed for seed, _ in found} else 0
    found = [folder for own, folder in found if own == seed]
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise UserError(f"--init finetuned may mean any of {names} in {found[0].parent}; move all but one away.")
    return found[0] if found else None


def needs(
    system: str, setup: Features | Extractor | SmallCnn | Fusion, protocol: Protocol
) -> tuple[experiment.Needed, ...]:
    """The members of a fusion; the extractor that a run with `--init finetuned` loads."""
    if isinstance(setup, Fusion):
        return tuple(map(experiment.Needed, setup.members))
    if getattr(setup, "init", None) != "finetuned":
        return ()
    name, under = extractor_for(protocol)
    start = "finetuned" if name == "extractor_continued" else "random"
    return (experiment.Needed(name, under, seed=0, options=("--init", start, "--save-model")),)


def train_extractor(run: experiment.Run) -> None:
    """Fit ResNet50 on the expression labels with mirrored and shifted images, and predict all images without."""
    import keras
    from keras import layers

    setup = run.setup
    network, preprocessing = network_for(run)
    inputs = keras.Input(network.input_shape[1:])
    augmented = layers.RandomTranslation(
        setup.translation, setup.translation, fill_mode="nearest", seed=run.seed, dtype="float32"
    )(layers.RandomFlip("horizontal", seed=run.seed, dtype="float32")(inputs))
    model = keras.Model(inputs, network(augmented))
    steps_per_epoch = -(-len(run.rows("fit")) // setup.batch_size)
    warmup = round(setup.warmup * setup.epochs * steps_per_epoch)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=setup.epochs * steps_per_epoch - warmup,
        warmup_target=setup.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=setup.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    arguments = run.fit_arguments(
        model,
        run.data.images,
        run.data.labels,
        epochs=setup.epochs,
        batch_size=setup.batch_size,
        preprocessing=preprocessing,
    )
    if arguments:
        model.fit(**arguments)
    run.score(model, run.data.images, preprocessing)
    found = run.predictions
    tested = (found.usage == "PrivateTest") & (found.role == "score")
    accuracy = np.mean(found.probabilities[-1][tested].argmax(1) == found.label[tested]) if tested.any() else 1.0
    if accuracy < UNDERTRAINED:
        run.note(f"undertrained: {100 * accuracy:.1f} % on PrivateTest")


# Features and what classifies them


def features_for(run: experiment.Run) -> np.ndarray:
    """float32 (N, D): the pooled outputs of the taps, reduced and normalised as the setup says.

    What is fitted here (mean, standard deviation, choice of columns) is fitted on the `fit` rows alone, unless the
    protocol fits transforms before the split.
    """
    import keras

    from fer_common import features

    setup = run.setup
    if run.protocol.before_split == "extractor" and setup.init != "finetuned":
        raise UserError(
            f"The protocol {run.record.protocol} is about an extractor that was trained: say --init finetuned."
        )
    network, preprocessing = network_for(run)
    pooled = [keras.layers.GlobalAveragePooling2D(dtype="float32")(network.get_layer(tap).output) for tap in setup.taps]
    taps = keras.Model(network.input, keras.layers.Concatenate(dtype="float32")(pooled))
    run.record.parameters = int(taps.count_params())
    images = filtered(run.data.images, setup.contrast, setup.denoise)
    # The originals are a set of images of their own, whose features other protocols have computed.
    parts = np.array_split(images, 2) if run.protocol.before_split == "mirror_images" else [images]
    what = "average of " + ", ".join(setup.taps)
    found = np.concatenate([features.extract(taps, part, preprocessing, what) for part in parts])
    rows = rows_of_transforms(run)
    if setup.selected:
        found = found[:, best_columns(found, run.data.labels, rows, setup.selected)]
    if getattr(setup, "normalisation", "features") == "unit_vectors":
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    found -= found[rows].mean(0)
    found /= np.maximum(found[rows].std(0), 1e-6)
    return found


def rows_of_transforms(run: experiment.Run) -> np.ndarray:
    """The rows that means, deviations and the choice of columns are fitted on: under a protocol that fits them before
    the split all that it draws from, never what it keeps aside."""
    before = run.protocol.before_split == "transforms"
    return np.flatnonzero(np.isin(run.role, ("fit", "select", "seen"))) if before else run.rows("fit")


def best_columns(found: np.ndarray, labels: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """The n columns with the highest F of an analysis of variance over the classes, in their order."""
    from sklearn.feature_selection import f_classif

    statistics = np.empty(found.shape[1])
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", UserWarning)  # constant columns, which get 0 below
        for begin in range(0, found.shape[1], 256):  # scikit-learn works on copies in double precision
            statistics[begin : begin + 256] = f_classif(found[rows, begin : begin + 256], labels[rows])[0]
    return np.sort(np.argsort(-np.nan_to_num(statistics), kind="stable")[:n])


def boost(run: experiment.Run) -> None:
    """xgboost's histogram method on the features, stopped early on the selection rows; log loss decides."""
    import time

    import xgboost as xgb

    setup, labels = run.setup, run.data.labels
    found, fit, select = features_for(run), run.rows("fit"), run.rows("select")
    weights = balanced(labels[fit]) if setup.normalisation == "class_weights" else None
    fitted = xgb.QuantileDMatrix(found[fit], labels[fit], weight=weights, max_bin=setup.max_bin)
    watched = xgb.QuantileDMatrix(found[select], labels[select], ref=fitted, max_bin=setup.max_bin)
    parameters = {
        "objective": "multi:softprob",
        "num_class": len(EMOTIONS),
        "tree_method": "hist",
        "eval_metric": ["merror", "mlogloss"],
        "max_bin": setup.max_bin,
        "max_depth": setup.max_depth,
        "eta": setup.learning_rate,
        "lambda": setup.reg_lambda,
        "gamma": setup.gamma,
        "seed": run.seed,
    }
    if setup.normalisation == "leaf_norm":
        boost_with_leaf_norm(run, parameters, fitted, found)
        return
    if setup.normalisation == "dart":
        parameters |= {"booster": "dart", "rate_drop": setup.rate_drop, "normalize_type": "tree"}
    ended = []

    class Clock(xgb.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            ended.append(time.perf_counter())
            return False

    started = time.perf_counter()
    curves: dict = {}
    model = xgb.train(
        parameters,
        fitted,
        setup.rounds,
        evals=[(fitted, "fit"), (watched, "select")],
        evals_result=curves,
        early_stopping_rounds=setup.patience or None,
        verbose_eval=False,
        callbacks=[Clock()],
    )
    best = model.best_iteration + 1 if setup.patience else setup.rounds
    seconds = np.diff([started, *ended])
    for number, second in enumerate(seconds):
        run.history.append(
            {"epoch": number + 1}
            | {f"{rows}_loss": curves[rows]["mlogloss"][number] for rows in curves}
            | {f"{rows}_accuracy": 1 - curves[rows]["merror"][number] for rows in curves}
            | {"seconds": round(float(second), 3)}
        )
    run.keep({best: model.predict(xgb.DMatrix(found), iteration_range=(0, best))})


def balanced(labels: np.ndarray) -> np.ndarray:
    """float (N,): weights inversely proportional to the size of an image's class, with mean 1."""
    counts = np.bincount(labels, minlength=len(EMOTIONS))
    weights = 1 / counts[labels]
    return weights / weights.mean()


def boost_with_leaf_norm(run: experiment.Run, parameters: dict, fitted, found: np.ndarray) -> None:
    """Boosting in which every new tree's leaf weights, as a vector, are scaled to the norm `leaf_norm`, times the step.

    Salimans and Kingma 2016 write a weight vector as a length times a direction; here the length is fixed and Newton's
    step (equation 2) gives the direction. xgboost grows each tree; its leaves are rescaled outside of it.
    """
    import time

    import xgboost as xgb

    setup, labels = run.setup, run.data.labels
    fit, select = run.rows("fit"), run.rows("select")
    everything = xgb.DMatrix(found)
    score = np.zeros((len(found), len(EMOTIONS)))
    best, kept = (np.inf, 0), {}
    for number in range(1, setup.rounds + 1):
        started = time.perf_counter()
        fitted.set_base_margin(score[fit])
        trees = xgb.train(parameters | {"eta": 1.0, "base_score": 0.0}, fitted, 1)
        score += setup.learning_rate * setup.leaf_norm * step_of_norm_1(trees, everything)
        probabilities = np.exp(score - score.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        row = {"epoch": number}
        for name, rows in (("fit", fit), ("select", select)):
            own = probabilities[rows]
            row[f"{name}_loss"] = float(-np.log(np.maximum(own[range(len(rows)), labels[rows]], 1e-15)).mean())
            row[f"{name}_accuracy"] = float((own.argmax(1) == labels[rows]).mean())
        run.history.append(row | {"seconds": round(time.perf_counter() - started, 3)})
        if row["select_loss"] < best[0]:
            best, kept = (row["select_loss"], number), {number: probabilities}
        if setup.patience and number - best[1] >= setup.patience:
            break
    run.keep(kept)


def step_of_norm_1(trees, matrix) -> np.ndarray:
    """float (N, classes): what one tree a class adds to the scores, each tree's leaf weights scaled to norm 1."""
    leaves = trees.trees_to_dataframe()
    leaves = leaves[leaves["Feature"] == "Leaf"]
    norms = np.sqrt((leaves["Gain"] ** 2).groupby(leaves["Tree"]).sum().to_numpy())
    return trees.predict(matrix, output_margin=True) / np.maximum(norms, 1e-12)


def classify(run: experiment.Run) -> None:
    """A random forest, a support vector machine or a small neural network on the features (scikit-learn)."""
    import time

    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC

    setup, labels = run.setup, run.data.labels
    found, fit, select = features_for(run), run.rows("fit"), run.rows("select")

    def watch(epoch, started, predicted):
        accuracy = float((predicted[select].argmax(1) == labels[select]).mean())
        seconds = round(time.perf_counter() - started, 3)
        run.history.append({"epoch": epoch, "select_accuracy": accuracy, "seconds": seconds})
        return accuracy

    started = time.perf_counter()
    if isinstance(setup, NeuralNetwork):
        network = MLPClassifier((setup.hidden,), random_state=run.seed)
        best, kept = 0.0, {}
        for epoch in range(1, setup.epochs + 1):
            network.partial_fit(found[fit], labels[fit], classes=range(len(EMOTIONS)))
            predicted = network.predict_proba(found)
            if (accuracy := watch(epoch, started, predicted)) > best:
                best, kept = accuracy, {epoch: predicted}
            started = time.perf_counter()
        run.keep(kept)
        return
    if isinstance(setup, RandomForest):
        forest = RandomForestClassifier(setup.trees, n_jobs=-1, random_state=run.seed).fit(found[fit], labels[fit])
        predicted = forest.predict_proba(found)
    else:
        components = PCA(setup.components, random_state=run.seed).fit(found[fit])
        reduced = components.transform(found)
        machine = SVC(C=setup.cost).fit(reduced[fit], labels[fit])
        # An SVM has no probabilities: a softmax of its decision values ranks the classes, its log loss means little.
        decided = machine.decision_function(reduced)
        predicted = np.exp(decided - decided.max(1, keepdims=True))
        predicted /= predicted.sum(1, keepdims=True)
    watch(1, started, predicted)
    run.keep({1: predicted})


def train(run: experiment.Run) -> None:
    """Each kind of system by its own function."""
    kinds = {Proposed: boost, Features: classify, Extractor: train_extractor, SmallCnn: train_small_cnn, Fusion: fuse}
    next(function for kind, function in kinds.items() if isinstance(run.setup, kind))(run)


def without_randomness(system: str, protocol: Protocol, init: str) -> bool:
    """Boosted trees and a support vector machine draw nothing; DART drops trees at random. What they are given is the
    same too where the network is a given one and the protocol draws no rows."""
    draws_nothing = system == "svm" or (system.startswith("proposed") and system != "proposed_dart")
    return draws_nothing and init != "random" and protocol.name == "official"


# Its page


def blocks(tables) -> dict[str, str]:
    """`convergence`: how many epochs (rounds of boosting) each learning rate takes to the accuracy on the selection
    rows that all of them reach; for the systems that ran with several, under `official`."""
    import json

    from fer_common.results.render import markdown

    histories: dict[tuple, list[float]] = {}
    if not len(tables["runs"]):
        return {"convergence": markdown([])}
    runs = tables["runs"]
    runs = runs[(runs["paper"] == PAPER.id) & (runs["protocol"] == "official") & runs["left_out"].isin(("", "changed"))]
    of_run = dict(list(tables["epochs"].groupby("run")))
    for _, run in runs.iterrows():
        if set(json.loads(run["changes"] or "{}")) <= {"learning_rate"} and run["run"] in of_run:
            key = run["system"], run["init"], run["learning_rate"], run["seed"]
            histories[key] = of_run[run["run"]]["select_accuracy"].fillna(0.0).tolist()
    rates: dict[tuple[str, str], set] = {}
    for system, init, rate, _ in histories:
        rates.setdefault((system, init), set()).add(rate)
    varied = {key for key, own in rates.items() if len(own) > 1}
    rows = []
    for init in sorted({init for _, init in varied}):
        own = {key: found for key, found in sorted(histories.items()) if key[1] == init and key[:2] in varied}
        target = min(max(found) for found in own.values())
        for (system, _, rate, _), found in own.items():
            rows.append(
                {"system": system, "init": init, "learning rate": rate}
                | {f"rounds to {100 * target:.1f} %": 1 + next(n for n, a in enumerate(found) if a >= target)}
                | {"best accuracy on select": f"{100 * max(found):.1f}", "after round": 1 + found.index(max(found))}
            )
    return {"convergence": markdown(rows)}


PAPER = experiment.Paper(
    id="resnet50_xgboost",
    description=__doc__,
    systems=SYSTEMS,
    protocols={
        "official": PROTOCOLS["official"],
        "official_80_20": PROTOCOLS["official_80_20"],
        "split_80_20": PROTOCOLS["split_80_20"],
        "split_80_20_grouped": PROTOCOLS["split_80_20_grouped"],
        "training_80_20": PROTOCOLS["training_80_20"],
        "named_80_20": PROTOCOLS["without_public_80_20"],  # the two parts that the paper names
        "fit_transforms_before_split": PROTOCOLS["fit_transforms_before_split"],
        "oversample_before_split": PROTOCOLS["oversample_before_split"],
        "augment_before_split": PROTOCOLS["augment_before_split"],
        "extractor_sees_test": PROTOCOLS["extractor_sees_test"],
        "train_as_test": PROTOCOLS["train_as_test"],
        "all_rows": PROTOCOLS["all_rows"],
    },
    fits_before_split=("transforms", "extractor"),
    smoke={"init": "random", "image_size": 32, "epochs": 1, "selected": 64, "rounds": 5, "components": 20},
    train=train,
    later_stages=("extractor_continued",),
    extractor=kept_extractor,
    needs=needs,
    selects=lambda setup: isinstance(setup, NeuralNetwork) or bool(getattr(setup, "patience", 0)),
    without_randomness=without_randomness,
    blocks=blocks,
)


def main(arguments: list[str] | None = None) -> None:
    experiment.command(PAPER, arguments)


if __name__ == "__main__":
    main()
