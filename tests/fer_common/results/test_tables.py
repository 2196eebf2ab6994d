"""The collector: every claim has its rows, what is wrong is named and left out, the committed tables follow from the
committed predictions, and a small set of records gives golden files."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fer_common import UserError, claims, evaluation, records
from fer_common.data import EMOTIONS, passport, synthetic
from fer_common.results import groups, image_sets, render, tables
from fer_common.results.image_sets import ImageSet
from fer_common.results.measure import Scores
from tests.builders import HISTORY, folds, predictions, put, record
from tests.conftest import ROOT, command

GOLDEN = Path(__file__).parent / "golden"
PRIVATE = ImageSet(("PrivateTest",), ("score",))
TWINLESS = ImageSet(("PrivateTest",), ("score",), subset="without_twins")


def build(runs, *papers, passports=None, **options):
    files = [claims.load(paper) for paper in papers or ("cnn_13_epochs",)]
    return tables.build(runs, files, passports or {}, **options)


@pytest.fixture
def runs(tmp_path):
    """Three seeds that reach 83 % on Training and 60 % elsewhere; one smoke run; one failed run."""
    root = tmp_path / "runs"
    for seed, shift in enumerate((-0.005, 0, 0.005)):
        put(root, record(seed=seed), predictions(seed, (0.83 + shift, 0.6 + shift, 0.6 + shift)))
    put(root, record(preset="smoke", data=record().data | {"source": "synthetic"}), predictions(5, (0.4, 0.3, 0.3)))
    failed = record(system="cnn_sgd", status="failed", error="ValueError: the network diverged")
    records.write(records.folder(root, failed), failed, [], None)
    return root


def test_golden_files(runs, tmp_path):
    """Every cell of the main tables for known records; made by this code, read and checked by hand once."""
    render.write(build(runs), tmp_path / "tables")
    for name in ("summary", "comparison", "per_class", "protocols", "runs"):
        assert (tmp_path / "tables" / f"{name}.csv").read_text() == (GOLDEN / f"{name}.csv").read_text(), name


def test_measurements_are_scikit_learns(runs):
    """One cell of each kind, from the predictions on disk."""
    from sklearn.metrics import f1_score

    measured = build(runs)["measurements"]
    own = measured[(measured["preset"] == "full") & (measured["image_set"] == PRIVATE) & (measured["chosen"] == "last")]
    values = {"accuracy": [], "f1.macro": [], "f1.happy": [], "mean_confidence": [], "ece": []}
    for seed in range(3):
        found = records.read(records.folder(runs, record(seed=seed)))[2]
        rows = found.usage == "PrivateTest"
        label, predicted = found.label[rows], found.at(13)[rows].argmax(1)
        values["accuracy"].append((label == predicted).mean())
        values["f1.macro"].append(f1_score(label, predicted, average="macro"))
        values["f1.happy"].append(f1_score(label, predicted, average=None)[EMOTIONS.index("happy")])
        confidence = found.at(13)[rows].max(1).astype(float)
        values["mean_confidence"].append(confidence.mean())
        bins = np.digitize(confidence, np.arange(1, 16) / 15, right=True)
        apart = [abs(((label == predicted) - confidence)[bins == number].sum()) for number in range(15)]
        values["ece"].append(sum(apart) / 200)
    for name, seeds in values.items():
        metric, _, of = name.partition(".")
        [row] = own[(own["metric"] == metric) & ((own["average"] == of) | (own["class"] == of))].to_dict("records")
        assert (row["mean"], row["sd"]) == pytest.approx((np.mean(seeds), np.std(seeds, ddof=1)), abs=1e-9)
        assert (row["n_runs"], row["n_images"], row["epoch"]) == (3, 200, "13")
    running = measured[[image_set.of == "running" for image_set in measured["image_set"]]]
    assert running[running["metric"] == "accuracy"]["mean"].tolist() == pytest.approx([0.89, 0.74, 0.89, 0.74])


def test_every_claim_has_its_row_and_the_columns_are_fixed(runs):
    comparison = build(runs)["comparison"]
    assert list(comparison.columns) == tables.COMPARISON_COLUMNS
    assert set(comparison["claim_id"]) == {claim.id for claim in claims.load("cnn_13_epochs").all_claims()}
    assert set(comparison.loc[comparison["verdict"] == "not run", "system"]) == {"first_design"}


def test_a_test_claim_stands_against_every_usage(runs):
    comparison = build(runs)["comparison"]
    rows = comparison[(comparison["claim_id"] == "test_accuracy_evaluation") & (comparison["preset"] == "full")]
    named = dict(zip(map(render.name_of, rows["image_set"]), rows["verdict"]))
    assert named == {
        "PrivateTest (score)": "reachable only on fitted images",
        "PublicTest (select)": "reachable only on fitted images",
        "Training (fit)": "reached on fitted images",
    }
    assert set(rows["images"]) == {"test"}
    known_by = {claim.id for claim in claims.load("cnn_13_epochs").all_claims() if claim.headline == "yes"}
    assert set(comparison.loc[comparison["headline"] == "yes", "claim_id"]) == known_by


def test_pooled_predictions_are_counted_by_role(tmp_path):
    role = np.array(["fit", "fit", "fit", "seen", "score"] * 2000, "<U6")
    for seed in range(3):
        made = predictions(seed, (0.5, 0.5, 0.5), n=(6000, 2000, 2000), epochs=(13,), role=role)
        probabilities = made.probabilities.copy()
        rng = np.random.default_rng(seed)
        for name, share in (("fit", 0.95), ("seen", 0.9), ("score", 0.5)):
            rows = rng.permutation(np.flatnonzero(role == name))
            cut = round(share * len(rows))
            predicted = np.r_[made.label[rows[:cut]], (made.label[rows[cut:]] + 1) % 7]
            probabilities[0, rows] = 0.05
            probabilities[0, rows, predicted] = 0.7
        note = "the extractor has seen scored rows"
        made = replace(made, probabilities=probabilities)
        put(tmp_path, record(protocol="pooled", seed=seed, notes=[note]), made)
    built = build(tmp_path)
    rows = built["comparison"][built["comparison"]["claim_id"] == "test_accuracy_evaluation"]
    rows = rows.set_index(rows["image_set"].map(render.name_of))
    assert list(rows.index) == ["pooled (fit)", "pooled (score)", "pooled (seen)", "pooled (score + seen)"]
    assert rows["reproduced"].tolist() == pytest.approx([0.95, 0.5, 0.9, 0.7], abs=1e-6)
    assert set(rows["notes"]) == {note}
    assert set(rows["verdict"]) == {"claimed higher", "claimed lower"}
    (row,) = built["protocols"].to_dict("records")
    found = [row[f"{name} accuracy"] for name in ("scored", "unseen", "fitted")]
    assert found == pytest.approx([0.7, 0.5, 0.95], abs=1e-6)
    assert (row["scored images"], row["unseen images"], row["notes"]) == (4000, 2000, note)
    assert row["scored mean_ovr_accuracy"] == pytest.approx(1 - 2 * 0.3 / 7)


@pytest.fixture
def passports(tmp_path):
    """A folder with one, of the copy that `record` names: drawn faces of which PrivateTest's first ten have twins."""
    made = passport.make(synthetic.draw(700))
    crowd = passport.Crowd(0.6, dict.fromkeys(EMOTIONS, 0.6), 1, 1, 1, from_votes=0.68)
    twins = list(range(800, 810))
    fingerprint = record().data["fingerprint"]
    made = replace(made, source="fer2013", fingerprint=fingerprint, crowd=crowd, twins_in_training=twins)
    folder = tmp_path / "passports"
    folder.mkdir()
    (folder / "one.json").write_text(json.dumps(made.as_dict()))
    return folder


def test_private_test_without_twins_and_the_crowd_are_in_the_tables(runs, passports):
    built = build(runs, passports=passport.read_all(passports))
    summary = built["summary"]
    of_cnn = (summary["preset"] == "full") & (summary["image_set"] == TWINLESS) & (summary["system"] == "cnn")
    expected = []
    for path in records.find(runs / "cnn_13_epochs" / "cnn"):
        one, _, found = records.read(path)
        if one.preset == "full":
            rows = (found.usage == "PrivateTest") & (found.row_id >= 810)
            expected.append((found.at(13)[rows].argmax(1) == found.label[rows]).mean())
    assert len(expected) == 3
    assert summary[of_cnn]["accuracy"].tolist() == pytest.approx([np.mean(expected)])
    assert set(summary["chosen"]) == {"last", "-"}
    own = built["per_class"]
    own = own[(own["image_set"] == TWINLESS) & (own["source"] == "fer2013")]
    assert own["support"].sum() == 190
    assert TWINLESS in set(built["comparison"]["image_set"])
    reference = summary[summary["system"] == "from crowd votes"].iloc[0]
    assert reference["accuracy"] == 0.68 and reference["image_set"] == PRIVATE


def test_a_passport_of_another_copy_or_a_broken_one(runs, passports):
    one = passports / "one.json"
    whole = one.read_text()
    one.write_text(whole.replace(record().data["fingerprint"], "fedcba9876543210"))
    built = build(runs, passports=passport.read_all(passports))
    assert TWINLESS not in set(built["summary"]["image_set"])
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
    comparison = build(tmp_path, "resnet50_xgboost")["comparison"]
    rows = comparison[(comparison["claim_id"] == "accuracy") & (comparison["image_set"] == PRIVATE)]
    assert rows[["system", "average"]].apply(tuple, axis=1).tolist() == [
        ("proposed", "none"),
        ("proposed", "mean one-vs-rest"),
        ("proposed_dart", "none"),
        ("proposed_dart", "mean one-vs-rest"),
    ]
    assert rows["reproduced"].tolist() == pytest.approx([0.6, 1 - 0.8 / 7, 0.5, 1 - 1 / 7], abs=1e-6)
    assert set(comparison[comparison["claim_id"] == "precision"]["system"]) == {"proposed"}


@pytest.mark.parametrize(
    ("source", "preset", "expected"),
    [("fer2013", "full", True), ("synthetic", "full", False), ("fer2013", "smoke", False)],
)
def test_only_the_real_whole_part_is_the_papers_images(source, preset, expected, tmp_path):
    accuracy = next(claim for claim in claims.load("cnn_13_epochs").all_claims() if claim.id == "fig2.accuracy")
    made = record(preset=preset, data=record().data | {"source": source})
    put(tmp_path, made, predictions(0, (0.8,) * 3, n=(28709, 100, 100)))
    every = groups.collect(tmp_path, {}).groups
    [group], scores = every, Scores(every)
    assert tables.same_images(accuracy, group, ImageSet(("Training",), ("fit",)), scores) is expected
    assert not tables.same_images(accuracy, group, PRIVATE, scores)


def test_seeds_that_stopped_at_different_epochs(tmp_path):
    """As early stopping leaves them: each seed counts with its own last epoch."""
    for seed, last in enumerate((13, 9, 13)):
        found = predictions(seed, (0.8, 0.6 + 0.01 * seed, 0.6), epochs=(8, last))
        put(tmp_path, record(seed=seed, epochs_run=last), found)
    built = build(tmp_path)
    rows = built["comparison"]
    rows = rows[rows["image_set"] == ImageSet(("PublicTest",), ("select",))].set_index("claim_id")
    assert rows.loc["test_accuracy_results", "epoch"] == "13/9"
    assert rows.loc["accuracy_epoch_8", "epoch"] == "8"
    assert set(built["measurements"]["chosen"]) == {"last", "printed"}


def test_the_best_epoch_on_select_rows_is_a_row_of_its_own(tmp_path):
    put(tmp_path, record(best_epoch=8), predictions(0, (0.8, 0.6, 0.6)))
    summary = build(tmp_path)["summary"]
    assert summary.groupby(["chosen", "epoch"]).size().to_dict() == {("best on select", "8"): 3, ("last", "13"): 3}


# Folds and tasks


def put_folds(root, **changes):
    for fold, found in enumerate(folds()):
        put(root, record(paper="resnet50v2_vit", system="alexnet", fold=fold, **changes), found)


def test_folds_are_one_run_and_their_spread_stands_apart(tmp_path):
    put_folds(tmp_path)
    built = build(tmp_path, "resnet50v2_vit")
    assert set(map(render.name_of, built["summary"]["image_set"])) == {
        "pooled (score, out of fold)",
        "PrivateTest (score, mean of the folds' networks)",
    }
    measured = built["measurements"]
    assert sorted(measured["fold"].dropna().unique()) == [0, 1, 2, 3, 4]
    own = built["folds"][built["folds"]["image_set"] == PRIVATE].iloc[0]
    single = [(f.probabilities[0][800:].argmax(1) == f.label[800:]).mean() for f in folds()]
    assert (own["folds"], own["accuracy"]) == (5, pytest.approx(np.mean(single)))
    assert (own["accuracy low"], own["accuracy high"]) == pytest.approx((min(single), max(single)))
    assert len(built["epochs"]) == 5 * len(HISTORY), "each fold has a history of its own"


def test_folds_that_another_seed_has_are_waited_for(tmp_path):
    """A second seed that is half done leaves the first as it is, and is named."""
    put_folds(tmp_path)
    whole = build(tmp_path, "resnet50v2_vit")["summary"]
    put(tmp_path, record(paper="resnet50v2_vit", system="alexnet", seed=1, fold=0), folds()[0])
    built = build(tmp_path, "resnet50v2_vit")
    pd.testing.assert_frame_equal(built["summary"], whole)
    assert built["runs"].groupby("left_out").size().to_dict() == {"": 5, "incomplete": 1}
    assert set(whole["notes"]) == {"folds 0, 1, 2, 3, 4"}


def test_a_part_of_the_folds_says_so(tmp_path):
    for fold, found in enumerate(folds()[:2]):
        put(tmp_path, record(paper="resnet50v2_vit", system="alexnet", fold=fold), found)
    assert set(build(tmp_path, "resnet50v2_vit")["summary"]["notes"]) == {"folds 0, 1 alone"}


def test_folds_of_two_copies_stay_apart(tmp_path):
    put_folds(tmp_path)
    put_folds(tmp_path, data=record().data | {"fingerprint": "f" * 16})
    assert build(tmp_path, "resnet50v2_vit")["folds"]["folds"].tolist() == [5] * 6


def test_folds_of_several_tasks(tmp_path):
    """As no paper of the suite has them yet."""
    part = np.repeat(("UTKFace train", "UTKFace validation", "UTKFace test"), (60, 20, 20))
    for fold, found in enumerate(folds()):
        gender = records.Predictions(
            row_id=np.arange(100, dtype=np.int32),
            usage=part,
            role=np.repeat(("fit", "select", "score"), (60, 20, 20)),
            label=(np.arange(100) % 2).astype(np.uint8),
            epochs=np.array([13], np.int16),
            probabilities=np.full((1, 100, 2), 0.5, np.float16),
        )
        attributes = {"source": "utkface", "fingerprint": "f" * 16, "rows": 100}
        made = record(system="multitask_light", paper="multitask_lightweight", fold=fold)
        made.data["attributes"] = attributes
        put(tmp_path, made, found, further={"gender": gender})
    built = build(tmp_path, "multitask_lightweight")
    rows = built["tasks"].set_index("task")
    assert set(rows.index) == {"expression", "gender"} and rows.loc["gender", "accuracy"] == 0.5
    assert rows["fitted accuracy"].isna().all(), "pooled, no image is a fitted one"


def test_the_matrix_beside_a_printed_one_is_of_images_that_nothing_was_fitted_on(tmp_path):
    role = np.array(["fit", "fit", "seen", "seen", "score"] * 200, "<U6")
    put(tmp_path, record(paper="resnet50v2_vit", system="resnet50v2"), predictions(0, (0.8, 0.6, 0.6), role=role))
    table = build(tmp_path, "resnet50v2_vit")["confusion"]
    [image_set] = set(table["image_set"])
    assert image_set.roles == ("score",) and table["images"].sum() == 200
    assert not image_sets.tested([ImageSet(image_set.usages, ("score", "seen"), pooled=True)])


def test_where_the_tests_select_they_are_what_is_printed(tmp_path):
    """Both of them, together and apart; nothing is of images that had no part in the choice."""
    role = np.repeat(("fit", "select"), (600, 400))
    put(tmp_path, record(paper="mini_xception", system="mini_xception"), predictions(0, (0.8, 0.6, 0.7), role=role))
    found = build(tmp_path, "mini_xception")
    merged = ImageSet(("PublicTest", "PrivateTest"), ("select",))
    assert merged in set(found["confusion"]["image_set"])
    [row] = found["protocols"].to_dict("records")
    assert (row["scored accuracy"], row["scored images"]) == (0.65, 400)
    claimed = found["comparison"].set_index("claim_id").loc[["accuracy"]].set_index("image_set")
    assert claimed.loc[[merged], "reproduced"].tolist() == [0.65]
    assert claimed["above_honest"].isna().all(), "nothing honest ran"


def test_every_claim_says_how_far_it_is_above_the_best_honest_number(tmp_path):
    """That of any paper, of full or reduced runs on real faces: no smoke run, no subset, no changed setup."""
    put(tmp_path, record(), predictions(0, (0.9, 0.6, 0.6)))
    put(tmp_path, record(paper="reference", system="small"), predictions(1, (0.9, 0.6, 0.7)))
    put(tmp_path, record(paper="reference", system="large", preset="smoke"), predictions(2, (0.9, 0.9, 0.9)))
    put(tmp_path, record(paper="reference", system="large", preset="custom", changes={"epochs": 1}),
        predictions(3, (0.9, 0.9, 0.9)))  # fmt: skip
    comparison = build(tmp_path, "cnn_13_epochs", "reference")["comparison"].set_index("claim_id")
    assert comparison.loc["test_accuracy_results", "above_honest"].tolist() == pytest.approx([0.132] * 3)
    assert comparison.loc["fig2.happy.recall", "above_honest"].isna().all()


# What is wrong, failed, changed


def test_whatever_is_left_out_is_told(runs, tmp_path):
    put(runs, record(seed=8, preset="custom", changes={"filters": [16, 32]}), predictions(0, (0.8, 0.6, 0.6)))
    put(runs, record(paper="nobody_2020"), predictions(0, (0.8, 0.6, 0.6)))
    elsewhere = put(tmp_path / "elsewhere", record(seed=9), predictions(9, (0.8, 0.6, 0.6)))
    (runs / "cnn_13_epochs" / "cnn" / "linked").symlink_to(elsewhere)
    damaged = put(runs, record(seed=7), predictions(7, (0.8, 0.6, 0.6)))
    built = build(runs, wrong={damaged: "its labels are invented"})
    listed = built["runs"].set_index("run")
    assert listed["left_out"].value_counts().to_dict() == {
        "": 3, "smoke": 1, "failed": 1, "changed": 1, "unknown paper": 1, "symlink": 1, "damaged": 1,
    }  # fmt: skip
    assert listed.loc[listed["left_out"] == "damaged", "says"].tolist() == ["its labels are invented"]
    assert listed.loc[listed["left_out"] == "failed", "says"].tolist() == ["ValueError: the network diverged"]
    text = render.found(built["runs"], tmp_path)
    for word in ("9 records; 3 are", "1 changed", "1 smoke", "1 failed", "1 symlink", "its labels are invented"):
        assert word in text
    cnn = built["summary"].query("paper == 'cnn_13_epochs' and preset == 'full'")
    assert set(cnn["n_runs"]) == {3}, "neither the damaged nor the linked one is counted"


@pytest.mark.parametrize("break_it", ["predictions", "json", "metrics", "history"])
def test_a_broken_record_is_named_and_the_rest_is_made(break_it, runs, tmp_path):
    path = records.folder(runs, record())
    if break_it == "predictions":
        (path / "predictions.npz").write_bytes((path / "predictions.npz").read_bytes()[:1000])
    elif break_it == "json":
        (path / "record.json").write_text("{}")
    elif break_it == "history":
        (path / "history.csv").write_text((path / "history.csv").read_text()[:-5])
    else:
        text = (path / "record.json").read_text()
        (path / "record.json").write_text(text.replace('"accuracy": 0.', '"accuracy": 0.1', 1))
    done = command("tables", "--runs", runs, "--tables", tmp_path / "tables", check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert path.name in done.stdout and "records are wrong and left out" in done.stderr
    summary = pd.read_csv(tmp_path / "tables" / "summary.csv")
    assert set(summary.query("preset == 'full'")["n_runs"]) == {2}


def test_two_records_of_one_run_are_left_out(runs):
    """Also under another seed: a default of the script that was changed in between must not be averaged away."""
    put(runs, record(setup={"epochs": 12}, seed=7), predictions(0, (0.8, 0.6, 0.6)))
    built = build(runs)
    damaged = built["runs"].query("left_out == 'damaged'")
    assert len(damaged) == 4 and damaged["says"].str.contains("same run but have different setups").all()
    assert set(built["summary"]["preset"]) == {"smoke"}


def test_failed_runs_alone_give_tables(tmp_path):
    failed = record(status="failed", error="ValueError: the network diverged")
    records.write(records.folder(tmp_path / "runs", failed), failed, [], None)
    done = command("tables", "--runs", tmp_path / "runs", "--tables", tmp_path / "tables")
    assert "1 failed" in done.stdout
    assert "the network diverged" in (tmp_path / "tables" / "runs.csv").read_text()


def test_no_record_at_all_gives_tables(tmp_path):
    (tmp_path / "runs").mkdir()
    done = command("tables", "--runs", tmp_path / "runs", "--tables", tmp_path / "tables")
    assert "0 records" in done.stdout
    assert set(pd.read_csv(tmp_path / "tables" / "comparison.csv")["verdict"]) == {"not run"}


def test_a_record_left_by_a_kill_does_not_block_the_next(tmp_path):
    final = put(tmp_path, record(), predictions(0, (0.8, 0.6, 0.6)))
    shutil.copytree(final, final.with_name(f".{final.name}.old.partial"))
    put(tmp_path, record(), predictions(1, (0.8, 0.6, 0.6)))
    assert [path.name for path in final.parent.iterdir()] == [final.name]


def test_changed_setups_stay_out_of_the_main_tables(tmp_path):
    made = record(preset="custom", changes={"filters": [16, 32]})
    put(tmp_path, made, predictions(0, (0.8, 0.6, 0.6)))
    built = build(tmp_path)
    assert len(built["summary"]) == len(built["per_class"]) == 0
    assert set(built["comparison"]["verdict"]) == {"not run"}
    [row] = built["sensitivity"].to_dict("records")
    assert render.fields_of(row["changes"]) == "filters=16/32" and row["parameters"] == 1000
    assert row["image_set"] == ImageSet(("PublicTest",), ("select",))
    assert row["running_training_accuracy"] == pytest.approx(0.89)


def test_own_single_runs_are_judged_by_the_committed_spread(tmp_path):
    put(tmp_path / "runs", record(), predictions(0, (0.83, 0.6, 0.6)))
    command("tables", "--runs", tmp_path / "runs", "--tables", tmp_path / "tables")
    made = pd.read_csv(tmp_path / "tables" / "comparison.csv").query("claim_id == 'test_accuracy_evaluation'")
    committed = pd.read_csv(ROOT / "results" / "tables" / "seed_spread.csv")
    [s] = committed.query("metric == 'accuracy' and roles == 'fit'")["sd"]
    [seeds] = made.query("roles == 'fit'")["seed_part"]
    assert seeds == pytest.approx(1.96 * np.sqrt(2) * s, rel=1e-3)


def test_tables_need_neither_keras_nor_tensorflow(runs, tmp_path):
    script = (
        "import sys; sys.modules.update(keras=None, tensorflow=None)\n"
        "from pathlib import Path; from fer_common.cli import tables\n"
        f"tables(Path({str(runs)!r}), Path({str(tmp_path / 'out')!r}))"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.slow
def test_the_committed_tables_come_out_of_the_committed_predictions(tmp_path):
    """Bit for bit; the second time, from what was kept of the first."""
    committed = ROOT / "results"
    for place in (tmp_path / "cold" / "tables", tmp_path / "warm" / "tables"):
        command("tables", "--tables", place, timeout=600)
        made = {path.name for path in place.iterdir()}
        others = {"audit.csv", "audit.md"}  # by `ferrepro audit`
        assert {path.name for path in (committed / "tables").iterdir()} == made | others
        for name in made:
            assert (place / name).read_bytes() == (committed / "tables" / name).read_bytes(), name


def test_scores_do_not_depend_on_the_order_of_the_rows():
    found = predictions(0, (0.8, 0.6, 0.6))
    order = np.random.default_rng(0).permutation(len(found.label))
    one, other = (evaluation.measures(found.label[rows], found.at(13)[rows], EMOTIONS) for rows in (slice(None), order))
    for name in one:
        assert one[name] == pytest.approx(other[name], abs=1e-12)
    assert image_sets.of_predictions(found)
