"""Calls of dmextract and deflare: good times from the light curve of the particle background."""

from collections.abc import Iterable
from pathlib import Path

from pyxt_hpc.chandra.times.lightcurve import BIN_S, PARTICLES_EV
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, on_array
from pyxt_hpc.preprocess.ciao.plans.repro import ReproFiles

_CURVE, _PICTURE = "deflare.lc", "deflare.pdf"


def flare_calls(
    obsid: str,
    layout: Layout,
    files: ReproFiles,
    chips: Iterable[int],
    span_s: tuple[float, float],
    sources: Path | None,
) -> tuple[Call, ...]:
    """Make the light curve of 9-12 keV and its quiet times.

    ``span_s``: TSTART and TSTOP of the events; ``sources``: region file, in their sky pixels, of sources to
    exclude; None: no source.
    """
    folder, gti = layout.ciao(obsid), layout.deflare_gti(obsid)
    outside = "" if sources is None else f"[exclude sky=region({sources})]"
    band = f"[energy={PARTICLES_EV[0]:.0f}:{PARTICLES_EV[1]:.0f}]"
    times = f"[bin time={span_s[0]:.3f}:{span_s[1]:.3f}:{BIN_S}]"
    curve = Call(
        tool="dmextract",
        parameters={
            "infile": f"{on_array(files.events, chips)}{outside}{band}{times}",
            "outfile": f"{OUT}/{_CURVE}",
            "opt": "ltc1",
            "clobber": True,
        },
        reads=(files.events, *([] if sources is None else [sources])),
        writes=(_CURVE,),
        folder=folder,
        obsid=obsid,
    )
    quiet = Call(
        tool="deflare",
        parameters={
            "infile": str(folder / _CURVE),
            "outfile": f"{OUT}/{gti.name}",
            "method": "clean",
            "nsigma": 3.0,
            "scale": 1.2,
            "minfrac": 0.1,
            "plot": False,  # with a plot, the tool waits for a key
            "save": f"{OUT}/{_PICTURE}",
            "verbose": 1,
        },
        reads=(folder / _CURVE,),
        writes=(gti.name,),
        folder=folder,
        obsid=obsid,
    )
    return curve, quiet
