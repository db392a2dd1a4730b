"""Bins against a response whose resolution is known."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pyxt_hpc.chandra.ogip.response import Rmf
from pyxt_hpc.chandra.ogip.response_files import read_rmf
from pyxt_hpc.errors import ConfigError, ResponseMismatch
from pyxt_hpc.spectra import grouping
from pyxt_hpc.spectra.grouping import (
    BINS_PER_PARAMETER,
    LEVEL_BINS,
    bin_lookup,
    channel_bins,
    choose_level,
    fwhm,
    merge_levels,
    resolution_bins,
)

CHANNEL_KEV = 0.0146


def _width(energy: np.ndarray) -> np.ndarray:
    return np.sqrt(0.09**2 + 0.003 * energy)


def gaussian_rmf(tail: float = 0.0) -> Rmf:
    """Gaussian lines on 800 channels, a fraction `tail` spread evenly over all channels below the line."""
    lo = np.arange(0.3, 10.0, 0.05)
    hi = lo + 0.05
    edges = np.arange(801) * CHANNEL_KEV
    centre = 0.5 * (edges[1:] + edges[:-1])
    energy = 0.5 * (lo + hi)[:, None]
    sigma = _width(energy) / np.sqrt(8 * np.log(2))
    line = np.exp(-0.5 * ((centre - energy) / sigma) ** 2)
    line /= line.sum(axis=1, keepdims=True)
    below = (centre < energy).astype(float)
    matrix = (1 - tail) * line + tail * below / below.sum(axis=1, keepdims=True)
    n = len(lo)
    return Rmf(
        lo, hi, np.ones(n, np.int32), np.zeros(n, np.int32), np.full(n, 800, np.int32),
        matrix.ravel(), edges[:-1], edges[1:], 1,
    )  # fmt: skip


@pytest.mark.parametrize("tail", [0.0, 0.2])
def test_fwhm(tail: float) -> None:
    rmf = gaussian_rmf(tail)
    energy = 0.5 * (rmf.energy_lo + rmf.energy_hi)
    # second moments would be several times as wide with the tail
    assert fwhm(rmf) == pytest.approx(_width(energy), rel=0.02 + 0.2 * tail)


def test_rows_without_response() -> None:
    rmf = gaussian_rmf()
    dark = rmf.matrix.copy()
    dark[:800] = 0.0
    dark_rmf = Rmf(
        *[dark if name == "matrix" else value for name, value in vars(rmf).items() if name[0] != "_"]
    )
    assert np.isnan(fwhm(dark_rmf)[0])
    assert np.isfinite(fwhm(dark_rmf)[1:]).all()


@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_bins_are_a_fraction_of_the_resolution(fraction: float) -> None:
    rmf = gaussian_rmf()
    edges = resolution_bins(rmf, 0.7, 8.0, fraction)
    whole = channel_bins(0.7, 8.0, rmf)
    assert (edges[0], edges[-1]) == (whole[0], whole[-1])
    width = np.diff(edges) * CHANNEL_KEV
    wanted = fraction * _width(0.5 * (edges[1:] + edges[:-1]) * CHANNEL_KEV)
    assert abs(width - wanted).max() < 1.1 * CHANNEL_KEV
    assert width.sum() / wanted.sum() == pytest.approx(1.0, abs=0.03)


def test_bins_finer_than_channels_are_channels() -> None:
    rmf = gaussian_rmf()
    assert resolution_bins(rmf, 0.7, 8.0, 0.01).tolist() == channel_bins(0.7, 8.0, rmf).tolist()


def test_channels_lie_wholly_in_the_band() -> None:
    edges = channel_bins(0.7, 8.0, gaussian_rmf())
    assert (edges[0], edges[-1]) == (48, 547)  # channel 47 begins at 0.6862 keV, 547 ends at 8.0008


def test_lookup() -> None:
    assert bin_lookup(np.array([1, 3, 4]), 6).tolist() == [-1, 0, 0, 1, -1, -1]


@pytest.mark.parametrize("edges", [[0, 7], [-1, 3], [2, 2], [3]])
def test_lookup_of_other_channels(edges: list[int]) -> None:
    with pytest.raises(ResponseMismatch):
        bin_lookup(np.array(edges), 6)


def test_band_without_channels() -> None:
    with pytest.raises(ConfigError, match="no channel"):
        resolution_bins(gaussian_rmf(), 12.0, 13.0)
    with pytest.raises(ConfigError, match="resolution"):
        resolution_bins(gaussian_rmf(), 0.7, 8.0, 0.0)


def _plasma(rmf: Rmf) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Temperatures, and in bins of half the resolution rates of a continuum and of a line at 6.4 keV."""
    kT = np.geomspace(0.3, 30.0, 60)
    edges = resolution_bins(rmf, 0.7, 8.0) * CHANNEL_KEV
    energy, width = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    area = np.exp(-0.5 * (np.log(energy / 1.6) / 0.7) ** 2)
    continuum = np.exp(-energy / kT[:, None]) * area * width
    line = np.exp(-0.5 * ((energy - 6.4) / 0.07) ** 2) * area * width * np.exp(-7.0 / kT[:, None])
    return kT, continuum, line


def _error(counts: list[np.ndarray], background: np.ndarray, edges: np.ndarray) -> float:
    """Standard deviation of the second parameter in a Gaussian fit of all, in bins of these edges."""
    directions = np.array([np.add.reduceat(c, edges[:-1]) for c in counts])
    variance = directions[0] + np.add.reduceat(background, edges[:-1])
    return float(np.sqrt(np.linalg.inv((directions / variance) @ directions.T)[1, 1]))


@pytest.mark.parametrize("kT_keV", [0.7, 3.0, 9.0])
def test_levels_keep_the_precision(kT_keV: float) -> None:
    kT, rates, line = _plasma(gaussian_rmf())
    background = np.full(rates.shape[1], 1.0)
    model = rates + 0.3 * line
    for other, free in (((), []), ((line,), [line])):
        levels = merge_levels(kT, model, background, other)
        for edges, loss in zip(levels, (0.005, 0.01, 0.02, 0.04, 0.06), strict=True):
            k = int(np.argmin(abs(kT - kT_keV)))
            scale = 1.0 / model[k].sum()
            counts = [model[k] * scale, (model[k + 1] - model[k]) * scale, *(f[k] * scale for f in free)]
            noise = 0.3 * background / background.sum()
            every = np.arange(rates.shape[1] + 1)
            assert 1.0 <= _error(counts, noise, edges) / _error(counts, noise, every) < 1.0 + loss
            if free:
                counts[1], counts[2] = counts[2], counts[1]
                assert _error(counts, noise, edges) / _error(counts, noise, every) < 1.0 + 2 * loss


@pytest.mark.parametrize(
    ("first", "free_line"),
    [*((first, False) for first in range(0, 90, 10)), (68, True), (72, True), (76, True)],
)
def test_least_information_is_lost(first: int, free_line: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against all merges there are, each fitted anew."""
    part = slice(first, first + 12)
    kT, rates, line = (a[..., part] if a.ndim > 1 else a for a in _plasma(gaussian_rmf()))
    background = np.linspace(1.0, 3.0, 12)
    monkeypatch.setattr(grouping, "LEVEL_BINS", (11 - BINS_PER_PARAMETER * free_line,))
    free = [line] if free_line else []
    model = rates + 0.3 * line

    def errors(edges: np.ndarray) -> np.ndarray:
        found = []
        for reference in (0.6, 1.0, 2.0, 4.0, 8.0, 12.0):
            at = [
                np.array([np.interp(reference * f, kT, column) for column in model.T])
                for f in (1, 1.05, 1 / 1.05)
            ]
            metals = [np.array([np.interp(reference, kT, column) for column in a.T]) for a in free]
            noise = 0.375 * at[0].sum() * background / background.sum()
            counts = [at[0], at[1] - at[2], *metals]
            found.append(_error(counts, noise, edges))
            if free:
                found.append(_error([counts[0], counts[2], counts[1]], noise, edges))
        return np.array(found)

    every = np.arange(13)
    lost = [1.0 - (errors(every) / errors(np.delete(every, i))) ** 2 for i in range(1, 12)]
    best = int(np.argmin([loss.max() for loss in lost])) + 1
    assert merge_levels(kT, model, background, free)[0].tolist() == np.delete(every, best).tolist()


def test_levels_are_nested() -> None:
    kT, rates, line = _plasma(gaussian_rmf())
    free = merge_levels(kT, rates + 0.3 * line, np.zeros(rates.shape[1]), [line])
    assert [len(edges) - 1 for edges in free] == [n + BINS_PER_PARAMETER for n in LEVEL_BINS]
    levels = merge_levels(kT, rates + 0.3 * line, np.zeros(rates.shape[1]))
    assert [len(edges) - 1 for edges in levels] == list(LEVEL_BINS)
    finer = set(range(rates.shape[1] + 1))
    for edges in levels:
        assert (edges[0], edges[-1]) == (0, rates.shape[1])
        assert np.all(np.diff(edges) > 0)
        assert set(edges.tolist()) <= finer
        finer = set(edges.tolist())


def test_a_line_keeps_its_bins_where_the_abundance_is_free() -> None:
    rmf = gaussian_rmf()
    kT, rates, line = _plasma(rmf)
    energy = resolution_bins(rmf, 0.7, 8.0)[:-1] * CHANNEL_KEV
    background = np.ones(rates.shape[1])
    # the same spectra without a word about the line: nothing is there to be kept apart
    plain = merge_levels(kT, rates, background)[-1]
    free = merge_levels(kT, rates, background, [line])[-1]
    near = [np.sum(abs(energy[edges[:-1]] - 6.4) < 0.3) for edges in (plain, free)]
    assert near[0] <= 1 < 3 <= near[1]


def test_levels_do_not_depend_on_units() -> None:
    kT, rates, line = _plasma(gaussian_rmf())
    background = np.linspace(1.0, 2.0, rates.shape[1])
    one = merge_levels(kT, rates, background, [line])
    other = merge_levels(kT, 1e-7 * rates, 1e5 * background, [1e3 * line])
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_levels_of_few_bins_and_of_a_narrow_range_of_temperatures() -> None:
    kT, rates, _ = _plasma(gaussian_rmf())
    # bins below the detector's threshold, where nothing is expected
    dark = np.concatenate([np.zeros((len(kT), 3)), rates[:, :17]], axis=1)
    levels = merge_levels(kT[20:24], dark[20:24], np.zeros(20))
    assert [len(edges) - 1 for edges in levels] == [20, 20, 20, 16, 12]


def test_a_parameter_without_effect_changes_nothing() -> None:
    kT, rates, line = _plasma(gaussian_rmf())
    background = np.ones(rates.shape[1])
    one = merge_levels(kT, rates, background, [line])
    other = merge_levels(kT, rates, background, [line, np.zeros(rates.shape)])
    assert set(one[-1]) <= set(other[-1])


def test_level_by_background_counts() -> None:
    counts = np.array([0.0, 24.0, 25.0, 59.0, 60.0, 399.0, 400.0, 1999.0, 2000.0, 1e6])
    assert choose_level(counts[:, None]).tolist() == [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]


def test_level_of_several_observations() -> None:
    # five times 300 counts are no 1500: the bias stays, the errors shrink
    assert choose_level(np.full(5, 300.0)) == choose_level([300.0]) == choose_level([300.0, 0.0, 0.0]) == 2
    assert choose_level(np.zeros((2, 5))).tolist() == [4, 4]
    # short observations have no say
    assert choose_level([2500.0, 30.0, 30.0]) == 0
    assert choose_level([150.0] + 20 * [5.0]) == 2


def test_real_response(shared: Path) -> None:
    rmf = read_rmf(shared / "chandra" / "9774.rmf")
    assert len(channel_bins(0.7, 8.0, rmf)) - 1 == 499  # 497 degrees of freedom of two parameters, as Sherpa
    assert 100 <= len(resolution_bins(rmf, 0.7, 8.0)) - 1 <= 115
    energy = 0.5 * (rmf.energy_lo + rmf.energy_hi)
    at_iron = fwhm(rmf)[np.searchsorted(energy, 5.9)]
    assert 0.13 < at_iron < 0.18  # S3: about 150 eV


RATES = st.integers(2, 70).flatmap(
    lambda n_bin: st.tuples(
        arrays(np.float64, (4, n_bin), elements=st.floats(1e-3, 1e3)),
        arrays(np.float64, n_bin, elements=st.floats(0.0, 1e3)),
    )
)


@settings(deadline=None, max_examples=40)
@given(RATES)
def test_levels_are_nested_and_lose_no_channel(spectra: tuple[np.ndarray, np.ndarray]) -> None:
    rates, background = spectra
    n_bin = rates.shape[1]
    finer = np.arange(n_bin + 1)
    for size, edges in zip(
        LEVEL_BINS, merge_levels(np.array([0.5, 2.0, 5.0, 12.0]), rates, background), strict=True
    ):
        assert len(edges) - 1 == min(size, n_bin)
        assert (edges[0], edges[-1]) == (0, n_bin)
        assert (np.diff(edges) > 0).all()
        assert np.isin(edges, finer).all()
        finer = edges


@given(edges=st.sets(st.integers(0, 200), min_size=2), more=st.integers(0, 50))
def test_lookup_counts_every_channel_of_a_bin(edges: set[int], more: int) -> None:
    cuts = np.array(sorted(edges))
    lookup = bin_lookup(cuts, cuts[-1] + more)
    assert np.bincount(lookup[lookup >= 0]).tolist() == np.diff(cuts).tolist()
    assert (np.diff(lookup[cuts[0] : cuts[-1]]) >= 0).all()
    assert (lookup < 0).sum() == cuts[0] + more


@given(st.lists(st.floats(0.0, 1e5), min_size=1, max_size=6), st.floats(1.0, 10.0))
def test_more_background_never_makes_bins_wider(background: list[float], factor: float) -> None:
    counts = np.array(background)
    assert choose_level(factor * counts) <= choose_level(counts)


@settings(deadline=None, max_examples=30)
@given(low=st.floats(0.4, 5.0), width=st.floats(0.1, 4.0), fraction=st.floats(0.05, 3.0))
def test_bins_of_the_resolution_fill_the_band(low: float, width: float, fraction: float) -> None:
    rmf = gaussian_rmf()
    edges, channels = resolution_bins(rmf, low, low + width, fraction), channel_bins(low, low + width, rmf)
    assert (edges[0], edges[-1]) == (channels[0], channels[-1])
    assert (np.diff(edges) > 0).all()
