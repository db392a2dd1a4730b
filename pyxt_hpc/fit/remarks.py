"""How many fits have which flag, and when that is alarming."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pyxt_hpc.spectra.fit import DOUBTFUL, FitFlag

POOR_ALARM = 0.01
"""Share of poor fits above which something is wrong: chance makes one fit in some 30,000 poor."""

DOUBTFUL_ALARM = 0.2
"""Share of fits with a flag of `fit.DOUBTFUL` above which something is wrong: with 300 counts a region some
per cent have an open interval."""


@dataclass(frozen=True)
class Remarks:
    """Flags of the fitted regions.

    Parameters
    ----------
    fits
        Number of fitted regions.
    flagged
        How many have each flag, in the order of `FitFlag`; flags that none has are left out.
    doubtful
        How many have one of `fit.DOUBTFUL`: those in the ``worst`` CSV file.
    """

    fits: int
    flagged: dict[FitFlag, int]
    doubtful: int

    @classmethod
    def of(cls, flags: np.ndarray) -> "Remarks":
        """Of the flags of the fitted regions, (n,)."""
        number = {flag: int(np.count_nonzero(flags & int(flag))) for flag in FitFlag}
        doubtful = int(np.count_nonzero(flags & int(DOUBTFUL)))
        return cls(len(flags), {flag: n for flag, n in number.items() if n}, doubtful)

    def share(self, flag: FitFlag) -> float:
        """Of the fits that have a flag."""
        return self.flagged.get(flag, 0) / max(self.fits, 1)

    def alarms(self) -> Iterator[str]:
        """What is wrong with the fits as a whole, each a sentence."""
        poor = self.share(FitFlag.POOR_FIT)
        if poor > POOR_ALARM:
            yield (
                f"{poor:.1%} of the fits are poor, where chance makes one in some 30,000 poor and more "
                f"than {POOR_ALARM:.0%} is alarming: the model, the background or the exposure is wrong; "
                "look at the maps of goodness and live fraction"
            )
        share = self.doubtful / max(self.fits, 1)
        if share > DOUBTFUL_ALARM:
            yield (
                f"{share:.1%} of the fits are among the worst, where more than {DOUBTFUL_ALARM:.0%} is "
                "alarming: if the flags are open intervals, ask for a higher signal_to_noise_threshold; if "
                "not, check events, background and responses"
            )
