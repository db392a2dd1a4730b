"""Stages without a person's help against the truth: times, scales, sources and temperatures."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
from fitted_in_memory import fit_in_memory
from ideal_bundle import ideal_bundle, true_scale, without_flare

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.cli import main
from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.acis.observe import demo_plans, simulate_cluster
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import demo_truth
from pyxt_hpc.simulate.demo import NAME, configuration_text


@dataclass(frozen=True)
class Chain:
    """A cluster after stages 1 to 4, and the bundle made of its events by the truth."""

    layout: Layout
    plans: tuple[ObservationPlan, ...]
    bundle: Bundle
    ideal: Bundle

    def good_times(self, plan: ObservationPlan) -> np.ndarray:
        """Good times of any chip after the flare cleaning."""
        clean = read_events(self.layout.clean_events(plan.obsid))
        return gti_arithmetic.union(list(clean.gti.values()))


@pytest.fixture(scope="module", params=[1, 2])
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("chain")
    truth = demo_truth(field_arcmin=7.0)
    plans = tuple(replace(plan, exposure_s=0.3 * plan.exposure_s) for plan in demo_plans())
    nominal = request.param % 2 == 0
    simulate_cluster(folder / NAME, truth, plans, seed=request.param, nominal_blank_sky=nominal)
    layout = Layout(folder / NAME, NAME)
    layout.sources_reg.unlink()
    layout.crop_reg.unlink()
    config = folder / f"{NAME}.ini"
    config.write_text(configuration_text(NAME, truth, plans), encoding="utf-8")
    assert main(["run", "-c", str(config), "--through", "crop-data"]) == 0
    bundle = read_bundle(layout.bundle)
    return Chain(layout, plans, bundle, ideal_bundle(folder / NAME, plans, bundle))


def test_flares_go_and_quiet_time_stays(chain: Chain) -> None:
    for plan in chain.plans:
        kept = chain.good_times(plan)

        def quiet(level: float, plan: ObservationPlan = plan) -> np.ndarray:
            return gti_arithmetic.union(list(without_flare(plan, level).values()))

        def both(level: float, kept: np.ndarray = kept) -> float:
            return gti_arithmetic.ontime(gti_arithmetic.intersection(quiet(level), kept))

        assert both(0.02) >= 0.95 * gti_arithmetic.ontime(quiet(0.02))
        if plan.flare:
            whole = gti_arithmetic.union(list(plan.gti().values()))
            flare = gti_arithmetic.ontime(whole) - gti_arithmetic.ontime(quiet(0.2))
            assert flare > 4000
            assert gti_arithmetic.ontime(kept) - both(0.2) <= 0.05 * flare


def test_background_scale(chain: Chain) -> None:
    for plan, observation in zip(chain.plans, chain.bundle.observations, strict=True):
        truth = true_scale(plan, chain.good_times(plan))
        facts = json.loads(chain.layout.step_record("crop-data").read_text())["facts"]["observations"]
        error = facts[plan.obsid]["background_scale_error"] / observation.background_scale
        assert error < 0.013
        assert observation.background_scale == pytest.approx(truth, rel=max(0.02, 3 * error))


def test_sources_and_edges_are_where_the_truth_has_them(chain: Chain) -> None:
    for mine, true in zip(chain.bundle.observations, chain.ideal.observations, strict=True):
        both = (mine.mask > 0) & (true.mask > 0)
        # sources too faint for the exposure stay in; proposed circles are wider than those of the truth
        assert both.sum() > 0.97 * true.mask.sum()
        assert both.sum() > 0.99 * mine.mask.sum()
        np.testing.assert_allclose(mine.vignetting[:, both], true.vignetting[:, both], atol=0.03)
        assert np.mean(mine.vignetting[:, both] / true.vignetting[:, both]) == pytest.approx(1, abs=1e-3)


def test_temperatures_are_those_of_the_bundle_made_from_the_truth(chain: Chain) -> None:
    # the measured scales with the ideal's times: their noise moves all circles alike
    observations = tuple(
        replace(ideal, background_scale=mine.background_scale * ideal.exposure_s / mine.exposure_s)
        for mine, ideal in zip(chain.bundle.observations, chain.ideal.observations, strict=True)
    )
    fitted = fit_in_memory(chain.bundle, resolution=1)
    for ideal, allowed in ((replace(chain.ideal, observations=observations), 0.06), (chain.ideal, 0.2)):
        again = fit_in_memory(ideal, resolution=1, radius=fitted.radius)
        _, mine, theirs = np.intersect1d(fitted.rows["region"], again.rows["region"], return_indices=True)
        rows, others = fitted.rows[mine], again.rows[theirs]
        width = 0.5 * (others["kT_hi"] - others["kT_lo"])
        difference = ((rows["kT"] - others["kT"]) / width)[np.isfinite(width)]
        assert len(difference) > 5000
        assert abs(difference.mean()) < allowed
        # differences: seconds at the flare's ends, and faint sources
        assert difference.std() < 0.3
