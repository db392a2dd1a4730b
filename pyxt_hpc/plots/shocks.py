"""Candidate shocks: a histogram of Mach numbers, and DS9 regions of the fronts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.shocks.fronts import DENSITY_SIGMA, Front, mach_of_temperature
from pyxt_hpc.maps.shocks.search import ShockSearch
from pyxt_hpc.plots.ds9.region_file import write_regions
from pyxt_hpc.plots.figures import save


def draw_histogram(search: ShockSearch, path: Path) -> None:
    """Draw the Mach numbers of all pixels on edges, and of the crests of the candidates."""
    jumps = search.jumps
    with np.errstate(invalid="ignore"):
        edge = (jumps.density > DENSITY_SIGMA * jumps.density_error) & (jumps.temperature > 0)
    mach = mach_of_temperature(np.exp(jumps.temperature))
    crests = [mach[tuple(front.pixels.T)] for front in search.fronts]
    bins = np.linspace(1.0, max(2.0, float(mach[edge].max(initial=2.0))), 51).tolist()
    figure = Figure(figsize=(6.0, 4.2), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    axes.hist(mach[edge], bins, color="0.75", label="pixels on edges, hotter on the bright side")
    if crests:
        axes.hist(np.concatenate(crests), bins, color="#d55e00", label="crests of candidate fronts")
    axes.set_xlabel("Mach number from the temperature jump")
    axes.set_ylabel("Pixels")
    axes.set_yscale("log")
    axes.legend()
    save(figure, path)


def write_fronts(regions: FittedRegions, fronts: Sequence[Front], path: Path) -> None:
    """Write every candidate as lines along its crest, a shape that every reader of DS9 regions supports.

    All lines of a front have the same tag; the line in the middle has the text.
    """
    write_regions(path, _lines(regions, fronts))


def _lines(regions: FittedRegions, fronts: Sequence[Front]) -> Iterator[str]:
    wcs = regions.bundle.wcs
    for number, front in enumerate(fronts, 1):
        text = f"M {front.mach:.2f} ({front.mach_lo:.2f}-{front.mach_hi:.2f}), {front.significance:.1f} sigma"
        ra, dec = (at.tolist() for at in wcs.wcs_pix2world(front.line[:, 1], front.line[:, 0], 0))
        for i in range(len(ra) - 1):
            ends = f"{ra[i]:.6f},{dec[i]:.6f},{ra[i + 1]:.6f},{dec[i + 1]:.6f}"
            words = f" text={{{text}}}" if i == (len(ra) - 1) // 2 else ""
            yield f"line({ends}) # line=0 0 color=#d55e00 width=2{words} tag={{front {number}}}"
