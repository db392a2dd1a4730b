"""What a calibration says in words follows from its numbers."""

import re
from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.calibrate.calibration import Calibration, Setup
from pyxt_hpc.calibrate.simulation import TRUTH_DTYPE
from pyxt_hpc.spectra.fit import FIT_DTYPE, FitOptions
from pyxt_hpc.store.rows import ROW_DTYPE

N, DRAWS = 900, 10
SIGNAL_TO_NOISE = np.where(np.arange(N) < 300, 12.0, 45.0)


def calibration(bias: float = 0.0, told: float = 1.0, where: np.ndarray | None = None) -> Calibration:
    """Fits with errors of 5%, high by `bias` and told `told` times as large `where`; else right."""
    random = np.random.default_rng(5)
    chosen = np.ones(N, bool) if where is None else where
    rows, truth = np.zeros(N, ROW_DTYPE), np.zeros(N, TRUTH_DTYPE)
    rows["row"], rows["col"] = np.divmod(np.arange(N), 30)
    rows["counts"], rows["background_counts"] = 1000, 250
    truth["kT"], truth["norm"] = 4.5, 1e-3
    fits = np.zeros((N, DRAWS), FIT_DTYPE)
    for name, high, scale in (("kT", bias, told), ("norm", 0.0, 1.0)):
        value = truth[name][:, None] * (1.0 + 0.05 * random.normal(size=fits.shape))
        value *= 1.0 + high * chosen[:, None]
        half = 0.05 * truth[name][:, None] * np.where(chosen, scale, 1.0)[:, None]
        fits[name], fits[f"{name}_lo"], fits[f"{name}_hi"] = value, value - half, value + half
    return Calibration(rows, truth, fits, SIGNAL_TO_NOISE, Setup(FitOptions(), DRAWS, 1, {}, 0))


def said(found: Calibration) -> str:
    """All sentences in one text."""
    return " ".join(found.sentences())


def test_right_fits_are_called_right() -> None:
    text = said(calibration())
    assert "the errors are right" in text
    assert "no significant bias" in text
    assert "No class of S/N, kT or background share is noticeably worse" in text
    assert "100.0% of the regions are trusted" in text


def test_errors_that_are_too_small_are_told_with_their_factor() -> None:
    text = said(calibration(told=0.5))
    assert "the errors are too small and should be multiplied by" in text
    assert float(text.split("multiplied by ")[1].split(" ")[0].rstrip(".")) == pytest.approx(2.0, rel=0.03)
    assert "errors too small in 100.0%" in text


def test_a_bias_is_told_with_its_place() -> None:
    text = said(calibration(bias=0.04, where=SIGNAL_TO_NOISE < 20))
    assert "high where S/N is 10 to 15 (300 regions)" in text
    assert "No class of kT or background share" in text
    everywhere = said(calibration(bias=0.08))
    told = re.search(r"kT is ([0-9.]+)% high .* for all regions", everywhere)
    assert told
    assert float(told[1]) == pytest.approx(8.0, abs=0.25)
    assert "the coverage is low because of the bias" in everywhere


def test_regions_left_out_and_mistakes_on_purpose_are_told() -> None:
    right = calibration()
    setup = replace(right.setup, left_out=3, wrong={"nH": (0.08, 0.05)}, draws=1)
    text = said(replace(right, setup=setup))
    assert "3 fitted regions were excluded" in text
    assert "nH was 0.08 in the simulation, but 0.05 in the fits" in text
    assert "simulated once" in text
    assert setup.suffix == "_nH_0.08"


def test_few_fits_are_not_said_to_be_right() -> None:
    many = calibration(bias=0.04, where=SIGNAL_TO_NOISE < 20)
    few = [0, 300, 600]
    text = said(
        replace(
            many,
            rows=many.rows[few],
            truth=many.truth[few],
            fits=many.fits[few][:, :1],
            signal_to_noise=SIGNAL_TO_NOISE[few],
        )
    )
    assert "there are too few fits to judge the errors" in text
    assert "the errors are right" not in text
    assert "where S/N" not in text
    assert "No class of" not in text
    assert "less than the necessary 400: the statistical error of the coverage is 26.9%" in text
