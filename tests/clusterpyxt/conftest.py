"""A cluster's folder of ClusterPyXT, made once of the tiny simulated cluster."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.config.cluster import read_config

sys.path.insert(0, str(Path(__file__).parent))  # its tests share `as_clusterpyxt`
from as_clusterpyxt import NAME, ClusterPyXT, fit_of


@pytest.fixture(scope="session")
def pristine(tiny_cluster: Path, made_once) -> Path:  # type: ignore[no-untyped-def]
    """The folder, not to be changed."""

    def fill(folder: Path) -> None:
        old = ClusterPyXT(read_config(tiny_cluster / "demo.ini"), folder, NAME).make()
        numbers = [number for number, *_ in old.fitted_regions()]
        last = [[n, 30.0, None, -9.0, 1e-4, 1e-5, -1e-5, 1.1, "4001"] for n in numbers[-5:]]
        old.fits([fit_of(n) for n in numbers[:-5]], last)
        np.save(folder / "radius.npy", old.radius)

    return made_once("clusterpyxt", fill)


@pytest.fixture
def old(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(pristine / NAME, tmp_path / "old" / NAME))
