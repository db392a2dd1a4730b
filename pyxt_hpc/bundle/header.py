"""Keywords about observations, for the headers of a cluster's images."""

from pyxt_hpc.bundle.data import Bundle
from pyxt_hpc.chandra.observed import Cards, Dates, Observed, observed_cards


def total_exposure_s(bundle: Bundle) -> float:
    """Exposure [s], summed over ObsIDs; the longest dataset of each counts, since all are simultaneous."""
    return sum(one.exposure_s for one in _observed(bundle))


def observation_cards(bundle: Bundle) -> Cards:
    """Keywords of a FITS header with comments; they have the names of Chandra's keywords if these exist."""
    return {
        **observed_cards(bundle.name, _observed(bundle)),
        "REDSHIFT": (bundle.redshift, "redshift"),
        "NH": (bundle.nH, "[1e22 cm^-2] absorbing column"),
        "ABUNDANC": (bundle.abundance, f"[solar] {bundle.abundance_table}, where it was not fitted"),
        "E_MIN": (bundle.energy_min_keV, "[keV] lower edge of the band"),
        "E_MAX": (bundle.energy_max_keV, "[keV] upper edge of the band"),
    }


def _observed(bundle: Bundle) -> list[Observed]:
    found: dict[str, Observed] = {}
    for one in bundle.observations:
        longest = max(found[one.obsid].exposure_s if one.obsid in found else 0.0, one.exposure_s)
        found[one.obsid] = Observed(one.obsid, longest, Dates(one.date_obs, one.date_end))
    return list(found.values())
