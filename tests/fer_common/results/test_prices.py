"""The price of a mistake is what was planted, with an interval that holds it."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fer_common import records
from fer_common.data import synthetic
from fer_common.protocols import PROTOCOLS
from fer_common.results import figures, groups, measure, pages, prices
from tests.builders import predictions, put, record

SEEDS = range(3)


def made(tmp_path, leaks=0.15, effect=0.0, fold=None):
    """Honest runs at .60 on PrivateTest, and runs of one pool whose test images come out better by `leaks`."""
    for seed in SEEDS:
        honest = record(paper="laboratory", system="every_epoch", seed=seed, setup={"epochs": 13})
        put(tmp_path, honest, predictions(seed, (0.9, 0.58, 0.6)))
        role = np.repeat(("fit", "score", "score"), (600, 200, 200))
        role[600:607] = "fit"  # of PublicTest too, so that the two are one pool
        own = predictions(seed + 10, (0.9, 0.6 + effect + leaks, 0.6 + effect), role=role, epochs=(13,))
        put(tmp_path, record(paper="laboratory", system="cnn", protocol="without_private_80_20", seed=seed), own)
    return priced(tmp_path)


def priced(folder):
    collected = groups.collect(folder, {}).groups
    return prices.prices(collected, measure.Scores(collected)).set_index(["mistake", "metric"])


@pytest.mark.parametrize(("leak", "effect"), [(0.15, 0.0), (0.0, -0.1), (0.1, 0.05)])
def test_leak_and_training_effect_are_told_apart(tmp_path, leak, effect):
    row = made(tmp_path, leak, effect).loc["test images drawn from the pool of the training images", "accuracy"]
    assert row["seeds"] == 3 and row["source"] == "run"
    assert row["leak low"] <= leak <= row["leak high"] and row["leak"] == pytest.approx(leak, abs=0.02)
    assert row["effect low"] <= effect <= row["effect high"] and row["effect"] == pytest.approx(effect, abs=1e-3)
    assert row["printed_value"] == pytest.approx(0.6 + effect + leak, abs=0.02)


def test_what_is_read_off_the_honest_runs(tmp_path):
    found = made(tmp_path)
    fitted = found.loc["training images scored as test images", "accuracy"]
    assert fitted["leak"] == pytest.approx(0.3, abs=1e-3) and fitted["source"] == "read off"
    ovr = found.loc["mean of one-vs-rest accuracies called accuracy", "accuracy"]
    assert ovr["printed_value"] == pytest.approx(1 - 2 * 0.4 / 7, abs=1e-3)
    wrong = np.array([predicted_wrong(seed) for seed in SEEDS]).mean(0)  # each is worth 5/7 more
    over_images = 1.96 * 5 / 7 * wrong.std(ddof=1) / np.sqrt(200)
    assert ovr["leak high"] - ovr["leak"] == pytest.approx(over_images, rel=0.02), "the seeds do not differ"
    assert found.loc["the epoch that is best on PrivateTest", "accuracy"]["leak"] >= 0
    assert found.loc["top-2 accuracy called accuracy", "accuracy"]["leak"] > 0
    both = "training images scored as test images, and mean of one-vs-rest accuracies called accuracy"
    pair = found.loc[both, "accuracy"]
    assert pair["printed_value"] == pytest.approx(1 - 2 * 0.1 / 7, abs=1e-3) and pair["kind"] == "pair"
    five, shares = [0, 3, 4, 5, 6], []
    for seed in SEEDS:
        own = predictions(seed, (0.9, 0.58, 0.6))
        rows = (own.usage == "Training") & np.isin(own.label, five)
        shares.append(np.mean(np.array(five)[own.probabilities[-1][rows][:, five].argmax(1)] == own.label[rows]))
    of_five = found.loc["training images scored as test images, and images of disgust and fear left out", "accuracy"]
    assert of_five["printed_value"] == pytest.approx(np.mean(shares)) and of_five["kind"] == "pair"
    of_two = found.loc["training images scored as test images, and top-2 accuracy called accuracy", "accuracy"]
    assert 0.9 < of_two["printed_value"] < 1
    pairs = found.index[found["kind"] == "pair"].get_level_values("mistake")
    known = set(found.index.get_level_values("mistake")) - set(pairs)
    assert all(any(pair == f"{a}, and {b}" for a in known for b in known) for pair in pairs), "explain looks them up"
    assert np.isnan(pair["composed"]), "it follows from the accuracy"
    plain, alone = (
        fitted["printed_value"],
        found.loc["images of disgust and fear left out", "accuracy"]["printed_value"],
    )
    odds = plain / (1 - plain) * alone / (1 - alone) / (0.6 / 0.4)
    assert of_five["composed"] == pytest.approx(odds / (1 + odds), abs=1e-3)


def predicted_wrong(seed):
    own = predictions(seed, (0.9, 0.58, 0.6))
    private = own.usage == "PrivateTest"
    return own.probabilities[-1][private].argmax(1) != own.label[private]


def test_a_pair_has_the_effect_of_its_split(tmp_path):
    """With one interval, paired over images, wherever it is told."""
    found = made(tmp_path, effect=0.05)
    split = found.loc["test images drawn from the pool of the training images", "accuracy"]
    pairs = found[
        found.index.get_level_values("mistake").str.startswith(
            "test images drawn from the pool of the training images, and"
        )
    ]
    assert len(pairs) == 3
    for name in ("effect", "effect low", "effect high"):
        assert pairs[name].tolist() == pytest.approx([split[name]] * 3)


def test_drawn_faces_have_no_price(tmp_path):
    for seed in range(5):
        drawn = record(seed=seed, data={"source": "synthetic", "fingerprint": "0" * 16, "rows": 1000})
        put(tmp_path, drawn, predictions(seed, (0.9, 0.9, 0.95)))
    found = made(tmp_path)
    assert not any("the best of" in words for words, _ in found.index)


def test_the_best_of_many_is_their_expected_maximum_less_what_public_would_have_chosen(tmp_path):
    public, private = (0.6, 0.5, 0.7, 0.55), (0.62, 0.6, 0.5, 0.64)
    for seed, own in enumerate(zip(public, private)):
        put(tmp_path, record(seed=seed), predictions(seed, (0.9, *own)))
    made(tmp_path)
    row = priced(tmp_path).loc["the best of 3 seeds on PrivateTest", "accuracy"]
    triples = list(itertools.combinations(range(4), 3))
    best = np.mean([max(private[k] for k in own) for own in triples])
    chosen = np.mean([private[max(own, key=public.__getitem__)] for own in triples])
    assert row["printed_value"] == pytest.approx(best) and row["leak"] == pytest.approx(best - chosen)
    assert row["seeds"] == 4 and row["leak low"] <= row["leak"] <= row["leak high"]


def test_balanced_images_are_told_at_the_mix_of_the_real_ones(tmp_path):
    """Printed on images half of which are of one class, always right; the network is right on no other class."""
    made(tmp_path)
    role = np.repeat(("fit", "score", "score"), (600, 200, 200))
    role[600:607] = "fit"
    own = predictions(0, (0.9, 0.6, 0.6), role=role, epochs=(13,))
    own.label[700:800] = 0
    right = (own.label == 0) & (own.usage == "PublicTest")
    own.probabilities[0, own.usage == "PublicTest"] = np.eye(7)[1]
    own.probabilities[0, right] = np.eye(7)[0]
    own.probabilities[0, (own.usage == "PublicTest") & (own.label == 1)] = np.eye(7)[2]
    put(tmp_path, record(paper="laboratory", protocol="oversample_without_private"), own)
    row = priced(tmp_path).loc["classes balanced by repetition before the split", "accuracy"]
    scored = (own.usage == "PublicTest") & (own.role == "score")
    assert row["printed_value"] == pytest.approx(np.mean(own.label[scored] == 0))
    private = predictions(0, (0.9, 0.6, 0.6)).label[800:]
    assert row["standardised"] == pytest.approx(np.mean(private == 0))


POOLS = {
    "without_private_80_20": ("test images drawn from the pool of the training images", 0.8 * 1200 / 3150),
    "without_private_80_20_grouped": (
        "test images drawn from the pool, identical images on one side",
        0.8 * 600 / 3150,
    ),
    "without_private_80_20_alike": ("test images drawn from the pool, nearly identical images on one side", 0.0),
}


def test_an_ensemble_is_set_beside_its_single_networks(tmp_path):
    """Each of three seeds is wrong on its own tenth of PrivateTest, and not sure there: together none is wrong. Of two
    folds the one that is sure of its answer wins."""
    for seed in SEEDS:
        own = predictions(0, (0.9, 0.58, 1.0))
        wrong = np.flatnonzero(own.usage == "PrivateTest")[20 * seed : 20 * (seed + 1)]
        own.probabilities[:, wrong] = 0.45 * np.eye(7)[own.label[wrong]] + 0.55 * np.eye(7)[(own.label[wrong] + 1) % 7]
        put(tmp_path, record(paper="laboratory", system="every_epoch", seed=seed, setup={"epochs": 13}), own)
        role = np.repeat(("fit", "score"), (800, 200))
        for fold in range(2):
            role[:800] = np.where(np.arange(800) % 2 == fold, "score", "fit")
            own = predictions(fold, (0.8, 0.8, 0.65 + 0.1 * fold), role=role.copy(), epochs=(13,))
            if fold == 0:
                own.probabilities[:] = 0.1 * own.probabilities + 0.9 / 7
            made = {"paper": "laboratory", "protocol": "folds_without_private", "seed": seed, "fold": fold}
            put(tmp_path, record(**made), own)
    found = priced(tmp_path)
    row = found.loc["an ensemble of 3 seeds printed as one network", "accuracy"]
    assert row["printed_value"] == 1 and row["leak"] == pytest.approx(0.1) and row["seeds"] == 3
    half = 1.96 * np.std(np.repeat((1 / 3, 0.0), (60, 140)), ddof=1) / np.sqrt(200)
    assert row["leak high"] - row["leak"] == pytest.approx(half), "over images, paired"
    row = found.loc["an ensemble of 2 folds printed as one network", "accuracy"]
    assert row["printed_value"] == pytest.approx(0.75) and row["leak"] == pytest.approx(0.05) and row["seeds"] == 3
    assert (row["system"], row["protocol"]) == ("cnn", "folds_without_private")


def test_an_epoch_is_chosen_at_a_price_paired_over_images(tmp_path):
    """PublicTest is best after epoch 8 and PrivateTest after 13, by the same 20 images for each seed."""
    for seed in SEEDS:
        own = predictions(0, (0.9, 0.58, 0.7))
        public, private = (np.flatnonzero(own.usage == usage) for usage in ("PublicTest", "PrivateTest"))
        guessed_right = own.probabilities[0, private].argmax(1) == own.label[private]
        for epoch, rows in ((1, public[:100]), (0, private[guessed_right][:20])):
            own.probabilities[epoch, rows] = np.eye(7)[(own.label[rows] + 1) % 7]
        put(tmp_path, record(paper="laboratory", system="every_epoch", seed=seed, setup={"epochs": 13}), own)
    row = priced(tmp_path).loc["the epoch that is best on PrivateTest", "accuracy"]
    assert row["leak"] == pytest.approx(0.1)
    half = 1.96 * np.std(np.repeat((1.0, 0.0), (20, 180)), ddof=1) / np.sqrt(200)
    assert row["leak high"] - row["leak"] == pytest.approx(half)


def test_twins_that_were_planted_are_found_at_their_price(tmp_path):
    """Of 3,150 pooled faces 1,200 have a twin, half of them byte for byte and half with a little noise. The network
    remembers what it was fitted on, twins too, and guesses elsewhere: right on three of ten."""
    faces = synthetic.draw(3500, seed=1)
    rng = np.random.default_rng(0)
    ours, theirs = rng.permutation(np.flatnonzero(faces.usage != "PrivateTest"))[:1200].reshape(2, 600)
    images, labels, of = np.array(faces.images), np.array(faces.labels), np.arange(len(faces))
    images[theirs], labels[theirs], of[theirs] = images[ours], labels[ours], ours
    shaken = theirs[300:]
    images[shaken] = np.clip(images[shaken].astype(int) + rng.integers(-2, 3, images[shaken].shape), 0, 255)
    planted = replace(faces, images=images, labels=labels)
    for seed in SEEDS:
        for name in ("official", *POOLS):
            used, role = PROTOCOLS[name].split(planted, seed)
            known = np.isin(of, of[role == "fit"])
            right = known | (np.arange(len(of)) % 10 < 3)
            predicted = np.where(right, used.labels, (used.labels + 1) % 7)
            found = records.Predictions(
                used.row_id, used.usage, role, used.labels, np.array([13], np.int16),
                np.eye(7, dtype=np.float16)[predicted][None],
            )  # fmt: skip
            system = "every_epoch" if name == "official" else "cnn"
            put(tmp_path, record(paper="laboratory", system=system, protocol=name, seed=seed), found)
    table = priced(tmp_path)
    for words, share in POOLS.values():
        row = table.loc[words, "accuracy"]
        assert row["leak low"] < 0.7 * share < row["leak high"], words
        # Three draws of 630 printed images: the planted share varies by .01, what is guessed by .01.
        assert row["leak"] == pytest.approx(0.7 * share, abs=0.03)


def test_prices_are_drawn(tmp_path):
    figures.draw_prices(made(tmp_path / "runs").reset_index(), tmp_path / "prices.png")
    drawn = (tmp_path / "prices.svg").read_text()
    assert "test images drawn from the pool of the" in drawn and "+30.0" in drawn
    assert (tmp_path / "prices.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_of_a_network_alone_says_that_no_pair_was_run(tmp_path):
    table = made(tmp_path).reset_index()
    blocks = pages.prices_blocks(table)
    assert "training images scored as test images, +30.0" in " ".join(blocks["answer"].split())
    assert "composing is off by" in blocks["composing"]
    alone = pages.prices_blocks(table.assign(network="small"))
    assert alone["composing"] == "No pair was run." and "composed" in alone["small"]


def test_nothing_is_priced_without_honest_runs(tmp_path):
    put(tmp_path, record(paper="laboratory", system="cnn", protocol="public_fitted"), predictions(0, (0.9, 0.6, 0.6)))
    collected = groups.collect(tmp_path, {}).groups
    assert not len(prices.prices(collected, measure.Scores(collected)))


def test_differences_are_paired_over_seeds():
    """Seeds that move alike on both sides cancel; images add their variance."""
    ours, theirs = ({seed: (value + 0.01 * seed, 0.0) for seed in SEEDS} for value in (0.7, 0.6))
    found = prices.Difference.of(ours, theirs)
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    wider = prices.Difference.of({0: (0.7, 0.03)}, {0: (0.6, 0.04), 1: (0.5, 0.04)})
    assert wider.seeds == 1 and wider.high - wider.mean == pytest.approx(1.96 * 0.05)
    assert prices.Difference.of({0: (0.7, 0.0)}, {1: (0.7, 0.0)}) is None


def test_what_is_held_out_of_the_fitted_parts_is_what_is_printed(tmp_path):
    """A tenth of Training beside two whole parts; PrivateTest where PublicTest is fitted too and nothing is left."""
    made(tmp_path)
    tenth = np.repeat(("fit", "score", "score", "score"), (540, 60, 200, 200))
    held_out = predictions(20, (0.9, 0.6, 0.6), role=tenth, epochs=(13,))
    put(tmp_path, record(paper="laboratory", system="cnn", protocol="evaluation_tenth"), held_out)
    both = np.repeat(("fit", "fit", "score"), (600, 200, 200))
    put(
        tmp_path,
        record(paper="laboratory", system="cnn", protocol="public_fitted", seed=1),
        predictions(21, (0.9, 0.9, 0.65), role=both, epochs=(13,)),
    )
    found = priced(tmp_path)
    right = held_out.probabilities[-1][540:600].argmax(1) == held_out.label[540:600]
    printed = found.loc["a tenth of Training called evaluation set", "accuracy"]["printed_value"]
    assert printed == pytest.approx(right.mean()) and printed > 0.7
    row = found.loc["PublicTest trained on, too", "accuracy"]
    assert row["printed_value"] == pytest.approx(0.65, abs=1e-3) and np.isnan(row["leak"]), "nothing is held out"
