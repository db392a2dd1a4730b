"""Settings of ClusterPyXT as keys of a configuration.

Sources: ``cluster.py`` (`fit_region_number`, `signal_to_noise_threshold`) and ``acb.py``
(`binary_search_radii`, `make_pressure_map`, `normalize_data`) of github.com/bcalden/ClusterPyXT.
"""

from typing import Any

from pyxt_hpc.config.cluster import parse_keys

NAMES = ("clusterpyxt", "clusterpyxt-2018")
"""Values of ``--as``: ClusterPyXT since March 2022, and from 2018 until then."""

_ALWAYS = {
    "statistic": "chi2gehrels",
    "spectral_grouping": "channels",
    "minimum_exposure_fraction": "0.09",
    "absorption": "phabs",
    "abundance_table": "angr",
    "energy_min": "0.7",
    "energy_max": "8",
    "temperature_min": "0.0814",
    "temperature_max": "45.7",
    "free_abundance": "false",
    "free_column_density": "false",
    "method": "circles",
    "check_vf_pha": "false",
    "clusterpyxt_maps": "true",
}

_OF_FITS = (
    *("statistic", "spectral_grouping", "minimum_exposure_fraction", "temperature_min", "temperature_max"),
    *("free_abundance", "free_column_density"),
)


def choices_as(name: str) -> dict[str, str]:
    """Settings of one of `NAMES`, as texts by the names of keys."""
    return {**_ALWAYS, "signal_to_noise_of": "net" if name == "clusterpyxt-2018" else "counts"}


def fit_choices() -> dict[str, Any]:
    """Settings of ClusterPyXT's fits, as values by the attributes of `ClusterConfig`."""
    return parse_keys({name: _ALWAYS[name] for name in _OF_FITS})
