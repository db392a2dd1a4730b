"""Tools that copy files and change headers."""

import shutil
from pathlib import Path

from astropy.io import fits

from ciao_double import events, virtual


def dmcopy(p):
    if p.option not in (None, "", "all", "image"):
        raise ValueError(f"option '{p.option}' is not known")
    wanted = virtual.parse(p.infile)
    target = events.new(p.outfile, clobber=p.clobber)
    if target.resolve() == wanted.path.resolve():
        raise ValueError(f"{target}: input and output are the same file")
    if wanted.plain:
        shutil.copyfile(wanted.path, target)
        return [target], {}
    chosen, binning = events.read(p.infile)
    if binning:
        from ciao_double.tools import images

        images.write_counts(target, chosen, images.grid_of_bins(chosen, binning))
    else:
        events.write(target, chosen, clobber=p.clobber)
    return [target], {}


def dmhedit(p):
    if p.operation not in ("add", "delete"):
        raise ValueError(f"operation '{p.operation}' is neither add nor delete")
    path = virtual.existing(p.infile)
    with fits.open(path, memmap=False) as hdus:
        header = hdus[1 if len(hdus) > 1 else 0].header
        if p.operation == "add":
            header[p.key] = (p.value, p.comment or "")
        else:
            header.remove(p.key)
        hdus.writeto(path, overwrite=True)
    return [Path(path)], {}
