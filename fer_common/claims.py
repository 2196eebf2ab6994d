"""The claim: what a paper printed, as data, with its place; the schema of `reproductions/claims/<paper>.yaml`.

Values stay text, because their decimals matter (`0.90` is not `0.9`). Every error of a file is reported with line
and key, not only the first. What a claim is worth is decided elsewhere: `tables` holds it against runs.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from fer_common import UserError
from fer_common.data import EMOTIONS
from fer_common.data.fer2013 import OFFICIAL_COUNTS

FOLDER = Path(__file__).parent.parent / "reproductions" / "claims"

Text = Annotated[str, msgspec.Meta(min_length=1)]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.]*$")]
Numeral = Annotated[
    str, msgspec.Meta(pattern=r"^-?[0-9]*\.?[0-9]+$", description="as printed, without the unit: '83.2', '.90'")
]
WholeNumber = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+$")]
Metric = Literal["accuracy", "precision", "recall", "f1", "auc", "log_loss"]
Unit = Literal["fraction", "percent", "nats"]
Average = Annotated[
    str,
    msgspec.Meta(
        description="`none` for accuracy and loss; `macro`, `weighted`, `unstated`; `lowest` or `highest` over the "
        "classes; or the name of one class"
    ),
]
StatementKind = Literal[
    "highest", "lowest", "range", "margin", "ranking", "split", "image_size", "contradiction", "undefined", "count"
]
Images = Literal["test", "training", "validation", "unstated"]
Usage = Literal["Training", "PublicTest", "PrivateTest"]


class PrintedNumber(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A number as it is printed, and where."""

    id: Identifier
    value: Numeral
    unit: Unit
    where: Text
    """Section, table or figure."""
    note: Text | None = None

    @property
    def number(self) -> float:
        """The value on the metric's own scale: per cent divided by 100."""
        return float(self.value) / (100 if self.unit == "percent" else 1)

    @property
    def half_unit(self) -> float:
        """Half a unit of the last printed digit, on the metric's own scale: what rounding hides."""
        decimals = len(self.value.partition(".")[2])
        return 0.5 * 10.0**-decimals / (100 if self.unit == "percent" else 1)


class Claim(PrintedNumber, kw_only=True):
    """One printed number of a paper."""

    system: Identifier
    metric: Metric
    images: Images = "unstated"
    """What the paper calls the images that the number is about."""
    usage: Usage | None = None
    """The part of FER2013 that they are, where the paper leaves no doubt (by its supports, say)."""
    n_images: WholeNumber | None = None
    """How many images the number is about, where the paper says so."""
    average: Average = "none"
    epoch: WholeNumber | None = None
    also: Literal["mean_ovr_accuracy"] | None = None
    """What else the metric may be: an "accuracy" may be the mean over one-vs-rest problems, 1 − 2·error/classes."""
    running: Literal["yes", "no", "possibly"] = "no"
    """Whether it may be the metric that Keras prints while training, with dropout on."""
    headline: Literal["yes", "no"] = "no"
    """Whether the paper is known by this number; the README shows these."""


class ReportRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One line of a classification report."""

    precision: Numeral | None = None
    recall: Numeral | None = None
    f1: Numeral | None = None
    accuracy: Numeral | None = None
    support: WholeNumber


class Report(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A printed classification report; each of its numbers but the supports becomes a claim."""

    id: Identifier
    system: Identifier
    unit: Unit
    where: Text
    images: Images = "unstated"
    usage: Usage | None = None
    epoch: WholeNumber | None = None
    rows: dict[str, ReportRow]
    """By class name, and `accuracy`, `macro`, `weighted` for the lines below."""
    note: Text | None = None

    def claims(self) -> Iterator[Claim]:
        """Its numbers as claims, with ids like `report.angry.precision`."""
        for name, row in self.rows.items():
            for metric in ("precision", "recall", "f1", "accuracy"):
                value = getattr(row, metric)
                if value is not None:
                    yield Claim(
                        id=f"{self.id}.{name}" + ("" if name == metric else f".{metric}"),
                        system=self.system,
                        metric=metric,
                        value=value,
                        unit=self.unit,
                        where=self.where,
                        images=self.images,
                        usage=self.usage,
                        n_images=self.rows["accuracy"].support if "accuracy" in self.rows else None,
                        average="none" if metric == "accuracy" else name,
                        epoch=self.epoch,
                    )


class ConfusionMatrix(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A printed confusion matrix in shares: a row a true class, a column a predicted one."""

    id: Identifier
    system: Identifier
    unit: Literal["fraction", "percent"]
    where: Text
    images: Images = "unstated"
    usage: Usage | None = None
    columns: list[Text]
    """The predicted classes in the order of the columns."""
    rows: dict[str, list[Numeral]]
    """By true class, one value a column."""
    note: Text | None = None


class Curve(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Printed values epoch by epoch, from the first epoch on."""

    id: Identifier
    system: Identifier
    where: Text
    training_loss: list[Numeral] = []
    validation_loss: list[Numeral] = []
    training_accuracy: list[Numeral] = []
    """In fractions of 1, like the next."""
    validation_accuracy: list[Numeral] = []
    seconds: list[Numeral] = []
    note: Text | None = None

    def columns(self) -> dict[str, list[str]]:
        """The columns that are there, by name."""
        names = ("training_loss", "validation_loss", "training_accuracy", "validation_accuracy", "seconds")
        return {name: getattr(self, name) for name in names if getattr(self, name)}


class Band(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What honest single models reach on a data set, in per cent."""

    low: Numeral
    high: Numeral
    source: Text


class DataSet(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The data that the paper's numbers are about; FER2013 where a file has none."""

    name: Text
    counts: dict[str, dict[str, WholeNumber]]
    """By named set of images (a part, a merger of parts): images by class."""
    band: Band | None = None
    image_size: WholeNumber | None = None
    """Height and width in pixels."""


def fer2013() -> DataSet:
    """FER2013's parts and their mergers, and what honest models are known to reach on PrivateTest, in per cent."""
    parts = {usage: np.array(counts) for usage, counts in OFFICIAL_COUNTS.items()}
    mergers = {
        "PublicTest + PrivateTest": ("PublicTest", "PrivateTest"),
        "Training + PublicTest": ("Training", "PublicTest"),
        "all images": tuple(parts),
    }
    parts |= {name: np.sum([parts[part] for part in own], axis=0) for name, own in mergers.items()}
    counts = {name: dict(zip(EMOTIONS, map(str, own))) for name, own in parts.items()}
    source = (
        "honest single networks from scratch at 48 px to ImageNet weights at 224 px; above it, an explanation is due"
    )
    return DataSet(name="FER2013", counts=counts, band=Band(low="71", high="77", source=source), image_size="48")


class Statement(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Something the text says about its numbers, in our words."""

    id: Identifier
    kind: StatementKind
    says: Text
    where: Text
    about: list[Text] = []
    """Ids of the claims or reports it concerns, or numerals that it holds."""
    of: Text | None = None
    """Of `highest` and `lowest`: the class or system that is said to be it; of `margin`: the system that is ahead."""
    metrics: list[Metric] = []
    """In which metrics; the numbers come from the claims and reports of `about`."""
    low: Numeral | None = None
    """Of `range`: the values are said to be this or more; of `margin`: the lead over each of the others."""
    high: Numeral | None = None
    unit: Literal["percent", "fraction"] = "percent"
    """Of `low` and `high`."""
    but_for: list[Text] = []
    """Of `range`: the classes that it leaves out."""
    order: list[Text] = []
    """Of `ranking`: systems, the best first."""
    parts: list[WholeNumber] = []
    """Of `split`: the numbers of images that are said to be `shares` of the whole, in per cent."""
    shares: list[Numeral] = []
    pixels: list[WholeNumber] = []
    """Of `image_size`: what is said of height and width."""


class Hypothesis(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Something that the paper claims without a number, as a difference between two systems that can be false."""

    id: Identifier
    says: Text
    where: Text
    system: Identifier
    against: Identifier
    """Both: a system of the script, or what the names of several begin with that are trained on one task each."""
    tasks: list[Text]
    """The mean over them is compared."""
    metric: Literal["accuracy", "gap", "multiply_adds", "parameters"]
    """`gap`: accuracy on the fitted images less that on the tested ones."""
    margin: Numeral = "0"
    """In points: how far the system may be behind and still keep up."""
    floor: Numeral | None = None
    """Accuracy in expression, in per cent, that `against` must reach to be a baseline at all."""

    @property
    def claimed(self) -> str:
        if self.metric in ("multiply_adds", "parameters"):
            return "below 100 %"
        if not float(self.margin):
            return "ahead"
        return f"at most {self.margin} point{'' if self.margin == '1' else 's'} behind"


class Context(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A number that the paper quotes from other work."""

    value: Numeral
    unit: Unit
    metric: Metric
    source: Text
    where: Text


class OtherNumeral(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A numeral of the results sections that is no claim, and why."""

    numeral: Text
    reason: Text


class Reference(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The paper, as far as our copy of its text gives it."""

    title: Text | None = None
    authors: Text | None = None
    year: WholeNumber | None = None
    venue: Text | None = None
    doi: Text | None = None
    note: Text | None = None


class ClaimsFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything one paper prints."""

    paper: Identifier
    reference: Reference
    classes: list[Text] = msgspec.field(default_factory=lambda: list(EMOTIONS))
    systems: dict[str, Text]
    """Each system that the paper prints numbers for, with a line on what it is."""
    readings: dict[str, list[Text]] = {}
    """By system: other systems of the script that the paper's words may also mean; they meet its headline claims."""
    claims: list[Claim]
    reports: list[Report] = []
    matrices: list[ConfusionMatrix] = []
    curves: list[Curve] = []
    data_set: DataSet = msgspec.field(default_factory=fer2013)
    runs: Literal["one", "several", "unstated"] = "unstated"
    """Whether the printed numbers are of one run or means over several (folds, seeds), where the paper says so."""
    statements: list[Statement] = []
    hypotheses: list[Hypothesis] = []
    context: list[Context] = []
    other_numerals: list[OtherNumeral] = []

    def all_claims(self) -> list[Claim]:
        """The claims, and those inside the reports."""
        return [*self.claims, *(claim for report in self.reports for claim in report.claims())]


def schema() -> dict:
    """The JSON Schema of a claims file."""
    return msgspec.json.schema(ClaimsFile)


def load(paper: str) -> ClaimsFile:
    """The claims file of one of the suite's papers. Raises UserError where there is none, or what is there is wrong."""
    path = FOLDER / f"{paper}.yaml"
    if not path.is_file():
        raise UserError(
            f"{paper} has no claims file: write reproductions/claims/{paper}.yaml; docs/adding_a_paper.md has an "
            "example."
        )
    file = read(path)
    if file.paper != paper:
        raise UserError(f"{path}: it says `paper: {file.paper}`; it has to be {paper}, the name of the file.")
    return file


def read(path: Path) -> ClaimsFile:
    """The claims file at `path`. Raises UserError that lists every error with file, line and key."""
    return read_as(ClaimsFile, path, _cross_check)


def read_as(kind: type, path: Path, cross_check: Callable[[Any, Any, list[str]], None]) -> Any:
    """The YAML file at `path` as a `kind` of msgspec struct whose values stay text where it says so.

    cross_check: function(values, root node, errors) that adds what the schema cannot say. Raises UserError that lists
    every error with file, line and key.
    """
    import yaml

    try:
        root = yaml.compose(path.read_text(), Loader=yaml.BaseLoader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: not YAML ({getattr(error, 'problem', error)}).") from None
    errors: list[str] = []
    file: Any = None
    if root is None:
        required = (field.name for field in msgspec.structs.fields(kind) if field.required)
        errors.append(f"is empty; expected the keys {', '.join(required)}")
    else:
        file = _convert(root, kind, "", errors)
    if file is not None and not errors:
        cross_check(file, root, errors)
    if file is None or errors:
        raise UserError(f"{path}: {len(errors)} error{'s' * (len(errors) > 1)}\n  " + "\n  ".join(errors))
    return file


def _convert(node, kind: Any, key: str, errors: list[str]) -> Any:
    """The value of a YAML node as `kind`; what does not fit is added to `errors`, and the rest is still looked at."""
    import yaml

    kind = _without_none(kind)
    line = f"line {node.start_mark.line + 1}, {key or 'top level'}"
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    if is_struct or get_origin(kind) is dict:
        if not isinstance(node, yaml.MappingNode):
            errors.append(f"{line}: expected keys with values")
            return None
        found = {}
        for key_node, value_node in node.value:
            name, where = key_node.value, f"{key}.{key_node.value}".lstrip(".")
            at = f"line {key_node.start_mark.line + 1}, {where}"
            if name in found:
                errors.append(f"{at}: the key is there twice; keep one")
            elif is_struct and name not in kind.__struct_fields__:
                errors.append(f"{at}: unknown key; expected one of {', '.join(kind.__struct_fields__)}")
            else:
                inner = get_type_hints(kind, include_extras=True)[name] if is_struct else get_args(kind)[1]
                found[name] = _convert(value_node, inner, where, errors)
        if is_struct:
            required = (f.name for f in msgspec.structs.fields(kind) if f.required)
            missing = [name for name in required if name not in found]
            if missing:
                errors.append(f"{line}: missing {', '.join(missing)}")
            return None if missing or None in found.values() else kind(**found)
        return found
    if get_origin(kind) is list:
        if not isinstance(node, yaml.SequenceNode):
            errors.append(f"{line}: expected a list")
            return None
        return [_convert(item, get_args(kind)[0], f"{key}[{i}]", errors) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.ScalarNode):
        errors.append(
            f"{line}: expected one value, found a {'list' if isinstance(node, yaml.SequenceNode) else 'mapping'}"
        )
        return None
    try:
        return msgspec.convert(node.value, kind)
    except msgspec.ValidationError:
        errors.append(f"{line}: {node.value!r} does not fit; expected {_expected(kind)}")
        return None


def _without_none(kind: Any) -> Any:
    options = [option for option in get_args(kind) if option is not type(None)]
    is_union = get_origin(kind) is Union or type(kind).__name__ == "UnionType"
    return options[0] if is_union and len(options) == 1 else kind


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if kind == Numeral:
        return "a number as printed, without unit"
    if kind == WholeNumber:
        return "a whole number"
    if kind == Identifier:
        return "lower-case letters, digits, _ and ."
    return "some text"


def _cross_check(file: ClaimsFile, root, errors: list[str]) -> None:
    """What the schema cannot say: ids are unique, systems and classes known, averages sensible."""
    lines: dict[str, int] = {}

    def collect(node):
        for value in getattr(node, "value", []) if not isinstance(node.value, str) else []:
            if isinstance(value, tuple):
                if value[0].value == "id":
                    lines.setdefault(value[1].value, value[1].start_mark.line + 1)
                collect(value[1])
            else:
                collect(value)

    collect(root)
    seen = set()
    items: list[Claim | Report | ConfusionMatrix | Curve | Statement | Hypothesis] = [*file.claims, *file.reports]
    items += [*file.matrices, *file.curves, *file.statements, *file.hypotheses]
    for item in items:
        at = f"line {lines[item.id]}, {item.id}"
        if item.id in seen:
            errors.append(f"{at}: the id is there twice; ids are unique in a file")
        seen.add(item.id)
        system = None if isinstance(item, Hypothesis) else getattr(item, "system", None)
        if isinstance(item, Hypothesis):
            errors.extend(
                f"{at}: neither {name} nor {name}_{task} is under systems"
                for name in (item.system, item.against)
                for task in item.tasks
                if not {name, f"{name}_{task}"} & set(file.systems)
            )
        if system is not None and system not in file.systems:
            errors.append(f"{at}: system {system} is not under systems; expected one of {', '.join(file.systems)}")
        if isinstance(item, Claim):
            averages = ("none",) if item.metric in ("accuracy", "log_loss") else (*_AVERAGES, *file.classes)
            if item.average not in averages:
                errors.append(f"{at}: average {item.average} of {item.metric}; expected one of {', '.join(averages)}")
            if (item.unit == "nats") != (item.metric == "log_loss"):
                errors.append(f"{at}: unit {item.unit} of {item.metric}; a log_loss is in nats, nothing else is")
        errors.extend(f"{at}: {said}" for said in _beyond_its_unit(item))
        if isinstance(item, ConfusionMatrix):
            expected = f"expected one of {', '.join(file.classes)}"
            unknown = (name for name in (*item.rows, *item.columns) if name not in file.classes)
            errors.extend(f"{at}: {name} is no class; {expected}" for name in unknown)
            for name, values in item.rows.items():
                if len(values) != len(item.columns):
                    errors.append(
                        f"{at}: row {name} has {len(values)} values; expected {len(item.columns)}, as columns"
                    )
        if isinstance(item, Curve) and len({len(values) for values in item.columns().values()}) != 1:
            errors.append(f"{at}: the columns of a curve have one value an epoch each; theirs differ in length")
        if isinstance(item, Report):
            for name, row in item.rows.items():
                if name != "accuracy" and row.accuracy:
                    errors.append(f"{at}: row {name} has an accuracy; of one class that is its recall, say so")
                if name not in (*file.classes, "accuracy", "macro", "weighted"):
                    errors.append(f"{at}: row {name} is no class; expected one of {', '.join(file.classes)}")

    for name, own in file.data_set.counts.items():
        if set(own) != set(file.classes):
            what = "needs a data_set of its own" if file.data_set.name == "FER2013" else f"{name} has {', '.join(own)}"
            errors.append(f"data_set: classes and counts must be of the same names; a file about other classes {what}")
            break


def _beyond_its_unit(item) -> Iterator[str]:
    """What is printed in a unit that cannot hold it: 83.2 as a fraction, −0.5, 120 per cent, a matrix of counts."""
    if isinstance(item, ConfusionMatrix):
        cells = [(f"row {name}", value) for name, values in item.rows.items() for value in values]
    elif isinstance(item, Report):
        metrics = ("precision", "recall", "f1", "accuracy")
        named = [(name, metric, getattr(row, metric)) for name, row in item.rows.items() for metric in metrics]
        cells = [(f"row {name}, {metric}", value) for name, metric, value in named if value is not None]
    elif isinstance(item, Claim):
        cells = [("value", item.value)]
    else:
        return
    limit = {"fraction": 1, "percent": 100, "nats": float("inf")}[item.unit]
    beyond = [(where, value) for where, value in cells if not 0 <= float(value) <= limit]
    if not beyond:
        return
    where, value = beyond[0]
    others = f", and {len(beyond) - 1} more" if len(beyond) > 1 else ""
    fix = f"expected 0 to {limit}" if limit < float("inf") else "expected 0 or more"
    if isinstance(item, ConfusionMatrix) and all(float(value).is_integer() for _, value in cells):
        fix += "; these look like counts, and a matrix is entered in shares: divide each row by its total"
    elif item.unit == "fraction" and 1 < float(value) <= 100:
        fix += ", or unit: percent"
    yield f"{where}: {value} in {item.unit}{others}; {fix}"


_AVERAGES = ("macro", "weighted", "unstated", "lowest", "highest")


def numerals(text: str) -> list[str]:
    """Every numeral in a stretch of a paper's text, as printed; digits inside words (Fig2) and list marks count too."""
    return re.findall(r"\d+(?:,\d{3})+|\d*\.\d+|\d+", text)


def printed_numerals(file: ClaimsFile) -> set[str]:
    """Every numeral that a claims file accounts for."""
    found = {claim.value for claim in file.all_claims()} | {context.value for context in file.context}
    found |= {row.support for report in file.reports for row in report.rows.values()}
    found |= {value for matrix in file.matrices for row in matrix.rows.values() for value in row}
    found |= {value for curve in file.curves for values in curve.columns().values() for value in values}
    found |= {claim.epoch for claim in file.all_claims() if claim.epoch}
    found |= {claim.n_images for claim in file.all_claims() if claim.n_images}
    for said in file.statements:
        found |= {*said.about, *said.parts, *said.shares, *said.pixels, *filter(None, (said.low, said.high))}
    return found | {other.numeral for other in file.other_numerals}
