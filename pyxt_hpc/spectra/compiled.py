"""How the kernels that decide a region's numbers are compiled."""

from collections.abc import Callable
from typing import Any

from numba import njit


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of arrays; it must not make arrays.

    No fastmath: sums whose order the compiler may choose differ in the last bits from one compilation to
    the next, and a resumed run must equal an uninterrupted one. Loops without sums still use vector
    registers. Division by zero gives infinity: Python's test for it would keep loops scalar. No reference
    counts: for rows of arrays they cost as much as the arithmetic of a hundred bins.
    """
    return njit(cache=True, fastmath=False, error_model="numpy", _nrt=False)(function)
