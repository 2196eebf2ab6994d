"""What the cache keeps, what goes first, and the command that shows and empties it."""

import os

import pytest

from fer_common import features
from fer_common.data import cache, synthetic
from tests.conftest import command, csv_lines


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("FERREPRO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def copies(tmp_path, n: int) -> list:
    found = []
    for seed in range(n):
        path = tmp_path / f"copy{seed}.csv"
        path.write_text("\n".join(csv_lines(synthetic.draw(100, seed=seed))))
        found.append(path)
    return found


def kept(own) -> set[str]:
    return {path.name for path in cache.entries()}


def test_what_was_used_longest_ago_goes_first(tmp_path, own, monkeypatch):
    from fer_common.data import load

    one, two, three = copies(tmp_path, 3)
    prints = [load(str(path), allow_subset=True).fingerprint for path in (one, two)]
    size = cache.size_of(own / "data" / prints[0])
    for age, name in ((200, prints[1]), (300, prints[0])):
        os.utime(own / "data" / name, (age, age))
    load(str(one), allow_subset=True)  # read again: now the second is the older one
    monkeypatch.setenv("FERREPRO_CACHE_GB", str(2.5 * size / 1e9))
    third = load(str(three), allow_subset=True).fingerprint
    assert kept(own) == {prints[0], third}
    assert load(str(two), allow_subset=True).fingerprint == prints[1], "what is gone is read again"


def test_one_content_stays_whatever_the_limit(tmp_path, own, monkeypatch):
    from fer_common.data import load

    monkeypatch.setenv("FERREPRO_CACHE_GB", "0")
    assert kept(own) == set()
    made = load(str(copies(tmp_path, 1)[0]), allow_subset=True)
    assert kept(own) == {made.fingerprint} and made.images[0].shape == (48, 48)


def test_features_count_too(own, monkeypatch):
    (own / "features").mkdir(parents=True)
    for name in ("old", "new"):
        (own / "features" / f"{name}.npy").write_bytes(bytes(1000))
    os.utime(own / "features" / "old.npy", (1, 1))
    assert cache.evict(limit=1.5e-6) == 1000 and kept(own) == {"new.npy"}
    assert features.cache is cache


def test_the_command_shows_and_empties_it(tmp_path, own):
    environment = {"FERREPRO_CACHE": str(own)}
    assert "is empty" in command("cache", env=environment).stdout
    [path] = copies(tmp_path, 1)
    (own / "fer2013").mkdir(parents=True)
    (own / "fer2013" / "fetched").write_bytes(bytes(10_000))
    command("data", "check", path, "--allow-subset", "--brief", env=environment)
    shown = command("cache", env=environment).stdout
    assert "faces that were read or drawn" in shown and str(own / "data") in shown
    assert "emptied, but for what was fetched" in command("cache", "--empty", env=environment).stdout
    assert not cache.entries() and (own / "fer2013" / "fetched").exists()
    again = command("data", "check", "--data", path, "--allow-subset", "--brief", env=environment).stdout
    assert "fingerprint" in again


def test_brief_takes_no_option_that_it_would_not_heed(tmp_path):
    ended = command("data", "check", "synthetic", "--brief", "--json", tmp_path / "x.json", check=False)
    assert ended.returncode == 1 and "leave it out, or --json" in ended.stderr
    both = command("data", "check", "synthetic", "--data", "elsewhere", check=False)
    assert both.returncode == 1 and "are two copies" in both.stderr
