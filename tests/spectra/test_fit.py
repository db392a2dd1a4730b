"""The fit engine against dense grids in plain numpy, against simulations, against Sherpa with XSPEC."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.spectra.fit import FIT_DTYPE, FitOptions, ModelGrid, fit_regions
from pyxt_hpc.spectra.grouping import channel_bins, resolution_bins
from pyxt_hpc.spectra.kernels.statistics import STATISTICS, chi2gehrels, cstat, wstat
from pyxt_hpc.spectra.templates import SourceModel

EXPOSURE = 1e5


def fit_kT(
    S: np.ndarray, B: np.ndarray, weight: np.ndarray, r: np.ndarray, rate: np.ndarray, kT: np.ndarray,
    **options: Any,
) -> np.ndarray:  # fmt: skip
    """Fit of kT and norm to a model whose abundance plays no part."""
    grid = ModelGrid(np.asarray(kT), np.array([0.05]), rate[None], np.zeros_like(rate)[None])
    return fit_regions(S, B, weight, r, grid, FitOptions(**options))


class Model:
    """Templates of a simple detector in bins of half its resolution, and simulated spectra."""

    def __init__(self) -> None:
        lo = np.arange(0.3, 10.0, 0.02)
        edges = np.arange(701) * 0.0146
        centre, energy = 0.5 * (edges[1:] + edges[:-1]), (lo + 0.01)[:, None]
        sigma = np.sqrt(0.09**2 + 0.003 * energy) / 2.355
        matrix = np.exp(-0.5 * ((centre - energy) / sigma) ** 2)
        matrix /= matrix.sum(axis=1, keepdims=True)
        n = len(lo)
        rmf = Rmf(
            lo, lo + 0.02, np.ones(n, np.int32), np.zeros(n, np.int32), np.full(n, 700, np.int32),
            matrix.ravel(), edges[:-1], edges[1:], 1,
        )  # fmt: skip
        arf = Arf(lo, lo + 0.02, 500 * np.exp(-0.5 * (np.log(lo / 1.6) / 0.7) ** 2))
        folded = SourceModel(redshift=0.1, nH=0.05).fold(arf, rmf)
        bins = resolution_bins(rmf, 0.7, 8.0)
        self.kT = folded.kT
        self.rate = np.add.reduceat(folded.at_abundance(0.3)[:, : bins[-1]], bins[:-1], axis=1)

    def at(self, kT: np.ndarray) -> np.ndarray:
        """Count rates at norm 1, linear between the nodes: (n, n_bin)."""
        kT = np.atleast_1d(kT)
        k = np.clip(np.searchsorted(self.kT, kT, side="right") - 1, 0, len(self.kT) - 2)
        t = ((kT - self.kT[k]) / (self.kT[k + 1] - self.kT[k]))[:, None]
        return (1 - t) * self.rate[k] + t * self.rate[k + 1]

    def simulate(
        self, kT: np.ndarray, counts: float, *, ratio: float = 10.0, share: float = 0.2, seed: int = 1
    ):
        """Source, background, weight, ratio and true norm; `share` of the counts are background."""
        rng = np.random.default_rng(seed)
        rate = EXPOSURE * self.at(kT)
        norm = counts * (1 - share) / rate.sum(axis=1)
        flat = np.full(rate.shape, counts * share / rate.shape[1])
        source, background = rng.poisson(norm[:, None] * rate + flat), rng.poisson(ratio * flat)
        return source, background, np.full(rate.shape, EXPOSURE), np.full(rate.shape, ratio), norm

    def profile(
        self, kT: np.ndarray, S: np.ndarray, B: np.ndarray, r: float, statistic: Callable = wstat
    ) -> np.ndarray:
        """Statistic at the best norm for each kT, by bisection of its slope in log norm.

        That is known to 1e-7, and the statistic to the square of it times the counts.
        """
        m = EXPOSURE * self.at(kT)

        def total(log_norm: np.ndarray) -> np.ndarray:
            return statistic(S, B, np.exp(log_norm)[:, None] * m, r).sum(axis=1)

        hi = np.log(S.sum() / m.sum(axis=1)) + 1.0
        lo = hi - 50.0
        for _ in range(29):
            middle = 0.5 * (lo + hi)
            h = 1e-4
            up = total(middle + h) > total(middle - h)
            lo, hi = np.where(up, lo, middle), np.where(up, middle, hi)
        return total(hi)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model()


@pytest.mark.parametrize(
    ("counts", "ratio", "share"), [(60, 10.0, 0.2), (400, 1.0, 0.5), (1600, 10.0, 0.2), (20000, 4.0, 0.1)]
)
@pytest.mark.parametrize("name", STATISTICS)
def test_against_a_dense_grid(model: Model, counts: float, ratio: float, share: float, name: str) -> None:
    of_bins = {"wstat": wstat, "cstat": cstat, "chi2gehrels": chi2gehrels}[name]
    n = 8
    kT = np.exp(np.random.default_rng(2).uniform(np.log(0.7), np.log(14.0), n))
    S, B, weight, r, _ = model.simulate(kT, counts, ratio=ratio, share=share, seed=int(counts))
    found = fit_kT(S, B, weight, r, model.rate, model.kT, statistic=name)
    usable = (found["flags"] & (FitFlag.NO_COUNTS | FitFlag.NORM_LO_OPEN)) == 0
    assert usable.sum() >= 4
    pieces = [np.linspace(a, b, 5, endpoint=False) for a, b in zip(model.kT[:-1], model.kT[1:], strict=True)]
    grid = np.concatenate([*pieces, model.kT[-1:]])
    for i in np.flatnonzero(usable):
        fit = found[i]

        def statistic(norm: float, kT: np.ndarray, i: int = i) -> np.ndarray:
            return of_bins(S[i], B[i], norm * EXPOSURE * model.at(kT), ratio).sum(axis=1)

        best = fit["statistic"]
        assert statistic(fit["norm"], fit["kT"])[0] == pytest.approx(best, abs=1e-6)
        on_grid = model.profile(grid, S[i], B[i], ratio, of_bins)
        assert best <= on_grid.min() + 1e-6  # nowhere is better: the minimum is the global one
        # both ends lie 1 above, everything between them below
        lo = grid[0] if np.isnan(fit["kT_lo"]) else fit["kT_lo"]
        hi = grid[-1] if np.isnan(fit["kT_hi"]) else fit["kT_hi"]
        assert lo <= fit["kT"] <= hi
        inside = (grid > lo) & (grid < hi)
        assert (on_grid[inside] < best + 1.0 + 1e-6).all()
        for end, flag in (("kT_lo", FitFlag.KT_LO_OPEN), ("kT_hi", FitFlag.KT_HI_OPEN)):
            assert np.isnan(fit[end]) == bool(fit["flags"] & flag)
            if np.isfinite(fit[end]):
                height = model.profile(fit[end], S[i], B[i], ratio, of_bins)[0]
                assert height == pytest.approx(best + 1.0, abs=1e-3)
        fine = np.linspace(lo, hi, 2001)
        for end in ("norm_lo", "norm_hi"):
            assert statistic(fit[end], fine).min() == pytest.approx(best + 1.0, abs=2e-3)
        assert fit["norm_lo"] < fit["norm"] < fit["norm_hi"]


def test_truth_is_recovered_and_covered(model: Model) -> None:
    n = 1000
    kT = np.random.default_rng(8).uniform(2.0, 8.0, n)
    *spectra, norm = model.simulate(kT, 1600, seed=9)
    found = fit_kT(*spectra, model.rate, model.kT)
    assert (found["flags"] == 0).all()
    assert np.median(found["kT"] / kT) == pytest.approx(1.0, abs=0.02)
    three_sigma = 3 * np.sqrt(0.683 * 0.317 / n)
    for name, truth in (("kT", kT), ("norm", norm)):
        covered = (found[name + "_lo"] <= truth) & (truth <= found[name + "_hi"])
        assert covered.mean() == pytest.approx(0.683, abs=three_sigma)
        # as many above as below
        assert (found[name] > truth).mean() == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(n))


def test_perfect_spectrum_gives_the_truth(model: Model) -> None:
    for kT in (0.9, 4.0, float(model.kT[60])):  # a node has a jump of slope
        m = 3e-4 * EXPOSURE * model.at(kT)
        b = np.full_like(m, 0.7)
        found = fit_kT(m + b, 10 * b, np.full_like(m, EXPOSURE), np.full_like(m, 10.0), model.rate, model.kT)[
            0
        ]
        assert found["kT"] == pytest.approx(kT, rel=1e-6)
        assert found["norm"] == pytest.approx(3e-4, rel=1e-6)
        assert found["statistic"] == pytest.approx(0.0, abs=1e-8)


def test_upper_error_of_norm_grows_where_the_model_has_a_knee(model: Model) -> None:
    """Between 12.9 and 13.7 keV the photons per norm fall by 1.9% in AtomDB, so norm goes far up from there.

    The ends on either side are those of a dense grid in kT and norm: the model grows them, not the search.
    """
    upper = {}
    for kT in (10.0, 11.6):
        rate = EXPOSURE * model.at(kT)
        norm = 1500.0 / rate.sum()
        m, b = norm * rate, np.ones_like(rate)
        one = fit_kT(m + b, 20 * b, np.full_like(m, EXPOSURE), np.full_like(m, 20.0), model.rate, model.kT)[0]
        fine = np.linspace(6.0, 30.0, 2401)

        def best(times: float, of: tuple = (m + b, 20 * b, norm * EXPOSURE * model.at(fine))) -> float:
            return wstat(of[0], of[1], times * of[2], 20.0).sum(axis=1).min()

        for end, beyond in (("norm_lo", 0.999), ("norm_hi", 1.001)):
            times = one[end] / norm
            assert best(times) == pytest.approx(one["statistic"] + 1.0, abs=3e-3)
            assert all(best(times * beyond**n) > one["statistic"] + 1.0 for n in range(1, 40))
        upper[kT] = one["norm_hi"] / norm - 1.0
    assert upper[11.6] > 1.4 * upper[10.0]


def test_a_region_depends_on_itself_alone(model: Model) -> None:
    kT = np.random.default_rng(3).uniform(1.0, 9.0, 20)
    *spectra, _ = model.simulate(kT, 500, seed=3)
    spectra[0][4] = 0
    batch = fit_kT(*spectra, model.rate, model.kT)
    order = np.random.default_rng(1).permutation(20)
    permuted = fit_kT(*(a[order] for a in spectra), model.rate, model.kT)
    assert permuted.tobytes() == batch[order].tobytes()
    for i in range(20):
        assert (
            fit_kT(*(a[i : i + 1] for a in spectra), model.rate, model.kT).tobytes()
            == batch[i : i + 1].tobytes()
        )


def test_bins_of_weight_zero_are_out_of_the_fit(model: Model) -> None:
    *spectra, _ = model.simulate(np.array([3.0, 5.0]), 1600, seed=5)
    n_bin = model.rate.shape[1]
    alone = fit_kT(*spectra, model.rate, model.kT)
    # a second observation that does not take part: counts and ratio there are of no account
    junk = [np.full((2, n_bin), 7), np.full((2, n_bin), 3), np.zeros((2, n_bin)), np.full((2, n_bin), np.nan)]
    wide = [np.concatenate([a, b], axis=1) for a, b in zip(spectra, junk, strict=True)]
    joint = fit_kT(*wide, np.concatenate([model.rate, model.rate], axis=1), model.kT)
    assert joint["dof"].tolist() == alone["dof"].tolist() == [n_bin - 2] * 2
    for name in ("kT", "kT_lo", "kT_hi", "norm", "norm_lo", "norm_hi", "statistic"):
        assert joint[name] == pytest.approx(alone[name], rel=1e-7)


def test_two_observations_are_as_good_as_one_of_twice_the_exposure(model: Model) -> None:
    m = 2e-4 * EXPOSURE * model.at(4.0)
    b = np.full_like(m, 1.5)
    one = fit_kT(
        2 * (m + b), 8 * b, np.full_like(m, 2 * EXPOSURE), np.full_like(m, 4.0), model.rate, model.kT
    )
    both = [
        np.concatenate([a, a], axis=1)
        for a in (m + b, 4 * b, np.full_like(m, EXPOSURE), np.full_like(m, 4.0))
    ]
    two = fit_kT(*both, np.concatenate([model.rate, model.rate], axis=1), model.kT)
    for name in ("kT", "kT_lo", "kT_hi", "norm", "norm_lo", "norm_hi"):
        assert two[name] == pytest.approx(one[name], rel=1e-4)


def test_bins_without_model(model: Model) -> None:
    *spectra, _ = model.simulate(np.array([3.0]), 1600, seed=6)
    rate = model.rate.copy()
    rate[:, :5] = 0.0
    found = fit_kT(*spectra, rate, model.kT)[0]
    assert found["flags"] == 0
    # counts that the model cannot explain are background: they count in the statistic
    without = [a[:, 5:] for a in spectra]
    rest = fit_kT(*without, rate[:, 5:], model.kT)[0]
    assert found["kT"] == pytest.approx(rest["kT"], rel=1e-6)
    extra = wstat(spectra[0][0, :5], spectra[1][0, :5], 0.0, 10.0).sum()
    assert found["statistic"] == pytest.approx(rest["statistic"] + extra, abs=1e-6)
    # a cold node may have no counts at all in the band
    rate = model.rate.copy()
    rate[:9] = 0.0
    assert fit_kT(*spectra, rate, model.kT)[0]["kT"] == pytest.approx(
        fit_kT(*spectra, model.rate, model.kT)[0]["kT"], rel=1e-6
    )


def test_nothing_to_fit(model: Model) -> None:
    n_bin = model.rate.shape[1]
    S, B, weight, r = (
        np.zeros((5, n_bin)),
        np.full((5, n_bin), 4.0),
        np.full((5, n_bin), 1e5),
        np.full((5, n_bin), 2.0),
    )
    S[1] = 1  # less than the background everywhere
    weight[2], S[2] = 0.0, 5  # no observation takes part
    S[3], B[3, 7] = 5, np.nan
    S[4], r[4] = 5, 0.0
    found = fit_kT(S, B, weight, r, model.rate, model.kT)
    assert found.dtype == FIT_DTYPE
    assert found["flags"].tolist() == [FitFlag.NO_COUNTS] * 3 + [FitFlag.FAILED] * 2
    for name in ("kT", "kT_lo", "kT_hi", "norm", "norm_lo", "norm_hi", "statistic"):
        assert np.isnan(found[name]).all()
    assert found["dof"].tolist()[:3] == [n_bin - 2, n_bin - 2, 0]


@pytest.mark.parametrize("counts", [1, 2, 5, 30])
def test_few_counts_never_crash(model: Model, counts: int) -> None:
    rng = np.random.default_rng(counts)
    n_bin = model.rate.shape[1]
    S = rng.multinomial(counts, np.full(n_bin, 1 / n_bin), 200)
    B = rng.poisson(0.05, (200, n_bin))
    ones = np.ones((200, n_bin))
    found = fit_kT(S, B, 1e5 * ones, 10 * ones, model.rate, model.kT)
    assert (found["flags"] & FitFlag.FAILED == 0).all()
    for end, flag in (
        ("kT_lo", FitFlag.KT_LO_OPEN), ("kT_hi", FitFlag.KT_HI_OPEN),
        ("norm_lo", FitFlag.NORM_LO_OPEN), ("norm_hi", FitFlag.NORM_HI_OPEN),
    ):  # fmt: skip
        empty = (found["flags"] & (flag | FitFlag.NO_COUNTS)) != 0
        assert (np.isnan(found[end]) == empty).all()
        inner = found[end][~empty] - found[end.split("_")[0]][~empty]
        assert (inner <= 0).all() if end.endswith("lo") else (inner >= 0).all()


def test_bounds_of_kT_are_flagged(model: Model) -> None:
    # harder than the hottest template, softer than the coldest
    hot, cold = 2e-4 * EXPOSURE * model.rate[[-1, 0]] * [[1.0], [20.0]]
    tilt = np.linspace(0.4, 1.6, len(hot))
    S = np.array([hot * tilt, cold * (tilt < 0.45)]) + 0.5
    ones = np.ones_like(S)
    found = fit_kT(S, 5 * ones, EXPOSURE * ones, 10 * ones, model.rate, model.kT)
    assert found["flags"].tolist() == [
        FitFlag.AT_BOUND_HIGH | FitFlag.KT_HI_OPEN, FitFlag.AT_BOUND_LOW | FitFlag.KT_LO_OPEN
    ]  # fmt: skip
    assert found["kT"].tolist() == [model.kT[-1], model.kT[0]]


def test_refusals(model: Model) -> None:
    *spectra, _ = model.simulate(np.array([3.0]), 100)
    with pytest.raises(ConfigError, match="ascending"):
        fit_kT(*spectra, model.rate, model.kT[::-1])
    with pytest.raises(ConfigError, match="templates"):
        fit_kT(*spectra, -model.rate, model.kT)
    with pytest.raises(ConfigError, match="four times"):
        fit_kT(spectra[0], spectra[1][:, 1:], *spectra[2:], model.rate, model.kT)


def _agrees_with_sherpa(found: np.ndarray, reference: dict) -> None:
    kT = reference["kT"]
    sigma = 0.5 * (kT["plus"] - kT["minus"])
    assert abs(found["kT"] - kT["value"]) < 0.05 * sigma
    assert abs(found["statistic"] - reference["statval"]) < 0.1
    assert found["dof"] == reference["dof"]
    for name in ("kT", "norm"):
        for end, offset in (("lo", "minus"), ("hi", "plus")):
            ours = found[f"{name}_{end}"] - found[name]
            assert ours == pytest.approx(reference[name][offset], rel=0.05)


@pytest.mark.parametrize("statistic", ["wstat", "chi2gehrels"])
def test_fake_spectra_as_sherpa_with_xspec(shared: Path, statistic: str) -> None:
    arf, rmf = read_arf(shared / "chandra" / "9774.arf"), read_rmf(shared / "chandra" / "9774.rmf")
    reference = json.loads((shared / "reference" / "sherpa_fits.json").read_text())["fake"]
    with h5py.File(shared / "reference" / "fake_spectra.h5") as file:
        templates = SourceModel(redshift=float(file.attrs["redshift"]), nH=float(file.attrs["nH"])).fold(
            arf, rmf
        )
        edges = channel_bins(*file.attrs["band_keV"], rmf)
        band = slice(edges[0], edges[-1])
        S, B = file["source"][:, band], file["background"][:, band]
        weight = np.full(S.shape, file.attrs["exposure"])
        ratio = np.full(S.shape, file.attrs["background_exposure_ratio"])
        rate = templates.at_abundance(float(file.attrs["abundance"]))[:, band]
    found = fit_kT(S, B, weight, ratio, rate, templates.kT, statistic=statistic)
    assert len(found) == 12
    for ours, sherpas in zip(found, reference, strict=True):
        _agrees_with_sherpa(ours, sherpas[statistic])


def test_3c186_as_sherpa_with_xspec(shared: Path) -> None:
    folder = shared / "chandra"
    arf, rmf = read_arf(folder / "9774.arf"), read_rmf(folder / "9774.rmf")
    templates = SourceModel(redshift=1.063, nH=0.0568).fold(arf, rmf)
    edges = channel_bins(0.7, 8.0, rmf)
    band = slice(edges[0], edges[-1])
    with fits.open(folder / "9774.pi") as source, fits.open(folder / "9774_bg.pi") as background:
        S, B = source[1].data["COUNTS"][None, band], background[1].data["COUNTS"][None, band]
        exposure, scale = source[1].header["EXPOSURE"], source[1].header["BACKSCAL"]
        ratio = background[1].header["EXPOSURE"] * background[1].header["BACKSCAL"] / (exposure * scale)
    found = fit_kT(
        S,
        B,
        np.full(S.shape, exposure),
        np.full(S.shape, ratio),
        templates.at_abundance(0.3)[:, band],
        templates.kT,
    )
    reference = json.loads((shared / "reference" / "sherpa_fits.json").read_text())
    _agrees_with_sherpa(found[0], reference["9774_wstat"])
