"""Reports, confusion matrices and training logs as programs print them, read into a claims file.

scikit-learn's `classification_report` as text or as `output_dict`; a confusion matrix as CSV or as NumPy prints it,
rows true; a log of Keras, printed or by its CSVLogger, or the dictionary of its History. Digits stay as they are
printed.
"""

import ast
import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from fer_common import UserError
from fer_common.audit import parts
from fer_common.claims import (
    AS_PRINTED,
    TOTALS,
    ClaimsFile,
    ConfusionMatrix,
    Curve,
    DataSet,
    Images,
    Reference,
    Report,
    ReportRow,
    fer2013,
)
from fer_common.data import EMOTIONS
from fer_common.progress import plain

EMOTIONS_ALSO = {
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "scared": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
COLUMNS = {
    "loss": "training_loss",
    "val_loss": "validation_loss",
    "accuracy": "training_accuracy",
    "acc": "training_accuracy",
    "sparse_categorical_accuracy": "training_accuracy",
    "categorical_accuracy": "training_accuracy",
    "val_accuracy": "validation_accuracy",
    "val_acc": "validation_accuracy",
    "val_sparse_categorical_accuracy": "validation_accuracy",
    "val_categorical_accuracy": "validation_accuracy",
}
LARGE = 500  # images; fewer may have the sizes of a share by chance
NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?%?", re.IGNORECASE)
THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+")
NO_NUMBER = ("nan", "na", "inf", "-inf", "infinity", "-infinity", "none", "null", "")
METRICS = {"precision": "precision", "recall": "recall", "f1-score": "f1", "f1": "f1", "support": "support"}
METRICS |= {"images": "support", "count": "support", "n": "support"}
AVERAGE = re.compile(r"(macro|micro|weighted|samples)[ _-]?(avg|average)?")
TOO_MANY = ("average", "avg", "mean", "total", "overall", "all")
EXPECTED = (
    "expected scikit-learn's classification_report (text, or output_dict as JSON), a confusion matrix (CSV, or as "
    "NumPy prints it), or a log of Keras (printed, CSVLogger, or History as JSON); anything else goes into a claims "
    "file (docs/claims.md)"
)


@dataclass
class Pasted:
    """What one file holds."""

    reports: list[dict[str, ReportRow]] = field(default_factory=list)
    units: list[Literal["fraction", "percent"]] = field(default_factory=list)
    """Of each report."""
    matrices: list[tuple[list[str], list[list[str]]]] = field(default_factory=list)
    """Names of rows and columns, and cells as they are printed."""
    logs: list[dict[str, list[str]]] = field(default_factory=list)


def claims_file(paths: list[Path], *, system: str | None = None, images: Images = "unstated") -> ClaimsFile:
    """The files, of one system and one run, as a claims file; FER2013's classes by their usual names are FER2013.

    Raises UserError where a file holds nothing of the kind, or the classes of two differ.
    """
    found = [(path, _read(path)) for path in paths]
    system = identifier(system or paths[0].stem)
    classes, rename = _classes(found)
    common = {"system": system, "images": images}
    file = ClaimsFile(
        paper=", ".join(plain(path.name) for path in paths),
        reference=Reference(note="read from " + ", ".join(plain(path.name) for path in paths)),
        classes=classes,
        systems={system: "as printed"},
        claims=[],
        runs="one",
        data_set=fer2013() if set(classes) == set(EMOTIONS) else DataSet(name="the data", counts={}),
    )
    for path, own in found:
        for printed, unit in zip(own.reports, own.units, strict=True):
            rows = {rename.get(label, label): row for label, row in printed.items()}
            report = Report(id=_id("report", file.reports), unit=unit, where=plain(path.name), rows=rows, **common)
            file.reports.append(report)
        for names, cells in own.matrices:
            labels = [rename.get(label, label) for label in names or classes]
            if len(labels) != len(cells):
                raise UserError(f"{path}: a matrix of {len(cells)} classes beside {len(labels)}: {', '.join(labels)}.")
            matrix = ConfusionMatrix(
                id=_id("matrix", file.matrices),
                unit=(unit := _unit(path, cells, _supports(found))),
                where=plain(path.name),
                columns=labels,
                rows=dict(zip(labels, _cells(cells, unit), strict=True)),
                **common,
            )
            file.matrices.append(matrix)
        for log in own.logs:
            file.curves.append(Curve(id=_id("log", file.curves), system=system, where=plain(path.name), **log))
    return file


def identifier(name: str) -> str:
    """A name as a claims file may have it."""
    return re.sub(r"[^a-z0-9_.]+", "_", name.lower()).strip("_.") or "unnamed"


def _id(kind: str, before: list) -> str:
    return kind + (f"_{len(before) + 1}" if before else "")


def _supports(found: list[tuple[Path, Pasted]]) -> set[tuple[int, ...]]:
    """Images by class of every report that prints them."""
    every = [
        [row.support for label, row in rows.items() if label not in TOTALS] for _, own in found for rows in own.reports
    ]
    return {tuple(map(int, own)) for own in every if None not in own}


def _unit(
    path: Path, cells: list[list[str]], supports: set[tuple[int, ...]]
) -> Literal["count", "fraction", "percent"]:
    """Counts are whole numbers, however they are printed. Whole shares in per cent are too, and are told by rows or
    columns that add up to about 100, where no report has as many images."""
    printed = [value for row in cells for value in row]
    values = [[Decimal(_plain(value)) for value in row] for row in cells]
    every = [value for row in values for value in row]
    if negative := [shown for shown, value in zip(printed, every) if value < 0]:
        raise UserError(f"{path}: {negative[0]} in a confusion matrix; neither counts nor shares are below 0.")
    if any(value.endswith("%") for value in printed):
        return "percent"
    if any(value % 1 for value in every) or sum(every) <= 1:
        return "fraction" if max(every) <= 1 else "percent"
    rows, columns = [sum(row) for row in values], [sum(column) for column in zip(*values)]
    if tuple(map(int, rows)) in supports or not any(every):
        return "count"
    near = [all(abs(total - 100) <= Decimal(len(cells)) / 2 for total in totals) for totals in (rows, columns)]
    exact = [all(total == 100 for total in totals) for totals in (rows, columns)]
    return "percent" if any(near) and (supports or not any(exact)) else "count"


def _cells(cells: list[list[str]], unit: str) -> list[list[str]]:
    return [[f"{int(Decimal(_plain(value)))}" if unit == "count" else _plain(value) for value in row] for row in cells]


def _classes(found: list[tuple[Path, Pasted]]) -> tuple[list[str], dict[str, str]]:
    """(the classes of all files, their names in the files that are others), FER2013's by their usual names."""
    by_path: dict[Path, list[str]] = {}
    sizes: list[int] = []
    for path, own in found:
        for rows in own.reports:
            by_path[path] = [label for label in rows if label not in TOTALS]
            sizes = [int(rows[label].support or 0) for label in by_path[path]]
        for labels, _ in own.matrices:
            if labels:
                by_path.setdefault(path, labels)
    for path, own in found if not by_path else ():
        for _, cells in own.matrices:
            by_path[path] = [str(k) for k in range(len(cells))]
    names = {path: {label: _emotion(label) for label in labels} for path, labels in by_path.items()}
    numbered = [str(k) for k in range(len(EMOTIONS))]
    # Numbers from 0 to 6 are FER2013's only where the images of each are (of a set, or a stratified share of one): by
    # its own codes, or in the order of folders' names.
    for path in [path for path, labels in by_path.items() if labels == numbered]:
        for order in (EMOTIONS, sorted(EMOTIONS)):
            official = {name: [int(own[label]) for label in order] for name, own in fer2013().counts.items()}
            known = sizes in official.values() or (
                sum(sizes) > LARGE and parts.by_class(sizes, parts.shares(official))[0]
            )
            if known:
                names[path] = dict(zip(numbered, order))
    first = next(iter(names.values()), {"class": "class"})
    for path, own in names.items():
        if set(own.values()) != set(first.values()):
            raise UserError(
                f"{path}: its classes are {', '.join(own.values())}, and {next(iter(names))} has "
                f"{', '.join(first.values())}; give files of one system together, others apart."
            )
    rename = {label: name for own in names.values() for label, name in own.items() if label != name}
    return list(dict.fromkeys(first.values())), rename


def _emotion(label: str) -> str:
    usual = label.strip().lower()
    usual = EMOTIONS_ALSO.get(usual, usual)
    return usual if usual in EMOTIONS else label.strip()


def _read(path: Path) -> Pasted:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; {EXPECTED}.") from None
    text = re.sub(r"\A(#.*\n)+", "", text)  # whence it is
    found = Pasted()
    try:
        if not _dictionary(text, found):
            _text_report(text, found)
            _printed_array(text, found)
            _printed_log(text, found)
            if not (found.reports or found.matrices or found.logs):
                _table(text, found)
    except ValueError as error:
        raise UserError(f"{path}: {error}; {EXPECTED}.") from None
    if not (found.reports or found.matrices or found.logs):
        raise UserError(f"{path}: holds nothing that could be audited; {EXPECTED}.")
    return found


def _plain(number: Any) -> str:
    """Without exponent, sign of per cent, separators of thousands and trailing point."""
    text = str(number).strip().rstrip("%")
    text = text.replace(",", "") if THOUSANDS.fullmatch(text) else text
    return (f"{Decimal(text):f}" if "e" in text.lower() else text).rstrip(".")


# scikit-learn's report


def _text_report(text: str, found: Pasted) -> None:
    """Every report in a text: a header that names precision and recall, then a row a class, then the totals."""
    columns: list[str] = []
    rows: dict[str, ReportRow] = {}
    in_per_cent = False
    for number, raw in enumerate([*text.splitlines(), "precision recall"], 1):  # a header ends the report before it
        line = _without_marks(raw)
        words = line.lower().split()
        if "precision" in words and "recall" in words:
            _add_report(rows, in_per_cent, found)
            first = next(k for k, word in enumerate(words) if word in METRICS)  # before it stands what rows are named
            columns, rows, in_per_cent = [METRICS.get(word, "") for word in words[first:]], {}, False
            continue
        tokens = line.split()
        values: list[str] = []
        while tokens and len(values) < len(columns) and _is_cell(tokens[-1]):
            values.insert(0, tokens.pop())
        label = " ".join(tokens).rstrip(":")
        below = len({name in TOTALS for name in rows}) == 2  # after classes and totals other things may follow
        if not columns or set(line) <= set("-=+: "):
            continue
        if label.lower() == "accuracy" and values and (len(values) <= 2 or len(values) == len(columns)):
            rows.setdefault("accuracy", _accuracy(values))
        elif label and len(values) == len(columns) and not (below and _row_name(label) not in TOTALS):
            if (name := _row_name(label)) in rows:
                raise ValueError(f"the report has two rows {label}")
            if name != "samples":
                in_per_cent |= any(value.endswith("%") for value in values)
                rows[name] = ReportRow(**_named(zip(columns, values)))
        elif not below and rows and (values or set(words) & {"...", "…"}):
            raise ValueError(f"line {number} of the report is not understood: {raw.strip()!r}")
        elif not below and not rows and values:
            columns = []  # it was no header, but a sentence with these words


def _without_marks(line: str) -> str:
    """A line of a report without the marks of a table: those of Markdown, and separators between columns."""
    separator = next((mark for mark in (";", "\t", ",") if line.count(mark) > 1), None)
    if separator and len(line.split()) <= len(line.split(separator)):
        line = "  ".join(next(csv.reader([line], delimiter=separator)))
    return re.sub(r"[|*]", "  ", line).replace("f1 score", "f1-score").replace("F1 score", "f1-score").strip()


def _is_cell(token: str) -> bool:
    return bool(NUMBER.fullmatch(token) or THOUSANDS.fullmatch(token)) or token.lower() == "nan"


def _row_name(label: str) -> str:
    """A class, or the name of an average in a claims file; `samples` is of several labels an image."""
    lower = label.lower()
    if lower in AS_PRINTED:
        return AS_PRINTED[lower]
    if average := AVERAGE.fullmatch(lower):
        return average[1]
    if lower in TOO_MANY:
        raise ValueError(f"row {label}: is it the macro or the weighted average? Name it so")
    return label


def _named(cells: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """What is printed of a row, by the names of a claims file. Images that are weighted are no whole numbers, so that
    their counts are not known."""
    printed = {name: _plain(value) for name, value in cells if name and str(value).lower() not in NO_NUMBER}
    if "support" in printed and Decimal(printed["support"]) % 1:
        del printed["support"]
    return printed


def _accuracy(values: list[Any]) -> ReportRow:
    """Accuracy alone, with its images, or in every column, as pandas spreads it over a table."""
    accuracy, *others = map(_plain, values)
    return ReportRow(accuracy=accuracy, support=others[-1] if others and not Decimal(others[-1]) % 1 else None)


def _add_report(rows: dict[str, ReportRow], in_per_cent: bool, found: Pasted) -> None:
    """A report and its unit; an accuracy of another unit than the rows is of another line, and left out."""
    own = {label: row for label, row in rows.items() if label != "accuracy"}
    if not any(label not in TOTALS for label in own):
        return
    shares = [Decimal(v) for row in own.values() for v in (row.precision, row.recall, row.f1) if v]
    if not shares:
        raise ValueError("the rows of the report have no numbers")
    in_per_cent |= max(shares) > 1
    line = rows.get("accuracy")
    if line and line.accuracy and not in_per_cent and Decimal(line.accuracy) > 1:
        del rows["accuracy"]
    found.reports.append(rows)
    found.units.append("percent" if in_per_cent else "fraction")


def _dictionary(text: str, found: Pasted) -> bool:
    """`output_dict` of a report, or the history of a training, as JSON or as Python prints it."""
    start = text.find("{")
    if start < 0 or text[:start].strip():
        return False
    try:
        values = json.loads(text, parse_float=str, parse_int=str)
    except json.JSONDecodeError:
        try:
            plain_numbers = re.sub(r"\bnp\.\w+\(([^)]*)\)|\barray\(([^)]*)\)", r"\1\2", text.strip())
            values = ast.literal_eval(re.sub(r"\bnan\b", "None", plain_numbers))
        except (ValueError, SyntaxError):
            raise ValueError("begins like a dictionary and is none") from None
    if not isinstance(values, dict) or not values:
        raise ValueError("is no dictionary of a report or a history")
    values = {str(name): own for name, own in values.items()}
    if any(isinstance(value, list) for value in values.values()):
        _add_log({name: own for name, own in values.items() if isinstance(own, list)}, found)
        return True
    if {"precision", "recall"} <= set(values) <= set(METRICS):  # a table of pandas, by its columns
        labels = dict.fromkeys(label for own in values.values() for label in own)
        values = {label: {name: own[label] for name, own in values.items() if label in own} for label in labels}
    averages = [own for name, own in values.items() if name.endswith("avg") and isinstance(own, dict)]
    total = next((own["support"] for own in averages if "support" in own), None)
    rows: dict[str, ReportRow] = {}
    for label, own in values.items():
        if label == "accuracy":
            printed = [own.get("precision")] if isinstance(own, dict) else [own]
            rows["accuracy"] = _accuracy(printed + [total] * (total is not None))
        elif isinstance(own, dict) and (name := _row_name(label)) != "samples":
            rows[name] = ReportRow(**_named((METRICS.get(key, ""), value) for key, value in own.items()))
            if not any((rows[name].precision, rows[name].recall, rows[name].f1)):
                raise ValueError(f"{label}: precision, recall or f1-score is missing")
    _add_report(rows, False, found)
    return True


# Confusion matrices and logs


def _printed_array(text: str, found: Pasted) -> None:
    """NumPy's `[[50  3] [ 4 60]]`, over as many lines as it takes."""
    for block in re.findall(r"\[\s*(\[[^\[\]]*\](?:[\s,]*\[[^\[\]]*\])+)\s*\]", text):
        cells = [row.replace(",", " ").split() for row in re.findall(r"\[([^\[\]]*)\]", block)]
        if {len(row) for row in cells} == {len(cells)} and all(NUMBER.fullmatch(n) for row in cells for n in row):
            labels = [label for label in found.reports[0] if label not in TOTALS] if found.reports else []
            found.matrices.append((labels if len(labels) == len(cells) else [], cells))


def _printed_log(text: str, found: Pasted) -> None:
    """Keras's `Epoch 1/13` and what its last line says; `45s` are its seconds. A training that begins anew is a log of
    its own."""
    logs: list[dict[str, list[str]]] = []
    parts_of_log = re.split(r"^\s*Epoch (\d+)/\d+\s*$", text, flags=re.MULTILINE)[1:]
    for epoch, part in zip(parts_of_log[::2], parts_of_log[1::2]):
        lines = [line for line in re.split(r"[\r\n]+", part) if re.search(r"\bloss: ", line)]
        if int(epoch) == 1 or not logs:
            logs.append({})
        if not lines:
            continue  # it was interrupted
        for name, value in re.findall(r"\b(\w+): (\d*\.?\d+(?:e[-+]?\d+)?|nan|inf)", lines[-1], re.IGNORECASE):
            logs[-1].setdefault(name, []).append(value)
        if seconds := re.search(r"\b(\d+)s\b", lines[-1]):
            logs[-1].setdefault("seconds", []).append(seconds[1])
    for log in logs:
        longest = max(map(len, log.values()), default=0)
        _add_log({name: own for name, own in log.items() if len(own) == longest}, found)


def _add_log(columns: Mapping[str, Sequence[Any]], found: Pasted) -> None:
    """The columns of a log that have a name in a claims file, as far as all of them have numbers: a training that
    diverged ends there. Accuracies in per cent become shares."""
    own = {name: [str(value) for value in columns[name]] for name in columns if name in (*COLUMNS, "seconds")}
    whole = min(
        (k for values in own.values() for k, value in enumerate([*values, ""]) if value.strip().lower() in NO_NUMBER),
        default=0,
    )
    log: dict[str, list[str]] = {}
    for name, values in own.items():
        if wrong := [value for value in values[:whole] if not NUMBER.fullmatch(value.strip())]:
            raise ValueError(f"{wrong[0]!r} in column {name} is no number")
        kept = [_plain(value) for value in values[:whole]]
        if "acc" in name and any(Decimal(value) > 1 for value in kept):
            kept = [f"{Decimal(value).scaleb(-2):f}" for value in kept]
        log[COLUMNS.get(name, name)] = kept
    if whole and set(log) - {"seconds"}:
        found.logs.append(log)


def _table(text: str, found: Pasted) -> None:
    """A confusion matrix, with names or without, or the table of a CSVLogger."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return
    separator = next((mark for mark in (",", ";", "\t") if mark in lines[0]), None)
    table = list(csv.reader(lines, delimiter=separator)) if separator else [line.split() for line in lines]
    head, body = [cell.strip() for cell in table[0]], [[cell.strip() for cell in row] for row in table[1:]]
    if "loss" in head:
        if any(len(row) != len(head) for row in body):
            raise ValueError("its rows have not as many columns as its first line")
        _add_log({name: [row[k] for row in body] for k, name in enumerate(head) if name in COLUMNS}, found)
        return
    bare = all(NUMBER.fullmatch(cell) for cell in head) and {len(row) for row in table} == {len(table)}
    if bare:
        labels, cells = [], [head, *body]
    else:
        labels, cells = [row[0] for row in body], [row[1:] for row in body]
        if not cells or not cells[0]:
            raise ValueError("is no square matrix")
        columns = head[1:] if len(head) == len(cells[0]) + 1 else head
        labels, columns, cells = _without_margins(labels, columns, cells)
        if sorted(columns) == sorted(labels) and len(set(labels)) == len(labels):
            cells = [
                [row[columns.index(label)] for label in labels] if len(row) == len(columns) else row for row in cells
            ]
        else:
            raise ValueError(
                f"its rows are {', '.join(labels)} and its columns {', '.join(columns)}; of a confusion matrix they "
                "are the same"
            )
    if {len(row) for row in cells} != {len(cells)}:
        raise ValueError("is no square matrix")
    if wrong := [n for row in cells for n in row if not NUMBER.fullmatch(n)]:
        raise ValueError(f"{wrong[0]!r} is no number")
    found.matrices.append((labels, cells))


def _without_margins(labels: list[str], columns: list[str], cells: list[list[str]]) -> tuple[list[str], ...]:
    """Without a last row and column of sums, as pandas adds them. ValueError where counts do not add up."""
    margin = labels[-1]
    if margin.lower() not in ("all", "total", "sum") or columns[-1] != margin:
        return labels, columns, cells
    lines = [*cells, *map(list, zip(*cells))]
    if all(value.isdigit() for line in lines for value in line):
        wrong = [line for line in lines if sum(map(int, line[:-1])) != int(line[-1])]
        if wrong:
            raise ValueError(
                f"{wrong[0][-1]} is no sum of {' + '.join(wrong[0][:-1])}, beside or below which it stands"
            )
    return labels[:-1], columns[:-1], [row[:-1] for row in cells[:-1]]
