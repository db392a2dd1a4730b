"""Call of fluximage: exposure maps, effective area times exposure of every pixel at single energies."""

from collections.abc import Sequence

from pyxt_hpc.chandra.kinds import Dataset
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, stack
from pyxt_hpc.preprocess.ciao.plans.repro import ReproFiles

SKY_PIXELS = 4
"""Side of a map's pixel, the same as of the analysis grid."""
_HALF_WIDTH_KEV = 0.01  # of the bands, whose images of counts are not used


def map_name(energy_keV: float) -> str:
    """File name that fluximage gives to the map of an energy."""
    low, high = _band(energy_keV)
    return f"area_{low}-{high}.expmap"


def exposure_map_call(
    dataset: Dataset, layout: Layout, files: ReproFiles, grid: str, energies_keV: Sequence[float]
) -> Call:
    """Make a map [cm^2 s] at each energy, which includes gaps, bad pixels and dither.

    ``grid``: edges and steps of its pixels in the observation's sky coordinates, as ``3000.5:5000.5:4,...``.
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
            "expmapthresh": "",  # edges are kept with their low exposure
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
    # Write 1 instead of 1.0, since file names have the numbers as given or in their shortest form.
    return f"{energy_keV - _HALF_WIDTH_KEV:.5g}", f"{energy_keV + _HALF_WIDTH_KEV:.5g}"
