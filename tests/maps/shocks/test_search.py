"""The search for shocks from photons: simulated fields through scale map and fits to candidates.

The fields are the same in every run. The limits hold for any others as well, so that a change that only
draws other photons fails with a chance below 1e-5 in each test: of 210 fronts
(benchmarks/accuracy/shocks.py and fields of this size) 200 were found; deviations of their Mach numbers had
a mean of -0.5 and a scatter of 0.7 to 1.1 sigma, their density jumps were 0.95 +- 0.03 of the true ones;
and none of 300 fields without a shock had a candidate. All statements are of twelve fronts together, or of
six fields: a search that misses most fronts, finds one wherever it looks, or errs by 10% in Mach number or
by a factor of 2 in its error, fails.
"""

import numpy as np
import pytest
from fitted_in_memory import fit_in_memory
from simulated_fronts import FrontTruth, point_sources, shock_free_cluster, shocked_cluster

from pyxt_hpc.maps.shocks.fronts import Front
from pyxt_hpc.maps.shocks.search import search_shocks
from pyxt_hpc.simulate.direct import observe_directly

SIDE = 160
SEED = 0
"""Any other does as well."""

MACH, FIELDS = (1.5, 2.0, 3.0), 4  # of each

Found = list[tuple[float, Front]]
"""True Mach numbers with what was found."""


def candidates(truth: FrontTruth, rng: np.random.Generator) -> list[Front]:
    bundle = observe_directly(truth.cluster, rng, mask=point_sources(rng, SIDE))
    return list(search_shocks(fit_in_memory(bundle)).fronts)


@pytest.fixture(scope="module")
def found() -> Found:
    """The most significant candidate at each front, where there is one."""
    pairs = []
    for mach in MACH:
        for field in range(FIELDS):
            rng = np.random.default_rng([SEED, round(10 * mach), field])
            truth = shocked_cluster(mach, rng, SIDE)
            at_front = [front for front in candidates(truth, rng) if truth.is_at(front.pixels, front.angle)]
            pairs += [(mach, front) for front in at_front[:1]]
    return pairs


def test_fronts_are_found(found: Found) -> None:
    assert len(found) >= 6  # if one in 21 is missed: 3e-7


def test_mach_numbers_are_right_within_their_errors(found: Found) -> None:
    off = np.array([front.mach - mach for mach, front in found])
    side = [
        front.mach_hi - front.mach if front.mach < mach else front.mach - front.mach_lo
        for mach, front in found
    ]
    deviation = off / side
    assert abs(deviation.mean() + 0.5) < 1.5  # of 12 of scatter 1.1: 2e-6
    assert 0.2 < np.sqrt(np.mean(deviation**2)) < 2.6
    # and the error says something
    width = [(front.mach_hi - front.mach_lo) / mach for mach, front in found]
    assert 0.05 < np.median(width) < 0.3


def test_densities_jump_as_they_should(found: Found) -> None:
    ratio = [
        front.density_mach**2 / (front.density_mach**2 + 3) / (mach**2 / (mach**2 + 3))
        for mach, front in found
    ]
    assert np.mean(ratio) == pytest.approx(0.95, abs=0.06)


def test_no_shock_where_there_is_none() -> None:
    false = {}
    for number, kind in enumerate(("elliptical", "cold front", "off-centre")):
        for field in range(2):
            rng = np.random.default_rng([SEED, 100 + number, field])
            false[kind, field] = candidates(shock_free_cluster(kind, rng, SIDE), rng)
    assert sum(bool(fronts) for fronts in false.values()) <= 2, false  # at one in 300: 7e-7
