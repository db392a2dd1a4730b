"""Effective area, redistribution and background spectrum of ACIS-I.

The tables are in ``data/tables/acis_i_*.txt``, their sources in ``data/SOURCES.md``. Vignetting and the size
of the PSF are in `pyxt_hpc.chandra`, because preprocessing needs them, too.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.chandra.sky.psf import psf_r90_arcsec as psf_r90_arcsec

CHANNEL_KEV = 0.0146
N_CHANNELS = 1024
ENERGY_EDGES = np.round(np.arange(0.30, 11.0 + 0.005, 0.01), 2)
_FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
_PARTICLE_STEP = 0.005  # keV


def _lines(name: str) -> list[str]:
    return (files("pyxt_hpc") / "data" / "tables" / name).read_text(encoding="utf-8").splitlines()


def on_axis_arf() -> Arf:
    """Effective area on the optical axis, in bins of `ENERGY_EDGES`, at their centres."""
    energy, area = np.loadtxt(_lines("acis_i_area.txt"), unpack=True)
    low, high = ENERGY_EDGES[:-1], ENERGY_EDGES[1:]
    return Arf(low, high, np.interp(0.5 * (low + high), energy, area))


def sigma_keV(energy_keV: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation of the measured energy [keV]."""
    energy, fwhm = np.loadtxt(_lines("acis_i_resolution.txt"), unpack=True)
    return np.interp(np.asarray(energy_keV, dtype=np.float64), energy, fwhm) / (1e3 * _FWHM_PER_SIGMA)


def gaussian_rmf() -> Rmf:
    """Redistribution by a Gaussian around each energy bin's centre, cut at 6 sigma; PI channels from 1."""
    low, high = ENERGY_EDGES[:-1], ENERGY_EDGES[1:]
    middle = 0.5 * (low + high)
    sigma = sigma_keV(middle)
    bounds = np.linspace(0.0, CHANNEL_KEV * N_CHANNELS, N_CHANNELS + 1)
    first = np.maximum(np.floor((middle - 6 * sigma) / CHANNEL_KEV).astype(np.int32), 0)
    last = np.minimum(np.floor((middle + 6 * sigma) / CHANNEL_KEV).astype(np.int32), N_CHANNELS - 1)
    rows = [
        np.diff(ndtr((bounds[i : j + 2] - e) / s))
        for i, j, e, s in zip(first, last, middle, sigma, strict=True)
    ]
    lowest = bounds[:-1].copy()
    lowest[0] = 0.1 * CHANNEL_KEV  # as in real ACIS RMFs, since some readers fail at an energy of 0
    return Rmf(
        energy_lo=low,
        energy_hi=high,
        n_group=np.ones(len(middle), dtype=np.int32),
        first_channel=first,
        n_channel=(last - first + 1).astype(np.int32),
        matrix=np.concatenate(rows),
        channel_lo_keV=lowest,
        channel_hi_keV=bounds[1:],
        first_channel_number=1,
    )


@lru_cache
def particle_background() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spectrum of the particle background of one CCD in measured energy; it has no vignetting.

    Returns
    -------
    edges : (n + 1,) [keV]
    rate : (n,) [count s^-1] per bin
    """
    text = _lines("acis_i_particles.txt")
    continuum = np.loadtxt([t for t in text if not t.startswith("line")])
    lines = np.loadtxt([t.removeprefix("line") for t in text if t.startswith("line")])
    edges = np.arange(continuum[0, 0], continuum[-1, 0] + 0.5 * _PARTICLE_STEP, _PARTICLE_STEP)
    middle = 0.5 * (edges[:-1] + edges[1:])
    rate = _PARTICLE_STEP * np.exp(np.interp(middle, continuum[:, 0], np.log(continuum[:, 1])))
    for energy, strength in lines:
        rate += strength * np.diff(ndtr((edges - energy) / sigma_keV(energy)))
    return edges, rate
