"""What the header of every image of a cluster says about its observations."""

from pyxt_hpc.bundle.data import Bundle
from pyxt_hpc.chandra.observed import Cards, Dates, Observed, observed_cards


def total_exposure_s(bundle: Bundle) -> float:
    """Sum over ObsIDs [s]; of one with two kinds of chips the longer counts: both were exposed together."""
    return sum(one.exposure_s for one in _observed(bundle))


def observation_cards(bundle: Bundle) -> Cards:
    """Keywords of a FITS header with their comments, named as in Chandra's files where these have them."""
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
