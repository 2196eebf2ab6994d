"""The claim: what a paper printed, as data, with its place; the schema of `reproductions/claims/<paper>.yaml`.

Values stay text, because their decimals matter (`0.90` is not `0.9`). Every error of a file is reported with line
and key, not only the first. What a claim is worth is decided elsewhere: `tables` holds it against runs.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np

from fer_common import UserError
from fer_common.data import EMOTIONS
from fer_common.data.fer2013 import OFFICIAL_COUNTS

FOLDER = Path(__file__).parent.parent / "reproductions" / "claims"
LARGEST = 1 << 22  # bytes of a claims file
SHOWN = 60  # characters of a wrong value

# What a description says, an error says too: `expected ...`.
Text = Annotated[
    str,
    msgspec.Meta(min_length=1, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$", description="text without control characters"),
]
Identifier = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_.]*$", description="lower-case letters, digits, _ and .")
]
Numeral = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^-?([0-9]+\.?[0-9]*|\.[0-9]+)$",
        max_length=40,
        description="a number as printed, without unit: '83.2', '.90'",
    ),
]
WholeNumber = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+$", max_length=15, description="a whole number")]
Support = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]+(\.0*)?$", max_length=17, description="a whole number of images")
]
Runs = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(one|several|unstated|[2-9]|[1-9][0-9]+)$",
        max_length=9,
        description="one, several, unstated, or how many runs",
    ),
]
Metric = Literal["accuracy", "precision", "recall", "f1", "auc", "log_loss", "ovr_accuracy"]
"""`ovr_accuracy`: of one class against the rest; its mean over the classes is the `mean_ovr_accuracy` of `also`."""
Unit = Literal["fraction", "percent", "nats", "count"]
"""`count`: hits, of `n_images`."""
Average = Annotated[
    str,
    msgspec.Meta(
        description="`none` for accuracy and loss; `macro`, `weighted`, `micro`, `unstated`; `lowest` or `highest` "
        "over the classes; or the name of one class"
    ),
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
    def printed(self) -> str:
        """The value as the paper has it: `83.2 %`, `0.83`."""
        return self.value + (" %" if self.unit == "percent" else "")

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

    @property
    def number(self) -> float:
        return float(self.value) / int(self.n_images or 1) if self.unit == "count" else super().number

    @property
    def half_unit(self) -> float:
        return 0.0 if self.unit == "count" else super().half_unit

    @property
    def printed(self) -> str:
        return f"{self.value} of {self.n_images}" if self.unit == "count" else super().printed


class ReportRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One line of a classification report."""

    precision: Numeral | None = None
    recall: Numeral | None = None
    f1: Numeral | None = None
    accuracy: Numeral | None = None
    support: Support | None = None
    """scikit-learn prints `9.0` where nothing is hit; None where the report has no such column."""

    def __post_init__(self):
        if self.support is not None:
            self.support = self.support.partition(".")[0]


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
    """By class name, and `accuracy`, `micro`, `macro`, `weighted` for the lines below."""
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
    """A printed confusion matrix in shares or counts: a row a true class, a column a predicted one."""

    id: Identifier
    system: Identifier
    unit: Literal["fraction", "percent", "count"]
    where: Text
    images: Images = "unstated"
    usage: Usage | None = None
    columns: list[Text]
    """The predicted classes in the order of the columns."""
    rows: dict[str, list[Numeral]]
    """By true class, one value a column."""
    unanswered: Text | None = None
    """What the paper calls images that got no class ("no face"): a column of that name, or one that is not printed. The
    other shares of a row then add up to less than all of it."""
    epoch: WholeNumber | None = None
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


FOLDER_FORM = {
    "training folder of 28,821": (3993, 436, 4103, 7164, 4938, 3205, 4982),
    "validation folder of 7,066": (960, 111, 1018, 1825, 1139, 797, 1216),
}
"""Another split of FER2013 that many use, by Kaggle's jonathanoheix/face-expression-recognition-dataset, in the order
of EMOTIONS; the validation counts as anjaducic/EMOTION-RECOGNITION prints them (dataset_analysis.ipynb)."""


def fer2013() -> DataSet:
    """FER2013's parts and their mergers, and what honest models are known to reach on PrivateTest, in per cent."""
    parts = {usage: np.array(counts) for usage, counts in OFFICIAL_COUNTS.items()}
    mergers = {
        "PublicTest + PrivateTest": ("PublicTest", "PrivateTest"),
        "Training + PublicTest": ("Training", "PublicTest"),
        "all images": tuple(parts),
    }
    parts |= {name: np.sum([parts[part] for part in own], axis=0) for name, own in mergers.items()}
    parts |= {name: np.array(own) for name, own in FOLDER_FORM.items()}
    counts = {name: dict(zip(EMOTIONS, map(str, own))) for name, own in parts.items()}
    source = (
        "honest single networks from scratch at 48 px to ImageNet weights at 224 px; above it, an explanation is due"
    )
    return DataSet(name="FER2013", counts=counts, band=Band(low="71", high="77", source=source), image_size="48")


class Statement(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Something the text says about its numbers, in our words; each kind has what can be asked of it."""

    id: Identifier
    says: Text
    where: Text
    about: list[Text] = []
    """Ids of the claims, reports or curves it concerns, or numerals that it holds."""

    @property
    def kind(self) -> str:
        return str(self.__struct_config__.tag)


class OfNumbers(Statement, kw_only=True):
    """One that holds or not by the numbers of the claims and reports that it is about."""

    metrics: list[Metric]


class Extreme(OfNumbers, kw_only=True):
    """A class or system that is said to have the highest or lowest number."""

    of: Text


class Highest(Extreme, kw_only=True, tag="highest"):
    pass


class Lowest(Extreme, kw_only=True, tag="lowest"):
    pass


class Between(OfNumbers, kw_only=True):
    low: Numeral | None = None
    high: Numeral | None = None
    """One of the two at least."""
    unit: Literal["percent", "fraction"] = "percent"
    """Of `low` and `high`."""


class Range(Between, kw_only=True, tag="range"):
    """Values that are said to be `low` or more and `high` or less."""

    but_for: list[Text] = []
    """The classes that it leaves out."""


class Margin(Between, kw_only=True, tag="margin"):
    """A system that is said to be ahead of each of the others by so much."""

    of: Identifier


class Ranking(OfNumbers, kw_only=True, tag="ranking"):
    order: list[Identifier]
    """Systems, the best first."""


class Split(Statement, kw_only=True, tag="split"):
    parts: list[WholeNumber]
    """The numbers of images that are said to be `shares` of the whole, in per cent."""
    shares: list[Numeral]


class ImageSize(Statement, kw_only=True, tag="image_size"):
    pixels: list[WholeNumber]
    """What is said of height and width."""


class Contradiction(Statement, kw_only=True, tag="contradiction"):
    """Two things that a reader found to be said of one."""


class Undefined(Statement, kw_only=True, tag="undefined"):
    """Something that would have to be known and is not said."""


class Remark(Statement, kw_only=True, tag="count"):
    """Anything else, often a number of things."""


AnyStatement = Highest | Lowest | Range | Margin | Ranking | Split | ImageSize | Contradiction | Undefined | Remark


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
    headline: Literal["yes", "no"] = "no"
    """Whether the paper is known by this sentence."""

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
    runs: Runs = "unstated"
    """Whether the printed numbers are of one run or means over several (folds, seeds), where the paper says so; a
    number: means over so many runs on the same images."""
    statements: list[AnyStatement] = []
    hypotheses: list[Hypothesis] = []
    context: list[Context] = []
    other_numerals: list[OtherNumeral] = []

    def all_claims(self) -> list[Claim]:
        """The claims, and those inside the reports."""
        return [*self.claims, *(claim for report in self.reports for claim in report.claims())]

    @property
    def n_runs(self) -> int | None:
        """How many runs each number is a mean over; None where that is not said."""
        return 1 if self.runs == "one" else int(self.runs) if self.runs.isdigit() else None


def as_yaml(file: ClaimsFile) -> str:
    """A claims file as text, without what is as by default; `read` gives it back."""
    import yaml

    def plain(value):
        if isinstance(value, msgspec.Struct):
            tag = value.__struct_config__.tag_field
            own = {tag: value.__struct_config__.tag} if tag else {}
            for each in msgspec.structs.fields(value):
                made = each.default_factory is not msgspec.NODEFAULT
                default = each.default_factory() if made else each.default
                if getattr(value, each.name) != default:
                    own[each.name] = plain(getattr(value, each.name))
            return own
        if isinstance(value, dict):
            return {name: plain(each) for name, each in value.items()}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return yaml.safe_dump(plain(file), sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)


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

    class Loader(yaml.BaseLoader):
        """Without aliases: with them a short file can be endless, or larger than the memory."""

        def compose_node(self, parent, index):
            if self.check_event(yaml.AliasEvent):
                raise yaml.MarkedYAMLError(problem="an alias (*)", problem_mark=self.peek_event().start_mark)
            return super().compose_node(parent, index)

    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: has more than {LARGEST:,} bytes; no paper prints so much.")
        root = yaml.compose(path.read_text(), Loader=Loader)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text.") from None
    except RecursionError:
        raise UserError(f"{path}: is nested too deep to be a claims file.") from None
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
    if file is not None:  # what could not be read is left out, and the rest looked at
        cross_check(file, root, errors)
    if errors:
        raise UserError(f"{path}: {len(errors)} error{'s' * (len(errors) > 1)}\n  " + "\n  ".join(errors))
    return file


def _convert(node, kind: Any, key: str, errors: list[str]) -> Any:
    """The value of a YAML node as `kind`; what does not fit is added to `errors` and left out of a list or an optional
    field, so that the rest is still looked at."""
    import yaml

    line = f"line {node.start_mark.line + 1}, {key or 'top level'}"
    kind = _one_kind(kind, node, line, errors)
    if kind is None:
        return None
    is_struct = isinstance(kind, type) and issubclass(kind, msgspec.Struct)
    if is_struct or get_origin(kind) is dict:
        if not isinstance(node, yaml.MappingNode):
            errors.append(f"{line}: expected keys with values")
            return None
        tag_field = kind.__struct_config__.tag_field if is_struct else None
        found = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                errors.append(
                    f"line {key_node.start_mark.line + 1}, {key or 'top level'}: a key is one word, not a list"
                )
                continue
            name, where = key_node.value, f"{key}.{key_node.value}".lstrip(".")
            at = f"line {key_node.start_mark.line + 1}, {where}"
            if name in found:
                errors.append(f"{at}: the key is there twice; keep one")
            elif is_struct and name == tag_field:
                continue
            elif is_struct and name not in kind.__struct_fields__:
                comma = "; if it is part of the text before it, quote that text: in {…} a comma begins a new key"
                hint = comma if node.flow_style and value_node.value == "" else ""
                errors.append(f"{at}: unknown key; expected one of {', '.join(kind.__struct_fields__)}{hint}")
            else:
                inner = get_type_hints(kind, include_extras=True)[name] if is_struct else get_args(kind)[1]
                found[name] = _convert(value_node, inner, where, errors)
        if is_struct:
            required = [f.name for f in msgspec.structs.fields(kind) if f.required]
            missing = [name for name in required if name not in found]
            if missing:
                errors.append(f"{line}: missing {', '.join(missing)}")
            found = {name: value for name, value in found.items() if value is not None}
            return kind(**found) if set(required) <= set(found) else None
        return {name: value for name, value in found.items() if value is not None}
    if get_origin(kind) is list:
        if not isinstance(node, yaml.SequenceNode):
            errors.append(f"{line}: expected a list")
            return None
        items = [_convert(item, get_args(kind)[0], f"{key}[{i}]", errors) for i, item in enumerate(node.value)]
        return [item for item in items if item is not None]
    if not isinstance(node, yaml.ScalarNode):
        errors.append(
            f"{line}: expected one value, found a {'list' if isinstance(node, yaml.SequenceNode) else 'mapping'}"
        )
        return None
    try:
        return msgspec.convert(node.value, kind)
    except msgspec.ValidationError:
        shown = node.value if len(node.value) <= SHOWN else node.value[:SHOWN] + "…"
        errors.append(f"{line}: {shown!r} does not fit; expected {_expected(kind)}")
        return None


def _one_kind(kind: Any, node, line: str, errors: list[str]) -> Any:
    """A union without its None; of one of structs the one that the node's tag names."""
    if not (get_origin(kind) is Union or type(kind).__name__ == "UnionType"):
        return kind
    options = [option for option in get_args(kind) if option is not type(None)]
    if len(options) == 1:
        return options[0]
    field = options[0].__struct_config__.tag_field
    by_tag = {option.__struct_config__.tag: option for option in options}
    pairs = node.value if isinstance(node.value, list) and all(isinstance(pair, tuple) for pair in node.value) else []
    tag = next((value.value for name, value in pairs if name.value == field), None)
    if isinstance(tag, list):
        errors.append(f"{line}, {field}: a {field} is one word")
        return None
    if tag not in by_tag:
        said = f"missing {field}" if tag is None else f"{tag!r} is no {field}"
        errors.append(f"{line}: {said}; expected one of {', '.join(by_tag)}")
    return by_tag.get(tag)


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    return next(meta.description for meta in kind.__metadata__ if meta.description)


def _cross_check(file: ClaimsFile, root, errors: list[str]) -> None:
    """What the schema cannot say: ids are unique, everything that is named exists, averages and units are sensible."""
    lines: dict[str, int] = {}

    def collect(node):
        for value in getattr(node, "value", []) if not isinstance(node.value, str) else []:
            if isinstance(value, tuple):
                if value[0].value == "id" and isinstance(value[1].value, str):
                    lines.setdefault(value[1].value, value[1].start_mark.line + 1)
                collect(value[1])
            else:
                collect(value)

    collect(root)
    # Of items that could not be read, too: what names them is no second error.
    known = {*lines, *(claim.id for claim in file.all_claims())}
    seen = set()
    items: list[Claim | Report | ConfusionMatrix | Curve | Statement | Hypothesis] = [*file.claims, *file.reports]
    items += [*file.matrices, *file.curves, *file.statements, *file.hypotheses]
    for item in items:
        at = f"line {lines[item.id]}, {item.id}"
        if item.id in seen:
            errors.append(f"{at}: the id is there twice; ids are unique in a file")
        seen.add(item.id)
        if isinstance(item, Hypothesis):
            errors.extend(
                f"{at}: neither {name} nor {name}_{task} is under systems"
                for name in (item.system, item.against)
                for task in item.tasks
                if not {name, f"{name}_{task}"} & set(file.systems)
            )
        elif isinstance(item, Statement):
            errors.extend(f"{at}: {said}" for said in _wrong_in_statement(file, item, known))
        elif item.system not in file.systems:
            errors.append(f"{at}: system {item.system} is not under systems; expected one of {', '.join(file.systems)}")
        if isinstance(item, Claim):
            errors.extend(f"{at}: {said}" for said in _wrong_in_claim(file, item))
        errors.extend(f"{at}: {said}" for said in _beyond_its_unit(item))
        if isinstance(item, ConfusionMatrix):
            unknown = (name for name in item.rows if name not in file.classes)
            columns = (name for name in item.columns if name not in (*file.classes, item.unanswered))
            errors.extend(f"{at}: {name} is no class; {_meant(name, file.classes)}" for name in unknown)
            hint = "; if it counts images without a class, name it under unanswered"
            errors.extend(f"{at}: {name} is no class; {_meant(name, file.classes)}{hint}" for name in columns)
            for name, values in item.rows.items():
                if len(values) != len(item.columns):
                    errors.append(
                        f"{at}: row {name} has {len(values)} values; expected {len(item.columns)}, as columns"
                    )
        if isinstance(item, Curve) and len({len(values) for values in item.columns().values()}) > 1:
            errors.append(f"{at}: the columns of a curve have one value an epoch each; theirs differ in length")
        if isinstance(item, Report):
            for name, row in item.rows.items():
                if name != "accuracy" and row.accuracy:
                    errors.append(f"{at}: row {name} has an accuracy; of one class that is its recall, say so")
                if name not in (*file.classes, *TOTALS):
                    errors.append(f"{at}: row {name} is no class; {_meant(name, [*file.classes, *TOTALS])}")

    for name, own in file.data_set.counts.items():
        if set(own) != set(file.classes):
            what = "needs a data_set of its own" if file.data_set.name == "FER2013" else f"{name} has {', '.join(own)}"
            errors.append(f"data_set: classes and counts must be of the same names; a file about other classes {what}")
            break


TOTALS = ("accuracy", "micro", "macro", "weighted")
"""The rows of a report that are no class."""
AS_PRINTED = {"micro avg": "micro", "macro avg": "macro", "weighted avg": "weighted", "avg / total": "weighted"}
"""The same by their names in scikit-learn's reports, old and new."""


def _meant(name: str, known: Sequence[str]) -> str:
    """What a name that is unknown may be, and all that it could be."""
    close = [AS_PRINTED[name.lower()]] if name.lower() in AS_PRINTED else difflib.get_close_matches(name, known, 1)
    return (f"{close[0]} is; " if close else "") + f"expected one of {', '.join(known)}"


def _wrong_in_claim(file: ClaimsFile, claim: Claim) -> Iterator[str]:
    averages = ("none",) if claim.metric in ("accuracy", "log_loss") else (*_AVERAGES, *file.classes)
    if claim.average not in averages:
        yield f"average {claim.average} of {claim.metric}; {_meant(claim.average, averages)}"
    if (claim.unit == "nats") != (claim.metric == "log_loss"):
        yield f"unit {claim.unit} of {claim.metric}; a log_loss is in nats, nothing else is"
    if claim.unit == "count" and claim.metric not in ("accuracy", "recall"):
        yield f"unit count of {claim.metric}; hits are the count of an accuracy or a recall"
    if claim.n_images and not int(claim.n_images):
        yield "n_images 0; a number is of some images"
    if claim.unit == "count" and not claim.n_images:
        yield "unit count without n_images; hits are of so many images"


def _wrong_in_statement(file: ClaimsFile, said: Statement, known: set[str]) -> Iterator[str]:
    for name in said.about:
        if name not in known and not re.fullmatch(r"[0-9.,]+", name):
            yield f"about {name}: neither an id of this file nor a numeral; {_meant(name, sorted(known))}"
    classes_and_systems = [*file.classes, *file.systems]
    if isinstance(said, Extreme) and said.of not in classes_and_systems:
        yield f"of {said.of}: neither class nor system; {_meant(said.of, classes_and_systems)}"
    if isinstance(said, Between) and not (said.low or said.high):
        yield f"a {said.kind} needs low, high or both"
    systems = [said.of] if isinstance(said, Margin) else said.order if isinstance(said, Ranking) else []
    yield from (
        f"{name} is no system; {_meant(name, list(file.systems))}" for name in systems if name not in file.systems
    )
    if isinstance(said, Range):
        wrong = [name for name in said.but_for if name not in classes_and_systems]
        yield from (f"but_for {name}: neither class nor system; {_meant(name, classes_and_systems)}" for name in wrong)
    if isinstance(said, Split) and not sum(map(int, said.parts)):
        yield "the parts of a split are no images at all"
    if isinstance(said, Split) and len(said.parts) != len(said.shares):
        yield f"{len(said.parts)} parts and {len(said.shares)} shares; expected one share a part"


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
    if item.unit == "count":
        broken = [value for _, value in cells if not value.isdigit()]
        if broken:
            yield f"{broken[0]} is no count of images; expected a whole number"
        elif isinstance(item, Claim) and item.n_images and int(item.value) > int(item.n_images):
            yield f"value: {item.value} of {item.n_images} images; hits cannot exceed images"
        return
    limit = {"fraction": 1, "percent": 100, "nats": float("inf")}[item.unit]
    beyond = [(where, value) for where, value in cells if not 0 <= float(value) <= limit]
    if not beyond:
        return
    where, value = beyond[0]
    others = f", and {len(beyond) - 1} more" if len(beyond) > 1 else ""
    fix = f"expected 0 to {limit}" if limit < float("inf") else "expected 0 or more"
    if isinstance(item, ConfusionMatrix) and all(float(value).is_integer() for _, value in cells):
        fix += "; these look like counts: unit: count"
    elif item.unit == "fraction" and 1 < float(value) <= 100:
        fix += ", or unit: percent"
    yield f"{where}: {value} in {item.unit}{others}; {fix}"


_AVERAGES = ("macro", "weighted", "micro", "unstated", "lowest", "highest")


def numerals(text: str) -> list[str]:
    """Every numeral in a stretch of a paper's text, as printed; digits inside words (Fig2) and list marks count too."""
    return re.findall(r"\d+(?:,\d{3})+|\d*\.\d+|\d+", text)


def printed_numerals(file: ClaimsFile) -> set[str]:
    """Every numeral that a claims file accounts for."""
    found = {claim.value for claim in file.all_claims()} | {context.value for context in file.context}
    found |= {row.support for report in file.reports for row in report.rows.values() if row.support}
    found |= {value for matrix in file.matrices for row in matrix.rows.values() for value in row}
    found |= {value for curve in file.curves for values in curve.columns().values() for value in values}
    found |= {claim.epoch for claim in file.all_claims() if claim.epoch}
    found |= {claim.n_images for claim in file.all_claims() if claim.n_images}
    for said in file.statements:
        found |= set(said.about)
        if isinstance(said, Between):
            found |= {value for value in (said.low, said.high) if value}
        if isinstance(said, Split):
            found |= {*said.parts, *said.shares}
        if isinstance(said, ImageSize):
            found |= set(said.pixels)
    return found | {other.numeral for other in file.other_numerals}
