"""Confusion matrices: shares of what, of how many images, and what they make of other numbers of the same system."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Literal

import numpy as np

from fer_common.audit import counts, metrics, parts
from fer_common.audit.checks import reports
from fer_common.audit.checks.reading import Key, Reading, over_classes, same_images
from fer_common.audit.finding import Finding
from fer_common.audit.printed import ROUNDINGS, Bounds, Rounding, bounds, mean, overlap, percents
from fer_common.claims import ClaimsFile, ConfusionMatrix

UP_TO = 10_000  # totals of rows, columns or all of a matrix are searched so far
Kind = Literal["count", "row", "column", "total"]
Cells = list[list[Bounds]]


def cells_of(file: ClaimsFile, matrix: ConfusionMatrix, rounding: Rounding) -> Cells:
    """Bounds of every printed cell, rows and columns in the order of the file's classes."""
    return [
        [bounds(value, matrix.unit, rounding) for value in row] for row in _ordered(file, matrix, list(file.classes))
    ]


def _ordered(file: ClaimsFile, matrix: ConfusionMatrix, columns: list[str]) -> list[list[str]]:
    places = [matrix.columns.index(label) for label in columns if label in matrix.columns]
    return [[matrix.rows[label][place] for place in places] for label in file.classes if label in matrix.rows]


def _answers(file: ClaimsFile, matrix: ConfusionMatrix, rounding: Rounding) -> Cells:
    """The same with the column of images that got no class, which may be any share where it is not printed."""
    if not matrix.unanswered:
        return cells_of(file, matrix, rounding)
    rows = _ordered(file, matrix, [*file.classes, matrix.unanswered])
    cells = [[bounds(value, matrix.unit, rounding) for value in row] for row in rows]
    hidden = [(Fraction(0), Fraction(1))] * (matrix.unanswered not in matrix.columns)
    return [row + hidden for row in cells]


def is_complete(file: ClaimsFile, matrix: ConfusionMatrix) -> bool:
    """Whether every class has its row and its column."""
    return set(matrix.rows) == set(file.classes) == set(matrix.columns) - {matrix.unanswered}


def kinds(file: ClaimsFile, matrix: ConfusionMatrix, rounding: Rounding) -> list[Kind]:
    """What the numbers can be: counts, or shares of each row, each column or all. Of a part of a matrix shares add up
    to 1 at most, and a row or column of zeros stands for a class without images or predictions."""
    if matrix.unit == "count":
        return ["count"]

    def possible(shares) -> bool:
        if is_complete(file, matrix) and sum(high for _, high in shares) < 1:
            return not any(low for low, _ in shares)
        return sum(low for low, _ in shares) <= 1

    cells = _answers(file, matrix, rounding)
    found: list[Kind] = ["row"] if all(map(possible, cells)) else []
    found += ["column"] if all(map(possible, zip(*cells))) else []
    return found + (["total"] if possible([cell for row in cells for cell in row]) else [])


def by_rows(file: ClaimsFile) -> list[ConfusionMatrix]:
    """The complete matrices of shares that can be of rows alone, so that their diagonal is the recalls."""
    found = {matrix.id: [kinds(file, matrix, r) for r in ROUNDINGS] for matrix in file.matrices}
    return [
        m
        for m in file.matrices
        if is_complete(file, m) and all(set(k) <= {"row"} for k in found[m.id]) and any(found[m.id])
    ]


def row_totals(file: ClaimsFile, matrix: ConfusionMatrix, rounding: Rounding) -> list[np.ndarray]:
    """For every row the totals up to UP_TO that give its decimals."""
    return [counts.totals(tuple(row), UP_TO) for row in _answers(file, matrix, rounding)]


def _totals(file: ClaimsFile, matrix: ConfusionMatrix, kind: Kind, rounding: Rounding) -> dict[str, np.ndarray]:
    """By row, column or matrix the totals that give its decimals, of R runs those of all together."""
    cells = _answers(file, matrix, rounding)
    if kind == "row":
        lines = dict(zip(file.classes, cells))
    elif kind == "column":
        lines = dict(zip(file.classes, zip(*cells)))
    else:
        lines = {"all classes": [cell for row in cells for cell in row]}
    # A line of zeros is of a class without images or predictions, and of no total.
    lines = {name: line for name, line in lines.items() if sum(high for _, high in line) >= 1}
    return {name: counts.totals(tuple(line), UP_TO, file.n_runs or 1) for name, line in lines.items()}


def confusion_matrix(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Normalisation, the totals that the decimals allow, and the data set's own counts."""
    one_run = file.n_runs == 1
    for matrix in file.matrices:
        possible = {rounding: kinds(file, matrix, rounding) for rounding in roundings}
        names = sorted({kind for own in possible.values() for kind in own})
        about = ("confusion matrix", (matrix.id,))
        shares_of = f"its numbers can be shares of the {' or '.join(names)}"
        if names == ["count"]:
            total = sum(int(value) for row in matrix.rows.values() for value in row)
            yield Finding(*about, "consistent", f"The matrix of {matrix.where} counts {total:,} images")
        elif not names:
            yield Finding(
                *(*about, "consistent only if" if not one_run else "inconsistent"),
                f"The shares in the matrix of {matrix.where} do not add up to all of anything",
                "neither its rows nor its columns nor the whole add up to 100 % within what rounding allows",
                "it is a mean over runs of which some lack a class" if not one_run else "",
                uncompared="" if matrix.unanswered else "a column of images without a class: none is named",
            )
        elif not is_complete(file, matrix):
            says = f"A part of the matrix of {matrix.where} is printed, and nothing in it contradicts itself"
            yield Finding(*about, "consistent", says, shares_of, uncompared="totals: not every row and column is there")
        else:
            yield from _totals_finding(file, matrix, possible, shares_of)


def _totals_finding(file, matrix, possible, shares_of) -> Iterator[Finding]:
    about = ("confusion matrix", (matrix.id,))
    without: list[str] = []
    for rounding, names in possible.items():
        for kind in names:
            found = _totals(file, matrix, kind, rounding)
            if all(len(own) for own in found.values()):
                if kind == "row":
                    yield from _against_sets(file, matrix, {name: int(own[0]) for name, own in found.items()})
                else:
                    listed = ", ".join(f"{name} {own[0]:,}" for name, own in found.items())
                    yield Finding(
                        *(*about, "consistent", f"The matrix of {matrix.where} can be shares of the {kind}"),
                        f"{shares_of}; the smallest totals of the {kind} with these decimals are {listed}",
                    )
                return
            without = without or [name for name, own in found.items() if not len(own)]
    if named := _named(file, matrix, list(possible)):
        says = f"The class counts of {' and '.join(named)} give every share in the matrix of {matrix.where}"
        yield Finding(*about, "consistent", says, shares_of)
        return
    yield Finding(
        *(*about, "consistent only if"),
        f"No number of images up to {UP_TO:,} gives the decimals of {', '.join(without)} in the matrix of "
        f"{matrix.where}",
        shares_of,
        f"a total is above {UP_TO:,} images" if file.n_runs else "it is a mean over several runs",
        uncompared=f"totals above {UP_TO:,}, but for those of the data set's named sets",
    )


def _named(file: ClaimsFile, matrix: ConfusionMatrix, roundings: Sequence[Rounding]) -> list[str]:
    """The named sets, and stratified fifths of them, whose class counts give every decimal; they are asked for one by
    one, however large, while the search over all totals ends at UP_TO."""
    sets: dict[str, list] = dict(parts.named_sets(file))
    sets |= {f"a stratified fifth of {name}": [n / 5 for n in own] for name, own in sets.items()}
    cells = [_answers(file, matrix, rounding) for rounding in roundings]
    runs = file.n_runs or 1
    return [
        name
        for name, own in sets.items()
        if any(
            all(
                any(counts.total_is_possible(row, size * runs) for size in {int(np.floor(n)), int(np.ceil(n))})
                for n, row in zip(own, rows)
            )
            for rows in cells
        )
    ]


def _against_sets(file, matrix, smallest) -> Iterator[Finding]:
    sets = parts.named_sets(file)
    possible = _named(file, matrix, [r for r in ROUNDINGS if "row" in kinds(file, matrix, r)])
    about = ("confusion matrix", (matrix.id,))
    listed = ", ".join(f"{label} {n}" for label, n in smallest.items())
    evidence = f"the smallest row totals with these decimals are {listed}, together {sum(smallest.values()):,}"
    if possible or not sets:
        of = f"The class counts of {' and '.join(possible)}" if possible else "Whole numbers of images"
        says = f"{of} give every share in the matrix of {matrix.where}"
        yield Finding(*about, "consistent", says, evidence)
        return
    yield Finding(
        *(*about, "consistent only if"),
        f"The class counts of no named set of {file.data_set.name} give the decimals in the matrix of {matrix.where}",
        f"{evidence}; the class counts of {', '.join(sets)}, and of a stratified fifth of each, give other decimals in "
        "at least one row",
        f"it is about images that are none of {file.data_set.name}'s named sets, with these row totals or larger ones "
        "that give the same decimals" + ("" if file.n_runs else ", or it is a mean over several runs"),
        "the confusion matrix in counts, and which images were scored",
    )


def two_matrices(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Whether two matrices of a paper can be about the same images: one total a row that gives both, each under a
    rounding of its own."""
    whole = [max(own) for own in zip(*parts.named_sets(file).values())] or [UP_TO] * len(file.classes)
    for a, b in combinations(by_rows(file), 2):
        if a.images != b.images and "unstated" not in (a.images, b.images):  # nobody says that they are of the same
            continue
        found = [
            [{int(n) for rounding in roundings for n in row_totals(file, m, rounding)[k]} for k in range(len(whole))]
            for m in (a, b)
        ]
        common = [sorted(n for n in one & other if n <= most) for one, other, most in zip(*found, whole)]
        about = ("two matrices", (a.id, b.id))
        if missing := [label for label, own in zip(file.classes, common) if not own]:
            yield Finding(
                *(*about, "consistent only if"),
                f"The matrices of {a.where} and {b.where} are not of the same images",
                f"no row total up to all images of the class in {file.data_set.name} gives the decimals of both in "
                f"{', '.join(missing)}",
                "they are about different images" + ("" if file.n_runs else ", or means over several runs"),
                "the confusion matrices in counts",
            )
        else:
            listed = ", ".join(f"{label} {own[0]:,}" for label, own in zip(file.classes, common))
            yield Finding(
                *(*about, "consistent", f"The matrices of {a.where} and {b.where} can be of the same images"),
                f"the smallest row totals that give the decimals of both are {listed}",
            )


def sizes_of_classes(file: ClaimsFile, matrix: ConfusionMatrix) -> dict[str, list[int]]:
    """Images by class of every set that a matrix may be about: the named ones, those of a report of the same system and
    images, and the smallest totals that its decimals allow."""
    sizes = parts.named_sets(file)
    if matrix.usage in sizes:
        return {matrix.usage: sizes[matrix.usage]}
    for report in file.reports:
        own = reports.supports_of(file, report)
        same = report.system == matrix.system and same_images(file, report, matrix) != "no"
        if same and own and set(own) == set(file.classes) and sum(own.values()):
            sizes[f"the supports of {report.where}"] = [own[label] for label in file.classes]
    totals = row_totals(file, matrix, "rounded")
    if all(len(own) for own in totals):
        sizes["the smallest row totals"] = [int(own[0]) for own in totals]
    return sizes


def readings(
    file: ClaimsFile, matrix: ConfusionMatrix, roundings: Sequence[Rounding]
) -> tuple[list[Reading], list[Reading]]:
    """(what a matrix makes of other metrics with classes of the sizes that it may have, and whatever their sizes)."""
    named, loose = [], []
    for rounding in roundings:
        cells = cells_of(file, matrix, rounding)
        for kind in kinds(file, matrix, rounding):
            if kind == "count":
                whole = [[int(v) for v in row] for row in _ordered(file, matrix, list(file.classes))]
                own = [sum(map(int, matrix.rows[label])) for label in file.classes if label in matrix.rows]
                shares = [[(Fraction(n, max(total, 1)),) * 2 for n in row] for row, total in zip(whole, own)]
                if is_complete(file, matrix):
                    named.append(Reading("its counts", kind, _of_rows(file, shares, own), sum(own)))
            elif kind == "row":
                if not is_complete(file, matrix):
                    labels = [label for label in file.classes if label in matrix.rows and label in matrix.columns]
                    columns = [label for label in file.classes if label in matrix.columns]
                    rows = [label for label in file.classes if label in matrix.rows]
                    values = {("recall", k): [cells[rows.index(k)][columns.index(k)]] for k in labels}
                    loose.append(Reading("whatever the sizes of its classes", kind, values))
                    continue
                for name, sizes in sizes_of_classes(file, matrix).items():
                    named.append(Reading(name, kind, _of_rows(file, cells, sizes), sum(sizes)))
                loose.append(Reading("whatever the sizes of its classes", kind, _of_rows(file, cells, None)))
            elif is_complete(file, matrix):
                named.append(Reading(f"as shares of the {kind}", kind, _of_others(file, cells, kind)))
    return named, loose


def holding(file: ClaimsFile, kind: Kind, values: dict[Key, list[Bounds]]) -> dict[Key, list[Bounds]]:
    """What holds of means over several runs, too: recalls and accuracies, of shares of rows."""
    if file.n_runs == 1:
        return values
    return {key: own for key, own in values.items() if kind == "row" and key[0] in ("recall", "accuracy")}


def _of_rows(file: ClaimsFile, cells: Cells, sizes: list[int] | None) -> dict[Key, list[Bounds]]:
    """Metrics from shares of rows, with classes of these sizes or of any."""
    recalls = [row[k] for k, row in enumerate(cells)]
    values: dict[Key, list[Bounds]] = {("recall", label): [own] for label, own in zip(file.classes, recalls)}
    values["recall", "macro"] = [mean(recalls)]
    if sizes is None:
        # A weighted mean of recalls lies between the lowest and the highest.
        values["accuracy", "none"] = [(min(low for low, _ in recalls), max(high for _, high in recalls))]
        return values | over_classes(values, "recall", file.classes)
    if not sum(sizes):
        return values
    precisions = metrics.precisions(cells, sizes)
    for metric, own in (("precision", precisions), ("f1", metrics.f1s(cells, sizes)), ("recall", recalls)):
        values |= {(metric, label): [one] for label, one in zip(file.classes, own)}
        values[metric, "macro"] = [mean(own)]
        values[metric, "weighted"] = [mean(own, sizes)]
    for average, weights in (("macro", None), ("weighted", sizes)):
        values["f1", average].append(metrics.harmonic(mean(precisions, weights), mean(recalls, weights)))
    values["accuracy", "none"] = [mean(recalls, sizes)]
    one_vs_rest = metrics.one_vs_rest_accuracies(cells, sizes)
    values |= {("ovr_accuracy", label): [one] for label, one in zip(file.classes, one_vs_rest)}
    values["ovr_accuracy", "macro"] = [mean(one_vs_rest)]
    for metric in ("precision", "recall", "f1"):
        values |= over_classes(values, metric, file.classes)
    return values


def _of_others(file: ClaimsFile, cells: Cells, kind: Kind) -> dict[Key, list[Bounds]]:
    """Metrics from shares of columns, or of all."""
    diagonal = [row[k] for k, row in enumerate(cells)]
    if kind == "column":
        # A class that is never predicted has a column of zeros, and any precision that the program gives it.
        any_value = (Fraction(0), Fraction(1))
        columns = list(zip(*cells))
        diagonal = [any_value if sum(high for _, high in columns[k]) < 1 else own for k, own in enumerate(diagonal)]
        values: dict[Key, list[Bounds]] = {("precision", label): [own] for label, own in zip(file.classes, diagonal)}
        values["precision", "macro"] = [mean(diagonal)]
        # A mean of precisions weighted by predictions.
        values["accuracy", "none"] = [(min(low for low, _ in diagonal), max(high for _, high in diagonal))]
        return values | over_classes(values, "precision", file.classes)
    low, high = (sum(one[end] for one in diagonal) for end in (0, 1))
    values = {("accuracy", "none"): [(Fraction(low), min(Fraction(high), Fraction(1)))]}
    for metric, lines in (("recall", cells), ("precision", list(zip(*cells)))):
        own = []
        for k, line in enumerate(lines):
            others = [sum(cell[end] for j, cell in enumerate(line) if j != k) for end in (0, 1)]
            least = line[k][0] / (line[k][0] + others[1]) if line[k][0] else Fraction(0)
            most = line[k][1] / (line[k][1] + others[0]) if line[k][1] else Fraction(0)
            own.append((least, most if line[k][1] or others[0] else Fraction(1)))
        values |= {(metric, label): [one] for label, one in zip(file.classes, own)}
        values[metric, "macro"] = [mean(own)]
        values |= over_classes(values, metric, file.classes)
    return values


def area_under_curve(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Whether a printed AUC is what predicted classes give instead of probabilities; a match proves nothing."""
    for claim in (c for c in file.claims if c.metric == "auc"):
        given = []
        for matrix in (m for m in by_rows(file) if m.system == claim.system and not m.unanswered):
            shares = np.array([[float(sum(cell) / 2) for cell in row] for row in cells_of(file, matrix, "rounded")])
            sizes = {name: own for name, own in sizes_of_classes(file, matrix).items() if all(own)}
            sizes["equal classes"] = [1] * len(shares)
            given += [metrics.auc_of_hard_labels(shares * np.array(own)[:, None]) for own in sizes.values()]
        if not given:
            says = f"The AUC of {claim.printed} has no whole confusion matrix of its system beside it"
            yield Finding("auc", (claim.id,), "not applicable", says)
            continue
        limits = {name: (min(own[name] for own in given), max(own[name] for own in given)) for name in given[0]}
        matches = [
            name
            for name, (low, high) in limits.items()
            if any(overlap(bounds(claim.value, claim.unit, r), (Fraction(low), Fraction(high))) for r in roundings)
        ]
        said = ", ".join(f"{low:.3f} to {high:.3f} ({name})" for name, (low, high) in limits.items())
        yield Finding(
            *("auc", (claim.id,), "consistent"),
            f"The AUC of {claim.printed} may be of predicted classes instead of probabilities"
            if matches
            else f"The AUC of {claim.printed} is not that of its matrix's predicted classes",
            f"predicted classes would give {said}" + (f"; {' or '.join(matches)} fits" if matches else ""),
            settle="the code that computed the AUC" if matches else "",
        )


def matrix_and_report(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Every number of a report against the matrix of the same system, on the report's own supports."""
    for matrix in file.matrices:
        for report in (r for r in file.reports if r.system == matrix.system):
            same = same_images(file, report, matrix)
            own = reports.supports_of(file, report)
            if same == "no" or not is_complete(file, matrix) or set(own or ()) != set(file.classes) or not own:
                continue
            yield _matrix_and_report(file, matrix, report, same, [own[k] for k in file.classes], roundings)


def _matrix_and_report(file, matrix, report, same, sizes, roundings) -> Finding:
    fewest: list[str] | None = None
    uncompared = ""
    for rounding in roundings:
        cells = cells_of(file, matrix, rounding)
        for kind in kinds(file, matrix, rounding):
            wrong = []
            if kind == "count":
                whole = _ordered(file, matrix, list(file.classes))
                totals = [sum(map(int, matrix.rows[label])) for label in file.classes]
                cells = [[(Fraction(int(v), max(n, 1)),) * 2 for v in row] for row, n in zip(whole, totals)]
                wrong = [
                    f"{label} has {n:,} images in the matrix and {size:,} in the report"
                    for label, n, size in zip(file.classes, totals, sizes)
                    if n != size
                ]
            elif kind == "row" and file.n_runs:
                answers = _answers(file, matrix, rounding)
                wrong = [
                    f"no whole numbers of {n:,} images give the shares of {label}"
                    for label, row, n in zip(file.classes, answers, sizes)
                    if n and not counts.total_is_possible(row, n * file.n_runs)
                ]
            if kind in ("column", "total"):
                uncompared = "totals: the shares may be of columns or of all images"
            values = _of_others(file, cells, kind) if kind in ("column", "total") else _of_rows(file, cells, sizes)
            values = holding(file, kind, values)
            for claim in report.claims():
                limits = values.get(("accuracy", "none") if claim.average == "micro" else (claim.metric, claim.average))
                printed = [bounds(claim.value, claim.unit, r) for r in roundings]
                # Of a class without images, libraries print what they like.
                sized = sizes[file.classes.index(claim.average)] if claim.average in file.classes else all(sizes)
                if limits and sized and not any(overlap(a, b) for a in limits for b in printed):
                    of = f" of {claim.average}" if claim.average != "none" else ""
                    wrong.append(
                        f"{claim.metric}{of} is printed {claim.printed}; the matrix gives {percents(limits[0])}"
                    )
            if fewest is None or len(wrong) < len(fewest):
                fewest = wrong
    about = ("matrix and report", (matrix.id, report.id))
    if not fewest:
        says = f"The matrix of {matrix.where} gives the report of {report.where}"
        return Finding(*about, "consistent", says, uncompared=uncompared)
    provable = same == "yes" and file.n_runs is not None
    return Finding(
        *(*about, "inconsistent" if provable else "consistent only if"),
        f"The matrix of {matrix.where} does not give the report of {report.where}: {fewest[0]}",
        "; ".join(fewest[1:]),
        "" if provable else "the two are about different images or runs",
        "the confusion matrix in counts",
        uncompared,
    )
