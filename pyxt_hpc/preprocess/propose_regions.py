"""Between stages 1 and 2: propose the region files that a person has not drawn."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from astropy.wcs import WCS

from pyxt_hpc.chandra.events import read_header
from pyxt_hpc.chandra.keywords import optical_axis
from pyxt_hpc.chandra.kinds import Dataset
from pyxt_hpc.chandra.sky.geometry import chip_outlines, read_geometry
from pyxt_hpc.chandra.sky.skygrid import PIXEL_SCALE_ARCSEC
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.detect.proposal_files import (
    crop_text,
    exclude_text,
    is_untouched,
    response_text,
    sources_text,
    write_proposals,
)
from pyxt_hpc.detect.region_proposals import Chips, FieldImages, SkyCircle, propose, response_circles
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.files.quoting import several, told_once
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.backend import ciao_part
from pyxt_hpc.preprocess.ciao.plans.detection import SOURCES
from pyxt_hpc.preprocess.images.proposal_plot import draw_proposal
from pyxt_hpc.preprocess.inputs.response_pairing import find_datasets
from pyxt_hpc.preprocess.inputs.supplied import need
from pyxt_hpc.preprocess.inputs.wavdetect_sources import outside_core, read_sources
from pyxt_hpc.steps import Facts, StageResult, Step, run_if_outdated

log = logging.getLogger(__name__)

STAGE = "propose-regions"


def propose_regions(config: ClusterConfig, layout: Layout, *, force: bool = False) -> StageResult:
    """Write the missing region files, and a picture of all proposals.

    If the merged images have changed, proposals that nobody has edited are made again.

    Returns ``files``, a line for each file. Raises MissingInput if the merged images of stage 1 are missing;
    EmptySelection if no extended emission is found.
    """
    ciao_part(STAGE, config, layout, force=force)
    drawn = [layout.sources_reg, layout.exclude_reg, layout.crop_reg]
    geometries = [layout.geometry(obsid) for obsid in config.observation_ids]
    need("pyxt-hpc process-data", *_images(layout), *geometries)
    datasets = find_datasets(config, layout)
    circles = [layout.response_region(dataset.name) for dataset in datasets]
    # If all regions are drawn by hand, detection is skipped, and cannot fail.
    by_hand = all(check_regular(path) and not is_untouched(path) for path in drawn)
    found = [layout.detection / SOURCES] if config.detection == "wavdetect" else []
    step = Step(
        name=STAGE,
        record=layout.step_record(STAGE),
        inputs=tuple(geometries) if by_hand else (*_images(layout), *geometries, *found),
        settings={
            "by hand": by_hand,
            "detection": config.detection,
            "response_places": config.response_places,
        },
        outputs=() if by_hand else (layout.proposal_picture,),
    )
    incomplete = any(not check_regular(path) for path in (*drawn, *circles))
    outcome = run_if_outdated(
        step, lambda: _propose(layout, datasets, by_hand, *found), force=force or incomplete
    )
    made = outcome.reason is not None
    written = outcome.facts["written"] if made else ()

    def state(path: Path) -> str:
        return f"{path}: {'written' if str(path) in written else _whose(path)}"

    said = list(map(state, drawn))
    of_dataset = ((dataset.name, state(path)) for dataset, path in zip(datasets, circles, strict=True))
    said += [text for _, text in told_once(of_dataset)]
    if made and not by_hand:
        sources = several(outcome.facts["sources"], "point source")
        said.append(f"{layout.proposal_picture}: {sources} found; look at it")
    return StageResult(made, {}, {"files": said})


def _propose(
    layout: Layout, datasets: Sequence[Dataset], by_hand: bool, list_of: Path | None = None
) -> Facts:
    responses: dict[str, SkyCircle] = {}
    for whole, own in groupby(datasets, key=lambda dataset: dataset.whole):
        names = [dataset.name for dataset in own]
        circles = response_circles(_chips(layout, whole), len(names))
        responses |= zip(names, circles, strict=True)
    texts = {layout.response_region(name): response_text(circle) for name, circle in responses.items()}
    if by_hand:
        return {"written": list(map(str, write_proposals(texts)))}
    images = read_field_images(layout)
    proposal = propose(images)
    if list_of is not None and check_regular(list_of):
        sources = read_sources(list_of)
        kept = outside_core(sources, proposal.core)
        in_core = len(sources) - len(kept)
        log.info("wavdetect found %d sources, of which %d are the core of the cluster", len(sources), in_core)
        proposal = replace(proposal, sources=kept)
    texts |= {
        layout.sources_reg: sources_text(proposal),
        layout.exclude_reg: exclude_text(proposal),
        layout.crop_reg: crop_text(proposal),
    }
    written = write_proposals(texts)
    draw_proposal(proposal, responses, images, layout.proposal_picture)
    return {"written": list(map(str, written)), "sources": len(proposal.sources)}


def _chips(layout: Layout, dataset: Dataset) -> Chips:
    geometry = read_geometry(layout.geometry(dataset.obsid)).of_chips(dataset.chips)
    header = read_header(layout.filtered_events(dataset.obsid), ours=True)
    return Chips(chip_outlines(geometry), optical_axis(header))


def read_field_images(layout: Layout) -> FieldImages:
    """The merged images of stage 1."""
    values = []
    for path in _images(layout):
        again = "make it again: pyxt-hpc process-data --force"
        with open_fits(path, "merged image", again, ours=True) as hdus:
            values.append(hdus[0].data.astype(hdus[0].data.dtype.newbyteorder("=")))
            wcs = WCS(hdus[0].header)
    counts, exposure, background, psf = values
    return FieldImages(
        counts=counts,
        exposure=exposure.astype(float),
        psf_r90_pixels=psf.astype(float),
        wcs=wcs,
        pixel_scale_arcsec=PIXEL_SCALE_ARCSEC,
        background=background.astype(float) if background.any() else None,
    )


def _images(layout: Layout) -> tuple[Path, ...]:
    return layout.merged_counts, layout.merged_exposure, layout.merged_background, layout.merged_psf


def _whose(path: Path) -> str:
    return "proposed before, kept" if is_untouched(path) else "yours, kept"
