"""Emission of a hot plasma in collisional ionisation equilibrium: APEC from a table in the package.

The table is AtomDB 3.0.9 in the compact form of `pyxt_hpc.data.makers` (Smith et al. 2001, ApJ 556, L91;
Foster et al. 2012, ApJ 756, 128): strong lines with their energies, and all other emission as photons in
narrow bins, for every element at AtomDB's temperatures. As in XSPEC's apec, lines are not broadened, spectra
are linear in kT between temperatures, and the abundance scales C N O Ne Mg Al Si S Ar Ca Fe Ni, while He and
the trace elements keep the solar values of the abundance table.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.arrays.interpolate import bracket
from pyxt_hpc.errors import ConfigError, DamagedFile
from pyxt_hpc.files.hdf5 import open_hdf5
from pyxt_hpc.files.writing import replacing
from pyxt_hpc.spectra.models.abundances import DEFAULT_TABLE, abundances

N_ELEMENTS = 30
TABLE_PATH = Path(str(files("pyxt_hpc") / "data" / "tables" / "apec_3.0.9.h5"))
_METALS = np.array([6, 7, 8, 10, 12, 13, 14, 16, 18, 20, 26, 28])
# Emissivities are stored as integer steps of their logarithm above a floor; 0 stands for 0.
_LOG_STEP = 2.5e-4
_FLOOR = 1e-45


def scales(abundance_table: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factors (30,) of AtomDB's emissivities, for elements that the abundance does not scale, and others."""
    scale = abundances(abundance_table) / abundances("angr")
    is_metal = np.isin(np.arange(1, N_ELEMENTS + 1), _METALS)
    return np.where(is_metal, 0.0, scale), np.where(is_metal, scale, 0.0)


@dataclass(frozen=True, eq=False)
class PlasmaTable:
    """Emissivities [photon cm^3 s^-1] at the abundances of Anders & Grevesse (1989).

    Attributes
    ----------
    kT : (n_kT,) float64
        Temperatures [keV].
    bin_edges : (n_bin + 1,) float64
        Rest-frame energies [keV] of the bins; outside them the table has no photons.
    bin_emissivity : (30, n_kT, n_bin) float32
        Continua and weak lines of each element, per bin.
    line_energy : (n_line,) float64
        Rest-frame energies [keV] of the strong lines.
    line_element : (n_line,) uint8
        Atomic numbers.
    line_emissivity : (n_line, n_kT) float32
    """

    kT: NDArray[np.float64]
    bin_edges: NDArray[np.float64]
    bin_emissivity: NDArray[np.float32]
    line_energy: NDArray[np.float64]
    line_element: NDArray[np.uint8]
    line_emissivity: NDArray[np.float32]

    def components(
        self, energy_edges: ArrayLike, redshift: float, abundance_table: str = DEFAULT_TABLE
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Spectra at norm 1 of elements that the abundance does not scale, and of those that it scales.

        Parameters
        ----------
        energy_edges : (n_bin + 1,)
            Observed energies [keV], ascending.
        abundance_table : str
            A name of `abundances.load_abundances`.

        Returns
        -------
        hhe, metals : (n_kT, n_bin) float64
            [photon cm^-2 s^-1 per bin]; the spectrum is ``hhe + abundance * metals``. The trace
            elements (Li, Na, Cr, ...) are in `hhe`.

        Raises
        ------
        ConfigError
            Unknown abundance table, or edges that do not ascend.
        """
        observed = np.asarray(energy_edges, dtype=np.float64)
        if observed.ndim != 1 or not np.all(np.diff(observed) > 0):
            raise ConfigError(
                "energy edges of a spectrum must ascend; check ENERG_LO and ENERG_HI of the ARF"
            )
        edges = observed * (1.0 + redshift)
        # One factor of 1 + z is time dilation; the definition of the norm has the other.
        factor = 1e14 / (1.0 + redshift)
        hhe, metals = (
            factor * (self._binned(edges, part) + self._lines(edges, part))
            for part in scales(abundance_table)
        )
        return hhe, metals

    def _binned(self, edges: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
        from scipy.interpolate import PchipInterpolator  # slow to import, and ranks that fit fold nothing

        emissivity = np.einsum("e,ekb->kb", scale, self.bin_emissivity, dtype=np.float64)
        # Summed from the high end, where the spectrum is faintest, to keep the tail free of rounding errors.
        above = np.zeros((len(self.kT), len(self.bin_edges)))
        above[:, :-1] = np.cumsum(emissivity[:, ::-1], axis=1)[:, ::-1]
        # Monotone interpolation gives no negative photons, and is exact at the table's edges.
        photons_above = PchipInterpolator(self.bin_edges, above, axis=1)
        at_edges = photons_above(np.clip(edges, self.bin_edges[0], self.bin_edges[-1]))
        return np.maximum(at_edges[:, :-1] - at_edges[:, 1:], 0.0)

    def _lines(self, edges: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
        from scipy.sparse import csr_array

        bin_of_line = np.searchsorted(edges, self.line_energy, side="right") - 1
        weight = scale[self.line_element.astype(np.intp) - 1]
        used = np.flatnonzero((bin_of_line >= 0) & (bin_of_line < len(edges) - 1) & (weight > 0))
        gather = csr_array(
            (weight[used], (bin_of_line[used], used)), shape=(len(edges) - 1, len(self.line_energy))
        )
        return (gather @ self.line_emissivity).T


def encode_log(values: NDArray[np.floating]) -> NDArray[np.int32]:
    """Differences along the last axis of logarithms in integer steps: small numbers, which compress well."""
    # In float64, because the floor is below the smallest float32.
    log_values = np.log(np.maximum(values.astype(np.float64), _FLOOR))
    steps = np.round((log_values - np.log(_FLOOR)) / _LOG_STEP).astype(np.int32)
    return np.diff(steps, axis=-1, prepend=np.int32(0))


def decode_log(differences: NDArray[np.int32]) -> NDArray[np.float32]:
    """Values that `encode_log` encoded, to half a step (0.0125%)."""
    steps = np.cumsum(differences, axis=-1, dtype=np.int32)
    values = _FLOOR * np.exp(_LOG_STEP * steps)
    return np.where(steps > 0, values, 0.0).astype(np.float32)


def read_plasma(path: Path) -> PlasmaTable:
    """Read a table that `pyxt_hpc.data.makers` wrote.

    Raises
    ------
    DamagedFile
        If the table cannot be read.
    """
    try:
        with open_hdf5(path) as file:
            return PlasmaTable(
                kT=file["kT"][()],
                bin_edges=file["bin_edges"][()],
                bin_emissivity=decode_log(file["bin_emissivity"][()]),
                line_energy=file["line_energy"][()],
                line_element=file["line_element"][()],
                line_emissivity=decode_log(file["line_emissivity"][()]),
            )
    except (OSError, KeyError) as error:
        raise DamagedFile(f"{path}: plasma table cannot be read ({error}); install pyxt_hpc again") from error


def write_plasma(path: Path, table: PlasmaTable, source: str) -> None:
    """Write a table for `read_plasma`, with the names of its source files."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["source"] = source
        file["kT"] = table.kT
        file["bin_edges"] = table.bin_edges
        file["line_energy"] = table.line_energy
        file["line_element"] = table.line_element.astype(np.uint8)
        for name in ("line_emissivity", "bin_emissivity"):
            steps = encode_log(getattr(table, name))
            chunks = (1, *steps.shape[1:]) if steps.ndim == 3 else steps.shape
            file.create_dataset(
                name, data=steps, chunks=chunks, compression="gzip", compression_opts=9, shuffle=True
            )


@lru_cache
def load_plasma() -> PlasmaTable:
    """Table of the package."""
    return read_plasma(TABLE_PATH)


def apec(
    energy_edges: ArrayLike,
    kT: float,
    abundance: float,
    redshift: float,
    abundance_table: str = DEFAULT_TABLE,
) -> NDArray[np.float64]:
    """Spectrum of XSPEC's apec at norm 1.

    Parameters
    ----------
    energy_edges : (n_bin + 1,)
        Observed energies [keV], ascending.
    kT : float
        [keV], within the table's temperatures.
    abundance : float
        Of the metals, relative to the table [solar].

    Returns
    -------
    (n_bin,) float64
        [photon cm^-2 s^-1 per bin].

    Raises
    ------
    ConfigError
        kT outside the table, or as `PlasmaTable.components`.
    """
    table = load_plasma()
    if not table.kT[0] <= kT <= table.kT[-1]:
        raise ConfigError(
            f"kT = {kT} keV is outside the plasma table ({table.kT[0]:.3g}-{table.kT[-1]:.3g} keV)"
        )
    hhe, metals = table.components(energy_edges, redshift, abundance_table)
    i, upper = bracket(table.kT, kT)
    spectra = hhe[i : i + 2] + abundance * metals[i : i + 2]
    return (1.0 - upper) * spectra[0] + upper * spectra[1]
