"""Templates: the folded model of one observation at every temperature of the plasma table.

For fixed redshift and nH, the model is linear in norm and abundance and, like XSPEC's apec, piecewise linear
in kT between the table's temperatures. The templates therefore contain the complete model for a fit.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.ogip.response import Arf, Rmf, fold
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.abundances import DEFAULT_TABLE
from pyxt_hpc.spectra.models.plasma import load_plasma


@dataclass(frozen=True)
class SourceModel:
    """Properties of an absorbed plasma that are known before a fit.

    Attributes
    ----------
    redshift : float
    nH : float
        Column density [1e22 cm^-2]; only a first guess, or unused, if a fit frees it.
    absorption : str
        Model of `absorption.transmission`: ``phabs`` or ``tbabs``.
    abundance_table : str
        XSPEC's name of the abundances of plasma and absorber.
    """

    redshift: float
    nH: float
    absorption: str = "phabs"
    abundance_table: str = DEFAULT_TABLE

    def fold(self, arf: Arf, rmf: Rmf) -> "Templates":
        """Fold the emission of every temperature through a response.

        Parameters
        ----------
        arf, rmf : Arf, Rmf
            Responses on the same energy grid (see `response.check_match`).

        Raises
        ------
        ConfigError
            Unknown absorption model or abundance table.
        """
        edges = np.append(rmf.energy_lo, rmf.energy_hi[-1])
        hhe, metals = _components(edges.tobytes(), self.redshift, self.abundance_table)
        through = transmission(edges, self.nH, self.absorption, abundance_table=self.abundance_table)
        return Templates(load_plasma().kT, fold(hhe * through, arf, rmf), fold(metals * through, arf, rmf))


@dataclass(frozen=True, eq=False)
class Templates:
    """Count rates at norm 1 [count s^-1 per channel].

    Attributes
    ----------
    kT : (n_kT,) float64
        Temperatures [keV]; between them the model is linear in kT.
    hhe : (n_kT, n_channels) float64
        H, He and trace elements, which the abundance does not scale.
    metals : (n_kT, n_channels) float64
        Metals at abundance 1.
    """

    kT: NDArray[np.float64]
    hhe: NDArray[np.float64]
    metals: NDArray[np.float64]

    def at_abundance(self, abundance: float) -> NDArray[np.float64]:
        """Templates (n_kT, n_channels) with the metals at `abundance` [solar]."""
        return self.hhe + abundance * self.metals


@lru_cache(maxsize=2)
def _components(edges: bytes, redshift: float, abundance_table: str) -> tuple[NDArray, NDArray]:
    """Plasma components on one energy grid, cached for many columns and observations."""
    return load_plasma().components(np.frombuffer(edges), redshift, abundance_table)


COLUMN_STEP, COLUMN_FACTOR, MIN_COLUMNS = 0.02, 0.03, 4
"""Step of `column_grid` at nH = 0 [1e22 cm^-2], its growth with nH, and fewest columns (for a cubic
polynomial)."""


def column_grid(bounds: tuple[float, float]) -> NDArray[np.float64]:
    """Column densities between which cubic interpolation of folded spectra is accurate to 5e-5 above 0.7 keV.

    Parameters
    ----------
    bounds : (lowest, highest)
        Bounds [1e22 cm^-2].

    Returns
    -------
    (n_nH,) float64
        Columns with steps of 0.02 at nH = 0, which grow with nH, since only harder photons are left.
    """
    # Equal steps in log(step + factor x column).
    low, high = (float(np.log(COLUMN_STEP + COLUMN_FACTOR * column)) for column in bounds)
    n = max(MIN_COLUMNS, int(np.ceil((high - low) / np.log1p(COLUMN_FACTOR))) + 1)
    columns = (np.exp(np.linspace(low, high, n)) - COLUMN_STEP) / COLUMN_FACTOR
    columns[[0, -1]] = bounds
    return columns
