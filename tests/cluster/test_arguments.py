"""Arguments from notebooks: what is no number, no pair and no pool is named."""

import numpy as np
import pytest
from astropy.units import Quantity

from pyxt_hpc.cluster.arguments import checked, pair, pool_or_this_process, whole_number
from pyxt_hpc.config.parsers import Integer
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.parallel.pools.serial import SerialPool


@pytest.mark.parametrize("value", [7, 7.0, np.int32(7), np.uint64(7), np.array(7), Quantity(7.0)])
def test_whole_numbers(value: object) -> None:
    assert whole_number("region", value) == 7


@pytest.mark.parametrize(
    "value", ["7", b"7", 7.5, np.nan, np.inf, None, [7], np.array([7]), Quantity(7, "m")]
)
def test_what_is_no_whole_number(value: object) -> None:
    with pytest.raises(ConfigError, match=r"region is .*, expected a whole number"):
        whole_number("region", value)


def test_pairs() -> None:
    assert pair("band", (0.5, np.float32(2))) == pair("band", np.array([0.5, 2.0])) == (0.5, 2.0)
    for wrong in ("12", (1,), (1, 2, 3), 5, None, ("a", 2)):
        with pytest.raises(ConfigError, match=r"band is .*, expected two numbers"):
            pair("band", wrong)


def test_ranges_are_those_of_keys() -> None:
    assert checked("draws", np.int64(20), Integer(2, 100)) == 20
    for wrong in (1, 2.5, "many", None, np.nan):
        with pytest.raises(ConfigError, match=r"draws is .*, expected a whole number from 2 to 100"):
            checked("draws", wrong, Integer(2, 100))


def test_pools() -> None:
    assert isinstance(pool_or_this_process(None), SerialPool)
    with pytest.raises(ConfigError, match="pool is 4, expected a pool, as from choose_pool"):
        pool_or_this_process(4)  # type: ignore[arg-type]
