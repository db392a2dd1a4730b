"""Spectra of annuli, computed directly from a spherical cluster, and fits of them, for many clusters."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.profiles.mass.annuli import AnnularFits
from pyxt_hpc.profiles.mass.mixing import Mixing
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC
from pyxt_hpc.simulate.direct import BAND_KEV, background_rate, responses
from pyxt_hpc.simulate.spherical import SphericalCluster
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid, fit_regions
from pyxt_hpc.spectra.grouping import resolution_bins
from pyxt_hpc.spectra.templates import SourceModel

FloatArray = NDArray[np.float64]

_RINGS = 12
_PIXEL_ARCMIN2 = (PIXEL_ARCSEC / 60.0) ** 2


@dataclass(frozen=True, eq=False)
class AnnularSky:
    """Annuli of a cluster on the optical axis of the synthetic ACIS-I.

    Parameters
    ----------
    cluster
        The cluster.
    edges_arcsec : (n + 1,)
        Ascending edges of the annuli.
    nH
        Absorbing column [1e22 cm^-2].
    exposure_s
        Live time.
    background_ratio
        Exposure of the blank-sky spectra over `exposure_s`.
    """

    cluster: SphericalCluster
    edges_arcsec: FloatArray
    nH: float = 0.05
    exposure_s: float = 1e5
    background_ratio: float = 5.0

    @cached_property
    def area_arcsec2(self) -> FloatArray:
        """Area of each annulus, (n,)."""
        return np.pi * np.diff(np.asarray(self.edges_arcsec, float) ** 2)

    @cached_property
    def _model(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Temperatures, rates (n_kT, n_bin) at norm 1, background (n_bin,) per arcmin^2."""
        arf, rmf = responses()
        source = SourceModel(self.cluster.redshift, self.nH, abundance_table=self.cluster.abundance_table)
        templates = source.fold(arf, rmf)
        edges = resolution_bins(rmf, *BAND_KEV)
        rates = templates.at_abundance(self.cluster.abundance)[:, : edges[-1]]
        background = background_rate(self.nH)[: edges[-1]] / _PIXEL_ARCMIN2
        return (
            templates.kT,
            np.add.reduceat(rates, edges[:-1], axis=1),
            np.add.reduceat(background, edges[:-1]),
        )

    @cached_property
    def expected(self) -> tuple[FloatArray, FloatArray]:
        """Expected counts (n, n_bin) of the gas and of the background."""
        kT, rates, background = self._model
        edges = np.asarray(self.edges_arcsec, float)
        x, weight = np.polynomial.legendre.leggauss(_RINGS)
        half = 0.5 * np.diff(edges)[:, None]
        radius = edges[:-1, None] + half * (1.0 + x)
        first, norm = self.cluster.emission(kT, radius.ravel())
        per_ring = 2.0 * np.pi * radius * half * weight
        norm = np.sum(norm.reshape(-1, *radius.shape) * per_ring, axis=-1)
        gas = self.exposure_s * norm.T @ rates[first : first + len(norm)]
        return gas, self.exposure_s * self.area_arcsec2[:, None] / 3600.0 * background

    @property
    def mixing(self) -> Mixing:
        """Tables of the fitted kT for gas with many temperatures in these annuli."""
        kT, rates, background = self._model
        gas, behind = self.expected
        return Mixing.of(kT, self.exposure_s * rates, background, gas.sum(axis=1), behind.sum(axis=1))

    def observe(self, rng: np.random.Generator) -> AnnularFits:
        """Draw the spectra and fit them."""
        gas, background = self.expected
        return self.fit(rng.poisson(gas + background), rng.poisson(self.background_ratio * background))

    def fit(self, counts: ArrayLike, blank_sky: ArrayLike) -> AnnularFits:
        """Fit spectra (n, n_bin) of annuli with kT and norm free, as ``fit-spectra`` does."""
        kT, rates, _ = self._model
        grid = ModelGrid(kT, np.array([self.nH]), rates[None], np.zeros_like(rates)[None])
        options = FitOptions(abundance=0.0, kT_bounds=(0.2, 40.0))
        counts, blank_sky = np.asarray(counts, float), np.asarray(blank_sky, float)
        weight, ratio = (np.full(counts.shape, value) for value in (self.exposure_s, self.background_ratio))
        fits = fit_regions(counts, blank_sky, weight, ratio, grid, options)
        scale = self.cluster.kpc_per_arcsec
        values = {name: fits[name] for name in ("kT", "kT_lo", "kT_hi")}
        values |= {name: fits[name] / self.area_arcsec2 for name in ("norm", "norm_lo", "norm_hi")}
        behind = blank_sky.sum(axis=1) / self.background_ratio
        return AnnularFits(
            r_in=scale * np.asarray(self.edges_arcsec, float)[:-1],
            r_out=scale * np.asarray(self.edges_arcsec, float)[1:],
            counts=counts.sum(axis=1),
            background=behind,
            **values,
        )
