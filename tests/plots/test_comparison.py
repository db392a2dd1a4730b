"""The picture of the comparison shows every region, however far the engines are apart."""

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from pyxt_hpc.plots.comparison import draw_comparison
from pyxt_hpc.reference.comparison import EngineComparison
from pyxt_hpc.spectra.fit import FIT_DTYPE
from pyxt_hpc.store.rows import REGION_DTYPE


def comparison(spread: float, n: int) -> EngineComparison:
    """Fits that scatter by `spread` sigma between the engines."""
    rng = np.random.default_rng(1)
    fast = np.zeros(n, FIT_DTYPE)
    for name, value in (("kT", rng.uniform(2.0, 9.0, n)), ("norm", rng.uniform(1e-4, 1e-3, n))):
        fast[name], fast[f"{name}_lo"], fast[f"{name}_hi"] = value, 0.9 * value, 1.1 * value
    fast["statistic"] = 100.0
    sherpa = fast.copy()
    sherpa["kT"] *= 1.0 + 0.1 * spread * rng.standard_normal(n)
    sherpa["statistic"] += np.abs(spread * rng.standard_normal(n))
    judged = sherpa["statistic"] - 0.1 * spread
    return EngineComparison(
        np.zeros(n, REGION_DTYPE), fast, sherpa, judged, 1e-4, 0.5, ("kT", "norm"), "XSPEC"
    )


@pytest.mark.parametrize("spread", [0.0, 1e-3, 0.1, 30.0])
def test_points_are_drawn(tmp_path: Path, spread: float) -> None:
    path = tmp_path / "a.png"
    draw_comparison(path, comparison(spread, 40))
    pixels = matplotlib.image.imread(path)[..., :3]
    # kT is blue, norm orange: both seen
    red, blue = pixels[..., 0], pixels[..., 2]
    assert (blue - red > 0.4).sum() > 100
    assert (red - blue > 0.4).sum() > 100


def test_nothing_to_draw_is_no_error(tmp_path: Path) -> None:
    fits = comparison(0.1, 3)
    for name in ("kT", "norm"):
        fits.fast[f"{name}_lo"], fits.fast[f"{name}_hi"] = np.nan, np.nan
    draw_comparison(tmp_path / "open.png", fits)
    draw_comparison(tmp_path / "none.png", comparison(0.1, 0))
    failed = fits.fast.copy()
    failed["flags"] = 128
    failed["kT"] = np.nan
    draw_comparison(tmp_path / "failed.png", replace(fits, fast=failed))
    assert len(list(tmp_path.glob("*.png"))) == 3
