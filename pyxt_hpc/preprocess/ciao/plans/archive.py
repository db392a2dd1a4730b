"""Calls that find and download observations of the archive."""

from collections.abc import Iterator
from pathlib import Path

from pyxt_hpc.errors import PyxtError
from pyxt_hpc.files.fits import check_whole
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.call import Call

# Files that every observation has, whatever its age.
_ALWAYS = ("primary/*evt2.fits*", "primary/*asol1.fits*", "primary/*bpix1.fits*", "secondary/*evt1.fits*",
           "secondary/*flt1.fits*", "secondary/*msk1.fits*")  # fmt: skip
# Files that chandra_repro needs, and the archive's own level-2 events, from which facts of an observation are
# read.
_NEEDED = {
    "primary": ("*evt2.fits*", "*asol1.fits*", "*bpix1.fits*", "*fov1.fits*"),
    "secondary": (
        "*evt1.fits*", "*flt1.fits*", "*msk1.fits*", "*mtl1.fits*", "*stat1.fits*", "*pbk0.fits*",
        "*bias[01].fits*",
    ),
}  # fmt: skip


def find_call(obsid: str, layout: Layout) -> Call:
    """Call that prints a table of what the archive has at the position of an ObsID."""
    return Call(
        tool="find_chandra_obsid",
        parameters={"arg": obsid, "detail": "basic", "download": "none", "verbose": 1},
        reads=(),
        writes=(),
        folder=layout.logs,
        obsid=obsid,
    )


def download_call(obsid: str, layout: Layout) -> Call:
    """Call that downloads an observation; it keeps complete files, and continues partial ones."""
    return Call(
        tool="download_chandra_obsid",
        parameters={"obsids": (obsid,)},
        reads=(),
        writes=tuple(f"{obsid}/{name}" for name in _ALWAYS),
        folder=layout.cluster_dir,  # the tool makes <obsid>/ in the current folder
        obsid=obsid,
        in_place=True,
    )


def incomplete(folder: Path) -> Iterator[str]:
    """Files of an observation that are missing or incomplete."""
    for place, names in _NEEDED.items():
        for name in names:
            files = fits_files(folder / place, name)
            if not files:
                yield f"{place}/{name.rstrip('*')} is not there"
            yield from (f"{place}/{path.name} is not whole" for path in files if not is_whole(path))


def fits_files(folder: Path, pattern: str) -> list[Path]:
    """Sorted FITS files; unfinished downloads, which are hidden or have another suffix, are left out."""
    found = folder.glob(pattern) if folder.is_dir() else ()
    return sorted(p for p in found if p.name.endswith((".fits", ".fits.gz")) and not p.name.startswith("."))


def is_whole(path: Path) -> bool:
    """Whether a FITS file, perhaps compressed, has all the bytes that its headers announce."""
    try:
        check_whole(path, "file of the archive", "download it again")
    except PyxtError:
        return False
    return True
