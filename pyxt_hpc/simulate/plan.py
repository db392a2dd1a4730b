"""The plan of an observation: where it points, and when its chips take good data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.simulate.geometry import CCDS

FRAME_S = 3.24104  # full frame of six chips, with the transfer of 0.041 s
DTCOR = 0.98693  # live share of good time
_GAP_FRAMES = 250  # a gap in telemetry, after two fifths of the good time
_AIMPOINT_CCD = 3


@dataclass(frozen=True)
class ObservationPlan:
    """One observation by ACIS-I.

    Parameters
    ----------
    obsid
        Up to five digits.
    ra_pnt, dec_pnt
        Optical axis [deg].
    roll_deg
        Turns the detector from north to east.
    exposure_s
        Live time to reach, in whole frames.
    flare
        Whether the background flares up once.
    start_s
        Chandra time of the first frame [s].
    """

    obsid: str
    ra_pnt: float
    dec_pnt: float
    roll_deg: float
    exposure_s: float
    flare: bool
    start_s: float = 365e6

    @property
    def _n_frames(self) -> int:
        return round(self.exposure_s / DTCOR / FRAME_S)

    @property
    def ontime_s(self) -> float:
        """Good time of the chip with the aimpoint."""
        return self._n_frames * FRAME_S

    @property
    def live_s(self) -> float:
        """Live time of the chip with the aimpoint: EXPOSURE."""
        return self.ontime_s * DTCOR

    @property
    def span_s(self) -> float:
        """From the first frame to the last."""
        return self.ontime_s + _GAP_FRAMES * FRAME_S

    def gti(self) -> dict[int, NDArray[np.float64]]:
        """Good time intervals (2, 2) [s] of each CCD, in whole frames; each chip starts a frame apart."""
        before = 2 * self._n_frames // 5
        after, stop = before + _GAP_FRAMES, self._n_frames + _GAP_FRAMES
        frames = {ccd: [[_AIMPOINT_CCD - ccd, before], [after, stop]] for ccd in CCDS}
        return {ccd: self._frame_start(np.array(edges)) for ccd, edges in frames.items()}

    def frame(self, time: NDArray[np.float64]) -> NDArray[np.int64]:
        """Number of the frame, from 0, that holds each time."""
        return np.floor((time - self.start_s) / FRAME_S).astype(np.int64)

    def frame_middle(self, time: NDArray[np.float64]) -> NDArray[np.float64]:
        """Time that events get: the middle of the frame they were read in."""
        return self._frame_start(self.frame(time) + 0.5)

    def _frame_start(self, frame: NDArray) -> NDArray[np.float64]:
        return np.asarray(self.start_s + FRAME_S * frame, dtype=np.float64)
