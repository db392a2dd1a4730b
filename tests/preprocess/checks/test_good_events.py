"""Selection of events by chip, grade and status."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.preprocess.checks.good_events import (
    array_of,
    chips_in_use,
    chips_that_were_on,
    good_events,
)


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
def test_chips_of_the_array_with_more(detnam: str, chips: tuple[int, ...]) -> None:
    header = fits.Header({"DETNAM": detnam})
    if chips:
        assert chips_in_use(header, "a.fits") == chips
    else:
        with pytest.raises(DamagedFile, match=r"a\.fits: DETNAM"):
            chips_in_use(header, "a.fits")


@pytest.mark.parametrize(
    ("detnam", "sim_z", "chips"),
    [
        ("ACIS-2367", -233.6, (2, 3)),
        ("ACIS-2367", -190.1, (6, 7)),
        ("ACIS-36789", -233.6, (3,)),  # a target on ACIS-I with more of the other array on
        ("ACIS-7", -233.6, (7,)),
    ],
)
def test_chips_of_the_array_at_the_focus(detnam: str, sim_z: float, chips: tuple[int, ...]) -> None:
    header = fits.Header({"DETNAM": detnam, "SIM_Z": sim_z})
    assert chips_in_use(header, "a.fits") == chips
    assert array_of(chips) == ("I" if max(chips) < 4 else "S")
    assert chips_that_were_on(header) == tuple(int(digit) for digit in detnam[5:])


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
