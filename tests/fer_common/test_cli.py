"""The command line as typed: quick help, the data commands, the list, and one sentence for every mistake."""

import os
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fer_common import NoData, cli
from fer_common.data import utkface
from reproductions import PAPERS
from tests.builders import predictions, put, record
from tests.conftest import ROOT, command

HEAVY = "keras tensorflow sklearn pandas matplotlib xgboost scipy"


@pytest.mark.parametrize(
    "arguments", ["--help", "list", "run cnn_13_epochs --help", "tables --help", "compare --help", "data --help"]
)
def test_help_and_list_import_nothing_heavy(arguments):
    script = (
        "import sys\nfrom fer_common import cli\n"
        f"sys.argv = ['ferrepro', *{arguments.split()!r}]\n"
        "try: cli.main()\nexcept SystemExit as stop: assert not stop.code, stop.code\n"
        f"loaded = [m for m in {HEAVY.split()!r} if m in sys.modules]\nassert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)


def test_help_tells_where_values_come_from():
    printed = " ".join(command("run", "cnn_13_epochs", "--help").stdout.replace("│", " ").split())
    assert "stated: 3.1: epoch size of 13 (default: 13)" in printed
    assert "default: sgd" in " ".join(command("run", "cnn_13_epochs", "--system", "cnn_sgd", "--help").stdout.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("run nobody_2020", "There is no paper 'nobody_2020'; there is cnn_13_epochs"),
        ("run", "Say which paper"),
        ("lst", "There is no command 'lst'; near it: list."),
        ("run cnn_13_epoch", "There is no paper 'cnn_13_epoch'; near it: cnn_13_epochs."),
        ("run cnn_13_epochs --protocol oficial", "There is no protocol 'oficial'; near it: official"),
        ("run cnn_13_epochs --system cn", "There is no system of cnn_13_epochs 'cn'; near it: cnn."),
        (
            "run cnn_13_epochs --batch-size 0 --epochs -2",
            "--batch-size 0: 1 or more; --epochs -2: 1 or more. Nothing was",
        ),
        ("run cnn_13_epochs --seed -1", "--seed -1: a seed is 0 or more"),
        ("run cnn_13_epochs --score-epochs 99", "--score-epochs 99: epochs are numbered from 1 to 13"),
        ("run cnn_13_epochs --filters", "--filters: at least one is needed"),
        ("run cnn_13_epochs --dropouts 0.1", "--dropouts 0.1: 1 for 4 dense layers"),
        ("run reference --learning-rate nan", "--learning-rate nan: is no number to calculate with"),
        (
            "run reference --dropout 1.5 --learning-rate 0",
            "--dropout 1.5: 0 or more, and below 1; --learning-rate 0.0: above",
        ),
        ("run cnn_13_epochs --data /nowhere", "You say '/nowhere', and nothing is there"),
        pytest.param(
            "run cnn_13_epochs --data synthetic --runs /proc/nowhere", "cannot be written", marks=pytest.mark.slow
        ),
        ("tables --runs /nowhere", "/nowhere: no such folder"),
        ("data check /nowhere", "nothing is there"),
        ("data show --data /nowhere --out x.nonsense", "no picture is written as .nonsense; expected .avif, .eps"),
        pytest.param(
            "data check synthetic --json /nowhere/passport.json",
            "/nowhere/passport.json: No such file or directory.",
            marks=pytest.mark.slow,
        ),
        ("data fetch", "could not be fetched"),
    ],
)
def test_mistakes_end_in_a_sentence(arguments, sentence):
    if arguments == "data fetch":  # a proxy that nobody serves stands for a lost network
        done = command(*arguments.split(), check=False, env={"https_proxy": "http://127.0.0.1:9"})
    else:
        done = command(*arguments.split(), check=False)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert sentence in done.stderr


def test_its_version_and_an_unknown_option_of_all_papers_are_said_once():
    assert command("--version").stdout.startswith("ferrepro 0.")
    done = command("run", "--all", "--sed", "1", check=False)
    assert done.returncode == 2 and (done.stdout + done.stderr).count("Unrecognized options: --sed") == 1


def test_no_data_has_a_status_of_its_own(tmp_path):
    """What `make reproduce` tells from a copy that is broken."""
    environment = {"FER2013": "", "FERREPRO_CACHE": str(tmp_path)}
    assert command("data", "check", check=False, env=environment).returncode == 3
    (tmp_path / "broken.csv").write_text("nothing")
    assert (
        command("data", "check", check=False, env=environment | {"FER2013": str(tmp_path / "broken.csv")}).returncode
        == 1
    )


@pytest.mark.slow
def test_data_check_counts(real):
    printed = command("data", "check", real).stdout
    assert printed.count("as published") == 3 and "0 to 255" in printed


@pytest.mark.slow
def test_data_show_draws(tmp_path):
    command("data", "show", "--data", "synthetic", "--out", tmp_path / "faces.png")
    assert (tmp_path / "faces.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "drawn"),
    [
        (["--runs", "smoke"], False),
        (["--preset", "smoke"], True),
        (["--preset=smoke"], True),
        (["--preset", "full", "--runs", "smoke"], False),
        (["--preset", "smoke", "--data", "/mine"], False),
        (["--preset", "smoke", "--attributes=/mine"], False),
    ],
)
def test_only_a_smoke_run_draws_the_attributes_that_are_missing(arguments, drawn, monkeypatch):
    commands = []

    def missing():
        raise NoData("There is no UTKFace.")

    monkeypatch.setattr(utkface, "find", missing)
    done = SimpleNamespace(returncode=0)
    monkeypatch.setattr(cli.subprocess, "run", lambda command, **_: commands.append(command) or done)
    cli.run_all(arguments)
    by_paper = {command[2].rpartition(".")[2]: command[5:] for command in commands}
    assert list(by_paper) == list(PAPERS)
    for paper, given in by_paper.items():
        added = ["--data", "synthetic"] if drawn and paper == "multitask_lightweight" else []
        assert given == [*arguments, *added]


def test_runs_of_a_paper_that_is_not_registered_are_named(tmp_path):
    put(tmp_path / "runs", record(paper="nobody_2020"), predictions(0, (0.8, 0.6, 0.6)))
    printed = command("tables", "--runs", tmp_path / "runs", "--tables", tmp_path / "tables").stdout
    assert "no claim stands beside their runs: nobody_2020. Add the name to PAPERS in reproductions/" in printed


def test_an_installed_suite_says_what_only_a_checkout_has(tmp_path):
    """The packages alone, as a wheel has them."""
    for package in ("fer_common", "reproductions"):
        shutil.copytree(ROOT / package, tmp_path / "site" / package, ignore=shutil.ignore_patterns("__pycache__"))
    put(tmp_path / "runs", record(), predictions(0, (0.8, 0.6, 0.6)))

    def installed(*arguments):
        here = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
        told = [sys.executable, "-m", "fer_common.cli", *arguments]
        return subprocess.run(told, cwd=tmp_path, env=here, capture_output=True, text=True, check=False)

    assert "cnn_13_epochs" in installed("list").stdout
    done = installed("tables", "--runs", "runs", "--tables", "tables")
    assert done.returncode == 0 and "a single run of yours is not judged" in done.stdout
    done = installed("docs")
    assert done.returncode == 1 and "is no checkout of the suite" in done.stderr and "Traceback" not in done.stderr


def test_list_says_what_papers_print_and_what_has_run(tmp_path):
    printed = command("list").stdout
    for name in PAPERS:
        assert re.search(rf"^{name} ", printed, re.MULTILINE)
    assert re.search(r"^cnn_13_epochs +90 %, 83.2 % +57.4 \(5 seeds\)", printed, re.MULTILINE)
    of_one = command("list", "cnn_13_epochs").stdout
    assert "protocols: official, as_published" in of_one and re.search(r"first_design +official", of_one)
    assert re.search(r"^cnn_13_epochs +90 %, 83.2 % +not run", command("list", "--runs", tmp_path).stdout, re.MULTILINE)


def test_what_stops_by_watched_images_needs_some(tmp_path):
    asked = ["run", "mini_xception", "--protocol", "public_fitted", "--preset", "smoke", "--data", "synthetic"]
    done = command(*asked, "--runs", tmp_path, check=False)
    assert done.returncode == 1 and "under public_fitted none does" in done.stderr and not list(tmp_path.iterdir())


def test_best_without_a_whole_run(tmp_path):
    put(tmp_path / "runs", record(preset="smoke"), predictions(0, (0.8, 0.6, 0.6)))
    command("tables", "--runs", tmp_path / "runs", "--tables", tmp_path / "tables")
    assert "Nothing ran yet." in command("best", "--tables", tmp_path / "tables").stdout


def test_best_and_show_give_the_evidence():
    first, second = re.findall(r"^(\d\d\.\d) \[", command("best", "--n", "2").stdout, re.MULTILINE)
    assert float(first) >= float(second) > 60
    claim = command("show", "cnn_13_epochs/test_accuracy_results").stdout
    assert "accuracy 83.2 %" in claim and "57.4 [55.4, 59.5]  PrivateTest" in claim and "audit, warning" in claim
    assert "answer: only on images that it was trained on" in command("show", "cnn_13_epochs").stdout
    run = next((ROOT / "results/runs/cnn_13_epochs/cnn").glob("as_published-random-seed1-*"))
    shown = " ".join(command("show", run).stdout.split())
    assert (
        "83.2 % is claimed on test images (3.3); you got 5" in shown
        and "% on the images that it was fitted on" in shown
    )
    several = command("show", "accuracy", check=False)
    assert several.returncode == 1 and "is a claim of several papers: resnet50_xgboost/accuracy" in several.stderr
    assert "neither the folder of a record, nor a claim" in command("show", "nothing", check=False).stderr


def test_headline_claims_as_a_table_for_a_paper(tmp_path):
    where = ("--runs", ROOT / "results/runs/reference", "--tables", tmp_path / "tables")
    printed = command("tables", "--format", "latex", "--claims", "headline", *where).stdout
    assert printed.startswith(r"\begin{tabular}") and printed.count(r" \\") > 7 and r"83.2 \% on test images" in printed
    refused = command("tables", "--format", "latex", *where, check=False)
    assert refused.returncode == 1 and "say --claims headline" in refused.stderr
