"""Call of blanksky: the blank-sky events of an observation, at the sky positions of its chips."""

from collections.abc import Iterable

from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.files.quoting import listed
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.background.blank_sky import PARTICLE_BAND_EV
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, on_array, stack
from pyxt_hpc.preprocess.ciao.plans.repro import ReproFiles

WITHOUT_BLANK_SKY = (4, 9)
"""CCDs for which CALDB has no blank-sky events with correction for charge-transfer inefficiency."""
WITHOUT_STOWED = (4, 8, 9)
"""CCDs for which CALDB has no events of the stowed detector."""


def background_call(
    obsid: str, layout: Layout, files: ReproFiles, chips: Iterable[int], *, stowed: bool
) -> Call:
    """Make the background of those chips in use for which CALDB has one.

    ``stowed``: background of the detector out of focus, which is particles only. The tool screens VFAINT
    events in the same way as those of the observation. Its scale is not used, because its events include
    flares and sources.

    Raises EmptySelection if CALDB has no background for any of the chips.
    """
    without = WITHOUT_STOWED if stowed else WITHOUT_BLANK_SKY
    covered = [chip for chip in chips if chip not in without]
    if not covered:
        raise EmptySelection(
            f"ObsID {obsid}: CALDB has no {'stowed' if stowed else 'blank-sky'} background of CCD "
            f"{listed(chips)}; draw {layout.background_reg} on a part of the field without the cluster, and "
            "set blank_sky = region"
        )
    low, high = PARTICLE_BAND_EV
    made = layout.ciao_background(obsid)
    return Call(
        tool="blanksky",
        parameters={
            "evtfile": on_array(files.events, covered),
            "outfile": f"{OUT}/{made.name}",
            "asolfile": stack(files.aspect),
            "stowedbg": stowed,
            "weight_method": "particle",
            "bkgparams": f"[energy={low:.0f}:{high:.0f}]",
            "random": int(obsid) + 1,  # with 0, the tool would choose another seed in every run
            "clobber": True,
            "verbose": 1,
        },
        reads=(files.events, *files.aspect),
        writes=(made.name,),
        folder=made.parent,
        obsid=obsid,
    )
