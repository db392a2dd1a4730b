"""Merged images of the field of all observations, for drawing regions and for inspection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.chandra.events import EventList, read_events
from pyxt_hpc.chandra.keywords import optical_axis
from pyxt_hpc.chandra.kinds import datasets_of
from pyxt_hpc.chandra.observed import Observed, dates_of, observed_cards
from pyxt_hpc.chandra.regions.text import RegionFile
from pyxt_hpc.chandra.sky.exposure import exposure_map
from pyxt_hpc.chandra.sky.geometry import FieldGeometry, chip_outlines, read_geometry
from pyxt_hpc.chandra.sky.psf import psf_r90_arcsec
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin
from pyxt_hpc.chandra.times.livetime import live_times
from pyxt_hpc.files.fits import write_fits
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.progress import counted
from pyxt_hpc.preprocess.background.blank_sky import particle_events, particle_scale
from pyxt_hpc.provenance import software

BAND_EV = (500.0, 7000.0)  # band "broad" of CIAO's merge_obs
BAND_KEV = 2.3  # its effective energy
SKY_PIXELS = 4  # side of an image pixel
_MARGIN = 10  # image pixels around the chips, for the dither


@dataclass(frozen=True, eq=False)
class MergedField:
    """Merged images (ny, nx): counts, exposure [s] with vignetting, expected background counts.

    ``frame`` is the WCS of the sky pixels; an image pixel is 4 x 4 of them. ``psf_r90`` [pixel] is the radius
    with 90% of a point source's counts, averaged over observations with the exposure as weight.
    ``observed`` are the observations that were merged.
    """

    grid: SkyGrid
    frame: WCS
    counts: NDArray[np.int32]
    exposure: NDArray[np.float64]
    background: NDArray[np.float64]
    psf_r90: NDArray[np.float64]
    observed: tuple[Observed, ...] = ()

    @property
    def brightness(self) -> NDArray[np.float64]:
        """(counts - background)/(exposure x pixel area) [count s^-1 arcmin^-2], NaN without exposure."""
        area = (self.grid.pixel_scale_arcsec / 60.0) ** 2
        result = np.full(self.counts.shape, np.nan)
        np.divide(self.counts - self.background, self.exposure * area, out=result, where=self.exposure > 0)
        return result


def field_grid(frame: WCS, geometries: Sequence[FieldGeometry]) -> SkyGrid:
    """Grid that holds every chip; its pixels are 4 x 4 pixels of the sky frame."""
    corners = [outline for g in geometries for lines in chip_outlines(g).values() for outline in lines]
    x, y = (v / SKY_PIXELS for v in world_to_pixel(frame, *np.concatenate(corners).T))
    low_x, low_y = int(np.floor(x.min())) - _MARGIN, int(np.floor(y.min())) - _MARGIN
    shape = (int(np.ceil(y.max())) + _MARGIN - low_y, int(np.ceil(x.max())) + _MARGIN - low_x)
    wcs = frame.deepcopy()
    wcs.wcs.cdelt = SKY_PIXELS * frame.wcs.cdelt
    # The left edge of the first pixel is at the sky coordinate 4 low + 0.5.
    wcs.wcs.crpix = [
        (frame.wcs.crpix[axis] - 0.5) / SKY_PIXELS - low + 0.5 for axis, low in enumerate((low_x, low_y))
    ]
    wcs.wcs.set()
    return SkyGrid(wcs, shape)


def merge_field(
    obsids: Sequence[str],
    layout: Layout,
    events_of: Callable[[str], Path],
    bright: Sequence[RegionFile] = (),
    frames: Mapping[str, WCS] | None = None,
) -> MergedField:
    """Merge the images of all observations; ``events_of`` gives the event file of an ObsID.

    ``bright``, ``frames``: regions excluded from the scaling of the background, because they were removed
    from the events.
    """
    geometries = [read_geometry(layout.geometry(obsid)) for obsid in obsids]
    grid: SkyGrid | None = None
    observed = []
    for obsid, geometry in counted(
        "merged images", "observation", list(zip(obsids, geometries, strict=True))
    ):
        events = read_events(events_of(obsid), ours=True)
        if grid is None:
            frame = events.wcs
            grid = field_grid(frame, geometries)
            counts = np.zeros(grid.shape, dtype=np.int32)
            exposure, background, psf = (np.zeros(grid.shape) for _ in range(3))
        live_s = max(live_times(events.header, events.gti, str(events.path)).values())
        observed.append(Observed(obsid, live_s, dates_of(events.header)))
        pointing = optical_axis(events.header)
        seen = exposure_map(geometry, grid, live_s, BAND_KEV, *pointing, events.gti)
        # A field is a small part of a large mosaic.
        place = bounding_box(seen > 0, _MARGIN)
        seen, part = seen[place], grid.part(place)
        counts[place] += binned(events, part)
        exposure[place] += seen
        theta = off_axis_arcmin(*part.centres(), *pointing)
        psf[place] += seen * psf_r90_arcsec(theta) / grid.pixel_scale_arcsec
        background[place] += _expected_background(obsid, layout, events, part, seen > 0, bright, frames or {})
    assert grid is not None
    np.divide(psf, exposure, out=psf, where=exposure > 0)
    return MergedField(grid, frame, counts, exposure, background, psf, tuple(observed))


def binned(events: EventList, grid: SkyGrid, chips: Sequence[int] | None = None) -> NDArray[np.int32]:
    """Image (ny, nx) of the events in the broad band, on all CCDs or on `chips`."""
    chosen = events.in_band(BAND_EV)
    if chips is not None:
        chosen &= np.isin(events.ccd_id, chips)
    # The grid has the frame of the events, so that no projection is needed.
    offset = grid.wcs.wcs.crpix - (events.wcs.wcs.crpix - 0.5) / SKY_PIXELS - 0.5
    col, row = (
        np.floor((v[chosen] - 0.5) / SKY_PIXELS + shift).astype(np.int64)
        for v, shift in zip((events.x, events.y), offset, strict=True)
    )
    ny, nx = grid.shape
    inside = (row >= 0) & (row < ny) & (col >= 0) & (col < nx)
    flat = np.bincount(row[inside] * nx + col[inside], minlength=ny * nx)
    return flat.reshape(grid.shape).astype(np.int32)


def _expected_background(
    obsid: str,
    layout: Layout,
    events: EventList,
    grid: SkyGrid,
    seen: NDArray[np.bool_],
    bright: Sequence[RegionFile],
    frames: Mapping[str, WCS],
) -> NDArray[np.float64]:
    path = layout.background_events(obsid)
    if not check_regular(path):
        return np.zeros(grid.shape)
    background = read_events(path, ours=True)
    live_s = live_times(events.header, events.gti, str(events.path))
    expected = np.zeros(grid.shape)
    high, blank = (particle_events(e, bright, frames) for e in (events, background))
    for dataset in datasets_of(obsid, live_s):
        live_of_chip = {chip: live_s[chip] for chip in dataset.chips}
        scale = particle_scale(high.on_chips(dataset.chips), blank.on_chips(dataset.chips), live_of_chip)
        for chip, own in scale.of_chip.items():
            expected += own * binned(background, grid, [chip])
    return np.where(seen, expected, 0.0)


def write_merged(field: MergedField, layout: Layout, fingerprint: str) -> None:
    """Write counts, exposure, background, surface brightness and PSF radius of the merged field."""
    for path, values, unit, comment in (
        (layout.merged_counts, field.counts, "count", "counts of all observations"),
        (layout.merged_exposure, field.exposure, "s", f"exposure, vignetted as at {BAND_KEV} keV"),
        (layout.merged_background, field.background, "count", "background, scaled by 9.5-12 keV counts"),
        (layout.merged_brightness, field.brightness, "count s-1 arcmin-2",
         "(counts - background)/(exposure x vignetting x pixel area)"),
        (layout.merged_psf, field.psf_r90, "pixel", "radius with 90% of a point source"),
    ):  # fmt: skip
        write_field_image(path, values, field, layout.name, unit, comment, fingerprint)


def write_field_image(
    path: Path, values: NDArray, field: MergedField, name: str, unit: str, comment: str, fingerprint: str
) -> None:
    """Write an image of a cluster's field with celestial and physical (sky pixel) coordinates."""
    header = field.grid.header(field.frame)
    header["BUNIT"] = unit
    header.update(observed_cards(name, field.observed))
    header["E_MIN"], header["E_MAX"] = (
        (edge / 1e3, f"[keV] {which} edge of the band")
        for edge, which in zip(BAND_EV, ("lower", "upper"), strict=True)
    )
    header["CREATOR"] = software()
    header["STEPID"] = (fingerprint[:16], "fingerprint of inputs and settings")
    header.add_comment(comment)
    header.add_comment(f"band {BAND_EV[0] / 1e3:g}-{BAND_EV[1] / 1e3:g} keV")
    if values.dtype == np.float64:
        values = values.astype(np.float32)
    write_fits(path, fits.HDUList([fits.PrimaryHDU(values, header)]))
