"""Regions on the images of all observations: their spectra, and the part that each observation saw."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pyxt_hpc.binning.runs import PixelRuns, runs_of_discs
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.extraction.extract import extract_regions, image_sums, weighted_image_sums
from pyxt_hpc.fit.observations import ObservationSet


@dataclass(frozen=True)
class Shapes:
    """Regions, with the events and the fraction of the brightness that each observation sees.

    Parameters
    ----------
    runs
        Pixels of n regions.
    observations
        Observations of the cluster.
    measured
        `_seen`, if it is known.

    Raises
    ------
    ConfigError
        If a region extends beyond the margin in which the brightness is known.
    """

    runs: PixelRuns
    observations: ObservationSet
    measured: tuple[np.ndarray, ...] | None = None

    @classmethod
    def circles(
        cls, row: np.ndarray, col: np.ndarray, radius: np.ndarray, observations: ObservationSet
    ) -> "Shapes":
        """Circles with centres and radii (n,) [pixels]."""
        return cls(runs_of_discs(row, col, radius), observations)

    def __post_init__(self) -> None:
        ny, nx = self.observations.shape
        margin = int(self.observations.margin[0])
        low_row, end_row, low_col, end_col = self.runs.bounds()
        if min(low_row, low_col) < -margin or end_row > ny + margin or end_col > nx + margin:
            raise ConfigError(
                f"a region reaches more than {margin} pixels beyond the images, where the cluster's "
                "brightness is not known: make the bins again with `pyxt-hpc create-bins -c CONFIG`"
            )

    @cached_property
    def brightness(self) -> np.ndarray:
        """Brightness summed over each whole region, (n,)."""
        m = int(self.observations.margin[0])
        return image_sums(self.runs.shifted(m, m), self.observations.brightness[None])[:, 0]

    @cached_property
    def _seen(self) -> tuple[np.ndarray, ...]:
        """For each observation, (n, 1 + n_energy) sum(S live)/sum(S), and sum(S live vignetting)/sum(S)."""
        if self.measured is not None:
            return self.measured
        weight, margin = self.observations.brightness, int(self.observations.margin[0])
        return tuple(
            weighted_image_sums(self.runs, weight, margin, own.live, own.corner)
            * (own.live_unit / self.brightness[:, None])
            for own in self.observations.per_observation
        )

    @cached_property
    def takes_part(self) -> np.ndarray:
        """Whether each observation takes part in the fit of each region, (n, n_obs)."""
        return np.column_stack([self.seen_by(i)[2] for i in range(len(self._seen))])

    def only(self, chosen: np.ndarray) -> "Shapes":
        """The same regions on the images of the chosen observations (n_obs,) bool."""
        measured = tuple(self._seen[i] for i in np.flatnonzero(chosen))
        return Shapes(self.runs, self.observations.only(chosen), measured)

    def seen_by(self, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Parts of the regions that observation i sees.

        Returns
        -------
        share : (n,)
            Fraction of the brightness that is live, sum(S live)/sum(S); sum(S) is over the whole region.
        area : (n, n_energy)
            Effective area relative to the ARF, sum(S live vignetting)/sum(S), at the tabulated energies.
        takes_part : (n,) bool
            Whether the observation takes part: the fraction, summed over all places of the same ObsID and
            kind of chips, which share no pixels, is large enough.
        """
        seen, kind = self._seen[i], self.observations.kind
        together = sum(self._seen[j][:, 0] for j in np.flatnonzero(kind == kind[i]))
        # Rounded, so that rounding errors do not matter if the fraction equals the minimum.
        takes_part = np.round(together, 9) >= self.observations.minimum_fraction[0]
        return seen[:, 0], seen[:, 1:], takes_part & (seen[:, 0] > 0)

    def counts(self, i: int, indptr: np.ndarray, bin_of_event: np.ndarray, n_bin: int) -> np.ndarray:
        """Counts in spectral bins, (n, n_bin), of sorted events on the pixels of observation i.

        The other arguments are those of `extract_regions`.
        """
        own = self.observations.per_observation[i]
        ny, nx, _ = own.live.shape
        return extract_regions(self.runs, indptr, bin_of_event, n_bin, (ny, nx), own.corner)


@dataclass(frozen=True)
class BinnedSpectra:
    """Spectra of some regions, in the concatenated bins of all observations.

    Parameters
    ----------
    source, background
        (n_region, n_bin) counts; 0 for an observation that does not take part.
    weight
        (n_region, n_bin) effective exposure [s]: live time x effective area relative to the ARF, as a mean
        over the whole region, weighted by brightness, with zero on pixels that are not live; 0 for an
        observation that does not take part.
    ratio
        (n_region, n_bin) exposure of the background spectrum over that of the source.
    takes_part
        (n_region, n_obs) whether an observation takes part.
    live_share
        (n_region, n_obs) fraction of the region's brightness that is live, for all observations.
    """

    source: np.ndarray
    background: np.ndarray
    weight: np.ndarray
    ratio: np.ndarray
    takes_part: np.ndarray
    live_share: np.ndarray


def extract_spectra(shapes: Shapes) -> BinnedSpectra:
    """Extract spectra, effective exposures and participating observations of the regions."""
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
        ratio[:, bins] = observations.ratio[i]
        if not takes_part[:, i].any():
            continue
        source[:, bins] = shapes.counts(i, own.event_indptr, own.event_bin, n)
        background[:, bins] = shapes.counts(i, own.background_indptr, own.background_bin, n)
        # Term by term, since the rounding of a matrix product depends on the number of regions in a chunk.
        for node, share in zip(area.T, own.interpolation, strict=True):
            weight[:, bins] += observations.exposure_s[i] * node[:, None] * share
        for array in (source, background, weight):
            array[~takes_part[:, i], bins] = 0
    return BinnedSpectra(source, background, weight, ratio, takes_part, live_share)
