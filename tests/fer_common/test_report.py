"""The generated parts of README and docs are those that the committed tables, setups and benchmarks give."""

import pytest

from fer_common import UserError, report
from tests.conftest import ROOT


def test_pages_are_up_to_date():
    blocks = report.make_blocks(ROOT)
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    filled = {page.name: page.read_text() for page in pages if "<!-- begin" in page.read_text()}
    assert len(filled) > 4
    for name, text in filled.items():
        assert report.fill(text, blocks) == text, f"{name}: say `ferrepro docs`"


def test_an_unknown_block_is_named():
    with pytest.raises(UserError, match="no generated block 'nothing'"):
        report.fill("<!-- begin nothing -->\n<!-- end nothing -->", {"something": ""})
