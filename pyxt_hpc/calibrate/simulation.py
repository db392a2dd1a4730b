"""The task of a worker: draw spectra of some regions from their best fits, and fit them again."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pyxt_hpc.fit.extraction.shapes import BinnedSpectra
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.spectra.fit import PARAMETERS, FitOptions, ModelGrid, expected_rates

TRUTH_DTYPE = np.dtype([(name, np.float64) for name in PARAMETERS])
"""Simulated values: kT [keV], norm [XSPEC's apec norm], abundance [solar], nH [1e22 cm^-2]."""

_GRID = ("kT", "nH", "hhe", "metals")


@dataclass(frozen=True, eq=False)
class Simulation:
    """Regions whose spectra are drawn and fitted again.

    Parameters
    ----------
    fits
        Regions, observations and settings of the fits.
    truth
        (n,) simulated values of the regions, of TRUTH_DTYPE.
    model
        Model from which spectra are drawn; it is the model of the fits, unless another nH is simulated.
    draws
        Number of spectra drawn for each region.
    seed
        Seed of the random numbers; the numbers for a region depend only on the seed and the region's number.
    background_factor
        Factor of the background in the source spectrum relative to the background spectrum; other values than
        1 simulate a wrong blank sky.
    """

    fits: RegionFits
    truth: np.ndarray
    model: ModelGrid
    draws: int
    seed: int
    background_factor: float = 1.0

    def to_shared(self) -> tuple[tuple[FitOptions, int, int, float], dict[str, np.ndarray]]:
        """Small metadata for pickling, and arrays for shared memory."""
        options, arrays = self.fits.to_shared()
        model = {f"model/{name}": getattr(self.model, name) for name in _GRID}
        return (
            (options, self.draws, self.seed, self.background_factor),
            {**{f"fits/{name}": array for name, array in arrays.items()}, **model, "truth": self.truth},
        )

    @classmethod
    def from_shared(
        cls, meta: tuple[FitOptions, int, int, float], arrays: Mapping[str, np.ndarray]
    ) -> "Simulation":
        """Inverse of `to_shared`, without copies."""
        options, draws, seed, factor = meta
        own = {name.removeprefix("fits/"): a for name, a in arrays.items() if name.startswith("fits/")}
        model = ModelGrid(*(arrays[f"model/{name}"] for name in _GRID))
        return cls(RegionFits.from_shared(options, own), arrays["truth"], model, draws, seed, factor)

    def refit(self, indices: np.ndarray) -> np.ndarray:
        """Draw and fit spectra of regions at positions (n,); return (n, draws) of FIT_DTYPE."""
        spectra = self._drawn(self.fits.extract(indices), indices)
        fitted, _, _ = self.fits.fit_spectra(spectra)
        return fitted.reshape(len(indices), self.draws)

    def _drawn(self, seen: BinnedSpectra, indices: np.ndarray) -> BinnedSpectra:
        """Simulated spectra, with consecutive draws of each region; `seen` are the observed ones."""
        truth = self.truth[indices]
        rates = expected_rates(self.model, truth)
        background = self.fits.smooth_background(seen)
        under_source = np.where(seen.weight > 0, background / np.where(seen.ratio > 0, seen.ratio, 1.0), 0.0)
        source = truth["norm"][:, None] * seen.weight * rates + self.background_factor * under_source
        shape = (self.draws, source.shape[1])
        counts = np.empty((2, len(indices), *shape), np.int32)
        for i, region in enumerate(self.fits.regions["region"][indices].tolist()):
            random = np.random.default_rng((self.seed, region))
            counts[0, i] = random.poisson(source[i], shape)
            counts[1, i] = random.poisson(background[i], shape)

        def repeated(values: np.ndarray) -> np.ndarray:
            return np.repeat(values, self.draws, axis=0)

        return BinnedSpectra(
            source=counts[0].reshape(-1, shape[1]),
            background=counts[1].reshape(-1, shape[1]),
            weight=repeated(seen.weight),
            ratio=repeated(seen.ratio),
            takes_part=repeated(seen.takes_part),
            live_share=repeated(seen.live_share),
        )


def simulate_chunk(context: Simulation, indices: np.ndarray) -> np.ndarray:
    """Draw and fit spectra of regions at positions (n,), and return the fits as bytes: a worker's task."""
    return context.refit(indices).ravel().view(np.uint8)
