"""The plan of an observation: its pointing, dither and good times."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.simulate.acis.geometry import AIMPOINT_CCD, CCDS, PIXEL_ARCSEC, det_to_sky, sky_to_det

FRAME_S = 3.24104  # full frame of six chips, including the transfer of 0.041 s
DTCOR = 0.98693  # live fraction of good time
_GAP_FRAMES = 250  # length of a gap in telemetry, after two fifths of the good time
_DITHER_S = np.array([[1000.0], [707.1]])  # periods along the axes of the detector

FloatArray = NDArray[np.float64]


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
        Roll angle of the detector from north to east.
    exposure_s
        Approximate live time, which is rounded to whole frames.
    flare
        Whether the background has a flare.
    start_s
        Chandra time of the first frame [s].
    dither_arcsec
        Amplitude of the Lissajous figure of the optical axis around RA, Dec.
    """

    obsid: str
    ra_pnt: float
    dec_pnt: float
    roll_deg: float
    exposure_s: float
    flare: bool
    start_s: float = 365e6
    dither_arcsec: float = 8.0

    @property
    def _n_frames(self) -> int:
        return round(self.exposure_s / DTCOR / FRAME_S)

    @property
    def ontime_s(self) -> float:
        """Good time of the chip with the aimpoint."""
        return self._n_frames * FRAME_S

    @property
    def live_s(self) -> float:
        """Live time of the chip with the aimpoint, the value of EXPOSURE."""
        return self.ontime_s * DTCOR

    @property
    def span_s(self) -> float:
        """Time from the first frame to the last [s]."""
        return self.ontime_s + _GAP_FRAMES * FRAME_S

    def gti(self) -> dict[int, FloatArray]:
        """Good time intervals (2, 2) [s] of each CCD, in whole frames; the chips start one frame apart."""
        before = 2 * self._n_frames // 5
        after, stop = before + _GAP_FRAMES, self._n_frames + _GAP_FRAMES
        frames = {ccd: [[AIMPOINT_CCD - ccd, before], [after, stop]] for ccd in CCDS}
        return {ccd: self._frame_start(np.array(edges)) for ccd, edges in frames.items()}

    def frame(self, time: FloatArray) -> NDArray[np.int64]:
        """Number of the frame (from 0) of each time."""
        return np.floor((time - self.start_s) / FRAME_S).astype(np.int64)

    def frame_middle(self, time: FloatArray) -> FloatArray:
        """Middle of the frame of each time, which is the time of its events."""
        return self._frame_start(self.frame(time) + 0.5)

    def dither(self, time: FloatArray) -> FloatArray:
        """Offset of the optical axis from its mean (2, n), in detector pixels along detx, dety."""
        phase = 2.0 * np.pi * (time - self.start_s) / _DITHER_S
        return self.dither_arcsec / PIXEL_ARCSEC * np.sin(phase)

    def sky_at(self, detx: FloatArray, dety: FloatArray, time: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sky pixels of detector pixels at given times."""
        along_x, along_y = self.dither(time)
        return det_to_sky(detx + along_x, dety + along_y, self.roll_deg)

    def det_at(self, x: FloatArray, y: FloatArray, time: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Detector pixels of sky pixels at given times."""
        along_x, along_y = self.dither(time)
        detx, dety = sky_to_det(x, y, self.roll_deg)
        return detx - along_x, dety - along_y

    def _frame_start(self, frame: NDArray) -> FloatArray:
        return np.asarray(self.start_s + FRAME_S * frame, dtype=np.float64)
