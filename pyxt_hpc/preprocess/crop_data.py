"""Stage 4: crop, analysis band and masks, written into the bundle."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.bundle import Bundle, BundleObservation, sort_by_pixel, stamped, write_bundle
from pyxt_hpc.bundle.file import SCHEMA_VERSION
from pyxt_hpc.chandra.events import EventList, read_events
from pyxt_hpc.chandra.keywords import optical_axis
from pyxt_hpc.chandra.kinds import Dataset
from pyxt_hpc.chandra.observed import dates_of
from pyxt_hpc.chandra.ogip.response import Rmf, check_covers
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.chandra.regions.sky import contains
from pyxt_hpc.chandra.regions.text import RegionFile
from pyxt_hpc.chandra.sky.exposure import live_fraction
from pyxt_hpc.chandra.sky.geometry import read_geometry
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import mean_direction, separation
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.chandra.times.livetime import live_times
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import DamagedFile, EmptySelection
from pyxt_hpc.files.quoting import listed
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.progress import counted
from pyxt_hpc.preprocess.background.blank_sky import ParticleScale, particle_events, particle_scale, thinned
from pyxt_hpc.preprocess.background.local_background import LOCAL_OVERSAMPLING, local_counts_keyword
from pyxt_hpc.preprocess.background.seeds import stage_rng
from pyxt_hpc.preprocess.checks.energies import check_band
from pyxt_hpc.preprocess.images.bundle_images import combined_images, counts_of, write_images
from pyxt_hpc.preprocess.inputs.area_maps import read_area_maps
from pyxt_hpc.preprocess.inputs.arf_position import points_on_chips
from pyxt_hpc.preprocess.inputs.drawn_regions import RegionReader
from pyxt_hpc.preprocess.inputs.response_pairing import OTHERS_TAKE_IT, RESPONSE_KEYS, find_datasets
from pyxt_hpc.preprocess.inputs.supplied import need, need_current, need_regions
from pyxt_hpc.steps import Facts, StageResult, Step, run_if_outdated

log = logging.getLogger(__name__)

STAGE = "crop-data"
# Energies of the vignetting, in addition to the ends of the band. Linear interpolation between them has
# errors below 0.8% under 5 keV and below 2.2% above, up to 14 arcmin off axis.
_VIGNETTING_KEV = (1.49, 3.8, 5.0, 6.6)
_MIN_LIVE = 0.1  # fraction of the exposure below which pixels at edges are left out
_MAX_OFF_AXIS_ARCMIN = 60.0
_MAPS_AGAIN = "run pyxt-hpc generate-responses again; without CIAO, set backend = builtin before"


@dataclass(frozen=True, eq=False)
class _Selection:
    """Selection of pixels and energies; ``live`` (ny, nx): in the crop and not in a source.

    ``bright``: sources and, if drawn, the cluster's peak; 9.5-12 keV events elsewhere are taken as particles.
    """

    grid: SkyGrid
    live: NDArray[np.bool_]
    bright: tuple[RegionFile, ...]
    frames: Mapping[str, WCS]
    band_keV: tuple[float, float]

    def part(self, place: tuple[slice, slice]) -> "_Selection":
        """The same in some rows and columns of the grid."""
        return replace(self, grid=self.grid.part(place), live=self.live[place])


def crop_data(config: ClusterConfig, layout: Layout, *, force: bool = False) -> StageResult:
    """Bin all observations on the grid of the crop; write the bundle and its images.

    In an observation with front- and back-illuminated chips, each kind that has a response and a chip in the
    crop is a dataset. If a kind has responses at several places, each place is a dataset. The bundle is
    written last: while it is absent or old, the stage is not done.

    Returns the facts of `_crop_chips` for each dataset; ``shape``, ``live_pixels`` and ``counts`` of the
    bundle; and in ``left_out`` the datasets that are not in the bundle, with reasons. Raises MissingInput if
    the crop, sources.reg or a product of an earlier stage is missing; ForeignProduct if such a product is of
    files or keys that have changed since; ResponseMismatch if an ARF lacks energies of the band;
    EmptySelection if an observation does not overlap the crop, or if sources cover all of the crop.
    """
    need_regions(layout.crop_reg, layout.sources_reg)
    cleaned = [path(o) for o in config.observation_ids for path in (layout.geometry, layout.clean_events)]
    need("pyxt-hpc remove-sources", *cleaned)
    datasets = find_datasets(config, layout)
    responses = [path for dataset in datasets for path in _response_files(layout, dataset)]
    # One of the two kinds of chips of an observation may have no response.
    enough = {dataset.obsid for dataset in datasets if _has_response(layout, dataset)}
    need(
        "pyxt-hpc generate-responses",
        *(path for d in datasets if d.obsid not in enough for path in _response_files(layout, d)),
    )
    flares = {"flare_filter": config.flare_filter}
    need_current(layout, "process-data", config.observation_ids)
    need_current(layout, "remove-sources", config.observation_ids, flares, unless=cleaned)
    found_by = {key: getattr(config, key) for key in RESPONSE_KEYS}
    need_current(layout, "generate-responses", (d.name for d in datasets), found_by, unless=cleaned)
    places = [layout.response_region(d.name) for d in datasets if d.place and _has_response(layout, d)]
    need_regions(*places)
    backgrounds = [_background_file(layout, obsid) for obsid in config.observation_ids]
    step = Step(
        name=STAGE,
        record=layout.step_record(STAGE),
        inputs=(
            layout.crop_reg, layout.sources_reg, layout.exclude_reg, *responses, *places, *backgrounds,
            *(layout.area_maps(dataset.name) for dataset in datasets),
            *cleaned,
        ),
        settings={
            "layout of the bundle": SCHEMA_VERSION,
            **{
                key: getattr(config, key)
                for key in ("name", "redshift", "nH", "abundance", "absorption", "abundance_table",
                            "energy_min_keV", "energy_max_keV")
            },
        },
        # One of the two kinds of chips of an observation may be outside the crop.
        outputs=(layout.bundle, *combined_images(layout, [d.name for d in datasets if not d.is_part])),
    )  # fmt: skip
    outcome = run_if_outdated(step, lambda: _crop(config, layout, datasets), force=force)
    return StageResult(outcome.reason is not None, outcome.facts["observations"], outcome.facts)


def _background_file(layout: Layout, obsid: str) -> Path:
    path = layout.background_events(obsid)
    return path if check_regular(path) else layout.local_background(obsid)


def _response_files(layout: Layout, dataset: Dataset) -> tuple[Path, Path]:
    return layout.response(dataset.name, "arf"), layout.response(dataset.name, "rmf")


def _has_response(layout: Layout, dataset: Dataset) -> bool:
    return all(check_regular(path) for path in _response_files(layout, dataset))


def _crop(config: ClusterConfig, layout: Layout, datasets: Sequence[Dataset]) -> Facts:
    reader = RegionReader.of(layout, config.observation_ids)
    frames = reader.frames
    sources, crop = reader.read(layout.sources_reg), reader.read(layout.crop_reg)
    grid = SkyGrid.around(crop, frames)
    selection = _Selection(
        grid=grid,
        live=_live_pixels(grid, crop, sources, frames),
        bright=(sources, *(reader.read(p) for p in (layout.exclude_reg,) if check_regular(p))),
        frames=frames,
        band_keV=(config.energy_min_keV, config.energy_max_keV),
    )
    log.info("grid of %d x %d pixels, %d in the crop", *grid.shape, selection.live.sum())
    bundled: list[BundleObservation] = []
    facts: Facts = {}
    left_out: dict[str, str] = {}
    groups = [tuple(own) for _, own in groupby(datasets, key=lambda dataset: dataset.whole)]
    for own in counted(STAGE, "dataset", groups):
        places = tuple(dataset for dataset in own if _has_response(layout, dataset))
        taken = f": {OTHERS_TAKE_IT}" if places else ""
        left_out |= {d.name: f"{d}: no response{taken}" for d in own if d not in places}
        if not places:
            continue
        middles = [_middle(place, layout, reader) for place in places if place.place]
        try:
            for observation, told in _crop_chips(places, middles, layout, selection):
                bundled.append(observation)
                facts[observation.dataset] = told
        except EmptySelection as error:
            if not own[0].whole.is_part:
                raise
            left_out |= dict.fromkeys((place.name for place in places), str(error))
    for obsid in config.observation_ids:
        if not any(observation.obsid == obsid for observation in bundled):
            reasons = dict.fromkeys(left_out[d.name] for d in datasets if d.obsid == obsid)
            raise EmptySelection("; ".join(reasons))
    told_once = "; ".join(dict.fromkeys(left_out.values()))
    bundle = stamped(assemble(config, grid, frames["physical"], bundled, told_once))
    write_images(bundle, layout)
    write_bundle(layout.bundle, bundle)
    return {
        "shape": list(grid.shape),
        "live_pixels": int(bundle.mask.sum()),
        "counts": int(bundle.counts.sum()),
        "observations": facts,
        "left_out": left_out,
    }


def _live_pixels(
    grid: SkyGrid, crop: RegionFile, sources: RegionFile, frames: Mapping[str, WCS]
) -> NDArray[np.bool_]:
    """Pixels (ny, nx) with their centre in the crop, and neither centre nor corners in a source."""
    ra, dec = grid.centres()
    live = contains(crop, ra, dec, frames) & ~contains(sources, ra, dec, frames)
    ra, dec = grid.corners()
    hit = contains(sources, ra, dec, frames)
    live &= ~(hit[:-1, :-1] | hit[1:, :-1] | hit[:-1, 1:] | hit[1:, 1:])
    if not live.any():
        raise EmptySelection(f"{crop.path}: no pixel of the crop is outside {sources.path}; draw both again")
    return live


def _crop_chips(
    places: Sequence[Dataset],
    middles: Sequence[tuple[float, float]],
    layout: Layout,
    selection: _Selection,
) -> Iterator[tuple[BundleObservation, Facts]]:
    """Put the chips of one kind on the grid: one dataset and its facts for each place of a response.

    A pixel belongs to the place with the nearest centre, RA, Dec [deg] in ``middles``; a place without pixels
    gives no dataset. Raises EmptySelection if no pixel or no event of the chips is in the crop.
    """
    whole, obsid = places[0].whole, places[0].obsid
    clean = read_events(layout.clean_events(obsid), ours=True)
    check_band(clean.header, clean.path, selection.band_keV)
    events = clean.on_chips(whole.chips)
    live_s = live_times(clean.header, {c: clean.gti[c] for c in whole.chips}, str(clean.path))
    dates = dates_of(clean.header)
    geometry = read_geometry(layout.geometry(obsid)).of_chips(whole.chips)
    live = live_fraction(geometry, selection.grid, events.gti)
    mask = selection.live & (live >= _MIN_LIVE)
    # A field is a small part of a large mosaic.
    box = bounding_box(mask)
    selection, mask, live = selection.part(box), mask[box], live[box]
    exposure_s = max(live_s.values())
    maps = {
        place.name: _mapped_area(layout.area_maps(place.name), exposure_s, selection, mask)
        for place in places
    }
    for found in maps.values():
        if found is not None:
            mask &= (found[1] > 0).all(axis=0)  # CIAO has no exposure elsewhere
    if not mask.any():
        raise EmptySelection(
            f"ObsID {obsid}: no pixel of the crop is on its chips {listed(whole.chips)} "
            "outside the sources; draw the crop around its field or take it out of observation_ids"
        )
    # One scale for all places, since the particle background of a kind of chips is the same at all of them.
    rng = stage_rng(STAGE, whole.name)
    background, scale = _scaled_background(whole, layout, events, live_s, selection, rng)
    rmfs = {place.name: read_rmf(layout.response(place.name, "rmf"), ours=True) for place in places}
    grid, band = selection.grid, selection.band_keV
    if not any(len(events_on_grid(events, mask, grid, band, rmf)[0]) for rmf in rmfs.values()):
        low, high = band
        raise EmptySelection(
            f"{events.path}: no event of {low:g}-{high:g} keV of {whole} in the crop outside the sources; "
            "check the crop and the energy band"
        )
    nearest = _nearest(middles, selection.grid) if len(places) > 1 else np.zeros(mask.shape, np.int64)
    for number, place in enumerate(places):
        own, rmf = mask & (nearest == number), rmfs[place.name]
        if not own.any():
            log.info("%s: no pixel of the crop is nearest to it", place)
            continue
        arf_path = layout.response(place.name, "arf")
        arf = read_arf(arf_path, ours=True)
        check_covers(arf, str(arf_path), band)
        given = maps[place.name]
        nodes, area = _relative_area(events, selection, own, live) if given is None else given
        (indptr, ordered), (background_indptr, background_ordered) = (
            events_by_pixel(file, own, grid, band, rmf) for file in (events, background)
        )
        bundled = BundleObservation(
            obsid=obsid,
            dataset=place.name,
            exposure_s=exposure_s,
            background_scale=scale.largest,
            first_row=box[0].start,
            first_col=box[1].start,
            mask=own.astype(np.uint8),
            vignetting_keV=nodes,
            vignetting=np.where(own, area, np.float32(0.0)),
            event_indptr=indptr,
            event_channel=ordered,
            background_indptr=background_indptr,
            background_channel=background_ordered,
            arf=arf,
            rmf=rmf,
            area_of="vignetting table" if given is None else "CIAO's exposure maps",
            date_obs=dates.begin,
            date_end=dates.end,
        ).trimmed()
        yield (
            bundled,
            {
                "exposure_s": bundled.exposure_s,
                "exposure_of_chip_s": {str(chip): seconds for chip, seconds in live_s.items()},
                "counts": len(ordered),
                "background_counts": len(background_ordered),
                "background_scale": scale.scale,
                "background_scale_error": scale.error,
                "live_pixels": int(own.sum()),
                "area_of": bundled.area_of,
            },
        )


def _middle(place: Dataset, layout: Layout, reader: RegionReader) -> tuple[float, float]:
    """RA, Dec [deg] of the centre of a place."""
    geometry = read_geometry(layout.geometry(place.obsid)).of_chips(place.chips)
    region = reader.read(layout.response_region(place.name))
    return mean_direction(*points_on_chips(region, geometry, reader.frames))


def _nearest(middles: Sequence[tuple[float, float]], grid: SkyGrid) -> NDArray[np.int64]:
    """Number (ny, nx) of the place that is nearest to each pixel."""
    centres = grid.centres()
    return np.argmin([separation(*centres, *middle) for middle in middles], axis=0)


def _scaled_background(
    dataset: Dataset,
    layout: Layout,
    events: EventList,
    live_s: Mapping[int, float],
    selection: _Selection,
    rng: np.random.Generator,
) -> tuple[EventList, ParticleScale]:
    """Background events of a dataset with a common scale, and the scale."""
    path = _background_file(layout, dataset.obsid)
    background = read_events(path, ours=True).on_chips(dataset.chips)
    if path == layout.local_background(dataset.obsid):
        share = 1.0 / LOCAL_OVERSAMPLING
        made_from = int(background.header.get(local_counts_keyword(dataset.kind), 0))
        error = share / np.sqrt(made_from) if made_from else np.nan
        return background, ParticleScale(share, float(error), {0: share})
    # Whole chips have more counts than the crop, and the particle background is uniform on a chip.
    high, blank = (particle_events(e, selection.bright, selection.frames) for e in (events, background))
    scale = particle_scale(high, blank, live_s)
    return thinned(background, scale, rng), scale


def channels_in_band(rmf: Rmf, energy_min_keV: float, energy_max_keV: float) -> NDArray[np.bool_]:
    """Mask (n_channels,) of channels that overlap the band, so that no channel is only partly filled."""
    return (rmf.channel_hi_keV > energy_min_keV) & (rmf.channel_lo_keV < energy_max_keV)


def events_on_grid(
    events: EventList, mask: NDArray[np.bool_], grid: SkyGrid, band_keV: tuple[float, float], rmf: Rmf
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Pixel index (row-major) and channel index of events in the band and on live pixels of the grid."""
    channel = events.pi.astype(np.int64) - rmf.first_channel_number
    known = (channel >= 0) & (channel < rmf.n_channels)
    in_band = np.zeros(len(events), dtype=bool)
    in_band[known] = channels_in_band(rmf, *band_keV)[channel[known]]
    needed = np.flatnonzero(in_band)
    row, col = grid.index_of(events.wcs, events.x[needed], events.y[needed])
    live = row >= 0
    live[live] = mask[row[live], col[live]]
    pixel = row * mask.shape[1] + col
    return pixel[live], channel[needed[live]].astype(np.int16)


def events_by_pixel(
    events: EventList, mask: NDArray[np.bool_], grid: SkyGrid, band_keV: tuple[float, float], rmf: Rmf
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """The events of `events_on_grid` as a bundle has them: the first of every pixel, and their channels."""
    return sort_by_pixel(*events_on_grid(events, mask, grid, band_keV, rmf), mask.size)


def _relative_area(
    events: EventList, selection: _Selection, mask: NDArray[np.bool_], live: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Energies (n,) [keV] and effective area relative to the optical axis (n, ny, nx), 0 on dead pixels.

    The relative area is the vignetting times the fraction of the dataset's exposure during which the pixel
    was on an active chip.
    """
    energy = np.unique(np.clip([*selection.band_keV, *_VIGNETTING_KEV], *selection.band_keV))
    ra, dec = selection.grid.centres()
    theta = off_axis_arcmin(ra[mask], dec[mask], *optical_axis(events.header))
    if theta.min() > _MAX_OFF_AXIS_ARCMIN:
        raise DamagedFile(
            f"{events.path}: RA_PNT, DEC_PNT are over a degree from the crop; draw the crop on this field, "
            "or take the observation out of observation_ids"
        )
    area = np.zeros((len(energy), *mask.shape), dtype=np.float32)
    area[:, mask] = vignetting(energy, theta) * live[mask]
    return energy, area


def _mapped_area(
    path: Path, exposure_s: float, selection: _Selection, mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float32]] | None:
    """Relative area as in `_relative_area`, from CIAO's exposure maps; None if stage 3 has written none."""
    if not check_regular(path):
        return None
    maps = read_area_maps(path)
    low, high = selection.band_keV
    if maps.energy_keV[0] > low or maps.energy_keV[-1] < high:
        raise DamagedFile(f"{path}: it is of another energy band; {_MAPS_AGAIN}")
    area = maps.on_grid(selection.grid) / np.float32(exposure_s)
    if not np.isfinite(area[:, mask]).all():
        raise DamagedFile(f"{path}: the crop is not inside, because it was drawn again; {_MAPS_AGAIN}")
    return maps.energy_keV, area


def assemble(
    config: ClusterConfig, grid: SkyGrid, frame: WCS, observations: list[BundleObservation], left_out: str
) -> Bundle:
    """Bundle of observations on a grid, whose physical coordinates are sky pixels of `frame`."""
    counts = np.zeros(grid.shape, dtype=np.int32)
    mask = np.zeros(grid.shape, dtype=np.uint8)
    background, variance = np.zeros(grid.shape), np.zeros(grid.shape)
    for o in observations:
        counts[o.place] += counts_of(o.event_indptr, o.mask.shape)
        blank_sky = counts_of(o.background_indptr, o.mask.shape)
        background[o.place] += o.background_scale * blank_sky
        variance[o.place] += o.background_scale**2 * blank_sky
        mask[o.place] |= o.mask
    return Bundle(
        name=config.name,
        redshift=config.redshift,
        nH=config.nH,
        abundance=config.abundance,
        absorption=config.absorption,
        abundance_table=config.abundance_table,
        energy_min_keV=config.energy_min_keV,
        energy_max_keV=config.energy_max_keV,
        wcs_header=grid.header(frame).tostring(endcard=False, padding=False),
        pixel_scale_arcsec=grid.pixel_scale_arcsec,
        counts=counts,
        background=background.astype(np.float32),
        background_variance=variance.astype(np.float32),
        mask=mask,
        observations=tuple(observations),
        left_out=left_out,
    )
