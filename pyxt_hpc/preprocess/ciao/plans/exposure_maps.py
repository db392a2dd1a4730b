"""fluximage: the area that CIAO gives every pixel, at single energies, times the exposure."""

from collections.abc import Sequence

from pyxt_hpc.chandra.kinds import Dataset
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, stack
from pyxt_hpc.preprocess.ciao.plans.repro import ReproFiles

SKY_PIXELS = 4
"""A side of a map's pixel, as of the analysis grid."""
_HALF_WIDTH_KEV = 0.01  # of the bands: the image of their counts is not used


def map_name(energy_keV: float) -> str:
    """Name of the map of an energy, as fluximage calls it by its band."""
    low, high = _band(energy_keV)
    return f"area_{low}-{high}.expmap"


def exposure_map_call(
    dataset: Dataset, layout: Layout, files: ReproFiles, grid: str, energies_keV: Sequence[float]
) -> Call:
    """Make a map [cm^2 s] of each energy; gaps, bad pixels and the dither are in them.

    ``grid``: edges and steps of its pixels in the observation's own sky, as ``3000.5:5000.5:4,...``.
    """
    events = layout.ciao_events(dataset.name)
    bands = ",".join(":".join((*_band(energy), f"{energy:g}")) for energy in energies_keV)
    return Call(
        tool="fluximage",
        parameters={
            "infile": str(events),
            "outroot": f"{OUT}/area",
            "bands": bands,
            "xygrid": grid,
            "asolfile": stack(files.aspect),
            "badpixfile": str(files.badpix),
            "maskfile": str(files.mask),
            "units": "default",  # cm^2 s
            "expmapthresh": "",  # edges are weighed, not cut
            "background": "none",
            "parallel": False,
            "clobber": True,
            "verbose": 1,
        },
        reads=(events, files.badpix, files.mask, *files.aspect),
        writes=tuple(map_name(energy) for energy in energies_keV),
        folder=layout.ciao(dataset.name),
        obsid=dataset.obsid,
    )


def _band(energy_keV: float) -> tuple[str, str]:
    # 1 and not 1.0: the tool's names have the numbers as they were given, or the shortest form
    return f"{energy_keV - _HALF_WIDTH_KEV:.5g}", f"{energy_keV + _HALF_WIDTH_KEV:.5g}"
