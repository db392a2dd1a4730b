"""Simulations are binned as clusters are."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from fitted_in_memory import fit_in_memory
from simulated_fronts import shock_free_cluster

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.world import World
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.stages.bins import scale_map as binning


def test_scale_map_is_that_of_stage_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    # a blank-sky file of five exposures: the variance of the background is a fifth of it
    bundle = observe_directly(shock_free_cluster("round", rng, 60).cluster, rng, exposure_s=2e4)
    assert bundle.background_variance.sum() < 0.3 * bundle.background.sum()
    config = ClusterConfig(
        path=tmp_path / "A.ini",
        name="A",
        observation_ids=("1",),
        redshift=bundle.redshift,
        nH=bundle.nH,
        abundance=bundle.abundance,
        data_directory=tmp_path,
        signal_to_noise=20.0,
    )
    monkeypatch.setattr(binning, "read_cluster_bundle", lambda config: bundle)
    binning.create_bins(config, World(0, 1, None), 1)
    stage_5 = fits.getdata(Layout.of(config).scale_map)
    in_memory = fit_in_memory(bundle, signal_to_noise=20.0, resolution=1).radius
    assert np.count_nonzero(stage_5) > 500
    np.testing.assert_array_equal(in_memory, stage_5)
