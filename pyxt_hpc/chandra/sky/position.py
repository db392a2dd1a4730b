"""Positions on the sky as text."""

from astropy import units
from astropy.coordinates import SkyCoord


def parse_position(text: str) -> tuple[float, float]:
    """RA, Dec (ICRS) [deg] of ``150.02 20.01``, ``10:00:04.8 +20:00:36`` or ``10h00m04.8s +20d00m36s``.

    Raises ValueError if the text is not a position; the message shows the expected formats.
    """
    words = text.replace(",", " ").split()
    try:
        first = units.hourangle if any(mark in words[0] for mark in ":h") else units.deg
        half = len(words) // 2
        place = SkyCoord(" ".join(words[:half]), " ".join(words[half:]), unit=(first, units.deg))
        return float(place.ra.deg), float(place.dec.deg)
    except (ValueError, IndexError, TypeError, units.UnitsError):
        raise ValueError("expected 'RA DEC', such as '150.02 20.01' or '10:00:04.8 +20:00:36'") from None


def position_text(ra: float, dec: float) -> str:
    """Text such as ``10:00:04.8 +20:00:36.0`` for a position RA, Dec [deg]."""
    return str(SkyCoord(ra, dec, unit="deg").to_string("hmsdms", sep=":", precision=1))
