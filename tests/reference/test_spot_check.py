"""Lists of regions as people write them."""

import pytest

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.reference.spot_check import region_numbers


def test_numbers_and_ranges() -> None:
    assert region_numbers("1,2,5-9").tolist() == [1, 2, 5, 6, 7, 8, 9]
    assert region_numbers(" 7 , 3-4,3").tolist() == [3, 4, 7]


@pytest.mark.parametrize("text", ["", "a", "1,", "5-2", "1-2-3", "-4", "1 2", "1-900000000"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"e\.g\. 1,2,5-9"):
        region_numbers(text)
