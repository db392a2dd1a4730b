"""Sherpa's fits against the reference numbers (XSPEC's model), and against statistics written out here."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.errors import MissingInput
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.reference import sherpa_engine, sherpa_models
from pyxt_hpc.reference.sherpa_engine import fit_with_sherpa, sherpa_statistic
from pyxt_hpc.reference.sherpa_models import which_model
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.grouping import bin_lookup, channel_bins, resolution_bins
from pyxt_hpc.spectra.kernels.statistics import wstat
from pyxt_hpc.spectra.spectrum import Spectrum
from pyxt_hpc.spectra.templates import SourceModel

REDSHIFT, NH, ABUNDANCE = 0.07, 0.05, 0.3
MODEL = SourceModel(REDSHIFT, NH)


def options(statistic: str = "wstat", **changes: Any) -> FitOptions:
    """Options of a fit, by default of kT and norm."""
    return FitOptions(statistic=statistic, abundance=ABUNDANCE, **changes)


@pytest.fixture
def sherpa() -> None:
    """Skips where Sherpa is not installed."""
    pytest.importorskip("sherpa", reason="Sherpa, an optional engine, is not installed")


# --- reference numbers ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Any]:
    """Sherpa's fits with XSPEC's model."""
    return json.loads((shared / "reference" / "sherpa_fits.json").read_text())


def spectrum_9774(shared: Path) -> Spectrum:
    """The real spectrum, ungrouped."""
    chandra = shared / "chandra"
    arf, rmf = read_arf(chandra / "9774.arf"), read_rmf(chandra / "9774.rmf")
    counts, header = {}, {}
    for name in ("9774", "9774_bg"):
        with fits.open(chandra / f"{name}.pi") as hdus:
            counts[name], header[name] = hdus["SPECTRUM"].data["COUNTS"], hdus["SPECTRUM"].header
    exposure = {name: h["EXPOSURE"] * h["BACKSCAL"] for name, h in header.items()}
    return Spectrum(
        name="9774",
        counts=counts["9774"].astype(np.float64),
        background=counts["9774_bg"].astype(np.float64),
        exposure_s=header["9774"]["EXPOSURE"],
        ratio=exposure["9774_bg"] / exposure["9774"],
        arf=arf,
        rmf=rmf,
        bin_of_channel=bin_lookup(channel_bins(0.7, 8.0, rmf), rmf.n_channels),
    )


def assert_agrees(row: NDArray, expected: dict[str, Any]) -> None:
    """Our plasma table stands in for XSPEC's.

    Measured over all references: statistic within 0.013, kT within 0.004 sigma, sides within 0.7% (where
    conf stops is uncertain by that much).
    """
    assert row["statistic"] == pytest.approx(expected["statval"], abs=0.03)
    assert row["dof"] == expected["dof"]
    for name in ("kT", "norm"):
        value, minus, plus = (expected[name][key] for key in ("value", "minus", "plus"))
        sigma = 0.5 * (plus - minus)
        assert row[name] == pytest.approx(value, abs=0.01 * sigma)
        assert row[name] - row[f"{name}_lo"] == pytest.approx(-minus, rel=0.02)
        assert row[f"{name}_hi"] - row[name] == pytest.approx(plus, rel=0.02)


@pytest.mark.usefixtures("sherpa")
@pytest.mark.parametrize("statistic", ["wstat", "cstat", "chi2gehrels"])
def test_real_spectrum(shared: Path, reference: dict[str, Any], statistic: str) -> None:
    spectrum = spectrum_9774(shared)
    if statistic == "cstat":  # whose reference ignores the background
        spectrum = replace(spectrum, background=np.zeros(len(spectrum.counts)))
    row = fit_with_sherpa([spectrum], SourceModel(1.063, 0.0568), options(statistic))
    assert_agrees(row, reference[f"9774_{statistic}"])
    assert row["flags"] == 0


@pytest.mark.usefixtures("sherpa")
@pytest.mark.parametrize("index", range(12))
def test_fake_spectra(shared: Path, reference: dict[str, Any], index: int) -> None:
    real = spectrum_9774(shared)
    with h5py.File(shared / "reference" / "fake_spectra.h5") as file:
        spectrum = replace(
            real,
            counts=file["source"][index].astype(np.float64),
            background=file["background"][index].astype(np.float64),
            exposure_s=float(file.attrs["exposure"]),
            ratio=float(file.attrs["background_exposure_ratio"]),
        )
    for statistic in ("wstat", "chi2gehrels"):
        row = fit_with_sherpa([spectrum], MODEL, options(statistic))
        assert_agrees(row, reference["fake"][index][statistic])
    if index in (0, 10):
        row = fit_with_sherpa([spectrum], MODEL, options(abundance_bounds=(0.0, 5.0)))
        assert_agrees(row, reference["fake"][index]["wstat_free_abundance"])


# --- statistics, bins and several observations, written out ------------------------------------------------


@cache
def simulated(kT: float, nH: float = NH, seed: int = 1) -> tuple[Spectrum, ...]:
    """Two observations of different area, exposure and background, in bins of half the resolution.

    A channel in the middle of a bin of the second is bad, as QUALITY can make it.
    """
    rng = np.random.default_rng(seed)
    rmf, arf = gaussian_rmf(), on_axis_arf()
    edges = resolution_bins(rmf, 0.7, 8.0)
    spectra = []
    for name, exposure, area, ratio in (("1", 4e4, 1.0, 4.0), ("2", 2e4, 0.7, 9.0)):
        own = Arf(arf.energy_lo, arf.energy_hi, arf.area * area * (1.0 - 0.03 * arf.energy_lo))
        bins = bin_lookup(edges, rmf.n_channels)
        if name == "2":
            bins[(edges[20] + edges[21]) // 2] = -1
        folded = SourceModel(redshift=REDSHIFT, nH=nH).fold(own, rmf)
        rate = folded.at_abundance(ABUNDANCE)[np.abs(folded.kT - kT).argmin()]
        background = np.full(rmf.n_channels, 2e-5 * exposure)
        spectra.append(
            Spectrum(
                name=name,
                counts=rng.poisson(4e-4 * exposure * rate + background).astype(np.float64),
                background=rng.poisson(ratio * background).astype(np.float64),
                exposure_s=exposure,
                ratio=ratio,
                arf=own,
                rmf=rmf,
                bin_of_channel=bins,
            )
        )
    return tuple(spectra)


@cache
def fit_of_both() -> NDArray:
    """Fit the two observations of 4 keV with wstat."""
    return fit_with_sherpa(simulated(4.0), MODEL, options())


@cache
def fit_of_one() -> NDArray:
    """Fit the first of the two observations."""
    return fit_with_sherpa(simulated(4.0)[:1], MODEL, options())


def by_hand(spectra: Sequence[Spectrum], statistic: str) -> Callable[[float, float], float]:
    """Statistic as a function of kT and norm."""
    terms = []
    for s in spectra:
        folded = SourceModel(redshift=REDSHIFT, nH=NH).fold(s.arf, s.rmf)
        rate = s.exposure_s * s.binned(folded.at_abundance(ABUNDANCE))
        terms.append((s.binned(s.counts), s.binned(s.background), s.ratio, folded.kT, rate))

    def value(kT: float, norm: float) -> float:
        total = 0.0
        for S, B, r, nodes, rate in terms:
            k = np.searchsorted(nodes, kT) - 1
            t = (kT - nodes[k]) / (nodes[k + 1] - nodes[k])
            m = norm * ((1 - t) * rate[k] + t * rate[k + 1])
            if statistic == "wstat":
                total += wstat(S, B, m, r).sum()
            elif statistic == "cstat":
                mu = m + B / r
                total += 2.0 * (mu - S + np.where(S > 0, S * np.log(np.maximum(S, 1) / mu), 0.0)).sum()
            else:
                gehrels = [(1.0 + np.sqrt(counts + 0.75)) ** 2 for counts in (S, B)]
                total += ((S - B / r - m) ** 2 / (gehrels[0] + gehrels[1] / r**2)).sum()
        return float(total)

    return value


def profile(value: Callable[[float, float], float], kT: float, norm: float) -> float:
    """Minimum over norm near `norm`, by parabolas (it is smooth and convex there)."""
    for step in (0.02, 0.002):
        x = norm * (1.0 + step * np.array([-1.0, 0.0, 1.0]))
        a, b, _ = np.polyfit(x, [value(kT, at) for at in x], 2)
        norm = -0.5 * b / a
    return value(kT, norm)


@pytest.mark.usefixtures("sherpa")
@pytest.mark.parametrize("statistic", ["wstat", "cstat", "chi2gehrels"])
def test_two_observations_in_bins(statistic: str) -> None:
    spectra = simulated(4.0)
    value = by_hand(spectra, statistic)
    row = fit_of_both() if statistic == "wstat" else fit_with_sherpa(spectra, MODEL, options(statistic))
    assert row["dof"] == sum(s.n_bin for s in spectra) - 2
    # The same number at the same place: bins, responses, exposures and backgrounds are what they should be.
    assert row["statistic"] == pytest.approx(value(row["kT"], row["norm"]), rel=1e-6)
    assert (row["abundance"], row["nH"]) == (ABUNDANCE, NH)
    assert np.isnan([row[f"{name}_{end}"] for name in ("abundance", "nH") for end in ("lo", "hi")]).all()
    elsewhere = row.copy()
    elsewhere["kT"], elsewhere["norm"] = 3.0, 3e-4
    judged = sherpa_statistic(spectra, elsewhere, MODEL, options(statistic))
    assert judged == pytest.approx(value(3.0, 3e-4), rel=1e-6)
    # It is the minimum, and the interval ends where the profile is 1 higher (conf's tolerance).
    assert row["kT_lo"] < row["kT"] < row["kT_hi"]
    grid = np.linspace(row["kT_lo"], row["kT_hi"], 60)
    assert row["statistic"] <= min(profile(value, kT, row["norm"]) for kT in grid) + 1e-3
    for end in ("kT_lo", "kT_hi"):
        assert profile(value, row[end], row["norm"]) - row["statistic"] == pytest.approx(1.0, abs=0.02)
    # 4 keV is a fair draw's distance away; chi2gehrels is biased, and by less than this at such counts.
    assert abs(row["kT"] - 4.0) < 4.0 * 0.5 * (row["kT_hi"] - row["kT_lo"])


@pytest.mark.usefixtures("sherpa")
def test_bins_do_not_leak_from_one_fit_to_the_next() -> None:
    spectra = simulated(4.0)
    first = fit_of_both().tobytes()
    alone = fit_with_sherpa(spectra[:1], MODEL, options())
    assert alone["dof"] == spectra[0].n_bin - 2
    assert alone.tobytes() == fit_of_one().tobytes()
    assert fit_with_sherpa(spectra, MODEL, options()).tobytes() == first


@pytest.mark.usefixtures("sherpa")
def test_better_minimum_that_conf_meets_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    spectra = simulated(4.0)
    expected = fit_of_both()

    def stop_early(fit: Any, *_: Any) -> None:
        fit.model.thawedpars = [1.5 * expected["kT"], expected["norm"]]

    monkeypatch.setattr(sherpa_engine, "_minimise", stop_early)
    row = fit_with_sherpa(spectra, MODEL, options())
    assert row["statistic"] == pytest.approx(expected["statistic"], abs=1e-3)
    for name in ("kT", "norm"):
        tolerance = 0.02 * (expected[f"{name}_hi"] - expected[name])
        for end in ("", "_lo", "_hi"):
            assert row[name + end] == pytest.approx(expected[name + end], abs=tolerance)


@pytest.mark.usefixtures("sherpa")
def test_column_density_is_found() -> None:
    spectra = simulated(4.0, nH=0.3)
    frozen = fit_with_sherpa(spectra, replace(MODEL, nH=0.3), options())
    # the first guess is far off
    free = fit_with_sherpa(spectra, MODEL, options(nH_bounds=(0.0, 2.0)))
    assert free["dof"] == frozen["dof"] - 1
    assert frozen["statistic"] - 9.0 < free["statistic"] < frozen["statistic"] + 1e-3


@pytest.mark.usefixtures("sherpa")
def test_bounds_hold_and_are_flagged_in_silence(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    # a bound inside the interval makes conf complain
    row = fit_with_sherpa(simulated(6.0), MODEL, options(kT_bounds=(1.0, 2.0)))
    assert row["kT"] == pytest.approx(2.0)
    assert row["flags"] & FitFlag.AT_BOUND_HIGH
    assert row["flags"] & FitFlag.KT_HI_OPEN
    assert np.isnan(row["kT_hi"])
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("sherpa")]


@pytest.mark.usefixtures("sherpa")
def test_abundance_at_its_bound_is_flagged() -> None:
    bounds = {"abundance_bounds": (1.0, 2.0), "nH_bounds": (0.0, 1.0)}
    row = fit_with_sherpa(simulated(3.0)[:1], MODEL, options(**bounds))
    assert row["abundance"] == pytest.approx(1.0, abs=1e-5)
    assert np.isnan(row["abundance_lo"])
    assert row["flags"] & FitFlag.ABUNDANCE_AT_BOUND
    assert row["flags"] & FitFlag.ABUNDANCE_LO_OPEN
    assert not row["flags"] & (FitFlag.NH_AT_BOUND | FitFlag.AT_BOUND_LOW | FitFlag.AT_BOUND_HIGH)


@pytest.mark.usefixtures("sherpa")
def test_bound_within_the_interval_leaves_it_open() -> None:
    spectra = simulated(4.0)[:1]
    whole = fit_of_one()
    bound = 0.5 * (whole["kT"] + whole["kT_hi"])
    row = fit_with_sherpa(spectra, MODEL, options(kT_bounds=(1.0, bound)))
    assert np.isnan(row["kT_hi"])
    assert row["flags"] == FitFlag.KT_HI_OPEN
    assert row["kT"] == pytest.approx(whole["kT"], rel=1e-4)
    assert row["kT_lo"] == pytest.approx(whole["kT_lo"], rel=1e-3)


@pytest.mark.usefixtures("sherpa")
def test_nothing_to_fit_is_flagged() -> None:
    empty = [replace(s, counts=np.zeros(len(s.counts))) for s in simulated(4.0)]
    below_background = [replace(s, background=s.ratio * s.counts + 90.0) for s in simulated(4.0)]
    for spectra in (empty, below_background, []):
        row = fit_with_sherpa(spectra, MODEL, options())
        assert row["flags"] == FitFlag.NO_COUNTS
        assert all(np.isnan(row[name]) for name in ("kT", "kT_lo", "kT_hi", "norm", "statistic"))
        assert np.isnan(sherpa_statistic(spectra, row, MODEL, options()))


# --- which model -------------------------------------------------------------------------------------------


def test_without_sherpa_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sherpa", None)
    monkeypatch.setitem(sys.modules, "sherpa.astro.data", None)
    sherpa_models.load_sherpa.cache_clear()
    with pytest.raises(MissingInput, match=r"pip install 'pyxt_hpc\[sherpa\]'"):
        fit_with_sherpa(simulated(4.0), MODEL, options())
    with pytest.raises(MissingInput, match="Sherpa"):
        which_model()


class Library(ModuleType):
    """Stands for Sherpa's compiled interface to XSPEC; its apec and phabs are this package's."""

    def __init__(self, brightness: float) -> None:
        super().__init__("sherpa.astro.xspec._xspec")
        self.settings: dict[str, Any] = {}
        # kept out of the class: Sherpa would bind functions to its models
        absorber, plasma = sherpa_models.table_models("phabs", "angr")
        self.C_apec = SimpleCall(lambda p, lo, hi: plasma.calc((*p[:3], brightness), lo, hi))
        self.xsphab = SimpleCall(absorber.calc)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("set_xs"):
            return lambda value: self.settings.__setitem__(name[4:], value)
        if name == "get_xsversion":
            return lambda: "12.14.0k"
        if name == "get_xsabund":
            return lambda: self.settings["xsabund"]
        if name.startswith("__"):
            raise AttributeError(name)
        return SimpleCall(lambda *_: None)


class SimpleCall:
    """A function that is no method when it becomes a class's attribute, like those of C."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any, **_: Any) -> Any:
        return self.function(*arguments)


@pytest.fixture
def install_xspec(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], Library]]:
    """Function that puts a `Library` into Sherpa."""
    pytest.importorskip("sherpa", reason="Sherpa, an optional engine, is not installed")
    import sherpa.astro

    def install(brightness: float) -> Library:
        library = Library(brightness)
        for name in ("sherpa.astro.xspec", "sherpa.astro.xspec.utils"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setitem(sys.modules, "sherpa.astro.xspec._xspec", library)
        sherpa_models.load_xspec.cache_clear()
        return library

    yield install
    for name in ("sherpa.astro.xspec", "sherpa.astro.xspec.utils"):
        sys.modules.pop(name, None)
    if hasattr(sherpa.astro, "xspec"):
        del sherpa.astro.xspec
    sherpa_models.load_xspec.cache_clear()


def test_xspec_is_used_where_sherpa_has_it(install_xspec: Callable[[float], Library]) -> None:
    spectra = simulated(4.0)[:1]
    own = fit_of_one()
    library = install_xspec(2.0)
    assert which_model().startswith("XSPEC 12.14.0k")
    row = fit_with_sherpa(spectra, replace(MODEL, abundance_table="wilm"), options())
    assert library.settings["xsabund"] == "wilm"
    assert library.settings["xsxsect"] == "bcmc"
    # twice as bright, hence half the norm, and else our own model
    assert row["norm"] == pytest.approx(0.5 * own["norm"], rel=1e-4)
    assert row["statistic"] == pytest.approx(own["statistic"], abs=1e-3)


def test_xspec_without_photons_is_not_used(install_xspec: Callable[[float], Library]) -> None:
    install_xspec(0.0)
    assert "this package's" in which_model()
    assert "no photons" in which_model()
    assert fit_with_sherpa(simulated(4.0)[:1], MODEL, options())["flags"] == 0


@pytest.mark.usefixtures("sherpa")
def test_model_in_use_is_named() -> None:
    assert "this package's APEC" in which_model() or "XSPEC" in which_model()
