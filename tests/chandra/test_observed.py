"""Dates of observations in headers."""

import pytest
from astropy.io import fits

from pyxt_hpc.chandra.observed import dates_of


@pytest.mark.parametrize(
    ("begin", "known"),
    [
        ("2000-07-10T20:49:17", "2000-07-10T20:49:17"),
        (" 2000-07-10T20:49:17.25 ", "2000-07-10T20:49:17.25"),
        ("10/07/00", ""),
        ("2000-07-10", ""),
        ("2000-13-10T20:49:17", ""),
        (51735.8, ""),
        ("", ""),
    ],
)
def test_only_dates_of_the_archives_form_are_known(begin: object, known: str) -> None:
    header = fits.Header({"DATE-OBS": begin, "DATE-END": "2000-07-11T16:22:55"})
    assert dates_of(header) == (known, "2000-07-11T16:22:55")
    assert dates_of(fits.Header()) == ("", "")
