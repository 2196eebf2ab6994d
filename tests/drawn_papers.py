"""True reports, matrices and headlines as papers print them, drawn at random, and ways to tamper with them."""

import re
from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal

import numpy as np
from sklearn.metrics import classification_report, precision_recall_fscore_support

from fer_common.claims import Claim, ClaimsFile, ConfusionMatrix, DataSet, Reference, Report, ReportRow

ROUNDINGS = (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN)


def draw_counts(rng: np.random.Generator, n_classes: int | None = None) -> np.ndarray:
    """int (K, K): a confusion matrix, from balanced to very imbalanced, from poor to near perfect."""
    k = n_classes or int(rng.integers(2, 11))
    shares = rng.dirichlet(np.full(k, rng.choice([0.3, 1.0, 100.0])))
    sizes = np.maximum(1, (shares * rng.choice([50, 500, 3589, 30000])).astype(int))
    sizes[0] *= rng.random() < 0.95  # now and then a class without images
    skill = rng.choice([0.0, 0.5, 3.0, 20.0, 300.0])
    rows = [rng.dirichlet(np.full(k, 0.7) + skill * (np.arange(k) == label)) for label in range(k)]
    return np.array([rng.multinomial(n, row) for n, row in zip(sizes, rows)])


def as_predictions(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(labels, predicted), one entry an image."""
    labels, predicted = np.indices(matrix.shape).reshape(2, -1)
    return np.repeat(labels, matrix.ravel()), np.repeat(predicted, matrix.ravel())


def write(value: float, decimals: int, rounding: str) -> str:
    return str(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-decimals), rounding=rounding))


def writers(rng: np.random.Generator, printed: str, n: int) -> list[Callable[[float], str]]:
    """How each of n tables prints its numbers: `rounded`, all alike; `mixed`, each in its own way; `float32` or
    `float64`, with all the digits that such a number has."""
    if printed in ("float32", "float64"):
        return [lambda value: f"{Decimal(repr(float(np.dtype(printed).type(value)))):f}"] * n
    ways = [(int(rng.integers(2, 5)), str(rng.choice(ROUNDINGS))) for _ in range(n)]
    ways = ways if printed == "mixed" else ways[:1] * n
    return [lambda value, decimals=decimals, how=how: write(value, decimals, how) for decimals, how in ways]


def file_of(
    matrices: list[np.ndarray],
    rng: np.random.Generator,
    *,
    runs: str = "one",
    whole: bool = False,
    printed: str = "rounded",
) -> ClaimsFile:
    """What a paper prints of confusion matrices of one system (one a run, means over them): the report, the matrix in
    per cent, and the headlines, all of the same test images. `whole`: no row of the report is left out, and accuracy is
    accuracy. printed: as in `writers`."""
    out, out_claim, out_cell = writers(rng, printed, 3)
    one_vs_rest, partial = rng.random(2) < (0 if whole else 0.1)
    classes = [f"class_{i}" for i in range(len(matrices[0]))]
    sizes = matrices[0].sum(1)
    if printed == "rounded":  # a matrix has other decimals, not another rounding
        decimals_of_matrix, rounding = int(rng.integers(0, 4)), _rounding_of(out)

        def out_cell(value):
            return write(value, decimals_of_matrix, rounding)

    scores = {}
    for average in (None, "macro", "weighted"):
        own = [
            precision_recall_fscore_support(*as_predictions(m), labels=range(len(m)), average=average, zero_division=0)[
                :3
            ]
            for m in matrices
        ]
        scores[average] = np.mean(own, axis=0)
    accuracy = np.mean([np.trace(m) / m.sum() for m in matrices])
    rows = {
        name: ReportRow(precision=out(p), recall=out(r), f1=out(f), support=str(n))
        for name, p, r, f, n in zip(classes, *scores[None], sizes)
    }
    total = str(sizes.sum())
    rows["accuracy"] = ReportRow(accuracy=out(accuracy), support=total)
    for average in ("macro", "weighted"):
        p, r, f = map(out, scores[average])
        rows[average] = ReportRow(precision=p, recall=r, f1=f, support=total)
    if partial:
        del rows[classes[-1]]
    if one_vs_rest:
        accuracy = 1 - 2 * (1 - accuracy) / len(classes)
    whole_of = {"row": 1, "column": 0, "total": None}[str(rng.choice(["row", "row", "column", "total"]))]
    share = 100 * np.mean([m / np.maximum(m.sum(whole_of, keepdims=True), 1) for m in matrices], axis=0)
    average = str(rng.choice(["macro", "weighted", "unstated"]))
    p, r, f = scores["macro" if average == "unstated" else average]
    common = {"system": "net", "unit": "fraction", "where": "Table 1", "images": "test"}
    claims = [Claim(id="accuracy", metric="accuracy", value=out_claim(accuracy), **common)]
    if len(matrices) == 1:
        n_errors = matrices[0].sum() - np.trace(matrices[0])
        costs = np.r_[
            np.log(2) + rng.exponential(1, n_errors), -np.log(rng.uniform(0.5, 1, matrices[0].sum() - n_errors))
        ]
        loss = out_claim(np.minimum(costs, 16).mean())
        claims[0].epoch = "5"
        claims.append(Claim(id="loss", metric="log_loss", value=loss, **common | {"unit": "nats"}, epoch="5"))
    for metric, value in (("precision", p), ("recall", r), ("f1", f)):
        claims.append(Claim(id=metric, metric=metric, value=out_claim(value), average=average, **common))
    return ClaimsFile(
        paper="drawn",
        reference=Reference(),
        classes=classes,
        systems={"net": "drawn"},
        claims=claims,
        reports=[Report(id="report", rows=rows, **common | {"where": "Table 2"})],
        matrices=[
            ConfusionMatrix(
                id="matrix",
                columns=classes,
                rows={name: [out_cell(value) for value in row] for name, row in zip(classes, share)},
                **common | {"where": "Table 3", "unit": "percent"},
            )
        ],
        data_set=DataSet(name="drawn", counts={"test": dict(zip(classes, map(str, sizes)))}),
        runs=runs,
    )


def _rounding_of(out: Callable[[float], str]) -> str:
    """Which of ROUNDINGS a writer has."""
    return out.__defaults__[1]


def draw_file(rng: np.random.Generator, printed: str = "rounded") -> ClaimsFile:
    """A true paper: of one run, or of means over five runs on as many images of each class."""
    if rng.random() < 0.7:
        return file_of([draw_counts(rng)], rng, runs=str(rng.choice(["one", "unstated"])), printed=printed)
    first = draw_counts(rng)
    others = [
        np.array([rng.multinomial(row.sum(), (row + 0.3) / (row + 0.3).sum()) for row in first]) for _ in range(4)
    ]
    return file_of([first, *others], rng, runs=str(rng.choice(["several", "unstated", "5"])), printed=printed)


def draw_table(rng: np.random.Generator) -> dict[str, list[str]]:
    """An honest table of results: accuracy, precision, recall and F1 (macro or weighted) of three to six systems on the
    same images, by metric."""
    n_systems, unit, decimals = int(rng.integers(3, 7)), *((1, 2), (1, 3), (100, 0), (100, 1))[rng.integers(4)]
    sizes = rng.multinomial(3589, rng.dirichlet(np.full(7, rng.choice([3.0, 100.0]))))
    average, skill = str(rng.choice(["macro", "weighted"])), rng.uniform(0.3, 0.9)
    table: dict[str, list[str]] = {"accuracy": [], "precision": [], "recall": [], "f1": []}
    for _ in range(n_systems):
        right = np.clip(skill + rng.normal(0, 0.05) + rng.normal(0, 0.08, 7), 0.1, 0.99)
        shares = [np.where(np.arange(7) == k, p, (1 - p) / 6) for k, p in enumerate(right)]
        matrix = np.array([rng.multinomial(n, own) for n, own in zip(sizes, shares)])
        scores = precision_recall_fscore_support(*as_predictions(matrix), average=average, zero_division=0)[:3]
        for own, value in zip(table.values(), (np.trace(matrix) / matrix.sum(), *scores)):
            own.append(write(unit * value, decimals, ROUND_HALF_UP))
    return table


def scikit_learn_file(matrix: np.ndarray, digits: int) -> ClaimsFile:
    """The report as scikit-learn itself prints it, read back from its text."""
    classes = [f"class_{i}" for i in range(len(matrix))]
    text = classification_report(
        *as_predictions(matrix), labels=range(len(matrix)), target_names=classes, digits=digits, zero_division=0
    )
    rows = {}
    for line in text.splitlines():
        name, *values = re.split(r"\s{2,}", line.strip())
        if values:
            values[-1] = values[-1].removesuffix(".0")  # as it prints supports where nothing is hit
        if name == "accuracy":
            rows[name] = ReportRow(accuracy=values[0], support=values[1])
        elif len(values) == 4:
            p, r, f, support = values
            rows[name.removesuffix(" avg")] = ReportRow(precision=p, recall=r, f1=f, support=support)
    return ClaimsFile(
        paper="drawn",
        reference=Reference(),
        classes=classes,
        systems={"net": "drawn"},
        claims=[],
        reports=[Report(id="report", system="net", unit="fraction", where="Table 2", rows=rows)],
        data_set=DataSet(name="drawn", counts={"test": dict(zip(classes, map(str, matrix.sum(1))))}),
        runs="one",
    )


def tampered(file: ClaimsFile, kind: str, rng: np.random.Generator, by: float = 0.05) -> ClaimsFile:
    """A copy with numbers changed: `one cell`, `one average`, `accuracy`, or `whole rows` (precision and recall raised
    with their F1 made to match) of the report; `one support` of it, by a whole number; `accuracy claim`, the accuracy
    beside it; `matrix cell`, one share of a row."""
    import msgspec

    file = msgspec.convert(msgspec.to_builtins(file), ClaimsFile)
    report = file.reports[0]
    decimals = len(report.rows["accuracy"].accuracy.partition(".")[2])

    def raised(value: str) -> str:
        return write(min(1.0, float(value) + by) if float(value) < 0.9 else float(value) - by, decimals, ROUND_HALF_UP)

    row = report.rows[str(rng.choice(file.classes))]
    if kind == "one cell":
        metric = str(rng.choice(["precision", "recall", "f1"]))
        setattr(row, metric, raised(getattr(row, metric)))
    elif kind == "one average":
        row = report.rows[str(rng.choice(["macro", "weighted"]))]
        metric = str(rng.choice(["precision", "recall", "f1"]))
        setattr(row, metric, raised(getattr(row, metric)))
    elif kind == "accuracy":
        report.rows["accuracy"].accuracy = raised(report.rows["accuracy"].accuracy)
    elif kind == "accuracy claim":
        file.claims[0].value = raised(file.claims[0].value)
    elif kind == "one support":
        row.support = str(int(row.support) + max(1, round(by * int(row.support))))
    elif kind == "matrix cell":
        cells = file.matrices[0].rows[str(rng.choice(file.classes))]
        k = int(rng.integers(len(cells)))
        places = len(cells[k].partition(".")[2])
        cells[k] = write(min(100.0, float(cells[k]) + 100 * by), places, ROUND_HALF_UP)
    else:
        for row in (report.rows[name] for name in file.classes):
            row.precision, row.recall = raised(row.precision), raised(row.recall)
            p, r = float(row.precision), float(row.recall)
            row.f1 = write(2 * p * r / (p + r) if p + r else 0.0, decimals, ROUND_HALF_UP)
    return file
