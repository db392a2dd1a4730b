"""Scaling of blank-sky events to the particle background of an observation."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from scipy.special import chdtrc

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.regions.sky import contains_pixels
from pyxt_hpc.chandra.regions.text import RegionFile
from pyxt_hpc.errors import EmptySelection

log = logging.getLogger(__name__)

PARTICLE_BAND_EV = (9500.0, 12000.0)  # the mirrors reflect hardly any X-ray there: particles only
_MIN_PROBABILITY = 0.01  # probability of a common scale below which each chip gets its own


@dataclass(frozen=True)
class ParticleScale:
    """Background counts of the observation per count of the background file.

    ``scale`` is that of the CCD with the longest live time, ``error`` its statistical error (1 sigma), and
    ``of_chip`` the scale of each CCD, in proportion to the live times unless the counts contradict.
    """

    scale: float
    error: float
    of_chip: dict[int, float]

    @property
    def largest(self) -> float:
        """Scale of a background after `thinned`."""
        return max(self.of_chip.values())


def particle_events(events: EventList, regions: Sequence[RegionFile], frames: Mapping[str, WCS]) -> EventList:
    """Events of 9.5-12 keV outside regions: sources, and the peak of a cluster, which is seen even there.

    ``regions``, ``frames`` as for `contains_pixels`.
    """
    high = events.select(events.in_band(PARTICLE_BAND_EV))
    for region in regions:
        high = high.select(~contains_pixels(region, high.wcs, high.x, high.y, frames))
    return high


def particle_scale(
    high: EventList, background_high: EventList, live_s: Mapping[int, float] | None = None
) -> ParticleScale:
    """Scale a background by its 9.5-12 keV counts.

    The scales of the CCDs are proportional to their live times in the observation. The exposures of CALDB's
    files can differ between chips; if the counts contradict these scales (chi^2 test of the ratios, at 1%),
    each CCD gets a scale from its own counts.

    ``high``, ``background_high``: the 9.5-12 keV events of both, on the same chips of one kind and the same
    part of the sky. ``live_s``: live time of each CCD in the observation; None: the same for all. Raises
    EmptySelection if one of them has no event.
    """
    for events in (high, background_high):
        if len(events) == 0:
            raise EmptySelection(
                f"{events.path}: no 9.5-12 keV count outside the sources: the background cannot be scaled; "
                "check that the file covers the field and that its energies go to 12 keV"
            )
    chips = np.unique(background_high.ccd_id) if live_s is None else np.array(sorted(live_s))
    data = np.array([np.sum(high.ccd_id == chip) for chip in chips], dtype=float)
    blank = np.array([np.sum(background_high.ccd_id == chip) for chip in chips], dtype=float)
    live = np.array([1.0 if live_s is None else live_s[int(chip)] for chip in chips])
    live = live / live.max()
    expected = live * blank
    scale = data.sum() / expected.sum()
    error = scale * float(np.sqrt(1 / max(data.sum(), 1.0) + (live**2 * blank).sum() / expected.sum() ** 2))
    of_chip = scale * live
    # data - scale x blank has the variance scale (1 + scale) b, where b, the expected blank-sky counts, is
    # estimated from both. Chips that were never on do not count.
    on = (live > 0) & (blank > 0)
    deviation = (data - of_chip * blank)[on] ** 2 / (of_chip * (data + blank))[on]
    if on.sum() > 1 and data[on].min() > 0 and chdtrc(on.sum() - 1, deviation.sum()) < _MIN_PROBABILITY:
        of_chip[on] = (data / blank)[on]
        listed = ", ".join(f"CCD {c}: {s:.4f}" for c, s in zip(chips, of_chip, strict=True))
        log.info("%s: the chips need scales of their own: %s", background_high.path, listed)
    return ParticleScale(float(scale), error, {int(c): float(s) for c, s in zip(chips, of_chip, strict=True)})


def thinned(background: EventList, scale: ParticleScale, rng: np.random.Generator) -> EventList:
    """Remove background events at random, so that the largest scale holds for all chips."""
    # A chip without a scale of its own has the common one.
    kept = np.full(10, scale.scale / scale.largest)
    for chip, own in scale.of_chip.items():
        kept[chip] = own / scale.largest
    if kept.min() == 1.0:
        return background
    return background.select(rng.random(len(background)) < kept[background.ccd_id])
