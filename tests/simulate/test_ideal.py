"""What the simulator knows of its observations."""

from dataclasses import replace

import numpy as np
import pytest
from ideal_bundle import true_scale, without_flare

from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.simulate.acis.instrument import on_axis_arf
from pyxt_hpc.simulate.acis.observe import demo_plans, observe
from pyxt_hpc.simulate.acis.plan import DTCOR
from pyxt_hpc.simulate.cluster import demo_truth

STEADY, FLARING = (replace(plan, exposure_s=30e3) for plan in demo_plans())


def test_time_without_the_flare() -> None:
    for level in (0.01, 0.2, 4.9):
        for ccd, gti in without_flare(FLARING, level).items():
            cut = gti_arithmetic.ontime(FLARING.gti()[ccd]) - gti_arithmetic.ontime(gti)
            # 5 sin^2 over 6000 s
            assert cut == pytest.approx(6000.0 * (1.0 - 2.0 * np.arcsin(np.sqrt(level / 5.0)) / np.pi))
    assert without_flare(STEADY, 0.01).keys() == STEADY.gti().keys()
    for ccd, gti in without_flare(STEADY, 0.01).items():
        np.testing.assert_array_equal(gti, STEADY.gti()[ccd])


def test_particles_are_quiet_in_it_and_not_beside_it() -> None:
    truth = demo_truth(counts=1e3)
    events = observe(truth, FLARING, on_axis_arf(), np.random.default_rng(4))
    gti = without_flare(FLARING)[3]
    hard = events.time[(events.energy_eV > 9500) & (events.ccd_id == 3)]
    within = gti_arithmetic.in_gti(gti, hard)
    quiet = within.sum() / gti_arithmetic.ontime(gti)
    flaring = (~within).sum() / (gti_arithmetic.ontime(FLARING.gti()[3]) - gti_arithmetic.ontime(gti))
    early = np.sum(hard < FLARING.start_s + 9000.0) / 9000.0
    assert quiet == pytest.approx(early, abs=3.5 * np.sqrt(early / 9000.0))
    assert flaring / quiet == pytest.approx(3.5, rel=0.1)  # 1 + the mean of 5 sin^2


def test_scale_is_the_ratio_of_the_exposures() -> None:
    gti = gti_arithmetic.union(list(FLARING.gti().values()))
    assert true_scale(FLARING, gti) == pytest.approx(1 / 6)
    half = gti_arithmetic.intersection(gti, [[0.0, FLARING.start_s + 10e3]])
    share = gti_arithmetic.ontime(half) * DTCOR / FLARING.live_s
    assert true_scale(FLARING, half) == pytest.approx(share / 6, rel=1e-3)
