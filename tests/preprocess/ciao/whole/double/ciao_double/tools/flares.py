"""Light curves, good times and flares."""

from pathlib import Path

import numpy as np
from astropy.io import fits

from ciao_double import events, virtual
from pyxt_hpc.chandra.times.gti_io import read_gti, write_gti, write_light_curve
from pyxt_hpc.chandra.times.lightcurve import light_curve
from pyxt_hpc.files.fits import write_fits


def dmextract(p):
    chosen, binning = events.read(p.infile)
    target = events.new(p.outfile, clobber=p.clobber)
    if p.opt == "ltc1":
        if "time" not in binning:
            raise ValueError(f"'{p.infile}' is not binned in time")
        low, high, step = binning["time"]
        starts = [intervals[0, 0] for intervals in chosen.gti.values()]
        stops = [intervals[-1, 1] for intervals in chosen.gti.values()]
        low, high = min(starts) if low is None else low, max(stops) if high is None else high
        edges = low + step * np.arange(int(np.ceil((high - low) / step - 1e-9)) + 1)
        write_light_curve(
            target, light_curve(chosen.time, list(chosen.gti.values()), edges=edges), chosen.header
        )
    else:
        raise ValueError(f"opt={p.opt} is not in the double")
    return [target], {}


def write_spectrum(path, chosen):
    """A spectrum in PI channels."""
    counts = np.bincount(chosen.pi, minlength=1025)[1:1025]
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "1J", array=np.arange(1, 1025)),
            fits.Column("COUNTS", "1J", unit="count", array=counts),
        ],
        name="SPECTRUM",
    )
    for keyword in ("TELESCOP", "INSTRUME", "DETNAM", "OBS_ID", "EXPOSURE", "GRATING"):
        if keyword in chosen.header:
            table.header[keyword] = chosen.header[keyword]
    table.header["HDUCLASS"], table.header["HDUCLAS1"], table.header["CHANTYPE"] = "OGIP", "SPECTRUM", "PI"
    write_fits(Path(path), fits.HDUList([fits.PrimaryHDU(), table]))


def deflare(p):
    if p.plot:
        raise ValueError("plot=yes waits for a key")
    path = virtual.existing(p.infile)
    target = events.new(p.outfile, clobber=False)
    curve, header = fits.getdata(path, 1), fits.getheader(path, 1)
    step, all_rates = header["TIMEDEL"], curve["COUNT_RATE"]
    used = all_rates > 0
    rate = all_rates[used]
    middle = p.mean or _middle(rate, p.nsigma, step)
    if p.method == "clean":
        good = (all_rates > middle / p.scale) & (all_rates < middle * p.scale) & used
        if good[used].mean() < p.minfrac:
            raise OSError(f"Only {good[used].mean():.2f} of the bins are good, minfrac is {p.minfrac}")
    else:
        good = used & (np.abs(all_rates - middle) < p.nsigma * rate.std())
    print(f"Mean level of filtered data = {middle}")
    low, high = curve["TIME_MIN"][good], curve["TIME_MAX"][good]
    starts = np.append(True, low[1:] > high[:-1] + 1e-6)
    ends = np.append(starts[1:], True)
    write_gti(target, np.column_stack([low[starts], high[ends]]), header)
    read_gti(target)
    if p.save:
        Path(p.save).with_suffix(".pdf").write_bytes(b"%PDF-1.4 no picture: this is a double of CIAO\n")
    return [target], {}


def _middle(rate, nsigma, step):
    middle = float(np.median(rate))
    for _ in range(20):
        middle = float(rate[np.abs(rate - middle) <= nsigma * np.sqrt(middle / step)].mean())
    return middle
