"""Root's exemption from permissions, given up for a while."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION = 0x20080522  # _LINUX_CAPABILITY_VERSION_3: two words of 32 bits for each set
DAC = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def _call(name: str, sets: ctypes.Array) -> None:
    header = (ctypes.c_uint32 * 2)(VERSION, 0)
    if getattr(ctypes.CDLL(None, use_errno=True), name)(header, sets):
        raise OSError(ctypes.get_errno(), f"{name} was refused")


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Let permissions count for root as for the owner of a file who is not root."""
    if os.geteuid():
        yield
        return
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable: the lower words, then the upper
    _call("capget", sets)
    effective = sets[0]
    sets[0] &= ~DAC
    _call("capset", sets)
    try:
        yield
    finally:
        sets[0] = effective
        _call("capset", sets)
