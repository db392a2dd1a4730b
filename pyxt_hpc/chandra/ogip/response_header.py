"""Position and chip of CIAO's responses, from their headers.

mkarf writes the position of the source into HISTORY as parameters, in sky pixels about RA_NOM, DEC_NOM, and
the chip into DETNAM; mkrmf writes the chip into the data subspace. Weighted responses (mkwarf, mkacisrmf with
a WMAP) have neither: their DETNAM lists all chips that were on.
"""

from pathlib import Path

from astropy.io import fits

from pyxt_hpc.chandra.keywords import tool_parameter
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.chandra.subspace import Subspace
from pyxt_hpc.files.fits import open_fits

_HINT = "make it again (CIAO's specextract)"
_MIDDLE = 4096.5  # sky pixel of the tangent point
_SIDE = 8192.5  # largest sky pixel


def response_headers(path: Path) -> list[fits.Header]:
    """Headers of all tables of an ARF or RMF. Raises MissingInput or DamagedFile."""
    with open_fits(path, "response", _HINT, first=False) as hdus:
        return [hdu.header.copy() for hdu in hdus[1:]]


def chips_named(headers: list[fits.Header]) -> frozenset[int]:
    """CCDs in the data subspace of a response, else in DETNAM; empty if neither has any."""
    for header in headers:
        if (chips := Subspace.of(header).ccds()) is not None:
            return chips
    for header in headers:
        detector, dash, digits = str(header.get("DETNAM", "")).strip().partition("-")
        if detector == "ACIS" and dash and digits.isdigit():
            return frozenset(int(digit) for digit in digits)
    return frozenset()


def position_named(headers: list[fits.Header]) -> tuple[float, float] | None:
    """RA, Dec [deg] of the source for which mkarf made an ARF; None if they are not in the headers."""
    for header in headers:
        try:
            middle = float(header["RA_NOM"]), float(header["DEC_NOM"])
            x, y = (float(tool_parameter(header, f"sourcepixel{axis}") or "nan") for axis in "xy")
        except (KeyError, TypeError, ValueError):
            continue
        if not all(0.5 <= value <= _SIDE for value in (x, y)):
            continue
        ra, dec = tangent_plane(*middle, crpix=(_MIDDLE, _MIDDLE)).wcs_pix2world(x, y, 1)
        return float(ra), float(dec)
    return None
