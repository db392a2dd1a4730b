"""Bundle of simulated observations with the simulator's true values, as a reference for preprocessing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel, stamped
from pyxt_hpc.chandra.events import EventList, read_events
from pyxt_hpc.chandra.regions.sky import contains, read_regions
from pyxt_hpc.chandra.sky.exposure import live_fraction
from pyxt_hpc.chandra.sky.reproject import project_background
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.background.seeds import stage_rng
from pyxt_hpc.preprocess.images.bundle_images import counts_of
from pyxt_hpc.preprocess.process_data import STAGE
from pyxt_hpc.simulate.acis.observe import BLANK_SKY_EXPOSURE, field_geometry, flare_interval
from pyxt_hpc.simulate.acis.plan import ObservationPlan

QUIET = 0.01  # times are cut if the flare's rate over the quiet rate is larger
_MIN_LIVE = 0.1  # as in stage 4, so that the same pixels are fitted
_NOMINAL_DEG = 1e-3

FloatArray = NDArray[np.float64]


def without_flare(plan: ObservationPlan, level: float = QUIET) -> dict[int, FloatArray]:
    """Good time intervals (m, 2) [s] of each CCD, with the flare below ``level`` times the quiet rate."""
    flare = flare_interval(plan, level)
    if flare is None:
        return plan.gti()
    outside = [[0.0, flare[0]], [flare[1], 2.0 * plan.start_s]]
    return {ccd: gti_arithmetic.intersection(gti, outside) for ccd, gti in plan.gti().items()}


def true_scale(plan: ObservationPlan, gti: FloatArray) -> float:
    """True background counts in good times of an observation, for each count of its blank-sky file."""
    whole = gti_arithmetic.union(list(plan.gti().values()))
    return gti_arithmetic.ontime(gti) / gti_arithmetic.ontime(whole) / BLANK_SKY_EXPOSURE


def ideal_bundle(directory: Path, plans: Sequence[ObservationPlan], like: Bundle) -> Bundle:
    """Put simulated event files on the grid of another bundle, with true times, sources, edges and scales.

    Parameters
    ----------
    directory
        Folder of the cluster, from `simulate_cluster`.
    plans
        Plans of the observations, in the order of ``like``.
    like
        Bundle with the grid, band, responses and model to use.
    """
    grid = SkyGrid(like.wcs, like.mask.shape)
    sources = read_regions(directory / "truth" / "sources.reg")
    clear = ~contains(sources, *grid.centres(), {})
    hit = contains(sources, *grid.corners(), {})
    clear &= ~(hit[:-1, :-1] | hit[1:, :-1] | hit[:-1, 1:] | hit[1:, 1:])
    layout = Layout(directory, directory.name)
    band = like.energy_min_keV, like.energy_max_keV
    observations = tuple(
        _observation(plan, layout, grid, clear, band, other)
        for plan, other in zip(plans, like.observations, strict=True)
    )
    counts = np.array([counts_of(o.event_indptr, grid.shape) for o in observations])
    blank = np.array([counts_of(o.background_indptr, grid.shape) for o in observations])
    scale = np.array([o.background_scale for o in observations])
    return stamped(
        replace(
            like,
            counts=counts.sum(axis=0, dtype=np.int32),
            background=np.tensordot(scale, blank, 1).astype(np.float32),
            background_variance=np.tensordot(scale**2, blank, 1).astype(np.float32),
            mask=np.max([o.mask for o in observations], axis=0),
            observations=observations,
            fingerprint="",
        )
    )


def _observation(
    plan: ObservationPlan,
    layout: Layout,
    grid: SkyGrid,
    clear: NDArray[np.bool_],
    band_keV: tuple[float, float],
    like: BundleObservation,
) -> BundleObservation:
    events = read_events(next(layout.observation(plan.obsid).glob("primary/*evt2.fits*")))
    geometry = field_geometry(plan)
    gti = without_flare(plan)
    times = gti_arithmetic.union(list(gti.values()))
    live = live_fraction(geometry, grid, gti)
    mask = clear & (live >= _MIN_LIVE)
    background = read_events(layout.supplied_background(plan.obsid))
    if not np.allclose(background.wcs.wcs.crval, events.wcs.wcs.crval, rtol=0, atol=_NOMINAL_DEG):
        # With the random numbers of stage 1, both bundles have the same background events.
        rng = stage_rng(STAGE, plan.obsid)
        background = project_background(background, geometry, events.wcs, plan.gti(), rng)
    area = np.zeros((len(like.vignetting_keV), *grid.shape), dtype=np.float32)
    ra, dec = grid.centres()
    theta = off_axis_arcmin(ra[mask], dec[mask], plan.ra_pnt, plan.dec_pnt)
    area[:, mask] = vignetting(like.vignetting_keV, theta) * live[mask]
    quiet = events.select(events.in_good_time(gti))
    indptr, channel = _sorted(quiet, grid, mask, band_keV, like)
    background_indptr, background_channel = _sorted(background, grid, mask, band_keV, like)
    whole_s = gti_arithmetic.ontime(gti_arithmetic.union(list(plan.gti().values())))
    return replace(
        like,
        first_row=0,
        first_col=0,
        exposure_s=plan.live_s * gti_arithmetic.ontime(times) / whole_s,
        background_scale=true_scale(plan, times),
        mask=mask.astype(np.uint8),
        vignetting=area,
        event_indptr=indptr,
        event_channel=channel,
        background_indptr=background_indptr,
        background_channel=background_channel,
    )


def _sorted(
    events: EventList,
    grid: SkyGrid,
    mask: NDArray[np.bool_],
    band_keV: tuple[float, float],
    like: BundleObservation,
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Events of the band on live pixels, sorted by pixel, as compressed rows."""
    rmf = like.rmf
    channel = events.pi.astype(np.int64) - rmf.first_channel_number
    in_band = (rmf.channel_hi_keV > band_keV[0]) & (rmf.channel_lo_keV < band_keV[1])
    chosen = events.select(in_band[channel])
    row, col = grid.pixel_index(*chosen.wcs.wcs_pix2world(chosen.x, chosen.y, 1))
    on = (row >= 0) & mask[row, col]
    pixel = row[on] * grid.shape[1] + col[on]
    return sort_by_pixel(pixel, channel[in_band[channel]][on].astype(np.int16), mask.size)
