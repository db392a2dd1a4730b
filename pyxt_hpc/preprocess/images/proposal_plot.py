"""A picture of the proposed regions on the image in which they were found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
from astropy.wcs import WCS
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.detect.region_proposals import FieldImages, Proposal, SkyBox, SkyCircle, SkyEllipse
from pyxt_hpc.files.quoting import several
from pyxt_hpc.files.writing import replacing

_SMOOTHING = 1.5  # pixels
# Okabe & Ito (2008): distinct for colour-blind readers; line styles differ, too.
_STYLES: dict[str, tuple[str, Literal["-", "--", "-."]]] = {
    "point sources": ("#56b4e9", "-"),
    "core (exclude.reg)": ("#f0e442", "--"),
    "responses": ("#009e73", "-."),
    "crop box": ("#d55e00", "-"),
}


def draw_proposal(
    proposal: Proposal, responses: Mapping[str, SkyCircle], images: FieldImages, path: Path
) -> None:
    """Draw the exposure-corrected, smoothed image with all regions into a PNG file.

    ``responses``: the circle of each dataset's responses, by its name.
    """
    brightness = _brightness(images)
    figure = Figure(figsize=(8.2, 7.6), dpi=130, layout="constrained")
    axes = figure.add_subplot(projection=images.wcs)
    low, high = np.nanpercentile(brightness, [1, 99.9])
    middle = np.nanmedian(brightness)
    picture = axes.imshow(
        np.ma.masked_invalid(brightness),
        origin="lower",
        cmap=mpl.colormaps["gray"].with_extremes(bad="0.25"),
        norm=AsinhNorm(max(float(middle - low), 0.01 * float(high - low), 1e-300), float(low), float(high)),
        interpolation="nearest",
    )
    axes.set_xlabel("Right ascension (ICRS)")
    axes.set_ylabel("Declination (ICRS)")
    axes.coords[0].set_ticklabel(exclude_overlapping=True)
    figure.colorbar(picture, ax=axes, label="count s$^{-1}$ arcmin$^{-2}$, smoothed", shrink=0.8)
    _outline(axes, images, "point sources", proposal.sources)
    _outline(axes, images, "core (exclude.reg)", [proposal.core])
    _outline(axes, images, "crop box", [proposal.crop])
    _outline(axes, images, "responses", list(responses.values()))
    for name, circle in responses.items():
        _name(axes, images, circle, name)
    axes.set_title(several(len(proposal.sources), "point source"))
    axes.legend(loc="upper right", facecolor="0.15", labelcolor="white", framealpha=0.8)
    rows, cols = bounding_box(np.isfinite(brightness))
    axes.set_xlim(cols.start - 5, cols.stop + 4)
    axes.set_ylim(rows.start - 5, rows.stop + 4)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def _brightness(images: FieldImages) -> NDArray[np.float64]:
    """Smoothed counts over smoothed exposure [count s^-1 arcmin^-2]; NaN where nothing was seen."""
    exposure = gaussian_filter(images.exposure.astype(float), _SMOOTHING, mode="constant")
    counts = gaussian_filter(images.counts.astype(float), _SMOOTHING, mode="constant")
    seen = (images.exposure > 0) & (exposure > 0.02 * exposure.max())
    area = (images.pixel_scale_arcsec / 60.0) ** 2
    return np.divide(counts, exposure * area, out=np.full(counts.shape, np.nan), where=seen)


def _outline(
    axes: Axes, images: FieldImages, kind: str, shapes: Sequence[SkyCircle | SkyEllipse | SkyBox]
) -> None:
    colour, style = _STYLES[kind]
    for number, shape in enumerate(shapes):
        x, y = _curve(shape, images.wcs)
        label = None if number else kind
        axes.plot(x, y, color=colour, linestyle=style, linewidth=1.2, label=label)


def _curve(shape: SkyCircle | SkyEllipse | SkyBox, wcs: WCS) -> tuple[NDArray, NDArray]:
    """Outline of a shape in pixels from 0."""
    angle = np.linspace(0.0, 2.0 * np.pi, 73)
    if isinstance(shape, SkyCircle):
        west, north = shape.radius * np.cos(angle), shape.radius * np.sin(angle)
    elif isinstance(shape, SkyEllipse):
        along, across = shape.semi_major * np.cos(angle), shape.semi_minor * np.sin(angle)
        cosine, sine = np.cos(np.radians(shape.angle)), np.sin(np.radians(shape.angle))
        west, north = cosine * along - sine * across, sine * along + cosine * across
    else:
        west = 0.5 * shape.width * np.array([-1, 1, 1, -1, -1])
        north = 0.5 * shape.height * np.array([-1, -1, 1, 1, -1])
    ra, dec = tangent_plane(shape.ra, shape.dec, 1.0).wcs_pix2world(west, north, 0)
    return wcs.wcs_world2pix(ra, dec, 0)


def _name(axes: Axes, images: FieldImages, circle: SkyCircle, name: str) -> None:
    x, y = _curve(circle, images.wcs)
    text = axes.text(x.max(), y.mean(), f" {name}", color="white", va="center", fontsize=8)
    text.set_path_effects([withStroke(linewidth=2.0, foreground="black")])
