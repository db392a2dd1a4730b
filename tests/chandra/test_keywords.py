"""Numbers and words of a header, in any notation."""

from typing import Any

import pytest
from astropy.io import fits

from pyxt_hpc.chandra.keywords import exposure_s, is_screened, needed_number, number, truth
from pyxt_hpc.errors import DamagedFile


def header(**cards: Any) -> fits.Header:
    result = fits.Header()
    for keyword, value in cards.items():
        result[keyword] = value
    return result


@pytest.mark.parametrize(
    ("value", "expected"),
    [(70000, 70000.0), (7e4, 7e4), ("70000", 7e4), (" 7.0E4 ", 7e4), ("long", None), (True, None), ("", None),
     ("nan", None), ("inf", None), (None, None)],
)  # fmt: skip
def test_number(value: Any, expected: float | None) -> None:
    assert number(header(A=value), "A") == expected
    assert number(header(), "A") is None


def test_needed_number_is_named() -> None:
    assert needed_number(header(A="2"), "A", "x.fits", "do this") == 2.0
    with pytest.raises(DamagedFile, match=r"x\.fits: A is 'long', expected a number; do this"):
        needed_number(header(A="long"), "A", "x.fits", "do this")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, True),
        (False, False),
        ("yes", True),
        ("T", True),
        ("no", False),
        ("F", False),
        (1, True),
        ("?", None),
    ],
)
def test_truth(value: Any, expected: bool | None) -> None:
    assert truth(header(A=value), "A") is expected


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"EXPOSURE": 5}, 5.0),
        ({"EXPOSUR7": "5000", "EXPOSUR2": 4000}, 5000.0),
        ({"EXPOSURE": "x", "EXPOSUR7": 1}, None),
        ({}, None),
    ],
)
def test_exposure(cards: dict[str, Any], expected: float | None) -> None:
    assert exposure_s(header(**cards)) == expected


CIAO = ["TOOL  :acis_process_events  2013-05-06T10:11:12                     ASC00003"]
LONG = "PARM  :infile=" + "a" * 50 + " check_vf_pha=yes"


@pytest.mark.parametrize(
    ("mode", "lines", "expected"),
    [
        ("FAINT", ["PARM  :check_vf_pha=yes"], False),
        ("VFAINT", [], None),
        ("VFAINT", ["PARM  :check_vf_pha=yes"], True),
        ("VFAINT", ["PARM  :check_vf_pha=no"], False),
        ("VFAINT", ["PARM  :check_vf_pha = 'yes'"], True),
        ("VFAINT", [*CIAO, "PARM  :check_vf_pha=yes".ljust(62) + "ASC00004"], True),
        ("VFAINT", [*CIAO, "PARM  :a=b check_vf".ljust(19) + "ASC00004", "CONT  :_pha=yesASC00005"], True),
        ("VFAINT", ["check_vf_pha=no", "check_vf_pha=yes"], True),
        ("VFAINT", ["PARM  :docheck_vf_phases=yes"], None),
        ("VFAINT", [LONG], True),  # over two cards
        ("VFAINT", [LONG[:60] + "x" * 4 + LONG[60:]], True),
    ],
)
def test_screening_of_before_it_had_a_keyword(mode: str, lines: list[str], expected: bool | None) -> None:
    cards = header(DATAMODE=mode)
    for line in lines:
        cards.add_history(line)
    assert is_screened(fits.Header.fromstring(cards.tostring())) is expected


@pytest.mark.parametrize(("said", "expected"), [(True, True), (False, False), ("yes", True), ("no", False)])
def test_keyword_wins(said: Any, expected: bool) -> None:
    cards = header(DATAMODE="VFAINT", CHKVFPHA=said)
    cards.add_history("PARM  :check_vf_pha=yes")
    assert is_screened(cards) is expected
    assert is_screened(header(DATAMODE="FAINT", CHKVFPHA=said)) is False
