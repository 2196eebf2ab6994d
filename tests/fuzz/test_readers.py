"""Each reader against damaged files: a UserError or what was read, never another exception, a hang or gigabytes."""

import contextlib
import io
import json
import tarfile
import zipfile
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fer_common import UserError, audit, claims, files, records
from fer_common.data import EMOTIONS, cache, fer2013, ferplus, passport, synthetic, utkface
from fer_common.data.attributes import AttributeData
from fer_common.data.faces import as_arrays
from fer_common.results import measure, render
from fer_common.results.image_sets import HONEST
from fer_common.results.verdicts import Spread
from fer_common.score import card, scoring
from fer_common.sweep import plan
from tests import builders
from tests.conftest import ROOT, csv_lines
from tests.fer_common.data import test_forms as forms
from tests.fuzz.mutations import SECONDS, damaged, damaged_zip, fuzzed

pytestmark = [pytest.mark.timeout(SECONDS), pytest.mark.usefixtures("little_memory")]


@pytest.fixture(autouse=True)
def no_cache(request, monkeypatch):
    """Of what is read, nothing is kept."""
    if "cache" not in request.node.name:
        monkeypatch.setattr(cache, "load_or_make", lambda key, make: make())


# Records


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    made = builders.record(data={"source": "fer2013", "fingerprint": "0123456789abcdef", "rows": 40})
    return builders.put(tmp_path_factory.mktemp("runs"), made, builders.predictions(0, (0.8, 0.6, 0.6), n=(20, 10, 10)))


def read_record(path):
    with contextlib.suppress(UserError):
        made, _, predictions = records.read(path)
        records.read_further(path)
        if predictions is not None:
            records.verify_metrics(made, made.task, predictions, path)


@pytest.mark.parametrize("name", ["record.json", "history.csv", "predictions.npz"])
def test_records(record, name):
    whole = (record / name).read_bytes()

    @fuzzed
    @given((damaged_zip if name.endswith("npz") else damaged)(whole))
    def every(content):
        (record / name).write_bytes(content)
        read_record(record)

    try:
        every()
    finally:
        (record / name).write_bytes(whole)
    assert records.read(record)


# UTKFace


@fuzzed
@given(damaged(b"\n".join(name.encode() for name in builders.utkface_names(4))))
def test_names_of_utkface(content):
    for name in content.decode("utf-8", "surrogateescape").split("\n"):
        with contextlib.suppress(UserError):
            utkface.labels_of(name)


def packed(files, ending):
    """(name, bytes) of `files` as the bytes of an archive."""
    made = io.BytesIO()
    if ending == "zip":
        with zipfile.ZipFile(made, "w") as archive:
            for name, content in files:
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=made, mode="w:gz" if ending == "tar.gz" else "w") as archive:
            for name, content in files:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return made.getvalue()


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "zip"])
def test_utkface(tmp_path, ending):
    """Damage to the archive itself, or to a name or an image inside of a whole one."""
    files = [(name, builders.jpeg(k, 16)) for k, name in enumerate(builders.utkface_names(3))]
    whole, wrong = packed(files, ending), tmp_path / f"wrong.{ending}"

    @fuzzed
    @given(st.integers(0, 2), st.data())
    def every(where, data):
        content = data.draw(damaged(whole)) if where == 0 else whole
        (name, image), *others = files
        if where == 1:
            name = data.draw(damaged(name.encode())).replace(b"\0", b"")[:20_000].decode("utf-8", "replace") or "-"
        if where == 2:
            image = data.draw(damaged(image))
        wrong.write_bytes(content if where == 0 else packed([*others, (name, image)], ending))
        with contextlib.suppress(UserError):
            utkface.read(wrong, allow_subset=True)

    every()


# FER2013 and FER+


def test_fer2013(tmp_path):
    whole = "\n".join(csv_lines(synthetic.draw(3, seed=1))).encode()

    @fuzzed
    @given(damaged(whole))
    def every(content):
        (tmp_path / "fer2013.csv").write_bytes(content)
        with contextlib.suppress(UserError):
            fer2013.read(tmp_path / "fer2013.csv", allow_subset=True)

    every()


PACKED = [forms.as_tar, forms.as_zipped_images, forms.as_npz, forms.as_parquet_of_text, forms.as_tar_in_zip]


@pytest.mark.parametrize("make", PACKED, ids=lambda make: make.__name__)
def test_packed_fer2013(make, tmp_path):
    """Damage to the archive itself, or in an .npz to one of its arrays, packed anew."""
    faces = synthetic.draw(3, seed=1)
    path = make(tmp_path, faces, csv_lines(faces))
    whole = path.read_bytes()
    assert len(fer2013.read(path, allow_subset=True)) == 3

    @fuzzed
    @given((damaged_zip if make is forms.as_npz else damaged)(whole))
    def every(content):
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            fer2013.read(path, allow_subset=True)

    every()


def test_ferplus(tmp_path):
    data = synthetic.draw(40, seed=1)
    columns = [list(ferplus.LABEL_OF).index(label) for label in data.labels]
    lines = [",".join(("Usage", "Image name", *ferplus.VOTES))]
    for row, (usage, column) in enumerate(zip(data.usage, columns)):
        votes = [10 if k == column else 0 for k in range(len(ferplus.VOTES))]
        lines.append(",".join([usage, f"fer{row:07}.png", *map(str, votes)]))
    whole = "\r\n".join(lines).encode()
    (tmp_path / "fer2013new.csv").write_bytes(whole)
    assert len(ferplus.read(tmp_path / "fer2013new.csv", data).counts) == 40

    @fuzzed
    @given(damaged(whole))
    def every(content):
        (tmp_path / "fer2013new.csv").write_bytes(content)
        with contextlib.suppress(UserError):
            ferplus.read(tmp_path / "fer2013new.csv", data)

    every()


# Passports


@pytest.mark.parametrize("of", ["faces", "attributes"])
def test_passports(tmp_path, of):
    row_id = np.arange(60, dtype=np.int32)
    if of == "faces":
        data = synthetic.draw(60, seed=1)
        made, read = passport.make(data), passport.read_all
    else:
        faces = synthetic.draw(60, seed=1)
        labels = np.zeros((60, 3), np.uint8)
        arrays = as_arrays(faces.images, labels, np.zeros(60, np.uint8), row_id)
        made = passport.make_attributes(AttributeData.of(arrays, source="utkface-subset", origin="a"))
        read = passport.read_attributes

    @fuzzed
    @given(damaged(json.dumps(made.as_dict()).encode()))
    def every(content):
        (tmp_path / "a.json").write_bytes(content)
        with contextlib.suppress(UserError):
            for found in read(tmp_path).values():
                if of == "faces":
                    passport.identical_of(found, row_id)
                    passport.alike_of(found, row_id)
                    passport.text(found)
                else:
                    passport.text_attributes(found)

    every()


# The cache


def test_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FERREPRO_CACHE", str(tmp_path))
    faces = synthetic.draw(2, seed=1)
    arrays = as_arrays(faces.images, faces.labels, np.zeros(2, np.uint8), faces.row_id)
    cache.load_or_make("key", lambda: arrays)
    files = [path for path in tmp_path.rglob("*") if path.suffix in (".json", ".npy")]
    assert len(files) == 5
    wholes = {path: path.read_bytes() for path in files}
    whole = dict(zip(map(str, files), files))

    @fuzzed
    @given(st.data())
    def every(data):
        path = whole[data.draw(st.sampled_from(sorted(whole)))]
        path.write_bytes(data.draw(damaged(wholes[path])))
        found = cache.load_or_make("key", lambda: arrays)
        assert found["fingerprint"] == arrays["fingerprint"]
        for name in cache.ARRAYS:
            np.testing.assert_array_equal(found[name], arrays[name])

    with mock.patch("os.fsync"):  # it is asked for with each of the thousands of files
        every()


def test_what_is_kept(tmp_path):
    """A number in it may not become another one."""
    cell = measure.Cell(HONEST, 13, [[2, 1], [0, 3]], {"accuracy": (0.75, 0.1)})
    kept = measure.Scored([13], [HONEST], {"scored": HONEST}, {"PrivateTest": 6}, [cell], {})
    path = tmp_path / "kept"
    files.keep(path, kept)
    assert files.kept_in(path, measure.Scored) == kept
    whole = path.read_bytes()

    @fuzzed
    @given(damaged(whole))
    def every(content):
        path.write_bytes(content)
        assert files.kept_in(path, measure.Scored) == (kept if content == whole else None)

    every()


# Predictions of somebody's model


@pytest.mark.parametrize("form", ["probabilities.csv", "label.csv", "probabilities.npz", "label.npz"])
def test_predictions(form, tmp_path):
    faces, path = synthetic.draw(12, seed=1), tmp_path / form
    shares, labels = np.full((12, 7), 1 / 7, np.float32), faces.labels
    if form == "probabilities.csv":
        rows = [f"{row},{','.join(map(str, own))}" for row, own in zip(faces.row_id, shares)]
        path.write_text("\n".join([f"row_id,{','.join(EMOTIONS)}", *rows]))
    elif form == "label.csv":
        path.write_text("\n".join(["row_id,label", *(f"{row},{own}" for row, own in zip(faces.row_id, labels))]))
    else:
        np.savez(path, row_id=faces.row_id, **{path.stem: shares if path.stem == "probabilities" else labels})
    whole = path.read_bytes()
    its = card.Card(name="a", title="a", source="a", file="a", sha256="0" * 64, licence="a")
    assert scoring.read_predictions(path, faces, its).probabilities.shape == (12, 7)

    @fuzzed
    @given((damaged_zip if path.suffix == ".npz" else damaged)(whole))
    def every(content):
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            scoring.read_predictions(path, faces, its)

    every()


# Claims, cards, tables and plans


CLAIMS = """
paper: drawn
reference: {title: A drawn paper, year: '2020'}
systems: {cnn: a network, other: another}
readings: {cnn: [other]}
runs: one
claims:
  - {id: test, system: cnn, metric: accuracy, value: '71.2', unit: percent, where: abstract, images: test}
  - {id: hits, system: other, metric: accuracy, value: '2500', n_images: '3589', unit: count, where: Table 1}
  - {id: loss, system: cnn, metric: log_loss, value: '0.9', unit: nats, where: abstract, usage: PrivateTest}
reports:
  - id: report
    system: cnn
    unit: fraction
    where: Table 2
    rows:
      angry: {precision: '0.62', recall: '0.61', f1: '0.61', support: '491'}
      disgust: {precision: '0.70', recall: '0.55', f1: '0.62', support: '55'}
      fear: {precision: '0.55', recall: '0.45', f1: '0.50', support: '528'}
      happy: {precision: '0.87', recall: '0.88', f1: '0.87', support: '879'}
      sad: {precision: '0.55', recall: '0.59', f1: '0.57', support: '594'}
      surprise: {precision: '0.80', recall: '0.80', f1: '0.80', support: '416'}
      neutral: {precision: '0.62', recall: '0.68', f1: '0.65', support: '626'}
      accuracy: {accuracy: '0.68', support: '3589'}
matrices:
  - id: matrix
    system: cnn
    unit: percent
    where: Figure 1
    columns: [angry, disgust, fear, happy, sad, surprise, neutral]
    rows:
      angry: ['61', '1', '10', '4', '13', '2', '9']
      disgust: ['20', '60', '5', '5', '5', '0', '5']
curves:
  - id: log
    system: cnn
    where: log
    training_loss: ['1.8', '1.5', '1.3', '1.2']
    validation_loss: ['1.7', '1.5', '1.4', '1.3']
statements:
  - {id: best, kind: highest, says: happy is best, where: text, metrics: [recall], of: happy, about: [report]}
  - {id: split, kind: split, says: split 80 to 20, where: text, parts: ['28709', '7178'], shares: ['80', '20']}
  - {id: size, kind: image_size, says: of 48 pixels, where: text, pixels: ['48', '48']}
hypotheses:
  - {id: better, says: it wins, where: text, system: cnn, against: other, tasks: [expression], metric: accuracy}
context:
  - {value: '65', unit: percent, metric: accuracy, source: people, where: introduction}
other_numerals:
  - {numeral: '7', reason: classes}
"""


def test_claims(tmp_path):
    path = tmp_path / "drawn.yaml"
    path.write_text(CLAIMS)
    assert audit.audit(claims.read(path))

    @fuzzed
    @given(damaged(CLAIMS.encode()))
    def every(content):
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            file = claims.read(path)
            found = audit.audit(file)
            audit.told(file, found, verbose=True)
            claims.printed_numerals(file)

    every()


def test_cards(tmp_path):
    path = tmp_path / "drawn.yaml"

    @fuzzed
    @given(damaged((ROOT / "reproductions" / "released" / "fer_tflite.yaml").read_bytes()))
    def every(content):
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            card.read(path)

    every()


def test_spreads(tmp_path):
    path = tmp_path / "seed_spread.csv"
    whole = b"".join((ROOT / "results" / "tables" / "seed_spread.csv").read_bytes().splitlines(keepends=True)[:12])
    reversed_columns = b"\n".join(b",".join(line.split(b",")[::-1]) for line in whole.splitlines())

    @fuzzed
    @given(damaged(whole))
    @example(reversed_columns)
    def every(content):
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            assert Spread.of_rows(render.read_spread(path)).of("accuracy", ("fit",))

    every()


def test_plans(tmp_path):
    path = tmp_path / "plan.jsonl"
    names = ["a/cnn/official-random-seed0", "a/cnn/official-random-seed1"]
    lines = [
        plan.Line(name, "a", "cnn", "official", "full", ["run", "a", "--seed", str(seed)], "runs/a", 1.5)
        for seed, name in enumerate(names)
    ]
    lines[1].after = names[:1]
    plan.write(lines, path)
    whole = path.read_bytes()

    @fuzzed
    @given(damaged(whole))
    def every(content):
        path.write_bytes(content)
        with contextlib.suppress(UserError):
            plan.summary(plan.read(path), set())

    every()
