"""How kernels are compiled: kept on disk where the system allows it, else made anew by every process.

A cache that is missing, read-only, full or damaged costs seconds, never a result.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from pyxt_hpc.files.quoting import one_line, shown

log = logging.getLogger(__name__)

Function = Callable[..., Any]


def compiled(function: Function) -> Function:
    """Compile a function of arrays."""
    return _kept(njit(function))


def kernel(function: Function) -> Function:
    """Compile a function of arrays that decides a region's numbers; it must not make arrays.

    No fastmath: sums whose order the compiler may choose differ in the last bits from one compilation to
    the next, and a resumed run must equal an uninterrupted one. Loops without sums still use vector
    registers. Division by zero gives infinity: Python's test for it would keep loops scalar. No reference
    counts: for rows of arrays they cost as much as the arithmetic of a hundred bins.
    """
    return _kept(njit(fastmath=False, error_model="numpy", _nrt=False)(function))


class _Cache(FunctionCache):
    """numba's own, but for errors: numba lets them end the call of a kernel that needs no cache."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:
            _warn_once(error)
            with contextlib.suppress(Exception):
                self.flush()  # else what is damaged would stay so
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn_once(error)


def _kept(dispatcher: Any) -> Function:
    if hasattr(dispatcher, "enable_caching"):  # not a plain function, as under NUMBA_DISABLE_JIT
        try:
            # As its enable_caching does, which cannot be told the class.
            dispatcher._cache = _Cache(dispatcher.py_func)
        except (RuntimeError, OSError) as error:
            _warn_once(error)
    return dispatcher


_warned = False


def _warn_once(error: Exception) -> None:
    global _warned
    if not _warned:
        log.warning(
            "compiled kernels cannot be kept on disk or loaded from there (%s): every process compiles them "
            "again, which takes about half a minute; set NUMBA_CACHE_DIR to a folder that you may write to",
            shown(one_line(str(error)), 200) or type(error).__name__,
        )
    _warned = True
