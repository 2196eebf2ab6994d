"""False alarms, power and rates of the audit, on drawn papers, beside mlscorecheck 1.0.3 on the same reports.

`python benchmarks/audit.py [rates] [power] [true] [speed]` renews those parts (all without) of audit.json, and
fer_common/audit/rates.json, which the warnings quote. `speed` wants an idle machine.

True papers: a report, a confusion matrix in shares and headlines of one run or of means over five runs, whole and
partial, 2 to 10 classes from balanced to very imbalanced, shares of rows, columns or the whole; all numbers of a paper
with one rounding (half up, half to even, cut), or each table with its own, or with every digit of a float32 or float64;
every fifth is scikit-learn's own printed report.
Tampered ones: whole papers of one run and seven classes with one thing changed. What arithmetic can tell at all is
shown where it can be said: an accuracy is `provable` where it lies outside of what the report's rows and accuracy allow
as plain intervals.
mlscorecheck is given what it has checks for: each class's precision, recall and F1 as a binary problem, and accuracy
(as the one-vs-rest mean that it takes) with macro recall as a multiclass one; it has none for macro precision and F1,
nor for anything beside the report. Its solver can run for minutes, and beyond its own time limit: it works in a process
of its own, on fewer papers, and a report without an answer after LIMIT_S counts apart, as not found.
Rates: how many honest logs (of the suite's own committed runs, printed with 2, 3 and 4 decimals) and honest drawn
tables meet a warning; of the band, how many of the suite's own runs that were chosen and scored on the official parts.
"""

import contextlib
import csv
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
from mlscorecheck.check.binary import check_1_testset_no_kfold
from mlscorecheck.check.multiclass import check_1_testset_no_kfold_macro

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from fer_common import audit, claims  # noqa: E402
from fer_common.audit import metrics  # noqa: E402
from fer_common.audit.checks import curves, reports  # noqa: E402
from fer_common.audit.printed import ROUNDINGS, bounds, mean, overlap  # noqa: E402
from tests import drawn_papers  # noqa: E402

N_TRUE, N_TAMPERED, N_PEER, N_TABLES, LIMIT_S = 20_000, 1_000, 100, 2_000, 10
KINDS = ("one cell", "one average", "accuracy", "whole rows", "one support", "accuracy claim", "matrix cell")
OF_REPORTS = KINDS[:4]  # the kinds that mlscorecheck has anything to say of
PRINTED = ("rounded", "mixed", "float64", "float32")


def found(file: claims.ClaimsFile) -> str:
    """`yes` where something is inconsistent, `copied` where something is but for numbers that were printed before."""
    findings = audit.audit(file)
    if any(finding.verdict == "inconsistent" for finding in findings):
        return "yes"
    copied = (*audit.COPIED.values(), reports.CALCULATED)
    return "copied" if any(finding.condition in copied for finding in findings) else "no"


def provable(file: claims.ClaimsFile) -> bool:
    """Whether the printed accuracy lies outside of what the report allows, by plain intervals."""
    report = file.reports[0]
    rows = [report.rows[name] for name in file.classes]
    sizes = [int(row.support) for row in rows]
    for rounding, other in product(ROUNDINGS, ROUNDINGS):
        recalls = mean([bounds(row.recall, report.unit, rounding) for row in rows], sizes)
        line = bounds(report.rows["accuracy"].accuracy, report.unit, rounding)
        claim = bounds(file.claims[0].value, file.claims[0].unit, other)
        if overlap(recalls, claim) and overlap(line, claim):
            return False
    return True


def mlscorecheck_alarms(file: claims.ClaimsFile) -> bool:
    report = file.reports[0]
    rows = [report.rows[name] for name in file.classes]
    n_images = sum(int(row.support) for row in rows)
    eps = 10.0 ** -len(report.rows["accuracy"].accuracy.partition(".")[2])  # enough for cutting as for rounding
    for row in rows:
        scores = {"sens": float(row.recall), "ppv": float(row.precision), "f1": float(row.f1)}
        testset = {"p": int(row.support), "n": n_images - int(row.support)}
        if check_1_testset_no_kfold(testset=testset, scores=scores, eps=eps)["inconsistency"]:
            return True
    scores = {
        "acc": 1 - 2 * (1 - float(report.rows["accuracy"].accuracy)) / len(rows),
        "sens": float(report.rows["macro"].recall),
    }
    testset = {number: int(row.support) for number, row in enumerate(rows)}
    return check_1_testset_no_kfold_macro(testset=testset, scores=scores, eps=eps, verbosity=0, timeout=1)[
        "inconsistency"
    ]


def within_limit(file: claims.ClaimsFile) -> bool | None:
    """What mlscorecheck says, or None where it takes longer than LIMIT_S; its solver ends with its process group."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work():
        os.setsid()
        sender.send(bool(mlscorecheck_alarms(file)))

    worker = context.Process(target=work)
    worker.start()
    answer = receiver.recv() if receiver.poll(LIMIT_S) else None
    with contextlib.suppress(ProcessLookupError):  # it may have ended
        os.killpg(worker.pid, signal.SIGKILL)
    worker.join()
    return answer


def tampered(kind: str, by: float, seed: int) -> claims.ClaimsFile:
    rng = np.random.default_rng(seed)
    matrix = drawn_papers.draw_counts(rng, 7)
    matrix[0, 0] += not matrix[0].any()  # mlscorecheck takes no class without images
    file = drawn_papers.file_of([matrix], rng, whole=True)
    if kind != "nothing":
        file = drawn_papers.tampered(file, kind, rng, by)
    # Each is to be found by the report alone, but for what stands beside it.
    if kind != "matrix cell":
        file.matrices = []
    if kind != "accuracy claim":
        file.claims = []
    return file


def power_of(kind: str, by: float) -> dict:
    row = {
        "kind": kind,
        "by": by,
        "n": N_TAMPERED,
        "found": 0,
        "copied": 0,
        "n_peer": 0,
        "mlscorecheck": 0,
        "no_answer": 0,
    }
    row["provable"] = 0
    for seed in range(N_TAMPERED):
        file = tampered(kind, by, seed)
        answer = found(file)
        row["found"] += answer == "yes"
        row["copied"] += answer == "copied"
        row["provable"] += kind == "accuracy claim" and provable(file)
        if seed < N_PEER and kind in ("nothing", *OF_REPORTS):
            said = within_limit(file)
            row["n_peer"] += 1
            row["mlscorecheck"] += said is True
            row["no_answer"] += said is None
    print(row, flush=True)
    return row


def true_papers() -> dict:
    """How many true papers are called inconsistent, or are so but for numbers that were printed before."""
    alarmed = dict.fromkeys(PRINTED, 0)
    for seed in range(N_TRUE):
        rng, printed = np.random.default_rng(seed), PRINTED[seed % len(PRINTED)]
        if seed % 5:
            file = drawn_papers.draw_file(rng, printed)
        else:
            file = drawn_papers.scikit_learn_file(drawn_papers.draw_counts(rng), int(rng.integers(2, 5)))
        alarmed[printed] += found(file) != "no"
        if seed % 1000 == 999:
            print(seed + 1, alarmed, flush=True)
    return {"n": N_TRUE, "inconsistent": alarmed}


def speed() -> dict[str, float]:
    """Seconds: the suite's own papers, a true report of seven classes beside mlscorecheck, and reports of 100,000
    images and 20 classes with one metric alone, which leave most to search."""

    def seconds(job) -> float:
        started = time.perf_counter()
        job()
        return time.perf_counter() - started

    papers = [claims.read(path) for path in claims.FOLDER.glob("*.yaml")]
    reports = [tampered("nothing", 0.0, seed) for seed in range(N_PEER)]
    rng = np.random.default_rng(0)
    sizes = rng.multinomial(100_000, rng.dirichlet(np.full(20, 3.0)))
    shares = [rng.dirichlet(np.full(20, 0.7) + 20 * (np.arange(20) == k)) for k in range(20)]
    matrix = np.array([rng.multinomial(n, own) for n, own in zip(sizes, shares)])
    large = {}
    for kept in ("precision", "recall", "f1"):
        file = drawn_papers.scikit_learn_file(matrix, 2)
        for row in file.reports[0].rows.values():
            for metric in {"precision", "recall", "f1"} - {kept}:
                setattr(row, metric, None)
        large[f"100,000 images, 20 classes, {kept} alone"] = seconds(lambda file=file: audit.audit(file))
    own = float(np.median([seconds(lambda file=file: audit.audit(file)) for file in reports]))
    theirs = float(np.median([seconds(lambda file=file: mlscorecheck_alarms(file)) for file in reports[:20]]))
    return {
        "the suite's own papers": seconds(lambda: [audit.audit(file) for file in papers]),
        "a report of seven classes": own,
        "the same by mlscorecheck": theirs,
        **large,
    }


def rates() -> dict[str, dict[str, int]]:
    """By warning, how many honest logs or tables meet it, of how many."""
    logs = []
    for path in sorted((ROOT / "results" / "runs").rglob("history.csv")):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        if len(rows) >= 8:
            logs.append({name: [row[name] for row in rows] for name in rows[0]})
    lines = [
        max(
            metrics.longest_straight_line([f"{float(value):.{decimals}f}" for value in own])[3]
            for name, own in log.items()
            if name not in ("epoch", "learning_rate") and all(own)
        )
        for log in logs
        for decimals in (2, 3, 4)
    ]
    losses = [log for log in logs if all(log.get("running_loss", [""])) and all(log.get("select_loss", [""]))]
    tables = []
    for seed in range(N_TABLES):
        table = drawn_papers.draw_table(np.random.default_rng(seed))
        together = metrics.parallel({name: list(map(Fraction, own)) for name, own in table.items()})
        tables.append((len(table["accuracy"]) - 1) * (len(together) - 1) >= curves.COINCIDENCES)
    accuracies = []
    for path in sorted((ROOT / "results" / "runs").rglob("record.json")):
        record = json.loads(path.read_text())
        if record["protocol"] == "official" and record["data"]["source"] == "fer2013":
            accuracies += [own["PrivateTest"]["accuracy"] for own in record["metrics"].values() if "PrivateTest" in own]
    high = float(claims.fer2013().band.high) / 100
    low = [bool(curves.half_as_large(log["running_loss"], log["select_loss"])) for log in losses]
    met = {
        "straight line": [line >= curves.SURPRISE for line in lines],
        "validation below training": low,
        "late rise": [curves.late_rise([float(value) for value in log["select_loss"]]) for log in losses],
        "constant offsets": tables,
        "band": [accuracy > high for accuracy in accuracies],
    }
    return {name: {"met": sum(own), "of": len(own)} for name, own in met.items()}


def main(parts: list[str]) -> None:
    """Renew the named parts of audit.json: rates, power, true, speed; all without."""
    logging.disable(logging.INFO)
    path = ROOT / "benchmarks" / "audit.json"
    if not parts or "rates" in parts:
        curves.RATES.write_text(json.dumps(rates(), indent=1) + "\n")
    jobs = {
        "power": lambda: [power_of(kind, by) for kind, by in [("nothing", 0.0), *product(KINDS, (0.05, 0.01))]],
        "true": true_papers,
        "speed": speed,
    }
    for name in [name for name in jobs if not parts or name in parts]:
        own = jobs[name]()
        print(name, own, flush=True)
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: own}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
