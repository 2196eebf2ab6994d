"""What programs print is audited as it is: published reports, matrices and logs, and the command that reads them."""

import io
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import classification_report, confusion_matrix

from fer_common import UserError, audit, claims
from fer_common.audit import pasted
from tests import drawn_papers
from tests.conftest import ROOT, command

PRINTED = ROOT / "docs" / "examples" / "printed"
NOT_CONSISTENT = {  # verdict, and what its sentence or its condition says
    "fer2871_cnn_zero_class.txt": [("consistent only if", "a tenth of Training, drawn class by class")],
    "fer3589_ultraneuro.txt": [("inconsistent", "hits to an accuracy of 0.52")],
    "fer_dima806_vit_25170_4digits.txt": [
        ("consistent only if", "40 % of all images with every class repeated to 8,989 images"),
        ("warning", "0.9092 is above"),
    ],
    "fer_jonathan7066_resnet50_wrongnames.txt": [
        ("consistent only if", "sad stands for neutral, surprise stands for sad, neutral stands for surprise")
    ],
    "rafdb_resemotenet_md_table.txt": [("inconsistent", "the supports add up to 600 images; printed in all are 574")],
}


@pytest.mark.parametrize("path", sorted(PRINTED.iterdir()), ids=lambda path: path.name)
def test_a_published_report_matrix_or_log(path):
    """True ones are called consistent, and those that are not for the reason that one sees."""
    assert path.read_text().startswith("# source: ")
    found = audit.audit(pasted.claims_file([path], images="test"))
    assert found
    others = [f for f in found if f.verdict != "consistent"]
    expected = NOT_CONSISTENT.get(path.name, [])
    assert [f.verdict for f in others] == [verdict for verdict, _ in expected]
    for finding, (_, fragment) in zip(others, expected):
        assert fragment in f"{finding.says} {finding.condition}"


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (("mnist_mobilenetv3.txt", "mnist_mobilenetv3.csv"), "consistent"),
        (("sklearn_newsgroups4.txt", "sklearn_newsgroups4.csv"), "consistent"),
        (("seaice_kmeans_float_support.txt", "seaice_kmeans_float_support.csv"), "consistent"),
        (("pneumonia_augmented.txt", "pneumonia_augmented.csv"), "consistent"),
        # the page prints the matrix of the network before
        (("pneumonia_augmented.txt", "pneumonia_augmented_stale.csv"), "inconsistent"),
        (("fer3589_ultraneuro.txt", "fer3589_ultraneuro.csv"), "inconsistent"),
    ],
)
def test_a_published_report_against_its_matrix(names, verdict):
    file = pasted.claims_file([PRINTED / name for name in names], system="net", images="test")
    [finding] = [f for f in audit.audit(file) if f.check == "matrix and report"]
    assert finding.verdict == verdict


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    labels, predicted = drawn_papers.as_predictions(drawn_papers.draw_counts(rng, 7))
    return labels, np.where(rng.random(len(labels)) < 0.9, labels, predicted)


NAMES = ["Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral"]


def test_scikit_learns_own_output_in_its_forms(tmp_path, predictions):
    """Text, `output_dict` as JSON and as Python prints it, the matrix by NumPy and as CSV: one and the same network."""
    common = {"labels": range(7), "target_names": NAMES, "zero_division": 0}
    text = classification_report(*predictions, digits=4, **common)
    matrix = confusion_matrix(*predictions, labels=range(7))
    as_dict = classification_report(*predictions, output_dict=True, **common)
    table = "\n".join([",".join(["", *NAMES]), *(",".join([n, *map(str, r)]) for n, r in zip(NAMES, matrix))])
    forms = {
        "a.txt": f"Test results\n\n{text}\nConfusion matrix:\n{matrix}\n",
        "a.json": json.dumps(as_dict, default=float),
        "b.txt": str(as_dict),
        "a.csv": table,
        "b.csv": "\n".join(",".join(map(str, row)) for row in matrix),
    }
    for name, own in forms.items():
        (tmp_path / name).write_text(own)
    file = pasted.claims_file([tmp_path / name for name in forms], system="net", images="test")
    assert (len(file.reports), len(file.matrices)) == (3, 3)
    assert file.classes == [name.lower() for name in NAMES] and file.data_set.name == "FER2013"
    assert file.reports[0].rows["happy"].precision == text.split("Happy")[1].split()[0]
    found = audit.audit(file)
    assert {f.verdict for f in found if f.check in ("classification report", "matrix and report")} == {"consistent"}
    assert sum(f.check == "matrix and report" for f in found) == 9


def in_many_forms(labels, predicted):
    """One true report and its matrix, as programs and papers print them; by name."""
    common = {"labels": range(7), "target_names": NAMES, "zero_division": 0}
    text = classification_report(labels, predicted, digits=3, **common)
    table = pd.DataFrame(classification_report(labels, predicted, output_dict=True, **common)).T
    cells = table.round(3).drop(index="accuracy", errors="ignore").astype({"support": int})
    markdown = ["| class | precision | recall | F1 score | support |", "|---|---|---|---|---|"]
    markdown += [f"| **{n}** | {p} | {r} | **{f}** | {s:,} |" for n, p, r, f, s in cells.itertuples()]
    matrix = confusion_matrix(labels, predicted, labels=range(7))
    numbers = io.StringIO()
    np.savetxt(numbers, matrix)
    named = pd.DataFrame(matrix, NAMES, NAMES)
    margins = named.assign(All=named.sum(axis=1))
    margins.loc["All"] = margins.sum()
    whole = (100 * matrix / matrix.sum(1, keepdims=True)).round().astype(int)
    return {
        "an accuracy in per cent below": f"{text}\nTest accuracy: 71.3%\nAccuracy: 71.3\n",
        "pandas": table.to_string(),
        "pandas, csv": table.to_csv(),
        "pandas, json": table.to_json(),
        "markdown": "\n".join(markdown),
        "thousands": re.sub(r" (\d)(\d{3})$", r" \1,\2", text, flags=re.MULTILINE),
        "other names of averages": text.replace("macro avg", "Macro average").replace(
            "weighted avg", "weighted-average"
        ),
        "another column": re.sub(r"((?: +\d\.\d+){3})( +\d+)$", r"\1 0.9\2", text, flags=re.MULTILINE).replace(
            "support", "specificity support"
        ),
        "images for support": text.replace("support", "images"),
        "a matrix of pandas below": f"{text}\n{named}\n",
        "savetxt": numbers.getvalue(),
        "counts with a point": named.astype(float).to_csv(),
        "margins": margins.to_csv(),
        "columns in another order": named[NAMES[::-1]].to_csv(),
        "whole per cent": pd.DataFrame(whole, NAMES, NAMES).to_csv(),
        "with the sign of per cent": pd.DataFrame(whole, NAMES, NAMES).map(lambda n: f"{n}%").to_csv(),
    }


def test_a_true_report_is_never_called_impossible_however_it_is_printed(tmp_path, predictions):
    labels, predicted = (np.tile(own, 6) for own in predictions)  # so that there are thousands
    report = tmp_path / "report.txt"
    report.write_text(classification_report(labels, predicted, labels=range(7), target_names=NAMES, zero_division=0))
    for name, text in in_many_forms(labels, predicted).items():
        path = tmp_path / "printed.txt"
        path.write_text(text)
        for paths in ([path], [path, report]):
            found = audit.audit(pasted.claims_file(paths, system="net", images="test"))
            assert found and not [f.says for f in found if f.verdict == "inconsistent"], name


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("...", "line 3 of the report is not understood: '...'"),
        ("fear 0,55 0,44 0,49 12", "line 3 of the report is not understood"),
        ("Average 0.50 0.50 0.50 4", "is it the macro or the weighted average?"),
    ],
)
def test_a_row_that_is_not_understood_is_no_reason_to_accuse(tmp_path, line, sentence):
    (tmp_path / "a.txt").write_text(
        f"precision recall f1-score support\na 0.50 0.50 0.50 2\n{line}\nb 0.50 0.50 0.50 2\n"
    )
    with pytest.raises(UserError, match=re.escape(sentence)):
        pasted.claims_file([tmp_path / "a.txt"])


def test_a_log_that_diverged_ends_there_and_two_trainings_are_two_logs(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(
        "epoch,accuracy,loss,val_accuracy,val_loss\n0,45.1,1.4,40.2,1.5\n1,50.3,1.3,42.0,1.4\n2,14.0,nan,13.0,NA\n"
    )
    [curve] = pasted.claims_file([path]).curves
    assert curve.training_loss == ["1.4", "1.3"] and curve.training_accuracy == ["0.451", "0.503"]
    path.write_text("".join(f"Epoch {n}/2\n9/9 - 1s - loss: 1.{n}\n" for n in (1, 2, 1, 2)))
    assert [curve.training_loss for curve in pasted.claims_file([path]).curves] == [["1.1", "1.2"]] * 2


def test_logs_of_keras_in_their_forms(tmp_path):
    printed = (
        "Epoch 1/2\n900/900 - 12s 13ms/step - accuracy: 0.3100 - loss: 1.7300 - val_accuracy: 0.4100 - val_loss: 1.5\n"
        "Epoch 2/2\n\r 1/900 - loss: 9.0\r900/900 - 11s - accuracy: 0.4400 - loss: 1.4000 - val_accuracy: 0.4600 - "
        "val_loss: 1.4200\n"
    )
    columns = {"accuracy": [0.31, 0.44], "loss": [1.73, 1.4], "val_accuracy": [0.41, 0.46], "val_loss": [1.5, 1.42]}
    (tmp_path / "a.log").write_text(printed)
    (tmp_path / "a.json").write_text(json.dumps(columns))
    rows = [",".join(["epoch", *columns]), *(",".join(map(str, (k, *r))) for k, r in enumerate(zip(*columns.values())))]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    for name in ("a.log", "a.json", "a.csv"):
        [curve] = pasted.claims_file([tmp_path / name]).curves
        assert [float(v) for v in curve.validation_loss] == [1.5, 1.42], name
        assert [float(v) for v in curve.training_accuracy] == [0.31, 0.44], name
    assert pasted.claims_file([tmp_path / "a.log"]).curves[0].seconds == ["12", "11"]
    assert pasted.claims_file([tmp_path / "a.log"]).curves[0].training_loss == ["1.7300", "1.4000"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds nothing that could be audited; expected scikit-learn's classification_report"),
        ("hello\nworld\n", "is no square matrix; expected"),
        ("{'a': ", "begins like a dictionary and is none"),
        (",a,b\na,1,2\n", "its rows are a and its columns a, b"),
        (",a,b\na,1,x\nb,1,2\n", "'x' is no number"),
        (",a,b\na,5,-1\nb,1,2\n", "-1 in a confusion matrix"),
        (",a,b,All\na,5,1,6\nb,1,2,4\nAll,6,3,9\n", "4 is no sum of 1 + 2"),
        ('{"train": {"a": {"precision": 0.5}}}', "train: precision, recall or f1-score is missing"),
        ("precision recall f1-score support\na 0.5 0.5 0.5 2\na 0.5 0.5 0.5 2\n", "the report has two rows a"),
        (b"\xff\xfe", "is not UTF-8 text"),
    ],
)
def test_a_file_that_is_nothing_of_the_kind(tmp_path, text, sentence):
    path = tmp_path / "a.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        pasted.claims_file([path])
    assert sentence in str(error.value) and str(path) in str(error.value)


def test_files_of_different_classes_are_not_of_one_system(tmp_path):
    paths = [PRINTED / "sklearn_doc_class012.txt", PRINTED / "pneumonia_augmented.txt"]
    with pytest.raises(UserError, match="give files of one system together, others apart"):
        pasted.claims_file(paths, system="net")


def test_one_command_audits_a_printed_report_and_writes_the_claims_file(tmp_path):
    path = tmp_path / "report.txt"
    shutil.copy(PRINTED / "fer7178_resnet.txt", path)
    written = tmp_path / "mine.yaml"
    done = command("audit", str(path), "--images", "test", "--write", str(written))
    assert "report.txt: 3 consistent" in done.stdout
    assert "those of PublicTest + PrivateTest, class by class" in done.stdout
    again = command("audit", str(written), "--verbose")
    assert "mine: 3 consistent" in again.stdout and "numbers: angry 958, disgust 111" in again.stdout
    assert claims.read(written).reports[0].images == "test"
    rows = json.loads(command("audit", str(path), "--json").stdout)
    assert {row["verdict"] for row in rows} == {"consistent"} and set(rows[0]) == set(audit.COLUMNS)
    together = [str(PRINTED / f"pneumonia_augmented{end}") for end in (".txt", "_stale.csv")]
    done = command("audit", *together, "--system", "net", "--images", "test", "--strict", check=False)
    assert done.returncode == 1 and "does not give the report of pneumonia_augmented.txt" in done.stdout
    assert command("audit", *together, "--strict").returncode == 0  # apart, each adds up
    done = command("audit", *together, "--write", str(written), check=False)
    assert done.returncode == 1 and "--write takes one file" in done.stderr
