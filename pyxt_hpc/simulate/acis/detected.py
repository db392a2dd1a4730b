"""Detected events as columns, before they are written to a file."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.simulate.acis.instrument import CHANNEL_KEV, N_CHANNELS


@dataclass(frozen=True, eq=False)
class DetectedEvents:
    """n events: time [s], chip, detector position, measured energy and its PI channel (from 1)."""

    time: NDArray[np.float64]
    ccd_id: NDArray[np.int8]
    detx: NDArray[np.float64]
    dety: NDArray[np.float64]
    energy_eV: NDArray[np.float32]
    pi: NDArray[np.int16]

    @classmethod
    def of(
        cls,
        time: NDArray[np.float64],
        ccd_id: NDArray[np.int8],
        detx: NDArray[np.float64],
        dety: NDArray[np.float64],
        measured_keV: NDArray[np.float64],
    ) -> "DetectedEvents":
        """Events with their channels; those beyond the PI channels are lost, as in the RMF."""
        energy = (1e3 * measured_keV).astype(np.float32)
        pi = np.floor(energy.astype(np.float64) / (1e3 * CHANNEL_KEV)) + 1
        events = cls(time, ccd_id, detx, dety, energy, pi.astype(np.int16))
        return events.select((pi >= 1) & (pi <= N_CHANNELS))

    @classmethod
    def join(cls, parts: Sequence["DetectedEvents"]) -> "DetectedEvents":
        """All events of the parts, one part after the other."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.pi)

    def select(self, chosen: NDArray) -> "DetectedEvents":
        """Events chosen by a mask (n,) or by indices."""
        return DetectedEvents(*(getattr(self, f.name)[chosen] for f in fields(self)))
