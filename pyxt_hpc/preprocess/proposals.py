"""Between stages 1 and 2: the region files that a person would draw, proposed where there are none."""

from pathlib import Path

from astropy.wcs import WCS

from pyxt_hpc.chandra.fitsfile import open_fits
from pyxt_hpc.chandra.geometry import chip_outlines, read_geometry
from pyxt_hpc.chandra.skygrid import PIXEL_SCALE_ARCSEC
from pyxt_hpc.config import ClusterConfig
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.inputs import need
from pyxt_hpc.preprocess.process import STAGE as BEFORE
from pyxt_hpc.preprocess.proposal_picture import draw_proposal
from pyxt_hpc.preprocess.propose import (
    FieldImages,
    crop_text,
    exclude_text,
    is_untouched,
    propose_regions,
    response_text,
    sources_text,
    write_proposals,
)
from pyxt_hpc.steps import StageOutcome


def propose_region_files(config: ClusterConfig, layout: Layout, *, again: bool = False) -> StageOutcome:
    """Write the region files that are missing, and a picture of all that is proposed.

    Parameters
    ----------
    config, layout
        The cluster, after stage 1.
    again
        Also replace those that were proposed before and not changed since.

    Returns
    -------
    StageOutcome
        With ``files``: a line for each.

    Raises
    ------
    MissingInput
        The merged images of stage 1 are missing.
    EmptySelection
        No extended emission is found.
    """
    files = [layout.sources_reg, layout.exclude_reg, layout.crop_reg]
    files += [layout.response_region(obsid) for obsid in config.observation_ids]
    need(*((path, f"pyxt-hpc {BEFORE}") for path in _images(layout)))
    if not again and all(path.is_file() for path in files):
        return StageOutcome(False, {}, {"files": [f"{path}: {_whose(path)}" for path in files]})
    images = read_field_images(layout)
    outlines = {o: chip_outlines(read_geometry(layout.geometry(o))) for o in config.observation_ids}
    proposal = propose_regions(images, outlines)
    texts = {
        layout.sources_reg: sources_text(proposal),
        layout.exclude_reg: exclude_text(proposal),
        layout.crop_reg: crop_text(proposal),
        **{layout.response_region(obsid): response_text(proposal, obsid) for obsid in outlines},
    }
    outcome = write_proposals(texts, again=again)
    draw_proposal(proposal, images, layout.proposal_picture)
    said = [f"{path}: {'written' if path in outcome.written else f'{_whose(path)}, kept'}" for path in files]
    said.append(f"{layout.proposal_picture}: {len(proposal.sources)} point sources found; look at it")
    return StageOutcome(bool(outcome.written), {}, {"files": said})


def read_field_images(layout: Layout) -> FieldImages:
    """The merged images of stage 1."""
    values = []
    for path in _images(layout):
        with open_fits(path, "merged image", f"make it again: pyxt-hpc {BEFORE} --force") as hdus:
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
    return "proposed" if is_untouched(path) else "yours"
