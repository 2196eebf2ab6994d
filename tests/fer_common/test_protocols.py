"""The one registry of protocols: each as it says, each paper's word for it, and the roles of the committed records."""

import numpy as np
import pytest

from fer_common import UserError, data, protocols, records
from fer_common.data import synthetic
from reproductions import PAPERS, load
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def many():
    return synthetic.draw(3000, seed=1)


@pytest.mark.parametrize("name", protocols.PROTOCOLS)
def test_every_row_has_a_role_and_the_same_one_again(name, many):
    protocol = protocols.PROTOCOLS[name]
    fold = 0 if protocol.folds else None
    prepared, role = protocol.split(many, 1, fold)
    assert protocol.name == name and protocol.says.endswith(".") and len(role) == len(prepared)
    assert (role == "fit").any() and (protocol.prepare is not None) == (len(prepared) > len(many))
    np.testing.assert_array_equal(role, protocol.split(many, 1, fold)[1])
    fitted = prepared.row_id[role == "fit"]
    assert not np.isin(prepared.row_id[role == "score"], fitted).any()


def test_a_role_that_there_is_not_is_refused(many):
    with pytest.raises(ValueError, match="gives roles that there are not: tested"):
        protocols.Protocol("mine", "Mine.", lambda data, seed, fold: np.full(len(data), "tested")).split(many, 0)


def test_a_protocol_that_there_is_not_is_named_with_its_neighbours():
    with pytest.raises(UserError, match="no protocol 'spilt_80_20'; near it: split_80_20, "):
        protocols.PROTOCOLS["spilt_80_20"]
    with pytest.raises(UserError, match=r"no protocol 'zzz'\. All of them stand in docs/design.md"):
        protocols.PROTOCOLS["zzz"]


def test_a_paper_can_run_the_others_protocols_under_one_name_each():
    cnn, folds = load("cnn_13_epochs"), load("resnet50v2_vit")
    assert list(cnn.choices())[:2] == ["official", "as_published"]
    assert "split_80_20" in cnn.choices() and "oversample_before_split" in cnn.choices()
    # Nothing of the script could be fitted before the split.
    assert not {"fit_transforms_before_split", "extractor_sees_test"} & set(cnn.choices())
    assert {"fit_transforms_before_split", "extractor_sees_test"} < set(load("resnet50_xgboost").choices())
    assert cnn.word("training_80_20_watched") == "as_published" and cnn.word("split_80_20") == "split_80_20"
    assert folds.choices()["official"].folds == 5, "its own word means another protocol, and wins"
    assert folds.word("official") == "official" and folds.word("folds_without_private") == "official"


def one_record_of_each():
    found = {}
    for path in records.find(ROOT / "results" / "runs"):
        protocol = path.name.partition("-")[0]
        if "-random-" in path.name:  # what a fine-tuned extractor has seen is not the protocol's to say
            found.setdefault((path.parent.parent.name, protocol), path)
    return found


def test_roles_are_those_of_the_committed_records(real):
    faces = data.load(str(real))
    committed = one_record_of_each()
    assert {paper for paper, _ in committed} <= set(PAPERS) and len(committed) > 15
    for (paper, word), path in committed.items():
        record, _, predictions = records.read(path)
        prepared, role = load(paper).choices()[word].split(faces, record.seed, record.fold)
        if record.task == "expression":
            np.testing.assert_array_equal(predictions.role, role, err_msg=str(path))
            np.testing.assert_array_equal(predictions.row_id, prepared.row_id, err_msg=str(path))
