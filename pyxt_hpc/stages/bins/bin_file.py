"""Bins from a file: a label image of another program, or DS9 regions."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.chandra.regions.sky import contains_pixels, read_regions
from pyxt_hpc.chandra.regions.table import is_fits
from pyxt_hpc.errors import ConfigError, DamagedFile, EmptySelection, MissingInput
from pyxt_hpc.files.fits import open_fits, wcs_of
from pyxt_hpc.files.quoting import one_line
from pyxt_hpc.files.writing import check_regular

log = logging.getLogger(__name__)

_HINT = "name a label image or DS9 regions with [binning] file"

_MAX_NUMBER = 10**8
"""Upper limit of bin numbers, which keeps tables by number small."""

_SHOWN = 10
"""Largest count of numbers in a message."""


def read_bins(path: Path, bundle: Bundle) -> np.ndarray:
    """Label image of the bundle's live pixels from a file.

    A label image is mapped to the bundle's pixels by its sky coordinates; without any, it must have the
    bundle's shape. Its numbers are kept, and 0 is no bin, unless some are negative (contbin): then negative
    pixels are no bin, and all other numbers increase by one. Each shape of a region file is a bin, numbered
    from 1; a pixel in several shapes belongs to the first, and excluded pixels to none.

    Returns
    -------
    (ny, nx) int32
        Numbers of bins; 0 for pixels without a bin.

    Raises
    ------
    MissingInput, DamagedFile
        If the file is missing or unreadable.
    ConfigError, RegionSyntaxError
        If it is not a label image on the bundle's sky, or its regions cannot be parsed.
    EmptySelection
        If no bin contains a live pixel.
    """
    if not check_regular(path):
        raise MissingInput(f"{path} is missing: {_HINT}")
    labels = _from_image(path, bundle) if _is_image(path) else _from_regions(path, bundle)
    labels = np.where(bundle.mask > 0, labels, 0).astype(np.int32)
    if not labels.any():
        raise EmptySelection(f"{path}: no bin contains a live pixel of {bundle.name}: {_HINT}")
    return labels


def _is_image(path: Path) -> bool:
    if not is_fits(path):
        return False
    with open_fits(path, "label image", _HINT) as hdus:
        axes = [hdu.header.get("NAXIS", 0) for hdu in hdus if hdu.is_image]
    if 2 not in axes and max(axes, default=0) > 0:
        raise ConfigError(f"{path}: its image has {max(axes)} axes, expected a label image with 2: {_HINT}")
    return 2 in axes


def _from_image(path: Path, bundle: Bundle) -> np.ndarray:
    with open_fits(path, "label image", _HINT) as hdus:
        hdu = next(hdu for hdu in hdus if hdu.is_image and hdu.header.get("NAXIS") == 2)
        values, header = np.array(hdu.data), hdu.header
    blank = np.zeros(values.shape, bool)
    if not np.issubdtype(values.dtype, np.integer):
        blank = ~np.isfinite(values)  # no bin, even if 0 is one
        values = np.where(blank, 0.0, values)
        if np.any(values != np.round(values)):
            raise ConfigError(f"{path}: its pixels are not integers, expected numbers of bins: {_HINT}")
    if values.max() >= _MAX_NUMBER:
        raise ConfigError(f"{path}: its largest number is {values.max():g}, expected less than {_MAX_NUMBER}")
    values = values.astype(np.int64)
    if values.min() < 0:
        values = np.maximum(values + 1, 0)
    values[blank] = 0
    wcs = _sky(path, header)
    if not wcs.has_celestial:
        if values.shape != bundle.mask.shape:
            raise ConfigError(
                f"{path}: {values.shape[0]} x {values.shape[1]} pixels without sky coordinates, expected "
                f"those of the bundle, {bundle.mask.shape[0]} x {bundle.mask.shape[1]}"
            )
        return values
    row, col = np.indices(bundle.mask.shape)
    try:
        x, y = wcs.celestial.all_world2pix(*bundle.wcs.all_pix2world(col.ravel(), row.ravel(), 0), 0)
    except Exception as error:  # astropy raises many classes, depending on the projection
        raise _unusable(path, error) from None
    with np.errstate(invalid="ignore"):
        inside = (x >= -0.5) & (x < values.shape[1] - 0.5) & (y >= -0.5) & (y < values.shape[0] - 0.5)
    found = np.zeros(bundle.mask.size, np.int64)
    found[inside] = values[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)]
    return found.reshape(bundle.mask.shape)


def _sky(path: Path, header: fits.Header) -> WCS:
    try:
        return wcs_of(header)
    except Exception as error:  # astropy raises many classes, depending on the keyword
        raise _unusable(path, error) from None


def _unusable(path: Path, error: Exception) -> DamagedFile:
    reason = [line for line in str(error).splitlines() if line and not line.startswith("ERROR")]
    return DamagedFile(
        f"{path}: its sky coordinates cannot be used ({one_line(' '.join(reason) or type(error).__name__)}): "
        "correct its WCS keywords, or remove them if its pixels are those of the bundle"
    )


def _from_regions(path: Path, bundle: Bundle) -> np.ndarray:
    region = read_regions(path)
    labels = np.zeros(bundle.mask.shape, np.int64)
    row, col = np.nonzero(bundle.mask)
    x, y = col.astype(np.float64) + 1.0, row.astype(np.float64) + 1.0
    for number, term in reversed(list(enumerate(region.terms, 1))):
        one = replace(region, terms=(term,))
        inside = contains_pixels(one, bundle.wcs, x, y, {})
        labels[row[inside], col[inside]] = number
    if empty := sorted(set(range(1, len(region.terms) + 1)) - set(np.unique(labels).tolist())):
        some = ", ".join(map(str, empty[:_SHOWN])) + (", ..." if len(empty) > _SHOWN else "")
        log.warning(
            "%s: %d of %d shapes give no bins, because all their live pixels are in earlier shapes: %s",
            path, len(empty), len(region.terms), some,
        )  # fmt: skip
    return labels
