"""What a text says of its numbers, against the numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, pairwise

from fer_common.audit import parts
from fer_common.audit.checks import matrices
from fer_common.audit.finding import Finding
from fer_common.audit.printed import Bounds, Rounding, bounds, of_claim, overlap, percent, percents
from fer_common.claims import (
    Between,
    ClaimsFile,
    Contradiction,
    Extreme,
    ImageSize,
    Margin,
    OfNumbers,
    Range,
    Ranking,
    Split,
)


@dataclass(frozen=True)
class Value:
    """A number of a class or system: as it is printed, and what it can have been."""

    printed: str
    ways: tuple[Bounds, ...]


def values_of(file: ClaimsFile, said: OfNumbers, metric: str, roundings) -> dict[str, list[Value]]:
    """The numbers in a metric by class or system, from the reports, matrices and claims that a statement is about."""
    found: dict[str, list[Value]] = {}
    for report in (r for r in file.reports if r.id in said.about):
        for label in (label for label in file.classes if label in report.rows):
            if (value := getattr(report.rows[label], metric, None)) is not None:
                ways = tuple(bounds(value, report.unit, rounding) for rounding in roundings)
                found.setdefault(label, []).append(Value(value + " %" * (report.unit == "percent"), ways))
    for matrix in (m for m in matrices.by_rows(file) if m.id in said.about and metric == "recall"):
        for k, label in enumerate(file.classes):
            ways = tuple(matrices.cells_of(file, matrix, rounding)[k][k] for rounding in roundings)
            found.setdefault(label, []).append(Value(percents(ways[0]), ways))
    for claim in (c for c in file.claims if c.id in said.about and c.metric == metric):
        overall = ("none", "macro", "weighted", "micro", "unstated")
        name = claim.system if claim.average in overall else claim.average
        ways = tuple(of_claim(claim, rounding) for rounding in roundings)
        found.setdefault(name, []).append(Value(claim.printed, ways))
    return found


def _nothing(said: OfNumbers, metric: str) -> Finding:
    says = f"Of what is said of {metric} ({said.where}), too few numbers are printed to tell"
    return Finding("statements", (said.id, *said.about), "not applicable", says, uncompared=said.says)


def said_extremes(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """A class or system that the text calls the highest or lowest. A tie in the printed digits contradicts nothing."""
    for said in (s for s in file.statements if isinstance(s, Extreme)):
        for metric in said.metrics:
            values = values_of(file, said, metric, roundings)
            among = file.classes if said.of in file.classes else file.systems
            own = [value for name, found in values.items() if name == said.of for value in found]
            others = [value for name, found in values.items() if name != said.of and name in among for value in found]
            if not own or not others:
                yield _nothing(said, metric)
                continue
            if said.kind == "highest":
                beaten = any(_above(other, one) for other in others for one in own)
            else:
                beaten = any(_above(one, other) for other in others for one in own)
            listed = ", ".join(f"{name} {value.printed}" for name, found in values.items() for value in found)
            yield Finding(
                *("statements", (said.id, *said.about), "inconsistent" if beaten else "consistent"),
                f"{said.of} is said to have the {said.kind} {metric}, and "
                + ("by the printed numbers another has it" if beaten else "has it"),
                f"printed are {listed}",
            )


def _above(a: Value, b: Value) -> bool:
    """Whether a number is above another however each was rounded."""
    return all(one[0] > other[1] for one in a.ways for other in b.ways)


def ranges(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Values that are said to lie between two others, or above or below one."""
    for said in (s for s in file.statements if isinstance(s, Range)):
        for metric in said.metrics:
            values = values_of(file, said, metric, roundings)
            values = {name: own for name, own in values.items() if name not in said.but_for}
            ways = {name: [way for value in own for way in value.ways] for name, own in values.items()}
            yield from _within_limits(said, metric, f"{metric} is said to lie", values, ways, roundings)


def margins(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Leads of a system over each of the others that are said to be so or so large."""
    for said in (s for s in file.statements if isinstance(s, Margin)):
        for metric in said.metrics:
            values = values_of(file, said, metric, roundings)
            leads = {
                name: [
                    (mine[0] - theirs[1], mine[1] - theirs[0])
                    for one in values.get(said.of, [])
                    for other in own
                    for mine, theirs in zip(one.ways, other.ways, strict=True)
                ]
                for name, own in values.items()
                if name != said.of
            }
            yield from _within_limits(
                said, metric, f"{said.of} is said to be ahead in {metric}", values, leads, roundings
            )


def _within_limits(said: Between, metric: str, what: str, values, ways, roundings) -> Iterator[Finding]:
    """Whether one of the `ways` to read each number is within what is said, however that was rounded."""
    low = min(bounds(said.low, said.unit, r)[0] for r in roundings) if said.low else Fraction(-1)
    high = max(bounds(said.high, said.unit, r)[1] for r in roundings) if said.high else Fraction(1)
    outside = [name for name, own in ways.items() if not any(overlap(way, (low, high)) for way in own)]
    limits = f"{said.low} to {said.high}" if said.low and said.high else f"{said.low} or more"
    limits = limits if said.low else f"{said.high} or less"
    unit = " points" if isinstance(said, Margin) else " per cent" * (said.unit == "percent")
    listed = ", ".join(f"{name} {own[0].printed}" for name, own in values.items())
    if not any(ways.values()):
        yield _nothing(said, metric)
        return
    how = "by" if isinstance(said, Margin) else "at"
    yield Finding(
        *("statements", (said.id, *said.about), "inconsistent" if outside else "consistent"),
        f"{what} {how} {limits}{unit}, and " + (f"{', '.join(outside)} is not so" if outside else "is"),
        f"printed are {listed}",
    )


def rankings(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Systems that are said to come in an order, the best first; equal printed digits contradict none."""
    for said in (s for s in file.statements if isinstance(s, Ranking)):
        for metric in said.metrics:
            values = values_of(file, said, metric, roundings)
            order = [name for name in said.order if name in values]
            if len(order) < 2:
                yield _nothing(said, metric)
                continue
            turned = [
                f"{worse} is ahead of {better}"
                for better, worse in pairwise(order)
                if all(_above(w, b) for b in values[better] for w in values[worse])
            ]
            listed = ", ".join(f"{name} {values[name][0].printed}" for name in order)
            yield Finding(
                *("statements", (said.id, *said.about), "inconsistent" if turned else "consistent"),
                f"The order in {metric} is said to be {', '.join(said.order)}, and "
                + (", ".join(turned) if turned else "is"),
                f"printed are {listed}",
            )


# Which of two systems is better


def order_of_systems(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Two systems of which one is ahead by the numbers of one place and behind by those of another."""
    told = _told(file, roundings)
    for a, b in combinations(file.systems, 2):
        for metric in ("accuracy", "recall.macro"):
            ahead: dict[str, list[tuple[str, tuple[str, ...]]]] = {a: [], b: []}
            for place in told:
                one, other = (place[1].get((system, metric)) for system in (a, b))
                if one is None or other is None:
                    continue
                for first, second, name in ((one, other, a), (other, one, b)):
                    if all(_above(x, y) for x, y in zip(first[0], second[0], strict=True)):
                        said = f"{one[0][0].printed} and {other[0][0].printed} by {place[0]}"
                        ahead[name].append((said, (first[1], second[1])))
            if ahead[a] and ahead[b]:
                (by_one, ids), (by_other, others) = ahead[a][0], ahead[b][0]
                named = metric.replace("recall.macro", "macro recall")
                yield Finding(
                    *("statements", tuple(dict.fromkeys((*ids, *others))), "consistent only if"),
                    f"{a} is ahead of {b} in {named} by one place of the paper, and behind by another",
                    f"{named} of {a} and {b}: {by_one}; {by_other}",
                    "they are of different images or runs, or of another average",
                    "the confusion matrices in counts",
                )


def _told(file: ClaimsFile, roundings) -> list[tuple[str, dict[tuple[str, str], tuple[list[Value], str]]]]:
    """By place of the paper, what it says of each system's accuracy and macro recall: values under each reading of the
    sizes of classes, and the id. An unstated average is read as macro."""
    places: dict[str, dict[tuple[str, str], tuple[list[Value], str]]] = {}
    for claim in file.claims:
        metric = {"accuracy": "accuracy", "recall": "recall.macro"}.get(claim.metric)
        if metric and claim.average in ("none", "macro", "unstated") and claim.images != "training":
            ways = tuple(of_claim(claim, rounding) for rounding in roundings)
            own = places.setdefault(claim.where, {})
            own.setdefault((claim.system, metric), ([Value(claim.printed, ways)], claim.id))
    by_matrix: dict[tuple[str, str], tuple[list[Value], str]] = {}
    sets = parts.named_sets(file)
    for matrix in (m for m in matrices.by_rows(file) if m.images != "training"):
        cells = {rounding: matrices.cells_of(file, matrix, rounding) for rounding in roundings}
        recalls = {rounding: [row[k] for k, row in enumerate(own)] for rounding, own in cells.items()}

        def value(weights, recalls=recalls) -> Value:
            ways = tuple(matrices.mean(own, weights) for own in recalls.values())
            return Value(percents(ways[0]), ways)

        by_matrix.setdefault((matrix.system, "recall.macro"), ([value(None)], matrix.id))
        if sets:
            by_matrix.setdefault((matrix.system, "accuracy"), ([value(own) for own in sets.values()], matrix.id))
    return [*places.items(), ("their matrices", by_matrix)]


# Other statements


def splits(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """Numbers of images that are said to be shares of a whole."""
    wholes = {name: sum(own) for name, own in parts.named_sets(file).items()}
    for said in (s for s in file.statements if isinstance(s, Split)):
        n_images, about = [int(n) for n in said.parts], ("statements", (said.id,))
        shares = [[bounds(share, "percent", r) for r in roundings] for share in said.shares]

        def fits(n: int, whole: int, ways) -> bool:
            return any(low <= Fraction(n, whole) <= high for low, high in ways)

        total = sum(n_images)
        listed, so = " and ".join(f"{n:,}" for n in n_images), ":".join(said.shares)
        are = ":".join(percent(Fraction(n, total)).removesuffix(" %") for n in n_images)
        if all(fits(n, total, ways) for n, ways in zip(n_images, shares)):
            yield Finding(*about, "consistent", f"{listed} images are {so}, as is said", f"they are {are}")
            continue
        of = [name for name, whole in wholes.items() if n_images[0] < whole and fits(n_images[0], whole, shares[0])]
        one = f"; {n_images[0]:,} are {said.shares[0]} per cent of {' or '.join(of)}" if of else ""
        yield Finding(
            *(
                *about,
                "consistent only if",
                f"{listed} images are said to be {so}, and are not",
                f"they are {are}{one}",
            ),
            "the shares are of other images, or loosely meant",
            "the lists of the images",
        )


def image_sizes(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """What is said of the size of the images against that of the data set."""
    size = file.data_set.image_size
    for said in (s for s in file.statements if isinstance(s, ImageSize) and size):
        says = f"Images are said to have {' and '.join(said.pixels)} pixels a side; {file.data_set.name} has {size}"
        if set(said.pixels) == {size}:
            yield Finding("statements", (said.id,), "consistent", says)
        else:
            condition = "the images were resized, or are of another data set"
            yield Finding("statements", (said.id,), "consistent only if", says, "", condition)


def contradictions(file: ClaimsFile, roundings: Sequence[Rounding]) -> Iterator[Finding]:
    """What a reader found two sentences to say of the same thing; not arithmetic, so a warning."""
    for said in (s for s in file.statements if isinstance(s, Contradiction)):
        yield Finding("statements", (said.id, *said.about), "warning", said.says, said.where)
