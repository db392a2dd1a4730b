"""Times and durations as texts for people."""

import pytest

from pyxt_hpc.files.times import duration, utc


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.6, "3 s"), (59.7, "1 min 00 s"), (1059.0, "17 min 39 s"), (7320.0, "2 h 02 min")]
)
def test_durations_have_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_times_are_in_utc() -> None:
    assert utc(86400.0 * 365) == "1971-01-01 00:00 UTC"
