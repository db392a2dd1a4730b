"""Adaptive circles against the definition: every radius of every disc, summed pixel by pixel."""

from itertools import pairwise
from math import fsum

import numpy as np
import pytest

from pyxt_hpc.binning.circles import (
    JUMP_MIN,
    STRIP,
    _add_ring,
    _disc,
    _jump,
    prepare_circle_sums,
    radius_grid,
    region_index,
    scale_map,
    scale_map_rows,
)
from pyxt_hpc.errors import ConfigError, DamagedFile


def beta_model(shape, total, background, seed=1):
    """Counts of a beta model (beta 2/3) on a flat background, and a scaled background estimate."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape)
    core = 0.06 * max(shape)
    profile = (1 + ((y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2) / core**2) ** -1.5
    counts = rng.poisson(profile * total / profile.sum() + background)
    # two observations whose scales are no dyadic fractions: sums that depend on their order unless made exact
    estimate = rng.poisson(background * 3, shape) * 0.1234 + rng.poisson(background * 9, shape) * 0.0699733
    return counts, estimate


def brute_force(counts, background, variance, mask, target, row, col, radii):
    """Smallest radius that reaches the target and its S/N, (0, 0) if none does."""
    if not mask[row, col]:
        return 0.0, 0.0
    y, x = np.nonzero(mask)
    distance_sq = (y - row) ** 2 + (x - col) ** 2
    values = [np.asarray(image, np.float64)[y, x] for image in (counts, background, variance)]
    ring = np.searchsorted(radii**2, distance_sq)
    c, b, w = (np.cumsum(np.bincount(ring, v, len(radii) + 1)[: len(radii)]) for v in values)
    ratio = np.divide(c - b, np.sqrt(c + w), out=np.zeros_like(c), where=c > 0)
    reached = np.flatnonzero(ratio >= target)
    if not len(reached):
        return 0.0, 0.0
    inside = ring <= reached[0]
    c, b, w = (fsum(v[inside]) for v in values)
    return radii[reached[0]], (c - b) / np.sqrt(c + w)


def assert_equals_brute_force(counts, background, variance, mask, target, pixels, radius_max=100.0):
    result = scale_map(counts, background, variance, mask, target, radius_max=radius_max)
    radii = radius_grid(radius_max=radius_max).radius
    # the package's float32 rounding of its inputs is part of the definition
    background, variance = background.astype(np.float32), variance.astype(np.float32)
    for row, col in pixels:
        radius, ratio = brute_force(counts, background, variance, mask, target, row, col, radii)
        assert result.radius[row, col] == radius, (row, col)
        assert result.signal_to_noise[row, col] == pytest.approx(ratio, rel=1e-6)
    return result


def random_pixels(shape, n, seed=7):
    rng = np.random.default_rng(seed)
    corners = [(0, 0), (0, shape[1] - 1), (shape[0] - 1, 0), (shape[0] - 1, shape[1] - 1)]
    return corners + [tuple(p) for p in rng.integers(0, shape, (n, 2)).tolist()]


def test_default_grid_has_radii_of_1_to_100_by_an_eighth():
    radii = radius_grid().radius
    assert len(radii) == 793
    assert radii[0] == 1
    assert radii[-1] == 100
    assert np.all(np.diff(radii) == 0.125)


@pytest.mark.parametrize("grid", [(1.0, 12.0, 0.125), (0.0, 7.0, 0.25), (2.3, 9.1, 0.1), (5.0, 5.0, 1.0)])
def test_tabulated_discs_hold_the_pixels_within_the_radius(grid):
    table = radius_grid(*grid)
    dy, dx = np.mgrid[-13:14, -13:14]
    distance_sq = dy**2 + dx**2
    for k, radius in enumerate(table.radius):
        disc = {
            (int(y), int(x))
            for y, x in zip(dy[distance_sq <= radius**2], dx[distance_sq <= radius**2], strict=True)
        }
        rings = table.ring[: table.ring_start[k + 1]].reshape(-1, 2)
        assert len(rings) == len(disc) - 1
        assert {tuple(p) for p in rings.tolist()} | {(0, 0)} == disc
        widths = {abs(y): max(x for y2, x in disc if y2 == y) for y, _ in disc}
        assert {y: int(h) for y, h in enumerate(table.half_width[k]) if h >= 0} == widths


@pytest.mark.parametrize(
    ("total", "background", "target"),
    [(3e5, 0.1, 40.0), (3e5, 3.0, 40.0), (2e4, 0.05, 10.0), (1e5, 0.02, 3.0)],
)
def test_beta_model(total, background, target):
    counts, estimate = beta_model((150, 170), total, background)
    mask = np.ones(counts.shape, np.uint8)
    result = assert_equals_brute_force(
        counts, estimate, estimate, mask, target, random_pixels(counts.shape, 150)
    )
    assert (result.radius > 0).any()


def test_variance_that_differs_from_the_background():
    counts, estimate = beta_model((120, 120), 1e5, 1.0)
    mask = np.ones(counts.shape, np.uint8)
    pixels = random_pixels(counts.shape, 100)
    small = assert_equals_brute_force(counts, estimate, 0.1 * estimate, mask, 30.0, pixels)
    large = assert_equals_brute_force(counts, estimate, 3.0 * estimate, mask, 30.0, pixels)
    assert small.radius[60, 30] < large.radius[60, 30]


def test_hole_in_the_middle_and_ragged_mask():
    counts, estimate = beta_model((130, 140), 2e5, 0.3)
    y, x = np.indices(counts.shape)
    mask = ((y - 60) ** 2 + (x - 75) ** 2 > 12**2) & (y + x > 40) & (x % 17 != 3)
    result = assert_equals_brute_force(
        counts, estimate, estimate, mask, 25.0, random_pixels(counts.shape, 150)
    )
    assert not result.radius[~mask].any()
    assert not result.signal_to_noise[~mask].any()


def test_what_lies_outside_the_mask_does_not_count():
    counts, estimate = beta_model((60, 70), 5e4, 0.3)
    mask = np.random.default_rng(3).random(counts.shape) < 0.7
    dirty = np.where(mask, counts, 10**6), np.where(mask, estimate, np.nan)
    first = scale_map(dirty[0], dirty[1], dirty[1], mask, 15.0)
    second = scale_map(counts * mask, estimate * mask, estimate * mask, mask, 15.0)
    assert np.array_equal(first.radius, second.radius)


def test_pixels_without_counts_are_not_good():
    """A removed source inside the mask: 0 counts up to radius 9 is S/N 0, not NaN that passes."""
    y, x = np.indices((61, 61))
    counts = np.where((y - 30) ** 2 + (x - 30) ** 2 <= 9**2, 0, 30)
    nothing = np.zeros(counts.shape)
    mask = np.ones(counts.shape, np.uint8)
    result = assert_equals_brute_force(counts, nothing, nothing, mask, 50.0, [(30, 30), (30, 25), (0, 0)])
    assert result.radius[30, 30] > 9


def test_flat_background_reaches_nothing():
    rng = np.random.default_rng(5)
    counts = rng.poisson(2.0, (90, 100))
    estimate = np.full(counts.shape, 2.0)
    result = scale_map(counts, estimate, estimate, np.ones(counts.shape), 40.0)
    assert not result.radius.any()
    assert not result.signal_to_noise.any()


def test_target_reached_inside_and_lost_again():
    """A bright knot in a high background: S/N passes the target, falls below it and passes it once more.

    Bisection tests the middle radius first, finds it below the target and looks only further out.
    """
    size = 201
    y, x = np.indices((size, size))
    distance_sq = (y - 100) ** 2 + (x - 100) ** 2
    background = np.full((size, size), 10.0)
    counts = np.full((size, size), 10)
    counts[distance_sq <= 3**2] += 40
    counts[distance_sq > 80**2] += 10
    mask = np.ones(counts.shape, np.uint8)
    radii = radius_grid().radius
    ratio = []
    for radius in radii:
        inside = distance_sq <= radius**2
        c, b = counts[inside].sum(), background[inside].sum()
        ratio.append((c - b) / np.sqrt(c + b))
    reached = np.array(ratio) >= 25.0
    assert not reached[len(radii) // 2]
    assert reached[-1]
    assert np.count_nonzero(np.diff(reached.astype(int))) == 3  # in, out, in
    result = assert_equals_brute_force(counts, background, background, mask, 25.0, [(100, 100), (98, 101)])
    assert result.radius[100, 100] == radii[np.flatnonzero(reached)[0]] < 5


def test_rings_and_prefix_sums_give_the_same_disc_to_the_last_bit():
    """S/N must not depend on how a radius is reached, nor on strips and blocks of rows."""
    rng = np.random.default_rng(13)
    images = rng.random((3, 64, 80)) * np.array([1e-6, 1.0, 1e4])[:, None, None]
    sums = prepare_circle_sums(*images, np.ones((64, 80)), radius_max=25.0)
    grid = radius_grid(radius_max=25.0)
    row_length = sums.images.shape[2]
    pad = (sums.images.shape[1] - 64) // 2
    at = (30 + pad) * row_length + 20 + pad
    offsets = grid.ring[..., 0] * row_length + grid.ring[..., 1]
    for image, prefix in zip(sums.images.reshape(3, -1), sums.prefix.reshape(3, -1), strict=True):
        grown, whole = image[at : at + STRIP].astype(float), np.empty(STRIP)
        for k in range(len(grid.radius)):
            _add_ring(image, at, offsets[grid.ring_start[k] : grid.ring_start[k + 1]], grown)
            _disc(prefix, at + 30 + pad, row_length + 1, grid.half_width[k], whole)
            assert np.array_equal(grown, whole)


@pytest.mark.parametrize("target", [2.0, 5.0, 12.0])
def test_every_pixel_of_a_noisy_image(target):
    """High background, knots and voids: S/N rises and falls many times on its way to the target."""
    rng = np.random.default_rng(17)
    shape, reach = (70, 100), 30
    smooth = np.kron(rng.gamma(0.5, 2.0, (14, 20)), np.ones((5, 5)))
    background = np.round(rng.uniform(2, 6, shape) * 64) / 64
    counts = rng.poisson(smooth + background)
    variance = background / 4
    table = radius_grid(radius_max=float(reach))
    c, b, w = (np.pad(image.astype(float), reach) for image in (counts, background, variance))
    window = [image[reach:-reach, reach:-reach].copy() for image in (c, b, w)]
    expected = np.zeros(shape)
    lost_again = np.zeros(shape, bool)
    for k, radius in enumerate(table.radius):
        for dy, dx in table.ring[table.ring_start[k] : table.ring_start[k + 1]].reshape(-1, 2):
            for total, image in zip(window, (c, b, w), strict=True):
                total += image[reach + dy : reach + dy + shape[0], reach + dx : reach + dx + shape[1]]
        ratio = (window[0] - window[1]) / np.sqrt(window[0] + window[2])
        lost_again |= (expected > 0) & (ratio < target)
        expected[(expected == 0) & (ratio >= target)] = radius
    assert lost_again.mean() > 0.05
    result = scale_map(counts, background, variance, np.ones(shape), target, radius_max=float(reach))
    assert np.array_equal(result.radius, expected.astype(np.float32))


def test_no_jump_passes_over_a_radius_that_reaches_the_target():
    """All jumps from any radius to any other, also those that the search would hardly ever try."""
    rng = np.random.default_rng(19)
    shape, reach, target = (60, STRIP), 25, 25.0
    # no background further out, where the bound is therefore tight
    background = np.where(np.abs(np.arange(60) - 30) < 4, 2.0, 0.0)[:, None] * rng.uniform(0.8, 1.2, shape)
    counts = rng.poisson(np.kron(rng.gamma(0.5, 2.0, (12, 8)), np.ones((5, 4))) + background)
    sums = prepare_circle_sums(counts, background, background / 4, np.ones(shape), radius_max=reach)
    grid = radius_grid(radius_max=float(reach))
    row_length, pad = sums.prefix.shape[2], (sums.images.shape[1] - shape[0]) // 2
    at, prefix = (30 + pad) * row_length + pad, sums.prefix.reshape(3, -1)
    n = len(grid.radius)
    discs = np.empty((n, 3, STRIP))
    for k in range(n):
        for image in range(3):
            _disc(prefix[image], at, row_length, grid.half_width[k], discs[k, image])
    reached = (discs[:, 0] - discs[:, 1]) / np.sqrt(discs[:, 0] + discs[:, 2]) >= target
    far = np.empty((3, STRIP))
    n_jumps = 0
    for active in np.eye(STRIP, dtype=bool)[::5]:
        for j in range(0, n, 3):
            for k in range(j + JUMP_MIN, n):
                near = discs[j].copy()
                landed = _jump(prefix, at, row_length, grid.half_width, active, target, j, k, near, far)
                assert j <= landed <= k
                assert np.array_equal(near, discs[landed])
                assert not reached[j + 1 : landed + 1, active].any()
                n_jumps += landed > j
    assert n_jumps > 1000


def test_exactly_the_target_counts_as_reached():
    """1600 counts without background are S/N 40: equality must survive every shortcut."""
    counts = np.zeros((50, 120), int)
    counts[25, 60] = 1600
    nothing = np.zeros(counts.shape)
    result = scale_map(counts, nothing, nothing, np.ones(counts.shape), 40.0)
    y, x = np.indices(counts.shape)
    distance = np.hypot(y - 25, x - 60)
    expected = np.maximum(1.0, np.ceil(distance * 8) / 8)
    assert np.array_equal(result.radius, expected)
    assert np.all(result.signal_to_noise == 40)
    counts[25, 60] = 1599
    assert not scale_map(counts, nothing, nothing, np.ones(counts.shape), 40.0).radius.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (37, 1), (5, 3), (33, 32)])
def test_images_smaller_than_the_circles(shape):
    rng = np.random.default_rng(11)
    counts = rng.poisson(20.0, shape)
    estimate = rng.random(shape)
    pixels = [(row, col) for row in range(shape[0]) for col in range(shape[1])]
    assert_equals_brute_force(counts, estimate, estimate, np.ones(shape), 12.0, pixels)


def test_other_radii():
    counts, estimate = beta_model((80, 80), 1e5, 0.2)
    mask = np.ones(counts.shape, np.uint8)
    result = scale_map(counts, estimate, estimate, mask, 20.0, radius_min=4.0, radius_max=12.5, step=0.5)
    radii = radius_grid(4.0, 12.5, 0.5).radius
    estimate = estimate.astype(np.float32)
    assert (result.radius[result.radius > 0] == 4.0).any()
    assert (result.radius == 0).any()
    for row, col in random_pixels(counts.shape, 100):
        expected, _ = brute_force(counts, estimate, estimate, mask, 20.0, row, col, radii)
        assert result.radius[row, col] == expected


def test_all_masked():
    counts, estimate = beta_model((40, 40), 1e5, 0.2)
    assert not scale_map(counts, estimate, estimate, np.zeros(counts.shape), 5.0).radius.any()


def test_blocks_of_rows_do_not_change_the_answer():
    counts, estimate = beta_model((70, 90), 1e5, 0.5)
    sums = prepare_circle_sums(counts, estimate, estimate, np.ones(counts.shape))
    for array in vars(sums).values():
        array.flags.writeable = False  # as an array that ranks share may be
    whole = scale_map_rows(sums, 0, 70, 20.0)
    for edges in ([0, 1, 2, 33, 70], range(71)):
        blocks = [scale_map_rows(sums, lo, hi, 20.0) for lo, hi in pairwise(edges)]
        for k in range(2):
            assert np.array_equal(np.vstack([block[k] for block in blocks]), whole[k])


def test_region_index_counts_circles_in_row_major_order():
    radius = np.array([[0, 2.5, 0], [1.0, 0, 7.0]], np.float32)
    index = region_index(radius)
    assert index.dtype == np.int32
    assert index.tolist() == [[0, 1, 0], [2, 0, 3]]


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_impossible_background_is_refused(bad):
    counts, estimate = beta_model((20, 20), 1e3, 0.5)
    estimate[3, 4] = bad
    with pytest.raises(DamagedFile, match="background image"):
        prepare_circle_sums(counts, estimate, np.zeros(counts.shape), np.ones(counts.shape))


def test_shapes_that_differ_are_refused():
    counts, estimate = beta_model((20, 20), 1e3, 0.5)
    with pytest.raises(DamagedFile, match=r"\(20, 19\)"):
        prepare_circle_sums(counts, estimate[:, 1:], estimate, np.ones(counts.shape))


def test_settings_that_make_no_sense_are_refused():
    counts, estimate = beta_model((20, 20), 1e3, 0.5)
    sums = prepare_circle_sums(counts, estimate, estimate, np.ones(counts.shape), radius_max=10.0)
    with pytest.raises(ConfigError, match="target"):
        scale_map_rows(sums, 0, 20, 0.0, radius_max=10.0)
    with pytest.raises(ConfigError, match="the sums are for 10"):
        scale_map_rows(sums, 0, 20, 5.0)
    with pytest.raises(ConfigError, match="minimum"):
        scale_map_rows(sums, 0, 20, 5.0, radius_min=8.0, radius_max=7.0)
