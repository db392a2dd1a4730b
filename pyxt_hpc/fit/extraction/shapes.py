"""Regions on the images of all observations: their spectra cut out, and how much of each was seen."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pyxt_hpc.binning.runs import PixelRuns, runs_of_discs
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.extraction.extract import extract_regions, image_sums, weighted_image_sums
from pyxt_hpc.fit.observations import ObservationSet


@dataclass(frozen=True)
class Shapes:
    """Regions, and what of their events and brightness an observation sees.

    Parameters
    ----------
    runs
        Pixels of n regions.
    observations
        Of the cluster.

    Raises
    ------
    ConfigError
        If a region reaches where the brightness is not known.
    """

    runs: PixelRuns
    observations: ObservationSet

    @classmethod
    def circles(
        cls, row: np.ndarray, col: np.ndarray, radius: np.ndarray, observations: ObservationSet
    ) -> "Shapes":
        """Circles (n,) with their centres and radii [pixels]."""
        return cls(runs_of_discs(row, col, radius), observations)

    def __post_init__(self) -> None:
        ny, nx = self.observations.shape
        margin = self._margin
        low_row, end_row, low_col, end_col = self.runs.bounds()
        if min(low_row, low_col) < -margin or end_row > ny + margin or end_col > nx + margin:
            raise ConfigError(
                f"a region reaches more than {margin} pixels beyond the images, where the cluster's "
                "brightness is not known: make the bins again with `pyxt-hpc create-bins`"
            )

    @property
    def _margin(self) -> int:
        return int(self.observations.brightness.shape[0] - self.observations.shape[0]) // 2

    @cached_property
    def brightness(self) -> np.ndarray:
        """(n,) sum over the whole region."""
        m = self._margin
        return image_sums(self.runs.shifted(m, m), self.observations.brightness[None])[:, 0]

    @cached_property
    def _seen(self) -> tuple[np.ndarray, ...]:
        """Of each observation, (n, 1 + n_energy) sum(S live)/sum(S), and the same with the areas."""
        weight = self.observations.brightness
        return tuple(
            weighted_image_sums(self.runs, weight, own.live) * (own.live_unit / self.brightness[:, None])
            for own in self.observations.per_observation
        )

    def seen_by(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What observation i sees of each region.

        Returns
        -------
        share : (n,)
            Of the region's brightness: sum(S live)/sum(S), the denominator over the whole region.
        area : (n, n_energy)
            Relative to the ARF at the energies where it is known: sum(S live vignetting)/sum(S).
        takes_part : (n,) bool
            Whether the share is large enough, that of all places of the same kind of chips together: each
            pixel is in one of them.
        """
        seen, kind = self._seen[i], self.observations.kind
        together = sum(self._seen[j][:, 0] for j in np.flatnonzero(kind == kind[i]))
        # rounded: a fraction given in decimals is not missed by an error of the last bit
        takes_part = np.round(together, 9) >= self.observations.minimum_fraction[0]
        return seen[:, 0], seen[:, 1:], takes_part & (seen[:, 0] > 0)

    def counts(self, indptr: np.ndarray, bin_of_event: np.ndarray, n_bin: int) -> np.ndarray:
        """Binned counts (n, n_bin) of events that are sorted by pixel, as `extract_regions` takes them."""
        return extract_regions(self.runs, indptr, bin_of_event, n_bin, self.observations.shape)


@dataclass(frozen=True)
class BinnedSpectra:
    """Binned spectra of some regions, the bins of all observations side by side.

    Parameters
    ----------
    source, background
        (n_region, n_bin) counts.
    weight
        (n_region, n_bin) effective exposure [s]: live time x area relative to the ARF, the mean over the
        whole region weighted by its brightness, nothing being live where the observation does not see;
        0 where it does not take part.
    ratio
        (n_region, n_bin) background exposure per source exposure.
    takes_part
        (n_region, n_obs) whether an observation takes part.
    live_share
        (n_region, n_obs) share of the region's brightness that is live, whether it takes part or not.
    """

    source: np.ndarray
    background: np.ndarray
    weight: np.ndarray
    ratio: np.ndarray
    takes_part: np.ndarray
    live_share: np.ndarray


def extract_spectra(shapes: Shapes) -> BinnedSpectra:
    """Spectra, effective exposures and participating observations of some regions."""
    observations = shapes.observations
    n_region, n_bin, n_obs = len(shapes.runs), observations.hhe.shape[2], len(observations.exposure_s)
    source = np.zeros((n_region, n_bin), np.int32)
    background = np.zeros((n_region, n_bin), np.int32)
    weight = np.zeros((n_region, n_bin))
    ratio = np.zeros((n_region, n_bin))
    takes_part = np.zeros((n_region, n_obs), bool)
    live_share = np.zeros((n_region, n_obs))
    for i, own in enumerate(observations.per_observation):
        bins = slice(observations.first_bin[i], observations.first_bin[i + 1])
        n = bins.stop - bins.start
        live_share[:, i], area, takes_part[:, i] = shapes.seen_by(i)
        source[:, bins] = shapes.counts(own.event_indptr, own.event_bin, n)
        background[:, bins] = shapes.counts(own.background_indptr, own.background_bin, n)
        # Term by term: a matrix product rounds differently in chunks of other sizes, and results must not.
        for node, share in zip(area.T, own.interpolation, strict=True):
            weight[:, bins] += observations.exposure_s[i] * node[:, None] * share
        ratio[:, bins] = observations.ratio[i]
        for array in (source, background, weight):
            array[~takes_part[:, i], bins] = 0
    return BinnedSpectra(source, background, weight, ratio, takes_part, live_share)
