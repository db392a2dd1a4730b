from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.preprocess.selection import chips_in_use, chips_of_array, good_events, is_very_faint_cleaned


@pytest.mark.parametrize(
    ("detnam", "chips"),
    [
        ("ACIS-0123", (0, 1, 2, 3)),
        ("ACIS-01236", (0, 1, 2, 3)),
        ("ACIS-235678", (5, 6, 7, 8)),
        ("ACIS-7", (7,)),
        ("ACIS-456789", (4, 5, 6, 7, 8, 9)),
        ("ACIS", ()),
    ],
)
def test_chips_of_array(detnam: str, chips: tuple[int, ...]) -> None:
    assert chips_of_array(detnam) == chips
    header = fits.Header({"DETNAM": detnam})
    if chips:
        assert chips_in_use(header, "a.fits") == chips
    else:
        with pytest.raises(DamagedFile, match=r"a\.fits: DETNAM"):
            chips_in_use(header, "a.fits")


def test_grades_chips_and_status() -> None:
    n = 16
    empty = np.zeros(n)
    events = EventList(
        path=None,
        header=None,
        wcs=None,
        x=empty,
        y=empty,
        energy_eV=empty,
        pi=empty,
        ccd_id=np.repeat([3, 7], 8),
        grade=np.tile(np.arange(8), 2),
        status=np.tile(np.repeat([0, 8], [7, 1]), 2).astype(np.uint32),
    )
    np.testing.assert_array_equal(
        np.flatnonzero(good_events(events, (3,), screen_status=False)), [0, 2, 3, 4, 6]
    )
    flagged = np.tile([0, 1], 8).astype(np.uint32)
    marked = replace(events, status=flagged)
    assert list(np.flatnonzero(good_events(marked, (3,), screen_status=True))) == [0, 2, 4, 6]
    assert list(np.flatnonzero(good_events(marked, (3,), screen_status=False))) == [0, 2, 3, 4, 6]


def test_status_of_the_background_follows_the_observation() -> None:
    for mode, screened, expected in (
        ("VFAINT", True, True),
        ("VFAINT", False, False),
        ("FAINT", True, False),
        ("FAINT", False, False),
    ):
        assert is_very_faint_cleaned(fits.Header({"DATAMODE": mode, "CHKVFPHA": screened})) is expected
