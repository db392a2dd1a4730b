"""Stage 3: check the responses of every dataset, from a person or from CIAO, against its events."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from astropy.wcs import WCS

from pyxt_hpc.chandra.events import EventList, read_events, read_header, read_sky_wcs
from pyxt_hpc.chandra.keywords import exposure_s as exposure_keyword
from pyxt_hpc.chandra.keywords import optical_axis
from pyxt_hpc.chandra.kinds import Dataset
from pyxt_hpc.chandra.ogip.response import Arf, check_area_once, check_covers, check_match
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf, write_arf
from pyxt_hpc.chandra.regions.sky import contains_pixels, read_regions
from pyxt_hpc.chandra.sky.exposure import live_fraction
from pyxt_hpc.chandra.sky.geometry import read_geometry
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.times.livetime import live_times
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ResponseMismatch
from pyxt_hpc.files.fits import copy_fits
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.progress import counted
from pyxt_hpc.preprocess.checks.observation import check_channels
from pyxt_hpc.preprocess.ciao.backend import ciao_part
from pyxt_hpc.preprocess.ciao.plans.exposure_maps import map_name
from pyxt_hpc.preprocess.inputs.area_maps import (
    AreaMaps,
    area_at,
    area_energies,
    disagreement,
    read_exposure_maps,
    write_area_maps,
)
from pyxt_hpc.preprocess.inputs.arf_position import ArfPosition, find_arf_position
from pyxt_hpc.preprocess.inputs.drawn_regions import RegionReader
from pyxt_hpc.preprocess.inputs.response_pairing import (
    RESPONSE_KEYS,
    SuppliedResponse,
    find_datasets,
    find_responses,
)
from pyxt_hpc.preprocess.inputs.supplied import need, need_regions
from pyxt_hpc.steps import Facts, StageResult, Step, run_if_outdated

log = logging.getLogger(__name__)

STAGE = "generate-responses"
_SUPPLY = "supply it again (CIAO's specextract)"
_PROBE_KEV = 1.5  # energy of the area in the summary
_WEIGHING_EV = (300.0, 2000.0)
_SAME_EXPOSURE = 0.02  # good times of chips may differ by as much
_ENOUGH_EVENTS = 20  # with fewer events in a region, all its points have the same weight


def generate_responses(config: ClusterConfig, layout: Layout, *, force: bool = False) -> StageResult:
    """Check ARF and RMF of every dataset, and write them for the bundle.

    If CIAO is used, it first makes responses that no person has supplied, and exposure maps.

    Stage 4 needs the effective area of every pixel relative to the ARF. With CIAO's exposure maps, this stage
    divides them by their value at the place where the ARF was made. Without them, the relative area is the
    vignetting times the live fraction, and this stage divides the ARF by the vignetting at its place, if its
    header or the response region gives the place.

    Returns the facts of `_check_responses` for each dataset, and in ``left_out`` the datasets without a
    response of their own, with reasons. Raises MissingInput with all missing files; ResponseMismatch if ARF,
    RMF and events differ in energies or channels, if the band is not covered, or if a response is of the
    other kind of chips.
    """
    ciao_part(STAGE, config, layout, force=force)
    obsids = config.observation_ids
    needed = (path(obsid) for obsid in obsids for path in (layout.clean_events, layout.geometry))
    need("pyxt-hpc remove-sources", *needed)
    frames = RegionReader.of(layout, obsids).frames
    found, left_out = find_responses(config, layout, find_datasets(config, layout), frames)
    need_regions(*(layout.response_region(r.dataset.name) for r in found if r.dataset.place))
    for name in left_out:
        for suffix in ("arf", "rmf"):  # from an earlier run
            layout.response(name, suffix).unlink(missing_ok=True)
    outcomes = {}
    for response in counted(STAGE, "dataset", found):
        dataset = response.dataset
        maps = _exposure_maps(dataset, config, layout)
        area_maps = layout.area_maps(dataset.name)
        if not maps:
            area_maps.unlink(missing_ok=True)  # from an earlier run
        step = Step(
            name=f"{STAGE} of {dataset.name}",
            record=layout.step_record(STAGE, dataset.name),
            inputs=(
                response.arf,
                response.rmf,
                layout.clean_events(dataset.obsid),
                layout.geometry(dataset.obsid),
                response.region,
                *maps.values(),
            ),
            settings={
                "energy_min": config.energy_min_keV,
                "energy_max": config.energy_max_keV,
                **{key: getattr(config, key) for key in RESPONSE_KEYS},
            },
            outputs=(
                layout.response(dataset.name, "arf"),
                layout.response(dataset.name, "rmf"),
                *([area_maps] if maps else []),
            ),
        )
        outcomes[dataset.name] = run_if_outdated(
            step, partial(_check_responses, response, maps, frames, config, layout), force=force
        )
    assumed = [name for name, o in outcomes.items() if o.facts["off_axis_arcmin"] is None and o.reason]
    if assumed:
        log.info(
            "ARF of %s: assumed to be made near the optical axis, since neither its header nor a response "
            "region older than the ARF gives its place",
            ", ".join(assumed),
        )
    whole = StageResult.of(outcomes)
    return StageResult(whole.made, whole.observations, {"left_out": left_out})


def _exposure_maps(dataset: Dataset, config: ClusterConfig, layout: Layout) -> dict[float, Path]:
    """CIAO's exposure maps of a dataset's chips by energy; empty unless all energies of the band have one."""
    if config.backend == "builtin":
        return {}
    energies = area_energies((config.energy_min_keV, config.energy_max_keV))
    maps = {energy: layout.ciao(dataset.whole.name) / map_name(energy) for energy in energies}
    return maps if all(check_regular(path) for path in maps.values()) else {}


def _check_responses(
    response: SuppliedResponse,
    maps: Mapping[float, Path],
    frames: Mapping[str, WCS],
    config: ClusterConfig,
    layout: Layout,
) -> Facts:
    dataset = response.dataset
    geometry = read_geometry(layout.geometry(dataset.obsid))
    if response.by_ciao:
        frames = {"physical": read_sky_wcs(layout.ciao_events(dataset.whole.name))}
    place = find_arf_position(response.arf, response.region, geometry, frames)
    place = place and place.on(dataset.chips)
    arf, rmf = read_arf(response.arf), read_rmf(response.rmf)
    check_match(arf, rmf, str(response.arf), str(response.rmf))
    check_area_once(str(response.arf), rmf, str(response.rmf))
    whole = read_events(layout.clean_events(dataset.obsid), ours=True)
    check_channels(whole.on_chips(dataset.chips), rmf, response.rmf)
    check_covers(arf, str(response.arf), (config.energy_min_keV, config.energy_max_keV))
    axis = optical_axis(whole.header)
    middle = 0.5 * (arf.energy_lo + arf.energy_hi)
    angle = None if place is None else place.off_axis_arcmin(axis)
    findings: list[str] = []
    area_of = "the vignetting table"
    if place is not None and maps:
        events = whole.on_chips(dataset.chips)
        findings = _write_area_maps(response, read_exposure_maps(maps), place, events, frames, layout)
        area_of = "CIAO's exposure maps"
    elif maps:
        raise ResponseMismatch(
            f"{response.arf}: neither its header nor a response region older than the ARF says where it was "
            "made, so CIAO's exposure maps cannot be related to it; remove it, so that CIAO makes one, or "
            "set backend = builtin"
        )
    if place is None or maps:
        copy_fits(response.arf, layout.response(dataset.name, "arf"), "ARF", _SUPPLY)
    else:
        arf = Arf(arf.energy_lo, arf.energy_hi, arf.area / place.vignetting(middle, axis))
        header: dict[str, str | int | float] = {
            "ARFFILE": response.arf.name,
            "OFFAXIS": place.off_axis_arcmin(axis),
            "ARFPLACE": f"by {place.told_by}; vignetting there taken out",
        }
        write_arf(layout.response(dataset.name, "arf"), arf, header=header)
    copy_fits(response.rmf, layout.response(dataset.name, "rmf"), "RMF", _SUPPLY)
    return {
        "chips": list(dataset.chips),
        "arf": str(response.arf),
        "rmf": str(response.rmf),
        "area_cm2": float(np.interp(_PROBE_KEV, middle, arf.area)),
        "off_axis_arcmin": angle,
        "place": "assumed near the axis" if place is None else f"by {place.told_by}",
        "area_of": area_of,
        "findings": findings,
        "channels": rmf.n_channels,
        "energies": len(arf.area),
    }


def _write_area_maps(
    response: SuppliedResponse,
    maps: AreaMaps,
    place: ArfPosition,
    events: EventList,
    frames: Mapping[str, WCS],
    layout: Layout,
) -> list[str]:
    """Write exposure maps relative to the ARF at its place; return warnings about their area there."""
    dataset = response.dataset
    geometry = read_geometry(layout.geometry(dataset.obsid)).of_chips(dataset.chips)
    exposure_s = max(live_times(events.header, events.gti, str(events.path)).values())
    live = live_fraction(geometry, SkyGrid(maps.wcs, maps.seconds.shape[1:]), events.gti)
    positions = place.ra, place.dec
    if place.told_by == response.region.name:
        # specextract weights positions by the counts of these energies.
        soft = events.select(events.in_band(_WEIGHING_EV))
        inside = contains_pixels(read_regions(response.region), soft.wcs, soft.x, soft.y, frames)
        if inside.sum() >= _ENOUGH_EVENTS:
            ra, dec = soft.wcs.wcs_pix2world(soft.x[inside], soft.y[inside], 1)
            positions = ra, dec
    area = area_at(maps, live, exposure_s, positions, optical_axis(events.header), response.region)
    arf = read_arf(response.arf)
    ratio = area / np.interp(maps.energy_keV, 0.5 * (arf.energy_lo + arf.energy_hi), arf.area)
    seconds = (maps.seconds / area[:, None, None]).astype(np.float32)
    write_area_maps(
        layout.area_maps(dataset.name),
        AreaMaps(maps.energy_keV, seconds, maps.wcs),
        {"ARFFILE": response.arf.name, "OBS_ID": dataset.obsid, "EXPOSURE": exposure_s},
    )
    findings = disagreement(ratio.tolist(), maps.energy_keV.tolist(), response.arf)
    copied = layout.ciao_events(dataset.whole.name)
    theirs = exposure_keyword(read_header(copied))
    ours = exposure_keyword(events.header)
    if theirs is not None and ours is not None and abs(theirs / ours - 1.0) > _SAME_EXPOSURE:
        findings.append(
            f"{copied}: EXPOSURE is {theirs:.0f} s, that of {events.path.name} "
            f"{ours:.0f} s: their good times differ; run pyxt-hpc {STAGE} --force"
        )
    return findings
