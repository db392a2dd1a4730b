"""The live time of each chip comes from its own good time, whatever the type of the header's numbers."""

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.times.livetime import live_share, live_times, with_live_times
from pyxt_hpc.errors import DamagedFile

GTI = {2: np.array([[0.0, 40.0], [50.0, 110.0]]), 3: np.array([[0.0, 50.0]])}


@pytest.mark.parametrize(
    ("cards", "share"),
    [
        ({"DTCOR": 0.9, "LIVETIME": 50.0, "ONTIME": 100.0, "EXPOSURE": 77.0}, 0.9),
        ({"DTCOR": "0.9"}, 0.9),
        ({"DTCOR": 1}, 1.0),
        ({"DTCOR": 0.0, "LIVETIME": 95, "ONTIME": 100}, 0.95),
        ({"LIVETIME": 95.0, "ONTIME": 0.0, "EXPOSURE": 98}, 0.98),
        ({"DTCOR": "unknown", "EXPOSURE": "98.0"}, 0.98),
        ({"EXPOSURE": 100.05}, 1.0),  # rounded
    ],
)
def test_live_share(cards: dict, share: float) -> None:
    header = fits.Header(cards)
    assert live_share(header, GTI, "a.fits") == pytest.approx(share)
    assert live_times(header, GTI, "a.fits") == pytest.approx({2: 100 * share, 3: 50 * share})


@pytest.mark.parametrize("cards", [{}, {"EXPOSURE": 120.0}, {"DTCOR": -1.0, "LIVETIME": 2.0, "ONTIME": 1.0}])
def test_a_share_that_cannot_be(cards: dict) -> None:
    with pytest.raises(
        DamagedFile, match=r"a\.fits: the live fraction .* is not known: DTCOR is .* 100\.0 s"
    ):
        live_share(fits.Header(cards), GTI, "a.fits")


def test_all_times_of_a_header_are_made_anew() -> None:
    old = fits.Header({"EXPOSURE": 39000, "EXPOSUR2": "x", "LIVTIME7": 1.0, "ONTIME": 2, "OBJECT": "A"})
    new = with_live_times(old, GTI, 0.9)
    assert {key: new[key] for key in ("DTCOR", "ONTIME", "LIVETIME", "EXPOSURE")} == pytest.approx(
        {"DTCOR": 0.9, "ONTIME": 100.0, "LIVETIME": 90.0, "EXPOSURE": 90.0}
    )
    assert (new["EXPOSUR2"], new["EXPOSUR3"], new["LIVTIME3"], new["ONTIME3"]) == (90.0, 45.0, 45.0, 50.0)
    assert "LIVTIME7" not in new
    assert (new["OBJECT"], old["EXPOSURE"]) == ("A", 39000)
    # the share comes back, so that times can be cut again
    assert live_times(new, {2: GTI[2][:1], 3: np.empty((0, 2))}, "") == pytest.approx({2: 36.0, 3: 0.0})
