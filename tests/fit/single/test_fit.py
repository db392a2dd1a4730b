"""One region in full: Sherpa's numbers, a model that explains the statistic, a goodness that is one."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.single.fit import SingleFit, default_statistic, fit_single, merge_bins
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid, fit_regions
from pyxt_hpc.spectra.goodness import goodness, moments
from pyxt_hpc.spectra.grouping import bin_lookup, resolution_bins
from pyxt_hpc.spectra.ogip import load_spectrum
from pyxt_hpc.spectra.spectrum import Spectrum
from pyxt_hpc.spectra.templates import SourceModel

REDSHIFT, NH, EXPOSURE = 0.1, 0.05, 1e5
MODEL = SourceModel(REDSHIFT, NH)


def spectrum(name: str = "1", area: float = 500.0) -> Spectrum:
    """A simple detector without counts, binned by its resolution."""
    lo = np.arange(0.3, 9.0, 0.05)
    edges = np.arange(301) * 0.03
    centre, energy = 0.5 * (edges[1:] + edges[:-1]), (lo + 0.025)[:, None]
    sigma = np.sqrt(0.09**2 + 0.003 * energy) / 2.355
    matrix = np.exp(-0.5 * ((centre - energy) / sigma) ** 2)
    matrix /= matrix.sum(axis=1, keepdims=True)
    n = len(lo)
    rmf = Rmf(
        lo, lo + 0.05, np.ones(n, np.int32), np.zeros(n, np.int32), np.full(n, 300, np.int32),
        matrix.ravel(), edges[:-1], edges[1:], 1,
    )  # fmt: skip
    arf = Arf(lo, lo + 0.05, area * np.exp(-0.5 * (np.log(lo / 1.6) / 0.7) ** 2))
    bins = bin_lookup(resolution_bins(rmf, 0.5, 8.0), 300)
    return Spectrum(name, np.zeros(300), np.zeros(300), EXPOSURE, 5.0, arf, rmf, bins)


def simulated(
    of: Spectrum, counts: float, *, nH: float = NH, share: float = 0.2, seed: int | None = 1
) -> Spectrum:
    """With counts of a plasma of 4 keV over a flat background; without seed exactly the expected ones."""
    band = of.bin_of_channel >= 0
    folded = SourceModel(redshift=REDSHIFT, nH=nH).fold(of.arf, of.rmf)
    rate = np.array([np.interp(4.0, folded.kT, column) for column in folded.at_abundance(0.3).T])
    source = counts * (1 - share) * rate / rate[band].sum()
    flat = np.where(band, counts * share / band.sum(), 0.0)
    if seed is None:
        return replace(of, counts=source + flat, background=of.ratio * flat)
    rng = np.random.default_rng(seed)
    return replace(of, counts=rng.poisson(source + flat) * 1.0, background=rng.poisson(of.ratio * flat) * 1.0)


def explained(fit: SingleFit) -> float:
    """The statistic of the model that is drawn."""
    return sum(float(one.statistic.sum()) for one in fit.observations)


def test_perfect_spectra_of_two_observations() -> None:
    # other area and exposure: the same norm
    first, second = spectrum("1"), replace(spectrum("2", area=300.0), exposure_s=0.5 * EXPOSURE)
    spectra = [
        simulated(first, 3000.0, seed=None),
        simulated(second, 3000.0 * 0.3, seed=None),
    ]
    fit = fit_single(spectra, MODEL, FitOptions())
    assert fit.row["kT"] == pytest.approx(4.0, rel=1e-5)
    assert fit.row["statistic"] == pytest.approx(0.0, abs=1e-6)
    assert [one.spectrum.name for one in fit.observations] == ["1", "2"]
    for given, one in zip(spectra, fit.observations, strict=True):
        flat = given.binned(given.background) / given.ratio
        assert one.counts.tolist() == given.binned(given.counts).tolist()
        assert one.model == pytest.approx(one.counts - flat, rel=1e-4)
        assert one.background_model == pytest.approx(one.background, rel=1e-6)
    # far better than chance
    assert fit.goodness < -5


@pytest.mark.parametrize(
    "options",
    [
        FitOptions(statistic="wstat"),
        FitOptions(statistic="cstat", abundance=0.6),
        FitOptions(statistic="chi2gehrels"),
        FitOptions(abundance_bounds=(0.0, 3.0)),
        FitOptions(abundance_bounds=(0.0, 3.0), nH_bounds=(0.0, 1.0)),
    ],
)
def test_model_of_the_picture_is_that_of_the_fit(options: FitOptions) -> None:
    """Also that the columns of nH are dense enough: the picture's model is not interpolated between them."""
    spectra = [simulated(spectrum(str(i)), 4000.0, nH=0.37, seed=i) for i in range(2)]
    nH = 0.37 if options.nH_bounds is None else 9.9
    fit = fit_single(spectra, SourceModel(REDSHIFT, nH), options)
    assert fit.row["flags"] == 0
    assert explained(fit) == pytest.approx(
        fit.row["statistic"], abs=1e-6 if options.nH_bounds is None else 0.02
    )
    assert abs(fit.row["nH"] - 0.37) < 0.1


def test_background_of_a_larger_area_gives_the_shape() -> None:
    one = simulated(spectrum(), 1000.0)
    shape = np.linspace(3000.0, 1000.0, 300)
    fit = fit_single([one], MODEL, FitOptions(), background_shapes=[shape])
    given = fit.observations[0]
    assert given.background_model.sum() == pytest.approx(given.background.sum())
    assert given.background_model == pytest.approx(
        one.binned(shape) * given.background.sum() / one.binned(shape).sum()
    )
    alone = fit_single([one], MODEL, FitOptions())
    assert alone.row.tobytes() == fit.row.tobytes()
    # of itself: smooth, and of the same size
    own = alone.observations[0]
    assert own.background_model.sum() == pytest.approx(own.background.sum(), rel=0.05)
    width = np.ptp(one.energy_edges, axis=1)
    flat = own.background.sum() / width.sum()
    assert np.abs(own.background_model / width / flat - 1).max() < 0.5
    assert abs(alone.goodness - fit.goodness) < 0.3


def test_what_is_wrong_with_a_fit_is_among_its_flags() -> None:
    good = simulated(spectrum(), 4000.0)
    line = replace(good, counts=good.counts + 2000.0 * (np.arange(300) == 100))  # of 3 keV, not of a plasma
    faint, covered = simulated(spectrum(), 200.0), simulated(spectrum(), 4000.0, share=0.7)
    flags = [FitFlag(int(fit_single([s], MODEL, FitOptions()).row["flags"])) for s in (line, faint, covered)]
    assert FitFlag.POOR_FIT in flags[0]
    assert FitFlag.FEW_COUNTS in flags[1]
    assert FitFlag.BACKGROUND_DOMINATED in flags[2]


def test_nothing_to_fit() -> None:
    fit = fit_single([spectrum()], MODEL, FitOptions())
    assert fit.row["flags"] == FitFlag.NO_COUNTS | FitFlag.FEW_COUNTS
    assert np.isnan(fit.goodness)
    assert not fit.observations[0].model.any()
    with pytest.raises(ConfigError, match="no spectra"):
        fit_single([], MODEL, FitOptions())


def test_statistic_that_applies() -> None:
    with_background, without = simulated(spectrum(), 500.0), spectrum()
    assert default_statistic([with_background]) == "wstat"
    assert default_statistic([with_background, without]) == "cstat"


def test_merged_bins_hold_the_same_counts() -> None:
    one = simulated(spectrum(), 400.0, share=0.3)
    n_bin = []
    for factor in (0.0, 1.0, 100.0):
        given = [replace(one, background=factor * one.background), one]
        both = merge_bins(given, MODEL, FitOptions())
        for fine, merged in zip(given, both, strict=True):
            assert merged.binned(merged.counts).sum() == fine.binned(fine.counts).sum()
            assert ((merged.bin_of_channel >= 0) == (fine.bin_of_channel >= 0)).all()
            # bins are merged, not cut
            assert set(merged.energy_edges[:, 0]) <= set(fine.energy_edges[:, 0])
        n_bin.append(merge_bins(given[:1], MODEL, FitOptions())[0].n_bin)
    # the more background, the finer
    assert n_bin[0] < n_bin[1] < n_bin[2] < one.n_bin
    more = merge_bins([one], MODEL, FitOptions(abundance_bounds=(0.0, 2.0)))[0]
    assert more.n_bin > n_bin[1]


def test_merged_bins_keep_the_information_about_a_free_column() -> None:
    """The interval of nH is as narrow as in fine bins, where the counts are as expected."""
    one = simulated(spectrum(), 1000.0, share=0.05, seed=None)
    options = FitOptions(nH_bounds=(0.0, 1.0))
    merged = merge_bins([one], MODEL, options)
    assert merged[0].n_bin < 0.3 * one.n_bin
    widths = []
    for spectra in ([one], merged):
        row = fit_single(spectra, MODEL, options).row
        widths.append(row["nH_hi"] - row["nH_lo"])
    # it is 0.6% wider if only kT and norm decide which bins are merged
    assert widths[1] == pytest.approx(widths[0], rel=0.004)


@pytest.mark.parametrize(
    ("statistic", "counts", "share", "ratio"),
    [("wstat", 300, 0.3, 10.0), ("wstat", 3000, 0.1, 2.0), ("cstat", 1000, 0.5, 5.0)],
)
def test_goodness_of_many_regions(statistic: str, counts: float, share: float, ratio: float) -> None:
    """Through the engine: mean 0 and scatter 1; a line that no plasma has is found."""
    n = 600
    of = spectrum()
    folded = SourceModel(redshift=REDSHIFT, nH=NH).fold(of.arf, of.rmf)
    grid = ModelGrid(folded.kT, np.array([NH]), of.binned(folded.hhe)[None], of.binned(folded.metals)[None])
    rate = EXPOSURE * of.binned(folded.at_abundance(0.3))
    rng = np.random.default_rng(7)
    node = rng.integers(*np.searchsorted(folded.kT, (2.0, 12.0)), n)
    m = counts * (1 - share) * rate[node] / rate[node].sum(axis=1, keepdims=True)
    flat = np.full(m.shape, counts * share / m.shape[1])
    B = rng.poisson(ratio * flat)
    smooth = np.repeat(B.mean(axis=1, keepdims=True), m.shape[1], axis=1)
    weight, ratios = np.full(m.shape, EXPOSURE), np.full(m.shape, ratio)
    table = moments(statistic, ratios[0])

    def z_scores(extra: np.ndarray | float) -> np.ndarray:
        S = rng.poisson(m + flat + extra)
        rows = fit_regions(
            S, smooth if statistic == "cstat" else B, weight, ratios, grid, FitOptions(statistic=statistic)
        )
        k = np.clip(np.searchsorted(folded.kT, rows["kT"], side="right") - 1, 0, len(folded.kT) - 2)
        t = ((rows["kT"] - folded.kT[k]) / (folded.kT[k + 1] - folded.kT[k]))[:, None]
        best = rows["norm"][:, None] * ((1 - t) * rate[k] + t * rate[k + 1])
        return goodness(rows["statistic"], 2, best, smooth, weight, table)

    z = z_scores(0.0)
    assert np.isfinite(z).all()
    # three standard errors
    assert z.mean() == pytest.approx(0.0, abs=3 / np.sqrt(n))
    assert z.std() == pytest.approx(1.0, abs=3 / np.sqrt(2 * n))
    line = np.where(abs(of.energy_edges.mean(axis=1) - 3.0) < 0.08, 0.15 * counts / 3, 0.0)
    assert np.median(z_scores(line)) > 4.0


def _agrees(fit: SingleFit, reference: dict) -> None:
    kT = reference["kT"]
    sigma = 0.5 * (kT["plus"] - kT["minus"])
    assert abs(fit.row["kT"] - kT["value"]) < 0.05 * sigma
    assert abs(fit.row["statistic"] - reference["statval"]) < 0.1
    assert fit.row["dof"] == reference["dof"]
    assert explained(fit) == pytest.approx(fit.row["statistic"], abs=1e-6)


@pytest.mark.parametrize("key", ["wstat", "wstat_free_abundance", "chi2gehrels", "cstat"])
def test_3c186_as_sherpa_with_xspec(shared: Path, key: str) -> None:
    reference = json.loads((shared / "reference" / "sherpa_fits.json").read_text())[f"9774_{key}"]
    one = load_spectrum(
        shared / "chandra" / "9774.pi",
        energy_min=0.7,
        energy_max=8.0,
        grouping="none",
        # the reference ignores the background there
        background="none" if key == "cstat" else None,
    )
    options = FitOptions(
        statistic=key.split("_")[0], abundance_bounds=(0.0, 5.0) if key.endswith("abundance") else None
    )
    fit = fit_single([one], SourceModel(1.063, 0.0568), options)
    _agrees(fit, reference)
    # a quasar in a cluster is no isothermal plasma
    assert fit.goodness > 1.5


@pytest.mark.parametrize("key", ["wstat", "wstat_free_abundance", "chi2gehrels"])
def test_fake_spectra_as_sherpa_with_xspec(shared: Path, key: str) -> None:
    reference = json.loads((shared / "reference" / "sherpa_fits.json").read_text())["fake"]
    one = load_spectrum(shared / "chandra" / "9774.pi", energy_min=0.7, energy_max=8.0, grouping="none")
    z = []
    with h5py.File(shared / "reference" / "fake_spectra.h5") as file:
        model = SourceModel(float(file.attrs["redshift"]), float(file.attrs["nH"]))
        options = FitOptions(
            statistic=key.split("_")[0],
            abundance=float(file.attrs["abundance"]),
            abundance_bounds=(0.0, 5.0) if key.endswith("abundance") else None,
        )
        for i, expected in enumerate(reference):
            fake = replace(
                one,
                counts=file["source"][i].astype(float),
                background=file["background"][i].astype(float),
                exposure_s=float(file.attrs["exposure"]),
                ratio=float(file.attrs["background_exposure_ratio"]),
            )
            fit = fit_single([fake], model, options)
            _agrees(fit, expected[key])
            z.append(fit.goodness)
    # twelve right models
    assert abs(np.mean(z)) < 3 / np.sqrt(12)
