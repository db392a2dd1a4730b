"""Scale of the blank-sky background from the 9.5-12 keV counts, and background from a part of the field."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.preprocess.background.blank_sky import (
    PARTICLE_BAND_EV,
    particle_scale,
    thinned,
)
from pyxt_hpc.preprocess.background.local_background import LOCAL_OVERSAMPLING, spread_over_field


def on_chips(counts: dict[int, int], rng: np.random.Generator) -> EventList:
    """Events of 9-13 keV, with a given number on each chip."""
    ccd = np.repeat(list(counts), list(counts.values())).astype(np.int8)
    n = len(ccd)
    return EventList(
        path=Path("some.fits"),
        header=fits.Header(),
        wcs=tangent_plane(150.0, 30.0),
        x=rng.uniform(-100, 100, n),
        y=rng.uniform(-100, 100, n),
        energy_eV=rng.uniform(9000, 13_000, n).astype(np.float32),
        pi=np.ones(n, np.int16),
        ccd_id=ccd,
    )


def test_band() -> None:
    events = on_chips({0: 1000}, np.random.default_rng(1))
    np.testing.assert_array_equal(
        events.in_band(PARTICLE_BAND_EV), (events.energy_eV >= 9500) & (events.energy_eV < 12_000)
    )


def test_one_scale_for_chips_alike() -> None:
    rng = np.random.default_rng(2)
    pulls, separate = [], 0
    for _ in range(400):
        high = on_chips({c: int(rng.poisson(500)) for c in range(4)}, rng)
        blank = on_chips({c: int(rng.poisson(3000)) for c in range(4)}, rng)
        scale = particle_scale(high, blank)
        pulls.append((scale.scale - 1 / 6) / scale.error)
        separate += len(set(scale.of_chip.values())) > 1
    assert abs(np.mean(pulls)) < 0.15
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)
    assert separate <= 12  # the test is at 1%: 4 expected of 400


def test_scales_of_their_own_for_chips_that_differ() -> None:
    rng = np.random.default_rng(3)
    high = on_chips(dict.fromkeys(range(4), 5000), rng)
    blank = on_chips({0: 20_000, 1: 20_000, 2: 20_000, 3: 40_000}, rng)
    scale = particle_scale(high, blank)
    assert scale.of_chip[0] == pytest.approx(0.25)
    assert scale.of_chip[3] == pytest.approx(0.125)
    assert scale.largest == pytest.approx(0.25)
    left = thinned(blank, scale, rng)
    assert np.sum(left.ccd_id == 0) == 20_000
    assert np.sum(left.ccd_id == 3) == pytest.approx(20_000, abs=400)
    # a chip whose counts are all in the cluster's peak has the scale of all
    beside = on_chips({0: 20_000, 5: 20_000}, rng)
    kept = np.sum(thinned(beside, scale, rng).ccd_id == 5)
    assert kept == pytest.approx(20_000 * scale.scale / 0.25, abs=400)
    # nothing is thrown away where one scale holds
    same = particle_scale(high, on_chips(dict.fromkeys(range(4), 20_000), rng))
    assert thinned(blank, same, rng) is blank


def test_scales_go_with_the_live_times() -> None:
    """Few counts do not tell that a chip was on for half of the time: its good times do."""
    rng = np.random.default_rng(7)
    live_s = {0: 5e3, 1: 1e4, 2: 1e4, 3: 0.0}
    pulls, separate = [], 0
    for _ in range(400):
        high = on_chips({0: int(rng.poisson(15)), 1: int(rng.poisson(30)), 2: int(rng.poisson(30))}, rng)
        blank = on_chips({c: int(rng.poisson(300)) for c in range(4)}, rng)
        scale = particle_scale(high, blank, live_s)
        separate += scale.of_chip[0] != pytest.approx(0.5 * scale.of_chip[1])
        assert scale.of_chip[3] == 0.0
        pulls.append((scale.scale - 0.1) / scale.error)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.12)
    assert abs(np.mean(pulls)) < 0.25
    assert separate <= 14
    assert not (thinned(blank, scale, rng).ccd_id == 3).any()


@pytest.mark.parametrize("empty", ["high", "blank"])
def test_no_particle_is_an_error(empty: str) -> None:
    rng = np.random.default_rng(4)
    events = {name: on_chips({0: 0 if name == empty else 10}, rng) for name in ("high", "blank")}
    with pytest.raises(EmptySelection, match=r"some\.fits: no 9\.5-12 keV count"):
        particle_scale(events["high"], events["blank"])


def test_background_from_a_part_of_the_field() -> None:
    rng = np.random.default_rng(5)
    events = on_chips({0: 20_000}, rng)
    wcs = tangent_plane(150.0, 30.0, 4 * 0.492, crpix=(26.0, 26.0))
    grid = SkyGrid(wcs, (51, 51))
    live = np.zeros(grid.shape)
    live[:, :40] = 1.0
    live[:, :5] = 0.5
    region = np.zeros(grid.shape, bool)
    region[:, 30:45] = True  # a third of it is dead
    inside = events.x < 0
    made = spread_over_field(events, inside, region, live, grid, Path("background.reg"), rng)
    density = inside.sum() / (51 * 10)
    assert len(made) == pytest.approx(LOCAL_OVERSAMPLING * density * live.sum(), rel=0.02)
    assert made.time is None
    ra, dec = made.wcs.wcs_pix2world(made.x, made.y, 1)
    row, col = grid.pixel_index(ra, dec)
    image = np.histogram2d(row, col, [np.arange(52) - 0.5] * 2)[0]
    assert image[live == 0].sum() == 0
    for part in (slice(0, 5), slice(5, 40)):
        expected = LOCAL_OVERSAMPLING * density * live[:, part].mean()
        assert image[:, part].mean() == pytest.approx(expected, rel=0.02)
    # energies are those of the events inside
    assert np.isin(made.energy_eV, events.energy_eV[inside]).all()


def test_background_region_without_events() -> None:
    rng = np.random.default_rng(6)
    events = on_chips({0: 100}, rng)
    wcs = tangent_plane(150.0, 30.0, 1.968)
    grid = SkyGrid(wcs, (10, 10))
    for region, inside in (
        (np.zeros((10, 10), bool), events.x < 0),
        (np.ones((10, 10), bool), events.x > 1e9),
    ):
        with pytest.raises(EmptySelection, match=r"background\.reg: no event of some\.fits"):
            spread_over_field(events, inside, region, np.ones((10, 10)), grid, Path("background.reg"), rng)
