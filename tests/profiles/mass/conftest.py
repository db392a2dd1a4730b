"""A relaxed cluster in annuli, and what its fits find."""

import numpy as np
import pytest
from simulated_annuli import AnnularSky

from pyxt_hpc.profiles.mass.annuli import AnnularFits
from pyxt_hpc.profiles.mass.estimate import MassOptions, MassProblem
from pyxt_hpc.profiles.mass.sampler import SamplerOptions
from pyxt_hpc.simulate.spherical import RELAXED

EDGES = np.array([0.0, 12.0, 25.0, 40.0, 55.0, 75.0, 100.0, 130.0, 170.0, 230.0, 300.0, 400.0])


@pytest.fixture(scope="session")
def sky() -> AnnularSky:
    return AnnularSky(RELAXED, EDGES)


@pytest.fixture(scope="session")
def noiseless(sky: AnnularSky) -> AnnularFits:
    """Fits of the expected spectra themselves."""
    gas, background = sky.expected
    return sky.fit(gas + background, sky.background_ratio * background)


def problem_of(sky: AnnularSky, annuli: AnnularFits, steps: int = 200, **options: object) -> MassProblem:
    """The problem of a simulated sky; annuli without a norm must not occur."""
    cluster = sky.cluster
    return MassProblem.of(
        annuli,
        lambda used: sky.mixing,
        redshift=cluster.redshift,
        cosmology=cluster.cosmology,
        particles=cluster.particles,
        options=MassOptions(sampler=SamplerOptions(max_steps=steps), **options),
    )
