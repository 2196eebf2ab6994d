"""False alarms and power of the audit, on drawn papers, beside mlscorecheck 1.0.3 on the same reports.

`python benchmarks/audit.py` writes audit.json. True papers: a report, a confusion matrix in per cent and headlines of
one run or of means over five folds, whole and partial, to various decimals, three roundings, 2 to 10 classes from
balanced to very imbalanced, shares of rows, columns or the whole; every fourth is scikit-learn's own printed report.
Tampered ones: whole reports of one run and seven classes.
mlscorecheck is given what it has checks for: each class's precision, recall and F1 as a binary problem, and accuracy
(as the one-vs-rest mean that it takes) with macro recall as a multiclass one; it has none for macro precision and F1.
Its solver can run for minutes, and beyond its own time limit: it works in a process of its own, and a report without an
answer after LIMIT_S counts apart, as not found.
"""

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
from mlscorecheck.check.binary import check_1_testset_no_kfold
from mlscorecheck.check.multiclass import check_1_testset_no_kfold_macro

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from fer_common import audit, claims  # noqa: E402
from tests import drawn_papers  # noqa: E402

N_TRUE, N_TAMPERED, LIMIT_S = 10_000, 100, 10
KINDS = ("one cell", "one average", "accuracy", "whole rows")


def alarms(file: claims.ClaimsFile) -> bool:
    return any(finding.verdict == "inconsistent" for finding in audit.audit(file))


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


def main() -> None:
    logging.disable(logging.INFO)
    started = time.perf_counter()
    for path in claims.FOLDER.glob("*.yaml"):
        audit.audit(claims.read(path))
    papers = time.perf_counter() - started

    power = []
    for kind, by in [("nothing", 0.0), *product(KINDS, (0.05, 0.01))]:
        found = {"kind": kind, "by": by, "n": N_TAMPERED, "found": 0, "mlscorecheck": 0, "no_answer": 0}
        for seed in range(N_TAMPERED):
            rng = np.random.default_rng(seed)
            matrix = drawn_papers.draw_counts(rng, 7)
            matrix[0, 0] += not matrix[0].any()  # mlscorecheck takes no class without images
            file = drawn_papers.file_of([matrix], rng, whole=True)
            if kind != "nothing":
                file = drawn_papers.tampered(file, kind, rng, by)
            file.claims, file.matrices = [], []
            found["found"] += alarms(file)
            said = within_limit(file)
            found["mlscorecheck"] += said is True
            found["no_answer"] += said is None
        power.append(found)
        print(found)

    alarmed, spent = 0, []
    for seed in range(N_TRUE):
        rng = np.random.default_rng(seed)
        if seed % 4:
            file = drawn_papers.draw_file(rng)
        else:
            file = drawn_papers.scikit_learn_file(drawn_papers.draw_counts(rng), int(rng.integers(2, 5)))
        started = time.perf_counter()
        alarmed += alarms(file)
        if len(file.classes) == 7 and not file.matrices:
            spent.append(time.perf_counter() - started)

    result = {
        "papers_s": papers,
        "true": {"n": N_TRUE, "inconsistent": alarmed, "report_ms": 1000 * float(np.median(spent))},
        "power": power,
    }
    print({key: result[key] for key in ("papers_s", "true")})
    (ROOT / "benchmarks" / "audit.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
