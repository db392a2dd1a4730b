"""Observations with dither, simulated without a cluster."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.chandra.events import EventList, read_events
from pyxt_hpc.simulate.acis import instrument, observe, write
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import PointSource, demo_truth

Observed = Callable[..., EventList]


@pytest.fixture(scope="session")
def plan() -> ObservationPlan:
    return ObservationPlan("77", 150.02, 20.01, 40.0, 20e3, False)


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    """Make the events of an empty field, as read from files; the files stay in ``<obsid>/primary``."""

    def make(plan: ObservationPlan, *sources: PointSource, seed: int = 3) -> EventList:
        folder = tmp_path_factory.mktemp("observed")
        truth = demo_truth(field_arcmin=2.0)
        truth = replace(truth, norm=np.zeros(truth.norm.shape), sources=sources)
        arf, rng = instrument.on_axis_arf(), np.random.default_rng(seed)
        write.write_observation(folder, plan, observe.observe(truth, plan, arf, rng))
        (path,) = (folder / plan.obsid / "primary").glob("*evt2.fits")
        return read_events(path)

    return make


@pytest.fixture(scope="session")
def dithered(observed: Observed, plan: ObservationPlan) -> EventList:
    """The plan's events: an empty field, dithered by 8 arcsec."""
    return observed(plan)
