"""Bins against a response whose resolution is known."""

from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.chandra.response import Rmf, read_rmf
from pyxt_hpc.errors import ConfigError, ResponseMismatch
from pyxt_hpc.spectra.grouping import bin_lookup, channel_bins, fwhm, resolution_bins

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


def test_real_response(shared: Path) -> None:
    rmf = read_rmf(shared / "chandra" / "9774.rmf")
    assert len(channel_bins(0.7, 8.0, rmf)) - 1 == 499  # 497 degrees of freedom of two parameters, as Sherpa
    assert 100 <= len(resolution_bins(rmf, 0.7, 8.0)) - 1 <= 115
    energy = 0.5 * (rmf.energy_lo + rmf.energy_hi)
    at_iron = fwhm(rmf)[np.searchsorted(energy, 5.9)]
    assert 0.13 < at_iron < 0.18  # S3: about 150 eV
