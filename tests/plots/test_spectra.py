"""The picture of a spectrum: numbers and colours are where they should be, whatever was or was not fitted."""

from dataclasses import replace
from pathlib import Path

import matplotlib.figure
import matplotlib.image
import numpy as np
import pytest

from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.single.fit import FittedSpectrum, SingleFit
from pyxt_hpc.plots.spectra import COLOURS, draw_spectrum
from pyxt_hpc.spectra.fit import FIT_DTYPE, FitOptions
from pyxt_hpc.spectra.spectrum import Spectrum

N = 60
ONE = np.ones(N, np.int32)
EDGES = np.linspace(0.7, 7.9, N + 1)


def observation(
    name: str, counts: float, *, exposure_s: float = 1e4, bins: np.ndarray | None = None, seed: int = 1
) -> FittedSpectrum:
    """`counts` of source and a tenth of background, 5 times as many in the background spectrum."""
    rmf = Rmf(
        EDGES[:-1], EDGES[1:], ONE, np.arange(N, dtype=np.int32), ONE, np.ones(N), EDGES[:-1], EDGES[1:], 1
    )
    rng = np.random.default_rng(seed)
    shape = np.exp(-EDGES[:-1] / 2.0)
    model, background = counts * shape / shape.sum(), np.full(N, 0.1 * counts / N)
    spectrum = Spectrum(
        name,
        rng.poisson(model + background) * 1.0,
        rng.poisson(5.0 * background) * 1.0,
        exposure_s,
        5.0,
        Arf(EDGES[:-1], EDGES[1:], np.full(N, 400.0)),
        rmf,
        np.arange(N, dtype=np.int16) if bins is None else bins,
    )
    return FittedSpectrum(
        spectrum,
        *(spectrum.binned(a) for a in (spectrum.counts, spectrum.background, 5.0 * background, model)),
        statistic=np.ones(spectrum.n_bin),
    )


def fit(*observations: FittedSpectrum, options: FitOptions | None = None, **values: float) -> SingleFit:
    row = np.zeros((), FIT_DTYPE)
    best = {"kT": 4.321, "kT_lo": 4.111, "kT_hi": 4.561, "norm": 3.2e-4, "norm_lo": 3.1e-4, "norm_hi": 3.4e-4}
    for name, value in (best | {"statistic": 61.2, "dof": 58} | values).items():
        row[name] = value
    return SingleFit(row, 0.7, options or FitOptions(), observations)


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the pictures drawn."""
    found: list[str] = []
    original = matplotlib.figure.Figure.suptitle

    def remember(self: matplotlib.figure.Figure, t: str, **kwargs: object) -> object:
        found.append(t)
        return original(self, t, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "suptitle", remember)
    return found


def share(path: Path, colour: str) -> float:
    """Fraction of the pixels that have about this colour."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return float((np.abs(matplotlib.image.imread(path)[..., :3] - wanted).max(axis=-1) < 0.1).mean())


@pytest.mark.parametrize("counts", [0.0, 3.0, 300.0, 1e6])
def test_any_number_of_counts(tmp_path: Path, counts: float) -> None:
    draw_spectrum(tmp_path / "a.png", fit(observation("1", counts)), "Region 7")
    assert share(tmp_path / "a.png", "#000000") > 0.005
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_one_colour_an_observation(tmp_path: Path) -> None:
    few = [observation(str(i), 500.0, seed=i) for i in range(5)]
    draw_spectrum(tmp_path / "few.png", fit(*few), "Region 7")
    for colour in COLOURS[1:5]:
        assert share(tmp_path / "few.png", colour) > 3e-4
    # more than there are colours: their sum
    many = [observation(str(i), 100.0, seed=i) for i in range(len(COLOURS) + 1)]
    draw_spectrum(tmp_path / "many.png", fit(*many), "Region 7")
    for colour in COLOURS[1:]:
        assert share(tmp_path / "many.png", colour) < 3e-5


def test_title_has_the_numbers(tmp_path: Path, titles: list[str]) -> None:
    draw_spectrum(tmp_path / "a.png", fit(observation("1", 300.0)), "Region 7")
    free = FitOptions(statistic="cstat", abundance_bounds=(0.0, 2.0), nH_bounds=(0.0, 1.0))
    ends = {"abundance": 0.0, "abundance_lo": np.nan, "abundance_hi": 0.25, "nH": 0.05, "nH_lo": 0.04}
    open_end = fit(observation("1", 300.0), options=free, **ends, nH_hi=0.07, kT_hi=np.nan)
    draw_spectrum(tmp_path / "b.png", open_end, "Region 8")
    nothing = fit(observation("1", 3.0), kT=np.nan, norm=np.nan, statistic=np.nan, flags=FitFlag.NO_COUNTS)
    draw_spectrum(tmp_path / "c.png", replace(nothing, goodness=np.nan), "Region 9")
    assert titles[0].splitlines() == [
        "Region 7",
        r"kT = $4.32^{+0.24}_{-0.21}$ keV,   norm = $3.20^{+0.20}_{-0.10} \times 10^{-4}$",
        r"wstat/dof = 61.2/58,   goodness of fit $+0.7\,\sigma$",
    ]
    assert r"kT = $4.32^{+?}_{-0.21}$ keV" in titles[1]
    assert r"Z = $0.00^{+0.25}_{-?}$ solar" in titles[1]
    assert r"nH = $0.050^{+0.020}_{-0.010}$ $10^{22}$ cm$^{-2}$" in titles[1]
    assert "cstat/dof" in titles[1]
    assert titles[2] == "Region 9\nno fit: wstat finds nothing above the background"


def test_bad_channels_leave_a_gap(tmp_path: Path) -> None:
    bins = np.arange(N, dtype=np.int16)
    bins[20:30], bins[30:] = -1, bins[30:] - 10
    draw_spectrum(tmp_path / "gap.png", fit(observation("1", 3000.0, bins=bins)), "Region 7")
    draw_spectrum(tmp_path / "whole.png", fit(observation("1", 3000.0)), "Region 7")
    columns = slice(790, 820)  # around 3.7 keV of the gap from 3.1 to 4.3
    seen = [
        (matplotlib.image.imread(tmp_path / f"{name}.png")[150:640, columns, :3].max(axis=-1) < 0.3).mean()
        for name in ("gap", "whole")
    ]
    assert seen[0] < 0.2 * seen[1]
