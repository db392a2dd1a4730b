"""The picture of proposed regions shows each of them."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.detect.region_proposals import FieldImages, Proposal, SkyBox, SkyCircle, SkyEllipse
from pyxt_hpc.preprocess.images.proposal_plot import draw_proposal

BLUE, YELLOW, GREEN, RED = "#56b4e9", "#f0e442", "#009e73", "#d55e00"


def draw(path: Path, *, n_sources: int, flat: bool = False) -> np.ndarray:
    wcs = tangent_plane(150.0, 20.0, 2.0, crpix=(100.0, 80.0))
    y, x = np.indices((160, 200))
    rate = np.full(y.shape, 1.0) if flat else 0.2 + 50.0 / (1.0 + ((y - 80) ** 2 + (x - 100) ** 2) / 100.0)
    exposure = np.where(x > 20, 1e4, 0.0)
    counts = np.random.default_rng(0).poisson(rate) * (exposure > 0)
    images = FieldImages(counts, exposure, np.ones(y.shape), wcs, 2.0)
    proposal = Proposal(
        sources=tuple(SkyCircle(150.0 + 0.01 * k, 20.02, 12.0) for k in range(n_sources)),
        core=SkyEllipse(150.0, 20.0, 40.0, 20.0, 30.0),
        crop=SkyBox(150.0, 20.0, 250.0, 200.0),
    )
    draw_proposal(proposal, {"4001": SkyCircle(149.98, 19.98, 30.0)}, images, path)
    return matplotlib.image.imread(path)[..., :3]


def painted(picture: np.ndarray, colour: str) -> int:
    return int((np.abs(picture - to_rgb(colour)).max(axis=-1) < 0.1).sum())


def test_every_kind_of_region_is_seen(tmp_path: Path) -> None:
    with_none, with_three = (draw(tmp_path / f"{n}.png", n_sources=n) for n in (0, 3))
    assert painted(with_three, BLUE) > painted(with_none, BLUE) + 50
    for colour in (YELLOW, GREEN, RED):
        assert painted(with_none, colour) > 150  # more than the line in the legend


@pytest.mark.parametrize("flat", [False, True])
def test_the_image_is_seen_whatever_it_shows(tmp_path: Path, flat: bool) -> None:
    picture = draw(tmp_path / "a.png", n_sources=1, flat=flat)
    assert picture.shape[0] > 500
    assert picture.std() > 0.1
