"""The generated parts of README and docs are those that the committed tables, setups and benchmarks give."""

import pytest

from fer_common import UserError, report
from tests.conftest import ROOT


@pytest.mark.parametrize("page", ["README.md", "docs/cnn_13_epochs.md", "docs/resnet50_xgboost.md", "docs/audit.md"])
def test_pages_are_up_to_date(page):
    text = (ROOT / page).read_text()
    assert "<!-- begin" in text
    assert report.fill(text, report.make_blocks(ROOT)) == text, "say `ferrepro docs`"


def test_an_unknown_block_is_named():
    with pytest.raises(UserError, match="no generated block 'nothing'"):
        report.fill("<!-- begin nothing -->\n<!-- end nothing -->", {"something": ""})
