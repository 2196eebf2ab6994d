"""Drawn faces: the same for the same arguments, learnable but not trivial, with faults on demand."""

import numpy as np
import pytest

from fer_common.data import synthetic
from fer_common.data.fer2013 import OFFICIAL_COUNTS


@pytest.mark.slow
def test_whole_size_has_fer2013s_counts():
    data = synthetic.draw(35887)
    for usage, counts in OFFICIAL_COUNTS.items():
        assert tuple(np.bincount(data.labels[data.usage == usage])) == counts
    assert data.source == "synthetic"


def test_deterministic_by_seed():
    a, b, c = synthetic.draw(300, seed=5), synthetic.draw(300, seed=5), synthetic.draw(300, seed=6)
    np.testing.assert_array_equal(a.images, b.images)
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_faults_on_demand():
    clean = synthetic.draw(1000, seed=2)
    noisy = synthetic.draw(1000, seed=2, label_noise=0.1)
    assert (clean.labels != noisy.labels).sum() == 100
    copied = synthetic.draw(1000, seed=2, duplicates=0.05)
    assert len(np.unique(clean.identical)) == 1000
    assert len(np.unique(copied.identical)) == pytest.approx(950, abs=1)
    assert "label noise 0.1" in noisy.origin and "duplicates 0.05" in copied.origin
