"""What exactly is this copy of FER2013? Counts, looks, duplicates, and what a crowd makes of its labels.

Copies in circulation have right counts and wrong pixels, so a copy is judged by its pixels too. Everything here is
computed; nothing is repaired. A passport also says which row has which label, and which rows have the same pixels, so
that a record can be held against the copy that it names by somebody who does not have it. A copy of UTKFace has a
smaller passport, of its rows alone.
"""

import base64
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from fer_common import UserError
from fer_common.data import original
from fer_common.data.attributes import ATTRIBUTES, PARTS, AttributeData
from fer_common.data.faces import EMOTIONS, USAGES, FaceData
from fer_common.data.fer2013 import OFFICIAL_COUNTS, official_counts
from fer_common.data.ferplus import Votes
from fer_common.data.looks import Looks, look
from fer_common.progress import plain, progress

# Between the parts of the original the medians differ by less than a tenth; blurring with a 3 × 3 Gaussian takes away
# more than half of the sharpness.
ALIKE = 0.75
# The median distance of an image's grey values from evenly spread ones (Kolmogorov's); the original's is above 0.2.
EQUALISED = 0.06
MOST_ROWS = 1_000_000  # of a passport: a hostile one is refused before it fills the memory
CONSTANT = 13  # images of one grey value that the original has


@dataclass(frozen=True)
class Twins:
    """Images of `of` with a twin in `among`: another row, if both are one usage. One with its label is enough for
    `same_label`."""

    of: str
    among: str
    same_label: int
    other_label: int


@dataclass(frozen=True)
class Crowd:
    """The ten votes of FER+ against FER2013's labels."""

    agree: float
    """Share of images whose plurality is their label, of those with a plurality among the seven."""
    by_class: dict[str, float]
    tied: int
    not_a_face: int
    no_emotion_ahead: int
    """Neither tied nor no face: contempt or `unknown` has the most votes."""
    from_votes: float
    """Accuracy on PrivateTest of a logistic regression from votes to labels, fitted on Training: a reference, no
    ceiling, since networks also learn how this set was labelled."""


@dataclass(frozen=True)
class Passport:
    """Everything that was found; `asdict` of it is the JSON."""

    origin: str
    source: str
    fingerprint: str
    form: str
    counts: dict[str, dict[str, int]]
    looks: dict[str, Looks]
    exact: list[Twins]
    near: list[Twins]
    twins_in_training: list[int]
    """row_id of every PrivateTest image with a twin in Training, byte for byte or nearly."""
    remarks: list[str] = field(default_factory=list)
    crowd: Crowd | None = None
    unnamed: list[int] | None = None
    """row_id of every image that FER+ gives no name, since it is no face; None where its votes were not at hand."""
    rows: str | None = None
    """`rows_digest` of the copy; None in a passport made before there was one."""
    identical: list[list[int]] | None = None
    """row_id of the images with the same pixels byte for byte, of each such image that occurs twice or more."""
    alike: list[list[int]] | None = None
    """row_id of the images that `FaceData.alike` puts together, of each such group of two or more."""
    pixel_order: str | None = None
    """row_id of the first row of every different image in the order of their pixels, which a grouped split is drawn
    in: base64 of the zlib-packed little-endian int32, since it is no reading for people."""

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class AttributePassport:
    """Of a copy of UTKFace, or of drawn faces with attributes: no more than what a record is held against."""

    origin: str
    source: str
    fingerprint: str
    counts: dict[str, int]
    """Images by part."""
    rows: dict[str, str]
    """`rows_digest` of the copy for each attribute's labels."""
    kind: Literal["attributes"] = "attributes"
    """Tells its file from that of a passport of FER2013, which says no kind."""

    def as_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


def make(data: FaceData, votes: Votes | None = None) -> Passport:
    """The passport of a copy; `votes` of `ferplus.read` for what a crowd makes of it."""
    usages = [usage for usage in USAGES if (data.usage == usage).any()]
    looks = {usage: look(data.images[data.usage == usage]) for usage in progress(usages, len(usages), "looks")}
    counts = {
        usage: dict(zip(EMOTIONS, np.bincount(data.labels[data.usage == usage], minlength=7).tolist()))
        for usage in usages
    }
    exact = data.identical
    tested = np.flatnonzero(data.usage == "PrivateTest")
    twins = _near_twins(data, tested, np.flatnonzero(data.usage == "Training"))
    return Passport(
        origin=Path(data.origin).name,  # a passport may be published, and folders say who made it
        source=data.source,
        fingerprint=data.fingerprint,
        form=form_of(Path(data.origin)),
        counts=counts,
        looks=looks,
        exact=list(_twins(data, usages, lambda of, among: _exact_twins(exact, of, among))),
        near=list(_twins(data, usages, lambda of, among: _near_twins(data, of, among))),
        twins_in_training=[int(data.row_id[row]) for row, found in zip(tested, twins) if len(found)],
        remarks=remarks(data, looks),
        crowd=crowd(data, votes) if votes else None,
        unnamed=data.row_id[~votes.named].tolist() if votes else None,
        rows=rows_digest(data.row_id, data.usage, data.labels),
        identical=_groups(exact, data.row_id),
        alike=_groups(data.alike, data.row_id),
        pixel_order=_packed_order(data),
    )


def make_attributes(data: AttributeData) -> AttributePassport:
    """The passport of a copy of UTKFace."""
    return AttributePassport(
        origin=Path(data.origin).name,
        source=data.source,
        fingerprint=data.fingerprint,
        counts={part: int((data.part == part).sum()) for part in PARTS},
        rows={task: rows_digest(data.row_id, data.part, data.labels[task]) for task in ATTRIBUTES},
    )


def rows_digest(row_id: np.ndarray, usage: np.ndarray, label: np.ndarray) -> str:
    """32 hex digits over which row has which usage (or part) and label, the same in whatever order the rows stand.

    row_id: integers (N,) from 0 to 2³¹ − 1, each once. usage: str (N,). label: integers (N,) from 0 to 255.
    """
    order = np.argsort(row_id, kind="stable")
    digest = hashlib.sha256(np.ascontiguousarray(row_id[order], "<i4"))
    digest.update("\n".join(usage[order].tolist()).encode())
    digest.update(np.ascontiguousarray(label[order], np.uint8))
    return digest.hexdigest()[:32]


def identical_of(passport: Passport, row_id: np.ndarray) -> np.ndarray:
    """int32 (N,): `FaceData.identical` of the copy's rows with these ids, without their pixels.

    Raises UserError where the passport was made before it said so, or knows a row not.
    """
    if passport.identical is None or passport.pixel_order is None:
        raise UserError(
            f"The passport of {passport.fingerprint} does not say which images are identical; make it anew with "
            "`ferrepro data check --json`."
        )
    first = _order_of(passport)
    number = np.full(max(int(first.max(initial=0)), *(row for group in passport.identical for row in group), 0) + 1, -1)
    number[first] = np.arange(len(first))
    for group in passport.identical:
        number[group] = number[group].max()  # only one of them stands in `pixel_order`
    if row_id.min(initial=0) < 0 or row_id.max(initial=0) >= len(number) or (number[row_id] < 0).any():
        raise UserError(f"The passport of {passport.fingerprint} does not know all of these rows.")
    return number[row_id].astype(np.int32)


def alike_of(passport: Passport, row_id: np.ndarray) -> np.ndarray | None:
    """int32 (N,): `FaceData.alike` of the copy's rows with these ids, which stand in the copy's order; None where the
    passport was made before it said so."""
    if passport.alike is None:
        return None
    place = {int(row): n for n, row in enumerate(row_id)}
    number = np.arange(len(row_id), dtype=np.int32)
    for group in passport.alike:
        rows = [place[row] for row in group if row in place]
        number[rows] = min(rows, default=0)
    return number


def _groups(number: np.ndarray, row_id: np.ndarray) -> list[list[int]]:
    order = np.argsort(number, kind="stable")
    begins = np.flatnonzero(np.diff(number[order], prepend=-1))
    groups = (np.sort(rows) for rows in np.split(row_id[order], begins[1:]) if len(rows) > 1)
    return sorted(rows.tolist() for rows in groups)


def _packed_order(data: FaceData) -> str:
    first = data.row_id[np.unique(data.identical, return_index=True)[1]]
    return base64.b64encode(zlib.compress(np.ascontiguousarray(first, "<i4"), 9)).decode()


def read_all(folder: Path) -> dict[str, Passport]:
    """The passports of FER2013 in `folder` by fingerprint, as `ferrepro data check --json` wrote them; none without
    the folder.

    Raises UserError naming a file that is no passport, or where the folder is none.
    """
    return _read(folder, "faces", Passport)


def read_attributes(folder: Path) -> dict[str, AttributePassport]:
    """The passports of UTKFace in `folder` by fingerprint; otherwise as `read_all`."""
    return _read(folder, "attributes", AttributePassport)


class _Kind(msgspec.Struct):
    kind: Literal["faces", "attributes"] = "faces"


def _read(folder: Path, kind: str, type_: type) -> dict:
    folder, found = Path(folder), {}
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; expected a folder of passports.")
    for path in sorted(folder.glob("*.json")):
        try:
            content = path.read_bytes()
            if msgspec.json.decode(content, type=_Kind).kind != kind:
                continue
            made = msgspec.json.decode(content, type=type_)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(f"{path}: {error}; `ferrepro data check --json` makes a passport.") from None
        if isinstance(made, Passport) and (wrong := _wrong(made)):
            raise UserError(f"{path}: {wrong}; `ferrepro data check --json` makes a passport.")
        found[made.fingerprint] = made
    return found


def _wrong(passport: Passport) -> str:
    """What no copy of FER2013 can have; empty where there is nothing."""
    lists = {"twins_in_training": [passport.twins_in_training], "unnamed": [passport.unnamed or []]}
    lists |= {"identical": passport.identical or [], "alike": passport.alike or []}
    for name, groups in lists.items():
        if any(not 0 <= row < MOST_ROWS for group in groups for row in group):
            return f"{name} names a row below 0 or from {MOST_ROWS:,} on"
        if name in ("identical", "alike") and not all(groups):
            return f"{name} has a group without rows"
    for name, parts in (("counts", passport.counts), ("looks", passport.looks)):
        if not set(parts) <= set(USAGES):
            return f"{name} names {min(set(parts) - set(USAGES))!r}; expected {', '.join(USAGES)}"
    if not passport.counts or not passport.looks:
        return "it counts no images"
    try:
        order = _order_of(passport)
    except (ValueError, zlib.error) as error:
        return f"pixel_order cannot be unpacked ({error})"
    if len(order) and not 0 <= order.min() <= order.max() < MOST_ROWS:
        return f"pixel_order names a row below 0 or from {MOST_ROWS:,} on"
    return ""


def _order_of(passport: Passport) -> np.ndarray:
    """int32 (N,): `pixel_order` unpacked, up to MOST_ROWS rows. Raises ValueError or zlib.error."""
    unpacking = zlib.decompressobj()
    packed = unpacking.decompress(base64.b64decode(passport.pixel_order or ""), 4 * MOST_ROWS)
    if passport.pixel_order and not unpacking.eof:
        raise ValueError(f"it is cut off, or has more than {MOST_ROWS:,} rows")
    return np.frombuffer(packed, "<i4")


def text(passport: Passport) -> str:
    """The passport for a terminal."""
    lines = [
        f"{passport.source}: {passport.origin} ({passport.form})",
        f"fingerprint {passport.fingerprint}",
        "",
        f"{'':12}{'images':>8}" + "".join(f"{name:>10}" for name in EMOTIONS),
    ]
    for usage, own in passport.counts.items():
        known = passport.source != "synthetic" and tuple(own.values()) == OFFICIAL_COUNTS[usage]
        numbers = "".join(f"{n:10,}" for n in own.values())
        lines.append(f"{usage:12}{sum(own.values()):8,}{numbers}{'  as published' * known}")
    lines += ["", f"{'medians':12}{'sharpness':>10}{'contrast':>10}{'unevenness':>12}{'values':>12}{'constant':>10}"]
    for usage, own in passport.looks.items():
        values = f"{own.lowest} to {own.highest}"
        lines.append(
            f"{usage:12}{own.sharpness:10,.0f}{own.contrast:10.1f}{own.unevenness:12.3f}{values:>12}{own.constant:10}"
        )
    lines += ["", f"{'images with a twin':32}{'byte for byte':>16}{'of it, other label':>20}{'nearly alike':>14}"]
    for exact, near in zip(passport.exact, passport.near):
        where = f"in {exact.of}" if exact.of == exact.among else f"{exact.of} in {exact.among}"
        found = exact.same_label + exact.other_label
        lines.append(f"{where:32}{found:16,}{exact.other_label:20,}{near.same_label + near.other_label:14,}")
    if passport.crowd:
        crowd = passport.crowd
        by_class = ", ".join(f"{name} {100 * share:.0f} %" for name, share in crowd.by_class.items())
        lines += [
            "",
            f"FER+: where one of the seven emotions is ahead, it is the label in {100 * crowd.agree:.1f} %",
            f"  ({by_class});",
            f"  {crowd.tied:,} ties, {crowd.not_a_face:,} not a face, {crowd.no_emotion_ahead:,} with another answer.",
            f"  From the votes alone, fitted on Training: {100 * crowd.from_votes:.1f} % of PrivateTest.",
        ]
    return plain("\n".join([*lines, "", *(passport.remarks or ["Nothing unusual."])]))


def text_attributes(passport: AttributePassport) -> str:
    """The passport of a copy of UTKFace for a terminal."""
    lines = [f"{passport.source}: {passport.origin}", f"fingerprint {passport.fingerprint}", ""]
    return plain("\n".join(lines + [f"{part:20}{n:8,}" for part, n in passport.counts.items()]))


def form_of(path: Path) -> str:
    """The published form that a path is, for people."""
    if path.is_dir():
        return "image folder"
    if path.is_file():
        return "CSV" if path.suffix == ".csv" else "archive"
    return "drawn"


def remarks(data: FaceData, looks: dict[str, Looks]) -> list[str]:
    """What a user should know before training on this copy, one sentence each."""
    found = list(data.notes)
    for usage, official in official_counts(data.source == "fer2013-merged-test").items():
        counts = np.bincount(data.labels[data.usage == usage], minlength=7)
        if data.source != "synthetic" and tuple(counts) != official:
            found.append(f"{usage} has {counts.sum():,} images by other classes than the published {sum(official):,}.")
    sharpest = max(looks, key=lambda usage: looks[usage].sharpness)
    for usage, own in looks.items():
        if own.sharpness < ALIKE * looks[sharpest].sharpness:
            share = 100 * own.sharpness / looks[sharpest].sharpness
            found.append(f"{usage} is blurred: its images are {share:.0f} % as sharp as those of {sharpest}.")
        if own.unevenness < EQUALISED:
            found.append(f"{usage} is histogram-equalised: its grey values are spread evenly.")
        if own.constant and sum(each.constant for each in looks.values()) > CONSTANT:
            found.append(f"{usage} has {own.constant} image{'s' * (own.constant > 1)} of one grey value.")
        if own.highest - own.lowest < 200:
            found.append(f"{usage} has grey values from {own.lowest} to {own.highest} alone.")
    most = looks[max(looks, key=lambda usage: looks[usage].images)]
    return found + original.remarks(data, most.sharpness, most.contrast, most.unevenness)


def _twins(data: FaceData, usages: list[str], find) -> Iterator[Twins]:
    for of, among in [(usage, usage) for usage in usages] + list(combinations(usages[::-1], 2)):
        rows, others = np.flatnonzero(data.usage == of), np.flatnonzero(data.usage == among)
        found = find(rows, others)  # for each of `rows`, the rows of a twin, or none
        same = sum(
            bool((data.labels[twins] == data.labels[row]).any()) for row, twins in zip(rows, found) if len(twins)
        )
        yield Twins(of, among, same, sum(len(twins) > 0 for twins in found) - same)


def _exact_twins(identical: np.ndarray, rows: np.ndarray, others: np.ndarray) -> list[np.ndarray]:
    order = others[np.argsort(identical[others], kind="stable")]
    first = np.searchsorted(identical[order], identical[rows], "left")
    last = np.searchsorted(identical[order], identical[rows], "right")
    return [order[a:b][order[a:b] != row] for row, a, b in zip(rows, first, last)]


def _near_twins(data: FaceData, rows: np.ndarray, others: np.ndarray) -> list[np.ndarray]:
    asked = np.zeros(len(data), bool)
    asked[others] = True
    return [found[asked[found]] for found in (data.near[row] for row in rows)]


def crowd(data: FaceData, votes: Votes) -> Crowd:
    """Agreement of votes and labels, and what a rule from votes to labels reaches."""
    from sklearn.linear_model import LogisticRegression

    plurality = votes.plurality
    clear = plurality >= 0
    agrees = plurality == data.labels
    share = votes.counts / np.maximum(votes.counts.sum(1, keepdims=True), 1)
    fit, test = data.usage == "Training", data.usage == "PrivateTest"
    rule = LogisticRegression(max_iter=1000).fit(share[fit], data.labels[fit])
    return Crowd(
        agree=float(agrees[clear].mean()),
        by_class={name: float(agrees[clear & (data.labels == k)].mean()) for k, name in enumerate(EMOTIONS)},
        tied=int(votes.tied.sum()),
        not_a_face=int(votes.not_a_face.sum()),
        no_emotion_ahead=int((~clear & ~votes.tied & ~votes.not_a_face).sum()),
        from_votes=float((rule.predict(share[test]) == data.labels[test]).mean()),
    )
