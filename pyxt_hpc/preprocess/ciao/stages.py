"""CIAO's part of every stage as plans: it makes the files that a person must supply without CIAO.

Each function is a generator of plans, which is sent their results. Files that a person has supplied are never
made again or replaced.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from pyxt_hpc.chandra.events import read_header, read_sky_wcs
from pyxt_hpc.chandra.keywords import needed_number
from pyxt_hpc.chandra.kinds import Dataset
from pyxt_hpc.chandra.regions.physical import physical_text
from pyxt_hpc.chandra.sky.geometry import read_geometry
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.detect.proposal_files import is_untouched
from pyxt_hpc.errors import CiaoError, ConfigError, MissingInput
from pyxt_hpc.files.writing import check_regular, write_text
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.checks.good_events import chips_in_use
from pyxt_hpc.preprocess.ciao.copies import settle_copies
from pyxt_hpc.preprocess.ciao.plans import archive, facts
from pyxt_hpc.preprocess.ciao.plans.background import background_call
from pyxt_hpc.preprocess.ciao.plans.call import Call
from pyxt_hpc.preprocess.ciao.plans.detection import detection_calls
from pyxt_hpc.preprocess.ciao.plans.exposure_maps import SKY_PIXELS, exposure_map_call
from pyxt_hpc.preprocess.ciao.plans.facts import ObservationFacts
from pyxt_hpc.preprocess.ciao.plans.flares import flare_calls
from pyxt_hpc.preprocess.ciao.plans.repro import ReproFiles, choose_exposure, find_repro, repro_call
from pyxt_hpc.preprocess.ciao.plans.responses import clean_events_call, response_call
from pyxt_hpc.preprocess.ciao.runner import CallLimits, Plans, steps_of
from pyxt_hpc.preprocess.inputs.area_maps import area_energies
from pyxt_hpc.preprocess.inputs.arf_position import ccd_at, points_on_chips
from pyxt_hpc.preprocess.inputs.drawn_regions import RegionReader
from pyxt_hpc.preprocess.inputs.response_pairing import find_datasets
from pyxt_hpc.preprocess.inputs.supplied import need, need_regions

log = logging.getLogger(__name__)

_FIRST = "process-data"
_MARGIN_PIXELS = 2  # of a map around the analysis grid, for the interpolation
_SAMPLES = 64  # points along a side of the grid, which show whether a chip is on it


def prepare_stage(stage: str, config: ClusterConfig, layout: Layout) -> None:
    """Prepare files for a stage's plans before they are carried out; not needed to show them."""
    if stage != _FIRST:
        return
    for obsid in config.observation_ids:
        _settle(obsid, layout)
        if config.blank_sky == "region":
            layout.ciao_background(obsid).unlink(missing_ok=True)  # from an earlier run


def _settle(obsid: str, layout: Layout) -> None:
    for place in ("primary", "secondary"):
        settle_copies(layout.observation(obsid) / place)


def process_data_plans(config: ClusterConfig, layout: Layout) -> Plans[None]:
    """Look up, download and reprocess every observation, and make its blank-sky events.

    Raises ConfigError if an observation cannot be used, with a table of all in the log.
    """
    obsids = [obsid for obsid in config.observation_ids if not _is_persons(obsid, layout)]
    absent = [o for o in obsids if find_repro(o, layout) is None]
    absent = [o for o in absent if next(archive.incomplete(layout.observation(o)), None) is not None]
    known = {o: facts.facts_of_folder(o, layout.observation(o)) for o in config.observation_ids}
    asked = [o for o in absent if not known[o].instrument]
    answers = yield [archive.find_call(obsid, layout) for obsid in asked]
    for obsid, answer in zip(asked, answers, strict=True):
        known[obsid] = facts.facts_of_answer(obsid, answer.facts.get("screen"))
    _refuse_unusable(config, known)
    answers = yield [archive.download_call(obsid, layout) for obsid in absent]
    for obsid, answer in zip(absent, answers, strict=True):
        if answer.reason is not None:  # the download may have added files that an earlier run had unpacked
            _settle(obsid, layout)
        # The archive's table does not have the readout mode.
        found = facts.facts_of_folder(obsid, layout.observation(obsid))
        known[obsid] = replace(found, is_public=known[obsid].is_public)
    if absent:
        for line in facts.observation_table(known.values()):
            log.info("%s", line)
    _refuse_unusable(config, known)
    calls = list(_repro_calls(obsids, config, layout))
    try:
        yield calls
    finally:  # even if the call of another observation has failed
        _mark(calls, layout)
    calls = list(_background_calls(config, layout))
    try:
        yield calls
    except CiaoError as error:
        if not check_regular(layout.background_reg):
            raise CiaoError(
                f"{error}; other backgrounds: [ciao] blank_sky = stowed, or = region and "
                f"{layout.background_reg} drawn on a part of the field without the cluster"
            ) from None
        log.warning("%s; the background is taken from %s", error, layout.background_reg)
        for call in calls:
            if not _is_done(call, layout):
                layout.ciao_background(call.obsid).unlink(missing_ok=True)  # from an earlier run


def _is_done(call: Call, layout: Layout) -> bool:
    (step,) = steps_of(_FIRST, [call], layout)
    return step.outdated() is None


def _is_persons(obsid: str, layout: Layout) -> bool:
    """Whether a person has run chandra_repro; its products are then used as they are."""
    record = layout.call_record(_FIRST, obsid, "chandra_repro-*")
    ours = check_regular(layout.repro_mark(obsid)) or any(record.parent.glob(record.name))
    return not ours and find_repro(obsid, layout) is not None


def _mark(calls: Sequence[Call], layout: Layout) -> None:
    """Mark products of chandra_repro as ours, since the record is removed when they are made again."""
    for call in calls:
        mark = layout.repro_mark(call.obsid)
        if not check_regular(mark) and _is_done(call, layout):
            write_text(mark, "")


def _refuse_unusable(config: ClusterConfig, known: Mapping[str, ObservationFacts]) -> None:
    """Raise ConfigError if an observation cannot be used, with a table of all in the log."""
    if wrong := [f"{one.obsid} ({one.problem})" for one in known.values() if one.problem]:
        for line in facts.observation_table(known.values()):
            log.error("%s", line)
        raise ConfigError.of_several(
            f"{config.path}: observation_ids: {len(wrong)} cannot be used: take them out, or correct their "
            "numbers",
            wrong,
        )


def _repro_calls(obsids: Sequence[str], config: ClusterConfig, layout: Layout) -> Iterator[Call]:
    for obsid in obsids:
        folder = layout.observation(obsid)
        if not archive.fits_files(folder / "secondary", "*evt1.fits*") and find_repro(obsid, layout):
            continue  # the level-1 events were removed later
        exposure = choose_exposure(obsid, folder)
        if exposure.cycle:
            log.info(
                "ObsID %s is interleaved: %s, the longer of its two exposures, is used",
                obsid, exposure.cycle,
            )  # fmt: skip
        yield repro_call(obsid, layout, exposure, check_very_faint=config.check_vf_pha)


def _background_calls(config: ClusterConfig, layout: Layout) -> Iterator[Call]:
    for obsid in config.observation_ids:
        if check_regular(layout.supplied_background(obsid)) or config.blank_sky == "region":
            continue
        files = _repro(obsid, layout)
        chips = chips_in_use(read_header(files.events), str(files.events))
        yield background_call(obsid, layout, files, chips, stowed=config.blank_sky == "stowed")


def propose_regions_plans(config: ClusterConfig, layout: Layout) -> Plans[None]:
    """Run wavdetect on all observations, with ``detection = wavdetect``."""
    drawn = check_regular(layout.sources_reg) and not is_untouched(layout.sources_reg)
    if config.detection != "wavdetect" or drawn:
        return
    files = {obsid: _repro(obsid, layout) for obsid in config.observation_ids}
    chips = {obsid: chips_in_use(read_header(own.events), str(own.events)) for obsid, own in files.items()}
    yield detection_calls(files, chips, layout, CallLimits.of(config).workers)


def remove_sources_plans(config: ClusterConfig, layout: Layout) -> Plans[None]:
    """Make good times by deflare, with ``flare_filter = deflare``."""
    if config.flare_filter != "deflare":
        return
    need_regions(layout.sources_reg)
    reader = RegionReader.of(layout, config.observation_ids)
    sources = reader.read(layout.sources_reg)
    plan: list[Call] = []
    for obsid in config.observation_ids:
        files = _repro(obsid, layout)
        header = read_header(files.events)
        span = tuple(needed_number(header, key, files.events, "take it from the archive's evt2 file")
                     for key in ("TSTART", "TSTOP"))  # fmt: skip
        cut: Path | None = None
        if not sources.is_empty:
            cut = layout.ciao_sources(obsid)
            _write_if_new(cut, physical_text(sources, reader.frames, read_sky_wcs(files.events)))
        chips = chips_in_use(header, str(files.events))
        plan += flare_calls(obsid, layout, files, chips, (span[0], span[1]), cut)
    try:
        yield plan
    except CiaoError as error:
        raise CiaoError(
            f"{error}; [ciao] flare_filter = builtin cleans without it, and always draws the light curve"
        ) from None


def generate_responses_plans(config: ClusterConfig, layout: Layout) -> Plans[None]:
    """Make clean events, responses and exposure maps of every dataset that has a response region.

    All places on one kind of chips share events and exposure maps.
    """
    obsids = config.observation_ids
    need(
        "pyxt-hpc remove-sources",
        *(path for o in obsids for path in (layout.good_times(o, "fullE"), layout.geometry(o))),
    )
    reader = RegionReader.of(layout, obsids)
    grid = SkyGrid(reader.wcs, reader.seen.shape)
    if check_regular(layout.crop_reg):
        grid = SkyGrid.around(reader.read(layout.crop_reg), reader.frames)
    datasets = find_datasets(config, layout)
    drawn = {d.name for d in datasets if check_regular(layout.response_region(d.name))}
    for obsid in obsids:
        names = [d.name for d in datasets if d.obsid == obsid]
        if not drawn.intersection(names):
            need_regions(*(layout.response_region(name) for name in names))
    band = config.energy_min_keV, config.energy_max_keV
    energies = area_energies(band)
    plan: list[Call] = []
    for whole, places in groupby(datasets, key=lambda dataset: dataset.whole):
        own = []
        for place in places:
            if place.name in drawn:
                own.append(place)
            else:
                log.info("%s: no %s: left out", place, layout.response_region(place.name))
        if not own:
            continue
        files = _repro(whole.obsid, layout)
        wcs = read_sky_wcs(files.events)
        plan.append(clean_events_call(whole, layout, files, layout.good_times(whole.obsid, "fullE")))
        geometry = read_geometry(layout.geometry(whole.obsid)).of_chips(whole.chips)
        positions = [np.stack([axis.ravel() for axis in grid.corners()])]
        for place in own:
            region = reader.read(layout.response_region(place.name))
            _write_if_new(layout.ciao_region(place.name), physical_text(region, reader.frames, wcs))
            if not _has_responses(place, config, layout):
                plan.append(response_call(place, layout, files, band))
            if place.place:  # the place may be outside the crop, but its area is needed
                positions.append(np.stack(points_on_chips(region, geometry, reader.frames)))
        if _sees(whole, grid, layout):
            pixels = _pixel_grid(*world_to_pixel(wcs, *np.concatenate(positions, axis=1)))
            plan.append(exposure_map_call(whole, layout, files, pixels, energies))
    yield plan


def _repro(obsid: str, layout: Layout) -> ReproFiles:
    files = find_repro(obsid, layout)
    if files is None:
        raise MissingInput(
            f"{layout.repro(obsid)}/*_repro_evt2.fits not found: pyxt-hpc process-data makes it"
        )
    return files


def _has_responses(dataset: Dataset, config: ClusterConfig, layout: Layout) -> bool:
    """Whether a person has supplied ARF and RMF of a dataset."""
    return all(
        check_regular(layout.supplied_response(pattern, dataset.obsid, dataset.name))
        for pattern in (config.arf_files, config.rmf_files)
    )


def _sees(dataset: Dataset, grid: SkyGrid, layout: Layout) -> bool:
    """Whether a chip of the dataset is on the grid."""
    geometry = read_geometry(layout.geometry(dataset.obsid))
    row, col = (v.ravel() for v in np.mgrid[0 : 1 : _SAMPLES * 1j, 0 : 1 : _SAMPLES * 1j])
    x, y = col * (grid.shape[1] - 1) + 1.0, row * (grid.shape[0] - 1) + 1.0
    ra, dec = grid.wcs.wcs_pix2world(x, y, 1)
    return bool(np.isin(ccd_at(geometry, ra, dec), dataset.chips).any())


def _pixel_grid(x: np.ndarray, y: np.ndarray) -> str:
    """Grid of whole pixels of an observation's sky coordinates around positions, in CIAO's syntax."""
    axes = []
    for values in (x, y):
        low = np.floor((values.min() - 0.5) / SKY_PIXELS) - _MARGIN_PIXELS
        high = np.ceil((values.max() - 0.5) / SKY_PIXELS) + _MARGIN_PIXELS
        axes.append(f"{0.5 + SKY_PIXELS * low:g}:{0.5 + SKY_PIXELS * high:g}:{SKY_PIXELS}")
    return ",".join(axes)


def _write_if_new(path: Path, text: str) -> None:
    if check_regular(path) and path.read_text(encoding="ascii") == text:
        return
    write_text(path, text)
