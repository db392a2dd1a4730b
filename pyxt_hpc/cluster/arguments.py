"""Checks of arguments from notebooks, where any object may be given."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.parallel.pools.pool import Pool
from pyxt_hpc.parallel.pools.serial import SerialPool

T = TypeVar("T")


def checked(name: str, value: object, parse: Callable[[str], T]) -> T:
    """Value of an argument, as the parser of a key (`pyxt_hpc.config.parsers`) reads its text.

    Raises ConfigError with the argument's name if the parser refuses it.
    """
    try:
        return parse(str(value))
    except ValueError as error:
        raise ConfigError(f"{name} {error}") from None


def whole_number(name: str, value: Any) -> int:
    """A whole number, also if it is a float or a quantity, as numbers of regions in results are.

    Raises ConfigError if it is something else.
    """
    try:
        number = int(value)
        if isinstance(value, str | bytes) or np.ndim(value) or number != value:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{name} is {quoted(value)}, expected a whole number") from None
    return number


def pair(name: str, values: Any) -> tuple[float, float]:
    """Two numbers; raises ConfigError if it is something else."""
    try:
        first, second = map(float, () if isinstance(values, str) else values)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} is {quoted(values)}, expected two numbers") from None
    return first, second


def pool_or_this_process(pool: Pool | None) -> Pool:
    """The given pool, or this process; raises ConfigError if it is no pool."""
    if pool is None:
        return SerialPool()
    if not callable(getattr(pool, "open", None)):
        raise ConfigError(f"pool is {quoted(pool)}, expected a pool, as from choose_pool(4)")
    return pool
