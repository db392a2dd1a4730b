"""Bins of a bundle that share no pixel, by the configured method."""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np

from pyxt_hpc.binning.bins import paint_signal_to_noise, signal_to_noise, sums_of
from pyxt_hpc.binning.contour import contour_bins
from pyxt_hpc.binning.geometric import (
    annuli_of_radii,
    annuli_of_signal,
    elliptical_radius,
    grid_bins,
    sector_of,
)
from pyxt_hpc.binning.smoothing import accumulative_smoothing
from pyxt_hpc.binning.voronoi import voronoi_bins
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.config.parsers import PSF
from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.files.text import resolved, user_path
from pyxt_hpc.files.writing import with_gz
from pyxt_hpc.layout import Layout


class Unbinned(IntEnum):
    """Reason why a pixel is in no bin."""

    IN_BIN = 0
    DEAD = 1
    """No observation sees the pixel, or it is in a source."""
    OUTSIDE = 2
    """The pixel is outside all annuli, or outside the bins of the file."""
    NO_SIGNAL = 3
    """No bin with the pixel reaches the S/N, or none up to the size ``largest``."""


BY_SIGNAL = ("contour", "voronoi", "annuli")
"""Methods that require the S/N."""


@dataclass(frozen=True, eq=False)
class LabelBins:
    """Bins of a cluster.

    Attributes
    ----------
    labels : (ny, nx) int32
        Number of every pixel's bin; 0 without a bin.
    signal_to_noise : (ny, nx) float32
        S/N of every pixel's bin.
    unbinned : (ny, nx) uint8
        `Unbinned` of every pixel.
    """

    labels: np.ndarray
    signal_to_noise: np.ndarray
    unbinned: np.ndarray


def bin_file(config: ClusterConfig) -> Path:
    """Path of the file of the method ``file``, which may be relative to the configuration."""
    return with_gz(resolved(config.path).parent / user_path(config.bin_file))


def bin_inputs(config: ClusterConfig) -> tuple[Path, ...]:
    """Files, other than the bundle, on which the regions depend."""
    files = []
    if config.bin_method == "file":
        files.append(bin_file(config))
    if config.minimum_radius == PSF:
        files.append(Layout.of(config).merged_psf)
    return tuple(files)


def label_bins(bundle: Bundle, config: ClusterConfig) -> LabelBins:
    """Make the bins of a bundle by any method except ``circles``.

    Their S/N is defined as for circles, (C - B)/sqrt(C + B).

    Raises
    ------
    EmptySelection
        If there is no bin.
    MissingInput, DamagedFile
        If a file that the method needs is missing or unreadable.
    ConfigError
        If the method cannot be applied to this bundle.
    """
    live = bundle.mask > 0
    labels = _made(bundle, config)
    by_signal = config.bin_method in BY_SIGNAL and not (config.bin_method == "annuli" and config.radii)
    if not labels.any():
        raise EmptySelection(
            f"{bundle.name}: no bin reaches S/N {config.signal_to_noise:g}: lower signal_to_noise_threshold "
            f"in {config.path}"
            if by_signal
            else f"{bundle.name}: no bin by [binning] method = {config.bin_method} contains a live pixel: "
            f"correct its keys in {config.path}"
        )
    unbinned = np.where(labels > 0, Unbinned.IN_BIN, Unbinned.NO_SIGNAL if by_signal else Unbinned.OUTSIDE)
    unbinned[~live] = Unbinned.DEAD
    reached = paint_signal_to_noise(bundle.counts, bundle.background, bundle.background, labels)
    return LabelBins(labels, reached, unbinned.astype(np.uint8))


def min_radius(bundle: Bundle, config: ClusterConfig) -> np.ndarray:
    """Smallest radius (ny, nx) of circles [pixels]; the smallest area of bins is that of such a circle.

    Raises
    ------
    MissingInput, DamagedFile
        If the radius depends on the point spread, and the map of stage 1 is missing or unreadable.
    """
    if config.minimum_radius != PSF:
        return np.full(bundle.mask.shape, config.minimum_radius)
    from astropy.wcs import WCS  # every rank loads this module, and most need no coordinates
    from astropy.wcs.utils import proj_plane_pixel_scales

    from pyxt_hpc.files.fits import open_fits

    hint = f"run `pyxt-hpc process-data -c {config.path}`, or give minimum_radius in pixels"
    with open_fits(Layout.of(config).merged_psf, "map of the point spread", hint) as hdus:
        radius, wcs = np.array(hdus[0].data, float), WCS(hdus[0].header)
    row, col = np.indices(bundle.mask.shape)
    x, y = wcs.all_world2pix(*bundle.wcs.all_pix2world(col.ravel(), row.ravel(), 0), 0)
    x, y = (
        np.clip(np.rint(v), 0, n - 1).astype(int)
        for v, n in zip((x, y), (radius.shape[1], radius.shape[0]), strict=True)
    )
    arcsec = 3600.0 * float(np.mean(proj_plane_pixel_scales(wcs)))
    return radius[y, x].reshape(bundle.mask.shape) * arcsec / bundle.pixel_scale_arcsec


def _made(bundle: Bundle, config: ClusterConfig) -> np.ndarray:
    if config.bin_method == "grid":
        return grid_bins(bundle.mask, config.grid_side)
    if config.bin_method == "file":
        from pyxt_hpc.stages.bins.bin_file import read_bins  # ranks that read no regions start faster

        return read_bins(bin_file(config), bundle)
    images = bundle.counts, bundle.background, bundle.background, bundle.mask
    target = config.signal_to_noise
    needed = np.maximum(np.pi * min_radius(bundle, config) ** 2, config.smallest)
    if config.bin_method == "contour":
        return contour_bins(
            *images,
            target,
            constraint=config.constraint,
            smoothing=config.smoothing_signal_to_noise,
            min_area=needed,
            largest=config.largest,
            exposure=bundle.exposure,
        )
    if config.bin_method == "voronoi":
        return voronoi_bins(*images, target, min_area=needed, largest=config.largest)
    row, col = _centre(bundle, config)
    shape, north = bundle.mask.shape, _north(bundle, row, col)
    ellipse = config.axis_ratio, np.radians(config.position_angle) + north
    radius = elliptical_radius(shape, row, col, *ellipse)
    sector = sector_of(shape, row, col, config.sectors, np.radians(config.first_sector) + north)
    if config.radii:
        edges = np.array(config.radii) / bundle.pixel_scale_arcsec
        return annuli_of_radii(bundle.mask, radius, sector, edges)
    return annuli_of_signal(*images, target, radius, sector, needed)


def _centre(bundle: Bundle, config: ClusterConfig) -> tuple[float, float]:
    """Row and column of the centre of annuli."""
    if config.centre is None:
        images = bundle.counts, bundle.background, bundle.background, bundle.mask
        smooth = accumulative_smoothing(*images, config.signal_to_noise, bundle.exposure)
        peak = np.unravel_index(np.argmax(np.where(bundle.mask > 0, smooth, -np.inf)), smooth.shape)
        return float(peak[0]), float(peak[1])
    col, row = (float(v) for v in bundle.wcs.all_world2pix(*config.centre, 0))
    ny, nx = bundle.mask.shape
    if not (0 <= row < ny and 0 <= col < nx):
        raise ConfigError(
            f"{config.path}: [binning] centre is at row {row:.0f}, column {col:.0f}, outside the image of "
            f"{ny} x {nx} pixels: correct it"
        )
    return row, col


def _north(bundle: Bundle, row: float, col: float) -> float:
    """Angle [rad] of north at a pixel, from the direction of rows to that of falling columns."""
    wcs = bundle.wcs
    ra, dec = wcs.all_pix2world(col, row, 0)
    x, y = wcs.all_world2pix(ra, dec + 1e-3, 0)
    return float(np.arctan2(-(x - col), y - row))


@dataclass(frozen=True)
class BinsSummary:
    """Summary of the bins of stage 5, for the last lines on the screen."""

    method: str
    bins: int
    live_pixels: int
    unbinned: dict[Unbinned, int]
    """Number of live pixels without a bin, by reason."""
    signal_to_noise: tuple[float, float, float]
    """The 5th, 50th and 95th percentile of the bins' S/N."""
    median_area: float
    seconds: float


def summary_of(bundle: Bundle, config: ClusterConfig, made: LabelBins, seconds: float) -> BinsSummary:
    """Summarise the bins of a bundle."""
    live = bundle.mask > 0
    sums = sums_of(made.labels, [bundle.counts, bundle.background, bundle.background, live])
    used = np.flatnonzero(sums[3] > 0)
    used = used[used > 0]
    reached = np.percentile(signal_to_noise(*sums[:3, used]), [5, 50, 95])
    return BinsSummary(
        method=config.bin_method,
        bins=len(used),
        live_pixels=int(np.count_nonzero(live)),
        unbinned={
            why: n
            for why in (Unbinned.OUTSIDE, Unbinned.NO_SIGNAL)
            if (n := int(np.count_nonzero(made.unbinned == why)))
        },
        signal_to_noise=(float(reached[0]), float(reached[1]), float(reached[2])),
        median_area=float(np.median(sums[3, used])),
        seconds=seconds,
    )
