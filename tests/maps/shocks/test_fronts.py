"""Shocks of known Mach number are found; clusters without shocks have none."""

import itertools

import numpy as np
import pytest
from regions import Regions

from pyxt_hpc.fit.brightness.beta_model import BetaModel
from pyxt_hpc.fit.extraction.extract import disc_areas, disc_sums
from pyxt_hpc.maps.painting.paint import Measured
from pyxt_hpc.maps.shocks.ellipse import azimuthal_median
from pyxt_hpc.maps.shocks.fronts import (
    Front,
    Jumps,
    find_fronts,
    find_jumps,
    mach_of_density,
    mach_of_temperature,
)
from pyxt_hpc.maps.shocks.search import ShockSearch, make_shock_maps, shock_table
from pyxt_hpc.plots.shocks import write_fronts

SHAPE, RADIUS, FRONT = (160, 160), 7.0, 50.0
MODEL = BetaModel(row=80.0, col=80.0, core=20.0, beta=0.6, peak=1.0)


def circle_means(image: np.ndarray) -> np.ndarray:
    """Mean of the circle around every pixel, of an image that reaches a radius further."""
    n = int(RADIUS)
    row, col = (i.ravel() + n for i in np.indices(SHAPE))
    sums = disc_sums(row, col, np.full(len(row), RADIUS), image[None])
    return (sums[:, 0] / disc_areas([RADIUS])[0]).reshape(SHAPE)


def observed(mach: float, seed: int) -> tuple[Measured, Measured, np.ndarray]:
    """Temperature, good to 8%, and brightness, good to 2.5%, of a cluster with a front in one quadrant."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(SHAPE) - 80.0
    distance, angle = np.hypot(x, y), np.degrees(np.arctan2(y, x))
    # strong on 60 degrees, fading to both sides and far behind the front
    aside, inwards = np.maximum(np.abs(angle - 45.0) - 30.0, 0.0), np.maximum(FRONT - 22.0 - distance, 0.0)
    shocked = np.where(distance < FRONT, np.exp(-((aside / 15.0) ** 2) - (inwards / 12.0) ** 2), 0.0)
    t = (5 * mach**4 + 14 * mach**2 - 3) / (16 * mach**2)
    r = 4 * mach**2 / (mach**2 + 3)
    kT = t**shocked * 6.0 / (1.0 + (distance / 150.0) ** 2)
    brightness = MODEL.surface_brightness(SHAPE) * r ** (2.0 * shocked)
    n, maps = int(RADIUS), []
    for image, relative in ((kT, 0.08), (brightness, 0.025)):
        # new noise beyond the edges, lest it be larger there
        noise = rng.normal(0.0, relative * np.sqrt(disc_areas([RADIUS])[0]), [side + 2 * n for side in SHAPE])
        value = circle_means(np.pad(image, n, mode="edge")) * (1.0 + circle_means(noise))
        maps.append(Measured(value, relative * value, relative * value))
    return maps[0], maps[1], np.full(SHAPE, RADIUS)


def search(mach: float, seed: int) -> list:
    kT, brightness, radius = observed(mach, seed)
    smooth_kT, smooth = (azimuthal_median(m.value, MODEL.radius(SHAPE)) for m in (kT, brightness))
    return find_fronts(find_jumps(kT, brightness, smooth_kT, smooth, radius), radius)


def test_mach_numbers_invert_the_jump_conditions() -> None:
    mach = np.array([1.0, 1.5, 2.0, 3.0, 10.0])
    t = (5 * mach**4 + 14 * mach**2 - 3) / (16 * mach**2)
    assert mach_of_temperature(t) == pytest.approx(mach)
    assert mach_of_temperature(2.0) == pytest.approx(1.939, abs=1e-3)
    assert mach_of_density(4 * mach**2 / (mach**2 + 3)) == pytest.approx(mach)
    assert mach_of_temperature(0.5) == 1.0
    assert np.isinf(mach_of_density(4.2))


@pytest.mark.parametrize("mach", [1.5, 2.0, 3.0])
def test_front_is_found_with_its_mach_number(mach: float) -> None:
    deviations = []
    for seed in range(6):
        at_front = [
            f
            for f in search(mach, seed)
            if abs(np.median(np.hypot(*(f.pixels - 80.0).T)) - FRONT) < 0.5 * RADIUS
            # the bright side is inwards
            and abs((np.degrees(f.angle) + 135.0 + 180.0) % 360.0 - 180.0) < 40.0
        ]
        assert at_front, f"seed {seed}"
        front = at_front[0]
        assert front.length > 40.0
        deviations.append((front.mach - mach) / (0.5 * (front.mach_hi - front.mach_lo)))
    assert np.mean(np.abs(deviations) < 1.0) >= 0.5
    assert abs(np.mean(deviations)) < 1.2


def test_no_shock_in_twenty_smooth_clusters() -> None:
    assert sum(len(search(1.0, seed)) for seed in range(100, 120)) <= 1


def test_holes_and_edges_tell_nothing() -> None:
    kT, brightness, radius = observed(2.0, 1)
    kT.value[70:80, 60:70] = np.nan
    radius[70:80, 60:70] = 0.0
    jumps = find_jumps(kT, brightness, np.ones(SHAPE), np.ones(SHAPE), radius)
    assert np.isnan(jumps.angle[70:80, 60:70]).all()
    assert np.isnan(jumps.angle[0, 0])  # all opposite points are outside
    assert np.isfinite(jumps.angle[75, 57])  # beside the hole other directions remain


def test_circles_on_both_sides_keep_clear_of_the_edge() -> None:
    """Circles of 4 pixels on the bright side, 12 on the faint one: within 12 of the edge they are mixed."""
    x = np.indices(SHAPE, float)[1] - 80.0
    radius = np.where(x < 0, 4.0, 12.0)
    bright = x < 0
    mixed = ~bright & (x < 12.0)
    values = np.where(bright, 12.0, np.where(mixed, 9.0, 6.0))
    kT, brightness = (Measured(v, 0.05 * v, 0.05 * v) for v in (values, np.where(bright, 4.0, 1.0)))
    jumps = find_jumps(kT, brightness, np.ones(SHAPE), np.ones(SHAPE), radius)
    assert jumps.temperature[80, 80] == pytest.approx(np.log(2.0))
    assert abs(jumps.angle[80, 80]) == pytest.approx(np.pi, abs=0.7)
    # both circles have the same error: the mean of their radii
    assert jumps.reach[80, 80] == pytest.approx(8.0)


def test_specks_and_gentle_slopes_are_no_edges() -> None:
    nothing = np.full(SHAPE, np.nan)

    def made(density: float, long: int) -> Jumps:
        fields = [nothing.copy() for _ in range(6)]
        at = (np.arange(70, 70 + long), np.full(long, 80))
        for field, value in zip(fields, (0.0, np.log(density), 0.01, 0.5, 0.05, 5.0), strict=True):
            field[at] = value
        return Jumps(*fields)

    radius = np.full(SHAPE, 5.0)
    assert len(find_fronts(made(1.3, 30), radius)) == 1
    assert not find_fronts(made(1.1, 30), radius)
    assert not find_fronts(made(1.3, 8), radius)
    # six circles fit along 30 pixels: 16/(3 pi) radii make an independent one
    front = find_fronts(made(1.3, 30), radius)[0]
    assert front.significance == pytest.approx(0.5 / (0.05 * np.sqrt(16 / (3 * np.pi) * 5.0 / 30)))


def test_table_and_regions_of_a_front(fitted, tmp_path) -> None:
    regions = fitted(np.ones((40, 50)), np.ones((40, 50)))
    pixels = np.array([[10, 20], [11, 20], [12, 20]])
    # the bright side is to the left, in the east
    front = Front(11.0, 20.0, pixels, pixels, 30.0, np.pi, 2.0, 1.8, 2.2, 1.9, 5.0)
    table = shock_table(regions, [front])
    assert table["position_angle"][0] == pytest.approx(90.0)
    assert table["length"][0] == pytest.approx(30 * 1.968)
    assert len(shock_table(regions, [])) == 0
    # by which the report sees that a table is old
    assert table.meta["bundle"] == regions.bundle.fingerprint
    assert table.meta["results"] == regions.fingerprint


def test_a_front_is_one_line_that_every_program_reads(fitted, tmp_path) -> None:
    regions = fitted(np.ones((60, 60)), np.ones((60, 60)))
    angle = np.radians(np.linspace(-45.0, 45.0, 9))
    corners = 30.0 + 20.0 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    front = Front(30.0, 48.0, np.rint(corners).astype(int), corners, 31.4, np.pi, 2.0, 1.8, 2.2, 1.9, 5.0)
    write_fronts(regions, [front], tmp_path / "a.reg")
    text = (tmp_path / "a.reg").read_text()
    assert text.splitlines()[1] == "icrs"
    lines = Regions.read(tmp_path / "a.reg", format="ds9")
    assert len(lines) == len(corners) - 1
    wcs = regions.bundle.wcs
    ends = np.array([wcs.world_to_pixel(line.start) for line in lines] + [wcs.world_to_pixel(lines[-1].end)])
    assert np.abs(ends[:, ::-1] - corners).max() < 0.01
    for one, following in itertools.pairwise(lines):
        assert one.end.separation(following.start).arcsec < 0.01
    assert text.count("text={M 2.00") == 1


def test_pictures_show_directions_on_edges_only_and_cut_no_mach_number(fitted) -> None:
    shape = (40, 40)
    regions = fitted(np.full(shape, 5.0), np.full(shape, 1e-6))
    jumps = Jumps(
        angle=np.full(shape, np.pi / 2),
        density=np.where(np.arange(40) < 20, 0.3, 0.05) * np.ones(shape),
        density_error=np.full(shape, 0.01),
        temperature=np.full(shape, 0.2),
        temperature_error=np.full(shape, 0.05),
        reach=np.full(shape, 4.0),
    )
    jumps.temperature[7, 7] = 2.0
    pixels = np.array([[19, 10], [20, 10]])
    front = Front(20.0, 10.0, pixels, pixels, 30.0, np.pi, 2.0, 1.8, 2.2, 1.9, 5.0)
    made = {p.name: p for p in make_shock_maps(regions, ShockSearch(jumps, [front]))}
    angle = made["shock_angle"]
    assert angle.period == 360.0
    assert angle.shown is not None
    assert angle.shown[:, :20].all()  # 0.05 is five sigma, but no 15%
    assert not angle.shown[:, 20:].any()
    assert "0 north, 90 east" in angle.note
    # towards the rows upwards, which is north
    assert angle.values[0, 0] == pytest.approx(0.0, abs=1e-4)
    assert np.isfinite(angle.values).all()
    mach = made["mach"]
    assert mach.limits == (1.0, pytest.approx(mach.values.max()))
    assert len(mach.curves) == 1
    assert mach.note == "cyan lines: candidate shock fronts"
    assert angle.note.splitlines()[1:] == [mach.note]
    without = make_shock_maps(regions, ShockSearch(jumps, []))
    assert [product.name for product in without if product.note] == ["shock_angle"]
