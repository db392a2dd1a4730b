"""Crests are followed to their gaps and corners: what is one front stays one, and no line crosses a gap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial import cKDTree

from pyxt_hpc.maps.shocks.fronts import Front, Jumps, find_fronts

SHAPE, RADIUS = (160, 160), 5.0
CENTRE = np.array([80.0, 80.0])


@dataclass(frozen=True)
class Crest:
    """Pixels (n, 2) with directions of the bright side [rad] and logarithms of the density jump."""

    pixels: np.ndarray
    angle: np.ndarray
    density: np.ndarray | float = 0.3


def arc(first: float, last: float, radius: float = 45.0, density: float = 0.3) -> Crest:
    """Three pixels wide around the centre, between two angles [degrees], bright inside."""
    y, x = np.indices(SHAPE) - CENTRE[:, None, None]
    at = np.degrees(np.arctan2(y, x))
    on = (np.abs(np.hypot(x, y) - radius) <= 1.5) & ((at - first) % 360.0 <= last - first)
    return Crest(np.argwhere(on), np.radians(at[on]) + np.pi, density)


def straight(first: int, last: int, col: int = 80, density: float = 0.3) -> Crest:
    """One pixel wide along a column, the last row included, bright towards larger columns."""
    row = np.arange(first, last + 1)
    return Crest(np.stack([row, np.full(len(row), col)], axis=1), np.zeros(len(row)), density)


def radial(angle: float, towards: float) -> Crest:
    """From 20 to 45 pixels from the centre at an angle, bright towards another one [degrees]."""
    r, a = np.arange(20.0, 45.5, 0.5), np.radians(angle)
    at = np.unique(np.rint(CENTRE + r[:, None] * [np.sin(a), np.cos(a)]).astype(int), axis=0)
    return Crest(at, np.full(len(at), np.radians(towards)))


def fronts_of(crests: Sequence[Crest], hole: np.ndarray | None = None) -> list[Front]:
    """What is found where kT jumps everywhere by ten of its errors; pixels in the hole are masked."""
    jumps = Jumps(*(np.full(SHAPE, np.nan) for _ in range(6)))
    for crest in crests:
        at = tuple(crest.pixels.T)
        jumps.angle[at], jumps.density[at] = crest.angle, crest.density
        for field, value in (
            (jumps.density_error, 0.01),
            (jumps.temperature, 0.5),
            (jumps.temperature_error, 0.05),
            (jumps.reach, RADIUS),
        ):
            field[at] = value
    radius = np.full(SHAPE, RADIUS)
    if hole is not None:
        jumps.density[hole], radius[hole] = np.nan, 0.0
    found = find_fronts(jumps, radius)
    for front in found:
        assert_on_its_crest(front, RADIUS)
    return found


def assert_on_its_crest(front: Front, radius: float) -> None:
    """No place of a line is further from a pixel of its front than a circle's radius."""
    along = np.linspace(0.0, 1.0, 50)[:, None]
    for start, end in zip(front.line[:-1], front.line[1:], strict=True):
        assert cKDTree(front.pixels).query(start + along * (end - start))[0].max() <= radius


def disc(row: float, col: float, radius: float) -> np.ndarray:
    y, x = np.indices(SHAPE)
    return np.hypot(y - row, x - col) < radius


def test_two_arcs_are_two_fronts() -> None:
    found = fronts_of([arc(20.0, 70.0), arc(100.0, 150.0)])
    assert len(found) == 2
    for front in found:
        assert front.length == pytest.approx(45.0 * np.radians(50.0), rel=0.05)
        assert len(front.pixels) == pytest.approx(3 * front.length, rel=0.1)


def test_sides_of_a_shocked_region_are_no_front_together() -> None:
    """The front joins the two sides, whose directions are similar; nothing joins them across the region."""
    found = fronts_of([arc(-60.0, 60.0), radial(60.0, -30.0), radial(-60.0, 30.0)])
    assert len(found) == 3
    front, *sides = sorted(found, key=lambda f: -f.length)
    assert front.length == pytest.approx(45.0 * np.radians(120.0), rel=0.12)
    for side in sides:
        assert side.length < 30.0


def test_parts_with_a_faint_stretch_between_them_are_two_fronts() -> None:
    """Where the jump is below three quarters of the strongest, an edge is not part of a front."""
    found = fronts_of(
        [straight(20, 55, density=0.6), straight(56, 105, density=0.2), straight(106, 140, density=0.6)]
    )
    assert sorted(round(front.length) for front in found) == [35, 36]
    # as many circles as fit along what is measured, not along what lies between
    expected = 0.5 / (0.05 * np.sqrt(16 / (3 * np.pi) * RADIUS / 36))
    assert found[0].significance == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("turn", [90.0, 180.0, 270.0])
def test_a_curved_front_is_one(turn: float) -> None:
    (front,) = fronts_of([arc(10.0, 10.0 + turn)])
    assert front.length == pytest.approx(45.0 * np.radians(turn), rel=0.04)
    assert np.degrees(front.angle) % 360.0 == pytest.approx(190.0 + turn / 2, abs=3.0)


@pytest.mark.parametrize("radius", [20.0, 45.0, 70.0])
def test_a_closed_front_is_one_closed_line(radius: float) -> None:
    (front,) = fronts_of([arc(0.0, 360.0, radius)])
    np.testing.assert_array_equal(front.line[0], front.line[-1])
    assert np.abs(np.hypot(*(front.line - CENTRE).T) - radius).max() < 1.0
    assert front.length == pytest.approx(2.0 * np.pi * radius, rel=0.04)
    assert np.isnan(front.angle)
    assert (front.row, front.col) == pytest.approx(CENTRE, abs=0.5)


@pytest.mark.parametrize(("gap", "fronts"), [(1, 1), (3, 1), (5, 2), (30, 2)])
def test_gaps_that_circles_do_not_resolve_are_none(gap: int, fronts: int) -> None:
    """Circles have radii of 5 pixels; the first pixel behind a gap is one pixel further."""
    found = fronts_of([straight(20, 79), straight(80 + gap, 140)])
    assert len(found) == fronts
    assert max(front.length for front in found) == (121 if fronts == 1 else 60)


def test_a_front_goes_on_behind_the_hole_of_a_point_source() -> None:
    hole = disc(80, 80, 4.5)
    (front,) = fronts_of([straight(20, 140)], hole)
    assert front.length == 121
    (front,) = fronts_of([arc(-60.0, 60.0)], disc(80, 125, 4.5))
    assert front.length == pytest.approx(45.0 * np.radians(120.0), rel=0.04)
    # the same gap where the map has circles is one
    gap = straight(20, 140)
    seen = ~hole[tuple(gap.pixels.T)]
    assert len(fronts_of([Crest(gap.pixels[seen], gap.angle[seen])])) == 2
    # and so is a hole that the circles on its sides do not bridge
    assert len(fronts_of([straight(20, 140)], disc(80, 80, 6.5))) == 2


def test_a_hole_joins_nothing_that_passes_it_aside() -> None:
    assert len(fronts_of([straight(20, 77, col=76), straight(83, 140, col=84)], disc(80, 80, 5.0))) == 2


def test_a_branch_is_a_front_of_its_own() -> None:
    """Both have nearly the same direction: only their positions distinguish them."""
    row = np.arange(81, 120)
    branch = Crest(np.stack([row, 80 + (row - 80) // 2], axis=1), np.full(len(row), -0.2))
    stem, found = fronts_of([straight(20, 140), branch])
    assert stem.length == pytest.approx(121.0, abs=1.0)
    assert np.abs(stem.line[:, 1] - 80.0).max() < 0.5 * RADIUS
    assert found.pixels[:, 1].min() > 84  # what is within a radius of the stem belongs to it
