"""The collector: roles are never mixed up, verdicts follow their formula, the committed tables follow from the
committed predictions, and a small set of records gives a golden file."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fer_common import UserError, claims, data, records, tables
from fer_common.data import EMOTIONS, USAGES, passport
from tests.conftest import ROOT

GOLDEN = Path(__file__).parent / "golden"


def predictions(seed, accuracies, n=(600, 200, 200), epochs=(8, 13), role=None):
    """Predictions that are right on an exact share of each usage, the same share in every class."""
    rng = np.random.default_rng(seed)
    usage = np.repeat(USAGES, n)
    label = (np.arange(len(usage)) % 7).astype(np.uint8)
    right = np.concatenate([rng.permutation(k) < round(share * k) for k, share in zip(n, accuracies)])
    predicted = np.where(right, label, (label + rng.integers(1, 7, len(label))) % 7)
    probabilities = rng.dirichlet(np.ones(7), len(label)) * 0.4
    probabilities[np.arange(len(label)), predicted] += 0.6
    return records.Predictions(
        row_id=np.arange(len(label), dtype=np.int32),
        usage=usage,
        role=np.repeat(("fit", "select", "score"), n) if role is None else role,
        label=label,
        epochs=np.array(epochs, np.int16),
        probabilities=np.stack([probabilities] * len(epochs)).astype(np.float16),
    )


def record(**changes):
    fields = {
        "paper": "cnn_13_epochs", "system": "cnn", "protocol": "official", "init": "random", "seed": 0,
        "preset": "full", "changes": {}, "setup": {"epochs": 13}, "parameters": 1000, "epochs_run": 13,
        "data": {"source": "fer2013", "fingerprint": "0123456789abcdef", "rows": 1000}, "seconds_per_epoch": 2.0,
        "device": "a processor",
    }  # fmt: skip
    return records.Record(**(fields | changes))


HISTORY = [
    {"epoch": epoch, "running_accuracy": 0.5 + 0.03 * epoch, "running_loss": 1.0 - 0.03 * epoch}
    for epoch in range(1, 14)
]


def put(runs, record, found):
    final = records.folder(runs, record)
    records.write(final, record, HISTORY, found)
    return final


@pytest.fixture
def runs(tmp_path):
    """Three seeds that reach 83 % on Training and 60 % elsewhere; one smoke run; one failed run."""
    for seed, shift in enumerate((-0.005, 0, 0.005)):
        put(tmp_path, record(seed=seed), predictions(seed, (0.83 + shift, 0.6 + shift, 0.6 + shift)))
    put(tmp_path, record(preset="smoke", data=record().data | {"source": "synthetic"}), predictions(5, (0.4, 0.3, 0.3)))
    failed = record(system="cnn_sgd", status="failed", error="ValueError: the network diverged")
    records.write(records.folder(tmp_path, failed), failed, [], None)
    return tmp_path


def test_golden_files(runs, tmp_path):
    """Every cell of the four main tables for known records; made by this code, read and checked by hand once."""
    tables.write(tables.build(runs, ["cnn_13_epochs"]), tmp_path / "tables")
    for name in ("summary", "comparison", "per_class", "protocols"):
        assert (tmp_path / "tables" / f"{name}.csv").read_text() == (GOLDEN / f"{name}.csv").read_text(), name


def test_every_claim_has_its_row_and_the_columns_are_fixed(runs):
    comparison = tables.build(runs, ["cnn_13_epochs"])["comparison"]
    assert list(comparison.columns) == tables.COMPARISON_COLUMNS
    assert set(comparison["claim_id"]) == {claim.id for claim in claims.load("cnn_13_epochs").all_claims()}
    not_run = comparison[comparison["verdict"] == "not run"]
    assert set(not_run["system"]) == {"first_design"}


def test_a_test_claim_stands_against_every_usage(runs):
    comparison = tables.build(runs, ["cnn_13_epochs"])["comparison"]
    rows = comparison[(comparison["claim_id"] == "test_accuracy_evaluation") & (comparison["preset"] == "full")]
    verdicts = dict(zip(rows["usage"], rows["verdict"]))
    assert list(verdicts) == ["PrivateTest (score)", "PublicTest (select)", "Training (fit)"]
    # 200 images decide little, but 83 % lies above what any of them leaves open, and not above the fitted ones.
    assert verdicts["PrivateTest (score)"].startswith("reachable only on Training")
    assert verdicts["Training (fit)"].startswith("not decided")
    fig2 = comparison[(comparison["claim_id"] == "fig2.accuracy") & (comparison["preset"] == "full")]
    # The report's 28,709 images are not these 600, so both sets of images blur the comparison.
    assert fig2["verdict"].str.startswith("not decided").tolist() == [True, True, True]


def test_reachable_only_on_training(tmp_path):
    for seed in range(3):
        put(tmp_path, record(seed=seed), predictions(seed, (0.83, 0.6, 0.6), n=(20000, 10000, 10000)))
    comparison = tables.build(tmp_path, ["cnn_13_epochs"])["comparison"]
    rows = comparison[comparison["claim_id"] == "test_accuracy_evaluation"]
    assert rows["verdict"].tolist() == ["reachable only on Training (claimed 23.0 points higher)"] * 2 + ["reproduced"]


def test_cells_are_filtered_by_role(tmp_path):
    """A usage that was partly fitted never passes for tested: its name says so, and its parts stand beside it, each
    with the accuracy of its own rows."""
    role = np.array(["score"] * 1000, "<U6")
    role[:480] = "fit"
    role[480:600] = "select"
    found = predictions(1, (0.9, 0.5, 0.5), role=role)
    right = found.at(13).argmax(1) == found.label
    put(tmp_path, record(), found)
    row = tables.build(tmp_path, ["cnn_13_epochs"])["summary"].iloc[0]
    cells = {name.removesuffix(" accuracy"): row[name] for name in row.index if name.endswith(" accuracy")}
    assert cells == pytest.approx(
        {
            "PrivateTest (score)": 0.5,
            "PublicTest (score)": 0.5,
            "Training (fit + select)": 0.9,
            "Training (fit)": right[:480].mean(),
            "Training (select)": right[480:600].mean(),
            "PublicTest + PrivateTest (score)": 0.5,
        }
    )
    assert cells["Training (fit)"] != cells["Training (select)"]
    assert [tables.held_out(name) for name in cells] == [True, True, False, False, True, True]


def pooled_predictions(seed):
    """All usages pooled: fitted rows 95 % right, scored ones that were seen 90 %, unseen ones 50 %."""
    role = np.array(["fit", "fit", "fit", "seen", "score"] * 2000, "<U6")
    found = predictions(seed, (0.5, 0.5, 0.5), n=(6000, 2000, 2000), epochs=(13,), role=role)
    label, probabilities = found.label, found.probabilities.copy()
    rng = np.random.default_rng(seed)
    for name, share in (("fit", 0.95), ("seen", 0.9), ("score", 0.5)):
        rows = rng.permutation(np.flatnonzero(role == name))
        cut = round(share * len(rows))
        predicted = np.r_[label[rows[:cut]], (label[rows[cut:]] + 1) % 7]
        probabilities[0, rows] = 0.05
        probabilities[0, rows, predicted] = 0.7
    return records.Predictions(**vars(found) | {"probabilities": probabilities})


def test_a_pooled_split_has_no_usages_and_seen_rows_are_counted_apart(tmp_path):
    for seed in range(3):
        note = "the extractor has seen scored rows"
        put(tmp_path, record(protocol="pooled", seed=seed, notes=[note]), pooled_predictions(seed))
    built = tables.build(tmp_path, ["cnn_13_epochs"])
    rows = built["comparison"][built["comparison"]["claim_id"] == "test_accuracy_evaluation"].set_index("usage")
    assert list(rows.index) == ["pooled (fit)", "pooled (score)", "pooled (seen)", "pooled (score + seen)"]
    assert rows["reproduced_mean"].tolist() == pytest.approx([0.95, 0.5, 0.9, 0.7], abs=1e-6)
    assert set(rows["notes"]) == {note}
    # 83 % is above what was unseen and not above what was seen: `seen` counts as trained on.
    assert rows.loc["pooled (score)", "verdict"] == "reachable only on Training (claimed 33.0 points higher)"
    assert rows.loc["pooled (seen)", "verdict"] == "claimed lower by 7.0 points"
    (row,) = built["protocols"].to_dict("records")
    found = [row[f"{name} accuracy"] for name in ("scored", "unseen", "fitted")]
    assert found == pytest.approx([0.7, 0.5, 0.95], abs=1e-6)
    assert (row["scored images"], row["unseen images"], row["notes"]) == (4000, 2000, note)
    assert row["scored mean_ovr_accuracy"] == pytest.approx(1 - 2 * 0.3 / 7)


def test_usages_that_are_scored_alike_are_a_set_too(tmp_path):
    role = np.repeat(("fit", "score", "score"), (600, 200, 200))
    sets = tables.image_sets(predictions(0, (0.8, 0.6, 0.5), role=role))
    assert list(sets) == [
        "PrivateTest (score)", "PublicTest (score)", "Training (fit)", "PublicTest + PrivateTest (score)",
    ]  # fmt: skip
    assert sets["PublicTest + PrivateTest (score)"].sum() == 400


@pytest.fixture
def passports(tmp_path):
    """A folder with one, of the copy that `record` names: drawn faces of which PrivateTest's first ten have twins."""
    made = passport.make(data.load("synthetic"))
    crowd = passport.Crowd(0.6, dict.fromkeys(EMOTIONS, 0.6), 1, 1, 1, from_votes=0.68)
    twins = list(range(800, 810))
    fingerprint = record().data["fingerprint"]
    made = replace(made, source="fer2013", fingerprint=fingerprint, crowd=crowd, twins_in_training=twins)
    folder = tmp_path / "passports"
    folder.mkdir()
    (folder / "one.json").write_text(json.dumps(made.as_dict()))
    return folder


def test_private_test_without_twins_and_the_crowd_are_in_the_tables(runs, passports):
    read = passport.read_all(passports)
    built = tables.build(runs, ["cnn_13_epochs"], read)
    full = built["summary"].query("preset == 'full' and paper == 'cnn_13_epochs' and system == 'cnn'").iloc[0]
    expected = []
    for path in records.find(runs / "cnn_13_epochs" / "cnn"):
        one, _, found = records.read(path)
        if one.preset == "full":
            rows = (found.usage == "PrivateTest") & (found.row_id >= 810)
            expected.append((found.at(13)[rows].argmax(1) == found.label[rows]).mean())
    assert len(expected) == 3
    assert full["PrivateTest without twins (score) accuracy"] == pytest.approx(np.mean(expected))
    own = built["per_class"].query("usage == 'PrivateTest without twins (score)' and source == 'fer2013'")
    assert own["support"].sum() == 190
    assert {"PrivateTest without twins (score)"} <= set(built["comparison"]["usage"])
    reference = built["summary"].query("system == 'from crowd votes'").iloc[0]
    assert reference["PrivateTest (score) accuracy"] == 0.68
    readable = tables.readable_summary(built["summary"].round(4))
    assert "from crowd votes" in set(readable["cnn_13_epochs: PrivateTest (score)"]["system"])
    assert not any("reference" in title for title in readable)


def test_a_passport_of_another_copy_or_a_broken_one(runs, passports):
    one = passports / "one.json"
    whole = one.read_text()
    one.write_text(whole.replace(record().data["fingerprint"], "fedcba9876543210"))
    built = tables.build(runs, ["cnn_13_epochs"], passport.read_all(passports))
    assert not any("twins" in column for column in built["summary"].columns)
    one.write_text(whole[:1000])
    with pytest.raises(UserError, match="one.json"):
        passport.read_all(passports)
    with pytest.raises(UserError, match="expected a folder"):
        passport.read_all(one)
    assert passport.read_all(passports / "nothing") == {}


def test_headline_claims_meet_the_other_readings(tmp_path):
    fields = {"paper": "resnet50_xgboost", "init": "finetuned"}
    put(tmp_path, record(system="proposed", **fields), predictions(0, (0.9, 0.6, 0.6)))
    put(tmp_path, record(system="proposed_dart", **fields), predictions(0, (0.9, 0.5, 0.5)))
    comparison = tables.build(tmp_path, ["resnet50_xgboost"])["comparison"]
    rows = comparison[(comparison["claim_id"] == "accuracy") & (comparison["usage"] == "PrivateTest (score)")]
    assert rows[["system", "average"]].apply(tuple, axis=1).tolist() == [
        ("proposed", "none"),
        ("proposed", "mean one-vs-rest"),
        ("proposed_dart", "none"),
        ("proposed_dart", "mean one-vs-rest"),
    ]
    assert rows["reproduced_mean"].tolist() == pytest.approx([0.6, 1 - 0.8 / 7, 0.5, 1 - 1 / 7], abs=1e-6)
    assert set(comparison[comparison["claim_id"] == "precision"]["system"]) == {"proposed"}


def test_only_the_real_whole_part_is_the_papers_images(tmp_path):
    supports = claims.load("cnn_13_epochs").all_claims()
    accuracy = next(claim for claim in supports if claim.id == "fig2.accuracy")
    n = (28709, 100, 100)
    for source, preset, expected in (
        ("fer2013", "full", True),
        ("synthetic", "full", False),
        ("fer2013", "smoke", False),
    ):
        data = record().data | {"source": source}
        group = tables.Group(
            record(preset=preset, data=data), [(record(), HISTORY, predictions(0, (0.8,) * 3, n=n))], 0, []
        )
        assert tables.same_images(accuracy, group, "Training (fit)") is expected
        assert not tables.same_images(accuracy, group, "PrivateTest (score)")


def test_seeds_that_stopped_at_different_epochs(tmp_path):
    """As early stopping leaves them: each seed counts with its own last epoch."""
    for seed, last in enumerate((13, 9, 13)):
        found = predictions(seed, (0.8, 0.6 + 0.01 * seed, 0.6), epochs=(8, last))
        put(tmp_path, record(seed=seed, epochs_run=last), found)
    built = tables.build(tmp_path, ["cnn_13_epochs"])
    rows = built["comparison"].set_index(["claim_id", "usage"])
    assert rows.loc[("test_accuracy_results", "PublicTest (select)"), "epoch"] == "13/9"
    assert rows.loc[("accuracy_epoch_8", "PublicTest (select)"), "epoch"] == "8"


def measured(mean, sd=0.004, n_runs=3, n_images=3589):
    image_sd = np.sqrt(mean * (1 - mean) / n_images)
    return tables.Measured(mean, sd, 0, 1, image_sd, n_runs, n_images)


def claim(value, **changes):
    fields = {"id": "a", "system": "s", "metric": "accuracy", "value": value, "unit": "percent", "where": "x"}
    return claims.Claim(**(fields | changes))


def test_the_half_width_by_hand():
    """t for two degrees of freedom is 4.303; m = 0.7, s = 0.004, n = 3, N = N_v = 3,589; claim printed to a tenth."""
    seeds = 4.3027**2 * 0.004**2 * (1 + 1 / 3)
    images = 1.96**2 * 0.7 * 0.3 * (2 / 3589)
    assert tables.half_width(measured(0.7), claim("83.2"), False) == pytest.approx(
        np.sqrt(seeds + images) + 0.0005, rel=1e-4
    )
    assert tables.half_width(measured(0.7), claim("83.2"), True) == pytest.approx(np.sqrt(seeds) + 0.0005, rel=1e-4)
    known = 1.96**2 * 0.7 * 0.3 * (1 / 3589 + 1 / 28709)
    wide = tables.half_width(measured(0.7), claim("83", n_images="28709"), False)
    assert wide == pytest.approx(np.sqrt(seeds + known) + 0.005, rel=1e-4)


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        ("70.4", measured(0.7, sd=0.001), "reproduced"),
        ("73.2", measured(0.7, sd=0.001), "claimed higher by 3.2 points"),
        ("66", measured(0.7, sd=0.001), "claimed lower by 4.0 points"),
        ("70", measured(0.7, sd=0.02), "not decided (claimed 0.0 points lower, h = 10.7)"),
        ("99", measured(0.7, sd=0.02), "not decided (claimed 29.0 points higher, h = 10.7)"),
        ("70", measured(0.7, n_runs=1), "single run"),
        ("99", measured(0.7, n_runs=1), "single run"),
    ],
)
def test_verdicts(value, found, expected):
    assert tables.verdict(found, claim(value), False) == expected


def test_a_loss_has_no_points():
    found = tables.Measured(1.4, 0.02, 0, 2, 0.02, 3, 3589)
    assert tables.verdict(found, claim("1.738", metric="log_loss", unit="nats"), False) == "claimed higher by 0.34"


def test_folds_of_a_seed_become_one_out_of_fold_run():
    folds = []
    for fold in range(5):
        role = np.where(np.arange(1000) % 5 == fold, "score", "fit")
        role[800:] = "score"  # PrivateTest, kept aside and scored by every fold
        folds.append(predictions(fold, (0.8, 0.8, 0.8), role=role, epochs=(13,)))
    pooled = tables.pool_folds(folds)
    assert pooled.row_id.tolist() == list(range(1000))
    assert set(pooled.role[:800]) == {"score, out of fold"}
    assert set(pooled.role[800:]) == {"score, mean probabilities of the folds"}
    mean = np.mean([fold.probabilities[0, 900].astype(float) for fold in folds], axis=0)
    np.testing.assert_allclose(pooled.probabilities[0, 900].astype(float), mean, atol=1e-3)
    assert set(tables.image_sets(pooled)) == {
        "pooled (score, out of fold)",
        "PrivateTest (score, mean probabilities of the folds)",
    }
    for row in (0, 7, 799):
        np.testing.assert_array_equal(pooled.probabilities[0, row], folds[row % 5].probabilities[0, row])


def test_a_fold_alone_is_scored_on_what_it_held_out():
    """PrivateTest, kept aside by every fold, is a set of its own, as where the folds are pooled."""
    role = np.where(np.arange(1000) % 5 == 0, "score", "fit")
    role[800:] = "score"
    sets = tables.protocol_sets(predictions(0, (0.8, 0.8, 0.8), role=role))
    assert sets["scored"].sum() == sets["unseen"].sum() == 160 and not sets["scored"][800:].any()
    assert "PrivateTest (score)" in tables.image_sets(predictions(0, (0.8, 0.8, 0.8), role=role))


def test_a_tampered_record_is_named(runs):
    path = records.folder(runs, record())
    text = (path / "record.json").read_text()
    (path / "record.json").write_text(text.replace('"accuracy": 0.', '"accuracy": 0.1', 1))
    with pytest.raises(UserError, match=f"{path.name}.*do not follow from predictions.npz"):
        tables.build(runs, ["cnn_13_epochs"])


def test_damaged_records_are_named(runs):
    path = records.folder(runs, record())
    whole = (path / "predictions.npz").read_bytes()
    (path / "predictions.npz").write_bytes(whole[:1000])
    with pytest.raises(UserError, match=f"{path.name}: this record is damaged"):
        tables.build(runs, ["cnn_13_epochs"])
    (path / "record.json").write_text("{}")
    with pytest.raises(UserError, match="record.json cannot be read"):
        tables.build(runs, ["cnn_13_epochs"])


def test_two_records_of_one_run_are_refused(runs):
    """Also under another seed: a default of the script that was changed in between must not be averaged away."""
    put(runs, record(setup={"epochs": 12}, seed=7), predictions(0, (0.8, 0.6, 0.6)))
    with pytest.raises(UserError, match="call themselves the same run but have different setups"):
        tables.build(runs, ["cnn_13_epochs"])


def test_a_record_left_by_a_kill_does_not_block_the_next(tmp_path):
    final = put(tmp_path, record(), predictions(0, (0.8, 0.6, 0.6)))
    shutil.copytree(final, final.with_name(f".{final.name}.old.partial"))
    put(tmp_path, record(), predictions(1, (0.8, 0.6, 0.6)))
    assert [path.name for path in final.parent.iterdir()] == [final.name]


def test_failed_and_reduced_runs_are_shown_as_such(runs, tmp_path):
    built = tables.build(runs, ["cnn_13_epochs"])
    summary = built["summary"]
    assert summary[summary["system"] == "cnn_sgd"]["failed"].tolist() == [1]
    assert set(zip(summary["preset"], summary["source"])) == {("full", "fer2013"), ("smoke", "synthetic")}
    tables.write(built, tmp_path / "out")
    assert "the network diverged" in (tmp_path / "out" / "summary.md").read_text()


def test_changed_setups_stay_out_of_the_main_tables(tmp_path):
    put(tmp_path, record(preset="custom", changes={"filters": [16, 32]}), predictions(0, (0.8, 0.6, 0.6)))
    built = tables.build(tmp_path, ["cnn_13_epochs"])
    assert len(built["summary"]) == len(built["per_class"]) == 0
    assert set(built["comparison"]["verdict"]) == {"not run"}
    assert built["sensitivity"]["changes"].tolist() == ["filters=16/32"]
    assert built["sensitivity"]["usage"].tolist() == ["PublicTest (select)"]


def test_tables_need_neither_keras_nor_tensorflow(runs, tmp_path):
    script = (
        "import sys; sys.modules.update(keras=None, tensorflow=None)\n"
        "from pathlib import Path; from fer_common.cli import tables\n"
        f"tables(Path({str(runs)!r}), Path({str(tmp_path / 'out')!r}))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)


def test_the_committed_tables_come_out_of_the_committed_predictions(tmp_path):
    """Bit for bit."""
    committed = ROOT / "results"
    command = [sys.executable, "-m", "fer_common.cli", "tables", "--tables", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    made = {path.name for path in tmp_path.iterdir()}
    others = {"audit.csv", "audit.md"}  # by `ferrepro audit`
    assert {path.name for path in (committed / "tables").iterdir()} == made | others
    for name in made:
        assert (tmp_path / name).read_bytes() == (committed / "tables" / name).read_bytes(), name


def test_figures_and_reports_can_be_drawn_again(tmp_path):
    """From the record alone, by the command that draws them after a run."""
    found = predictions(0, (0.8, 0.6, 0.6))
    history = [row | {"select_accuracy": 0.5, "select_loss": 1.2} for row in HISTORY]
    final = records.folder(tmp_path, record())
    records.write(final, record(), history, found)
    from fer_common import pictures

    pictures.draw_run(final, *records.read(final))
    assert "score: PrivateTest" in (final / "report.txt").read_text()
    shutil.rmtree(final)
