"""chandra_repro: level 2 from level 1."""

import gzip
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from ciao_double import events

_GOOD_GRADES = (0, 2, 3, 4, 6)
VF_BACKGROUND = np.uint32(1 << 23)  # status bit of events that their outer pixels call background
_NEEDED = ("evt1", "asol1", "bpix1", "msk1", "flt1", "stat1", "mtl1", "fov1")
_KEYWORDS = {"asol1": "ASOLFILE", "bpix1": "BPIXFILE", "msk1": "MASKFILE", "flt1": "FLTFILE"}


def chandra_repro(p):
    source = Path(p.indir)
    if "," in p.indir or not source.is_dir():
        raise OSError(f"Input directory {p.indir} does not exist.")
    if p.set_ardlib:
        raise ValueError("set_ardlib=yes changes a parameter file that observations share")
    folder = Path(p.outdir) if p.outdir else source / "repro"
    for packed in [*source.glob("primary/*.fits.gz"), *source.glob("secondary/*.fits.gz")]:
        with gzip.open(packed) as content:  # the real one unpacks, too
            packed.with_suffix("").write_bytes(content.read())
        packed.unlink()
    found = {kind: _find(source, kind) for kind in _NEEDED}
    if folder.exists() and any(folder.iterdir()) and not p.clobber:
        raise OSError(f"{folder} is not empty and clobber is not set")
    folder.mkdir(exist_ok=True)
    if len(found["evt1"]) > 1:
        raise OSError(f"Multiple evt1 files in {p.indir}: use splitobs for interleaved observations")
    level_1 = events.read_all(found["evt1"][0])
    number = int(level_1.header["OBS_ID"])
    stem = f"acisf{number:05d}_repro"
    asol = [_copy(path, folder) for path in found["asol1"]]
    badpix = _copy(found["bpix1"][0], folder, f"{stem}_bpix1.fits")
    written = [*asol, badpix]
    written += [_copy(found[kind][0], folder) for kind in ("bpix1", "fov1", "msk1", "mtl1", "stat1")]
    written += [_copy(path, folder) for path in source.glob("secondary/*pbk0.fits*")]
    written.append(_copy(found["fov1"][0], folder, f"{stem}_fov1.fits"))
    written.append(_copy(found["flt1"][0], folder, f"{stem}_flt2.fits"))
    lis = folder / f"acisf{number:05d}_asol1.lis"
    lis.write_text("".join(f"{path}\n" for path in asol))
    written.append(lis)

    level_2 = _good(level_1, found["flt1"][0], check_vf_pha=p.check_vf_pha)
    names = {"asol1": ",".join(path.name for path in asol), "bpix1": badpix.name}
    for kind, keyword in _KEYWORDS.items():
        level_2.header[keyword] = names.get(kind, found[kind][0].name)
    written.append(events.write(folder / f"{stem}_evt2.fits", level_2, clobber=True))
    print(f"\nThe data have been reprocessed.\nStart your analysis with the new products in\n{folder}")
    return written, {}


def _good(level_1, filter_path, *, check_vf_pha):
    status = level_1.status if check_vf_pha else level_1.status & ~VF_BACKGROUND
    kept = level_1.select(np.isin(level_1.grade, _GOOD_GRADES) & (status == 0))
    kept = replace(kept, status=np.zeros(len(kept), np.uint32))
    kept.header["CHKVFPHA"] = bool(check_vf_pha and kept.header["DATAMODE"] == "VFAINT")
    with fits.open(filter_path) as hdus:
        gti = {
            int(hdu.header["CCD_ID"]): np.column_stack([hdu.data["START"], hdu.data["STOP"]])
            for hdu in hdus[1:]
        }
    return events.timed(kept.select(kept.in_good_time(gti)), gti)


def _find(source, kind):
    for place in ("secondary", "primary", "."):
        if found := sorted(source.glob(f"{place}/*_{kind}.fits*")):
            return found
    raise OSError(f"Found no {kind} file(s) in {source}")


def _copy(path, folder, name=None):
    return Path(shutil.copyfile(path, folder / (name or path.name)))
