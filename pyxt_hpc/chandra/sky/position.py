"""A place on the sky as people write it."""

from astropy import units
from astropy.coordinates import SkyCoord


def parse_position(text: str) -> tuple[float, float]:
    """RA and Dec (ICRS) [deg] of ``150.02 20.01``, ``10:00:04.8 +20:00:36`` or ``10h00m04.8s +20d00m36s``.

    Raises ValueError if it is none; the message says what is expected.
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
    """RA and Dec [deg] as ``10:00:04.8 +20:00:36.0``."""
    return str(SkyCoord(ra, dec, unit="deg").to_string("hmsdms", sep=":", precision=1))
