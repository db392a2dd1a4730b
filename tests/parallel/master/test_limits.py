"""Time limits in the notations that people use."""

import pytest

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.parallel.master.limits import Limits, parse_time_limit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5", 0.5), ("01:30:00", 5400), ("48:00:00", 172800), ("0:00:07.5", 7.5), (" 60 ", 60)],
)
def test_seconds(text: str, seconds: float) -> None:
    assert parse_time_limit(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "00:00:00", "-5", "10:00", "1:60:00", "1h", "1-00:00:00", "nan"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="HH:MM:SS"):
        parse_time_limit(text)


def test_no_limits() -> None:
    assert Limits.of() == Limits(None, None)
