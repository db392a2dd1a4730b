"""Photons of each emitter, drawn so that the expected spectrum of every pixel is exactly the folded model.

Every spectrum is a sum of components with fixed shapes, because APEC is linear in kT between the nodes of its
table and linear in abundance. The number of photons of each component in each pixel is therefore one Poisson
draw, and their energies come from the spectrum of the component; temperatures are not rounded to classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.simulate.acis.geometry import sky_frame
from pyxt_hpc.simulate.cluster import ClusterTruth
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import apec, load_plasma

FloatArray = NDArray[np.float64]

# Sky background: unabsorbed foreground of 0.2 keV gas, and unresolved sources (De Luca & Molendi 2004,
# A&A 419, 837: 11.6 photon cm^-2 s^-1 sr^-1 keV^-1 at 1 keV, index 1.41), absorbed.
_FOREGROUND_KT = 0.2
_FOREGROUND_NORM_ARCMIN2 = 1.5e-6
_UNRESOLVED_SR = 11.6
_UNRESOLVED_INDEX = 1.41
_SR_PER_ARCMIN2 = np.radians(1.0 / 60.0) ** 2


@dataclass(frozen=True)
class Photons:
    """Photons that would be detected on the optical axis: energy bin of the ARF and sky pixel, (n,) each."""

    energy_bin: NDArray[np.int64]
    x: FloatArray
    y: FloatArray


def energy_edges(arf: Arf) -> FloatArray:
    """Edges (n_energy + 1,) [keV] of an ARF's bins."""
    return np.append(arf.energy_lo, arf.energy_hi[-1])


def gas_components(truth: ClusterTruth, arf: Arf) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Decompose the gas into components of fixed spectrum.

    Yields
    ------
    amount : (ny, nx)
        Amount of the component in each pixel.
    rate : (n_energy,)
        Its spectrum on the optical axis per unit of the amount [count s^-1 per energy bin].
    """
    edges = energy_edges(arf)
    plasma = load_plasma()
    hhe, metals = plasma.components(edges, truth.redshift, truth.abundance_table)
    through = transmission(edges, truth.nH, truth.absorption) * arf.area
    for node, norm, norm_of_metals in truth.norms_at(plasma.kT):
        yield norm, hhe[node] * through
        yield norm_of_metals, metals[node] * through


def gas_photons(
    truth: ClusterTruth, arf: Arf, exposure_s: float, ra: float, dec: float, rng: np.random.Generator
) -> Photons:
    """Photons of the cluster in the sky frame of an observation with the pointing RA, Dec [deg]."""
    flat_pixels, energies = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for amount, rate in gas_components(truth, arf):
        holders = np.flatnonzero(amount)
        if len(holders) == 0 or rate.sum() <= 0:
            continue
        number = rng.poisson(amount.ravel()[holders] * rate.sum() * exposure_s)
        flat_pixels.append(np.repeat(holders, number))
        energies.append(draw_bins(rate, int(number.sum()), rng))
    row, col = np.divmod(np.concatenate(flat_pixels), truth.kT.shape[1])
    within = rng.random((2, len(row))) + 0.5
    sky = truth.wcs.wcs_pix2world(col + within[0], row + within[1], 1)
    x, y = world_to_pixel(sky_frame(ra, dec), *sky)
    return Photons(np.concatenate(energies), x, y)


def source_rates(truth: ClusterTruth, arf: Arf) -> FloatArray:
    """Spectrum of each point source on the axis, (n_source, n_energy) [count s^-1 per energy bin]."""
    edges = energy_edges(arf)
    through = transmission(edges, truth.nH, truth.absorption) * arf.area
    shapes = [source.flux * _power_law(edges, source.index) for source in truth.sources]
    return np.reshape(shapes, (len(truth.sources), len(arf.area))) * through


def sky_background_rate(arf: Arf, nH: float, absorption: str) -> FloatArray:
    """Spectrum of the sky background on the axis, (n_energy,) [count s^-1 arcmin^-2 per energy bin]."""
    edges = energy_edges(arf)
    foreground = _FOREGROUND_NORM_ARCMIN2 * apec(edges, _FOREGROUND_KT, 1.0, 0.0)
    unresolved = _UNRESOLVED_SR * _SR_PER_ARCMIN2 * _power_law(edges, _UNRESOLVED_INDEX)
    unresolved *= transmission(edges, nH, absorption)
    return (foreground + unresolved) * arf.area


def draw_bins(rate: FloatArray, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw n bins with probabilities proportional to ``rate``."""
    cumulative = np.cumsum(rate)
    return np.searchsorted(cumulative, cumulative[-1] * rng.random(n), side="right")


def _power_law(edges: FloatArray, index: float) -> FloatArray:
    """Integral of E^-index over each bin (index not 1)."""
    return np.diff(edges ** (1.0 - index)) / (1.0 - index)
