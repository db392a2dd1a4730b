import numpy as np

from pyxt_hpc.chandra.response import Rmf
from pyxt_hpc.preprocess.observation import channels_in_band


def test_band_takes_every_channel_it_touches() -> None:
    edges = np.arange(0, 11) * 0.5
    none = np.zeros(0)
    rmf = Rmf(none, none, none, none, none, none, edges[:-1], edges[1:], 1)
    assert list(np.flatnonzero(channels_in_band(rmf, 0.7, 2.2))) == [1, 2, 3, 4]
    assert list(np.flatnonzero(channels_in_band(rmf, 1.0, 2.0))) == [2, 3]
