"""Chip and position are found in the headers of CIAO's responses, and not guessed if they are absent."""

from pathlib import Path

import pytest
from astropy.io import fits

from pyxt_hpc.chandra.kinds import datasets_of, kind_of_all
from pyxt_hpc.chandra.ogip.response_header import chips_named, position_named, response_headers
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin


def header(*history: str, **cards: object) -> fits.Header:
    result = fits.Header(cards)
    for line in history:
        result.add_history(line)
    return result


def test_real_responses_of_a_quasar(shared: Path) -> None:
    # of 3C 273 it is the jet, 15 arcsec from the quasar
    for name, source, limit in (("9774", (116.0725, 37.8881), 0.02), ("3c273", (187.27792, 2.05239), 0.4)):
        headers = {s: response_headers(shared / "chandra" / f"{name}.{s}") for s in ("arf", "rmf")}
        assert chips_named(headers["arf"]) == chips_named(headers["rmf"]) == {7}
        place = position_named(headers["arf"])
        assert place is not None
        assert off_axis_arcmin(*place, *source) < limit
        assert position_named(headers["rmf"]) is None


def test_lines_that_mkarf_writes() -> None:
    lines = (
        " TOOL  :mkarf   2010-10-27T01:00:16                             ASC00001",
        " PARM  :sourcepixelx=4072.8326532                               ASC00004",
        " PARM  :sourcepixely=3946.2249975                               ASC00005",
    )
    made = header(*lines, RA_NOM=116.06878446264, DEC_NOM=37.908718808348, DETNAM="ACIS-7")
    assert position_named([fits.Header(), made]) == pytest.approx((116.0729, 37.8882), abs=2e-4)
    assert chips_named([made]) == {7}
    for lacking in (
        header(*lines[:2], RA_NOM=1.0, DEC_NOM=2.0),
        header(*lines),
        header(RA_NOM=1.0, DEC_NOM=2.0),
    ):
        assert position_named([lacking]) is None
    far = header(lines[1].replace("4072", "9072"), lines[2], RA_NOM=1.0, DEC_NOM=2.0)
    assert position_named([far]) is None


@pytest.mark.parametrize(
    ("cards", "chips", "kind"),
    [
        ({"DETNAM": "ACIS-7"}, {7}, "BI"),
        ({"DETNAM": "ACIS-235678"}, {2, 3, 5, 6, 7, 8}, None),  # of a weighted response
        ({"DETNAM": "ACIS-235678", "DSTYP2": "ccd_id", "DSVAL2": "5:5,7"}, {5, 7}, "BI"),
        ({"DSTYP1": "CCD_ID", "DSVAL1": "0:3"}, {0, 1, 2, 3}, "FI"),
        ({"DSTYP1": "CHIPX", "DSVAL1": "7:7"}, set(), None),
        ({"DETNAM": "HRC-I"}, set(), None),
        ({}, set(), None),
    ],
)
def test_chips_and_their_kind(cards: dict, chips: set, kind: str | None) -> None:
    assert chips_named([fits.Header(cards)]) == chips
    assert kind_of_all(chips) == kind


def test_datasets() -> None:
    assert [(d.name, d.kind, d.chips, d.is_part) for d in datasets_of("9", (7, 4, 5, 6))] == [
        ("9-FI", "FI", (4, 6), True), ("9-BI", "BI", (5, 7), True)
    ]  # fmt: skip
    for chips, kind in (((3, 0, 2), "FI"), ((7,), "BI")):
        (alone,) = datasets_of("9", chips)
        assert (alone.name, alone.kind, alone.chips, alone.is_part) == (
            "9",
            kind,
            tuple(sorted(chips)),
            False,
        )
    assert str(alone) == "ObsID 9, back-illuminated CCD 7"


def test_places_of_datasets() -> None:
    for whole in datasets_of("9", (7, 6)):
        assert whole.places(1) == (whole,)
        places = whole.places(12)
        assert [p.name for p in places[1::5]] == [f"{whole.name}-p2", f"{whole.name}-p7", f"{whole.name}-p12"]
        assert [p.place for p in places] == list(range(1, 13))
        assert {p.whole for p in (*places, whole)} == {whole}
    (alone,) = datasets_of("9", (7,))
    assert not alone.is_part
    assert [(p.name, p.is_part) for p in alone.places(2)] == [("9-p1", True), ("9-p2", True)]
    assert str(alone.places(2)[1]) == "ObsID 9, back-illuminated CCD 7, place 2"
