"""The response of an observation: effective area (ARF), redistribution (RMF), and folding of a spectrum.

Channels are numbered by their rows in EBOUNDS, from 0. `response_files` reads and writes the files.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.errors import ResponseMismatch

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# A matrix with a row sum above this limit includes the effective area; without it, row sums are at most 1.
_MAX_ROW_SUM = 1.5
# Fraction of a bin by which energies of two files may differ; rounding to float32 changes them far less.
GRID_TOLERANCE = 0.01


@dataclass(frozen=True, eq=False)
class Arf:
    """Effective area (n_energy,) [cm^2] in bins of photon energy [keV]."""

    energy_lo: NDArray[np.float64]
    energy_hi: NDArray[np.float64]
    area: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rmf:
    """Redistribution matrix in compressed rows, as OGIP stores it.

    ``energy_lo``, ``energy_hi`` (n_energy,) are the edges of the photon energy bins [keV]; ``n_group``
    (n_energy,) is the number of channel groups of each bin. ``first_channel`` (from 0) and ``n_channel``
    (n_groups,) are the first channel and the length of each group; ``matrix`` (sum n_channel,) has the
    probabilities, group after group.

    ``channel_lo_keV``, ``channel_hi_keV`` (n_channels,) are the nominal energies of the channels (EBOUNDS).
    ``first_channel_number`` is the number of channel 0 in spectra and event lists. ``channel_type`` is
    CHANTYPE: PI, PHA, or empty if it is absent.
    """

    energy_lo: NDArray[np.float64]
    energy_hi: NDArray[np.float64]
    n_group: NDArray[np.int32]
    first_channel: NDArray[np.int32]
    n_channel: NDArray[np.int32]
    matrix: NDArray[np.float64]
    channel_lo_keV: NDArray[np.float64]
    channel_hi_keV: NDArray[np.float64]
    first_channel_number: int
    channel_type: str = "PI"

    @property
    def n_channels(self) -> int:
        """Number of detector channels."""
        return len(self.channel_lo_keV)

    @cached_property
    def sparse(self) -> "csr_array":
        """Matrix as a sparse array (n_energy, n_channels)."""
        from scipy.sparse import csr_array  # slow to import, and ranks that fit do not need it

        starts = np.repeat(self.first_channel, self.n_channel)
        group_offset = np.repeat(np.cumsum(self.n_channel) - self.n_channel, self.n_channel)
        columns = starts + np.arange(len(self.matrix)) - group_offset
        ends = np.concatenate([[0], np.cumsum(self.n_channel)])[np.cumsum(self.n_group)]
        indptr = np.concatenate([[0], ends])
        return csr_array((self.matrix, columns, indptr), shape=(len(self.energy_lo), self.n_channels))


def check_match(arf: Arf, rmf: Rmf, arf_name: str, rmf_name: str) -> None:
    """Raise ResponseMismatch, with the names of both files, unless they have the same photon energy grid."""
    if len(arf.energy_lo) != len(rmf.energy_lo):
        raise ResponseMismatch(
            f"{arf_name} has {len(arf.energy_lo)} energy bins, {rmf_name} has {len(rmf.energy_lo)}; "
            "make the ARF on the RMF's energy grid"
        )
    width = rmf.energy_hi - rmf.energy_lo
    off = np.maximum(abs(arf.energy_lo - rmf.energy_lo), abs(arf.energy_hi - rmf.energy_hi)) / width
    worst = int(np.argmax(off))
    if off[worst] > GRID_TOLERANCE:
        raise ResponseMismatch(
            f"energy bin {worst} is {arf.energy_lo[worst]:.5g}-{arf.energy_hi[worst]:.5g} keV in "
            f"{arf_name} but {rmf.energy_lo[worst]:.5g}-{rmf.energy_hi[worst]:.5g} keV in {rmf_name}; "
            "make the ARF on the RMF's energy grid"
        )


def holds_area(rmf: Rmf) -> bool:
    """Whether a matrix includes the effective area: its row sums are then areas [cm^2] instead of 1."""
    return float(rmf.sparse.sum(axis=1).max()) > _MAX_ROW_SUM


def check_covers(arf: Arf, arf_name: str, band_keV: tuple[float, float]) -> None:
    """Raise ResponseMismatch, with the name of the file, unless an ARF covers a band [keV]."""
    low, high = band_keV
    if arf.energy_lo[0] > low or arf.energy_hi[-1] < high:
        raise ResponseMismatch(
            f"{arf_name}: energies {arf.energy_lo[0]:.2f}-{arf.energy_hi[-1]:.2f} keV, but the band is "
            f"{low:g}-{high:g} keV; make it for 0.3-11 keV, or change energy_min and energy_max"
        )


def check_area_once(arf_name: str, rmf: Rmf, rmf_name: str) -> None:
    """Raise ResponseMismatch, with the names of both files, if an RMF used with an ARF includes the area."""
    if holds_area(rmf):
        raise ResponseMismatch(
            f"{arf_name} is an effective area, but {rmf_name} includes it already: its rows add up to "
            f"{rmf.sparse.sum(axis=1).max():.4g}, expected 1; make an RMF without area (CIAO's "
            "mkacisrmf), or leave the ARF out"
        )


def fold(flux: ArrayLike, arf: Arf, rmf: Rmf) -> NDArray[np.float64]:
    """Predicted rate [count s^-1] of every channel (..., n_channels) (Davis 2001, ApJ 548, 1010, eq. 13).

    ``flux`` (..., n_energy) is the photon flux in each energy bin [photon cm^-2 s^-1]. ARF and RMF must have
    the same energy grid (see `check_match`).
    """
    rate = np.asarray(flux, dtype=np.float64) * arf.area
    flat = rate.reshape(-1, rate.shape[-1])
    return (rmf.sparse.T @ flat.T).T.reshape(*rate.shape[:-1], rmf.n_channels)
