"""Beta models drawn and fitted again: values, errors, and which is preferred."""

import numpy as np
import pytest

from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.profiles.brightness.beta_models import BetaProfile, fit_beta_models, preferred
from pyxt_hpc.profiles.brightness.rings import Rings


def drawn(model: BetaProfile, rng: np.random.Generator, exposure: float = 2e4, sky: float = 2e-3) -> Rings:
    """Poisson counts of a model in rings of 2 arcsec."""
    edges = np.arange(0.0, 402.0, 2.0)
    radius = np.sqrt(0.5 * (edges[1:] ** 2 + edges[:-1] ** 2))
    seen = exposure * np.pi * np.diff(edges**2) / 3600
    background = seen * sky
    counts = rng.poisson(seen * (model.cluster(radius) + model.constant) + background).astype(float)
    return Rings(edges, radius, counts, background, 0.1 * background, seen, np.ones(len(radius)))


def model(*peaks: float, cores: tuple[float, ...], beta: float, constant: float) -> BetaProfile:
    return BetaProfile(peaks, cores, beta, constant, {}, 0.0, 0)


ONE = model(0.05, cores=(40.0,), beta=0.62, constant=3e-4)
TWO = model(0.03, 0.4, cores=(60.0, 9.0), beta=0.66, constant=-2e-4)


def test_one_component_and_its_errors() -> None:
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(40):
        single, double = fit_beta_models(drawn(ONE, rng))
        assert preferred(single, double) is single
        pulls.append([(single.parameters[n] - v) / single.errors[n] for n, v in ONE.parameters.items()])
    assert np.abs(np.mean(pulls, axis=0)).max() < 4.0 / np.sqrt(40)
    assert np.all((np.std(pulls, axis=0) > 0.7) & (np.std(pulls, axis=0) < 1.35))


def test_two_components() -> None:
    rng = np.random.default_rng(6)
    for _ in range(5):
        single, double = fit_beta_models(drawn(TWO, rng))
        assert preferred(single, double) is double
        for name, value in TWO.parameters.items():
            assert abs(double.parameters[name] - value) < 4.0 * double.errors[name], name
        assert abs(double.statistic - double.n_bins) < 5.0 * np.sqrt(2.0 * double.n_bins)


def test_nothing_to_fit_is_told() -> None:
    rng = np.random.default_rng(7)
    faint = model(1e-8, cores=(40.0,), beta=0.6, constant=0.0)
    with pytest.raises(EmptySelection, match="too few"):
        fit_beta_models(drawn(faint, rng, exposure=10.0))
