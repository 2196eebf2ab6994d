"""Numbers on their own and beside each other: whole numbers of images, identities between metrics, the report and the
matrix of the same system, and what is known of the data set.
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations

from fer_common.audit import counts, metrics, parts
from fer_common.audit.checks import matrices, reports
from fer_common.audit.checks.curves import rate
from fer_common.audit.checks.reading import Reading, keys_of, plain, same_images
from fer_common.audit.finding import Finding
from fer_common.audit.printed import Bounds, Rounding, of_claim, overlap, percent, percents
from fer_common.claims import Claim, ClaimsFile, ConfusionMatrix, Report


def granularity(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Printed accuracies and recalls against whole numbers of images: the set that is named, else each there is."""
    sets = parts.named_sets(file)
    for claim in file.all_claims():
        of_class = claim.metric == "recall" and claim.average in file.classes
        if not (claim.metric == "accuracy" or (of_class and claim in file.claims)):
            continue
        if of_class:
            named = {claim.usage: sets[claim.usage]} if claim.usage in sets else sets
            sizes = {name: own[file.classes.index(claim.average)] for name, own in named.items()}
        else:
            named = {claim.usage: sets[claim.usage]} if claim.usage in sets else sets
            sizes = {name: sum(own) for name, own in named.items()}
        known = claim.usage in sets
        if claim.n_images:
            sizes, known = {f"{int(claim.n_images):,} images": int(claim.n_images)}, True
        if not sizes:
            says = f"Of how many images {claim.printed} is, nothing says"
            yield Finding("granularity", (claim.id,), "not applicable", says)
            continue
        yield _granularity(file, claim, {name: n for name, n in sizes.items() if n}, known, roundings)


def _granularity(file, claim: Claim, sizes: dict[str, int], known: bool, roundings) -> Finding:
    about = ("granularity", (claim.id,))
    runs = file.n_runs or 1
    values = [of_claim(claim, rounding) for rounding in roundings]

    def fits(n: int) -> bool:
        return any(counts.accuracy_is_possible(value, n * runs) for value in values)

    possible = [name for name, n in sizes.items() if fits(n)]
    impossible = [name for name in sizes if name not in possible]
    in_runs = f" in {runs} runs" if runs > 1 else ""
    if not impossible:
        listed = ", ".join(possible)
        says = f"{claim.printed} is a whole number of hits{in_runs} on {listed}"
        return Finding(*about, "consistent", says)
    says = f"{claim.printed} is no whole number of hits{in_runs} on {' or '.join(impossible)}"
    one_vs_rest = claim.metric == "accuracy" and any(
        counts.errors_are_possible(value, n * runs, len(file.classes)) for value in values for n in sizes.values()
    )
    if known and file.n_runs and not one_vs_rest:
        return Finding(*about, "inconsistent", says, _nearest(claim, sizes, runs), settle="the number of images")
    readings = [] if file.n_runs else ["it is a mean over several runs"]
    if not (known or possible):
        possible = [name for name, own in _parts(parts.named_sets(file)) if any(map(fits, own))]
    readings += [f"it is of {' or '.join(possible)}"] if possible else []
    readings += ["it is the mean of one-vs-rest accuracies"] if one_vs_rest and not possible else []
    readings += ["it is of images that the data set has no name for"] if not known else []
    return Finding(*about, "consistent only if", says, _nearest(claim, sizes, runs), ", or ".join(readings))


def _nearest(claim: Claim, sizes: dict[str, int], runs: int) -> str:
    """The nearest numbers of hits on the first set that a claim is held against."""
    name, n = next(iter(sizes.items()))
    hits = int(claim.number * n * runs)
    decimals = len(claim.value.partition(".")[2]) + 1
    scale = 100 if claim.unit == "percent" else 1
    around = " and ".join(f"{scale * k / n / runs:.{decimals}f} ({k:,} hits)" for k in (hits, hits + 1))
    return f"the nearest on {name} are {around}"


def _parts(sets: dict[str, list[int]]) -> Iterator[tuple[str, set[int]]]:
    """The usual parts of the named sets, and the sizes that rounding gives them."""
    for part in parts.shares(sets):
        if part.share in ("a tenth", "a fifth"):
            yield f"{part.share} of {part.of}", {int(part.n), -int(-part.n // 1)} - {0}
    for name, own in sets.items():
        yield f"{name} without its last batch", {sum(own) - sum(own) % size for size in (16, 32, 64, 128)} - {0}


def sizes(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Numbers of images that are those of no named set, against shares of them and of balanced ones."""
    sets = parts.named_sets(file)
    known = {sum(own) for own in sets.values()}
    in_reports = {claim.id for report in file.reports for claim in report.claims()}
    by_number: dict[int, list[str]] = {}
    for claim in file.all_claims():
        whole = claim.average not in file.classes and claim.id not in in_reports
        if claim.n_images and whole and int(claim.n_images) not in known:
            by_number.setdefault(int(claim.n_images), []).append(claim.id)
    for n, about in by_number.items() if sets else ():
        says = f"{n:,} images are no named set of {file.data_set.name}"
        found = parts.by_total(n, parts.shares(sets)) + parts.by_total(n, parts.balanced(sets))
        condition = f"they are {' or '.join(part.name for part in found[:4])}" if found else ""
        copies = [f"{part.copies:,} of them ({part.name})" for part in found if part.copies]
        if copies:
            condition += f", so that about {' or '.join(copies)} have a copy among the images that were not drawn"
        condition = condition or "they are a part that the paper drew itself"
        yield Finding("sizes", tuple(about), "consistent only if", says, "", condition, "the lists of the images")


# Identities


def identities(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Accuracy, precision, recall and F1 that are printed of one system, images, place and average, outside reports."""
    groups: dict[tuple, dict[tuple[str, str], Claim]] = {}
    for claim in file.claims:
        if claim.average not in ("lowest", "highest"):
            place = claim.where.split(",")[0]
            key = (claim.system, claim.images, claim.usage, claim.epoch, place)
            groups.setdefault(key, {}).setdefault((claim.metric, claim.average), claim)
    for group in groups.values():
        accuracy = group.get(("accuracy", "none"))
        for average in ("macro", "weighted", "micro", "unstated", *file.classes):
            own = {metric: claim for (metric, printed_of), claim in group.items() if printed_of == average}
            if accuracy and "recall" in own and average not in ("macro", *file.classes):
                yield _recall_and_accuracy(file, accuracy, own["recall"], roundings)
            if {"precision", "recall", "f1"} <= set(own):
                yield _f1_of(file, own, roundings)


def _recall_and_accuracy(file: ClaimsFile, accuracy: Claim, recall: Claim, roundings) -> Finding:
    about = ("identities", (accuracy.id, recall.id))
    average = "weighted or micro" if recall.average == "unstated" else recall.average
    evidence = f"accuracy {accuracy.printed}, {average} recall {recall.printed}"
    values = [(of_claim(accuracy, a), of_claim(recall, b)) for a in roundings for b in roundings]
    if any(overlap(a, b) for a, b in values):
        return Finding(*about, "consistent", f"Accuracy and {average} recall are the same number", evidence)
    readings = ["the recall is a macro average, or counted at a threshold"] if recall.average == "unstated" else []
    if any(overlap(plain(a, len(file.classes)), b) for a, b in values):
        readings.append("the accuracy is a mean of one-vs-rest accuracies")
    if file.n_runs is None:
        readings.append("they are means over sets of different sizes")
    return Finding(
        *(*about, "consistent only if" if readings else "inconsistent"),
        f"An accuracy of {accuracy.printed} and a recall of {recall.printed} ({average}) would be the same number",
        evidence,
        ", or ".join(readings),
    )


def _f1_of(file: ClaimsFile, own: dict[str, Claim], roundings) -> Finding:
    names = ("precision", "recall", "f1")
    about = ("identities", tuple(own[metric].id for metric in names))
    average = own["f1"].average
    said = ", ".join(f"{metric} {own[metric].printed}" for metric in names)
    of = f" of {average}" if average in file.classes else "" if average == "unstated" else f" ({average})"
    readings = {
        "F1 is the harmonic mean of the two": metrics.f1_of_means_is_possible,
        "F1 is a mean over classes or runs": metrics.mean_f1_is_possible,
    }
    if average in (*file.classes, "micro") and file.n_runs == 1:
        readings.popitem()
    values = [
        (of_claim(own["f1"], a), of_claim(own["precision"], b), of_claim(own["recall"], c))
        for a in roundings
        for b in roundings
        for c in roundings
    ]
    fits = [name for name, possible in readings.items() if any(possible(*value) for value in values)]
    goes = f"F1, precision and recall{of} go together"
    # Macro and weighted F1 are means over classes: their plainest reading.
    means = average in ("macro", "weighted") and "F1 is a mean over classes or runs" in fits
    if len(fits) == len(readings) or means:
        return Finding(*about, "consistent", goes, said)
    if fits:
        says = f"An F1 of {own['f1'].printed}{of} is not the harmonic mean of precision and recall"
        plainly = "F1 is the harmonic mean of the two" in fits
        return Finding(*about, "consistent only if", goes if plainly else says, said, fits[0])
    within = metrics.harmonic(*(of_claim(own[metric], "rounded") for metric in ("precision", "recall")))
    precision, recall, f1 = (own[metric].printed for metric in names)
    says = f"A precision of {precision} and a recall of {recall}{of} give no F1 of {f1}"
    evidence = f"{said}; the harmonic mean is {percents(within)}"
    if average == "unstated":
        return Finding(*about, "consistent only if", says, evidence, "the three are different averages")
    return Finding(*about, "inconsistent", says, evidence)


# Beside the report and the matrix of the same system


def agreement(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Every number of a system against what its reports and matrices make of it."""
    for report in file.reports:
        readings = reports.readings(file, report, roundings)
        yield from _agreement(file, report, readings, [], roundings, f"The report of {report.where}")
    for matrix in file.matrices:
        named, loose = matrices.readings(file, matrix, roundings)
        yield from _agreement(file, matrix, named, loose, roundings, f"The matrix of {matrix.where}")


def _agreement(
    file: ClaimsFile,
    source: Report | ConfusionMatrix,
    named: list[Reading],
    loose: list[Reading],
    roundings: Sequence[Rounding],
    what: str,
) -> Iterator[Finding]:
    for claim in (c for c in file.claims if c.system == source.system):
        same = same_images(file, claim, source)
        keys = keys_of(claim)
        given = [(reading, limits) for reading in named for limits in _limits(reading, keys)]
        whatever = [(reading, limits) for reading in loose for limits in _limits(reading, keys)]
        if same != "no" and (given or whatever):
            yield _one_agreement(file, claim, source, given, whatever, same == "yes", roundings, what)


def _limits(reading: Reading, keys: Iterable[tuple[str, str]]) -> list[Bounds]:
    return [limits for key in keys for limits in reading.values.get(key, [])]


def _fits(claim: Claim, values: list[Bounds], given: list[tuple[Reading, Bounds]], one_run: bool) -> bool:
    for reading, limits in given:
        for value in values:
            if not overlap(limits, value):
                continue
            if not (one_run and claim.metric == "accuracy" and reading.hits is not None and reading.n_images):
                return True
            both = max(limits[0], value[0]), min(limits[1], value[1])
            if reading.hits.any_within(both, reading.n_images):
                return True
    return False


def _one_agreement(file, claim, source, given, whatever, same, roundings, what) -> Finding:
    about = ("agreement", (claim.id, source.id))
    name = claim.metric + (f" of {claim.average}" if claim.average in file.classes else "")
    values = [of_claim(claim, rounding) for rounding in roundings]
    one_run = file.n_runs == 1
    said = {}
    for reading, limits in given or whatever:
        said.setdefault(reading.of, percents(limits))
    evidence = f"{', '.join(f'{value} ({of})' for of, value in said.items())}; printed {claim.printed}"
    guessed = not given or not parts.named_sets(file)  # nobody knows the sizes of the classes
    if _fits(claim, values, given, one_run) or (guessed and _fits(claim, values, whatever, one_run)):
        return Finding(*about, "consistent", f"{what} allows the {name} of {claim.printed}", evidence)
    says = f"{what} does not give the {name} of {claim.printed}"
    conditions = []
    sizes_known = isinstance(source, Report) or source.unit == "count" or source.usage
    if not sizes_known and (not whatever or _fits(claim, values, whatever, one_run)):
        conditions.append("the classes were of other sizes, or the two are about different images or runs")
    one_vs_rest = [plain(value, len(file.classes)) for value in values] if claim.metric == "accuracy" else []
    if one_vs_rest and _fits(claim, one_vs_rest, given + whatever, one_run):
        conditions.append("the accuracy is a mean of one-vs-rest accuracies")
    if claim.average == "unstated":
        conditions.append("it is another average")
    # A matrix that can be shares of something of which the number does not follow excludes nothing.
    if isinstance(source, ConfusionMatrix):
        told = {reading.shares for reading, _ in given + whatever}
        silent = {kind for r in roundings for kind in matrices.kinds(file, source, r)} - told
        conditions += [f"its numbers are shares of the {kind}" for kind in sorted(silent)]
    # Means over runs of precision, F1 and the like are not those of a mean matrix.
    provable = same and (file.n_runs == 1 or (file.n_runs and claim.metric in ("recall", "accuracy")))
    if not conditions and provable:
        if whatever and not sizes_known:
            limits = " or ".join(dict.fromkeys(percents(limits) for _, limits in whatever))
            evidence = f"whatever the sizes of its classes, it gives {limits}; printed {claim.printed}"
        return Finding(*about, "inconsistent", says, evidence)
    if not provable and not any("different images" in one for one in conditions):
        conditions.append("the two are about different images or runs")
    return Finding(*about, "consistent only if", says, evidence, ", or ".join(conditions))


def repeated(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """The same metric of the same system and images, printed in several places."""
    groups: dict[tuple, list[Claim]] = {}
    for claim in file.claims:
        groups.setdefault((claim.system, claim.metric, claim.average, claim.images, claim.epoch), []).append(claim)
    for (system, metric, *_), own in groups.items():
        if len({(claim.value, claim.unit) for claim in own}) < 2:
            continue
        about = ("statements", tuple(claim.id for claim in own))
        values = ", ".join(f"{claim.printed} ({claim.where})" for claim in own)
        pairs = [
            [(of_claim(a, one), of_claim(b, other)) for one in roundings for other in roundings]
            for a, b in combinations(own, 2)
        ]
        same = all(any(_one_number(a, b) for a, b in pair) for pair in pairs)
        if same:
            yield Finding(
                *about, "consistent", f"The {metric} of {system} is one number wherever it is printed", values
            )
        else:
            yield Finding(
                *(*about, "consistent only if", f"The {metric} of {system} is printed as several numbers", values),
                "they are of different images, runs or settings",
            )


def _one_number(a: Bounds, b: Bounds) -> bool:
    """More than a common end, as 0.78 and 0.79 have; a count is a single point."""
    exact = a[0] == a[1] or b[0] == b[1]
    return overlap(a, b) if exact else max(a[0], b[0]) < min(a[1], b[1])


def band(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
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
                f"{claim.printed} is above the {known.low} to {known.high} per cent known of {file.data_set.name}",
                f"{known.source}{readings}" + (rate("band") if file.data_set.name == "FER2013" else ""),
                settle="which images were scored, and whether any part of the system had seen them",
            )
