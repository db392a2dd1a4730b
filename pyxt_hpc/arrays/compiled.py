"""Compilation of functions by numba, with a cache on disk.

If the cache is missing, read-only, full or damaged, every process compiles again, with the same results.
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
    """Compile a function of arrays, with a cache on disk."""
    return _kept(njit(function))


def kernel(function: Function) -> Function:
    """Compile a function of arrays that computes results of a region; it must not create arrays.

    fastmath is off, because it lets the compiler choose the order of sums: their last bits could differ
    between compilations, but a resumed run must equal an uninterrupted one. Loops without sums are still
    vectorized. Division by zero gives infinity, since Python's test for zero prevents vectorization.
    Reference counts are off: for rows of arrays, they take as long as the arithmetic of a hundred bins.
    """
    return _kept(njit(fastmath=False, error_model="numpy", _nrt=False)(function))


class _Cache(FunctionCache):
    """numba's cache, but its errors become a warning, since a kernel can run without a cache."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:
            _warn_once(error)
            with contextlib.suppress(Exception):
                self.flush()  # remove damaged files
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except Exception as error:
            _warn_once(error)


def _kept(dispatcher: Any) -> Function:
    if hasattr(dispatcher, "enable_caching"):  # false for a plain function, as with NUMBA_DISABLE_JIT
        try:
            # As in enable_caching, which always uses numba's class.
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
