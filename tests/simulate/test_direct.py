"""Bundles straight from the truth: photons where and at the energies that the truth says."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_fronts import SHOCK_FREE, point_sources, shock_free_cluster, shocked_cluster

from pyxt_hpc.simulate.direct import observe_directly, scaled_to


def test_counts_are_those_asked_for_and_where_the_gas_is() -> None:
    rng = np.random.default_rng(1)
    truth = scaled_to(shock_free_cluster("round", rng, 80).cluster, 2e5, exposure_s=5e4)
    bundle = observe_directly(truth, rng, exposure_s=5e4, background_ratio=10.0)
    net = bundle.counts - bundle.background
    assert net.sum() == pytest.approx(2e5, rel=0.01)
    rate = truth.norm / truth.norm.sum()
    assert np.corrcoef(net.ravel(), rate.ravel())[0, 1] > 0.95
    observation = bundle.observations[0]
    energy = observation.rmf.channel_lo_keV[observation.event_channel]
    assert energy.min() >= 0.7
    assert energy.max() <= 8.0
    assert bundle.background_variance.sum() == pytest.approx(0.1 * bundle.background.sum(), rel=1e-3)


def test_hotter_gas_has_harder_photons() -> None:
    rng = np.random.default_rng(2)
    truth = shock_free_cluster("round", rng, 60).cluster
    left = np.indices(truth.kT.shape)[1] < 30
    halves = replace(truth, kT=np.where(left, 3.0, 12.0), norm=np.ones_like(truth.norm) * 1e-7)
    bundle = observe_directly(scaled_to(halves, 1e5), rng)
    observation = bundle.observations[0]
    pixel = np.repeat(np.arange(truth.kT.size), np.diff(observation.event_indptr))
    cool = left.ravel()[pixel]
    assert observation.event_channel[~cool].mean() > 1.1 * observation.event_channel[cool].mean()


def test_holes_have_no_photons() -> None:
    rng = np.random.default_rng(3)
    live = point_sources(rng, 60)
    bundle = observe_directly(shock_free_cluster("round", rng, 60).cluster, rng, mask=live)
    assert 0 < np.sum(~live) < 400
    assert bundle.counts[~live].sum() == 0
    assert bundle.background[~live].sum() == 0


def test_front_has_the_jumps_of_its_mach_number() -> None:
    truth = shocked_cluster(2.0, np.random.default_rng(4))
    inwards = np.array([np.sin(truth.angle), np.cos(truth.angle)])
    middle = np.array([truth.row, truth.col])
    (y1, x1), (y2, x2) = (np.rint(middle + s * 2.0 * inwards).astype(int) for s in (1, -1))
    kT, norm = truth.cluster.kT, truth.cluster.norm
    assert kT[y1, x1] / kT[y2, x2] == pytest.approx(2.08, rel=0.05)
    # brightness goes as density squared, and rises inwards besides
    assert norm[y1, x1] / norm[y2, x2] == pytest.approx((16 / 7) ** 2, rel=0.35)
    along = middle + np.arange(-5, 6)[:, None] * np.array([-inwards[1], inwards[0]])
    assert truth.is_at(along, truth.angle)
    assert not truth.is_at(along, truth.angle + np.pi)
    assert not truth.is_at(along + 8.0 * inwards, truth.angle)


@pytest.mark.parametrize("kind", SHOCK_FREE)
def test_every_kind_is_gas(kind: str) -> None:
    cluster = shock_free_cluster(kind, np.random.default_rng(5), 60).cluster
    assert np.all((cluster.kT > 1.0) & (cluster.kT < 15.0))
    assert np.all(cluster.norm > 0)
