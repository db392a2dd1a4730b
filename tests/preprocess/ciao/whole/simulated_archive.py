"""A simulated archive: the observations of a simulated cluster as `download_chandra_obsid` leaves them."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from pyxt_hpc.chandra.events import EventList, concatenate, read_events, write_events
from pyxt_hpc.files.fits import write_fits
from pyxt_hpc.layout import Layout

_OUTSIDE_S = 200.0  # that level 1 has before and after the good time
_BAD = 0.05  # events that level 2 does not have, per event that it has, of each sort


def write_archive(cluster: Layout, obsids: tuple[str, ...], archive: Path, blank_skies: Path) -> None:
    """Make level-1 files from a simulated cluster's level 2, and a calibration database of its blank skies.

    Level 1 has further events that `chandra_repro` leaves out: of bad grade, of bad status, and outside the
    good times. So what is reprocessed has the very events of level 2.
    """
    for number, obsid in enumerate(obsids):
        source = cluster.observation(obsid)
        primary, secondary = archive / obsid / "primary", archive / obsid / "secondary"
        secondary.mkdir(parents=True)
        shutil.copytree(source / "primary", primary)
        (level_2,) = primary.glob("*evt2.fits*")
        events = read_events(level_2)
        stem = f"acisf{int(obsid):05d}_000N003"
        level_1 = _level_1(events, np.random.default_rng(number))
        level_1.header.update(
            CTI_CORR=True, CTI_APP="PPPPPBPBPP", GAINFILE="acisD2000-01-29gain_ctiN0008.fits"
        )
        write_events(secondary / f"{stem}_evt1.fits", level_1)
        _write_tables(
            secondary / f"{stem}_flt1.fits", events, [_gti(chip, t) for chip, t in events.gti.items()]
        )
        badpix = fits.BinTableHDU.from_columns(
            [fits.Column(name, "1I", array=[1, 1024]) for name in ("CHIPX", "CHIPY")], name="BADPIX7"
        )
        _write_tables(primary / f"{stem}_bpix1.fits", events, [badpix])
        for kind, place in (("msk1", secondary), ("stat1", secondary), ("mtl1", secondary)):
            rows = fits.BinTableHDU.from_columns(
                [fits.Column("COMPONENT", "1J", array=[1])], name=kind.upper()
            )
            _write_tables(place / f"{stem}_{kind}.fits", events, [rows])
        for chip in events.gti:
            bias = fits.ImageHDU(np.zeros((4, 4), np.int16), name="BIAS")
            _write_tables(
                secondary / f"acisf{int(events.header['TSTART'])}N003_{chip}_bias0.fits", events, [bias]
            )
        pbk = fits.BinTableHDU.from_columns([fits.Column("CCD_ID", "1J", array=[3])], name="PBK")
        _write_tables(secondary / f"acisf{int(events.header['TSTART'])}N003_pbk0.fits", events, [pbk])
        oif = fits.BinTableHDU.from_columns([fits.Column("MEMBER", "20A", array=[level_2.name])], name="OIF")
        _write_tables(archive / obsid / "oif.fits", events, [oif])
        shutil.copyfile(cluster.supplied_background(obsid), blank_skies / f"{obsid}_bgd.fits")
        for path in archive.glob(f"{obsid}/*ary/*.fits"):
            with gzip.open(f"{path}.gz", "wb", compresslevel=1) as packed:
                packed.write(path.read_bytes())
            path.unlink()


def _level_1(events: EventList, rng: np.random.Generator) -> EventList:
    assert events.time is not None
    assert events.grade is not None
    if events.status is None:
        events = replace(events, status=np.zeros(len(events), np.uint32))
    n = int(_BAD * len(events))
    grades, statuses, times = (events.select(rng.integers(0, len(events), n)) for _ in range(3))
    first = min(gti[0, 0] for gti in events.gti.values())
    last = max(gti[-1, 1] for gti in events.gti.values())
    outside = np.where(
        np.arange(n) % 2, first - _OUTSIDE_S * rng.random(n), last + _OUTSIDE_S * rng.random(n)
    )
    bad = (
        replace(grades, grade=rng.choice(np.array([1, 5, 7], np.int16), n)),
        replace(statuses, status=np.uint32(1) << rng.integers(0, 16, n).astype(np.uint32)),
        replace(times, time=outside),
    )
    joined = concatenate((events, *bad))
    assert joined.time is not None
    joined = joined.select(np.argsort(joined.time, kind="stable"))
    whole = np.array([[first - _OUTSIDE_S, last + _OUTSIDE_S]])
    return replace(joined, gti=dict.fromkeys(events.gti, whole), header=joined.header.copy())


def _gti(chip: int, intervals: np.ndarray) -> fits.BinTableHDU:
    columns = [
        fits.Column(name, "1D", unit="s", array=intervals[:, k]) for k, name in enumerate(("START", "STOP"))
    ]
    table = fits.BinTableHDU.from_columns(columns, name=f"GTI{chip}")
    table.header["CCD_ID"] = chip
    return table


def _write_tables(path: Path, events: EventList, tables: list[fits.BinTableHDU | fits.ImageHDU]) -> None:
    for table in tables:
        for keyword in ("TELESCOP", "INSTRUME", "DETNAM", "OBS_ID", "TSTART", "TSTOP"):
            table.header[keyword] = events.header[keyword]
    write_fits(path, fits.HDUList([fits.PrimaryHDU(), *tables]))
