"""Radiated power of hot plasma, from a table that `pyxt_hpc.data.makers` made from AtomDB."""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.spectra.models.abundances import DEFAULT_TABLE
from pyxt_hpc.spectra.models.plasma import scales

TABLE_PATH = Path(str(files("pyxt_hpc") / "data" / "tables" / "cooling_3.0.9.txt"))


@lru_cache(maxsize=8)
def cooling_table(abundance_table: str = DEFAULT_TABLE) -> tuple[NDArray[np.float64], ...]:
    """Power at AtomDB's temperatures, over all energies of AtomDB.

    Returns
    -------
    kT : (n_kT,) float64
        [keV].
    hhe, metals : (n_kT,) float64
        Power per n_e n_H [erg cm^3 s^-1] of elements that the abundance does not scale, and of those that it
        scales; the total is ``hhe + abundance * metals``.
    """
    table = np.loadtxt(TABLE_PATH)
    hhe, metals = (table[:, 1:] @ scale for scale in scales(abundance_table))
    return table[:, 0], hhe, metals
