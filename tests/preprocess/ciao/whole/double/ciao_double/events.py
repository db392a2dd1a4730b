"""Events of a virtual file, read, chosen and written with the package's own code."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from ciao_double import virtual
from pyxt_hpc.chandra import events as package
from pyxt_hpc.chandra.regions.sky import contains, contains_pixels, read_regions
from pyxt_hpc.chandra.regions.text import parse_regions
from pyxt_hpc.chandra.sky.fov import read_fov
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.chandra.times.gti_io import read_gti
from pyxt_hpc.chandra.times.livetime import live_share, with_live_times

_EXTRA = ("node_id", "expno", "tdetx", "tdety", "detx", "dety", "pha", "fltgrade")


def read(text):
    """Events of a virtual file with all filters applied, and how it is binned."""
    wanted = virtual.parse(text)
    if wanted.block not in ("", "EVENTS", "1"):
        raise ValueError(f"'{text}': block {wanted.block} is not of events")
    events = read_all(wanted.path)
    for column, values, excluded in wanted.filters:
        events = _filtered(events, column, values, excluded)
    for path in wanted.times:
        _need_subspace(path)
        events = _in_times(events, read_gti(path))
    return events, wanted.binning


def read_all(path):
    """Events with every column."""
    events = package.read_events(Path(path))
    with fits.open(path) as hdus:
        data = hdus["EVENTS"].data
        names = {name.lower(): name for name in data.names}
        extra = {name: np.array(data[names[name]]) for name in _EXTRA if name in names}
    return replace(events, extra=extra)


def write(path, events, *, clobber):
    new(path, clobber=clobber)
    package.write_events(Path(path), events)
    return Path(path)


def new(path, *, clobber):
    """A file to be written: an error if it is there and must not be replaced, or its folder is not there."""
    path = Path(path)
    if " " in str(path) or not path.is_absolute():
        raise ValueError(f"output '{path}': a blank in it, or relative")
    if not path.parent.is_dir():
        raise OSError(f"could not create '{path}': the folder is not there")
    if path.exists() and not clobber:
        raise OSError(f"file '{path}' already exists and clobber is not set")
    return path


def _filtered(events, column, values, excluded):
    if column == "sky":
        return events.select(_in_region(events, values) ^ excluded)
    own = ("time", "ccd_id", "chipx", "chipy", "x", "y", "pi", "grade", "status")
    numbers = {name: getattr(events, name) for name in own}
    numbers = (numbers | {"energy": events.energy_eV} | events.extra).get(column)
    if numbers is None:
        raise ValueError(f"{events.path} has no column {column}")
    kept = events.select(virtual.in_ranges(column, values, numbers) ^ excluded)
    if column == "ccd_id" and kept.gti:
        chips = [
            chip for chip in kept.gti if virtual.in_ranges(column, values, np.array([chip]))[0] ^ excluded
        ]
        kept = timed(kept, {chip: kept.gti[chip] for chip in chips})
    return kept


def _in_region(events, text):
    frames = {"physical": events.wcs}
    if not text.startswith("region("):
        return contains_pixels(parse_regions(text, events.path), events.wcs, events.x, events.y, frames)
    inner = virtual.parse(text[7:-1])
    if inner.path.name.endswith((".fits", ".fits.gz", ".fov")):
        return _in_outlines(events, inner)
    return contains_pixels(read_regions(inner.path), events.wcs, events.x, events.y, frames)


def _in_outlines(events, inner):
    ra, dec = events.wcs.wcs_pix2world(events.x, events.y, 1)
    inside = np.zeros(len(events), bool)
    for chip, outlines in read_fov(inner.path).items():
        if all(
            virtual.in_ranges("ccd_id", v, np.array([chip]))[0] for c, v, _ in inner.filters if c == "ccd_id"
        ):
            for outline in outlines:
                corners = ",".join(f"{a:.7f},{d:.7f}" for a, d in outline)
                region = parse_regions(f"fk5\npolygon({corners})\n", inner.path)
                inside |= contains(region, ra, dec, {})
    return inside


def _need_subspace(path):
    """Whether the first table's data subspace has times: the data model takes the filter from there."""
    with fits.open(path) as hdus:
        header = hdus[1].header
        if header.get("DSTYP1") != "TIME" or header.get("DSREF1", "")[1:] not in [hdu.name for hdu in hdus]:
            raise ValueError(f"{path}: block {hdus[1].name} has no times in its data subspace")


def _in_times(events, good):
    gti = {chip: gti_arithmetic.intersection(own, good) for chip, own in events.gti.items()}
    if sum(map(gti_arithmetic.ontime, gti.values())) == 0:
        raise ValueError(f"{events.path}: no time is left by the time filter")
    return timed(events.select(events.in_good_time(gti)), gti)


def timed(events, gti):
    """Events with other good times, and all keywords that tell them."""
    share = live_share(events.header, events.gti, str(events.path))
    return replace(events, gti=gti, header=with_live_times(events.header, gti, share))
