"""Dates and texts of observations in headers."""

import warnings

import pytest
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning

from pyxt_hpc.chandra.observed import dates_of, goes_on


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


@pytest.mark.parametrize(
    "text", ["a" * 67, "a" * 68, "a" * 69, "a" * 66 + "'", "a" * 67 + "'", "'" * 34, "'" * 35]
)
def test_text_goes_on_in_another_card_only_if_one_card_is_full(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerifyWarning)  # its comment is cut
        assert goes_on(text) == ("CONTINUE" in str(fits.Card("OBS_ID", text)))
