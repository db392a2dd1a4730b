"""FITS images on the bundle's grid, with sky coordinates, unit and history."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from pyxt_hpc.errors import DamagedFile, ForeignProduct
from pyxt_hpc.files.fits import open_fits, write_fits
from pyxt_hpc.files.quoting import ascii_text, shown
from pyxt_hpc.provenance import software


def write_image(
    path: Path,
    values: np.ndarray,
    wcs_header: str,
    *,
    unit: str,
    comment: str,
    bundle_fingerprint: str,
    settings: Mapping[str, Any] | None = None,
    history: Iterable[str] = (),
    errors: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write an image on the bundle's grid to a FITS file with a temporary name, then rename the file.

    Parameters
    ----------
    path
        File to write or replace.
    values
        (ny, nx) pixel values.
    wcs_header
        The bundle's sky coordinates as FITS header cards.
    unit
        Value of BUNIT.
    comment
        Meaning of the pixel values, with the formula.
    bundle_fingerprint
        Fingerprint of the bundle from which the image was made.
    settings
        Header keywords with their values, or with (value, comment); None omits a keyword. `read_image` can
        compare them.
    history
        Lines of provenance for the header.
    errors
        Images (ny, nx) in the same unit; they become extensions with these names.

    Notes
    -----
    Characters that are not ASCII are written as escapes, since a FITS header allows only ASCII.
    """
    header = fits.Header.fromstring(wcs_header)
    header["BUNIT"] = (unit, "unit of the pixel values")
    header["BUNDLEID"] = (bundle_fingerprint[:16], "fingerprint of the analysis bundle")
    header.update({name: _card(value) for name, value in (settings or {}).items() if value is not None})
    extensions = [fits.ImageHDU(error, header, name=name) for name, error in (errors or {}).items()]
    header.add_comment(ascii_text(comment))
    for line in history:
        header.add_history(ascii_text(line))
    header["CREATOR"] = software()
    header["PIXELSUM"] = (_digest(values), "first half of the pixel values' SHA-256")
    write_fits(path, fits.HDUList([fits.PrimaryHDU(values, header), *extensions]))


def _card(value: Any) -> Any:
    """A header value, or a (value, comment), in ASCII."""
    if isinstance(value, tuple):
        return tuple(map(_card, value))
    return ascii_text(value) if isinstance(value, str) else value


def read_image(
    path: Path,
    *,
    made_by: str,
    bundle_fingerprint: str,
    shape: tuple[int, int],
    settings: Mapping[str, float | str | None] | None = None,
) -> np.ndarray:
    """Read an image and check that it belongs to the present bundle and settings.

    Parameters
    ----------
    path
        File that `write_image` made.
    made_by
        Command that makes the file, for the message.
    bundle_fingerprint, shape
        Fingerprint and image shape of the present bundle.
    settings
        Required values of header keywords; None: the keyword must be absent.

    Returns
    -------
    numpy.ndarray
        (ny, nx) values in native byte order.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If the file is absent, is not a FITS image or has changed pixels, or was made from another bundle or
        with other settings.
    """
    with open_fits(path, "image", f"run `{made_by}`", ours=True) as hdus:
        values = hdus[0].data
        header = {key: hdus[0].header.get(key) for key in ("BUNDLEID", "PIXELSUM", *(settings or {}))}
    if values is not None and header["PIXELSUM"] != _digest(values):
        raise DamagedFile(f"{path}: its pixels are not those that were written: run `{made_by}` again")
    if header["BUNDLEID"] != bundle_fingerprint[:16] or values is None or values.shape != shape:
        raise ForeignProduct(
            f"{path}: made from bundle {header['BUNDLEID'] or 'unknown'}, "
            f"but the bundle now is {bundle_fingerprint[:16]}: run `{made_by}` again"
        )
    for key, value in (settings or {}).items():
        if header[key] != _card(value):
            then, now = map(_shown, _differing(header[key], value))
            raise ForeignProduct(
                f"{path}: made with {key} = {then}, but it is {now} now: run `{made_by}` again"
            )
    return values.astype(values.dtype.newbyteorder("="))


def _differing(one: object, other: object) -> tuple[object, object]:
    """Two values for a message; of lists of words only the words that differ, since long lines are cut."""
    if not (isinstance(one, str) and isinstance(other, str)):
        return one, other
    first, second = one.split(", "), other.split(", ")
    alone = [w for w in first if w not in second], [w for w in second if w not in first]
    return ", ".join(alone[0]) or one, ", ".join(alone[1]) or other


def _shown(value: object) -> str:
    """Text of a value of a header or a configuration; None is an absent keyword."""
    return "not set" if value is None else f"{value:g}" if isinstance(value, float) else shown(value)


def _digest(values: np.ndarray) -> str:
    """First half of the SHA-256 of the pixel values, independent of byte order.

    CHECKSUM is not sufficient, since programs that edit pixels update it.
    """
    native = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return hashlib.sha256(native.tobytes()).hexdigest()[:32]
