"""Masses of simulated clusters, and of data that have none."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.errors import ConfigError, EmptySelection, StoreInUse
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.plots.figures import write_figure
from pyxt_hpc.plots.mass import MASS_SIZE, draw_mass
from pyxt_hpc.profiles.mass.estimate import prepare_sampling, sample_mass
from pyxt_hpc.profiles.mass.sampler import BLOCK, best_fit
from pyxt_hpc.simulate.spherical import RELAXED

from .conftest import problem_of

_OTHER_WRITER = """
import pathlib, sys
from pyxt_hpc.files.lock import WriterLock
lock = WriterLock(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def estimate(problem, directory: Path, workers: int = 1):
    sampling = prepare_sampling(problem, lambda way, k: directory / f"{way}-{k}.h5")
    found = sample_mass(sampling, choose_pool(workers))
    assert found is not None
    return found


def true_mass(overdensity: float) -> float:
    return float(RELAXED.mass(RELAXED.halo.radius(overdensity, RELAXED.critical_density)))


def test_best_models_of_noiseless_annuli_are_the_truth(sky, noiseless) -> None:
    """The backward models include the truth; the forward models come near it."""
    problem = problem_of(sky, noiseless)
    for likelihood, tolerance in zip(problem.likelihoods, (0.08, 0.005), strict=True):
        rng = np.random.default_rng(1)
        best, _ = best_fit(likelihood.residuals, likelihood.model.start(5.0), likelihood.bounds, rng)
        assert np.sum(likelihood.residuals(best[None]) ** 2) < 1.0
        radius = np.array([100.0, 300.0, 600.0, 1200.0])
        mass = likelihood.model.mass_at(best[None], radius)[0]
        assert mass == pytest.approx(RELAXED.mass(radius), rel=tolerance)
        density, _ = likelihood.model.gas_at(best[None], radius)
        assert density[0] == pytest.approx(RELAXED.density(radius), rel=0.02)


def test_masses_scatter_about_the_truth_as_they_claim(sky) -> None:
    """Ten realisations; `benchmarks/accuracy/mass.py` has 200, sampled."""
    off, pull = [], []
    for seed in range(10):
        annuli = sky.observe(np.random.default_rng(seed))
        likelihood = problem_of(sky, annuli, ways=("backward",)).likelihoods[0]
        start = likelihood.model.start(6.0)
        best, covariance = best_fit(
            likelihood.residuals, start, likelihood.bounds, np.random.default_rng(seed)
        )
        off.append(best[-3] - np.log(6e14))
        pull.append(off[-1] / np.sqrt(covariance[-3, -3]))
    assert abs(np.mean(off)) < 0.07
    assert 0.5 < np.sqrt(np.mean(np.square(pull))) < 1.6


def test_forward_intervals_are_as_wide_as_masses_scatter(sky, tmp_path: Path) -> None:
    """Six realisations; `benchmarks/accuracy/mass.py` has more, sampled for longer."""
    pull = []
    for seed in range(6):
        problem = problem_of(
            sky, sky.observe(np.random.default_rng(seed)), 300, ways=("forward",), ensembles=1
        )
        directory = tmp_path / str(seed)
        directory.mkdir()
        spheres = estimate(problem, directory).ways["forward"].posterior.overdensities
        pull.append(
            [
                np.log(one.mass.value / true_mass(one.overdensity)) / np.log(one.mass.high / one.mass.low) * 2
                for one in spheres
            ]
        )
    rms = np.sqrt(np.mean(np.square(pull), axis=0))
    assert np.all(abs(np.mean(pull, axis=0)) < 0.9)
    assert np.all((rms > 0.4) & (rms < 1.5))


def test_chain_that_another_process_samples_is_left_alone(sky, noiseless, tmp_path: Path) -> None:
    problem = problem_of(sky, noiseless, ways=("backward",), steps=50, ensembles=1)
    sampling = prepare_sampling(problem, lambda way, k: tmp_path / f"{way}-{k}.h5")
    chain = tmp_path / "backward-0.h5"
    command = [sys.executable, "-c", _OTHER_WRITER, str(chain)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        for begin in (lambda: estimate(problem, tmp_path), lambda: sample_mass(sampling, choose_pool(1))):
            with pytest.raises(StoreInUse, match=rf"backward-0.h5: process {other.pid} .*: wait for it or"):
                begin()
        other.kill()
    assert not chain.exists()
    assert sample_mass(sampling, choose_pool(1)) is not None
    assert {path.name for path in tmp_path.iterdir()} == {chain.name}


def test_two_ways_over_processes(sky, noiseless, tmp_path: Path) -> None:
    problem = problem_of(sky, noiseless, steps=150, ensembles=1)
    found = estimate(problem, tmp_path, workers=2)
    assert set(found.ways) == {"forward", "backward"}
    for sampled in found.ways.values():
        posterior = sampled.posterior
        assert not sampled.converged
        assert posterior.excess < 4.0
        for sphere in posterior.overdensities:
            assert sphere.mass.low < true_mass(sphere.overdensity) < sphere.mass.high
            assert not sphere.is_extrapolated
            assert 0.05 < sphere.gas_fraction.value < 0.2
        mass = posterior.profiles["mass"]
        assert np.all(np.diff(mass[[1, 0, 2]], axis=0) >= 0)
    # the same again goes on with the chains: nothing is left to do
    again = estimate(problem, tmp_path)
    assert np.array_equal(again.ways["backward"].samples, found.ways["backward"].samples)


def test_radius_beyond_the_annuli_is_told(sky, noiseless, tmp_path: Path) -> None:
    inner = noiseless.of(np.arange(7))
    mixing = sky.mixing
    few = replace(mixing, slope=mixing.slope[:7], gain=mixing.gain[:7])
    problem = problem_of(sky, inner, steps=100, ways=("backward",), ensembles=1)
    problem = replace(problem, likelihoods=(replace(problem.likelihoods[0], mixing=few),))
    sphere = estimate(problem, tmp_path).ways["backward"].posterior.overdensities[1]
    assert sphere.is_extrapolated
    assert sphere.radius.value > inner.outermost


@pytest.mark.parametrize(
    ("way", "said"), [("forward", "a mass that falls outwards"), ("backward", "does not describe the annuli")]
)
def test_mass_that_falls_is_no_mass(sky, noiseless, tmp_path: Path, way: str, said: str) -> None:
    """kT falls as r^-4 with errors of 3%: no gas in equilibrium does so."""
    kT = 6.0 / (1.0 + (noiseless.radius / 500.0) ** 6) ** (4.0 / 6.0)
    annuli = replace(noiseless, kT=kT, kT_lo=0.97 * kT, kT_hi=1.03 * kT)
    found = estimate(problem_of(sky, annuli, steps=100, ways=(way,), ensembles=1), tmp_path)
    posterior = found.ways[way].posterior
    assert (posterior.excess > 9.0) == (way == "forward")
    assert posterior.probability < 1e-10
    for sphere in posterior.overdensities:
        assert np.isnan(sphere.mass.value)
        assert said in sphere.note
    assert np.isnan(posterior.profiles["mass"]).all()
    write_figure(tmp_path / "none.png", MASS_SIZE, draw_mass, found, "no mass")
    assert (tmp_path / "none.png").stat().st_size > 10_000


def test_sampling_ends_where_no_mass_can_come_of_it(sky, noiseless, tmp_path: Path) -> None:
    """Temperatures that jump up and down by a factor of 2, with errors of 3%."""
    kT = noiseless.kT * np.where(np.arange(len(noiseless.kT)) % 2, 2.0, 1.0)
    annuli = replace(noiseless, kT=kT, kT_lo=0.97 * kT, kT_hi=1.03 * kT)
    problem = problem_of(sky, annuli, steps=4 * BLOCK, ways=("backward",), ensembles=1)
    found = estimate(problem, tmp_path)
    posterior = found.ways["backward"].posterior
    assert found.ways["backward"].chains[0].steps == BLOCK
    assert not found.ways["backward"].converged
    assert "does not describe the annuli" in posterior.refusal
    assert all(sphere.note == posterior.refusal for sphere in posterior.overdensities)
    # the same again does not go on either
    assert estimate(problem, tmp_path).ways["backward"].chains[0].steps == BLOCK


@pytest.mark.parametrize("number", [1, 3])
def test_too_few_annuli(sky, noiseless, number: int) -> None:
    with pytest.raises(EmptySelection, match=f"{number} annuli.*a mass needs 4 or more"):
        problem_of(sky, noiseless.of(np.arange(number)))


def test_annuli_without_temperatures(sky, noiseless) -> None:
    blank = replace(noiseless, kT_hi=np.full(len(noiseless.kT), np.nan))
    with pytest.raises(EmptySelection, match="11 annuli, 0 of them with closed intervals"):
        problem_of(sky, blank)


def test_unknown_way(sky, noiseless) -> None:
    with pytest.raises(ConfigError, match="way 'sideways' of a mass is unknown"):
        problem_of(sky, noiseless, ways=("sideways",))
