"""Clusters to make profiles of, each simulated once."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.simulate.spherical import PRESETS


@cache
def _observed(name: str, times: float) -> Bundle:
    preset = PRESETS[name]
    truth = preset.truth(field_arcmin=8.0)
    return observe_directly(truth, np.random.default_rng(20), exposure_s=times * preset.exposure_s)


@pytest.fixture(scope="session")
def observed() -> Callable[[str, float], Bundle]:
    """A preset of the simulator, observed so many times as long as usual."""
    return _observed
