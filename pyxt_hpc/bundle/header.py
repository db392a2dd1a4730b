"""What the header of every image of a cluster says about its observations."""

from pyxt_hpc.bundle.data import Bundle


def total_exposure_s(bundle: Bundle) -> float:
    """Sum over ObsIDs [s]; of one with two kinds of chips the longer counts: both were exposed together."""
    longest: dict[str, float] = {}
    for one in bundle.observations:
        longest[one.obsid] = max(longest.get(one.obsid, 0.0), one.exposure_s)
    return sum(longest.values())


def observation_cards(bundle: Bundle) -> dict[str, tuple[str | float, str]]:
    """Keywords of a FITS header with their comments, named as in Chandra's files where these have them."""
    return {
        "OBJECT": (bundle.name, "cluster"),
        "TELESCOP": ("CHANDRA", "telescope"),
        "INSTRUME": ("ACIS", "instrument"),
        "OBS_ID": (",".join(bundle.obsids), "observations"),
        "EXPOSURE": (round(total_exposure_s(bundle), 3), "[s] live time of all observations"),
        "REDSHIFT": (bundle.redshift, "redshift"),
        "NH": (bundle.nH, "[1e22 cm^-2] absorbing column"),
        "ABUNDANC": (bundle.abundance, f"[solar] {bundle.abundance_table}, where it was not fitted"),
        "E_MIN": (bundle.energy_min_keV, "[keV] lower edge of the band"),
        "E_MAX": (bundle.energy_max_keV, "[keV] upper edge of the band"),
    }
