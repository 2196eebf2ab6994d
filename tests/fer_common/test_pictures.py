"""A run's own pictures and report: one part a role, none of which mixes fitted images with scored ones."""

import numpy as np

from fer_common import pictures, records
from fer_common.data import EMOTIONS
from tests import builders
from tests.conftest import command

USAGE = np.array(["PrivateTest", "Training", "PublicTest", "Training", "PublicTest", "Training", "PrivateTest"])
ROLE = np.array(["score", "seen", "select", "fit", "fit", "unused", "score"])


def predictions(usage, role):
    n = len(role)
    return records.Predictions(
        row_id=np.arange(n),
        usage=usage,
        role=role,
        label=np.arange(n) % 2,
        epochs=np.array([1]),
        probabilities=np.full((1, n, 7), 1 / 7, np.float16),
    )


def test_every_row_is_in_the_part_of_its_role_alone():
    found = predictions(np.repeat(USAGE, 2), np.repeat(ROLE, 2))
    parts = dict(pictures.by_role(found))
    assert list(parts) == [
        "score: PrivateTest 4", "seen: Training 2", "select: PublicTest 2", "fit: Training 2, PublicTest 2"
    ]  # fmt: skip
    for heading, rows in parts.items():
        assert set(found.role[rows]) == {heading.partition(":")[0]}
    text = pictures.report("a run", found, 1, EMOTIONS)
    assert [text.index(heading) for heading in parts] == sorted(text.index(heading) for heading in parts)
    assert text.count("weighted avg") == 4


def test_attributes_go_by_the_parts_of_utkface():
    found = predictions(np.array(["UTKFace test", "UTKFace train"]), np.array(["score", "fit"]))
    assert [heading for heading, _ in pictures.by_role(found)] == ["score: UTKFace test 1", "fit: UTKFace train 1"]


def test_pictures_are_drawn_again_by_the_command(tmp_path):
    final = builders.put(tmp_path, builders.record(), builders.predictions(0, (0.8, 0.6, 0.6)))
    command("draw", final)
    assert {path.name for path in final.iterdir()} == {
        *("record.json", "history.csv", "predictions.npz"),
        *("learning_curves.png", "confusion.png", "roc.png", "reliability.png", "report.txt"),
    }
    refused = command("draw", tmp_path, check=False)
    assert refused.returncode == 1 and "there is no record" in refused.stderr
