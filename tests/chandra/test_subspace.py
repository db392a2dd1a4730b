"""The data subspace of real event files and of texts."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.subspace import Subspace, energies_eV, parse_ranges

FILES = Path(__file__).with_name("files")
GOOD = [[g, g] for g in (0.0, 2.0, 3.0, 4.0, 6.0)]


def subspace(name: str) -> Subspace:
    return Subspace.of(fits.getheader(FILES / name, "EVENTS"))


@pytest.mark.parametrize(
    ("name", "chips"),
    [
        ("evt2_732_no_rows.fits.gz", (7, 2, 5, 6, 3, 8)),
        ("evt2_1522_no_rows.fits.gz", (3, 6, 7, 2, 1, 0)),
        ("evt2_10027_no_rows.fits.gz", (7,)),
        ("evt2_18059_content_evt1.fits.gz", (7, 6, 3, 8)),
        ("evt_6601_status_32L.fits.gz", (7, 5, 6, 8)),
    ],
)
def test_real_components(name: str, chips: tuple[int, ...]) -> None:
    found = subspace(name)
    assert [component.ccds() for component in found.components] == [{chip} for chip in chips]
    assert found.ccds() == set(chips)
    assert found.gti_blocks() == {chip: f"GTI{chip}" for chip in chips}
    np.testing.assert_array_equal(found.ranges("grade"), GOOD)
    np.testing.assert_array_equal(found.ranges("phas"), [[-4096, 4095]])
    assert energies_eV(found) is None


def test_region_of_the_sky() -> None:
    found = subspace("evt2_1522_no_rows.fits.gz")
    assert found.texts("sky(x,y)") == ("RotBox(4047.26,4209.41,192,192,360)",)
    assert found.ranges("sky(x,y)") is None
    np.testing.assert_array_equal(found.ranges("chipy"), [[1, 1024]])
    assert found.of_chips([2]).components[0].block["time"] == "GTI2"


def test_thousands_of_lost_frames() -> None:
    found = subspace("evt_6601_status_32L.fits.gz")
    ranges = found.of_chips([6]).ranges("expno")
    assert ranges is not None
    assert len(ranges) > 1000
    np.testing.assert_array_equal(ranges[[0, -1]], [[3, 1690], [18485, 35955]])


def test_without() -> None:
    empty = Subspace.of(fits.Header())
    assert (empty.components, empty.ccds(), empty.gti_blocks(), empty.axes) == ((), None, {}, ())
    assert empty.ranges("energy") is None


def header(**cards: str) -> fits.Header:
    result = fits.Header()
    for keyword, value in cards.items():
        result[keyword.lstrip("_")] = value
    return result


@pytest.mark.parametrize(
    ("cards", "expected"),
    [
        ({"DSTYP1": "energy", "DSVAL1": "300:10000"}, [[300, 10_000]]),
        ({"DSTYP1": "ENERGY", "DSVAL1": "500:2000,7000:"}, [[500, 2000], [7000, 1e6]]),
        ({"DSTYP1": "pi", "DSVAL1": "35:548"}, [[34 * 14.6, 548 * 14.6]]),
        ({"DSTYP1": "energy", "DSVAL1": ":9000", "DSTYP2": "pi", "DSVAL2": "2:"}, [[14.6, 9000]]),
        # components are united: what is the same as in the first is left out
        ({"DSTYP1": "energy", "DSVAL1": "300:500", "_2DSVAL1": "400:900"}, [[300, 900]]),
        ({"DSTYP1": "energy", "DSVAL1": "300:500", "DSTYP2": "ccd_id", "DSVAL2": "0", "_2DSVAL2": "1"},
         [[300, 500]]),
    ],
)  # fmt: skip
def test_energies(cards: dict[str, str], expected: list[list[float]]) -> None:
    np.testing.assert_allclose(energies_eV(Subspace.of(header(**cards))), expected)


@pytest.mark.parametrize("text", ["TABLE", "Field()", "b0000000", "", "1:2:3", "1-2"])
def test_no_ranges(text: str) -> None:
    assert parse_ranges(text) is None


def test_range_ends() -> None:
    np.testing.assert_array_equal(parse_ranges(" 0:0, 2 ,-4096:4095"), [[0, 0], [2, 2], [-4096, 4095]])
    np.testing.assert_array_equal(parse_ranges(":"), [[-np.inf, np.inf]])
