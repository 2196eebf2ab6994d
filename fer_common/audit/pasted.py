"""Reports, confusion matrices and training logs as programs print them, read into a claims file.

scikit-learn's `classification_report` as text or as `output_dict`; a confusion matrix as CSV or as NumPy prints it,
rows true; a log of Keras, printed or by its CSVLogger, or the dictionary of its History. Digits stay as they are
printed.
"""

import ast
import csv
import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

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
EXPECTED = (
    "expected scikit-learn's classification_report (text, or output_dict as JSON), a confusion matrix (CSV, or as "
    "NumPy prints it), or a log of Keras (printed, CSVLogger, or History as JSON); anything else goes into a claims "
    "file (docs/claims.md)"
)


@dataclass
class Pasted:
    """What one file holds."""

    reports: list[dict[str, ReportRow]] = field(default_factory=list)
    in_per_cent: bool = False
    matrices: list[tuple[list[str], list[list[str]]]] = field(default_factory=list)
    """Names of rows and columns, and cells."""
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
        for printed in own.reports:
            unit = "percent" if own.in_per_cent else "fraction"
            rows = {rename.get(label, label): row for label, row in printed.items()}
            report = Report(id=_id("report", file.reports), unit=unit, where=plain(path.name), rows=rows, **common)
            file.reports.append(report)
        for names, cells in own.matrices:
            labels = [rename.get(label, label) for label in names or classes]
            if len(labels) != len(cells):
                raise UserError(f"{path}: a matrix of {len(cells)} classes beside {len(labels)}: {', '.join(labels)}.")
            matrix = ConfusionMatrix(
                id=_id("matrix", file.matrices),
                unit=_unit(cells),
                where=plain(path.name),
                columns=labels,
                rows=dict(zip(labels, cells, strict=True)),
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


def _unit(cells: list[list[str]]) -> Any:
    values = [value for row in cells for value in row]
    if all(re.fullmatch(r"\d+", value) for value in values):
        return "count"
    return "fraction" if max(map(float, values)) <= 1 else "percent"


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
    """Without exponent, sign of per cent and trailing point."""
    text = str(number).strip().rstrip("%")
    return (f"{Decimal(text):f}" if "e" in text.lower() else text).rstrip(".")


# scikit-learn's report


def _text_report(text: str, found: Pasted) -> None:
    columns: list[str] = []
    rows: dict[str, ReportRow] = {}
    for raw in [*text.splitlines(), "precision recall"]:  # a header ends the report before it
        line = raw.replace("|", "  ").replace("f1 score", "f1-score").strip()
        words = line.lower().split()
        if "precision" in words and "recall" in words:
            if any(label not in TOTALS for label in rows):
                found.reports.append(rows)
            named = {"f1-score": "f1", "f1": "f1", "precision": "precision", "recall": "recall", "support": "support"}
            columns, rows = [named[word] for word in words if word in named], {}
            continue
        tokens = line.split()
        values: list[str] = []
        while tokens and len(values) < len(columns) and NUMBER.fullmatch(tokens[-1]):
            values.insert(0, tokens.pop())
        label = " ".join(tokens).rstrip(":")
        if not columns or not label or not values or set(label) <= {"-", "="}:
            continue
        found.in_per_cent |= any(value.endswith("%") for value in values)
        name = AS_PRINTED.get(label.lower(), label)
        cells = [_plain(value) for value in values]
        if label.lower() == "accuracy" and len(cells) <= 2:
            rows["accuracy"] = ReportRow(accuracy=cells[0], support=cells[1] if len(cells) == 2 else None)
        elif len(cells) == len(columns):
            if name in rows:
                raise ValueError(f"the report has two rows {label}")
            rows[name] = ReportRow(**dict(zip(columns, cells)))
    shares = [v for own in found.reports for r in own.values() for v in (r.precision, r.recall, r.f1, r.accuracy) if v]
    found.in_per_cent |= any(float(value) > 1 for value in shares)


def _dictionary(text: str, found: Pasted) -> bool:
    """`output_dict` of a report, or the history of a training, as JSON or as Python prints it."""
    start = text.find("{")
    if start < 0 or text[:start].strip():
        return False
    try:
        values = json.loads(text, parse_float=str, parse_int=str)
    except json.JSONDecodeError:
        try:
            values = ast.literal_eval(re.sub(r"\bnp\.\w+\(([^)]*)\)|\barray\(([^)]*)\)", r"\1\2", text.strip()))
        except (ValueError, SyntaxError):
            raise ValueError("begins like a dictionary and is none") from None
    if not isinstance(values, dict) or not values:
        raise ValueError("is no dictionary of a report or a history")
    if any(isinstance(value, list) for value in values.values()):
        log = {COLUMNS[name]: [_plain(v) for v in own] for name, own in values.items() if name in COLUMNS}
        found.logs += [log] if log else []
        return True
    rows: dict[str, ReportRow] = {}
    total = next((own["support"] for name, own in values.items() if name.endswith("avg") and "support" in own), None)
    for label, own in values.items():
        if label == "accuracy" and not isinstance(own, dict):
            rows["accuracy"] = ReportRow(accuracy=_plain(own), support=_plain(total) if total is not None else None)
        elif isinstance(own, dict):
            named = {name: _plain(own[key]) for name, key in (("precision", "precision"), ("recall", "recall"),
                     ("f1", "f1-score"), ("support", "support")) if key in own}  # fmt: skip
            rows[AS_PRINTED.get(label.lower(), label)] = ReportRow(**named)
    found.reports += [rows] if any(label not in TOTALS for label in rows) else []
    return True


# Confusion matrices and logs


def _printed_array(text: str, found: Pasted) -> None:
    """NumPy's `[[50  3] [ 4 60]]`, over as many lines as it takes."""
    for block in re.findall(r"\[\s*(\[[^\[\]]*\](?:[\s,]*\[[^\[\]]*\])+)\s*\]", text):
        cells = [[_plain(n) for n in row.replace(",", " ").split()] for row in re.findall(r"\[([^\[\]]*)\]", block)]
        if {len(row) for row in cells} == {len(cells)} and all(NUMBER.fullmatch(n) for row in cells for n in row):
            labels = [label for label in found.reports[0] if label not in TOTALS] if found.reports else []
            found.matrices.append((labels if len(labels) == len(cells) else [], cells))


def _printed_log(text: str, found: Pasted) -> None:
    """Keras's `Epoch 1/13` and what its last line says; `45s` are its seconds."""
    log: dict[str, list[str]] = {}
    for part in re.split(r"^\s*Epoch \d+/\d+\s*$", text, flags=re.MULTILINE)[1:]:
        lines = [line for line in re.split(r"[\r\n]+", part) if re.search(r"\bloss: ", line)]
        if not lines:
            break  # it was interrupted
        for name, value in re.findall(r"\b(\w+): (\d*\.?\d+(?:e[-+]?\d+)?)", lines[-1], re.IGNORECASE):
            if name in COLUMNS:
                log.setdefault(COLUMNS[name], []).append(_plain(value))
        if seconds := re.search(r"\b(\d+)s\b", lines[-1]):
            log.setdefault("seconds", []).append(seconds[1])
    longest = max(map(len, log.values()), default=0)
    if log:
        found.logs.append({name: own for name, own in log.items() if len(own) == longest})


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
        named = [(k, COLUMNS[name]) for k, name in enumerate(head) if name in COLUMNS]
        found.logs.append({name: [_plain(row[k]) for row in body] for k, name in named})
        return
    bare = all(NUMBER.fullmatch(cell) for cell in head) and {len(row) for row in table} == {len(table)}
    if bare:
        labels, cells = [], [head, *body]
    else:
        labels, cells = [row[0] for row in body], [row[1:] for row in body]
        if not cells or not cells[0]:
            raise ValueError("is no square matrix")
        columns = head[1:] if len(head) == len(cells[0]) + 1 else head
        if columns != labels:
            raise ValueError(
                f"its rows are {', '.join(labels)} and its columns {', '.join(columns)}; of a confusion matrix they "
                "are the same"
            )
    if {len(row) for row in cells} != {len(cells)}:
        raise ValueError("is no square matrix")
    if wrong := [n for row in cells for n in row if not NUMBER.fullmatch(n)]:
        raise ValueError(f"{wrong[0]!r} is no number")
    found.matrices.append((labels, [[_plain(n) for n in row] for row in cells]))
