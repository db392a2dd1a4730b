"""Calls of dmcopy and specextract: events of a dataset in good time, ARF and RMF of its response region."""

from pathlib import Path

from pyxt_hpc.chandra.kinds import Dataset
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, on_chips, stack
from pyxt_hpc.preprocess.ciao.plans.repro import ReproFiles

_MIN_KEV, _MAX_KEV = 0.3, 11.0  # usual for responses, and wider than the usual band


def clean_events_call(dataset: Dataset, layout: Layout, files: ReproFiles, gti: Path) -> Call:
    """Copy the events of the chips of one kind in good time; dmcopy updates EXPOSURE, LIVETIME and GTI.

    Sources are kept: responses need no holes, and a region in the data subspace makes every tool slow.
    ``option=all`` is not given, because with it dmcopy before CIAO 4.17 does not update GTI and EXPOSURE of
    grating observations; it copies the GTI tables without it.
    """
    made = layout.ciao_events(dataset.name)
    return Call(
        tool="dmcopy",
        parameters={
            "infile": f"{on_chips(files.events, dataset.chips)}[@{gti}]",
            "outfile": f"{OUT}/{made.name}",
            "clobber": True,
        },
        reads=(files.events, gti),
        writes=(made.name,),
        folder=made.parent,
        obsid=dataset.obsid,
    )


def response_call(dataset: Dataset, layout: Layout, files: ReproFiles, band_keV: tuple[float, float]) -> Call:
    """Make ARF and RMF of the dataset's response region from its clean events; they cover ``band_keV``."""
    arf, rmf = layout.ciao_arf(dataset.name), layout.ciao_rmf(dataset.name)
    events, region = layout.ciao_events(dataset.whole.name), layout.ciao_region(dataset.name)
    low, high = min(_MIN_KEV, band_keV[0]), max(_MAX_KEV, band_keV[1])
    return Call(
        tool="specextract",
        parameters={
            "infile": f"{events}[sky=region({region})]",
            "outroot": f"{OUT}/{arf.stem}",
            "bkgfile": "",
            "bkgresp": False,
            "asp": stack(files.aspect),
            "mskfile": str(files.mask),
            "badpixfile": str(files.badpix),
            "weight": True,
            "weight_rmf": False,
            "correctpsf": False,
            "combine": False,
            "grouptype": "NONE",
            "binspec": "NONE",
            "energy": f"{low:g}:{high:g}:0.01",
            "parallel": False,
            "clobber": True,
            "verbose": 1,
        },
        reads=(events, region, files.mask, files.badpix, *files.aspect),
        writes=(arf.name, rmf.name),
        folder=arf.parent,
        obsid=dataset.obsid,
    )
