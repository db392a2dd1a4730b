"""The merged image of all observations, with the outlines of region files."""

from typing import Any

import numpy as np
from astropy.wcs import WCS
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.chandra.regions.sky import contains_pixels
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.plots.maps.pictures import block_means
from pyxt_hpc.preprocess.inputs.drawn_regions import RegionReader
from pyxt_hpc.report.figures.maps import PageMap, add_image, scale_edges
from pyxt_hpc.report.figures.payload import PackedArrays

_FINE = 2
"""Number of points per pixel side from which outlines are drawn."""

_LARGE = 1200
"""Number of pixels of a side above which one point must do: 60 fields would take gigabytes."""


def add_field(config: ClusterConfig, bundle: Bundle, payload: PackedArrays) -> tuple[PageMap, dict[str, Any]]:
    """The image for the page's JavaScript, its coordinates, and the outlines of region files.

    Without the merged images, as on a machine that only has the bundle, the image is that of the bundle.
    """
    layout = Layout.of(config)
    remark = ""
    if check_regular(layout.merged_brightness) and check_regular(layout.merged_exposure):
        with open_fits(layout.merged_brightness, "merged image", "make it again", ours=True) as hdus:
            values, header = hdus[0].data.astype(np.float32), hdus[0].header
        wcs, whole = WCS(header), True
    else:
        values, wcs, whole = bundle.brightness, bundle.wcs, False
        remark = "The merged images of the field are not on this machine: this image shows the analysed part."
    rows, cols = bounding_box(np.isfinite(values))
    values = values[: rows.stop, : cols.stop]
    small = block_means(values[rows.start :, cols.start :], 2, integer=False)
    seen = small[np.isfinite(small)]
    low, middle, high = (float(v) for v in np.percentile(seen, [1, 50, 99.8]))
    scale = AsinhNorm(max(middle - low, 0.01 * (high - low), 1e-300), low, high)
    colours = {"map": "gray", "edges": scale_edges(scale), "logarithmic": False}
    comment = "(counts - background)/exposure"
    made = PageMap("field", "Brightness", "count s-1 arcmin-2", comment, colours)
    limits = np.percentile(seen, [0.02, 99.98])
    made.image = add_image(made, np.clip(values, *limits), rows.start, cols.start, payload)
    outlines: list[dict[str, Any]] = []
    if whole:
        outlines, problems = _drawn(config, layout, values.shape, wcs)
        remark = " ".join(problems)
    return made, {"wcs": tangent(wcs), "outlines": outlines, "remark": remark}


def tangent(wcs: WCS) -> dict[str, Any]:
    """Parameters of a tangential projection: reference pixel (from 0), its position [deg], CD matrix."""
    assert list(wcs.wcs.ctype) == ["RA---TAN", "DEC--TAN"], "all images of this package are tangential"
    return {
        "pixel": [float(v) - 1.0 for v in wcs.wcs.crpix],
        "sky": [float(v) for v in wcs.wcs.crval],
        "cd": [[float(v) for v in line] for line in wcs.pixel_scale_matrix],
    }


def _drawn(
    config: ClusterConfig, layout: Layout, shape: tuple[int, ...], wcs: WCS
) -> tuple[list[dict[str, Any]], list[str]]:
    found: list[dict[str, Any]] = []
    problems = []
    for kind, path in (
        ("sources", layout.sources_reg),
        ("core", layout.exclude_reg),
        ("crop", layout.crop_reg),
        ("background", layout.background_reg),
    ):
        if not check_regular(path):
            continue
        try:
            reader = RegionReader.of(layout, config.observation_ids)
            region = reader.read(path)
            # FITS pixels count from 1.
            fine = 1 if max(shape) > _LARGE else _FINE
            y, x = (1.0 + (np.arange(-fine, fine * (n + 1)) + 0.5) / fine - 0.5 for n in shape)
            inside = contains_pixels(region, wcs, *np.meshgrid(x, y), reader.frames)
        except PyxtError as error:
            problems.append(f"{path.name} is not drawn: {error}")
            continue
        found.append({"kind": kind, "file": path.name, "lines": _outlines(inside, x - 1.0, y - 1.0)})
    return found, problems


def _outlines(inside: NDArray[np.bool_], x: NDArray, y: NDArray) -> list[list[float]]:
    """Closed lines around a mask: alternating x and y of their corners [pixels from 0]."""
    axes = Figure().subplots()
    (segments,) = axes.contour(x, y, inside.astype(np.float32), levels=[0.5]).allsegs
    return [[round(float(v), 2) for v in line.ravel()] for line in segments]
