"""What bins have reached, against sums pixel by pixel."""

import numpy as np
import pytest

from pyxt_hpc.binning.bins import checked_images, paint_signal_to_noise, renumbered, signal_to_noise, sums_of
from pyxt_hpc.errors import DamagedFile

LABELS = np.array([[0, 3, 3], [1, 1, 0], [5, 5, 5]])


def test_sums_and_signal_to_noise() -> None:
    rng = np.random.default_rng(1)
    counts, background = rng.poisson(20, (3, 3)), rng.uniform(1, 5, (3, 3))
    sums = sums_of(LABELS, [counts, background])
    for label in range(6):
        np.testing.assert_allclose(sums[:, label], [v[label == LABELS].sum() for v in (counts, background)])
    painted = paint_signal_to_noise(counts, background, background, LABELS)
    c, b = (v[LABELS == 5].sum() for v in (counts, background))
    np.testing.assert_allclose(painted[2], (c - b) / np.sqrt(c + b), rtol=1e-6)
    assert (painted[LABELS == 0] == 0).all()
    assert signal_to_noise(np.array([0.0]), np.array([0.0]), np.array([0.0])) == 0


def test_numbers_without_gaps_keep_their_order() -> None:
    found = renumbered(np.where(LABELS == 0, -1, LABELS))
    np.testing.assert_array_equal(found, [[0, 2, 2], [1, 1, 0], [3, 3, 3]])
    assert found.dtype == np.int32
    assert not renumbered(np.full((2, 2), -1)).any()


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_impossible_images_are_refused_where_they_are_live(value: float) -> None:
    one, mask = np.ones((2, 3)), np.ones((2, 3), np.uint8)
    wrong = one.copy()
    wrong[1, 1] = value
    with pytest.raises(DamagedFile, match="background image: negative or non-finite"):
        checked_images(one, wrong, one, mask)
    with pytest.raises(DamagedFile, match="variance image: shape"):
        checked_images(one, one, one[:1], mask)
    mask[1, 1] = 0
    images, live = checked_images(one, wrong, one, mask)
    assert images[1].sum() == live.sum() == 5
