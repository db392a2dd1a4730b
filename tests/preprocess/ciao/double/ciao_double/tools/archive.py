"""What the archive says of an observation."""

from astropy.io import fits

from ciao_double import state


def find_chandra_obsid(p):
    if p.download != "none":
        raise ValueError("the double downloads by ciao_contrib.cda.data only")
    if not p.arg.isdigit() or p.dec is not None:
        raise ValueError("the double finds ObsIDs only")
    (found,) = [*(state.archive() / p.arg).glob("primary/*evt2.fits*")][:1] or [None]
    if found is None:
        print(f"# ERROR: ObsId {p.arg} was not found in the archive")
        raise OSError(f"Unable to find position of ObsId {p.arg}")
    header = fits.getheader(found, "EVENTS")
    chips = header["DETNAM"].removeprefix("ACIS-")
    name = "ACIS-I" if "3" in chips and "7" not in chips else "ACIS-S"
    if p.detail == "obsid":
        print("# obsid")
        print(p.arg)
    elif p.detail == "basic":
        print("# obsid  sepn   inst grat   time    obsdate piname target")
        print(
            f"{p.arg:<6} {0.0:>6.1f} {name:>6} {header['GRATING']:>4} {header['EXPOSURE'] / 1e3:6.1f} "
            f"{header['DATE-OBS'][:10]} {'Nobody':>6} {header['OBJECT']:>6}"
        )
    else:
        raise ValueError(f"detail={p.detail} is not in the double")
    return [], {}
