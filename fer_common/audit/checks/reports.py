"""Classification reports: whole counts behind every line, averages that follow from the rows, images that the supports
name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from fer_common.audit import counts, metrics, parts
from fer_common.audit.checks.reading import Key, Reading, over_classes, plain
from fer_common.audit.finding import Finding
from fer_common.audit.printed import Bounds, Rounding, bounds, mean, overlap, percents, whole_numbers
from fer_common.claims import TOTALS, ClaimsFile, Report

METRICS = ("precision", "recall", "f1")
CALCULATED = "F1 or averages were calculated from printed numbers"
ANY = 10**7  # images, where nobody knows how many; whole counts of more are not searched


@dataclass
class Read:
    """A report read under one rounding: its classes, what whole counts make of them, and what is wrong."""

    rows: dict[str, counts.Row]
    options: dict[str, counts.Options]
    """Empty of one run without supports, and of means over several runs."""
    n_images: int
    hits: counts.Totals | None = None
    """Totals of hits that the rows allow; None where there is none, or they were not asked for."""
    problems: list[str] = field(default_factory=list)
    """Of one run."""
    of_any_runs: list[str] = field(default_factory=list)
    """Of means over several runs as well."""
    uncompared: list[str] = field(default_factory=list)


def supports_of(file: ClaimsFile, report: Report) -> dict[str, int] | None:
    """Images by class of the classes that a report prints: by its own column, or those of the part that it is of."""
    labels = [label for label in report.rows if label not in TOTALS]
    if all(report.rows[label].support is not None for label in labels):
        return {label: int(report.rows[label].support or 0) for label in labels}
    named = file.data_set.counts.get(report.usage or "")
    return {label: int(named[label]) for label in labels} if named else None


def read(file: ClaimsFile, report: Report, rounding: Rounding, *, calculated: bool = False) -> Read:
    """A report under one rounding.

    calculated: F1 may be the harmonic mean of the printed precision and recall, and averages those of the printed rows.
    """
    supports = supports_of(file, report)
    labels = [label for label in report.rows if label not in TOTALS]
    printed_totals = {
        name: int(row.support) for name, row in report.rows.items() if name in TOTALS and row.support is not None
    }
    own = sum(supports.values()) if supports else 0
    given = {
        label: {
            metric: bounds(value, report.unit, rounding)
            for metric in METRICS
            if (value := getattr(report.rows[label], metric)) is not None
        }
        for label in labels
    }
    if calculated:
        for label, row_given in given.items():
            if len(row_given) == len(METRICS) and overlap(_harmonic_of_printed(report, label), row_given["f1"]):
                within = metrics.harmonic(row_given["precision"], row_given["recall"])
                row_given["f1"] = min(within[0], row_given["f1"][0]), max(within[1], row_given["f1"][1])
    rows = {label: counts.Row((supports or {}).get(label, 0), **given[label]) for label in labels}
    # A micro average is printed where some classes, or images of none, are left out: predictions need not add up.
    others = "micro" in report.rows
    result = Read(rows, {}, max([own, *printed_totals.values()]))
    complete = set(labels) == set(file.classes)
    _totals(file, result, own if supports else None, printed_totals, complete)
    for label, row in rows.items():
        if row.precision and row.recall and row.f1:
            within = metrics.harmonic(row.precision, row.recall)
            if file.n_runs == 1 and not supports and not overlap(within, row.f1):
                result.problems.append(
                    f"F1 of {label} is printed {report.rows[label].f1}; precision and recall give {percents(within)}"
                )
            if not metrics.mean_f1_is_possible(row.f1, row.precision, row.recall):
                result.of_any_runs.append(
                    f"F1 of {label} is printed {report.rows[label].f1}; precision and recall allow "
                    f"{percents((max(Fraction(0), row.precision[0] + row.recall[0] - 1), within[1]))}"
                )
    if not supports:
        result.uncompared.append("whole counts: no supports are printed")
    elif (file.n_runs or 1) > 1:
        _recalls_over_runs(file, report, result)
    elif result.n_images > ANY:
        result.uncompared.append(f"whole counts: {result.n_images:,} images are too many to search")
    else:
        among = result.n_images if not others else ANY
        result.options = {label: counts.row_options(row, among) for label, row in rows.items()}
        result.problems += [
            f"no whole counts give precision, recall and F1 of {label} with {rows[label].support:,} images"
            for label, found in result.options.items()
            if not len(found)
        ]
    if not complete:
        missing = ", ".join(label for label in file.classes if label not in labels)
        result.uncompared.append(f"predictions, hits and averages over all classes: {missing} is not printed")
    else:
        if others:
            result.uncompared.append(
                "predictions in all: beside a micro average, classes that are not printed may be called"
            )
        elif result.problems:
            result.uncompared.append("predictions and hits in all: a row is impossible already")
        elif result.options and own:
            _whole(file, report, result, rounding, own)
        _averages(report, result, rounding, list(supports.values()) if supports and own else None, calculated)
    return result


def _as_printed(report: Report, label: str, metric: str) -> Bounds | None:
    """A printed number as if it were exact."""
    if (value := getattr(report.rows[label], metric)) is None:
        return None
    exact = Fraction(value) / (100 if report.unit == "percent" else 1)
    return exact, exact


def _harmonic_of_printed(report: Report, label: str) -> Bounds:
    precision, recall = (_as_printed(report, label, metric) for metric in ("precision", "recall"))
    assert precision and recall
    return metrics.harmonic(precision, recall)


def _totals(file: ClaimsFile, result: Read, own: int | None, printed: dict[str, int], complete: bool) -> None:
    """The printed numbers of images in all, against each other and the supports."""
    if len(set(printed.values())) > 1:
        listed = ", ".join(f"{n:,} ({name})" for name, n in printed.items())
        result.of_any_runs.append(f"the totals of images are printed as {listed}")
    if not printed:
        result.uncompared.append("the total of the supports: none is printed")
    elif own is not None and complete:
        # Means of supports over runs are rounded one by one.
        slack = 0 if file.n_runs == 1 else len(file.classes) / 2
        for n in sorted({n for n in printed.values() if abs(n - own) > slack}):
            result.of_any_runs.append(f"the supports add up to {own:,} images; printed in all are {n:,}")
    elif own is not None and own > min(printed.values()):
        result.of_any_runs.append(
            f"the supports of a part of the classes add up to {own:,} images; printed in all are "
            f"{min(printed.values()):,}"
        )


def _recalls_over_runs(file: ClaimsFile, report: Report, result: Read) -> None:
    """A mean recall over R runs on the same n images is a whole number over R·n."""
    n_runs = file.n_runs or 1
    for label, row in result.rows.items():
        n = n_runs * row.support
        if row.recall and n and not whole_numbers(row.recall[0] * n, row.recall[1] * n):
            result.of_any_runs.append(
                f"recall of {label} is printed {report.rows[label].recall}: no whole number of hits in {n_runs} runs "
                f"on {row.support:,} images"
            )
    result.uncompared.append("whole counts behind precision and F1: they are means over runs")


def _line(report: Report) -> str | None:
    """The printed accuracy."""
    row = report.rows.get("accuracy")
    return row and (row.accuracy or row.f1 or row.precision)


def _whole(file: ClaimsFile, report: Report, result: Read, rounding: Rounding, own: int) -> None:
    """Predictions that add up to the images, and hits to the accuracy."""
    result.hits = counts.hits_in_all(list(result.rows.values()), list(result.options.values()), own)
    if result.hits and result.hits.every is None:
        result.uncompared.append("sums over the classes in whole numbers: too many to try, so held against intervals")
    line = _line(report)
    if line is None:
        result.uncompared.append("the accuracy: none is printed in the report")
    accuracy = bounds(line, report.unit, rounding) if line else (Fraction(0), Fraction(1))
    readings = [accuracy, plain(accuracy, len(result.rows))]
    if not result.hits or not any(result.hits.any_within(reading, own) for reading in readings):
        result.problems.append(
            f"no choice of counts makes predictions add up to {own:,} images"
            + (f" and hits to an accuracy of {line}" if line else "")
        )


def class_ranges(result: Read, label: str, metric: str) -> Bounds | None:
    """What a metric of a class can be: by whole counts and as printed. What is printed for an undefined one counts,
    since averages are taken over it."""
    own, printed = result.options.get(label), getattr(result.rows[label], metric)
    if own is None or not len(own):
        return printed
    low, high = counts.metric_range(own, result.rows[label], metric)
    if printed and overlap((low, high), printed):
        return max(low, printed[0]), min(high, printed[1])
    return low, high


def means(result: Read, metric: str, weights: Sequence[int] | None) -> list[Bounds]:
    """The averages that the rows allow; F1 may be computed from the averages of the other two."""
    own = {m: [class_ranges(result, label, m) for label in result.rows] for m in METRICS}
    found = [mean(own[metric], weights)] if None not in own[metric] else []
    if metric == "f1" and None not in own["precision"] + own["recall"]:
        found.append(metrics.harmonic(mean(own["precision"], weights), mean(own["recall"], weights)))
    return found


def _averages(
    report: Report, result: Read, rounding: Rounding, supports: list[int] | None, calculated: bool = False
) -> None:
    micro = report.rows.get("micro")
    recalls = [own for label in result.rows if (own := class_ranges(result, label, "recall"))]
    if micro and micro.recall and supports and len(recalls) == len(supports):
        found = mean(recalls, supports)
        if not overlap(bounds(micro.recall, report.unit, rounding), found):
            result.problems.append(f"micro recall is printed {micro.recall}; the rows give {percents(found)}")
    for average in ("macro", "weighted"):
        for metric in METRICS if average in report.rows else ():
            value = getattr(report.rows[average], metric)
            if value is None:
                continue
            weights = supports if average == "weighted" else None
            found = means(result, metric, weights)
            if calculated and (average == "macro" or weights):
                printed = [_as_printed(report, label, metric) for label in result.rows]
                found += [mean([own for own in printed if own], weights)] if None not in printed else []
                if metric == "f1" and report.rows[average].precision and report.rows[average].recall:
                    found.append(_harmonic_of_printed(report, average))
            if average == "weighted" and supports is None and found:
                own = [class_ranges(result, label, metric) for label in result.rows]
                found = [(min(one[0] for one in own if one), max(one[1] for one in own if one))]
            if not found:
                result.uncompared.append(f"{average} {metric}: not every class has one")
            elif not any(overlap(bounds(value, report.unit, rounding), own) for own in found):
                result.problems.append(f"{average} {metric} is printed {value}; the rows give {percents(found[0])}")


def classification_report(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Whole counts behind every line of a report, its averages, and the images that its supports name."""
    for report in file.reports:
        found = {rounding: read(file, report, rounding) for rounding in roundings}
        about = ("classification report", (report.id,))
        fitting = [rounding for rounding, own in found.items() if not (own.problems or own.of_any_runs)]
        again = [read(file, report, rounding, calculated=True) for rounding in roundings] if not fitting else []
        calculated = any(not (own.problems or own.of_any_runs) for own in again)
        best = min(found.values(), key=lambda own: (len(own.of_any_runs), len(own.problems)))
        uncompared = "; ".join(dict.fromkeys(best.uncompared))
        if fitting:
            whole = found[fitting[0]].options
            yield Finding(
                *(*about, "consistent", f"The report of {report.where} adds up"),
                ("whole numbers of images give" if whole else "each other allow")
                + f" every precision, recall, F1 and average ({' and '.join(fitting)})",
                uncompared=uncompared,
            )
        elif calculated and (best.of_any_runs or file.n_runs == 1):
            yield Finding(
                *(*about, "consistent only if", f"No whole numbers of images give the report of {report.where}"),
                "; ".join(best.of_any_runs + best.problems),
                CALCULATED,
                "the confusion matrix in counts",
                uncompared,
            )
        elif best.of_any_runs or file.n_runs == 1:
            first, *others = best.of_any_runs + best.problems
            yield Finding(
                *(*about, "inconsistent", f"The report of {report.where} cannot be of any images: {first}"),
                "; ".join(others),
                settle="the confusion matrix in counts",
                uncompared=uncompared,
            )
        else:
            yield Finding(
                *(*about, "consistent only if", f"No single run gives the report of {report.where} as it is printed"),
                "of one run on the printed supports: " + "; ".join(best.problems),
                "its lines are means over several runs",
                "the confusion matrix in counts",
                uncompared,
            )


def readings(file: ClaimsFile, report: Report, roundings: Sequence[Rounding]) -> list[Reading]:
    """What a report makes of metrics that are printed elsewhere, by rounding."""
    found = []
    for rounding in roundings:
        own = read(file, report, rounding)
        if file.runs == "several":  # means over runs are of no whole counts
            own.options, own.hits = {}, None
        values: dict[Key, list[Bounds]] = {}
        for label in own.rows:
            for metric in METRICS:
                if (one := class_ranges(own, label, metric)) is not None:
                    values[metric, label] = [one]
        for metric in METRICS:
            values |= over_classes(values, metric, file.classes)
        for name, row in report.rows.items():  # what the report says itself
            if name in ("macro", "weighted"):
                said = {m: value for m in METRICS if (value := getattr(row, m)) is not None}
                values |= {(m, name): [bounds(value, report.unit, rounding)] for m, value in said.items()}
        n_images, hits = own.n_images or None, None
        supports = supports_of(file, report)
        if set(own.rows) == set(file.classes):
            for average in ("macro", "weighted"):
                weights = list(supports.values()) if supports and sum(supports.values()) else None
                if average == "macro" or weights:
                    for metric in METRICS:
                        values.setdefault(
                            (metric, average), means(own, metric, weights if average == "weighted" else None)
                        )
            recalls = [class_ranges(own, label, "recall") for label in own.rows]
            if None not in recalls and supports and n_images:
                values["accuracy", "none"] = [mean(recalls, list(supports.values()))]
            elif None not in recalls:
                values["accuracy", "none"] = [(min(one[0] for one in recalls), max(one[1] for one in recalls))]
            if own.hits and n_images == sum(supports.values()):
                hits = own.hits
                values["accuracy", "none"] = [(Fraction(hits.low, n_images), Fraction(hits.high, n_images))]
        line = _line(report)
        if line and ("accuracy", "none") not in values:
            values["accuracy", "none"] = [bounds(line, report.unit, rounding)]
        elif line:
            # Both the line and the rows must allow a number that is printed elsewhere.
            limits, (rows,) = bounds(line, report.unit, rounding), values["accuracy", "none"]
            both = max(limits[0], rows[0]), min(limits[1], rows[1])
            values["accuracy", "none"] = [both if both[0] <= both[1] else limits]
        values = {key: own for key, own in values.items() if own}
        found.append(Reading("its rows", "", values, n_images, hits))
    return found


def supports(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Which part of the data set a report or a matrix of counts is about, by the images of its classes."""
    for report in file.reports:
        if all(row.support is not None for name, row in report.rows.items() if name not in TOTALS):
            yield from _supports(file, report, {k: int(row.support or 0) for k, row in report.rows.items()})
    for matrix in file.matrices:
        if matrix.unit == "count":
            yield from _supports(file, matrix, {label: sum(map(int, row)) for label, row in matrix.rows.items()})


def _supports(file: ClaimsFile, item, by_label: dict[str, int]) -> Iterator[Finding]:
    classes = [label for label in file.classes if label in by_label]
    own = [by_label[label] for label in classes]
    sets = {
        name: [n for n, label in zip(counted, file.classes) if label in classes]
        for name, counted in parts.named_sets(file).items()
    }
    about = ("supports", (item.id,))
    if not classes or not sets:
        return
    named = [name for name, counted in sets.items() if counted == own]
    listed = ", ".join(f"{label} {n:,}" for label, n in zip(classes, own))
    if named:
        says = f"The images of {item.where} are those of {' or '.join(named)}, class by class"
        if item.images in ("test", "validation") and all("train" in name.lower() for name in named):
            yield Finding(
                *(*about, "consistent only if", f"{says}; the paper calls them {item.images} images", listed),
                "each was predicted by a model that was not fitted on it (out of fold)",
                "which images were scored",
            )
        else:
            yield Finding(*about, "consistent", says, listed)
        return
    says = f"The images of {item.where} are those of no named set of {file.data_set.name}"
    condition = "they are a part that the paper drew itself"
    swapped = [name for name, counted in sets.items() if sorted(counted) == sorted(own) and len(set(own)) == len(own)]
    if swapped:
        by_size = dict(zip(sets[swapped[0]], classes))
        wrong = ", ".join(f"{label} stands for {by_size[n]}" for label, n in zip(classes, own) if by_size[n] != label)
        condition = f"they are those of {swapped[0]} under the names of other classes: {wrong}"
    elif len(classes) == len(file.classes) and sum(own):
        whole = parts.named_sets(file)
        by_class, drawn = parts.by_class(own, parts.balanced(whole))
        if balanced := by_class or drawn:
            first = balanced[0]
            condition = f"they are {' or '.join(part.name for part in balanced[:3])}"
            if first.copies:
                condition += (
                    f": about {first.copies:,} of {sum(own):,} then have a copy among the images that were not drawn"
                )
        else:
            by_class, drawn = parts.by_class(own, parts.shares(whole))
            if by_class:
                condition = f"they are {' or '.join(part.name for part in by_class[:3])}, drawn class by class"
            elif drawn:
                condition = f"they are {' or '.join(part.name for part in drawn[:3])}, drawn at random"
    yield Finding(*(*about, "consistent only if", says, listed, condition), "the lists of the images")
