"""What passed unnoticed once, each edit beside the record that it was made of: roles, labels, metrics, copied seeds."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fer_common import UserError, records, vouch
from fer_common.data import attributes, passport, synthetic
from fer_common.protocols import PROTOCOLS
from reproductions import PAPERS, load
from tests.conftest import ROOT, command

RUNS = ROOT / "results" / "runs"
ALONE, POOLED, GROUPED = (
    "cnn_13_epochs/cnn/official-random-seed0-57fdcecb",
    "resnet50_xgboost/proposed/split_80_20-finetuned-seed1-*",
    "resnet50v2_vit/alexnet/official_grouped-random-seed0-fold2-*",
)
PAPER = {"a_paper": PROTOCOLS}


@pytest.fixture(scope="module")
def copy():
    """1,400 drawn faces, of which many are identical."""
    return synthetic.draw(1400, seed=3, duplicates=0.2)


@pytest.fixture(scope="module")
def people():
    """300 drawn faces with attributes."""
    return synthetic.draw_attributes(300, seed=3)


@pytest.fixture(scope="module")
def passports(copy, people):
    made = passport.make(copy), passport.make_attributes(people)
    return vouch.Passports(*({one.fingerprint: one} for one in made))


def put(runs, copy, protocol="official", *, seed=0, fold=None, people=None, seen=None, **fields):
    """The record that a run with this protocol leaves, with random predictions; returns its folder.

    people: data of further tasks. seen: row ids that a part of the system was fitted on.
    """
    data, role = PROTOCOLS[protocol].split(copy, seed, fold)
    if seen is not None:
        role = np.where((role == "score") & np.isin(data.row_id, seen), "seen", role)
    rng = np.random.default_rng([seed, fold or 0, len(protocol)])

    def predicted(row_id, usage, role, label, classes):
        probabilities = rng.dirichlet(np.ones(classes), (1, len(row_id))).astype(np.float16)
        return records.Predictions(row_id, usage, role, label, np.array([13], np.int16), probabilities)

    record = records.Record(**{
        "paper": "a_paper", "system": "net", "protocol": protocol, "init": "random", "seed": seed, "fold": fold,
        "preset": "full", "changes": {}, "setup": {"epochs": 13}, "epochs_run": 13,
        "data": {"source": data.source, "fingerprint": data.fingerprint, "rows": len(data)},
    } | fields)  # fmt: skip
    further = {}
    if people is not None:
        record.data["attributes"] = {
            "source": people.source, "fingerprint": people.fingerprint, "rows": len(people)
        }  # fmt: skip
        for task, classes in attributes.ATTRIBUTES.items():
            label = people.labels[task]
            further[task] = predicted(people.row_id, people.part, people.role, label, len(classes))
    final = records.folder(runs, record)
    expressions = predicted(data.row_id, data.usage, role, data.labels, 7)
    records.write(final, record, [], expressions, further=further)
    return final


def rewrite(path, task=None, **arrays):
    """Replace arrays of the record's predictions, with metrics made to match."""
    record, history, found = records.read(path)
    further = records.read_further(path)
    if task:
        further[task] = replace(further[task], **arrays)
    else:
        found = replace(found, **arrays)
    records.write(path, record, history, found, further=further)


def edit(path, **fields):
    """Replace fields in record.json."""
    content = json.loads((path / "record.json").read_text()) | fields
    (path / "record.json").write_text(json.dumps(content))


def verdicts(findings, verdict):
    return [(finding.check, finding.says) for finding in findings if finding.verdict == verdict]


def wrong_checks(path, passports, protocols=PAPER):
    return [check for check, _ in verdicts(vouch.check_record(path, passports, protocols), "wrong")]


def assert_right(path, passports, protocols=PAPER):
    findings = vouch.check_record(path, passports, protocols)
    assert {finding.verdict for finding in findings} == {"ok"}, findings
    assert {"readable", "place", "rows", "roles", "metrics"} <= {finding.check for finding in findings}


CASES = [(name, fold) for name, protocol in PROTOCOLS.items() for fold in ([0, 4] if protocol.folds else [None])]


@pytest.mark.parametrize(("protocol", "fold"), CASES)
def test_every_protocol_is_drawn_again_and_fitted_rows_cannot_be_scored(tmp_path, copy, passports, protocol, fold):
    path = put(tmp_path, copy, protocol, seed=2, fold=fold)
    assert_right(path, passports)
    role = records.read(path)[2].role
    rewrite(path, role=np.where(role == "fit", "score", role))
    assert wrong_checks(path, passports) == ["roles"]
    fitted = np.flatnonzero(role == "fit")
    rewrite(path, role=np.where(np.arange(len(role)) == fitted[-1], "score", role))
    [(check, says)] = verdicts(vouch.check_record(path, passports, PAPER), "wrong")
    assert check == "roles" and f"1 rows are `score` and should be `fit` by {protocol} with seed 2" in says
    rewrite(path, role=role)
    assert_right(path, passports)


@pytest.mark.parametrize("protocol", ["split_80_20", "augment_before_split", "oversample_before_split"])
def test_another_seeds_roles_are_none(tmp_path, copy, passports, protocol):
    path = put(tmp_path, copy, protocol, seed=2)
    assert_right(path, passports)
    other = records.read(put(tmp_path, copy, protocol, seed=3))[2].role
    rewrite(path, role=other)
    assert wrong_checks(path, passports) == ["roles"]


def test_labels_replaced_by_what_was_predicted(tmp_path, copy, passports):
    path = put(tmp_path, copy)
    assert_right(path, passports)
    rewrite(path, label=records.read(path)[2].probabilities[0].argmax(1).astype(np.uint8))
    assert records.read_record(path).metrics["13"]["PrivateTest"]["accuracy"] == 1
    assert wrong_checks(path, passports) == ["rows"]


def test_rows_of_a_usage_renamed_and_rows_left_out(tmp_path, copy, passports):
    path = put(tmp_path, copy)
    assert_right(path, passports)
    found = records.read(path)[2]
    rewrite(path, usage=found.usage[::-1], role=found.role[::-1])
    assert wrong_checks(path, passports) == ["rows"]
    easy = {name: getattr(found, name)[:1000] for name in ("row_id", "usage", "role", "label")}
    rewrite(path, **easy, probabilities=found.probabilities[:, :1000])
    assert wrong_checks(path, passports) == ["rows"]
    data = records.read_record(path).data | {"rows": 1000}
    edit(path, data=data)
    assert wrong_checks(path, passports) == ["place", "rows"]


def test_numbers_that_are_no_probabilities(tmp_path, copy, passports):
    path = put(tmp_path, copy)
    for forged in (-0.5, np.nan):
        assert_right(path, passports)
        honest = records.read(path)[2].probabilities
        probabilities = honest.copy()
        probabilities[0, 0, 0] = forged
        rewrite(path, probabilities=probabilities)
        assert wrong_checks(path, passports) == ["readable"]
        path = put(tmp_path, copy)


def test_row_ids_that_are_all_0(tmp_path, copy, passports):
    path = put(tmp_path, copy)
    assert_right(path, passports)
    rewrite(path, row_id=records.read(path)[2].row_id * 0)
    assert wrong_checks(path, passports) == ["readable"]


def test_rows_repeated_under_a_protocol_that_repeats_none(tmp_path, copy, passports):
    path = put(tmp_path, copy)
    assert_right(path, passports)
    found = records.read(path)[2]
    rows = np.r_[: len(copy), len(copy) - 1]
    rewrite(
        path, probabilities=found.probabilities[:, rows],
        **{name: getattr(found, name)[rows] for name in ("row_id", "usage", "role", "label")},
    )  # fmt: skip
    edit(path, data=records.read_record(path).data | {"rows": len(rows)})
    assert "roles" in wrong_checks(path, passports)


def test_metrics_and_setups_that_were_typed(tmp_path, copy, passports):
    path = put(tmp_path, copy)
    assert_right(path, passports)
    content = (path / "record.json").read_text()
    metrics = json.loads(content)["metrics"]
    metrics["13"]["PrivateTest"]["accuracy"] = 0.9
    edit(path, metrics=metrics)
    assert wrong_checks(path, passports) == ["metrics"]
    (path / "record.json").write_text(content)
    assert_right(path, passports)
    edit(path, setup={"epochs": 300})
    assert wrong_checks(path, passports) == ["place"]


def copied_as_seed_1(path):
    """The record under another seed's name, saying so in json too."""
    other = path.with_name(path.name.replace("seed0", "seed1"))
    shutil.copytree(path, other)
    edit(other, seed=1)
    return other


def test_a_seed_that_is_the_copy_of_another(tmp_path, copy, passports):
    path, honest = put(tmp_path, copy), put(tmp_path, copy, seed=2)
    check = [passports, PAPER]
    findings = vouch.check_records([path, honest], *check)
    assert {finding.path for finding in findings} == {path, honest} and not verdicts(findings, "wrong")
    assert not verdicts(findings, "not checked")
    other = copied_as_seed_1(path)
    assert_right(other, passports)  # alone nothing tells
    findings = vouch.check_records(vouch.find([tmp_path]), *check)
    assert {f.path: f.check for f in findings if f.verdict == "wrong"} == {path: "copies", other: "copies"}
    assert f"its predictions are those of {path}, bit for bit" in vouch.text(findings)
    findings = vouch.check_records(vouch.find([tmp_path]), *check, without_randomness=lambda record: True)
    assert not verdicts(findings, "wrong")
    again = tmp_path / "again" / path.name  # the same seed twice counts twice, whatever the system
    shutil.copytree(path, again)
    findings = vouch.check_records([path, again], *check, without_randomness=lambda record: True)
    assert [check for check, _ in verdicts(findings, "wrong")] == ["copies", "copies"]


def test_a_run_that_was_fitted_on_the_test_under_the_name_of_another_protocol(tmp_path, copy, passports):
    path = put(tmp_path, copy, "train_as_test")
    record, history, found = records.read(path)
    honest = records.folder(tmp_path, msgspec.structs.replace(record, protocol="official"))
    role = PROTOCOLS["official"].split(copy, 0, None)[1]
    forged = msgspec.structs.replace(record, protocol="official", metrics={})
    records.write(honest, forged, history, replace(found, role=role))
    assert_right(honest, passports)  # alone nothing tells
    findings = vouch.check_records([path, honest], passports, PAPER)
    assert [check for check, _ in verdicts(findings, "wrong")] == ["copies", "copies"]


SETUPS = {"a_paper": {"net": {"epochs": 13, "filters": [32, 64], "init": "random"}}}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, None),
        ({"setup": {"epochs": 13, "filters": [32, 64], "init": "tuned"}}, None),
        ({"setup": {"epochs": 3}, "reduced": {"epochs": 3}, "preset": "reduced"}, None),
        ({"setup": {"epochs": 3}, "changes": {"epochs": 3}, "preset": "custom"}, None),
        ({"setup": {"epochs": 3}}, "its epochs is 3, the script's is 13, and it does not say so"),
        ({"setup": {"epochs": 3}, "reduced": {"epochs": 5}, "preset": "reduced"}, "it says that epochs was set to 5"),
        ({"setup": {"epochs": 3}, "reduced": {"epochs": 3}}, "it calls itself full, and by what it says"),
        ({"setup": {"epochs": 3}, "preset": "smoke"}, None),
    ],
)
def test_a_reduced_run_that_passes_for_the_papers_own(tmp_path, copy, passports, fields, says):
    path = put(tmp_path, copy, **fields)
    wrong = verdicts(vouch.check_record(path, passports, PAPER, SETUPS), "wrong")
    assert [check for check, _ in wrong] == ["setup"] * bool(says) and all(says in said for _, said in wrong)


def test_the_history_is_that_of_the_predictions(tmp_path, copy, passports):
    """The best epoch is its highest, and what was kept is among it."""
    path = put(tmp_path, copy, best_epoch=2)
    record, _, found = records.read(path)
    watched = found.role == "select"
    own = (found.probabilities[0][watched].argmax(1) == found.label[watched]).mean()
    for selected, wrong in (((own, 0.6, 0.6), []), ((own, 0.5, 0.6), ["history"]), ((0.5, 0.6, 0.6), ["history"])):
        history = [{"epoch": n + 1, "select_accuracy": value} for n, value in enumerate(selected)]
        records.write(path, record, history, found)
        assert wrong_checks(path, passports) == wrong


def test_a_seed_renamed_in_the_folder_alone(tmp_path, copy, passports):
    path = put(tmp_path, copy)
    assert_right(path, passports)
    assert wrong_checks(path.rename(path.with_name(path.name.replace("seed0", "seed1"))), passports) == ["place"]


def test_rows_that_an_extractor_was_fitted_on_are_seen(tmp_path, copy, passports):
    """Exactly those: neither may one of them pass for unseen, nor may all be called seen."""
    extractor = put(tmp_path, copy, system="extractor")
    fitted = copy.row_id[copy.usage == "Training"]
    details = {"extractor": {"record": f"extractor/{extractor.name}"}}
    path = put(tmp_path, copy, "split_80_20", seen=fitted, init="finetuned", details=details)
    assert_right(path, passports)
    role = records.read(path)[2].role
    assert (role == "seen").any() and (role == "score").any()
    rewrite(path, role=np.where(role == "seen", "score", role))
    assert wrong_checks(path, passports) == ["roles"]
    edit(path, details={})  # nor does it help not to name the extractor
    assert wrong_checks(path, passports) == ["roles"]
    edit(path, details=details, weights="0" * 16)  # nor to name another than the one that it began with
    assert "roles" in wrong_checks(path, passports)
    edit(path, weights=None)
    rewrite(path, role=np.where(role == "score", "seen", role))
    assert wrong_checks(path, passports) == ["roles"]
    rewrite(path, role=role)
    assert_right(path, passports)
    shutil.rmtree(extractor)
    findings = vouch.check_record(path, passports, PAPER)
    assert not verdicts(findings, "wrong")
    assert [(check, "is not there" in says) for check, says in verdicts(findings, "not checked")] == [("roles", True)]
    rewrite(path, role=np.where(role == "fit", "score", role))
    assert wrong_checks(path, passports) == ["roles"]


def test_without_an_extractor_nothing_is_seen(tmp_path, copy, passports):
    path = put(tmp_path, copy, "split_80_20")
    assert_right(path, passports)
    role = records.read(path)[2].role
    rewrite(path, role=np.where(role == "score", "seen", role))
    assert wrong_checks(path, passports) == ["roles"]


@pytest.mark.parametrize("task", attributes.ATTRIBUTES)
def test_attributes_are_held_against_a_passport_of_their_own(tmp_path, copy, people, passports, task):
    path = put(tmp_path, copy, people=people)
    assert_right(path, passports)
    found = records.read_further(path)[task]
    rewrite(path, task, label=found.probabilities[0].argmax(1).astype(np.uint8))
    assert wrong_checks(path, passports) == ["rows"]
    rewrite(path, task, label=found.label, role=np.where(found.role == "fit", "score", found.role))
    [(check, says)] = verdicts(vouch.check_record(path, passports, PAPER), "wrong")
    assert check == "roles" and f"should be `fit` by the parts of {task}" in says
    rewrite(path, task, role=found.role)
    assert_right(path, passports)


def test_what_cannot_be_checked_is_said(tmp_path, copy, passports):
    nothing = vouch.Passports({}, {})
    path = put(tmp_path, copy, "split_80_20")
    assert [check for check, _ in verdicts(vouch.check_record(path, nothing, PAPER), "not checked")] == [
        "rows",
        "roles",
    ]
    [old] = [replace(one, rows=None, identical=None, pixel_order=None) for one in passports.faces.values()]
    findings = vouch.check_record(path, vouch.Passports({old.fingerprint: old}, {}), PAPER)
    assert [check for check, _ in verdicts(findings, "not checked")] == ["rows", "roles"]
    smoke = put(tmp_path, copy.take(np.arange(0, 1400, 2)), preset="smoke")
    [(check, says)] = verdicts(vouch.check_record(smoke, passports, PAPER), "not checked")
    assert check == "rows" and "a smoke run holds a subset" in says
    [(check, says)] = verdicts(vouch.check_record(path, passports, {}), "not checked")
    assert check == "roles" and "there is no paper a_paper here" in says
    failed = records.read_record(path)
    failed.status, failed.system = "failed", "other"
    records.write(records.folder(tmp_path, failed), failed, [], None)
    summary = vouch.text(vouch.check_records(vouch.find([tmp_path]), passports, PAPER))
    assert "not checked: readable (1): the run failed" in summary
    assert summary.endswith("3 records: 1 right in every check, 0 wrong, 2 checked in part")


def test_official_roles_need_no_passport(tmp_path, copy):
    path = put(tmp_path, copy)
    nothing = vouch.Passports({}, {})
    assert [check for check, _ in verdicts(vouch.check_record(path, nothing, PAPER), "not checked")] == ["rows"]
    role = records.read(path)[2].role
    rewrite(path, role=np.where(role == "select", "score", role))
    assert wrong_checks(path, nothing) == ["roles"]


def test_protocols_and_folds_that_there_are_not(tmp_path, copy, passports):
    path = put(tmp_path, copy, "folds_pooled", fold=1)
    assert_right(path, passports)
    assert wrong_checks(path, passports, {"a_paper": {"official": PROTOCOLS["official"]}}) == ["roles"]
    for fold in (None, 5):
        edit(path, fold=fold)
        assert wrong_checks(path, passports) == ["place", "roles"]


# Committed records


@pytest.fixture(scope="module")
def committed():
    """(passports, protocols) of the suite."""
    protocols = {name: load(name).choices() for name in PAPERS}
    return vouch.Passports.read(ROOT / "results" / "passports"), protocols


@pytest.fixture
def copied(tmp_path):
    """A copy of a committed record, and of the extractor that some stand on."""

    def one(pattern):
        [path] = RUNS.glob(pattern)
        for source in (path, *RUNS.glob("resnet50_xgboost/extractor/*")):
            shutil.copytree(source, tmp_path / source.relative_to(RUNS), dirs_exist_ok=True)
        return tmp_path / path.relative_to(RUNS)

    return one


@pytest.mark.parametrize("pattern", [ALONE, POOLED, GROUPED])
def test_forged_copies_of_committed_records(copied, committed, pattern):
    path = copied(pattern)
    assert_right(path, *committed)
    found = records.read(path)[2]
    for role, forged in (("fit", "score"), ("select", "score"), ("seen", "score")):
        if (found.role == role).any():
            rewrite(path, role=np.where(found.role == role, forged, found.role))
            assert wrong_checks(path, *committed) == ["roles"]
    rewrite(path, role=found.role, label=found.probabilities[-1].argmax(1).astype(np.uint8))
    assert "rows" in wrong_checks(path, *committed)
    rewrite(path, label=found.label)
    assert_right(path, *committed)


def test_the_command_names_what_is_wrong(copied):
    path = copied(ALONE)
    assert command("check", path).stdout == "1 records: 1 right in every check, 0 wrong\n"
    role = records.read(path)[2].role
    rewrite(path, role=np.where(role == "fit", "score", role))
    done = command("check", path.parent, check=False)
    assert done.returncode == 1 and not done.stderr
    says = "28,709 rows are `score` and should be `fit` by official with seed 0"
    assert done.stdout.splitlines()[0] == f"wrong: {path}: roles: {says}"


def test_the_command_refuses_places_without_anything(tmp_path):
    for arguments in (["/nowhere"], ["--passports", "/nowhere"]):
        done = command("check", *arguments, check=False)
        assert done.returncode == 1 and done.stderr.startswith("error: /nowhere: ") and "Traceback" not in done.stderr
    with pytest.raises(UserError, match="there is no record"):
        vouch.find([Path(tmp_path)])


@pytest.mark.slow
def test_every_committed_record_is_right_in_every_check():
    printed = command("check").stdout
    assert printed.endswith(" 0 wrong\n") and "not checked" not in printed
    assert int(printed.split()[0]) >= 246


def test_what_was_kept_is_not_believed_of_another_record(tmp_path, copy, passports):
    path, cache = put(tmp_path / "runs", copy), tmp_path / "cache"

    def wrong():
        findings = vouch.check_records([path], passports, PAPER, cache=cache)
        return [finding.check for finding in findings if finding.verdict == "wrong"]

    assert wrong() == []
    [kept] = cache.iterdir()
    stamp = kept.stat().st_mtime_ns
    assert wrong() == [] and kept.stat().st_mtime_ns == stamp, "the second time it is recalled"
    with np.load(path / "predictions.npz") as arrays:
        stored = dict(arrays)
    stored["role"] = np.where(stored["role"] == "fit", "score", stored["role"])
    np.savez_compressed(path / "predictions.npz", **stored)
    assert wrong() == ["roles"]
