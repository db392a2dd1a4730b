"""What the headers of CIAO's responses say of where they were made.

mkarf names the position of the source among its parameters in HISTORY, in sky pixels about RA_NOM, DEC_NOM,
and the chip in DETNAM; mkrmf names the chip in the data subspace. Weighted responses (mkwarf, mkacisrmf with
a WMAP) name neither: their DETNAM has all chips that were on.
"""

import re
from pathlib import Path

from astropy.io import fits

from pyxt_hpc.chandra.fitsfile import open_fits
from pyxt_hpc.chandra.tangent import tangent_plane

_HINT = "make it again (CIAO's specextract)"
_MIDDLE = 4096.5  # of the sky pixels, where the tangent point is
_SIDE = 8192.5
_PARAMETER = re.compile(r"PARM\s*:\s*sourcepixel([xy])\s*=\s*([-+.\deE]+)")


def response_headers(path: Path) -> list[fits.Header]:
    """Headers of all tables of an ARF or RMF. Raises MissingInput, DamagedFile."""
    with open_fits(path, "response", _HINT, first=False) as hdus:
        return [hdu.header.copy() for hdu in hdus[1:]]


def chips_named(headers: list[fits.Header]) -> frozenset[int]:
    """CCDs that a response is said to be for, in its data subspace or else DETNAM; none if nothing tells."""
    for header in headers:
        for key in [key for key in header if re.fullmatch(r"DSTYP\d+", key)]:
            if str(header[key]).strip().upper() == "CCD_ID":
                return _in_ranges(str(header.get(f"DSVAL{key[5:]}", "")))
    for header in headers:
        detector, dash, digits = str(header.get("DETNAM", "")).strip().partition("-")
        if detector == "ACIS" and dash and digits.isdigit():
            return frozenset(int(digit) for digit in digits)
    return frozenset()


def position_named(headers: list[fits.Header]) -> tuple[float, float] | None:
    """RA, Dec [deg] of the source that mkarf made an ARF for; None if the header does not tell."""
    for header in headers:
        pixel = {
            match[1]: float(match[2])
            for line in header.get("HISTORY", ())
            if (match := _PARAMETER.search(str(line)))
        }
        try:
            plane = tangent_plane(float(header["RA_NOM"]), float(header["DEC_NOM"]))
            x, y = pixel["x"], pixel["y"]
        except (KeyError, TypeError, ValueError):
            continue
        if not all(0.5 <= value <= _SIDE for value in (x, y)):
            continue
        plane.wcs.crpix = [_MIDDLE, _MIDDLE]
        plane.wcs.set()
        ra, dec = plane.wcs_pix2world(x, y, 1)
        return float(ra), float(dec)
    return None


def _in_ranges(text: str) -> frozenset[int]:
    """CCDs of ``7:7`` or ``0:3,6``."""
    chips: set[int] = set()
    for part in text.split(","):
        bounds = [int(digits) for digits in re.findall(r"\d+", part)]
        if bounds:
            chips.update(range(bounds[0], min(bounds[-1], 9) + 1))
    return frozenset(chips)
