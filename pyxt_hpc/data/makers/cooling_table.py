"""Make the package's table of radiated power from AtomDB's FITS files.

    python -m pyxt_hpc.data.makers.cooling_table apec_v3.0.9_line.fits apec_v3.0.9_coco.fits [-o OUT]

The power is integrated over all of AtomDB: continua from 1.5 eV to 100 keV, and all lines. The plasma table
covers 0.1-40 keV and would miss up to an eighth of the power.
"""

from pathlib import Path

import numpy as np
from astropy import units
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.data.makers.plasma_table import HC_KEV_ANGSTROM, atomdb_arguments, continua_in, read_atomdb
from pyxt_hpc.files.writing import write_text
from pyxt_hpc.spectra.models.cooling import TABLE_PATH
from pyxt_hpc.spectra.models.plasma import N_ELEMENTS

_ERG_PER_KEV = float(units.keV.to(units.erg))


def continuum_power(energy: NDArray[np.float64], density: NDArray[np.float64], kT: float) -> float:
    """Power of a continuum that is linear between its nodes.

    Beyond the last node, the continuum decreases like bremsstrahlung, as exp(-E/kT)/E; at kT = 45 keV, a
    tenth of the power is there.

    Parameters
    ----------
    energy, density : (n_node,)
        Ascending nodes [keV] and emissivity at the nodes [photon cm^3 s^-1 keV^-1].
    kT : float
        Temperature [keV].

    Returns
    -------
    float
        Power [keV cm^3 s^-1].
    """
    x, y = energy, density
    between = np.diff(x) * (x[:-1] * (2 * y[:-1] + y[1:]) + x[1:] * (y[:-1] + 2 * y[1:])) / 6
    return float(between.sum() + x[-1] * y[-1] * kT)


def power_of_continua(hdu: fits.BinTableHDU, kT: float) -> NDArray[np.float64]:
    """Power (30,) [keV cm^3 s^-1] of each element's continuum and pseudo-continuum at one temperature."""
    power = np.zeros(N_ELEMENTS)
    for element, energy, density in continua_in(hdu):
        power[element] += continuum_power(energy, density, kT)
    return power


def power_of_lines(hdu: fits.BinTableHDU) -> NDArray[np.float64]:
    """Power (30,) [keV cm^3 s^-1] of each element's lines at one temperature."""
    energy = HC_KEV_ANGSTROM / np.asarray(hdu.data["Lambda"], dtype=np.float64)
    power = energy * np.asarray(hdu.data["Epsilon"], dtype=np.float64)
    of_element = np.zeros(N_ELEMENTS)
    np.add.at(of_element, hdu.data["Element"] - 1, power)
    return of_element


def make_table(line_path: Path, continuum_path: Path, out: Path) -> None:
    """Write the table made from AtomDB's line and continuum files. Raises MissingInput or DamagedFile."""
    kT, lines, continua = read_atomdb(
        line_path,
        continuum_path,
        lambda hdus, nodes: np.array([power_of_lines(hdus[2 + i]) for i in nodes]),
        lambda hdus, nodes: np.array([power_of_continua(hdus[2 + i], hdus[1].data["kT"][i]) for i in nodes]),
    )
    text = [
        f"# Power per n_e n_H that each element radiates [erg cm^3 s^-1], from {line_path.name} and",
        f"# {continuum_path.name} by `python -m pyxt_hpc.data.makers.cooling_table`; abundances of Anders",
        "# & Grevesse (1989). Accuracy and source: SOURCES.md. Columns: kT [keV], atomic numbers 1 to 30.",
        *(
            f"{temperature:.7g} " + " ".join(f"{value:.5g}" for value in values)
            for temperature, values in zip(kT, (lines + continua) * _ERG_PER_KEV, strict=True)
        ),
    ]
    write_text(out, "\n".join(text) + "\n")


def main(arguments: list[str] | None = None) -> None:
    """Run this module from the command line."""
    description = "Make the table of radiated power from AtomDB's files."
    options = atomdb_arguments(description, TABLE_PATH, arguments)
    make_table(options.line, options.continuum, options.out)


if __name__ == "__main__":
    main()
