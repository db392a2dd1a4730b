"""Spectra with their responses."""

import numpy as np

from ciao_double import events, virtual
from ciao_double.tools import mirrors
from ciao_double.tools.flares import write_spectrum
from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.chandra.ogip.response_files import write_arf, write_rmf
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.simulate.acis import instrument


def specextract(p):
    """Responses weighted with the counts of the region."""
    if not p.weight or p.correctpsf:
        raise ValueError("extended sources need weight=yes and correctpsf=no")
    if p.bkgfile or p.bkgresp:
        raise ValueError("bkgresp=yes without a background, or with a blank-sky file, is an error")
    for name, stack in (("asp", p.asp), ("mskfile", p.mskfile), ("badpixfile", p.badpixfile)):
        if not stack:
            raise ValueError(f"{name}: without it the header's name is looked for where the event file lies")
        virtual.files(stack)
    if [float(number) for number in p.energy.split(":")] != [0.3, 11.0, 0.01] or p.channel != "1:1024:1":
        raise ValueError("the double has one grid of energies and channels")
    chosen, _ = events.read(p.infile)
    if len(chosen) == 0:
        raise OSError(f"{p.infile} has zero counts")
    low, high = map(float, p.energy_wmap.split(":"))
    source = chosen.select((chosen.energy_eV >= low) & (chosen.energy_eV < high))
    if len(source) == 0:
        raise OSError(f"{p.infile}: no counts in the WMAP")
    chips = set(source.ccd_id.tolist())
    arf = mirrors.on_axis(chips)
    ra, dec = source.wcs.wcs_pix2world(source.x, source.y, 1)
    theta = off_axis_arcmin(ra, dec, source.header["RA_PNT"], source.header["DEC_PNT"])
    angles = np.linspace(0.0, 30.0, 301)
    weights = np.histogram(theta, np.append(angles - 0.05, 30.05))[0] / len(theta)
    middle = 0.5 * (arf.energy_lo + arf.energy_hi)
    area = arf.area * (vignetting(middle, angles) @ weights)
    header = {key: chosen.header[key] for key in ("TELESCOP", "INSTRUME", "DETNAM", "OBS_ID")}
    if p.outroot.endswith("/"):
        raise ValueError("outroot ends in / : name the files")
    written = [events.new(f"{p.outroot}.{suffix}", clobber=p.clobber) for suffix in ("pi", "arf", "rmf")]
    write_spectrum(written[0], chosen)
    write_arf(written[1], Arf(arf.energy_lo, arf.energy_hi, area), header=header)
    write_rmf(written[2], instrument.gaussian_rmf(), header=header)
    if p.grouptype != "NONE":
        written.append(events.new(f"{p.outroot}_grp.pi", clobber=p.clobber))
        write_spectrum(written[-1], chosen)
    return written, {}
