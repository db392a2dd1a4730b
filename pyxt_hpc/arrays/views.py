"""Views of arrays."""

from typing import Any

from numpy.typing import NDArray


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view that cannot be written, as arrays of shared memory are: numba compiles for each kind anew."""
    view = array.view()
    view.flags.writeable = False
    return view
