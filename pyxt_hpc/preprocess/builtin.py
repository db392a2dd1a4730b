"""Stages 1 to 4 without CIAO: from level-2 event files on disk to the bundle."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from tqdm import tqdm

from pyxt_hpc.bundle import Bundle, stamped, write_bundle
from pyxt_hpc.chandra.events import read_sky_wcs
from pyxt_hpc.chandra.regionfile import RegionFile, read_regions
from pyxt_hpc.chandra.regions import contains
from pyxt_hpc.chandra.response import Arf, Rmf, check_match, read_arf, read_rmf
from pyxt_hpc.chandra.skygrid import SkyGrid
from pyxt_hpc.config import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.images import counts_of, write_images
from pyxt_hpc.preprocess.inputs import ClusterInputs, find_inputs
from pyxt_hpc.preprocess.observation import (
    ObservationSummary,
    ReducedObservation,
    Selection,
    reduce_observation,
)
from pyxt_hpc.preprocess.pictures import CleanedCurve, draw_light_curves

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProcessSummary:
    """What preprocessing made: the bundle, its grid (ny, nx), and a line for every observation."""

    bundle: Path
    shape: tuple[int, int]
    live_pixels: int
    counts: int
    observations: tuple[ObservationSummary, ...]


def process_data(config: ClusterConfig, layout: Layout) -> ProcessSummary:
    """Make the bundle and the images of a cluster from the files in its folder.

    The bundle appears last: as long as it is absent or old, the stage is not done.

    Raises
    ------
    MissingInput
        Files are missing; all of them are named, with who provides them.
    PyxtError
        Any other: a damaged file, wrong syntax of regions, responses that do not fit, an empty crop.
    """
    inputs = find_inputs(layout, config.observation_ids)
    sources, crop = read_regions(inputs.sources), read_regions(inputs.crop)
    responses = [_read_responses(o.arf, o.rmf) for o in inputs.observations]
    frames = _common_frames(inputs, (sources, crop))
    grid = SkyGrid.around(crop, frames)
    selection = Selection(
        grid=grid,
        live=_live_pixels(grid, crop, sources, frames),
        sources=sources,
        frames=frames,
        energy_min_keV=config.energy_min_keV,
        energy_max_keV=config.energy_max_keV,
    )
    log.info("grid of %d x %d pixels, %d in the crop", *grid.shape, selection.live.sum())

    reduced: list[ReducedObservation] = []
    pairs = list(zip(inputs.observations, responses, strict=True))
    # disable=None: no bar where standard error is not a terminal
    for observation, (arf, rmf) in tqdm(pairs, desc="observations", unit="obs", disable=None):
        result = reduce_observation(observation, selection, arf, rmf)
        draw_light_curves(
            [CleanedCurve("9-12 keV", result.curve, result.cleaning)],
            f"ObsID {observation.obsid}",
            layout.light_curve_plot(observation.obsid),
        )
        reduced.append(result)

    bundle = stamped(_assemble(config, grid, reduced))
    write_images(bundle, layout)
    write_bundle(layout.bundle, bundle)
    return ProcessSummary(
        bundle=layout.bundle,
        shape=grid.shape,
        live_pixels=int(bundle.mask.sum()),
        counts=int(bundle.counts.sum()),
        observations=tuple(result.summary for result in reduced),
    )


def _read_responses(arf_path: Path, rmf_path: Path) -> tuple[Arf, Rmf]:
    arf, rmf = read_arf(arf_path), read_rmf(rmf_path)
    check_match(arf, rmf, str(arf_path), str(rmf_path))
    return arf, rmf


def _common_frames(inputs: ClusterInputs, regions: tuple[RegionFile, ...]) -> Mapping[str, WCS]:
    """The sky frame that physical coordinates are in, if all observations share one.

    Every observation has its own tangent point: a circle in the pixels of one is elsewhere in another.
    """
    if not any(shape.system == "physical" for region in regions for shape in region.shapes):
        return {}
    frames = [read_sky_wcs(o.events) for o in inputs.observations]
    first = frames[0].wcs
    same = all(
        np.allclose(getattr(frame.wcs, key), getattr(first, key), rtol=0, atol=1e-7)
        for frame in frames
        for key in ("crval", "crpix", "cdelt")
    )
    return {"physical": frames[0]} if same else {}


def _live_pixels(
    grid: SkyGrid, crop: RegionFile, sources: RegionFile, frames: Mapping[str, WCS]
) -> NDArray[np.bool_]:
    """Pixels (ny, nx) whose centre is in the crop and of which neither centre nor corner is in a source."""
    centres = grid.centres()
    live = contains(crop, *centres, frames) & ~contains(sources, *centres, frames)
    hit = contains(sources, *grid.corners(), frames)
    live &= ~(hit[:-1, :-1] | hit[1:, :-1] | hit[:-1, 1:] | hit[1:, 1:])
    if not live.any():
        raise EmptySelection(f"{crop.path}: no pixel of the crop is outside {sources.path}; draw both again")
    return live


def _assemble(config: ClusterConfig, grid: SkyGrid, reduced: list[ReducedObservation]) -> Bundle:
    observations = tuple(result.bundled for result in reduced)
    counts = np.zeros(grid.shape, dtype=np.int32)
    mask = np.zeros(grid.shape, dtype=np.uint8)
    background, variance = np.zeros(grid.shape), np.zeros(grid.shape)
    for o in observations:
        counts += counts_of(o.event_indptr, grid.shape)
        blank_sky = counts_of(o.background_indptr, grid.shape)
        background += o.background_scale * blank_sky
        variance += o.background_scale**2 * blank_sky
        mask |= o.mask
    return Bundle(
        name=config.name,
        redshift=config.redshift,
        nH=config.nH,
        abundance=config.abundance,
        absorption=config.absorption,
        abundance_table=config.abundance_table,
        energy_min_keV=config.energy_min_keV,
        energy_max_keV=config.energy_max_keV,
        wcs_header=grid.header().tostring(endcard=False, padding=False),
        pixel_scale_arcsec=grid.pixel_scale_arcsec,
        counts=counts,
        background=background.astype(np.float32),
        background_variance=variance.astype(np.float32),
        mask=mask,
        observations=observations,
    )
