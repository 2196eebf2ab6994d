"""docs/adding_a_paper.md followed to the letter in a copy of the suite: its files run, and each slip that it names ends
in the sentence that mends it."""

import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest

from tests.conftest import LONGEST, ROOT

PAPER = "three_layer_cnn"
SMOKE = ("run", PAPER, "--preset", "smoke", "--data", "synthetic", "--runs", "build/trial/runs")
# A path in a line of its own, then the fenced file.
FILES = re.compile(r"^`([\w/]+\.\w+)`:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.smoke
def test_the_guide_is_right_and_so_are_the_sentences_that_mend_a_slip(tmp_path):
    ignore = shutil.ignore_patterns("__pycache__", "runs")
    for name in ("fer_common", "reproductions", "tests", "docs", "benchmarks", "results"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for name in ("README.md", "setup.cfg"):
        shutil.copy(ROOT / name, tmp_path)

    def say(*arguments, module="fer_common.cli"):
        # FER2013 is none of the guide's needs.
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            check=False,
            cwd=tmp_path,
            env={**os.environ, "FER2013": "", "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=LONGEST,
        )

    def right(*arguments, **options):
        done = say(*arguments, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def slip(*arguments):
        done = say(*arguments)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        return done.stderr

    files = dict(FILES.findall((ROOT / "docs" / "adding_a_paper.md").read_text()))
    script, claims_file = f"reproductions/{PAPER}.py", f"reproductions/claims/{PAPER}.yaml"
    test, page = f"tests/reproductions/test_{PAPER}.py", f"docs/{PAPER}.md"
    assert list(files) == [claims_file, script, test, page]

    def write(name):
        (tmp_path / name).write_text(files[name])

    write(claims_file)
    assert f"{PAPER}: 1 consistent" in right("audit", claims_file)
    write(script)
    assert "assumed: of the hidden dense layer" in " ".join(right("--help", module=f"reproductions.{PAPER}").split())

    assert f"{script} is not registered" in slip(*SMOKE)
    registry = tmp_path / "reproductions" / "__init__.py"
    registry.write_text(re.sub(r"^PAPERS = \(", f'PAPERS = ("{PAPER}", ', registry.read_text(), flags=re.MULTILINE))
    assert re.search(rf"^{PAPER} +61.40 % +not run +0$", right("list").replace("  \n", "\n"), re.MULTILINE)
    assert re.search(r"^protocols: official, as_published\n\n(.*\n)*cnn +not run$", right("list", PAPER), re.MULTILINE)

    for protocol in ("official", "as_published"):
        assert "record: build/trial/runs" in right(*SMOKE, "--protocol", protocol)
    assert "2 records: 0 right in every check, 0 wrong, 2 checked in part" in right("check", "build/trial/runs")
    tables = ("tables", "--runs", "build/trial/runs", "--tables", "build/trial/tables")
    right(*tables)
    compared = pd.read_csv(tmp_path / "build/trial/tables/comparison.csv", dtype=str).query("paper == @PAPER")
    assert set(compared["protocol"]) == {"official", "as_published"} and set(compared["claimed"]) == {"61.40"}

    (tmp_path / claims_file).unlink()
    assert f"{PAPER} has no claims file: write {claims_file}" in slip(*tables)
    write(claims_file)

    write(test)
    assert "3 passed" in right(test, module="pytest")

    assert f"There is no {page}; docs/adding_a_paper.md" in slip("docs")
    write(page)
    right("audit", "--out", "results/tables")
    assert f"renewed: {page}" in right("docs")
    filled = (tmp_path / page).read_text()
    assert "4.1: ten epochs" in filled and "Nothing that could be checked is other than consistent." in filled
    of_paper = ("tests/reproductions/test_every_paper.py", "-k", PAPER)
    done = say(*of_paper, module="pytest")
    assert "has a row a paper" in done.stdout and "1 failed, 4 passed" in done.stdout
    with (tmp_path / "docs" / "papers.md").open("a") as listed:
        listed.write(f"\n| `{PAPER}` | A. Nobody: Three layers are enough. 2021. |\n")
    assert "5 passed" in right(*of_paper, module="pytest")


@pytest.mark.parametrize("page", ["docs/adding_a_paper.md", "docs/style.md", "docs/changelog.md", "CONTRIBUTING.md"])
def test_what_a_page_links_to_is_there(page):
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target
