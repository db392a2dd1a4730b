"""Make xspec_reference.json, the numbers of the real XSPEC that the tests of this folder compare with.

    pip install xspectrampoline
    python tests/spectra/make_xspec_reference.py DIRECTORY/apec_v3.0.9

The argument is XSPEC's APECROOT: AtomDB's files less `_line.fits` and `_coco.fits`.
"""

import ctypes
import importlib
import json
import sys
from pathlib import Path

import numpy as np

EDGES_keV = np.linspace(0.5, 8.0, 751)
PLASMAS = (
    # kT [keV], abundance, redshift, abundance table
    (0.5, 0.3, 0.0, "angr"),
    (1.5, 1.0, 0.3, "angr"),
    (4.0, 0.3, 0.05, "angr"),
    (8.0, 2.0, 1.0, "angr"),
    (20.0, 0.0, 0.05, "angr"),
    (3.0, 0.5, 0.1, "lodd"),
    (1.0, 0.3, 0.05, "wilm"),
    (2.0, 1.0, 0.0, "aspl"),
)
ABSORBERS = (
    # nH [1e22 cm^-2], model, cross-sections, abundance table
    (1.0, "phabs", "bcmc", "angr"),
    (1.0, "phabs", "vern", "angr"),
    (0.3, "phabs", "bcmc", "aspl"),
    (1.0, "tbabs", "bcmc", "wilm"),
    (0.3, "tbabs", "bcmc", "angr"),
)
COOLING_EDGES_keV = np.geomspace(0.0015, 200.0, 100_001)
COOLING_KT_keV = (0.3, 0.7, 1.0, 1.7, 2.6, 4.0, 6.0, 9.0, 14.0, 20.0)
COOLING = ((0.0, "angr"), (0.3, "angr"), (1.0, "angr"), (0.5, "aspl"))  # abundance, table
library = importlib.import_module("xspectrampoline").lib_XSFunctions


def choose(function: str, name: str) -> None:
    error = ctypes.c_int(0)
    getattr(library, function)(name.encode(), ctypes.byref(error))
    assert error.value == 0, name


def model(name: str, parameters: list[float], edges: np.ndarray = EDGES_keV) -> np.ndarray:
    pointer = ctypes.POINTER(ctypes.c_double)
    values, errors = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    getattr(library, f"C_{name}")(
        edges.ctypes.data_as(pointer),
        ctypes.c_int(len(values)),
        np.array(parameters).ctypes.data_as(pointer),
        ctypes.c_int(1),
        values.ctypes.data_as(pointer),
        errors.ctypes.data_as(pointer),
        b"",
    )
    return values


def rounded(values: np.ndarray) -> list[float]:
    return [float(f"{value:.7g}") for value in values]


def main(apec_root: str) -> None:
    library.FPMSTR(b"APECROOT", apec_root.encode())
    plasmas, absorbers, cooling = [], [], []
    for kT, abundance, redshift, table in PLASMAS:
        choose("FPSOLR", table)
        bands = model("apec", [kT, abundance, redshift]).reshape(-1, 10).sum(axis=1)
        plasmas.append({"parameters": [kT, abundance, redshift, table], "photons_100eV": rounded(bands)})
    for nH, name, cross_sections, table in ABSORBERS:
        choose("FPSOLR", table)
        choose("FPXSCT", cross_sections)
        # every third bin, and all of those around the edges of oxygen and iron
        kept = sorted({*range(0, 750, 3), *range(45), *range(655, 670)})
        transmission = model(name, [nH])[kept]
        absorbers.append(
            {
                "parameters": [nH, name, cross_sections, table],
                "bins": kept,
                "transmission": rounded(transmission),
            }
        )
    middle = np.sqrt(COOLING_EDGES_keV[1:] * COOLING_EDGES_keV[:-1])
    for abundance, table in COOLING:
        choose("FPSOLR", table)
        # photons at norm 1, times 1e-14: per emission measure
        power = [
            1e-14 * 1.602176634e-9 * float(middle @ model("apec", [kT, abundance, 0.0], COOLING_EDGES_keV))
            for kT in COOLING_KT_keV
        ]
        cooling.append({"parameters": [abundance, table], "erg_cm3_per_s": rounded(np.array(power))})
    numbers = {
        "made_by": "make_xspec_reference.py, XSPEC 12 library 6.35.1, AtomDB 3.0.9",
        "edges_keV": "0.5 to 8.0 in 750 bins",
        "plasmas": plasmas,
        "absorbers": absorbers,
        "cooling_kT_keV": COOLING_KT_keV,
        "cooling_1.5eV_200keV": cooling,
    }
    Path(__file__).with_name("xspec_reference.json").write_text(json.dumps(numbers) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
