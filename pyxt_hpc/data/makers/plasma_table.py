"""Make the package's compact plasma table from AtomDB's FITS files.

    python -m pyxt_hpc.data.makers.plasma_table apec_v3.0.9_line.fits apec_v3.0.9_coco.fits [-o OUT]

Strong lines keep their energies. Weak lines are added to the continua, which are photon numbers in bins, so
that no photon is lost. AtomDB: Smith et al. 2001, ApJ 556, L91; Foster et al. 2012, ApJ 756, 128.
"""

import argparse
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits
from pyxt_hpc.spectra.models.plasma import N_ELEMENTS, TABLE_PATH, PlasmaTable, write_plasma

log = logging.getLogger(__name__)

Lines = TypeVar("Lines")
Continua = TypeVar("Continua")

HC_KEV_ANGSTROM = 12.398418573  # XSPEC's value, so that lines fall into the same bins as in XSPEC
KT_RANGE_keV = (0.08, 46.0)
ENERGY_RANGE_keV = (0.1, 40.0)
BIN_FRACTION = 0.006
# (from, to, widest bin) [keV]: bins are narrower where lines dominate, above all in the K lines of Fe and Ni.
FINER_keV = ((2.0, 4.0, 0.008), (4.0, 10.0, 0.015), (6.2, 8.4, 0.003))
# A line is strong if, at any kT, it has at least this fraction of the photons within LOCAL_keV.
STRONG_FRACTION = 1e-4
LOCAL_keV = 0.05
NEGLIGIBLE_FRACTION = 1e-5
CONTINUA = (("N_Cont", "E_Cont", "Continuum"), ("N_Pseudo", "E_Pseudo", "Pseudo"))
_DOWNLOAD = "download AtomDB's line and continuum files again from www.atomdb.org"


def read_atomdb(
    line_path: Path,
    continuum_path: Path,
    lines_of: Callable[[fits.HDUList, NDArray[np.int64]], Lines],
    continua_of: Callable[[fits.HDUList, NDArray[np.int64]], Continua],
) -> tuple[NDArray[np.float64], Lines, Continua]:
    """Read AtomDB's line file, then its continuum file.

    Parameters
    ----------
    lines_of, continua_of
        Functions that read the open line or continuum file. Their arguments are the file and the indices i
        of the temperatures in `KT_RANGE_keV`; the HDU of temperature i is 2 + i.

    Returns
    -------
    kT : (n_kT,)
        Temperatures in `KT_RANGE_keV` [keV].
    lines, continua
        Values that `lines_of` and `continua_of` returned.

    Raises
    ------
    MissingInput, DamagedFile
    """
    with open_fits(line_path, "AtomDB line file", _DOWNLOAD) as hdus:
        kT = np.asarray(hdus[1].data["kT"], dtype=np.float64)
        nodes = np.flatnonzero((kT > KT_RANGE_keV[0]) & (kT < KT_RANGE_keV[1]))
        lines = lines_of(hdus, nodes)
    with open_fits(continuum_path, "AtomDB continuum file", _DOWNLOAD) as hdus:
        if not np.array_equal(kT, np.asarray(hdus[1].data["kT"], dtype=np.float64)):
            raise DamagedFile(f"{line_path} and {continuum_path} have different temperatures; {_DOWNLOAD}")
        return kT[nodes], lines, continua_of(hdus, nodes)


def atomdb_arguments(description: str, out: Path, arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line of a module that makes a table from AtomDB's files."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("line", type=Path, help="apec_v*_line.fits")
    parser.add_argument("continuum", type=Path, help="apec_v*_coco.fits")
    parser.add_argument("-o", "--out", type=Path, default=out, help="table to write (%(default)s)")
    return parser.parse_args(arguments)


def bin_integrals(
    energy: NDArray[np.float64], density: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Integrals (n_bin,) over bins of a function that is linear between its nodes and 0 outside them.

    ``energy`` (n_node,) are ascending nodes, ``density`` (n_node,) the values there; ``edges`` (n_bin + 1,)
    are the edges of the bins.
    """
    step = np.diff(energy)
    between = 0.5 * (density[1:] + density[:-1]) * step
    # The sum begins at high energies, where spectra are faintest, so that rounding does not swamp the tail.
    above = np.concatenate([np.cumsum(between[::-1])[::-1], [0.0]])
    x = np.clip(edges, energy[0], energy[-1])
    i = np.clip(np.searchsorted(energy, x, side="right") - 1, 0, len(energy) - 2)
    slope = np.divide(np.diff(density), step, out=np.zeros_like(step), where=step > 0)
    rest = energy[i + 1] - x
    at_edges = above[i + 1] + rest * (density[i + 1] - 0.5 * slope[i] * rest)
    return at_edges[:-1] - at_edges[1:]


def continua_in(hdu: fits.BinTableHDU) -> Iterator[tuple[int, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield continua and pseudo-continua of a temperature: element (from 0), energies of nodes, densities."""
    for row in hdu.data:
        for count, energy, density in CONTINUA:
            n = row[count]
            if n > 1:
                x, y = (np.asarray(row[name][:n], dtype=np.float64) for name in (energy, density))
                yield row["Z"] - 1, x, y


def read_continua(hdus: fits.HDUList, nodes: NDArray[np.int64], edges: NDArray) -> NDArray[np.float64]:
    """Photon emissivity of continuum and pseudo-continuum, by element and bin.

    Returns
    -------
    (n_element, n_kT, n_bin) float64
        Emissivity [photon cm^3 s^-1 per bin].
    """
    out = np.zeros((N_ELEMENTS, len(nodes), len(edges) - 1))
    for k, node in enumerate(nodes):
        for element, energy, density in continua_in(hdus[2 + node]):
            out[element, k] += bin_integrals(energy, density, edges)
    return out


def read_lines(
    hdus: fits.HDUList, nodes: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Read the lines of all temperatures, one row for each energy and element.

    Returns
    -------
    energy : (n_line,)
        Ascending energies [keV].
    element : (n_line,)
        Atomic numbers.
    emissivity : (n_line, n_kT)
        Emissivities [photon cm^3 s^-1].
    """
    wavelength, element, emissivity, column = [], [], [], []
    longest = HC_KEV_ANGSTROM / ENERGY_RANGE_keV[0]
    shortest = HC_KEV_ANGSTROM / ENERGY_RANGE_keV[1]
    for k, node in enumerate(nodes):
        data = hdus[2 + node].data
        inside = (data["Lambda"] < longest) & (data["Lambda"] > shortest)
        wavelength.append(np.asarray(data["Lambda"][inside], dtype=np.float64))
        element.append(np.asarray(data["Element"][inside], dtype=np.int64))
        emissivity.append(np.asarray(data["Epsilon"][inside], dtype=np.float64))
        column.append(np.full(int(inside.sum()), k))
    both = np.stack([-np.concatenate(wavelength), np.concatenate(element)])
    lines, line_of = np.unique(both, axis=1, return_inverse=True)
    table = np.zeros((lines.shape[1], len(nodes)))
    np.add.at(table, (line_of, np.concatenate(column)), np.concatenate(emissivity))
    return HC_KEV_ANGSTROM / -lines[0], lines[1].astype(np.int64), table


def bin_edges() -> NDArray[np.float64]:
    """Edges [keV] of the table's bins."""
    energy, highest = ENERGY_RANGE_keV
    edges = [energy]
    while energy < highest:
        caps = [width for start, stop, width in FINER_keV if start <= energy < stop]
        energy += min([BIN_FRACTION * energy, *caps])
        edges.append(energy)
    return np.array(edges)


def local_photons(total: NDArray[np.float64], edges: NDArray, energy: NDArray) -> NDArray[np.float64]:
    """Photons (n_line, n_kT) within LOCAL_keV of each energy, summed from `total` (n_kT, n_bin)."""
    cumulative = np.concatenate([np.zeros((len(total), 1)), np.cumsum(total, axis=1)], axis=1)
    lo = np.clip(np.searchsorted(edges, energy - LOCAL_keV) - 1, 0, len(edges) - 1)
    hi = np.clip(np.searchsorted(edges, energy + LOCAL_keV), 0, len(edges) - 1)
    return (cumulative[:, hi] - cumulative[:, lo]).T


def merge_weak_lines(
    energy: NDArray[np.float64],
    element: NDArray[np.int64],
    lines: NDArray[np.float64],
    continua: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Add weak lines to `continua` in place, and set negligible values in `continua` to 0.

    Parameters
    ----------
    energy, element, lines :
        Lines from `read_lines`.
    continua : (n_element, n_kT, n_bin)
        Continua from `read_continua`; they are changed.
    edges : (n_bin + 1,)
        Edges of the bins [keV].

    Returns
    -------
    (n_line,) bool
        True for strong lines, which are not added.
    """
    line_bin = np.clip(np.searchsorted(edges, energy, side="right") - 1, 0, len(edges) - 2)
    total = continua.sum(axis=0)
    np.add.at(total.T, line_bin, lines)
    photons = local_photons(total, edges, energy)
    share = np.divide(lines, photons, out=np.zeros_like(lines), where=photons > 0)
    strong = share.max(axis=1) >= STRONG_FRACTION
    weak = ~strong
    np.add.at(continua.transpose(0, 2, 1), (element[weak] - 1, line_bin[weak]), lines[weak])
    continua[continua < NEGLIGIBLE_FRACTION * total] = 0.0
    return strong


def make_table(line_path: Path, continuum_path: Path, out: Path) -> None:
    """Write the table made from AtomDB's line and continuum files. Raises MissingInput or DamagedFile."""
    edges = bin_edges()
    kT, (energy, element, lines), continua = read_atomdb(
        line_path, continuum_path, read_lines, lambda hdus, nodes: read_continua(hdus, nodes, edges)
    )
    strong = merge_weak_lines(energy, element, lines, continua, edges)
    log.info("%d of %d lines kept apart", strong.sum(), len(strong))
    table = PlasmaTable(
        kT=kT,
        bin_edges=edges,
        bin_emissivity=continua.astype(np.float32),
        line_energy=energy[strong],
        line_element=element[strong].astype(np.uint8),
        line_emissivity=lines[strong].astype(np.float32),
    )
    write_plasma(out, table, source=f"{line_path.name}, {continuum_path.name}")


def main(arguments: list[str] | None = None) -> None:
    """Run this module from the command line."""
    description = "Make the compact plasma table from AtomDB's files."
    options = atomdb_arguments(description, TABLE_PATH, arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_table(options.line, options.continuum, options.out)


if __name__ == "__main__":
    main()
