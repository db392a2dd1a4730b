"""dmcopy: the events of a dataset in the good times, with CIAO's own exposures, for its responses."""

from pathlib import Path

from pyxt_hpc.chandra.kinds import Dataset
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, on_chips
from pyxt_hpc.preprocess.ciao.plans.repro import ReproFiles


def clean_events_call(dataset: Dataset, layout: Layout, files: ReproFiles, gti: Path) -> Call:
    """Copy the events of the chips of one kind in good time; EXPOSURE, LIVETIME and GTI follow.

    Sources stay in: responses need no hole, and a region in every event's subspace makes every tool slow.
    Without ``option=all``, with which dmcopy before CIAO 4.17 leaves GTI and EXPOSURE of grating observations
    as they were: intervals come along without it.
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
