"""Make the table of photoelectric cross-sections by sampling XSPEC's models for each element.

    pip install xspectrampoline    # the real XSPEC library; needed for this script only
    python -m pyxt_hpc.data.makers.absorption_table [-o OUT]

Intervals are bisected until linear interpolation of ln(sigma E^3) in ln E is accurate; an absorption edge
becomes two adjacent nodes.
"""

import argparse
import ctypes
import importlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.files.writing import replacing
from pyxt_hpc.spectra.models.absorption import ATOMIC_NUMBERS, CROSS_SECTIONS, TABLE_PATH
from pyxt_hpc.spectra.models.abundances import abundances

ENERGY_RANGE_keV = (0.1, 20.0)
# Largest error at the middle of an interval, as a fraction of the total cross-section at solar abundances.
TOLERANCE = 1e-5
# Smallest relative width of an interval: XSPEC's energies are 4-byte reals, which resolve nothing finer.
MIN_INTERVAL = 4e-6
MIN_SIGMA = 1e-35

Sampler = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class Xspec:
    """The functions of the XSPEC library that this module needs."""

    def __init__(self) -> None:
        self._library = importlib.import_module("xspectrampoline").lib_XSFunctions
        self._set(b"angr", "FPSOLR")

    def _set(self, name: bytes, function: str) -> None:
        error = ctypes.c_int(0)
        getattr(self._library, function)(name, ctypes.byref(error))
        if error.value:
            raise ValueError(f"XSPEC does not know {name!r}")

    def use_cross_sections(self, name: str) -> None:
        self._set(name.encode(), "FPXSCT")

    def optical_depth(
        self, model: str, energy: NDArray[np.float64], parameters: list[float]
    ) -> NDArray[np.float64]:
        """-ln(transmission) of a multiplicative model at `energy` [keV]."""
        pointer = ctypes.POINTER(ctypes.c_double)
        edges = np.stack([energy, energy * (1.0 + 1e-6)], axis=1).ravel()
        values, errors, numbers = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1), np.array(parameters)
        getattr(self._library, f"C_{model}")(
            edges.ctypes.data_as(pointer),
            ctypes.c_int(len(values)),
            numbers.ctypes.data_as(pointer),
            ctypes.c_int(1),
            values.ctypes.data_as(pointer),
            errors.ctypes.data_as(pointer),
            b"",
        )
        with np.errstate(divide="ignore"):
            return -np.log(values[::2])


def element_sampler(xspec: Xspec, cross_sections: str) -> Sampler:
    """Return a function that gives ln(sigma E^3) (18, n) [cm^2 keV^3] of one set at energies (n,) [keV]."""
    abundance = abundances("angr")[ATOMIC_NUMBERS - 1]
    if cross_sections == "tbabs":
        model = "tbvabs"
        # Fraction of H2, grain parameters, depletion factors of 1 (all elements in the gas), redshift.
        rest = [0.2, 1.0, 0.025, 0.25, 3.5, *[1.0] * 18, 0.0]
    else:
        model, rest = "vphabs", []
        xspec.use_cross_sections(cross_sections)

    def depth(energy: NDArray, i: int, column: float) -> NDArray[np.float64]:
        relative = np.zeros(18)
        if i > 0:
            relative[i] = 1.0 / abundance[i]
        with_element = xspec.optical_depth(model, energy, [column, *relative[1:], *rest])
        if i == 0:
            return with_element
        hydrogen = xspec.optical_depth(model, energy, [column, *np.zeros(17), *rest])
        return np.where(np.isfinite(with_element), with_element - np.minimum(hydrogen, 1e3), np.inf)

    def sample(energy: NDArray[np.float64]) -> NDArray[np.float64]:
        sigma = np.zeros((18, len(energy)))
        for i in range(18):
            # Rounding errors of exp() are smallest at the column whose optical depth is nearest to 1.
            best = np.full(len(energy), np.inf)
            for power in range(-8, 5):
                tau = depth(energy, i, 10.0**power)
                distance = np.where((tau > 0) & np.isfinite(tau), abs(np.log(np.maximum(tau, 1e-30))), np.inf)
                better = distance < best
                sigma[i, better] = tau[better] / (10.0**power * 1e22)
                best[better] = distance[better]
        return np.log(np.maximum(sigma, MIN_SIGMA) * energy**3)

    return sample


def bisect_nodes(sample: Sampler) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes (n,) [keV] and values (18, n) whose linear interpolation in ln E is accurate to TOLERANCE."""
    energy = np.geomspace(*ENERGY_RANGE_keV, 200)
    value = sample(energy)
    unsure = np.ones(len(energy) - 1, dtype=bool)
    while unsure.any():
        i = np.flatnonzero(unsure)
        middle = np.sqrt(energy[i] * energy[i + 1])
        at_middle = sample(middle)
        off = abs(at_middle - 0.5 * (value[:, i] + value[:, i + 1]))
        narrow = energy[i + 1] / energy[i] - 1.0 < MIN_INTERVAL
        split = ((off * share(at_middle)).max(axis=0) > TOLERANCE) & ~narrow
        unsure[i] = split
        energy = np.insert(energy, i[split] + 1, middle[split])
        value = np.insert(value, i[split] + 1, at_middle[:, split], axis=1)
        unsure = np.insert(unsure, i[split] + 1, True)
    return energy, value


def share(log_sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fraction (18, n) of the total cross-section that each element contributes at solar abundances."""
    contribution = abundances("angr")[ATOMIC_NUMBERS - 1, None] * np.exp(log_sigma)
    return contribution / contribution.sum(axis=0)


def main(arguments: list[str] | None = None) -> None:
    """Run this module from the command line."""
    parser = argparse.ArgumentParser(description="Make the table of cross-sections from XSPEC's models.")
    parser.add_argument("-o", "--out", type=Path, default=TABLE_PATH, help="table to write (%(default)s)")
    out = parser.parse_args(arguments).out
    xspec = Xspec()
    with replacing(out) as temporary, h5py.File(temporary, "w") as file:
        for name in CROSS_SECTIONS:
            energy, log_sigma = bisect_nodes(element_sampler(xspec, name))
            group = file.create_group(name)
            group["energy"] = energy
            group.create_dataset(
                "log_sigma_e3",
                data=log_sigma.astype(np.float32),
                chunks=(1, len(energy)),
                compression="gzip",
                compression_opts=9,
                shuffle=True,
            )


if __name__ == "__main__":
    main()
