"""A bundle directly from the truth: photons of a cluster on the pixels of the truth, without event files."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.simulate.acis import geometry
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf, particle_background
from pyxt_hpc.simulate.acis.photons import gas_components, sky_background_rate
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, ClusterTruth

BAND_KEV = (0.7, 8.0)

_Component = tuple[NDArray[np.float64], NDArray[np.float64]]


def observe_directly(
    truth: ClusterTruth,
    rng: np.random.Generator,
    *,
    exposure_s: float = 1e5,
    background_ratio: float = 5.0,
    mask: NDArray[np.bool_] | None = None,
) -> Bundle:
    """Draw one observation of a cluster, with the on-axis response everywhere and without a PSF.

    It takes a second instead of the simulation of event files and stages 1 to 4, for statistics over many
    fields. Particles, sky and responses are those of the simulated ACIS-I.

    Parameters
    ----------
    truth
        The cluster; its pixels become those of the bundle. Point sources are left out.
    background_ratio
        Exposure of the blank-sky events, over that of the observation.
    mask : (ny, nx)
        Live pixels; None: all.
    """
    shape = truth.kT.shape
    arf, rmf = responses()
    live = np.ones(shape, bool) if mask is None else mask
    blank = [(np.full(shape, exposure_s), background_rate(truth.nH, truth.absorption) * _in_band(rmf))]
    gas = [(exposure_s * amount, rate) for amount, rate in _gas(truth)]
    indptr, channel = _draw([*gas, *blank], live, rng)
    more = [(background_ratio * amount, rate) for amount, rate in blank]
    blank_indptr, blank_channel = _draw(more, live, rng)
    counts, background = (np.diff(first).reshape(shape) for first in (indptr, blank_indptr))
    observation = BundleObservation(
        obsid="1",
        exposure_s=exposure_s,
        background_scale=1.0 / background_ratio,
        mask=live.astype(np.uint8),
        vignetting_keV=np.ones(1),
        vignetting=np.ones((1, *shape), np.float32),
        event_indptr=indptr,
        event_channel=channel,
        background_indptr=blank_indptr,
        background_channel=blank_channel,
        arf=arf,
        rmf=rmf,
    )
    return Bundle(
        name="simulated",
        redshift=truth.redshift,
        nH=truth.nH,
        abundance=0.3,
        absorption=truth.absorption,
        abundance_table=truth.abundance_table,
        energy_min_keV=BAND_KEV[0],
        energy_max_keV=BAND_KEV[1],
        wcs_header=truth.wcs.to_header_string(),
        pixel_scale_arcsec=PIXEL_ARCSEC,
        counts=counts.astype(np.int32),
        background=(background / background_ratio).astype(np.float32),
        background_variance=(background / background_ratio**2).astype(np.float32),
        mask=live.astype(np.uint8),
        observations=(observation,),
        fingerprint="simulated",
    )


def scaled_to(truth: ClusterTruth, counts: float, exposure_s: float = 1e5) -> ClusterTruth:
    """Truth with its norm scaled to give an expected number of counts in `BAND_KEV`."""
    now = exposure_s * sum(float(amount.sum() * rate.sum()) for amount, rate in _gas(truth))
    return replace(truth, norm=truth.norm * (counts / now))


@lru_cache(maxsize=1)
def responses() -> tuple[Arf, Rmf]:
    """ARF and RMF of the optical axis."""
    return on_axis_arf(), gaussian_rmf()


def _in_band(rmf: Rmf) -> NDArray[np.bool_]:
    return (rmf.channel_lo_keV >= BAND_KEV[0]) & (rmf.channel_hi_keV <= BAND_KEV[1])


def _gas(truth: ClusterTruth) -> Iterator[_Component]:
    """Components of the gas, with their spectra in channels [count s^-1]."""
    arf, rmf = responses()
    for amount, rate in gas_components(truth, arf):
        if amount.any():
            yield amount, (rate @ rmf.sparse) * _in_band(rmf)


def background_rate(nH: float, absorption: str = "phabs") -> NDArray[np.float64]:
    """Spectrum of particles and sky of one pixel, (n_channel,) [count s^-1]; nH in 1e22 cm^-2."""
    arf, rmf = responses()
    edges, rate = particle_background()
    channel = np.searchsorted(rmf.channel_hi_keV, 0.5 * (edges[1:] + edges[:-1]))
    chip = (geometry.CHIP_PIXELS * geometry.PIXEL_ARCSEC / 60.0) ** 2
    particles = np.bincount(channel, rate, rmf.n_channels + 1)[: rmf.n_channels] / chip
    sky = sky_background_rate(arf, nH, absorption) @ rmf.sparse
    return (particles + sky) * (PIXEL_ARCSEC / 60.0) ** 2


def _draw(
    components: list[_Component], live: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Poisson events of all components, sorted by pixel."""
    pixels, channels = [], []
    at = np.flatnonzero(live)
    for amount, rate in components:
        number = rng.poisson(amount.ravel()[at] * rate.sum())
        pixels.append(np.repeat(at, number))
        channels.append(rng.choice(len(rate), int(number.sum()), p=rate / rate.sum()).astype(np.int16))
    return sort_by_pixel(np.concatenate(pixels), np.concatenate(channels), live.size)
