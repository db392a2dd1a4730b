"""dmcopy: events chosen."""

import shutil

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
        raise ValueError("the double's images are made by fluximage")
    events.write(target, chosen, clobber=p.clobber)
    return [target], {}
