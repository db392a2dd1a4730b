"""Stage 3: the responses of every dataset, supplied by a person or CIAO, checked against its events."""

import logging
from collections.abc import Mapping
from functools import partial

import numpy as np
from astropy.wcs import WCS
from tqdm import tqdm

from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.keywords import optical_axis
from pyxt_hpc.chandra.ogip.response import Arf, check_area_once, check_match, read_arf, read_rmf, write_arf
from pyxt_hpc.chandra.sky.geometry import read_geometry
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ResponseMismatch
from pyxt_hpc.files.fits import copy_fits
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.arf_position import find_arf_position
from pyxt_hpc.preprocess.checks.observation import check_channels
from pyxt_hpc.preprocess.drawn_regions import RegionReader
from pyxt_hpc.preprocess.inputs import need
from pyxt_hpc.preprocess.remove_sources import STAGE as BEFORE
from pyxt_hpc.preprocess.response_pairing import SuppliedResponse, find_datasets, find_responses
from pyxt_hpc.steps import Facts, StageResult, Step, run_if_outdated

log = logging.getLogger(__name__)

STAGE = "generate-responses"
_SUPPLY = "supply it again (CIAO's specextract)"
_PROBE_KEV = 1.5  # where the area is told


def generate_responses(config: ClusterConfig, layout: Layout, *, force: bool = False) -> StageResult:
    """Check ARF and RMF of every dataset and put them where the bundle takes them from.

    The area of a region away from the axis is not in these files: stage 4 has the vignetting and the live
    share of every pixel, from which every region gets the area of its own place. For that, the vignetting at
    the place where an ARF was made is taken out of it here, where its header or the response region tell.

    Returns the facts of `_check_responses` of each dataset, and ``left_out``: the datasets without a response
    of their own, and what they lack. Raises MissingInput, which names all files that are missing;
    ResponseMismatch if ARF, RMF and the events do not share energies or channels, the band is not covered, or
    a response is of the other kind of chips.
    """
    obsids = config.observation_ids
    need(
        *((path(o), f"pyxt-hpc {BEFORE}") for o in obsids for path in (layout.clean_events, layout.geometry))
    )
    frames = RegionReader.of(layout, obsids).frames
    found, left_out = find_responses(config, layout, find_datasets(layout, obsids), frames)
    for name in left_out:
        for suffix in ("arf", "rmf"):  # of an earlier run
            layout.response(name, suffix).unlink(missing_ok=True)
    outcomes = {}
    for response in tqdm(found, desc=STAGE, unit="dataset", disable=None):
        dataset = response.dataset
        step = Step(
            name=f"{STAGE} of {dataset.name}",
            record=layout.step_record(STAGE, dataset.name),
            inputs=(
                response.arf,
                response.rmf,
                layout.clean_events(dataset.obsid),
                layout.geometry(dataset.obsid),
                response.region,
            ),
            settings={"energy_min": config.energy_min_keV, "energy_max": config.energy_max_keV},
            outputs=(layout.response(dataset.name, "arf"), layout.response(dataset.name, "rmf")),
        )
        outcomes[dataset.name] = run_if_outdated(
            step, partial(_check_responses, response, frames, config, layout), force=force
        )
    assumed = [name for name, o in outcomes.items() if o.facts["off_axis_arcmin"] is None and o.reason]
    if assumed:
        log.info(
            "ARF of %s: taken as made near the optical axis: neither its header nor a response region older "
            "than it says where",
            ", ".join(assumed),
        )
    whole = StageResult.of(outcomes)
    return StageResult(whole.made, whole.observations, {"left_out": left_out})


def _check_responses(
    response: SuppliedResponse, frames: Mapping[str, WCS], config: ClusterConfig, layout: Layout
) -> Facts:
    dataset = response.dataset
    geometry = read_geometry(layout.geometry(dataset.obsid))
    place = find_arf_position(response.arf, response.region, geometry, frames)
    place = place and place.on(dataset.chips)
    arf, rmf = read_arf(response.arf), read_rmf(response.rmf)
    check_match(arf, rmf, str(response.arf), str(response.rmf))
    check_area_once(str(response.arf), rmf, str(response.rmf))
    whole = read_events(layout.clean_events(dataset.obsid), ours=True)
    check_channels(whole.on_chips(dataset.chips), rmf, response.rmf)
    band = config.energy_min_keV, config.energy_max_keV
    if arf.energy_lo[0] > band[0] or arf.energy_hi[-1] < band[1]:
        raise ResponseMismatch(
            f"{response.arf}: energies {arf.energy_lo[0]:.2f}-{arf.energy_hi[-1]:.2f} keV, but the band is "
            f"{band[0]:g}-{band[1]:g} keV; make it for 0.3-11 keV, or change energy_min and energy_max"
        )
    axis = optical_axis(whole.header)
    middle = 0.5 * (arf.energy_lo + arf.energy_hi)
    angle: float | None = None
    if place is None:
        copy_fits(response.arf, layout.response(dataset.name, "arf"), "ARF", _SUPPLY)
    else:
        angle = place.off_axis_arcmin(axis)
        arf = Arf(arf.energy_lo, arf.energy_hi, arf.area / place.vignetting(middle, axis))
        header: dict[str, str | int | float] = {
            "ARFFILE": response.arf.name,
            "OFFAXIS": angle,
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
        "place": "near the axis, as nothing tells" if place is None else f"by {place.told_by}",
        "channels": rmf.n_channels,
        "energies": len(arf.area),
    }
