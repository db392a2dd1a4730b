"""An observation of the simulated sky by ACIS-I, from photons to events with position, time and channel."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.chandra.sky.geometry import FieldGeometry
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.chandra.sky.vignetting import vignetting_pairs
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.simulate.acis import geometry, instrument, photons, write
from pyxt_hpc.simulate.acis.detected import DetectedEvents
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import ClusterTruth

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

BLANK_SKY_EXPOSURE = 6.0  # exposure of the blank-sky file, over that of the observation
_CHIP_ARCMIN2 = (geometry.CHIP_PIXELS * geometry.PIXEL_ARCSEC / 60.0) ** 2
_FLARE_S = 6000.0
_FLARE_PEAK = 5.0  # over the quiet particle background
_FLARE_MIDDLE = 0.7  # as a fraction of the observation
_GEOMETRY_STEPS = 20_000
_R90_PER_SIGMA = float(np.sqrt(2.0 * np.log(10.0)))


def demo_plans() -> tuple[ObservationPlan, ...]:
    """Two observations of `demo_truth` with different pointings and rolls; the second has a flare."""
    return (
        ObservationPlan("4001", 150.0168, 20.0047, 25.0, 70e3, False, 365.0e6),
        ObservationPlan("4002", 149.9847, 19.9875, 160.0, 65e3, True, 369.5e6),
    )


def simulate_cluster(
    directory: Path,
    truth: ClusterTruth,
    plans: Sequence[ObservationPlan],
    seed: int,
    *,
    nominal_blank_sky: bool = False,
) -> None:
    """Write all inputs of preprocessing for a cluster, and maps of the truth.

    Parameters
    ----------
    directory
        The cluster's folder; it is made if absent.
    seed
        The same seed gives the same files.
    nominal_blank_sky
        Leave the blank-sky events at a nominal pointing, as in CALDB, instead of the observation's.
    """
    arf, rmf = instrument.on_axis_arf(), instrument.gaussian_rmf()
    write.write_truth(directory, truth)
    write.write_drawn_regions(directory, truth, source_radii_arcsec(truth, plans))
    for plan, stream in zip(plans, np.random.SeedSequence(seed).spawn(len(plans)), strict=True):
        rng = np.random.default_rng(stream)
        events = observe(truth, plan, arf, rng)
        blank = blank_sky(truth, plan, arf, rng)
        log.info("ObsID %s: %d events, blank sky %d", plan.obsid, len(events), len(blank))
        write.write_observation(directory, plan, events)
        live_s = BLANK_SKY_EXPOSURE * plan.live_s
        write.write_blank_sky(directory, plan, blank, live_s, nominal=nominal_blank_sky)
        write.write_responses(directory, plan, arf, rmf)


def observe(truth: ClusterTruth, plan: ObservationPlan, arf: Arf, rng: np.random.Generator) -> DetectedEvents:
    """All events of an observation in the order of their times."""
    parts = [gas_events(truth, plan, arf, rng), source_events(truth, plan, arf, rng)]
    parts += _background(truth, plan, arf, plan.live_s, rng)
    if plan.flare:
        parts.append(_flare(plan, rng))
    events = DetectedEvents.join(parts)
    return events.select(np.argsort(events.time, kind="stable"))


def gas_events(
    truth: ClusterTruth, plan: ObservationPlan, arf: Arf, rng: np.random.Generator
) -> DetectedEvents:
    """Events of the cluster, without the PSF, which is mostly within a pixel."""
    arriving = photons.gas_photons(truth, arf, plan.live_s, plan.ra_pnt, plan.dec_pnt, rng)
    return _imaged(arriving, plan, arf, rng)


def source_events(
    truth: ClusterTruth, plan: ObservationPlan, arf: Arf, rng: np.random.Generator
) -> DetectedEvents:
    """Events of the point sources; the PSF is a Gaussian that widens off axis."""
    x, y = _source_pixels(truth, plan)
    rates = photons.source_rates(truth, arf)
    number = rng.poisson(rates.sum(axis=1) * plan.live_s)
    bins = [photons.draw_bins(rate, n, rng) for rate, n in zip(rates, number, strict=True)]
    sigma = instrument.psf_r90_arcsec(_off_axis_arcmin(x, y)) / _R90_PER_SIGMA / geometry.PIXEL_ARCSEC
    x, y, sigma = (np.repeat(v, number) for v in (x, y, sigma))
    scatter = sigma * rng.standard_normal((2, len(x)))
    energy_bin = np.concatenate([np.empty(0, np.int64), *bins])
    return _imaged(photons.Photons(energy_bin, x + scatter[0], y + scatter[1]), plan, arf, rng)


def blank_sky(
    truth: ClusterTruth, plan: ObservationPlan, arf: Arf, rng: np.random.Generator
) -> DetectedEvents:
    """Background events of a blank-sky file, with a longer exposure and without flares and sources.

    Their times are within the observation; the file does not have them.
    """
    return DetectedEvents.join(_background(truth, plan, arf, BLANK_SKY_EXPOSURE * plan.live_s, rng))


def field_geometry(plan: ObservationPlan) -> FieldGeometry:
    """True geometry of the plan, which a measurement from its events should find."""
    gti = plan.gti()[geometry.AIMPOINT_CCD]
    steps = (np.arange(_GEOMETRY_STEPS) + 0.5) / _GEOMETRY_STEPS
    time = gti_arithmetic.at_elapsed(gti, gti_arithmetic.ontime(gti) * steps)
    centre = np.full(len(time), geometry.CENTRE)
    return FieldGeometry(
        wcs=geometry.sky_frame(plan.ra_pnt, plan.dec_pnt),
        chips=geometry.CCDS,
        to_sky=np.stack([geometry.chip_to_sky(ccd, plan.roll_deg) for ccd in geometry.CCDS]),
        rows=(1, geometry.CHIP_PIXELS),
        time=time,
        dither=np.column_stack(plan.sky_at(centre, centre, time)) - geometry.CENTRE,
    )


def flare_interval(plan: ObservationPlan, level: float) -> tuple[float, float] | None:
    """Interval [s] in which the flare exceeds ``level`` quiet particle rates; None without a flare."""
    if not plan.flare:
        return None
    early = float(np.arcsin(np.sqrt(level / _FLARE_PEAK))) / np.pi
    start = _flare_start(plan)
    return start + early * _FLARE_S, start + (1.0 - early) * _FLARE_S


def source_radii_arcsec(truth: ClusterTruth, plans: Sequence[ObservationPlan]) -> FloatArray:
    """Radius (n_source,) of a circle with 99% of a point source in all observations."""
    radii = np.zeros(len(truth.sources))
    for plan in plans:
        theta = _off_axis_arcmin(*_source_pixels(truth, plan))
        sigma = instrument.psf_r90_arcsec(theta) / _R90_PER_SIGMA
        radii = np.maximum(radii, sigma * np.sqrt(2.0 * np.log(100.0)))
    return radii


def _off_axis_arcmin(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.hypot(x - geometry.CENTRE, y - geometry.CENTRE) * geometry.PIXEL_ARCSEC / 60.0


def _source_pixels(truth: ClusterTruth, plan: ObservationPlan) -> tuple[FloatArray, FloatArray]:
    ra = np.array([source.ra for source in truth.sources])
    dec = np.array([source.dec for source in truth.sources])
    return world_to_pixel(geometry.sky_frame(plan.ra_pnt, plan.dec_pnt), ra, dec)


def _imaged(
    arriving: photons.Photons, plan: ObservationPlan, arf: Arf, rng: np.random.Generator
) -> DetectedEvents:
    """Events of photons with sky positions, on the moving detector."""
    time = _times(len(arriving.x), plan, rng)
    det = plan.det_at(arriving.x, arriving.y, time)
    return _in_good_time(_detect(arriving.energy_bin, *det, time, arf, rng), plan)


def _detect(
    energy_bin: NDArray[np.int64],
    detx: FloatArray,
    dety: FloatArray,
    time: FloatArray,
    arf: Arf,
    rng: np.random.Generator,
) -> DetectedEvents:
    """Events of photons after vignetting and gaps, with measured energies."""
    ccd = geometry.chip_at(*geometry.det_to_tdet(detx, dety))
    energy = (0.5 * (arf.energy_lo + arf.energy_hi))[energy_bin]
    kept = vignetting_pairs(energy, _off_axis_arcmin(detx, dety))
    keep = (ccd >= 0) & (rng.random(len(ccd)) < kept)
    energy = energy[keep]
    measured = energy + instrument.sigma_keV(energy) * rng.standard_normal(len(energy))
    return DetectedEvents.of(time[keep], ccd[keep], detx[keep], dety[keep], measured)


def _background(
    truth: ClusterTruth, plan: ObservationPlan, arf: Arf, live_s: float, rng: np.random.Generator
) -> list[DetectedEvents]:
    """Quiet background for a live time: particles and vignetted sky."""
    sky_rate = photons.sky_background_rate(arf, truth.nH, truth.absorption) * _CHIP_ARCMIN2
    parts = []
    for ccd in geometry.CCDS:
        parts.append(_particles(ccd, live_s, plan, rng))
        bins = photons.draw_bins(sky_rate, rng.poisson(sky_rate.sum() * live_s), rng)
        det = geometry.uniform_on_chip(ccd, len(bins), rng)
        parts.append(_detect(bins, *det, _times(len(bins), plan, rng), arf, rng))
    return [_in_good_time(part, plan) for part in parts]


def _particles(ccd: int, live_s: float, plan: ObservationPlan, rng: np.random.Generator) -> DetectedEvents:
    edges, rate = instrument.particle_background()
    bins = photons.draw_bins(rate, rng.poisson(rate.sum() * live_s), rng)
    measured = edges[bins] + (edges[1] - edges[0]) * rng.random(len(bins))
    det = geometry.uniform_on_chip(ccd, len(bins), rng)
    chips = np.full(len(bins), ccd, dtype=np.int8)
    return DetectedEvents.of(_times(len(bins), plan, rng), chips, *det, measured)


def _flare(plan: ObservationPlan, rng: np.random.Generator) -> DetectedEvents:
    """Flare with the spectrum of the particle background and the shape of sin^2 over 100 minutes."""
    # The factor 0.5 is the mean of sin^2.
    parts = [_particles(ccd, 0.5 * _FLARE_PEAK * _FLARE_S, plan, rng) for ccd in geometry.CCDS]
    events = DetectedEvents.join(parts)
    phase = np.linspace(0.0, 1.0, 2001)
    reached = phase - np.sin(2.0 * np.pi * phase) / (2.0 * np.pi)
    time = _flare_start(plan) + _FLARE_S * np.interp(rng.random(len(events)), reached, phase)
    return _in_good_time(replace(events, time=plan.frame_middle(time)), plan)


def _flare_start(plan: ObservationPlan) -> float:
    return plan.start_s + _FLARE_MIDDLE * plan.span_s - 0.5 * _FLARE_S


def _times(n: int, plan: ObservationPlan, rng: np.random.Generator) -> FloatArray:
    """Times distributed uniformly over the good time of the aimpoint's CCD, which is the longest."""
    gti = plan.gti()[geometry.AIMPOINT_CCD]
    return plan.frame_middle(gti_arithmetic.at_elapsed(gti, gti_arithmetic.ontime(gti) * rng.random(n)))


def _in_good_time(events: DetectedEvents, plan: ObservationPlan) -> DetectedEvents:
    return events.select(gti_arithmetic.in_gti_by_chip(plan.gti(), events.ccd_id, events.time))
