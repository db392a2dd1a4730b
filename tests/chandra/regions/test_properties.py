"""Any text is read or refused in one line; shapes contain the same points as in the package regions."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from regions import PixCoord, Regions

from pyxt_hpc.chandra.regions.sky import contains_pixels
from pyxt_hpc.chandra.regions.text import RegionFile, Shape, parse_regions
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.errors import PyxtError

PATH = Path("drawn.reg")
FRAME = tangent_plane(150.0, 30.0)

extreme = st.sampled_from(["0", "1e308", "1e-300", "nan", ""])
number = st.one_of(st.floats(-400, 400), st.integers(-9, 400), extreme)
minutes = st.integers(0, 61)
coordinate = st.one_of(
    number.map(str),
    st.builds("{}d".format, number),
    st.builds("{}:{}:{}".format, st.integers(-99, 99), minutes, minutes),
    st.builds("{}h{}m{:.2f}s".format, st.integers(0, 25), minutes, st.floats(0, 61)),
)
size = st.builds("{}{}".format, number, st.sampled_from(["", '"', "'", "d", "p", "i", "x"]))
RINGS = ["annulus", "pie", "panda", "epanda", "bpanda"]
name = st.sampled_from(
    ["circle", "ellipse", "box", "rotbox", "rectangle", "polygon", "field", "star", *RINGS]
)
shape = st.builds(
    lambda name, place, rest: f"{name}({','.join([*place, *rest])})",
    name,
    st.lists(coordinate, min_size=2, max_size=2),
    st.lists(size, max_size=9),
)
word = st.one_of(
    shape,
    st.sampled_from(
        ["fk5", "icrs", "image", "physical", "galactic", "global color=red", "# Filename: a.img", "field()"]
    ),
    st.sampled_from(["\n", "\n", ";", "+", "-", "*", "*!", "&", "||", "{", "}", "#", " "]),
)
drawn = st.lists(word, max_size=12).map("".join)


def check_refused_or_read_back(text: str) -> None:
    message = ""
    try:
        region = parse_regions(text, PATH)
    except PyxtError as error:
        message = str(error)
    if message:
        assert message.startswith("drawn.reg, line ")
        assert len(message.splitlines()) == 1
    else:
        assert without_lines(parse_regions(written(region), PATH)) == without_lines(region)


@settings(max_examples=100, deadline=None)
@given(st.text())
@example("circle(1,2,3)\x0c*circle(1,2,3)")
@example("circle(1,2,1e308d)")
def test_any_text(text: str) -> None:
    check_refused_or_read_back(text)


@settings(max_examples=200, deadline=None)
@given(drawn)
def test_what_looks_like_regions(text: str) -> None:
    check_refused_or_read_back(text)


def without_lines(region: RegionFile) -> tuple[object, ...]:
    def plain(shapes: tuple[Shape, ...]) -> list[Shape]:
        return [replace(s, line=0) for s in shapes]

    return [plain(term) for term in region.terms], plain(region.cuts)


def written(region: RegionFile) -> str:
    """A region file with these shapes, one on a line."""
    lines = []
    for term in region.terms:
        lines += [line(term[0]), *(line(s, "*!" if s.negated else "*") for s in term[1:])]
    return "\n".join([*lines, *(line(s, "-") for s in region.cuts)])


def line(shape: Shape, operator: str = "") -> str:
    def digits(value: float) -> str:
        return format(Decimal(repr(value)), "f")

    unit = '"' if shape.in_arcsec else ""
    points = [digits(value) for point in shape.points for value in point]
    sizes = [digits(value) + unit for value in shape.sizes]
    angles = [digits(value) for value in shape.angles]
    name, arguments = shape.kind, [*points, *sizes, *angles]
    if len(angles) > 2:  # a sector of elliptical or box-shaped rings
        name = f"{shape.kind[0]}panda"
        rings = sizes if len(sizes) == 4 else [f"0{unit}", f"0{unit}", *sizes]
        arguments = [*points, *angles[1:], "1", *rings, "1", angles[0]]
    return f"{shape.system}\n{operator}{name}({','.join(arguments)})"


length, angle = st.floats(0.5, 60), st.floats(-360, 360)
ring = st.tuples(length, length).filter(lambda pair: abs(pair[0] - pair[1]) > 0.01).map(sorted)
corner = st.floats(-80, 80)
SHAPES = {
    "circle": st.builds("circle({},{},{})".format, corner, corner, length),
    "annulus": st.builds(lambda x, y, r: f"annulus({x},{y},{r[0]},{r[1]})", corner, corner, ring),
    "ellipse": st.builds("ellipse({},{},{},{},{})".format, corner, corner, length, length, angle),
    "box": st.builds("box({},{},{},{},{})".format, corner, corner, length, length, angle),
    "polygon": st.lists(corner, min_size=6, max_size=12)
    .filter(lambda values: len(values) % 2 == 0)
    .map(lambda values: f"polygon({','.join(map(str, values))})"),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_points_inside_are_those_of_the_regions_package(kind: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(SHAPES[kind], st.integers(0, 2**32 - 1))
    def check(text: str, seed: int) -> None:
        x, y = np.random.default_rng(seed).uniform(-100, 100, (2, 2000))
        (theirs,) = Regions.parse(f"# Region file format: DS9\nimage\n{text}\n", format="ds9")
        expected = theirs.contains(PixCoord(x - 1, y - 1))
        ours = contains_pixels(parse_regions(f"physical\n{text}\n", PATH), FRAME, x, y, {"physical": FRAME})
        np.testing.assert_array_equal(ours, expected)

    check()
