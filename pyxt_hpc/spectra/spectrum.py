"""One spectrum for a fit: counts, background, response and bins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.chandra.ogip.response import Arf, Rmf, check_match
from pyxt_hpc.errors import DamagedFile, ResponseMismatch


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One observation's spectrum with its background and response, channel by channel.

    Attributes
    ----------
    name : str
        For messages and legends, e.g. the ObsID.
    counts, background : (n_channels,) float64
        Counts of the source spectrum and of the background spectrum, not scaled.
    exposure_s : float
        Live time of the source spectrum [s].
    ratio : float
        Exposure x area of the background spectrum over that of the source.
    arf : Arf
        Effective area, including all losses (vignetting, parts of the region without exposure).
    rmf : Rmf
        RMF on the energy grid of `arf`.
    bin_of_channel : (n_channels,) int16
        Bin of each channel, 0, 1, 2 ... along the channels; -1 for channels that are not fitted.

    Raises
    ------
    ResponseMismatch
        If arrays and the RMF's channels differ in length, ARF and RMF have different energies, or bins do not
        ascend along the channels.
    DamagedFile
        If counts, areas, exposure or ratio are negative or not finite, or exposure or ratio are 0.
    """

    name: str
    counts: NDArray[np.float64]
    background: NDArray[np.float64]
    exposure_s: float
    ratio: float
    arf: Arf
    rmf: Rmf
    bin_of_channel: NDArray[np.int16]

    def __post_init__(self) -> None:
        check_match(self.arf, self.rmf, f"ARF of {self.name}", f"RMF of {self.name}")
        for label in ("counts", "background", "bin_of_channel"):
            shape = getattr(self, label).shape
            if shape != (self.rmf.n_channels,):
                raise ResponseMismatch(
                    f"spectrum {self.name}: {label} has shape {shape}, its RMF has {self.rmf.n_channels} "
                    "channels; use the RMF made for this spectrum"
                )
        used = self.bin_of_channel[self.bin_of_channel >= 0]
        if len(used) == 0 or used[0] != 0 or not np.isin(np.diff(used), (0, 1)).all():
            raise ResponseMismatch(
                f"spectrum {self.name}: expected bins 0, 1, 2 ... along the channels, found "
                f"{np.unique(used)[:5]}...; choose an energy band that the RMF covers"
            )
        for label, values in (
            ("counts", self.counts),
            ("background", self.background),
            ("area", self.arf.area),
        ):
            # This form of the condition is also true for NaN.
            if not np.all((values >= 0) & (values < np.inf)):
                raise DamagedFile(
                    f"spectrum {self.name}: {label} has negative or non-finite values, "
                    f"e.g. {values[~((values >= 0) & (values < np.inf))][0]}; make its file again"
                )
        for label, value in (("exposure", self.exposure_s), ("background exposure ratio", self.ratio)):
            if not 0 < value < np.inf:
                raise DamagedFile(
                    f"spectrum {self.name}: {label} is {value}, expected more than 0; correct its header"
                )

    @property
    def n_bin(self) -> int:
        """Number of bins."""
        return int(self.bin_of_channel.max()) + 1

    @property
    def energy_edges(self) -> NDArray[np.float64]:
        """Lower and upper nominal energy of each bin, (n_bin, 2) [keV]."""
        channels, starts = self._bins()
        ends = np.append(starts[1:], len(channels)) - 1
        low, high = self.rmf.channel_lo_keV[channels], self.rmf.channel_hi_keV[channels]
        return np.stack([low[starts], high[ends]], axis=1)

    def binned(self, values: ArrayLike) -> NDArray[np.float64]:
        """Sums over the channels of each bin: (..., n_channels) to (..., n_bin)."""
        channels, starts = self._bins()
        return np.add.reduceat(np.asarray(values, np.float64)[..., channels], starts, axis=-1)

    def _bins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Fitted channels, and the index among them where each bin begins."""
        channels = np.flatnonzero(self.bin_of_channel >= 0)
        return channels, np.searchsorted(self.bin_of_channel[channels], np.arange(self.n_bin))
