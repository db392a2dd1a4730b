"""Temperature maps of galaxy clusters from Chandra ACIS observations, over MPI ranks.

In Python, a cluster is an object (`Cluster`, `open_bundle`) with its results and maps. The names of this
module are loaded when they are first used, so that ``import pyxt_hpc`` is fast.
"""

from pyxt_hpc.version import __version__

TYPE_CHECKING = False  # replaces the constant of `typing`, which takes time to load
if TYPE_CHECKING:  # for type checkers and editors
    from pyxt_hpc.bundle import read_bundle as read_bundle
    from pyxt_hpc.cluster.cluster import Cluster as Cluster
    from pyxt_hpc.cluster.cluster import open_bundle as open_bundle
    from pyxt_hpc.cluster.fitting import choose_pool as choose_pool
    from pyxt_hpc.cluster.fitting import fit_spectra as fit_spectra
    from pyxt_hpc.cluster.results import read_results as read_results
    from pyxt_hpc.cluster.sky_map import make_map as make_map

_HOMES = {
    "Cluster": "cluster.cluster",
    "choose_pool": "cluster.fitting",
    "fit_spectra": "cluster.fitting",
    "make_map": "cluster.sky_map",
    "open_bundle": "cluster.cluster",
    "read_bundle": "bundle",
    "read_results": "cluster.results",
}

__all__ = [
    "Cluster",
    "__version__",
    "choose_pool",
    "fit_spectra",
    "make_map",
    "open_bundle",
    "read_bundle",
    "read_results",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
