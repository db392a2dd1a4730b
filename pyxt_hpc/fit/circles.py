"""Circles on the images of all observations: their spectra cut out, and how much of each was seen."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.extract import disc_sums, extract_regions, weighted_disc_sums
from pyxt_hpc.fit.observations import ObservationSet


@dataclass(frozen=True)
class Circles:
    """Circles, and what of their events and brightness an observation sees.

    Parameters
    ----------
    row, col, radius
        (n,) centres and radii [pixels]; centres are inside the images.
    observations
        Of the cluster.

    Raises
    ------
    ConfigError
        If a circle reaches where the brightness is not known.
    """

    row: np.ndarray
    col: np.ndarray
    radius: np.ndarray
    observations: ObservationSet

    def __post_init__(self) -> None:
        ny, nx = self.observations.shape
        reach = np.floor(self.radius) - self._margin
        if (
            np.any(self.row < reach)
            or np.any(self.col < reach)
            or np.any(self.row >= ny - reach)
            or np.any(self.col >= nx - reach)
        ):
            raise ConfigError(
                f"a circle reaches more than {self._margin} pixels beyond the images, where the cluster's "
                "brightness is not known: make the scale map again with `pyxt-hpc create-bins`"
            )

    @property
    def _margin(self) -> int:
        return int(self.observations.brightness.shape[0] - self.observations.shape[0]) // 2

    @cached_property
    def brightness(self) -> np.ndarray:
        """(n,) sum over the whole circle."""
        m = self._margin
        return disc_sums(self.row + m, self.col + m, self.radius, self.observations.brightness[None])[:, 0]

    def seen_by(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What observation i sees of each circle.

        Returns
        -------
        share : (n,)
            Of the circle's brightness: sum(S live)/sum(S), the denominator over the whole circle.
        area : (n, n_energy)
            Relative to the ARF at the energies where it is known: sum(S live vignetting)/sum(S).
        takes_part : (n,) bool
            Whether the share is large enough.
        """
        own = self.observations.per_observation[i]
        sums = weighted_disc_sums(self.row, self.col, self.radius, self.observations.brightness, own.live)
        seen = sums * (own.live_unit / self.brightness[:, None])
        # rounded: a fraction given in decimals is not missed by an error of the last bit
        takes_part = np.round(seen[:, 0], 9) >= self.observations.minimum_fraction[0]
        return seen[:, 0], seen[:, 1:], takes_part & (seen[:, 0] > 0)

    def counts(self, indptr: np.ndarray, bin_of_event: np.ndarray, n_bin: int) -> np.ndarray:
        """Binned counts (n, n_bin) of events that are sorted by pixel, as `extract_regions` takes them."""
        where = self.row, self.col, self.radius
        return extract_regions(*where, indptr, bin_of_event, n_bin, self.observations.shape)


@dataclass(frozen=True)
class BinnedSpectra:
    """Binned spectra of some regions, the bins of all observations side by side.

    Parameters
    ----------
    source, background
        (n_region, n_bin) counts.
    weight
        (n_region, n_bin) effective exposure [s]: live time x area relative to the ARF, the mean over the
        whole circle weighted by its brightness, nothing being live where the observation does not see;
        0 where it does not take part.
    ratio
        (n_region, n_bin) background exposure per source exposure.
    takes_part
        (n_region, n_obs) whether an observation takes part.
    live_share
        (n_region, n_obs) share of the circle's brightness that is live, whether it takes part or not.
    """

    source: np.ndarray
    background: np.ndarray
    weight: np.ndarray
    ratio: np.ndarray
    takes_part: np.ndarray
    live_share: np.ndarray


def extract_spectra(circles: Circles) -> BinnedSpectra:
    """Spectra, effective exposures and participating observations of some regions."""
    observations = circles.observations
    n_region, n_bin, n_obs = len(circles.row), observations.hhe.shape[2], len(observations.exposure_s)
    source = np.zeros((n_region, n_bin), np.int32)
    background = np.zeros((n_region, n_bin), np.int32)
    weight = np.zeros((n_region, n_bin))
    ratio = np.zeros((n_region, n_bin))
    takes_part = np.zeros((n_region, n_obs), bool)
    live_share = np.zeros((n_region, n_obs))
    for i, own in enumerate(observations.per_observation):
        bins = slice(observations.first_bin[i], observations.first_bin[i + 1])
        n = bins.stop - bins.start
        live_share[:, i], area, takes_part[:, i] = circles.seen_by(i)
        source[:, bins] = circles.counts(own.event_indptr, own.event_bin, n)
        background[:, bins] = circles.counts(own.background_indptr, own.background_bin, n)
        # Term by term: a matrix product rounds differently in chunks of other sizes, and results must not.
        for node, share in zip(area.T, own.interpolation, strict=True):
            weight[:, bins] += observations.exposure_s[i] * node[:, None] * share
        ratio[:, bins] = observations.ratio[i]
        for array in (source, background, weight):
            array[~takes_part[:, i], bins] = 0
    return BinnedSpectra(source, background, weight, ratio, takes_part, live_share)
