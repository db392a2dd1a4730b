"""Views of arrays."""

from typing import Any

from numpy.typing import NDArray


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Read-only view, like arrays in shared memory; for writable ones, numba would compile kernels again."""
    view = array.view()
    view.flags.writeable = False
    return view
