"""Values and errors have decimals that fit each other."""

from math import inf, nan

import pytest

from pyxt_hpc.fit.single.rounding import with_ends, with_error, with_sides


@pytest.mark.parametrize(
    ("value", "low", "high", "sides", "ends"),
    [
        (8.752, 7.902, 9.842, "8.75 -0.85 +1.09", "8.75 (7.90 to 9.84)"),
        (0.0004635, 0.0004546, 0.0004727, "(4.635 -0.089 +0.092)e-04", "4.635e-04 (4.546e-04 to 4.727e-04)"),
        (0.044, 0.04303, 0.04528, "0.04400 -0.00097 +0.00128", "0.04400 (0.04303 to 0.04528)"),
        (357.1, 330.0, 385.0, "357 -27 +28", "357 (330 to 385)"),
        (5.0, 4.0004, 5.9996, "5.0 -1.0 +1.0", "5.0 (4.0 to 6.0)"),
        (5.0, 4.5, inf, "5.00 -0.50 open", "5.00 (4.50 to open)"),
        (5.0, nan, nan, "5.00 open open", "5.00 (open to open)"),
        (0.0, 0.0, 0.123, "0.00 +0.00 +0.12", "0.00 (0.00 to 0.12)"),
        (nan, nan, nan, "-", "-"),
        (nan, nan, 1.234e-5, "-", "- (open to 1.23e-05)"),
    ],
)
def test_two_digits_of_the_smaller_error(
    value: float, low: float, high: float, sides: str, ends: str
) -> None:
    assert with_sides(value, low, high) == sides
    assert with_ends(value, low, high) == ends


def test_one_error_for_both_sides() -> None:
    assert with_error(0.14402, 0.00031) == "0.14402 +- 0.00031"
    assert with_error(17.06, 1.02) == "17.1 +- 1.0"
    assert with_error(1.2e-7, 3.1e-9) == "(1.200 +- 0.031)e-07"
    assert with_error(1.234, nan) == "1.23 +- unknown"
    assert with_error(nan, nan) == "-"
