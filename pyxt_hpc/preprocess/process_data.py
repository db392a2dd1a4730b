"""Stage 1: filter every observation, project it and its background to one sky frame, make merged images."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList, read_events, read_sky_wcs, write_events
from pyxt_hpc.chandra.keywords import is_screened, number, optical_axis
from pyxt_hpc.chandra.kinds import KINDS, datasets_of
from pyxt_hpc.chandra.sky.aspect import with_aspect
from pyxt_hpc.chandra.sky.fov import check_outlines, read_fov
from pyxt_hpc.chandra.sky.geometry import (
    FieldGeometry,
    aimpoint_off_arcmin,
    chip_outlines,
    measure_geometry,
    write_geometry,
)
from pyxt_hpc.chandra.sky.reproject import misplaced_by, project_background, reproject
from pyxt_hpc.chandra.sky.tangent import SKY_PIXEL_ARCSEC, separation
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.chandra.times.livetime import live_share, live_times, with_live_times
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import DamagedFile, EmptySelection
from pyxt_hpc.files.quoting import listed
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.progress import counted
from pyxt_hpc.preprocess.background.seeds import stage_rng
from pyxt_hpc.preprocess.checks.data_subspace import CommonSelection, compare_selections
from pyxt_hpc.preprocess.checks.energies import write_energies
from pyxt_hpc.preprocess.checks.good_events import (
    array_of,
    chips_in_use,
    chips_that_were_on,
    good_events,
)
from pyxt_hpc.preprocess.checks.observation import (
    check_background,
    check_numbers,
    check_observation,
    check_same_channels,
    check_span,
)
from pyxt_hpc.preprocess.ciao.backend import ciao_part
from pyxt_hpc.preprocess.images.merged_images import merge_field, write_merged
from pyxt_hpc.preprocess.inputs.supplied import ObservationFiles, find_observations
from pyxt_hpc.steps import Facts, StageResult, Step, StepResult, run_if_outdated

log = logging.getLogger(__name__)

STAGE = "process-data"
_MAX_TIME_DIFFERENCE = 0.02  # larger differences between the good times of chips are logged
_SAME_POINTING_DEG = 1e-3  # largest distance of equal tangent points
_MAX_MISPLACED_PIXELS = 20.0  # 10 arcsec: larger than effects of the mean dither or the SIM
_SIM_Z_MM = (-233.587, -190.143)  # SIM_Z with ACIS-I and ACIS-S at their aimpoints
_ARCMIN_PER_MM = 0.342  # shift on the sky per shift of the SIM
_MAX_AIMPOINT_ARCMIN = 3.0  # changes the vignetting by at most 5%
_MAX_SEPARATION_DEG = 1.0  # largest distance of tangent points of one cluster's observations


def process_data(config: ClusterConfig, layout: Layout, *, force: bool = False) -> StageResult:
    """Filter and reproject every observation and its background, then merge them.

    If CIAO is used, it first downloads and reprocesses observations, and makes their backgrounds.

    Returns the facts of `_process_observation` for each ObsID, and ``shape`` and ``counts`` of the images.
    Raises MissingInput with all missing files and their providers; another PyxtError for a damaged file or an
    observation of another field.
    """
    ciao_part(STAGE, config, layout, force=force)
    files = find_observations(layout, config.observation_ids)
    frame = read_sky_wcs(files[0].events)
    outcomes: dict[str, StepResult] = {}
    for observation in counted(STAGE, "observation", files):
        step = _step(observation, layout, frame)
        outcomes[observation.obsid] = run_if_outdated(
            step, partial(_process_observation, observation, layout, frame, step), force=force
        )
    return StageResult.of(outcomes, _merge(config.observation_ids, layout, force=force))


def _step(files: ObservationFiles, layout: Layout, frame: WCS) -> Step:
    obsid = files.obsid
    outputs = [layout.filtered_events(obsid), layout.geometry(obsid)]
    if files.background:
        outputs.append(layout.background_events(obsid))
    return Step(
        name=f"{STAGE} of ObsID {obsid}",
        record=layout.step_record(STAGE, obsid),
        inputs=tuple(
            path for path in (files.events, files.fov, *files.aspect, files.background) if path is not None
        ),
        settings={"frame": [*frame.wcs.crval, *frame.wcs.crpix, *frame.wcs.cdelt]},
        outputs=tuple(outputs),
    )


def _process_observation(files: ObservationFiles, layout: Layout, frame: WCS, step: Step) -> Facts:
    events = read_events(files.events)
    check_observation(events, files.obsid)
    _check_pointing(events, frame)
    chips = chips_in_use(events.header, str(files.events))
    background: EventList | None = None
    findings: tuple[str, ...] = ()
    if files.background:
        background = read_events(files.background)
        findings = check_background(background, events)
        screened = bool(is_screened(events.header))  # unknown screening counts as none
        background = background.select(good_events(background, chips, screen_status=screened))
        check_numbers(background)
        chips = _chips_with_background(chips, background, files)
        background = background.on_chips(chips)

    n_read = len(events)
    events = events.select(good_events(events, chips, screen_status=True))
    check_numbers(events)
    if background is not None:
        check_same_channels(background, events)
    events = _in_good_time(events, chips)
    gti = events.gti
    agreed = compare_selections(events, background, chips, gti)
    share = live_share(events.header, gti, str(files.events))
    events = replace(agreed.events, header=with_live_times(events.header, gti, share))
    background = agreed.background

    geometry = measure_geometry(events, chips)
    axis = optical_axis(events.header)
    if files.aspect:
        geometry = with_aspect(geometry, files.aspect, axis)
    else:
        findings += tuple(_doubtful_axis(events, geometry, axis))
    if files.fov:
        check_outlines(chip_outlines(geometry), read_fov(files.fov), files.fov)
    if background is None:
        layout.background_events(files.obsid).unlink(missing_ok=True)  # from an earlier run with a blank sky
    else:
        background, misplaced = _on_sky(background, events, geometry, gti, files.obsid)
        findings += misplaced
        _write(layout.background_events(files.obsid), reproject(background, frame), agreed, step.fingerprint)
    write_geometry(layout.geometry(files.obsid), geometry)
    _write(layout.filtered_events(files.obsid), reproject(events, frame), agreed, step.fingerprint)
    header = events.header
    datasets = datasets_of(files.obsid, chips)
    if len(datasets) > 1:
        log.info(
            "ObsID %s has chips of both kinds and becomes two datasets, each with its own response: %s",
            files.obsid, "; ".join(f"{d.name} is {KINDS[d.kind]} CCD {listed(d.chips)}" for d in datasets),
        )  # fmt: skip
    return {
        "array": array_of(chips),
        "chips": list(chips),
        "chips_left_out": [chip for chip in chips_that_were_on(header) if chip not in chips],
        "date": str(header.get("DATE-OBS", ""))[:10],
        "datamode": str(header.get("DATAMODE", "")),
        "exposure_s": float(header["EXPOSURE"]),
        "exposure_of_chip_s": {str(c): s for c, s in live_times(header, gti, str(files.events)).items()},
        "datasets": [dataset.name for dataset in datasets],
        "events_read": n_read,
        "events": len(events),
        "background_events": 0 if background is None else len(background),
        "aspect": "asol file" if files.aspect else "events",
        "energies_eV": agreed.energies_eV.tolist(),
        "findings": [*findings, *agreed.findings],
    }


def _doubtful_axis(events: EventList, geometry: FieldGeometry, axis: tuple[float, float]) -> Iterator[str]:
    """Warn if the header's optical axis, which determines the vignetting, is not at the chips' aimpoint."""
    away = aimpoint_off_arcmin(geometry, axis)
    position = number(events.header, "SIM_Z")
    shift = 0.0 if position is None else min(abs(position - usual) for usual in _SIM_Z_MM)
    if away is None or away < _MAX_AIMPOINT_ARCMIN + _ARCMIN_PER_MM * shift:
        return
    yield (
        f"{events.path}: RA_PNT, DEC_PNT are {away:.1f} arcmin from the aimpoint on its chips: if the header "
        "was changed, the vignetting is wrong; compare both with the archive's evt2 file, or supply the "
        "aspect solution (pcadf*_asol1.fits), which is then used"
    )


def _write(path: Path, events: EventList, agreed: CommonSelection, fingerprint: str) -> None:
    header = events.header.copy()
    write_energies(header, agreed.energies_eV)
    header["STEPID"] = (fingerprint[:16], "fingerprint of inputs and settings")
    # These columns are no longer needed: grades and status were applied, and the geometry has the chips.
    write_events(
        path, replace(events, header=header, grade=None, status=None, chipx=None, chipy=None, extra={})
    )


def _check_pointing(events: EventList, frame: WCS) -> None:
    here, there = events.wcs.wcs.crval, frame.wcs.crval
    apart = separation(*here, *there)
    if not apart < _MAX_SEPARATION_DEG:
        raise DamagedFile(
            f"{events.path}: it is of the sky at RA {here[0]:.3f}, Dec {here[1]:.3f}, {apart:.1f} degrees "
            "from the first observation's; take it out of observation_ids"
        )


def _chips_with_background(
    chips: tuple[int, ...], background: EventList, files: ObservationFiles
) -> tuple[int, ...]:
    covered = tuple(chip for chip in chips if np.any(background.ccd_id == chip))
    if not covered:
        raise EmptySelection(
            f"{files.background}: no event of good grade on the chips {listed(chips)} of "
            f"{files.events.name}; make the blank-sky file for this observation"
        )
    if covered != chips:
        lost = [chip for chip in chips if chip not in covered]
        log.warning("ObsID %s: CCD %s is left out, because it has no background", files.obsid, listed(lost))
    return covered


def _in_good_time(events: EventList, chips: tuple[int, ...]) -> EventList:
    """Events of good grade in the good times of their chips; the result has only these times and chips."""
    if len(events) == 0:
        raise EmptySelection(
            f"{events.path}: no event of good grade and status on CCD {listed(chips)}; give the file as "
            "chandra_repro or the archive left it"
        )
    gti = _gti_of_chips(events, chips)
    inside = events.select(events.in_good_time(gti))
    if len(inside) == 0:
        assert events.time is not None
        good = gti_arithmetic.union(list(gti.values()))
        raise EmptySelection(
            f"{events.path}: no event of good grade in good time: good times are from {good[0, 0]:.0f} to "
            f"{good[-1, 1]:.0f} s, the events' from {np.min(events.time):.0f} to {np.max(events.time):.0f} "
            "s; give events with their own GTI tables"
        )
    return replace(inside, gti=gti)


def _gti_of_chips(events: EventList, chips: tuple[int, ...]) -> dict[int, NDArray[np.float64]]:
    without = [chip for chip in chips if len(events.gti.get(chip, ())) == 0]
    if without:
        raise DamagedFile(
            f"{events.path}: no good time intervals for CCD {listed(without)} "
            f"(found for {listed(c for c, g in events.gti.items() if len(g)) or 'none'}): the file was "
            "copied without its GTI tables, or these chips lost all their time; copy it with dmcopy "
            "option=all"
        )
    gti = {chip: events.gti[chip] for chip in chips}
    check_span(events.path, gti_arithmetic.union(list(gti.values())))
    times = [gti_arithmetic.ontime(intervals) for intervals in gti.values()]
    if min(times) < (1 - _MAX_TIME_DIFFERENCE) * max(times):
        log.info(
            "%s: good times of the CCDs differ: %s ks; each CCD has its own exposure",
            events.path,
            ", ".join(f"{chip}: {time / 1000:.1f}" for chip, time in zip(gti, times, strict=True)),
        )
    return gti


def _on_sky(
    background: EventList,
    events: EventList,
    geometry: FieldGeometry,
    gti: Mapping[int, NDArray[np.float64]],
    obsid: str,
) -> tuple[EventList, tuple[str, ...]]:
    """Blank-sky events at the sky positions of the observation's chips, and warnings."""
    if background.chipy is not None:
        # Rows outside a subarray would change the scale of the background.
        first, last = geometry.rows
        background = background.select((background.chipy >= first) & (background.chipy <= last))
    findings: tuple[str, ...] = ()
    apart = separation(*background.wcs.wcs.crval, *events.wcs.wcs.crval)
    if apart < _SAME_POINTING_DEG:  # CIAO's blanksky has projected it
        away = misplaced_by(background, geometry)
        if away is None or away < _MAX_MISPLACED_PIXELS:
            return background, ()
        findings = (
            f"{background.path}: its sky positions are up to {away * SKY_PIXEL_ARCSEC:.0f} arcsec from "
            f"the chips of ObsID {obsid}: it was reprojected to another observation or roll; its events are "
            "projected again from their chip coordinates",
        )
        log.warning("%s", *findings)
    placed = project_background(background, geometry, events.wcs, gti, stage_rng(STAGE, obsid))
    return placed, findings


def _merge(obsids: Sequence[str], layout: Layout, *, force: bool) -> StepResult:
    inputs = [path for o in obsids for path in (layout.filtered_events(o), layout.geometry(o))]
    inputs += [layout.background_events(o) for o in obsids]
    products = (
        layout.merged_counts, layout.merged_exposure, layout.merged_background, layout.merged_brightness,
        layout.merged_psf,
    )  # fmt: skip
    step = Step(f"{STAGE}: merged images", layout.step_record(STAGE), tuple(inputs), {}, products)

    def make() -> Facts:
        field = merge_field(obsids, layout, layout.filtered_events)
        write_merged(field, layout, step.fingerprint)
        return {"shape": list(field.counts.shape), "counts": int(field.counts.sum())}

    return run_if_outdated(step, make, force=force)
