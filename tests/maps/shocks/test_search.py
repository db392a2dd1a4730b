"""The search for shocks from photons: simulated fields through scale map and fits to candidates.

Statistics over many fields are in benchmarks/shocks.py.
"""

import numpy as np
import pytest

from pyxt_hpc.maps.in_memory import fit_in_memory
from pyxt_hpc.maps.shocks.fronts import Front
from pyxt_hpc.maps.shocks.search import search_shocks
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.simulate.fronts import FrontTruth, point_sources, shock_free_cluster, shocked_cluster

SIDE = 160


def candidates(truth: FrontTruth, rng: np.random.Generator) -> list[Front]:
    bundle = observe_directly(truth.cluster, rng, mask=point_sources(rng, SIDE))
    return list(search_shocks(fit_in_memory(bundle)).fronts)


@pytest.mark.parametrize("mach", [1.5, 2.0, 3.0])
def test_front_is_found_with_its_mach_number(mach: float) -> None:
    found = []
    for seed in (9001, 9002, 9003):
        rng = np.random.default_rng([seed, round(10 * mach)])
        truth = shocked_cluster(mach, rng, SIDE)
        at_front = [front for front in candidates(truth, rng) if truth.is_at(front.pixels, front.angle)]
        found += at_front[:1]
    # one front in fifteen of Mach 1.5 is not found, and hardly one of the others
    assert len(found) >= 2
    for front in found:
        off = front.mach - mach
        assert abs(off) < 3.0 * (front.mach_hi - front.mach if off < 0 else front.mach - front.mach_lo)
        # and that the error says something
        assert front.mach_hi - front.mach_lo < 0.4 * mach
        ratio, expected = (4 * m**2 / (m**2 + 3) for m in (front.density_mach, mach))
        assert ratio == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("kind", ["elliptical", "cold front", "off-centre"])
def test_no_shock_where_there_is_none(kind: str) -> None:
    rng = np.random.default_rng([9002, len(kind)])
    assert not candidates(shock_free_cluster(kind, rng, SIDE), rng)
