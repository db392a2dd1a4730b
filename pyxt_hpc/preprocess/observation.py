"""One observation reduced to what the bundle holds of it: clean events and background on the common grid."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.bundle import BundleObservation, sort_by_pixel
from pyxt_hpc.chandra import gti as gti_arithmetic
from pyxt_hpc.chandra.events import EventList, read_events
from pyxt_hpc.chandra.fov import chip_mask, read_fov
from pyxt_hpc.chandra.lightcurve import FlareCleaning, LightCurve, clean_flares, light_curve
from pyxt_hpc.chandra.regionfile import RegionFile
from pyxt_hpc.chandra.regions import contains
from pyxt_hpc.chandra.response import Arf, Rmf
from pyxt_hpc.chandra.skygrid import SkyGrid
from pyxt_hpc.chandra.vignetting import vignetting
from pyxt_hpc.errors import DamagedFile, EmptySelection
from pyxt_hpc.preprocess.checks import check_channels, check_observation
from pyxt_hpc.preprocess.inputs import ObservationInputs
from pyxt_hpc.preprocess.selection import chips_in_use, good_events, is_very_faint_cleaned

log = logging.getLogger(__name__)

FLARE_BAND_EV = (9000.0, 12000.0)
PARTICLE_BAND_EV = (9500.0, 12000.0)  # no X-rays come through the mirrors there: the particle background
_VIGNETTING_KEV = (1.49, 4.51, 6.40)  # where the vignetting is tabulated; linear in between
_SUSPICIOUS_SHARE = 0.5  # of the time that is left after flares
_LONGEST_S = 1e6  # an orbit of Chandra takes 2.3e5 s, and an observation ends with it
_UNEQUAL_TIMES = 0.02  # difference of the chips' good times worth a warning
_FETCH = "fetch the observation again"


@dataclass(frozen=True, eq=False)
class Selection:
    """What is selected of every observation, in the same way.

    ``live`` (ny, nx) bool: in the crop and not in a source. ``sources``, ``frames``: as `regions.contains`
    takes them.
    """

    grid: SkyGrid
    live: NDArray[np.bool_]
    sources: RegionFile
    frames: Mapping[str, WCS]
    energy_min_keV: float
    energy_max_keV: float


@dataclass(frozen=True)
class ObservationSummary:
    """One line of the table that preprocessing ends with.

    ``flare_fraction`` of the good time was lost; ``background_scale_error`` is statistical, 1 sigma;
    ``counts`` and ``background_counts`` (not scaled) are in the band, on the ``live_pixels``; ``quiet_rate``
    and ``quiet_sigma`` [count/s] are of the flare light curve.
    """

    obsid: str
    chips: tuple[int, ...]
    exposure_s: float
    flare_fraction: float
    counts: int
    background_counts: int
    background_scale: float
    background_scale_error: float
    live_pixels: int
    quiet_rate: float
    quiet_sigma: float


@dataclass(frozen=True, eq=False)
class ReducedObservation:
    """The bundle's part, the summary, and the light curve with its cleaning."""

    bundled: BundleObservation
    summary: ObservationSummary
    curve: LightCurve
    cleaning: FlareCleaning


def reduce_observation(
    inputs: ObservationInputs, selection: Selection, arf: Arf, rmf: Rmf
) -> ReducedObservation:
    """Filter an observation and its background, and bring both onto the grid.

    Raises
    ------
    DamagedFile, MissingInput
        A file cannot be used.
    ResponseMismatch
        The RMF has other channels than the events.
    EmptySelection
        No live pixel, no event in the band, no 9.5-12 keV count, or hardly any time without flares.
    """
    events = read_events(inputs.events)
    check_observation(events)
    chips = chips_in_use(events.header, str(inputs.events))
    screened = is_very_faint_cleaned(events.header)
    background = read_events(inputs.background)
    background = background.select(good_events(background, chips, screen_status=screened))
    chips = _chips_with_background(chips, background, inputs)

    events = events.select(good_events(events, chips, screen_status=True))
    gti = _gti_of_chips(events, chips)
    events = events.select(_in_time(events, gti))
    check_channels(events, rmf, inputs.rmf)

    curve, cleaning = _clean(events, gti, selection)
    if cleaning.share_kept < _SUSPICIOUS_SHARE:
        log.warning("ObsID %s: only %.0f%% of the time is quiet", inputs.obsid, 100 * cleaning.share_kept)
    clean = {chip: gti_arithmetic.intersection(gti[chip], cleaning.gti) for chip in chips}
    share = _total(clean) / _total(gti)
    events = events.select(_in_time(events, clean))

    mask = selection.live & chip_mask(read_fov(inputs.fov), chips, selection.grid)
    if not mask.any():
        raise EmptySelection(
            f"ObsID {inputs.obsid}: no pixel of the crop is on its chips {_listed(chips)} outside the "
            "sources; draw the crop around its field or take it out of observation_ids"
        )
    high, pixel, channel = _on_grid(events, mask, selection, rmf)
    background_high, background_pixel, background_channel = _on_grid(background, mask, selection, rmf)
    if len(pixel) == 0:
        raise EmptySelection(
            f"{inputs.events}: no event of {selection.energy_min_keV:g}-{selection.energy_max_keV:g} keV in "
            "the crop outside the sources; check the crop and the energy band"
        )
    scale, scale_error = _background_scale(high, background_high, inputs)

    n_pixel = mask.size
    indptr, ordered = sort_by_pixel(pixel, channel, n_pixel)
    background_indptr, background_ordered = sort_by_pixel(background_pixel, background_channel, n_pixel)
    nodes, area = _vignetting(events.header, selection, mask, str(inputs.events))
    exposure = float(events.header["EXPOSURE"]) * share
    return ReducedObservation(
        BundleObservation(
            obsid=inputs.obsid,
            exposure_s=exposure,
            background_scale=scale,
            mask=mask.astype(np.uint8),
            vignetting_keV=nodes,
            vignetting=area,
            event_indptr=indptr,
            event_channel=ordered,
            background_indptr=background_indptr,
            background_channel=background_ordered,
            arf=arf,
            rmf=rmf,
        ),
        ObservationSummary(
            obsid=inputs.obsid,
            chips=chips,
            exposure_s=exposure,
            flare_fraction=1.0 - share,
            counts=len(ordered),
            background_counts=len(background_ordered),
            background_scale=scale,
            background_scale_error=scale_error,
            live_pixels=int(mask.sum()),
            quiet_rate=cleaning.mean,
            quiet_sigma=cleaning.sigma,
        ),
        curve,
        cleaning,
    )


def channels_in_band(rmf: Rmf, energy_min_keV: float, energy_max_keV: float) -> NDArray[np.bool_]:
    """Channels (n_channels,) that the band touches, so that no spectrum has a half-filled channel."""
    return (rmf.channel_hi_keV > energy_min_keV) & (rmf.channel_lo_keV < energy_max_keV)


def _chips_with_background(
    chips: tuple[int, ...], background: EventList, inputs: ObservationInputs
) -> tuple[int, ...]:
    covered = tuple(chip for chip in chips if np.any(background.ccd_id == chip))
    if not covered:
        raise EmptySelection(
            f"{inputs.background}: no event of good grade on the chips {_listed(chips)} of "
            f"{inputs.events.name}; make the blank-sky file for this observation"
        )
    if covered != chips:
        lost = [chip for chip in chips if chip not in covered]
        log.warning("ObsID %s: no background for CCD %s: left out", inputs.obsid, _listed(lost))
    return covered


def _gti_of_chips(events: EventList, chips: tuple[int, ...]) -> dict[int, NDArray[np.float64]]:
    without = [chip for chip in chips if len(events.gti.get(chip, ())) == 0]
    if without:
        raise DamagedFile(
            f"{events.path}: no good time intervals for CCD {_listed(without)} "
            f"(found for {_listed(events.gti) or 'none'}); {_FETCH}"
        )
    gti = {chip: events.gti[chip] for chip in chips}
    together = gti_arithmetic.union(list(gti.values()))
    span = together[-1, 1] - together[0, 0]
    if span > _LONGEST_S:
        raise DamagedFile(
            f"{events.path}: good time intervals span {span:.3g} s, expected less than {_LONGEST_S:g}; "
            f"{_FETCH}"
        )
    times = [gti_arithmetic.total(intervals) for intervals in gti.values()]
    if min(times) < (1 - _UNEQUAL_TIMES) * max(times):
        log.warning(
            "%s: good time of its CCDs differs, %.1f to %.1f ks; one exposure is used for all",
            events.path,
            min(times) / 1000,
            max(times) / 1000,
        )
    return gti


def _in_time(events: EventList, gti: Mapping[int, NDArray[np.float64]]) -> NDArray[np.bool_]:
    assert events.time is not None
    inside = np.zeros(len(events), dtype=bool)
    for chip, intervals in gti.items():
        on_chip = np.flatnonzero(events.ccd_id == chip)
        inside[on_chip] = gti_arithmetic.contains(intervals, events.time[on_chip])
    return inside


def _total(gti: Mapping[int, NDArray[np.float64]]) -> float:
    return sum(gti_arithmetic.total(intervals) for intervals in gti.values())


def _clean(
    events: EventList, gti: Mapping[int, NDArray[np.float64]], selection: Selection
) -> tuple[LightCurve, FlareCleaning]:
    high = events.select(_within(events.energy_eV, FLARE_BAND_EV))
    ra, dec = high.wcs.wcs_pix2world(high.x, high.y, 1)
    outside = ~contains(selection.sources, ra, dec, selection.frames)
    assert high.time is not None
    curve = light_curve(high.time[outside], list(gti.values()))
    try:
        return curve, clean_flares(curve)
    except EmptySelection as error:
        raise EmptySelection(
            f"{events.path}: 9-12 keV light curve: {error}; take the observation out of observation_ids"
        ) from None


def _on_grid(
    events: EventList, mask: NDArray[np.bool_], selection: Selection, rmf: Rmf
) -> tuple[int, NDArray[np.int64], NDArray[np.int16]]:
    """9.5-12 keV counts on live pixels; pixel and channel index of the live events in the band."""
    high = _within(events.energy_eV, PARTICLE_BAND_EV)
    channel = events.pi.astype(np.int64) - rmf.first_channel_number
    known = (channel >= 0) & (channel < rmf.n_channels)
    in_band = np.zeros(len(events), dtype=bool)
    band = channels_in_band(rmf, selection.energy_min_keV, selection.energy_max_keV)
    in_band[known] = band[channel[known]]
    needed = np.flatnonzero(high | in_band)  # projecting is the slow part
    ra, dec = events.wcs.wcs_pix2world(events.x[needed], events.y[needed], 1)
    row, col = selection.grid.pixel_index(ra, dec)
    live = row >= 0
    live[live] = mask[row[live], col[live]]
    pixel = row * mask.shape[1] + col
    take = live & in_band[needed]
    return int(np.sum(live & high[needed])), pixel[take], channel[needed[take]].astype(np.int16)


def _background_scale(high: int, background_high: int, inputs: ObservationInputs) -> tuple[float, float]:
    """Ratio of the 9.5-12 keV counts and its statistical error."""
    for counts, path in ((high, inputs.events), (background_high, inputs.background)):
        if counts == 0:
            raise EmptySelection(
                f"{path}: no 9.5-12 keV count on the live pixels of the crop, so the background cannot be "
                "scaled; check that the file covers the crop and that its energies go to 12 keV"
            )
    scale = high / background_high
    return scale, scale * float(np.sqrt(1 / high + 1 / background_high))


def _vignetting(
    header: fits.Header, selection: Selection, mask: NDArray[np.bool_], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Energies (n,) [keV] and effective area relative to the optical axis (n, ny, nx), 0 on dead pixels."""
    band = selection.energy_min_keV, selection.energy_max_keV
    energy = np.unique(np.clip([*band, *_VIGNETTING_KEV], *band))
    ra, dec = (np.radians(v[mask]) for v in selection.grid.centres())
    ra_0, dec_0 = np.radians([float(header["RA_PNT"]), float(header["DEC_PNT"])])
    # haversine: exact for the small angles of a field of view
    half = np.sin((dec - dec_0) / 2) ** 2 + np.cos(dec) * np.cos(dec_0) * np.sin((ra - ra_0) / 2) ** 2
    theta = np.degrees(2 * np.arcsin(np.sqrt(half))) * 60
    if theta.min() > 60:
        raise DamagedFile(f"{name}: RA_PNT, DEC_PNT are over a degree from the crop; {_FETCH}")
    area = np.zeros((len(energy), *mask.shape), dtype=np.float32)
    area[:, mask] = vignetting(energy, theta)
    return energy, area


def _within(energy_eV: NDArray[np.float32], band: tuple[float, float]) -> NDArray[np.bool_]:
    return (energy_eV >= band[0]) & (energy_eV < band[1])


def _listed(chips: object) -> str:
    return ", ".join(str(chip) for chip in chips)  # type: ignore[attr-defined]
