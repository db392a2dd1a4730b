"""Chains of a posterior that is known."""

import errno
import os
import shutil
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest

from pyxt_hpc.errors import DamagedFile, DiskFull
from pyxt_hpc.profiles.mass.sampler import (
    SamplerOptions,
    advance_ensemble,
    autocorrelation,
    best_fit,
    check_chain,
    first_walkers,
    gelman_rubin,
    is_finished,
)

MEAN, COVARIANCE = np.array([1.0, -2.0, 0.5]), np.array([[1.0, 0.7, 0.0], [0.7, 1.0, 0.0], [0.0, 0.0, 0.01]])
BOUNDS = np.array([[-20.0] * 3, [20.0] * 3])
INVERSE = np.linalg.inv(COVARIANCE)
ROOT = np.linalg.cholesky(INVERSE).T


def residuals(theta):
    return (theta - MEAN) @ ROOT.T


def log_probability(theta):
    inside = np.all((theta > BOUNDS[0]) & (theta < BOUNDS[1]), axis=1)
    return np.where(inside, -0.5 * np.sum(residuals(theta) ** 2, axis=1), -np.inf)


def walkers(number: int = 24, seed: int = 0):
    rng = np.random.default_rng(seed)
    found = first_walkers(MEAN, COVARIANCE, BOUNDS, log_probability, number, rng)
    assert found is not None
    return found


def run_ensemble(path, name, log_probability, walkers, options, seed):  # type: ignore[no-untyped-def]
    """Until the chain is finished."""
    while True:
        chain = advance_ensemble(
            path, name, log_probability, walkers, options, seed, partial(is_finished, options=options)
        )
        if is_finished(chain, options):
            return chain


def test_best_fit_and_covariance_are_those_of_the_gaussian() -> None:
    best, covariance = best_fit(residuals, np.zeros(3), BOUNDS, np.random.default_rng(1))
    assert best == pytest.approx(MEAN, abs=1e-3)
    assert covariance == pytest.approx(COVARIANCE, abs=0.02)


def test_chain_has_the_moments_of_the_posterior(tmp_path: Path) -> None:
    chain = run_ensemble(
        tmp_path / "a.h5", "x", log_probability, walkers(), SamplerOptions(max_steps=6000), 1
    )
    assert chain.converged
    error = np.sqrt(np.diag(COVARIANCE) * chain.autocorrelation.max() / (chain.steps * 24))
    assert np.all(np.abs(chain.samples.mean(axis=0) - MEAN) < 5 * error)
    assert np.cov(chain.samples.T) == pytest.approx(COVARIANCE, abs=0.12)
    assert 0.2 < chain.acceptance < 0.9
    assert chain.steps >= 50 * chain.autocorrelation.max()


def test_resumed_chain_is_that_of_an_uninterrupted_run(tmp_path: Path) -> None:
    short, long = SamplerOptions(max_steps=200, length=1e9), SamplerOptions(max_steps=500, length=1e9)
    whole = run_ensemble(tmp_path / "whole.h5", "x", log_probability, walkers(), long, 7)
    run_ensemble(tmp_path / "part.h5", "x", log_probability, walkers(), short, 7)
    # a second run starts anywhere, and takes the walkers of the file
    part = run_ensemble(tmp_path / "part.h5", "x", log_probability, walkers(seed=9), long, 7)
    assert (part.steps, whole.steps) == (500, 500)
    assert np.array_equal(part.samples, whole.samples)
    assert not whole.converged


def test_chain_of_something_else_is_replaced(tmp_path: Path) -> None:
    options = SamplerOptions(max_steps=100)
    path = tmp_path / "a.h5"
    run_ensemble(path, "old", log_probability, walkers(), options, 1)
    fresh = run_ensemble(path, "new", log_probability, walkers(), options, 2)
    shutil.copy(path, tmp_path / "copy.h5")
    again = run_ensemble(tmp_path / "copy.h5", "new", log_probability, walkers(), options, 3)
    assert np.array_equal(fresh.samples, again.samples)


def test_damaged_chain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"no chain at all")
    with pytest.raises(DamagedFile, match=r"a\.h5: this chain cannot be read"):
        check_chain(path)
    with pytest.raises(DamagedFile, match="delete it"):
        run_ensemble(path, "x", log_probability, walkers(), SamplerOptions(max_steps=100), 1)


def test_chain_whose_end_is_lost_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    run_ensemble(path, "x", log_probability, walkers(), SamplerOptions(max_steps=100), 1)
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        place = h5py.h5o.get_info(file["x/accepted"].id).addr
    content[place : place + 64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=r"a\.h5: this chain cannot be read .*; delete it"):
        check_chain(path)


def test_full_disk_is_told_before_the_chain_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    run_ensemble(path, "x", log_probability, walkers(), SamplerOptions(max_steps=100), 1)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DiskFull, match=r"a\.h5: cannot be written \(No space left"):
        run_ensemble(path, "x", log_probability, walkers(), SamplerOptions(max_steps=200), 1)
    assert path.read_bytes() == before


def test_autocorrelation_of_a_process_with_memory() -> None:
    """x_i = 0.9 x_(i-1) + noise: (1 + 0.9)/(1 - 0.9) = 19 steps."""
    rng = np.random.default_rng(3)
    x = np.zeros((4000, 20, 1))
    for i in range(1, 4000):
        x[i] = 0.9 * x[i - 1] + rng.standard_normal((20, 1))
    assert autocorrelation(x)[0] == pytest.approx(19.0, rel=0.15)


def test_ensembles_that_disagree_are_told(tmp_path: Path) -> None:
    options = SamplerOptions(max_steps=500)
    one = run_ensemble(tmp_path / "a.h5", "x", log_probability, walkers(), options, 1)
    other = run_ensemble(tmp_path / "b.h5", "x", log_probability, walkers(seed=1), options, 2)
    far = run_ensemble(
        tmp_path / "c.h5", "x", lambda t: log_probability(t - 3.0), walkers() + 3.0, options, 2
    )
    assert gelman_rubin([one, other]) < 1.05
    assert gelman_rubin([one, far]) > 1.5
    assert np.isnan(gelman_rubin([one]))


def test_walkers_start_where_the_posterior_is_not_0() -> None:
    def corner(theta):
        return np.where(theta[:, 0] > 3.0, 0.0, -np.inf)

    rng = np.random.default_rng(5)
    found = first_walkers(MEAN, COVARIANCE, BOUNDS, corner, 20, rng)
    assert found is not None
    assert found[:, 0].min() > 3.0
    nowhere = first_walkers(MEAN, COVARIANCE, BOUNDS, lambda t: np.full(len(t), -np.inf), 20, rng)
    assert nowhere is None
