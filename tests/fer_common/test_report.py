"""The report as a reader meets it: whole without a network, in a real browser, and safe from what claims may hold."""

import re
import shutil

import pytest

from fer_common import claims, report
from fer_common.cli import Papers
from fer_common.results import answers, render
from reproductions import PAPERS
from tests.conftest import ROOT, command

CHROMIUM = shutil.which("chromium")
TABLES = ROOT / "results" / "tables"


@pytest.fixture(scope="module")
def source():
    tables = render.read(TABLES, ("comparison", "runs"))
    found = answers.answers(tables["comparison"], [claims.load(name) for name in PAPERS])
    return report.Source(tables, found, Papers().loaded, ROOT / "results" / "runs", ROOT / "results" / "figures")


@pytest.fixture(scope="module")
def page(source, tmp_path_factory):
    return report.write(source, tmp_path_factory.mktemp("report"), run_pages=False)


def test_every_headline_claim_has_its_row_and_its_article(page, source):
    text = page.read_text()
    assert page.stat().st_size < 1_500_000
    assert len(source.found) >= 7
    for each in source.found:
        assert f'<article id="{each.file.paper}-{each.claim.id}"' in text
        assert f'href="#{each.file.paper}-{each.claim.id}"' in text
    assert "57.4 [55.4, 59.5] %, 5 seeds" in text and "only on images that it was trained on" in text
    assert not re.findall(r"(?:src|href)=\"https?:", text), "nothing comes from outside"
    for anchor in set(re.findall(r'href="#([^"]+)"', text)):
        assert f'id="{anchor}"' in text, anchor


def test_what_claims_and_notes_hold_is_no_code(source, tmp_path):
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    each = source.found[0]
    each.file.reference.title, each.file.reference.authors = evil, f"A {evil}"
    runs = source.tables["runs"].assign(notes=evil)
    comparison = source.tables["comparison"].assign(notes=evil)
    hostile = report.Source(
        {"runs": runs, "comparison": comparison}, [each], source.papers, source.runs, source.figures
    )
    text = report.write(hostile, tmp_path, run_pages=False).read_text()
    each.file.reference.title = each.file.reference.authors = None
    assert "<script>alert" not in text and "<img src=x" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert len(re.findall("<script", text)) == 1


def test_the_page_of_a_run(source, tmp_path):
    name = next(
        run for run in source.tables["runs"]["run"] if run.startswith("cnn_13_epochs/cnn/official-random-seed0")
    )
    text = report._run_page(source, name)
    assert "stated" in text and "3.1: epoch size of 13" in text and "83.2 % is claimed on test images" in text
    assert text.count("<svg") == 4 and "<title>ROC curves</title>" in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)), "pictures share no ids"


def test_the_command_writes_it(tmp_path):
    done = command("report", "--out", str(tmp_path / "r"))
    assert f"report: {tmp_path / 'r' / 'report.html'}" in done.stdout and (tmp_path / "r" / "report.html").is_file()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    quiet = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=quiet.split(), timeout=60_000)
        yield browser
        browser.close()


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_in_a_browser(page, browser, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab, asked, said = context.new_page(), [], []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(page.as_uri(), timeout=60_000)
    assert [url for url in asked if not url.startswith("file:")] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, "the page itself does not scroll sideways"

    tab.click("#all-runs summary")
    tab.click("#runs thead th:nth-child(8) button")
    minutes = tab.eval_on_selector_all("#runs tbody tr", "rows => rows.map(r => parseFloat(r.cells[7].textContent))")
    numbers = [value for value in minutes if value == value and value is not None]
    assert len(numbers) > 100 and numbers == sorted(numbers)
    tab.click("#runs thead th:nth-child(8) button")
    assert tab.get_attribute("#runs thead th:nth-child(8)", "aria-sort") == "descending"
    tab.fill("input[aria-label='Filter: Every record']", "reference small")
    shown = tab.eval_on_selector_all("#runs tbody tr", "rows => rows.filter(r => !r.hidden).map(r => r.textContent)")
    assert shown and all("reference" in text and "small" in text for text in shown)

    # A number leads to its run, though the table of runs was folded away.
    tab.goto(page.as_uri(), timeout=60_000)
    tab.click("#answers tbody tr:first-child td:nth-child(3) a")
    tab.wait_for_timeout(200)
    assert tab.evaluate("document.getElementById('all-runs').open")
    assert said == []

    found = axe.Axe().run(tab).response["violations"]
    assert [(own["id"], own["nodes"][0]["html"]) for own in found if own["impact"] in ("serious", "critical")] == []
    context.close()
