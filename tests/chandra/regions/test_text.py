import re
from pathlib import Path

import pytest

from pyxt_hpc.chandra.regions.sky import read_regions
from pyxt_hpc.chandra.regions.text import parse_regions
from pyxt_hpc.errors import DamagedFile, MissingInput, RegionSyntaxError

PATH = Path("drawn.reg")


def test_fk5_bare_sizes_are_degrees_and_literals_hours() -> None:
    region = parse_regions("fk5\ncircle(10:00:00,+30:00:00,0.01)\ncircle(150.5,30,0.5')", PATH)
    first, second = (term[0] for term in region.terms)
    assert first.points[0] == pytest.approx((150.0, 30.0), abs=1e-5)
    assert first.sizes == (36.0,)
    assert first.in_arcsec
    assert second.sizes == (30.0,)


def test_ciao_position_with_units_is_celestial() -> None:
    shape = parse_regions('circle(150.5d,-30d,10")', PATH).terms[0][0]
    assert shape.system == "icrs"
    assert shape.points == ((150.5, -30.0),)
    shape = parse_regions("box(12:30:00,-00:30:00,8',6')", PATH).terms[0][0]
    assert shape.points == ((187.5, -0.5),)


WRONG = {
    "circle(1,2)": "circle has 2 arguments, expected 3",
    "circle(1,2,x)": "x is not a number",
    "circle(1,2,-3)": "size -3 is not positive",
    "circle(1,2,nan)": "nan is not a number",
    "circle(1,2,3": "expected a shape",
    "cirlce(1,2,3)": "shape cirlce is unknown",
    "annulus(1,2,5,3)": "inner size 5",
    "polygon(1,2,3,4)": "three or more pairs",
    "polygon(1,2,3,4,5)": "three or more pairs",
    "point(1,2)": "point has no area",
    "circle(1:2:3,4:5:6,10)": "needs a unit",
    'circle(1:2:3,4:65:6,10")': "60 or more",
    'fk5;circle(10,95,3")': "declination",
    "fk5;circle(10,5,3p)": "in pixels",
    "fk5;circle(10,5,3q)": "unknown unit",
    "galactic": "galactic is not supported",
    "circle(1,2,3)/circle(1,2,3)": "expected a shape",
    "circle(1,2,3) circle": "expected a shape",
    "<html>": "expected a shape",
    "circle(1,2,3)**circle(1,2,3)": "operator",
    "field(3)": "field has 1",
    "global color=green include=0": "include=0 is not supported; write -",
    "circle(1,2,3) # color=red include=0": "include=0 is not supported; write -",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_syntax_names_file_and_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.reg"
    path.write_text(f"# CIAO\ncircle(100,100,5)\n{text}\n")
    with pytest.raises(RegionSyntaxError, match=f"a\\.reg, line 3: .*{re.escape(WRONG[text])}"):
        read_regions(path)


def test_what_is_cut_out_may_say_so_twice() -> None:
    found = parse_regions("global include=1\n-circle(1,2,3) # include=0\n", PATH)
    assert not found.terms
    assert [shape.kind for shape in found.cuts] == ["circle"]


def test_intersection_with_nothing() -> None:
    with pytest.raises(RegionSyntaxError, match=r"drawn\.reg, line 1: nothing stands before"):
        parse_regions("*circle(1,2,3)", PATH)


def test_files_that_are_not_text(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="fk5"):
        read_regions(tmp_path / "none.reg")
    (tmp_path / "a.reg").write_bytes(bytes(range(256)))
    with pytest.raises(DamagedFile, match="not a text file"):
        read_regions(tmp_path / "a.reg")
    (tmp_path / "b.reg").write_text("SIMPLE  =                    T")
    with pytest.raises(DamagedFile, match=r"b\.reg: region file is damaged"):
        read_regions(tmp_path / "b.reg")
