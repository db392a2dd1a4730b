"""A background for the whole field of an observation, made from a part of the field without the cluster."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList, concatenate, write_events
from pyxt_hpc.chandra.kinds import datasets_of
from pyxt_hpc.chandra.regions.sky import contains, contains_pixels
from pyxt_hpc.chandra.sky.exposure import live_fraction
from pyxt_hpc.chandra.sky.geometry import read_geometry
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.files.quoting import listed
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.images.merged_images import field_grid
from pyxt_hpc.preprocess.inputs.drawn_regions import FieldRegions

LOCAL_OVERSAMPLING = 4  # number of events that `spread_over_field` draws per expected event
_FIT_BAND_EV = (500.0, 7000.0)  # most of the band of the fits
_MIN_EVENTS = 1000  # with fewer events in the region, the level of the background has an error above 3%


def local_counts_keyword(kind: str) -> str:
    """Header keyword for the number of events, on a kind of chips, from which a background was made."""
    return f"BKGCTS{kind}"


def write_local_background(
    clean: EventList, obsid: str, layout: Layout, regions: FieldRegions, rng: np.random.Generator
) -> Iterator[str]:
    """Make the background of the whole field from a part of it; yield warnings."""
    assert regions.background is not None  # stage 1 has checked this
    geometry = read_geometry(layout.geometry(obsid))
    grid = field_grid(clean.wcs, [geometry])
    ra, dec = grid.centres()
    region = contains(regions.background, ra, dec, regions.frames)
    region &= ~contains(regions.sources, ra, dec, regions.frames)
    inside = contains_pixels(regions.background, clean.wcs, clean.x, clean.y, regions.frames)
    made = []
    header = clean.header.copy()
    band = clean.in_band(_FIT_BAND_EV)
    # The particle background differs between the two kinds of chips in level and spectrum.
    for dataset in datasets_of(obsid, geometry.chips):
        on = np.isin(clean.ccd_id, dataset.chips)
        if not inside[on].any():
            raise EmptySelection(
                f"{regions.background.path}: no event on CCD {listed(dataset.chips)} of {clean.path} is "
                "inside; draw it on every field that has no blank-sky file, and there on a back-illuminated "
                "chip (5, 7) and on one of the others, if both are in use"
            )
        number = int(np.sum(inside & on & band))
        header[local_counts_keyword(dataset.kind)] = (number, "0.5-7 keV events it was made from")
        if number < _MIN_EVENTS:
            yield (
                f"{regions.background.path}: only {number} events of 0.5-7 keV of {dataset} are inside, so "
                f"the level of the background has an error of {100 / max(number, 1) ** 0.5:.0f}%, which all "
                "regions share and which errors of kT and norm do not include; draw it larger"
            )
        live = live_fraction(geometry.of_chips(dataset.chips), grid, clean.gti)
        made.append(
            spread_over_field(clean.select(on), inside[on], region, live, grid, regions.background.path, rng)
        )
    write_events(layout.local_background(obsid), replace(concatenate(made), header=header))


def spread_over_field(
    events: EventList,
    inside: NDArray[np.bool_],
    region: NDArray[np.bool_],
    live: NDArray[np.floating],
    grid: SkyGrid,
    path: Path,
    rng: np.random.Generator,
) -> EventList:
    """Make a background for the whole field from the events in a part of it.

    Events of the region are drawn with replacement and placed uniformly over the exposed pixels. Their number
    is `LOCAL_OVERSAMPLING` times that expected from the region's density. In a circle that is smaller than
    the region by this factor hardly any event occurs twice, so its counts are Poisson, as the statistic
    assumes. Two effects are neglected: the vignetting of the sky background, and the variation of
    instrumental lines over the chips.

    Parameters
    ----------
    events
        Clean events (n,).
    inside
        (n,) whether an event is in the region and outside the sources.
    region
        (ny, nx) pixels of ``grid`` in the region and outside the sources.
    live
        (ny, nx) fraction of the exposure that each pixel saw.
    grid
        Sky grid of the images.
    path
        Region file, for messages.
    rng
        Random numbers.

    Raises
    ------
    EmptySelection
        If the region has no live pixel or no event.
    """
    seen = float(live[region].sum())
    if seen <= 0 or not inside.any():
        raise EmptySelection(
            f"{path}: no event of {events.path} is inside; draw it on a part of every field that has no "
            "blank-sky file"
        )
    weight = np.cumsum(live.ravel(), dtype=float)
    number = rng.poisson(LOCAL_OVERSAMPLING * inside.sum() * weight[-1] / seen)
    pixel = np.searchsorted(weight, weight[-1] * rng.random(number), side="right")
    row, col = np.divmod(np.minimum(pixel, live.size - 1), live.shape[1])
    offset = rng.random((2, number)) - 0.5
    ra, dec = grid.wcs.wcs_pix2world(col + 1 + offset[0], row + 1 + offset[1], 1)
    x, y = events.wcs.wcs_world2pix(ra, dec, 1)
    drawn = events.select(rng.choice(np.flatnonzero(inside), number))
    return replace(drawn, x=x, y=y, time=None, gti={})
