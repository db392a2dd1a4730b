"""Temperatures that are noise are steadied, those that are known stay."""

import numpy as np
import pytest

from pyxt_hpc.profiles.gas.deprojection import Deprojection, Shells
from pyxt_hpc.profiles.gas.steadying import steadied

N, DRAWS = 9, 300
TRUE_KT = 6.0 * (1.0 - 0.04 * np.arange(N))
TRUE_NORM = 1e-3 * 0.6 ** np.arange(N)
NORM_BY_KT = 0.3
"""Of the logarithms: what a fit gives to the norm if it makes gas hotter."""


def fit_of(error: float, rng: np.random.Generator) -> Deprojection:
    """A fit with an error of ln kT, neighbours against each other as in a deprojection, and its draws."""
    mixed = np.eye(N) - 0.4 * np.eye(N, k=1) - 0.4 * np.eye(N, k=-1)

    def scattered(kT: np.ndarray, norm: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        off = error * rng.standard_normal((size, N)) @ mixed
        own = 0.03 * rng.standard_normal((size, N))
        return kT * np.exp(off), norm * np.exp(NORM_BY_KT * off + own)

    kT, norm = scattered(TRUE_KT, TRUE_NORM, 1)
    drawn_kT, drawn_norm = scattered(kT[0], norm[0], DRAWS)
    none = np.zeros(N, bool)
    return Deprojection(
        Shells(norm[0], kT[0], np.full(N, 0.3)),
        Shells(drawn_norm, drawn_kT, np.full((DRAWS, N), 0.3)),
        none, np.zeros((DRAWS, N), bool), 0.0, 100, 2 * N,
    )  # fmt: skip


def test_noise_is_steadied_and_norms_follow() -> None:
    rng = np.random.default_rng(1)
    before, after, norm_before, norm_after = [], [], [], []
    for _ in range(40):
        fit = fit_of(0.7, rng)
        found = steadied(fit, np.ones(N, bool))
        before.append(np.log(fit.best.kT / TRUE_KT))
        after.append(np.log(found.kT / TRUE_KT))
        norm_before.append(np.log(fit.best.norm / TRUE_NORM))
        norm_after.append(np.log(found.norm / TRUE_NORM))
        # draws tell the errors of what was steadied, not of what was fitted
        assert (
            np.std(np.log(found.kT_draws), axis=0).mean() < 0.5 * np.std(np.log(fit.draws.kT), axis=0).mean()
        )
    assert np.std(after) < 0.5 * np.std(before)
    assert abs(np.mean(after)) < 0.1
    assert np.std(norm_after) < 0.6 * np.std(norm_before)


def test_what_is_known_stays() -> None:
    fit = fit_of(0.02, np.random.default_rng(2))
    found = steadied(fit, np.ones(N, bool))
    assert found.kT == pytest.approx(fit.best.kT, rel=0.02)
    assert found.norm == pytest.approx(fit.best.norm, rel=0.01)


def test_shells_without_a_temperature_and_few_draws_are_left_alone() -> None:
    fit = fit_of(0.7, np.random.default_rng(3))
    known = np.arange(N) != 4
    found = steadied(fit, known)
    assert found.kT[4] == fit.best.kT[4]
    assert np.array_equal(found.norm_draws[:, 4], fit.draws.norm[:, 4])
    assert not np.allclose(found.kT[known], fit.best.kT[known])
    few = Deprojection(
        fit.best,
        Shells(fit.draws.norm[:10], fit.draws.kT[:10], fit.draws.abundance[:10]),
        fit.no_emission, fit.no_emission_drawn[:10], 0.0, 100, 2 * N,
    )  # fmt: skip
    assert np.array_equal(steadied(few, known).kT, fit.best.kT)
