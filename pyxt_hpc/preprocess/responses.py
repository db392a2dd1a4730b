"""Stage 3: the responses of every observation, supplied by a person or CIAO, checked against its events."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.response import check_area_once, check_match, read_arf, read_rmf
from pyxt_hpc.config import ClusterConfig
from pyxt_hpc.errors import ResponseMismatch
from pyxt_hpc.files import replacing
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.checks import check_channels
from pyxt_hpc.preprocess.inputs import find_responses, need
from pyxt_hpc.preprocess.remove import STAGE as BEFORE
from pyxt_hpc.steps import Facts, StageOutcome, Step, carry_out

STAGE = "generate-responses"
_PROBE_KEV = 1.5  # where the area is told


def generate_responses(config: ClusterConfig, layout: Layout, *, again: bool = False) -> StageOutcome:
    """Check ARF and RMF of every observation and put them where the bundle takes them from.

    The area of a region away from the axis is not in these files: stage 4 has the vignetting and the live
    share of every pixel, from which every region gets the area of its own place.

    Returns
    -------
    StageOutcome
        With the facts of `_check_responses` of each ObsID.

    Raises
    ------
    MissingInput
        Files are missing; all are named.
    ResponseMismatch
        ARF, RMF and the events do not share energies or channels, or the band is not covered.
    """
    found = find_responses(config, layout)
    need(*((layout.clean_events(o), f"pyxt-hpc {BEFORE}") for o in config.observation_ids))
    outcomes = {}
    for obsid, (arf, rmf) in tqdm(found.items(), desc=STAGE, unit="obs", disable=None):
        outputs = (layout.response(obsid, "arf"), layout.response(obsid, "rmf"))
        step = Step(
            name=f"{STAGE} of ObsID {obsid}",
            record=layout.step_record(STAGE, obsid),
            inputs=(arf, rmf, layout.clean_events(obsid)),
            settings={"energy_min": config.energy_min_keV, "energy_max": config.energy_max_keV},
            outputs=outputs,
        )
        outcomes[obsid] = carry_out(
            step, partial(_check_responses, obsid, (arf, rmf), config, layout), again=again
        )
    return StageOutcome.of(outcomes)


def _check_responses(obsid: str, paths: tuple[Path, Path], config: ClusterConfig, layout: Layout) -> Facts:
    arf_path, rmf_path = paths
    arf, rmf = read_arf(arf_path), read_rmf(rmf_path)
    check_match(arf, rmf, str(arf_path), str(rmf_path))
    check_area_once(str(arf_path), rmf, str(rmf_path))
    events = read_events(layout.clean_events(obsid), ours=True)
    check_channels(events, rmf, rmf_path)
    band = config.energy_min_keV, config.energy_max_keV
    if arf.energy_lo[0] > band[0] or arf.energy_hi[-1] < band[1]:
        raise ResponseMismatch(
            f"{arf_path}: energies {arf.energy_lo[0]:.2f}-{arf.energy_hi[-1]:.2f} keV, but the band is "
            f"{band[0]:g}-{band[1]:g} keV; make it for 0.3-11 keV, or change energy_min and energy_max"
        )
    for path, suffix in ((arf_path, "arf"), (rmf_path, "rmf")):
        with replacing(layout.response(obsid, suffix)) as temporary:
            shutil.copyfile(path, temporary)
    middle = 0.5 * (arf.energy_lo + arf.energy_hi)
    return {
        "arf": str(arf_path),
        "rmf": str(rmf_path),
        "area_cm2": float(np.interp(_PROBE_KEV, middle, arf.area)),
        "channels": rmf.n_channels,
        "energies": len(arf.area),
    }
