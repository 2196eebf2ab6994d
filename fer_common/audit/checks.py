"""The checks: each takes a claims file, finds what it concerns, and says what the arithmetic of `counts` and `metrics`
makes of it. No check knows a paper.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np

from fer_common.audit import counts, metrics
from fer_common.audit.finding import Finding
from fer_common.audit.printed import ROUNDINGS, Bounds, bounds, mean, overlap, percent, percents
from fer_common.claims import Claim, ClaimsFile, ConfusionMatrix, Report, Statement

UP_TO = 10_000  # row totals of a confusion matrix are searched so far
SURPRISE = 6  # a straight line in a measured curve is told from 1 in 10^6 on


def image_sets(file: ClaimsFile) -> dict[str, list[int]]:
    """By named set of the data set that has images, their number by class in the order of the file's classes."""
    sets = {name: [int(own[label]) for label in file.classes] for name, own in file.data_set.counts.items()}
    return {name: own for name, own in sets.items() if sum(own)}


def plain(accuracy: Bounds, n_classes: int) -> Bounds:
    """The accuracies whose mean over one-vs-rest problems, 1 − 2·error / K, is within `accuracy`."""
    return tuple(max(Fraction(0), 1 - (1 - end) * n_classes / 2) for end in accuracy)


def printed(claim: Claim) -> str:
    """The value as the paper has it: `83.2 %`, `0.83`."""
    return claim.value + (" %" if claim.unit == "percent" else "")


# 1. Granularity


def granularity(file: ClaimsFile) -> Iterator[Finding]:
    """Printed accuracies against whole numbers of images: the set that is named, and else every set there is."""
    sets = {name: sum(own) for name, own in image_sets(file).items()}
    for claim in file.all_claims():
        if claim.metric != "accuracy":
            continue
        named = {}
        if claim.n_images:
            named = {f"{int(claim.n_images):,} images": int(claim.n_images)}
        elif claim.usage in sets:
            named = {claim.usage: sets[claim.usage]}
        if not (named or sets):
            yield Finding("granularity", (claim.id,), "not applicable", "no number of images is known")
            continue
        several = file.runs != "one"
        possible, impossible = [], []
        for name, n in (named or sets).items():
            if any(counts.accuracy_is_possible(bounds(claim.value, claim.unit, r), n) for r in ROUNDINGS):
                possible.append(name)
            else:
                impossible.append(name)
        about = ("granularity", (claim.id,))
        evidence = f"{printed(claim)} is no whole number of hits on {', '.join(impossible)}"
        one_vs_rest = any(
            counts.errors_are_possible(bounds(claim.value, claim.unit, r), n, len(file.classes))
            for r in ROUNDINGS
            for n in (named or sets).values()
        )
        if not impossible:
            said = f"{printed(claim)} is a whole number of hits on {', '.join(possible)}"
            yield Finding(*about, "consistent", said)
        elif named and not several and not one_vs_rest:
            yield Finding(*about, "inconsistent", evidence, settle="the number of images that were scored")
        else:
            readings = ["it is a mean over several runs"] if several else []
            if not (named or possible):
                possible = parts_that_fit(claim, sets)
            readings += [f"it is of {' or '.join(possible)}"] if possible else []
            readings += ["it is the mean of one-vs-rest accuracies"] if one_vs_rest and not possible else []
            readings += ["it is of images that the data set has no name for"] if not named else []
            yield Finding(*about, "consistent only if", evidence, ", or ".join(readings))


def parts_that_fit(claim: Claim, sets: dict[str, int]) -> list[str]:
    """The usual parts of the named sets on which an accuracy is a whole number of hits."""
    parts = {}
    for name, n in sets.items():
        parts[f"a fifth of {name}"] = {n // 5, -(-n // 5)}
        parts[f"a tenth of {name}"] = {n // 10, -(-n // 10)}
        parts[f"{name} without its last batch"] = {n - n % size for size in (16, 32, 64, 128)}
    return [
        part
        for part, sizes in parts.items()
        if any(
            n and counts.accuracy_is_possible(bounds(claim.value, claim.unit, r), n) for r in ROUNDINGS for n in sizes
        )
    ]


# 2. Classification reports


def report_counts(report: Report, rounding) -> tuple[dict[str, counts.Row], dict[str, list[counts.Counts]], int]:
    """(rows, their possible counts, number of images) of the classes of a report."""
    lines = {name: row for name, row in report.rows.items() if name not in TOTALS}
    n_images = max([int(report.rows[name].support) for name in TOTALS if name in report.rows], default=0)
    n_images = max(n_images, sum(int(row.support) for row in lines.values()))
    rows = {}
    for name, row in lines.items():
        given = {
            metric: bounds(getattr(row, metric), report.unit, rounding)
            for metric in ("precision", "recall", "f1")
            if getattr(row, metric) is not None
        }
        rows[name] = counts.Row(int(row.support), **given)
    return rows, {name: counts.row_counts(row, n_images) for name, row in rows.items()}, n_images


TOTALS = ("accuracy", "macro", "weighted")


def classification_report(file: ClaimsFile) -> Iterator[Finding]:
    """Whole counts behind every line of a report, its averages, and the images that its supports name."""
    for report in file.reports:
        problems = {rounding: _report_problems(file, report, rounding) for rounding in ROUNDINGS}
        fitting = [rounding for rounding, found in problems.items() if not found]
        if fitting:
            yield Finding(
                *("classification report", (report.id,), "consistent"),
                f"whole numbers of images give every precision, recall, F1 and average ({' and '.join(fitting)})",
            )
        else:
            fewest = min(problems.values(), key=len)
            several = file.runs != "one"
            yield Finding(
                *("classification report", (report.id,), "consistent only if" if several else "inconsistent"),
                "of one run on the printed supports: " + "; ".join(fewest),
                "its lines are means over several runs" if several else "",
                "the confusion matrix in counts",
            )
        yield from _supports(file, report)


def _report_problems(file: ClaimsFile, report: Report, rounding) -> list[str]:
    rows, options, n_images = report_counts(report, rounding)
    problems = [
        f"no whole counts give precision, recall and F1 of {name} with {rows[name].support:,} images"
        for name, own in options.items()
        if not own
    ]
    complete = set(rows) == set(file.classes) and n_images == sum(row.support for row in rows.values()) > 0
    if problems or not complete:
        return problems
    line = report.rows.get("accuracy")
    accuracy = bounds(line.accuracy, report.unit, rounding) if line and line.accuracy else None
    readings = [accuracy] if accuracy is None else [accuracy, plain(accuracy, len(rows))]
    if not any(counts.report_is_possible(list(options.values()), n_images, reading) for reading in readings):
        problems.append(
            f"no choice of counts makes predictions add up to {n_images:,} images"
            + (f" and hits to an accuracy of {line.accuracy}" if accuracy else "")
        )
    parts = {
        metric: [counts.metric_range(options[name], rows[name], metric) for name in rows]
        for metric in ("precision", "recall", "f1")
    }
    supports = [row.support for row in rows.values()]
    for average, weights in (("macro", None), ("weighted", supports)):
        for metric in ("precision", "recall", "f1") if average in report.rows else ():
            value = getattr(report.rows[average], metric)
            if value is None:
                continue
            means = [mean(parts[metric], weights)]
            if metric == "f1":
                means.append(metrics.harmonic(mean(parts["precision"], weights), mean(parts["recall"], weights)))
            if not any(overlap(bounds(value, report.unit, rounding), reading) for reading in means):
                problems.append(f"{average} {metric} is printed {value}; the rows give {percents(means[0])}")
    return problems


def _supports(file: ClaimsFile, report: Report) -> Iterator[Finding]:
    """Which part of the data set a report is about, by the supports of the classes that it prints."""
    classes = [label for label in file.classes if label in report.rows]
    own = [int(report.rows[label].support) for label in classes]
    sets = {
        name: [n for n, label in zip(counted, file.classes) if label in classes]
        for name, counted in image_sets(file).items()
    }
    named = [name for name, counted in sets.items() if counted == own]
    if not classes or not sets:
        return
    about, evidence = ("supports", (report.id,)), f"its supports are those of {' or '.join(named)}, class by class"
    if named and report.images in ("test", "validation") and all("train" in name.lower() for name in named):
        yield Finding(
            *(*about, "consistent only if", f"{evidence}; the paper calls them {report.images} images"),
            "each was predicted by a model that was not fitted on it (out of fold)",
            "which images were scored",
        )
    elif named:
        yield Finding(*about, "consistent", evidence)
    else:
        yield Finding(
            *(*about, "consistent only if"),
            f"its supports ({', '.join(f'{n:,}' for n in own)}) are those of no named set of {file.data_set.name}",
            "it is about a part that the paper drew itself",
        )


# 3. Confusion matrices


def matrix_bounds(file: ClaimsFile, matrix: ConfusionMatrix, rounding) -> list[list[Bounds]]:
    """Bounds of every printed cell, rows and columns in the order of the file's classes."""
    places = [matrix.columns.index(label) for label in file.classes if label in matrix.columns]
    return [
        [bounds(matrix.rows[label][place], matrix.unit, rounding) for place in places]
        for label in file.classes
        if label in matrix.rows
    ]


def is_complete(file: ClaimsFile, matrix: ConfusionMatrix) -> bool:
    """Whether every class has its row and its column."""
    return set(matrix.rows) == set(matrix.columns) == set(file.classes)


def normalisation(file: ClaimsFile, matrix: ConfusionMatrix, rounding) -> list[str]:
    """What the shares can be shares of: `row`, `column`, `total`. Of a part of a matrix they add up to 1 at most, and
    a row or column of zeros stands for a class without images or predictions."""

    def possible(shares) -> bool:
        if is_complete(file, matrix) and sum(high for _, high in shares) < 1:
            return not any(low for low, _ in shares)
        return sum(low for low, _ in shares) <= 1

    cells = matrix_bounds(file, matrix, rounding)
    found = ["row"] if all(map(possible, cells)) else []
    found += ["column"] if all(map(possible, zip(*cells))) else []
    return found + (["total"] if possible([cell for row in cells for cell in row]) else [])


def by_rows(file: ClaimsFile) -> list[ConfusionMatrix]:
    """The complete matrices of shares that can be of rows alone, so that their diagonal is the recalls."""
    kinds = {matrix.id: [normalisation(file, matrix, r) for r in ROUNDINGS] for matrix in file.matrices}
    return [
        m
        for m in file.matrices
        if is_complete(file, m) and all(set(k) <= {"row"} for k in kinds[m.id]) and any(kinds[m.id])
    ]


def row_totals(file: ClaimsFile, matrix: ConfusionMatrix, rounding) -> list[np.ndarray]:
    """For every row the totals up to UP_TO that give its decimals."""
    return [counts.totals(tuple(row), UP_TO) for row in matrix_bounds(file, matrix, rounding)]


def confusion_matrix(file: ClaimsFile) -> Iterator[Finding]:
    """Normalisation, the row totals that the decimals allow, and the data set's own counts."""
    several = file.runs != "one"
    for matrix in file.matrices:
        kinds = {name for rounding in ROUNDINGS for name in normalisation(file, matrix, rounding)}
        about = ("confusion matrix", (matrix.id,))
        if not kinds:
            yield Finding(
                *(*about, "consistent only if" if several else "inconsistent"),
                "neither its rows nor its columns nor the whole add up to 100 % within what rounding allows",
                "it is a mean over runs of which some lack a class" if several else "",
            )
            continue
        if matrix not in by_rows(file):
            what = "a part is printed" if not is_complete(file, matrix) else "not of rows alone"
            yield Finding(*about, "consistent", f"can be shares of the {' or '.join(sorted(kinds))}; {what}")
            continue
        found = {rounding: row_totals(file, matrix, rounding) for rounding in ROUNDINGS}
        fitting = {rounding: own for rounding, own in found.items() if all(len(n) for n in own)}
        if not fitting:
            without = [label for label, n in zip(file.classes, found["rounded"]) if not len(n)]
            yield Finding(
                *(*about, "consistent only if"),
                f"no row total up to {UP_TO:,} images gives the decimals of {', '.join(without)}",
                "it is a mean over several runs" if several else f"a row has more than {UP_TO:,} images",
            )
            continue
        yield from _matrix_against_sets(file, matrix, fitting, [int(n[0]) for n in next(iter(fitting.values()))])


def _matrix_against_sets(file, matrix, fitting, smallest) -> Iterator[Finding]:
    sets = image_sets(file)
    sets |= {f"a stratified fifth of {name}": [n / 5 for n in own] for name, own in sets.items()}
    # The sizes of a set are asked for one by one, however large: the search over all totals ends at UP_TO.
    cells = {rounding: matrix_bounds(file, matrix, rounding) for rounding in fitting}
    possible = [
        name
        for name, own in sets.items()
        if any(
            all(
                any(counts.total_is_possible(row, size) for size in {int(np.floor(n)), int(np.ceil(n))})
                for n, row in zip(own, rows)
            )
            for rows in cells.values()
        )
    ]
    about = ("confusion matrix", (matrix.id,))
    listed = ", ".join(f"{label} {n}" for label, n in zip(file.classes, smallest))
    evidence = (
        f"shares of its rows; the smallest row totals with these decimals are {listed}, together {sum(smallest):,}"
    )
    if possible or not sets:
        would_do = f"; the class counts of {' and '.join(possible)} give them too" if possible else ""
        yield Finding(*about, "consistent", evidence + would_do)
        return
    yield Finding(
        *(*about, "consistent only if"),
        f"{evidence}; the class counts of {', '.join(image_sets(file))}, and of a stratified fifth of each, give other "
        "decimals in at least one row",
        f"it is about images that are none of {file.data_set.name}'s named sets, with these row totals or larger ones "
        "that give the same decimals" + ("" if file.runs == "one" else ", or it is a mean over several runs"),
        "the confusion matrix in counts, and which images were scored",
    )


def two_matrices(file: ClaimsFile) -> Iterator[Finding]:
    """Whether two matrices of a paper can be about the same images: one total a row that gives both."""
    whole = [max(own) for own in zip(*image_sets(file).values())] or [UP_TO] * len(file.classes)
    for a, b in combinations(by_rows(file), 2):
        if {a.images, b.images} >= {"test", "training"}:  # nobody says that they are of the same images
            continue
        without: list[str] = []
        for rounding in ROUNDINGS:
            pairs = zip(row_totals(file, a, rounding), row_totals(file, b, rounding), whole)
            common = [[n for n in np.intersect1d(one, other) if n <= most] for one, other, most in pairs]
            missing = [label for label, own in zip(file.classes, common) if not own]
            if not missing:
                break
            without = without or missing
        about = ("two matrices", (a.id, b.id))
        if not missing:
            listed = ", ".join(f"{label} {own[0]:,}" for label, own in zip(file.classes, common))
            yield Finding(*about, "consistent", f"the smallest row totals that give the decimals of both are {listed}")
        else:
            yield Finding(
                *(*about, "consistent only if"),
                f"no row total up to all images of the class in {file.data_set.name} gives the decimals of both in "
                f"{', '.join(without)}",
                "they are about different images" + ("" if file.runs == "one" else ", or means over several runs"),
                "the confusion matrices in counts",
            )


def matrix_against_headline(file: ClaimsFile) -> Iterator[Finding]:
    """The accuracy and macro recall that a matrix allows, beside those printed for the same system."""
    for matrix in by_rows(file):
        cells = {rounding: matrix_bounds(file, matrix, rounding) for rounding in ROUNDINGS}
        diagonal = {rounding: [row[k] for k, row in enumerate(own)] for rounding, own in cells.items()}
        for claim in file.claims:
            if claim.system != matrix.system or claim.epoch or {claim.images, matrix.images} >= {"test", "training"}:
                continue
            if claim.metric == "recall" and claim.average in ("macro", "unstated"):
                yield from _macro_recall(matrix, claim, diagonal)
            if claim.metric == "precision" and claim.average in ("macro", "weighted", "unstated"):
                yield from _matrix_precision(file, matrix, claim, cells)
            if claim.metric == "accuracy":
                yield from _matrix_accuracy(file, matrix, claim, diagonal)


def _matrix_precision(file, matrix, claim, cells) -> Iterator[Finding]:
    sizes = sizes_of_classes(file, matrix)
    averages = ("macro", "weighted") if claim.average == "unstated" else (claim.average,)
    given = {
        (rounding, name, average): mean(metrics.precisions(own, counted), counted if average == "weighted" else None)
        for rounding, own in cells.items()
        for name, counted in sizes.items()
        for average in averages
    }
    about = ("matrix and precision", (claim.id, matrix.id))
    limits = {
        average: [value for key, value in given.items() if key[0] == "rounded" and key[2] == average]
        for average in averages
    }
    said = " or ".join(
        f"{percents((min(low for low, _ in own), max(high for _, high in own)))} ({average})"
        for average, own in limits.items()
        if own
    )
    evidence = f"the matrix gives a precision of {said} over {', '.join(sizes)}; printed {printed(claim)}"
    if any(overlap(bounds(claim.value, claim.unit, r), value) for r in ROUNDINGS for value in given.values()):
        yield Finding(*about, "consistent", evidence)
    elif given:
        yield Finding(
            *(*about, "consistent only if", evidence),
            "the classes were of other sizes, or the two are about different images or runs, or it is another average",
            "the confusion matrix in counts",
        )


def sizes_of_classes(file: ClaimsFile, matrix: ConfusionMatrix) -> dict[str, list[int]]:
    """Images by class of every set that a matrix may be about: the named ones, and the smallest totals it allows."""
    sizes = image_sets(file)
    totals = row_totals(file, matrix, "rounded")
    if all(len(own) for own in totals):
        sizes["the smallest row totals"] = [int(own[0]) for own in totals]
    return sizes


def _macro_recall(matrix, claim, diagonal) -> Iterator[Finding]:
    given = {rounding: mean(own) for rounding, own in diagonal.items()}
    about = (claim.id, matrix.id)
    evidence = f"the mean of the matrix's diagonal is {percents(given['rounded'], 2)}"
    if any(overlap(bounds(claim.value, claim.unit, r), given[g]) for r in ROUNDINGS for g in ROUNDINGS):
        how = "" if overlap(bounds(claim.value, claim.unit, "rounded"), given["rounded"]) else ", when cut, not rounded"
        yield Finding("matrix and recall", about, "consistent", f"{evidence}, printed {printed(claim)}{how}")
        return
    yield Finding(
        *("matrix and recall", about, "consistent only if"),
        f"{evidence}; printed is a recall of {printed(claim)}",
        "the recall is no macro average, or the two are about different images or runs",
        "which average the recall is",
    )


def _matrix_accuracy(file, matrix, claim, diagonal) -> Iterator[Finding]:
    values = [bounds(claim.value, claim.unit, rounding) for rounding in ROUNDINGS]
    sets = sizes_of_classes(file, matrix)
    given = {r: {name: mean(own, sizes) for name, sizes in sets.items()} for r, own in diagonal.items()}
    fits = any(overlap(value, p) for own in given.values() for value in own.values() for p in values)
    # A weighted mean of recalls lies between the lowest and the highest, whatever the sizes of the classes.
    limits = [(min(low for low, _ in own), max(high for _, high in own)) for own in diagonal.values()]
    readings = [*values, *(plain(value, len(file.classes)) for value in values)]
    said = "; ".join(f"{percents(value)} on {name}" for name, value in given["rounded"].items())
    about = ("matrix and accuracy", (claim.id, matrix.id))
    evidence = f"the matrix gives {said}; printed {printed(claim)}"
    if not image_sets(file):  # nothing is known of the sizes of its classes
        fits = any(overlap(limit, value) for limit in limits for value in values)
        whatever = f"whatever the sizes of its classes, the matrix gives {percents(limits[0])}"
        evidence = f"{whatever}; printed {printed(claim)}"
    if fits:
        yield Finding(*about, "consistent", evidence)
    elif any(overlap(limit, reading) for limit in limits for reading in readings):
        one_vs_rest = any(overlap(v, plain(p, len(file.classes))) for v in given["rounded"].values() for p in values)
        yield Finding(
            *(*about, "consistent only if", evidence),
            "the classes were of other sizes, or the two are about different images or runs"
            + (", or the accuracy is a mean of one-vs-rest accuracies" if one_vs_rest else ""),
        )
    else:
        same = file.runs == "one" and claim.images == matrix.images != "unstated"
        yield Finding(
            *(*about, "inconsistent" if same else "consistent only if"),
            f"whatever the sizes of its classes, the matrix gives {percents(limits[0])}; printed {printed(claim)}",
            "" if same else "the two are about different images or runs",
        )


# 4. AUC


def area_under_curve(file: ClaimsFile) -> Iterator[Finding]:
    """Whether a printed AUC is what predicted classes give instead of probabilities; a match proves nothing."""
    for claim in (c for c in file.claims if c.metric == "auc"):
        given = []
        for matrix in (m for m in by_rows(file) if m.system == claim.system):
            shares = np.array(
                [[float(sum(cell) / 2) for cell in row] for row in matrix_bounds(file, matrix, "rounded")]
            )
            sizes = {name: own for name, own in sizes_of_classes(file, matrix).items() if all(own)}
            sizes["equal classes"] = [1] * len(shares)
            given += [metrics.auc_of_hard_labels(shares * np.array(own)[:, None]) for own in sizes.values()]
        if not given:
            yield Finding("auc", (claim.id,), "not applicable", "no whole confusion matrix of this system is printed")
            continue
        limits = {name: (min(own[name] for own in given), max(own[name] for own in given)) for name in given[0]}
        matches = [
            name
            for name, (low, high) in limits.items()
            if any(overlap(bounds(claim.value, claim.unit, r), (Fraction(low), Fraction(high))) for r in ROUNDINGS)
        ]
        said = ", ".join(f"{low:.3f} to {high:.3f} ({name})" for name, (low, high) in limits.items())
        yield Finding(
            *("auc", (claim.id,), "consistent"),
            f"predicted classes instead of probabilities would give {said}; printed {claim.value}: "
            + (
                f"it may be of hard labels, {' or '.join(matches)}"
                if matches
                else "not the AUC of this matrix's hard labels"
            ),
            settle="the code that computed the AUC" if matches else "",
        )


# 5. Loss and accuracy


def loss_and_accuracy(file: ClaimsFile) -> Iterator[Finding]:
    """Each wrong argmax costs ln 2 at least: a small loss forbids a low accuracy on the same images."""
    for curve in file.curves:
        claims = [
            claim
            for claim in file.claims
            if claim.system == curve.system and claim.metric == "accuracy" and claim.images != "training"
        ]
        losses = curve.validation_loss
        for claim in claims if losses else ():
            best = min(range(len(losses)), key=lambda epoch: Fraction(losses[epoch]))
            for epoch in sorted({best, len(losses) - 1}):
                where = f"validation, epoch {epoch + 1}"
                yield _loss_finding((claim.id, curve.id), claim, losses[epoch], where, len(file.classes))
        if curve.training_loss and losses:
            lower = sum(Fraction(v) < Fraction(t) for t, v in zip(curve.training_loss, losses))
            if lower > len(losses) / 2:
                yield Finding(
                    *("loss", (curve.id,), "warning"),
                    f"the validation loss is below the training loss in {lower} of {len(losses)} epochs; dropout in "
                    "training can do that, a near-zero validation loss it hardly explains",
                )
    by_place = {}
    for claim in file.claims:
        if claim.metric in ("accuracy", "log_loss") and claim.epoch:
            by_place.setdefault((claim.system, claim.epoch, claim.images), []).append(claim)
    for claims in by_place.values():
        for loss in (c for c in claims if c.metric == "log_loss"):
            for accuracy in (c for c in claims if c.metric == "accuracy"):
                about = (loss.id, accuracy.id)
                yield _loss_finding(about, accuracy, loss.value, f"epoch {loss.epoch}", len(file.classes))


def _loss_finding(about, accuracy: Claim, loss: str, where: str, n_classes: int) -> Finding:
    value = bounds(accuracy.value, accuracy.unit, "rounded")
    least = max(0.0, min(metrics.accuracy_at_least(bounds(loss, "nats", rounding)) for rounding in ROUNDINGS))
    ceiling = metrics.loss_at_most(value, n_classes)
    evidence = f"a loss of {loss} ({where}) allows an accuracy of {percent(least)} or more; printed {printed(accuracy)}"
    if float(value[1]) < least:
        return Finding(
            *("loss", about, "consistent only if", evidence),
            "the accuracy is of other images than the loss, or the loss is no natural-log cross-entropy",
            "loss and accuracy on the same images",
        )
    if float(bounds(loss, "nats", "rounded")[0]) > ceiling:
        evidence = (
            f"a loss of {loss} exceeds the {ceiling:.2f} that clipping allows at an accuracy of {printed(accuracy)}"
        )
        return Finding("loss", about, "consistent only if", evidence, "the loss is of other images, or not clipped")
    return Finding("loss", about, "consistent", evidence)


# 6. Identities


def identities(file: ClaimsFile) -> Iterator[Finding]:
    """Accuracy, precision, recall and F1 that are printed of one system, images, place and average, outside reports."""
    groups: dict[tuple, dict[tuple[str, str], Claim]] = {}
    for claim in file.claims:
        if claim.average in ("none", "macro", "weighted", "unstated"):
            place = claim.where.split(",")[0]
            key = (claim.system, claim.images, claim.usage, claim.n_images, claim.epoch, place)
            groups.setdefault(key, {}).setdefault((claim.metric, claim.average), claim)
    for group in groups.values():
        for average in ("macro", "weighted", "unstated"):
            own = {metric: claim for (metric, printed_of), claim in group.items() if printed_of == average}
            if ("accuracy", "none") in group and "recall" in own:
                yield _recall_and_accuracy(file, group["accuracy", "none"], own["recall"])
            if {"precision", "recall", "f1"} <= set(own):
                yield _f1_of(own)


def _recall_and_accuracy(file: ClaimsFile, accuracy: Claim, recall: Claim) -> Finding:
    about = ("identities", (accuracy.id, recall.id))
    average = {"weighted": "weighted", "unstated": "weighted or micro", "macro": "macro"}[recall.average]
    evidence = f"accuracy {printed(accuracy)}, {average} recall {printed(recall)}"
    values = [(bounds(accuracy.value, accuracy.unit, r), bounds(recall.value, recall.unit, r)) for r in ROUNDINGS]
    if recall.average == "macro" or any(overlap(a, b) for a, b in values):
        return Finding(*about, "consistent", evidence)
    readings = ["the recall is a macro average, or counted at a threshold"] if recall.average == "unstated" else []
    if any(overlap(plain(a, len(file.classes)), b) for a, b in values):
        readings.append("the accuracy is a mean of one-vs-rest accuracies")
    if file.runs != "one":
        readings.append("they are means over sets of different sizes")
    verdict = "consistent only if" if readings else "inconsistent"
    return Finding(*about, verdict, f"{evidence}; those would be the same number", ", or ".join(readings))


def _f1_of(own: dict[str, Claim]) -> Finding:
    about = ("identities", tuple(own[metric].id for metric in ("precision", "recall", "f1")))
    said = ", ".join(f"{metric} {printed(own[metric])}" for metric in ("precision", "recall", "f1"))
    readings = {
        "F1 is the harmonic mean of the two": metrics.f1_of_means_is_possible,
        "F1 is a mean over classes or runs": metrics.mean_f1_is_possible,
    }
    values = [{m: bounds(own[m].value, own[m].unit, r) for m in ("precision", "recall", "f1")} for r in ROUNDINGS]
    fits = [
        name
        for name, possible in readings.items()
        if any(possible(v["f1"], v["precision"], v["recall"]) for v in values)
    ]
    # Macro and weighted F1 are means over classes: their plainest reading.
    if len(fits) == 2 or (own["f1"].average != "unstated" and "F1 is a mean over classes or runs" in fits):
        return Finding(*about, "consistent", said)
    if fits:
        return Finding(*about, "consistent only if", said, fits[0])
    if own["f1"].average == "unstated":
        return Finding(*about, "consistent only if", said, "the three are different averages")
    return Finding(*about, "inconsistent", f"{said}: F1 exceeds what the other two allow, or falls below")


# 7. Statements


def extremes(file: ClaimsFile) -> Iterator[Finding]:
    """A lowest or highest value over the classes against the report of the same system."""
    for claim in (c for c in file.claims if c.average in ("lowest", "highest")):
        for report in (r for r in file.reports if r.system == claim.system):
            rows = {label: getattr(report.rows[label], claim.metric) for label in file.classes if label in report.rows}
            values = {label: Fraction(value) for label, value in rows.items() if value is not None}
            if not values:
                continue
            label = (min if claim.average == "lowest" else max)(values, key=values.get)
            same = any(
                overlap(bounds(claim.value, claim.unit, r), bounds(rows[label], report.unit, r)) for r in ROUNDINGS
            )
            evidence = f"{claim.average} {claim.metric} {printed(claim)}; in {report.id}: {rows[label]} ({label})"
            condition = "" if same else "it is of other images or another run than the report"
            verdict = "consistent" if same else "consistent only if"
            yield Finding("statements", (claim.id, report.id), verdict, evidence, condition)


def said_extremes(file: ClaimsFile) -> Iterator[Finding]:
    """A class or system that the text calls the highest or lowest, against the numbers that the statement is about."""
    for said in (s for s in file.statements if s.of and s.kind in ("highest", "lowest")):
        for metric in said.metrics:
            for report in (r for r in file.reports if r.id in said.about):
                rows = {label: report.rows[label] for label in file.classes if label in report.rows}
                lines = [(label, getattr(row, metric, None)) for label, row in rows.items()]
                values = [(label, value, report.unit) for label, value in lines if value is not None]
                yield from _extreme(said, metric, values)
            claims = [claim for claim in file.claims if claim.id in said.about and claim.metric == metric]
            for average in dict.fromkeys(claim.average for claim in claims):
                yield from _extreme(said, metric, [(c.system, c.value, c.unit) for c in claims if c.average == average])


def _extreme(said: Statement, metric: str, values: list[tuple[str, str, str]]) -> Iterator[Finding]:
    """values: (name, number as printed, unit). A tie in the printed digits contradicts nothing."""
    own = [(value, unit) for name, value, unit in values if name == said.of]
    others = [(value, unit) for name, value, unit in values if name != said.of]
    if not own or not others:
        return
    beaten = all(
        max(bounds(*other, r)[0] for other in others) > max(bounds(*one, r)[1] for one in own)
        if said.kind == "highest"
        else min(bounds(*other, r)[1] for other in others) < min(bounds(*one, r)[0] for one in own)
        for r in ROUNDINGS
    )
    listed = ", ".join(f"{name} {value}{' %' * (unit == 'percent')}" for name, value, unit in values)
    yield Finding(
        *("statements", (said.id, *said.about), "inconsistent" if beaten else "consistent"),
        f"{said.of} is said to have the {said.kind} {metric}; printed are {listed}",
    )


def _values(file: ClaimsFile, said: Statement, metric: str) -> dict[str, list[tuple[str, str]]]:
    """(value, unit) of a metric by class or system, from the reports and claims that a statement is about."""
    found: dict[str, list[tuple[str, str]]] = {}
    for report in (r for r in file.reports if r.id in said.about):
        for label in (label for label in file.classes if label in report.rows):
            if (value := getattr(report.rows[label], metric, None)) is not None:
                found.setdefault(label, []).append((value, report.unit))
    for claim in (c for c in file.claims if c.id in said.about and c.metric == metric):
        name = claim.system if claim.average in ("none", "macro", "weighted", "unstated") else claim.average
        found.setdefault(name, []).append((claim.value, claim.unit))
    return found


def ranges(file: ClaimsFile) -> Iterator[Finding]:
    """Values that are said to lie between two others."""
    for said in (s for s in file.statements if s.kind == "range" and s.low):
        for metric in said.metrics:
            values = {name: own for name, own in _values(file, said, metric).items() if name not in said.but_for}
            ways = {name: [bounds(*one, r) for one in own for r in ROUNDINGS] for name, own in values.items()}
            yield from _within_limits(said, f"{metric} is said to lie at", values, ways)


def margins(file: ClaimsFile) -> Iterator[Finding]:
    """Leads of a system over each of the others that are said to be so or so large."""
    for said in (s for s in file.statements if s.kind == "margin" and s.low):
        for metric in said.metrics:
            values = _values(file, said, metric)
            leads = {
                name: [
                    (mine[0] - theirs[1], mine[1] - theirs[0])
                    for r in ROUNDINGS
                    for mine in (bounds(*one, r) for one in values.get(said.of, []))
                    for theirs in (bounds(*one, r) for one in own)
                ]
                for name, own in values.items()
                if name != said.of
            }
            yield from _within_limits(said, f"{said.of} is said to be ahead in {metric} by", values, leads)


def _within_limits(said: Statement, what: str, values, ways: dict[str, list[Bounds]]) -> Iterator[Finding]:
    """Whether one of the `ways` to read each number is within what is said, however that was rounded."""
    low = min(bounds(said.low, said.unit, r)[0] for r in ROUNDINGS)
    high = max(bounds(said.high, said.unit, r)[1] for r in ROUNDINGS) if said.high else Fraction(10**9)
    outside = [name for name, own in ways.items() if not any(overlap(way, (low, high)) for way in own)]
    limits = f"{said.low} to {said.high}" if said.high else f"{said.low} or more"
    unit = " points" if said.kind == "margin" else " per cent" * (said.unit == "percent")
    listed = ", ".join(f"{name} {own[0][0]}{' %' * (own[0][1] == 'percent')}" for name, own in values.items())
    if any(ways.values()):
        yield Finding(
            *("statements", (said.id, *said.about), "inconsistent" if outside else "consistent"),
            f"{what} {limits}{unit}; printed are {listed}" + (f"; not so of {', '.join(outside)}" if outside else ""),
        )


def rankings(file: ClaimsFile) -> Iterator[Finding]:
    """Systems that are said to come in an order, the best first; equal printed digits contradict none."""
    for said in (s for s in file.statements if s.kind == "ranking" and s.order):
        for metric in said.metrics:
            values = {name: own for name, own in _values(file, said, metric).items() if name in said.order}
            order = [name for name in said.order if name in values]
            turned = [
                f"{worse} is ahead of {better}"
                for better, worse in pairwise(order)
                if all(
                    bounds(*w, r)[0] > bounds(*b, r)[1]
                    for b in values[better]
                    for w in values[worse]
                    for r in ROUNDINGS
                )
            ]
            listed = ", ".join(f"{name} {values[name][0][0]}" for name in order)
            if len(order) > 1:
                yield Finding(
                    *("statements", (said.id, *said.about), "inconsistent" if turned else "consistent"),
                    f"the order in {metric} is said to be {', '.join(said.order)}; printed are {listed}"
                    + "".join(f"; {each}" for each in turned),
                )


def splits(file: ClaimsFile) -> Iterator[Finding]:
    """Numbers of images that are said to be shares of a whole."""
    wholes = {name: sum(own) for name, own in image_sets(file).items()}
    for said in (s for s in file.statements if s.kind == "split"):
        parts, about = [int(n) for n in said.parts], ("statements", (said.id,))
        shares = [[bounds(share, "percent", r) for r in ROUNDINGS] for share in said.shares]

        def fits(n: int, whole: int, ways) -> bool:
            return any(low <= Fraction(n, whole) <= high for low, high in ways)

        total = sum(parts)
        evidence = (
            f"{' and '.join(f'{n:,}' for n in parts)} images are said to be {':'.join(said.shares)}; they are "
            f"{':'.join(percent(Fraction(n, total)).removesuffix(' %') for n in parts)}"
        )
        if all(fits(n, total, ways) for n, ways in zip(parts, shares)):
            yield Finding(*about, "consistent", evidence)
            continue
        of = [name for name, whole in wholes.items() if parts[0] < whole and fits(parts[0], whole, shares[0])]
        one = f"; {parts[0]:,} are {said.shares[0]} per cent of {' or '.join(of)}" if of else ""
        condition = "the shares are of other images, or loosely meant"
        yield Finding(*about, "consistent only if", evidence + one, condition, "the lists of the images")


def image_sizes(file: ClaimsFile) -> Iterator[Finding]:
    """What is said of the size of the images against that of the data set."""
    size = file.data_set.image_size
    for said in (s for s in file.statements if s.kind == "image_size" and size):
        evidence = f"images are said to have {' and '.join(said.pixels)} pixels a side; {file.data_set.name} has {size}"
        if set(said.pixels) == {size}:
            yield Finding("statements", (said.id,), "consistent", evidence)
        else:
            condition = "the images were resized, or are of another data set"
            yield Finding("statements", (said.id,), "consistent only if", evidence, condition)


def contradictions(file: ClaimsFile) -> Iterator[Finding]:
    """What a reader found two sentences to say of the same thing; not arithmetic, so a warning."""
    for said in (s for s in file.statements if s.kind == "contradiction"):
        yield Finding("statements", (said.id, *said.about), "warning", f"{said.says} ({said.where})")


def repeated(file: ClaimsFile) -> Iterator[Finding]:
    """The same metric of the same system and images, printed in several places."""
    groups: dict[tuple, list[Claim]] = {}
    for claim in file.claims:
        groups.setdefault((claim.system, claim.metric, claim.average, claim.images, claim.epoch), []).append(claim)
    for (system, metric, *_), own in groups.items():
        if len({(claim.value, claim.unit) for claim in own}) < 2:
            continue
        about = tuple(claim.id for claim in own)
        values = ", ".join(f"{printed(claim)} ({claim.where})" for claim in own)
        pairs = [
            [(bounds(a.value, a.unit, r), bounds(b.value, b.unit, r)) for r in ROUNDINGS]
            for a, b in combinations(own, 2)
        ]
        # More than a common end: 0.78 and 0.79 are two numbers.
        same = all(any(max(a[0], b[0]) < min(a[1], b[1]) for a, b in pair) for pair in pairs)
        if same:
            yield Finding("statements", about, "consistent", f"{metric} of {system}: {values}, one number")
        else:
            yield Finding(
                *("statements", about, "consistent only if", f"{metric} of {system} is printed as {values}"),
                "they are of different images, runs or settings",
            )


# 8. Curves and tables of measurements


def straight_lines(file: ClaimsFile) -> Iterator[Finding]:
    """Measured values that lie on a line to the last printed digit over many epochs."""
    for curve in file.curves:
        for name, values in curve.columns().items():
            first, last, step, surprise = metrics.longest_straight_line(values)
            if surprise >= SURPRISE:
                yield Finding(
                    *("curves", (curve.id,), "warning"),
                    f"{name.replace('_', ' ')}: epochs {first + 1} to {last + 1} lie on a straight line of "
                    f"{float(step):+.4g} an epoch to the last printed digit; measurements scatter, interpolated ones "
                    "do not",
                    settle="the training log",
                )


def constant_offsets(file: ClaimsFile) -> Iterator[Finding]:
    """Metrics that differ by the same amount for every system of a table."""
    tables: dict[str, dict[str, dict[str, Claim]]] = {}
    for claim in file.claims:
        tables.setdefault(claim.where, {}).setdefault(claim.system, {})[claim.metric] = claim
    for where, systems in tables.items():
        names = sorted(set.intersection(*(set(own) for own in systems.values())))
        # Metrics that are one number by identity (accuracy and weighted recall) count once.
        columns = {tuple(Fraction(own[name].value) for own in systems.values()): name for name in reversed(names)}
        names = [name for name in names if name in columns.values()]
        if len(systems) < 3 or len(names) < 3:
            continue
        table = [[Fraction(own[name].value) for name in names] for own in systems.values()]
        same = [(names[i], names[j], offset) for i, j, offset in metrics.same_offsets(table)]
        if len(same) >= 2:
            said = "; ".join(f"{a} − {b} = {float(offset):+g}" for a, b, offset in same)
            about = tuple(claim.id for own in systems.values() for claim in own.values())
            yield Finding(
                *("curves", about, "warning"),
                f"{where}: the same differences for each of {len(systems)} systems: {said}",
                settle="the predictions",
            )


def minimum_before_the_end(file: ClaimsFile) -> Iterator[Finding]:
    """A validation loss that rises again: which epoch was scored?"""
    for curve in file.curves:
        losses = [Fraction(value) for value in curve.validation_loss]
        if losses and losses.index(min(losses)) < len(losses) - 1:
            best = losses.index(min(losses))
            yield Finding(
                *("curves", (curve.id,), "warning"),
                f"the validation loss is lowest after epoch {best + 1} ({curve.validation_loss[best]}) and ends at "
                f"{curve.validation_loss[-1]} after epoch {len(losses)}",
                settle="which epoch was scored, and who chose it",
            )


# 9. Band


def band(file: ClaimsFile) -> Iterator[Finding]:
    """Accuracies on held-out images beyond what is known of the data set: a warning, never a violation."""
    known = file.data_set.band
    for claim in file.all_claims() if known else ():
        if claim.metric != "accuracy" or claim.images == "training" or claim.usage == "Training":
            continue
        if claim.number > float(known.high) / 100:
            readings = ""
            if claim.also == "mean_ovr_accuracy":
                value = Fraction(claim.value) / (100 if claim.unit == "percent" else 1)
                ordinary = plain((value, value), len(file.classes))[0]
                readings = f"; as a mean one-vs-rest accuracy it would be an accuracy of {percent(ordinary)}"
            yield Finding(
                *("band", (claim.id,), "warning"),
                f"{printed(claim)} is above the {known.low} to {known.high} per cent known of "
                f"{file.data_set.name} ({known.source}){readings}",
                settle="which images were scored, and whether any part of the system had seen them",
            )


CHECKS: tuple[Callable[[ClaimsFile], Iterator[Finding]], ...] = (
    granularity,
    classification_report,
    confusion_matrix,
    two_matrices,
    matrix_against_headline,
    area_under_curve,
    loss_and_accuracy,
    identities,
    extremes,
    said_extremes,
    ranges,
    margins,
    rankings,
    splits,
    image_sizes,
    repeated,
    contradictions,
    straight_lines,
    constant_offsets,
    minimum_before_the_end,
    band,
)
