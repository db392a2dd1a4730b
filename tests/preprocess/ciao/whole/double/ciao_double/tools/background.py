"""blanksky: the blank-sky file of an observation, as the double's calibration database has it."""

from pathlib import Path

import numpy as np

from ciao_double import events, state, virtual

_BAND = (9500.0, 12000.0)


def blanksky(p):
    """Copy the file of this ObsID, which lies on the observation's sky already."""
    if p.evtfile.startswith("@") or " " in p.evtfile:
        raise OSError(f"evtfile '{p.evtfile}' is a stack, or holds a blank")
    if p.bkgparams != "default" and not (p.bkgparams.startswith("[energy=") and p.bkgparams.endswith("]")):
        raise ValueError("The bkgparams parameter requires an 'energy' or 'pi' filter")
    if not p.asolfile:
        raise ValueError("asolfile: without it the header's ASOLFILE is looked for where the event file lies")
    virtual.files(p.asolfile)
    observed, _ = events.read(p.evtfile)
    folder = state.caldb() / "data" / "chandra" / "acis" / "bkgrnd"
    if not any(folder.glob("*.fits")):
        raise OSError(
            "Blank-sky maps not available.  Please make sure that the CalDB blank-sky maps are installed."
        )
    kind = "stowed" if p.stowedbg else "bgd"
    found = folder / f"{observed.header['OBS_ID']}_{kind}.fits"
    if not found.is_file():
        raise OSError(f"There is no available blank-sky map for {virtual.parse(p.evtfile).path}.")
    blank = events.read_all(found)
    chips = sorted(set(observed.ccd_id.tolist()))
    blank = blank.select(np.isin(blank.ccd_id, chips))
    if observed.header["CHKVFPHA"] and blank.status is not None:
        blank = blank.select(blank.status == 0)
    blank.header["BKGMETH"] = p.weight_method
    blank.header["BKGPARAM"] = p.bkgparams
    for chip in chips:
        high, below = (
            np.sum((e.ccd_id == chip) & (e.energy_eV >= _BAND[0]) & (e.energy_eV < _BAND[1]))
            for e in (observed, blank)
        )
        blank.header[f"BKGSCAL{chip}"] = float(high / max(below, 1))
    return [events.write(Path(p.outfile), blank, clobber=p.clobber)], {}
