"""A picture is drawn of whatever there is, also when cleaning failed."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from pyxt_hpc.chandra.times.lightcurve import BIN_S, LightCurve
from pyxt_hpc.detect.flares import check_quiet, find_quiet
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.preprocess.images.light_curve_plot import CleanedCurve, draw_light_curves, title_of


def curve(counts: object, live: object = BIN_S) -> LightCurve:
    counts = np.asarray(counts)
    edges = np.arange(len(counts) + 1) * BIN_S
    return LightCurve(edges, counts, np.broadcast_to(live, counts.shape).astype(float))


@pytest.fixture
def passes() -> list[CleanedCurve]:
    """Two passes, of which each cuts a tenth of the time."""
    counts = np.full(40, 200)
    counts[10:14] = 4000
    first = curve(counts)
    found = find_quiet(first)
    more = np.where(found.good, 500, 0)
    more[30:34] = 900
    second = curve(more, np.where(found.good, BIN_S, 0.0))
    return [CleanedCurve("9-12 keV", first, found), CleanedCurve("0.3-12 keV", second, find_quiet(second))]


def test_title_has_the_share_that_both_passes_kept(passes: list[CleanedCurve]) -> None:
    assert title_of(passes, "ObsID 1") == "ObsID 1: 80.0% of the time kept"
    assert title_of(passes[:1], "ObsID 1") == "ObsID 1: 90.0% of the time kept"


def test_panels(passes: list[CleanedCurve], tmp_path: Path) -> None:
    draw_light_curves(passes, "ObsID 1", tmp_path / "two.png")
    draw_light_curves(passes[:1], "ObsID 1", tmp_path / "one.png")
    two, one = (imread(tmp_path / f"{name}.png") for name in ("two", "one"))
    assert two.shape[0] > 1.5 * one.shape[0]
    reds = [(image[..., 0] > 0.8) & (image[..., 1] < 0.3) for image in (two, one)]
    assert reds[0].sum() > reds[1].sum() > 0


def test_failures_are_drawn_too(tmp_path: Path) -> None:
    failed = curve(np.geomspace(100, 1e9, 40).astype(int))
    found = find_quiet(failed)
    with pytest.raises(EmptySelection):
        check_quiet(found)
    draw_light_curves([CleanedCurve("9-12 keV", failed, found)], "ObsID 1", tmp_path / "a.png")
    image = imread(tmp_path / "a.png")
    assert ((image[..., 0] > 0.8) & (image[..., 1] < 0.3)).any()
