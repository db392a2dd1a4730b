"""Concentration against the closed form of a beta model, and the words of both classifications."""

import numpy as np
import pytest

from pyxt_hpc.profiles.brightness.rings import Rings
from pyxt_hpc.profiles.cool_core import classify, concentration

SCALE = 2.0
"""[kpc/arcsec]."""


def rings_of_beta_model(outermost: float = 260.0, hole: bool = False) -> Rings:
    edges = np.arange(0.0, outermost, 1.5)
    power = 1.5 - 3 * 0.6
    flux = np.diff((1.0 + (edges / 30.0) ** 2) ** power) / power
    area = np.pi * np.diff(edges**2) / 3600
    exposure = 1e6 * area
    if hole:
        exposure[30:40] = 0.0
    brightness = 10.0 * flux / area
    counts = exposure * (brightness + 0.5)
    radius = np.sqrt(0.5 * (edges[1:] ** 2 + edges[:-1] ** 2))
    zero = np.zeros(len(area))
    return Rings(edges, radius, counts, zero, zero, exposure, np.ones(len(area)))


def closed_form() -> float:
    inner, outer = (1 - (1 + (r / SCALE / 30.0) ** 2) ** (1.5 - 3 * 0.6) for r in (40.0, 400.0))
    return inner / outer


@pytest.mark.parametrize("hole", [False, True])
def test_concentration_of_a_beta_model(hole: bool) -> None:
    value, error = concentration(rings_of_beta_model(hole=hole), SCALE, 0.5)
    assert value == pytest.approx(closed_form(), rel=0.01 if hole else 2e-3)
    assert 0 < error < 0.01 * value


def test_error_is_the_scatter() -> None:
    rng, rings = np.random.default_rng(0), rings_of_beta_model()
    few = 0.01 * rings.counts

    def one(counts: np.ndarray) -> tuple[float, float]:
        drawn = Rings(
            rings.edges, rings.radius, counts, rings.background, rings.variance, 0.01 * rings.exposure,
            rings.complete,
        )  # fmt: skip
        return concentration(drawn, SCALE, 0.5)

    values = [one(rng.poisson(few).astype(float))[0] for _ in range(200)]
    assert np.std(values) == pytest.approx(one(few)[1], rel=0.2)


def test_what_does_not_reach_far_enough_is_unknown() -> None:
    value, _ = concentration(rings_of_beta_model(150.0), SCALE, 0.5)
    assert np.isnan(value)
    core = classify((value, value), (0.5, 0.4, 0.6), 5.0)
    assert core.by_concentration == "unknown: the profile does not reach 400 kpc"
    assert core.by_cooling_time == "strong cool core"


@pytest.mark.parametrize(
    ("c_sb", "time", "words"),
    [
        (0.05, 10.0, ("no cool core", "no cool core")),
        (0.1, 3.0, ("moderate cool core", "weak cool core")),
        (0.2, 0.3, ("pronounced cool core", "strong cool core")),
    ],
)
def test_words(c_sb: float, time: float, words: tuple[str, str]) -> None:
    core = classify((c_sb, 0.01), (time, time, time), 10.0)
    assert (core.by_concentration, core.by_cooling_time) == words


def test_core_without_gas_is_unknown() -> None:
    assert classify((0.1, 0.01), (np.nan,) * 3, 10.0).by_cooling_time.startswith("unknown")
