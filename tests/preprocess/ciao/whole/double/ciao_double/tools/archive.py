"""What the archive says of an observation."""

from astropy.io import fits

from ciao_double import state


def find_chandra_obsid(p):
    if p.download != "none":
        raise ValueError("the double downloads by ciao_contrib.cda.data only")
    if not p.arg.isdigit() or p.dec is not None:
        raise ValueError("the double finds ObsIDs only")
    found = next((state.archive() / p.arg).glob("primary/*evt2.fits*"), None)
    if found is None:  # a number that is no ObsID is taken for the name of an object
        raise ValueError(f"No position found matching the name '{p.arg}'.")
    if p.arg in state.settings().get("proprietary", ()):
        print("# obsid  sepn   inst grat   time    obsdate piname target")
        print("21999     0.3 ACIS-I NONE   10.0 2019-01-01 Nobody another")
        return [], {}
    header = fits.getheader(found, "EVENTS")
    chips = header["DETNAM"].removeprefix("ACIS-")
    name = "ACIS-I" if "3" in chips and "7" not in chips else "ACIS-S"
    if p.detail == "obsid":
        print("# obsid")
        print(p.arg)
    elif p.detail == "basic":
        print("# obsid  sepn   inst grat   time    obsdate piname target")
        grating, target = header.get("GRATING", "NONE"), header.get("OBJECT", "field")
        exposure, date = header["EXPOSURE"] / 1e3, header["DATE-OBS"][:10]
        print(f"{p.arg:<6} {0.0:>6.1f} {name:>6} {grating:>4} {exposure:6.1f} {date} Nobody {target:>6}")
    else:
        raise ValueError(f"detail={p.detail} is not in the double")
    return [], {}
