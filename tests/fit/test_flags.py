"""How many fits have which flag, and when that is alarming."""

import numpy as np
import pytest

from pyxt_hpc.fit.flags import MEANINGS, FitFlag, FlagCounts
from pyxt_hpc.pipeline.summaries import flag_lines


def flags(n: int, **flagged: int) -> np.ndarray:
    """Of n fits, the first of which have each flag."""
    found = np.zeros(n, np.int32)
    for name, number in flagged.items():
        found[:number] |= int(FitFlag[name])
    return found


def test_every_flag_has_words() -> None:
    assert set(MEANINGS) == set(FitFlag)


def test_shares_are_said_in_a_line_each() -> None:
    lines = list(flag_lines(FlagCounts.of(flags(1000, KT_HI_OPEN=150, PARTLY_LIVE=3))))
    assert lines == [
        "KT_HI_OPEN: 150 of 1000 fits (15.0%): kT has no upper end of its interval",
        "PARTLY_LIVE: 3 of 1000 fits (0.3%): less than a third of the region's brightness was seen: norm is "
        "extrapolated",
    ]
    assert list(flag_lines(FlagCounts.of(flags(7)))) == ["none of 7 fits has a flag"]
    assert list(flag_lines(FlagCounts.of(flags(0)))) == []


@pytest.mark.parametrize(("poor", "warned"), [(0, False), (10, False), (11, True), (589, True)])
def test_poor_fits_are_alarming_above_a_hundredth(poor: int, warned: bool) -> None:
    lines = list(flag_lines(FlagCounts.of(flags(1000, POOR_FIT=poor))))
    warnings = [line for line in lines if line.startswith("warning: ") and "1 in 30,000" in line]
    assert len(warnings) == warned


@pytest.mark.parametrize(("open_sides", "warned"), [(200, False), (201, True)])
def test_doubtful_fits_are_alarming_above_a_fifth(open_sides: int, warned: bool) -> None:
    lines = list(flag_lines(FlagCounts.of(flags(1000, KT_LO_OPEN=open_sides, FEW_COUNTS=1000))))
    assert any("doubtful flags" in line for line in lines) == warned
