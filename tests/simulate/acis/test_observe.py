"""Events against expectation: spectra, totals, background, flare, seeds."""

import dataclasses

import numpy as np
import pytest

from pyxt_hpc.chandra.ogip.response import fold
from pyxt_hpc.chandra.sky.exposure import live_fraction
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.chandra.sky.vignetting import vignetting
from pyxt_hpc.chandra.times.lightcurve import BIN_S
from pyxt_hpc.simulate.acis import geometry, instrument, observe, photons
from pyxt_hpc.simulate.acis.instrument import ENERGY_EDGES
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, ClusterTruth, PointSource, demo_truth
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import apec

PLAN = ObservationPlan("77", 150.02, 20.01, 40.0, 4000.0, False)


@pytest.fixture(scope="module")
def arf():
    return instrument.on_axis_arf()


def in_band(events, low, high):
    return (events.energy_eV >= 1e3 * low) & (events.energy_eV < 1e3 * high)


def expected_counts(
    truth: ClusterTruth, plan: ObservationPlan, energy_min_keV: float = 0.7, energy_max_keV: float = 8.0
) -> np.ndarray:
    """Cluster counts to expect from each pixel of the truth, (ny, nx)."""
    arf, rmf = instrument.on_axis_arf(), instrument.gaussian_rmf()
    in_band = (rmf.channel_lo_keV >= energy_min_keV) & (rmf.channel_hi_keV <= energy_max_keV)
    detected = rmf.sparse @ in_band.astype(float)
    row, col = np.indices(truth.kT.shape)
    sky = truth.wcs.wcs_pix2world(col.ravel() + 1.0, row.ravel() + 1.0, 1)
    x, y = world_to_pixel(geometry.sky_frame(plan.ra_pnt, plan.dec_pnt), *sky)
    angles = np.linspace(0.0, 25.0, 101)
    middle = 0.5 * (arf.energy_lo + arf.energy_hi)
    relative = vignetting(middle, angles)
    theta = np.hypot(x - 4096.5, y - 4096.5) * geometry.PIXEL_ARCSEC / 60.0
    counts = np.zeros(truth.kT.size)
    for amount, rate in photons.gas_components(truth, arf):
        counts += amount.ravel() * np.interp(theta, angles, (rate * detected) @ relative)
    grid = SkyGrid(truth.wcs, truth.kT.shape, PIXEL_ARCSEC)
    return plan.live_s * counts.reshape(truth.kT.shape) * live_fraction(observe.field_geometry(plan), grid)


def test_spectrum_of_an_isothermal_patch_is_the_folded_model(arf):
    truth = demo_truth()
    norm = np.zeros(truth.norm.shape)
    patch = np.s_[80:120, 300:340]  # seven arcmin off the axis, where vignetting has changed the spectrum
    norm[patch] = 1e-4
    truth = dataclasses.replace(
        truth, kT=np.full(norm.shape, 6.3), abundance=np.full(norm.shape, 0.4), norm=norm
    )
    events = observe.gas_events(truth, PLAN, arf, np.random.default_rng(8))

    rmf = instrument.gaussian_rmf()
    model = apec(ENERGY_EDGES, 6.3, 0.4, truth.redshift) * transmission(ENERGY_EDGES, truth.nH)
    row, col = (v[patch].ravel() for v in np.indices(norm.shape))
    x, y = world_to_pixel(
        geometry.sky_frame(PLAN.ra_pnt, PLAN.dec_pnt), *truth.wcs.wcs_pix2world(col + 1, row + 1, 1)
    )
    theta = np.hypot(x - 4096.5, y - 4096.5) * 0.492 / 60
    assert 5 < theta.min() < theta.max() < 9
    relative = vignetting(0.5 * (arf.energy_lo + arf.energy_hi), theta).mean(axis=1)
    assert np.all(geometry.chip_at(*geometry.det_to_tdet(*geometry.sky_to_det(x, y, PLAN.roll_deg))) >= 0)
    expected = norm.sum() * PLAN.live_s * fold(model * relative, arf, rmf)

    edges = np.arange(34, 560, 6)
    found = np.add.reduceat(np.bincount(events.pi - 1, minlength=1024), edges)[:-1]
    expected = np.add.reduceat(expected, edges)[:-1]
    assert expected.sum() > 5e4
    used = expected > 20
    chi2 = np.sum((found - expected)[used] ** 2 / expected[used])
    assert abs(chi2 - used.sum()) < 3.5 * np.sqrt(2 * used.sum())
    assert found.sum() == pytest.approx(expected.sum(), abs=4 * np.sqrt(expected.sum()))


def test_cluster_counts_are_as_expected_in_total_and_in_the_hot_gas(arf):
    truth = demo_truth(counts=1e6)
    expected = expected_counts(truth, PLAN)
    events = observe.gas_events(truth, PLAN, arf, np.random.default_rng(9))
    # expected_counts takes whole channels, 0.7008-7.9862 keV
    events = events.select((events.pi > 48) & (events.pi <= 547))
    x, y = PLAN.sky_at(events.detx, events.dety, events.time)
    sky = geometry.sky_frame(PLAN.ra_pnt, PLAN.dec_pnt).wcs_pix2world(x, y, 1)
    col, row = (np.round(v).astype(int) - 1 for v in world_to_pixel(truth.wcs, *sky))
    image = np.zeros(expected.shape)
    np.add.at(image, (row, col), 1)
    for part in (expected >= 0, truth.kT > 9.5):
        assert image[part].sum() == pytest.approx(expected[part].sum(), abs=4 * np.sqrt(expected[part].sum()))


def test_demo_has_a_million_counts():
    total = sum(expected_counts(demo_truth(), plan).sum() for plan in observe.demo_plans())
    assert total == pytest.approx(1e6, rel=0.03)


def test_point_sources_are_in_their_circles_where_they_should_be(arf):
    truth = demo_truth()
    truth = dataclasses.replace(
        truth,
        norm=np.zeros(truth.norm.shape),
        sources=(PointSource(150.02, 19.99, 1e-3), PointSource(150.08, 19.94, 1e-3)),
    )
    radii = observe.source_radii_arcsec(truth, [PLAN])
    assert radii[1] > 2 * radii[0]
    events = observe.source_events(truth, PLAN, arf, np.random.default_rng(10))
    x, y = PLAN.sky_at(events.detx, events.dety, events.time)
    wcs = geometry.sky_frame(PLAN.ra_pnt, PLAN.dec_pnt)
    for source, radius in zip(truth.sources, radii, strict=True):
        sx, sy = world_to_pixel(wcs, source.ra, source.dec)
        distance = np.hypot(x - sx, y - sy) * geometry.PIXEL_ARCSEC
        near = distance < 60
        assert near.sum() > 1000
        assert np.mean(distance[near] < radius) == pytest.approx(0.99, abs=0.01)
        assert abs(np.mean(x[near]) - sx) < 0.5


def test_blank_sky_has_the_background_of_the_observation(arf):
    truth = demo_truth()
    empty = dataclasses.replace(truth, norm=np.zeros(truth.norm.shape), sources=())
    rng = np.random.default_rng(11)
    events, blank = observe.observe(empty, PLAN, arf, rng), observe.blank_sky(empty, PLAN, arf, rng)
    for low, high in ((9.5, 12.0), (0.7, 2.0), (2.0, 7.0)):
        n, b = in_band(events, low, high).sum(), in_band(blank, low, high).sum()
        error = np.sqrt(n + b / observe.BLANK_SKY_EXPOSURE**2)
        assert b > 3000
        assert n == pytest.approx(b / observe.BLANK_SKY_EXPOSURE, abs=4 * error)
    assert set(blank.ccd_id) == {0, 1, 2, 3}


def test_only_the_sky_part_of_the_background_is_vignetted(arf):
    plan = dataclasses.replace(PLAN, exposure_s=30e3)
    blank = observe.blank_sky(demo_truth(), plan, arf, np.random.default_rng(15))
    r = np.hypot(blank.detx - 4096.5, blank.dety - 4096.5)
    tdet = np.concatenate(
        [geometry.uniform_on_chip(c, 100_000, np.random.default_rng(16)) for c in range(4)], 1
    )
    flat = np.hypot(*(tdet - 4096.5)).mean()
    hard, soft = r[in_band(blank, 9.5, 12.0)], r[in_band(blank, 0.4, 1.2)]
    assert hard.mean() == pytest.approx(flat, abs=3)
    assert soft.mean() < flat - 5


def test_flare_shows_in_the_light_curve_of_its_observation_only(arf):
    truth = demo_truth()
    truth = dataclasses.replace(truth, norm=np.zeros(truth.norm.shape), sources=())
    peaks = []
    for flare in (False, True):
        plan = dataclasses.replace(PLAN, exposure_s=15e3, flare=flare)
        events = observe.observe(truth, plan, arf, np.random.default_rng(12))
        time = events.time[in_band(events, 9.5, 12.0)]
        counts = np.histogram(time - plan.start_s, np.arange(0, plan.span_s, BIN_S))[0]
        quiet = np.median(counts)
        peaks.append(counts.max() / quiet)
    assert peaks[0] < 1.5
    assert 5 < peaks[1] < 7


def test_events_are_in_the_good_times_of_their_chips(arf):
    plan = dataclasses.replace(PLAN, flare=True)
    events = observe.observe(demo_truth(counts=1e5), plan, arf, np.random.default_rng(13))
    assert np.all(np.diff(events.time) >= 0)
    for ccd, gti in plan.gti().items():
        time = events.time[events.ccd_id == ccd]
        assert np.all(((time[:, None] > gti[:, 0]) & (time[:, None] < gti[:, 1])).any(axis=1))
    assert (gti[:, 1] - gti[:, 0]).sum() == pytest.approx(plan.ontime_s)
    assert plan.live_s == pytest.approx(plan.exposure_s, abs=2)


def test_same_seed_same_events(arf):
    truth = demo_truth(counts=1e5)

    def run(seed):
        return observe.observe(truth, PLAN, arf, np.random.default_rng(seed))

    first, again, other = run(1), run(1), run(2)
    for field in dataclasses.fields(first):
        assert np.array_equal(getattr(first, field.name), getattr(again, field.name))
    assert not np.array_equal(first.energy_eV[:100], other.energy_eV[:100])


def test_chip_and_sky_differ_by_the_dither_of_the_time(arf):
    events = observe.observe(demo_truth(counts=1e5), PLAN, arf, np.random.default_rng(16))
    tdet = geometry.det_to_tdet(events.detx, events.dety)
    assert np.array_equal(geometry.chip_at(*tdet), events.ccd_id)
    x, y = PLAN.sky_at(events.detx, events.dety, events.time)
    back = PLAN.det_at(x, y, events.time)
    assert np.allclose(back, [events.detx, events.dety], atol=1e-9)
    still = np.stack(geometry.det_to_sky(events.detx, events.dety, PLAN.roll_deg))
    shift = np.hypot(*(np.stack([x, y]) - still)) * geometry.PIXEL_ARCSEC
    assert 11.0 < shift.max() <= np.sqrt(2) * 8.0
    # the figure comes back to the start after a period along each axis
    for axis, period in ((0, 1000.0), (1, 707.1)):
        time = PLAN.start_s + period * np.array([0.0, 0.25, 0.5, 0.75, 1.0])
        assert PLAN.dither(time)[axis] * geometry.PIXEL_ARCSEC == pytest.approx([0, 8, 0, -8, 0], abs=1e-6)


def test_counts_at_the_edges_of_chips_are_those_expected(arf):
    # bright gas everywhere, in the gaps, too
    truth = demo_truth(field_arcmin=10.0)
    shape = truth.norm.shape
    truth = dataclasses.replace(
        truth,
        norm=np.full(shape, 5e-2 / truth.norm.size),
        kT=np.full(shape, 5.0),
        abundance=np.full(shape, 0.3),
    )
    expected = expected_counts(truth, PLAN)
    events = observe.gas_events(truth, PLAN, arf, np.random.default_rng(17))
    events = events.select((events.pi > 48) & (events.pi <= 547))
    sky = geometry.sky_frame(PLAN.ra_pnt, PLAN.dec_pnt).wcs_pix2world(
        *PLAN.sky_at(events.detx, events.dety, events.time), 1
    )
    col, row = (np.round(v).astype(int) - 1 for v in world_to_pixel(truth.wcs, *sky))
    image = np.zeros(shape)
    np.add.at(image, (row, col), 1)
    full = expected_counts(truth, dataclasses.replace(PLAN, dither_arcsec=0.0))
    changed = np.abs(full - expected) > 0.05 * expected.max()
    assert changed.sum() > 3000
    for part in (changed & (expected > full), changed & (expected < full)):
        assert image[part].sum() == pytest.approx(expected[part].sum(), abs=4 * np.sqrt(expected[part].sum()))
        assert abs(full[part].sum() - expected[part].sum()) > 10 * np.sqrt(expected[part].sum())
