"""Files that somebody or something damaged: a few edits of a whole one, drawn by Hypothesis."""

import io
import os
import re
import zipfile

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("FERREPRO_FUZZ", "300"))
# The usual tier is the same at every run; the nightly one (FERREPRO_FUZZ=20000) looks elsewhere each time.
fuzzed = settings(
    max_examples=CASES,
    derandomize=CASES <= 300,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
SECONDS = 60 + CASES / 2  # that the cases of one reader may take together

TOKEN = re.compile(rb"[^\s,:;\"'{}\[\]_]+")
ODD = [
    *("0", "-1", "1", "2", "255", "256", "-0.0", "1e400", "-1e400", "NaN", "Infinity", "1_0", "9" * 400, "9" * 5000),
    *("0.5", "1e9", "1000000000", "4294967296", "18446744073709551616", "2147483648", "-9223372036854775809"),
    *("null", "true", "{}", "[]", "[[]]", '""', "''", "? [a, b]", "&a", "*a", "<<", "!!python/object:os.system", "|"),
    *("²", "٣", "é", "\u2028", "\u202e", "\ufeff", "\ud7ff", "\U0001d7d8", "\x00", "\x1b[31m", "\r", "\n"),
    *("\t", "\\", "../../x", "[" * 3000, '{"a":' * 3000, "x" * 200_000, ",", ":", "- ", "<script>", "%s", '"'),
]  # fmt: skip

_place = st.integers(0, 999_999).map(lambda millionths: millionths / 1_000_000)
_bytes = st.one_of(st.sampled_from([odd.encode("utf-8", "surrogatepass") for odd in ODD]), st.binary(max_size=8))
_edit = st.tuples(
    st.sampled_from(["flip", "cut", "drop", "insert", "repeat", "swap", "replace", "replace"]), _place, _place, _bytes
)


def _edited(content: bytes, kind: str, where: float, whither: float, odd: bytes) -> bytes:
    at, to = int(where * len(content)), int(whither * len(content))
    if kind in ("swap", "replace"):
        tokens = [match.span() for match in TOKEN.finditer(content)]
        if not tokens:
            return content + odd
        one = tokens[int(where * len(tokens))]
        if kind == "replace":
            return content[: one[0]] + odd + content[one[1] :]
        (a, b), (c, d) = sorted((one, tokens[int(whither * len(tokens))]))
        return content if a == c else content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]
    if kind == "flip" and content:
        return content[:at] + bytes([content[at] ^ (int(whither * 255) + 1)]) + content[at + 1 :]
    if kind == "cut":
        return content[:at]
    if kind == "drop":
        return content[: min(at, to)] + content[max(at, to) :]
    if kind == "repeat":
        some = content[min(at, to) : max(at, to)][:1000]
        return content[:at] + some * (1 + int(whither * 20)) + content[at:]
    return content[:at] + odd + content[at:]


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """`content` after one to four edits."""
    for edit in draw(st.lists(_edit, min_size=1, max_size=4)):
        content = _edited(content, *edit)
    return content


@st.composite
def damaged_zip(draw, content: bytes) -> bytes:
    """A .zip or .npz with damage to its own bytes, or to one of its members packed anew, so that checksums agree."""
    if draw(st.integers(0, 2)) == 0:
        return draw(damaged(content))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    wrong = draw(st.sampled_from(sorted(members)))
    # The header of an array is where most of its meaning is.
    begins = draw(st.sampled_from([128, len(members[wrong])]))
    members[wrong] = draw(damaged(members[wrong][:begins])) + members[wrong][begins:]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, own in members.items():
            archive.writestr(name, own)
    return packed.getvalue()
