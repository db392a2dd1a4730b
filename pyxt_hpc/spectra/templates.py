"""Templates: the folded model of one observation at every temperature of the plasma table.

With redshift and nH fixed the model is linear in norm and in abundance and, as XSPEC's apec, piecewise
linear in kT between the table's temperatures: the templates hold all there is to know for a fit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.response import Arf, Rmf, fold
from pyxt_hpc.spectra.absorption import transmission
from pyxt_hpc.spectra.abundances import DEFAULT_TABLE
from pyxt_hpc.spectra.plasma import load_plasma


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


def fold_templates(
    arf: Arf,
    rmf: Rmf,
    *,
    redshift: float,
    nH: float,
    absorption: str = "phabs",
    abundance_table: str = DEFAULT_TABLE,
) -> Templates:
    """Fold absorbed plasma emission of every temperature through a response.

    Parameters
    ----------
    arf, rmf : Arf, Rmf
        On the same energy grid (see `response.check_match`).
    redshift : float
    nH : float
        Galactic column density [1e22 cm^-2].
    absorption : str
        Model of `absorption.transmission`.
    abundance_table : str
        Abundances of the plasma and of the absorber.

    Raises
    ------
    ConfigError
        Unknown absorption model or abundance table.
    """
    edges = np.append(rmf.energy_lo, rmf.energy_hi[-1])
    table = load_plasma()
    hhe, metals = table.components(edges, redshift, abundance_table)
    through = transmission(edges, nH, absorption, abundance_table=abundance_table)
    return Templates(table.kT, fold(hhe * through, arf, rmf), fold(metals * through, arf, rmf))
