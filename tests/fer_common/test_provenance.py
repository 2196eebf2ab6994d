"""Marks of a setup's values: read by help, record and page, and asked for where one is missing."""

from dataclasses import dataclass

import pytest

from fer_common import UserError, provenance


@dataclass(frozen=True)
class Setup:
    epochs: int = provenance.stated(10, "4.1")
    width: int = 64


@pytest.mark.parametrize("read", [provenance.provenance, provenance.with_help])
def test_a_value_without_a_mark_is_named(read):
    with pytest.raises(UserError, match="test_provenance.Setup.width does not say where its value comes"):
        read(Setup)
