"""The analysis of a profile, from a bundle to shells of gas."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.fit.cosmology import cosmology, kpc_per_arcsec
from pyxt_hpc.profiles.annuli import Annuli, choose_annuli
from pyxt_hpc.profiles.annulus_spectra import fit_annuli
from pyxt_hpc.profiles.brightness.beta_models import BetaProfile, fit_beta_models, preferred
from pyxt_hpc.profiles.brightness.edges import Edge, fit_edge
from pyxt_hpc.profiles.brightness.rings import BandImages, Rings, SoftBand, rings_of, soft_band
from pyxt_hpc.profiles.centre import Frame, find_frame
from pyxt_hpc.profiles.cool_core import Core, classify, concentration
from pyxt_hpc.profiles.gas.density import BrightnessDensity, fit_density, norm_per_measure
from pyxt_hpc.profiles.gas.deprojection import Deprojection, ShellFit, Shells, fit_shells
from pyxt_hpc.profiles.gas.intervals import intervals_of
from pyxt_hpc.profiles.gas.projection import projection_matrix
from pyxt_hpc.profiles.gas.thermodynamics import (
    EntropyFit,
    Gas,
    Intervals,
    ShellGeometry,
    density_of_norm,
    fit_entropy,
    mass_within,
)
from pyxt_hpc.spectra.models.gas import Particles

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_MODEL_DRAWS = 100
"""Largest number of draws of the density model, since one takes as long as many draws of the shells."""

_POOR_SIGMA = 8.0
"""Excess of C [standard deviations] above which a warning says that the brightness model does not fit."""

_STEADY = 25.0
"""Smallest smoothing for sums over shells: second differences of ln kT are expected to be about 0.2.

Temperatures of shells with few counts scatter by large factors, more upwards than downwards, and hotter gas
is fainter at the same density. Without smoothing, sums over shells, such as the gas mass, would be biased
high in the best fit, and by the same amount again in the draws, so that their intervals would not cover the
truth.
"""


@dataclass(frozen=True)
class ProfileOptions:
    """Options of a profile.

    Parameters
    ----------
    centre
        ``peak``, ``centroid``, or right ascension and declination.
    elliptical
        Whether to use ellipses instead of circles.
    sector
        First and last angle [deg], counterclockwise from the right of the images; None: all angles.
    band_keV
        Energy band of the brightness.
    counts, signal_to_noise
        Net counts or S/N of every annulus with a spectrum; both None: the S/N of the configuration.
    r_max
        Largest radius of a spectrum [arcsec]; None: as far as there are complete annuli.
    edge
        Range in which a density jump is fitted [arcsec]; None: no such fit.
    smoothing
        Weight of the smoothing of ln kT between shells (see `ShellFit`).
    draws
        Number of Monte Carlo draws for errors.
    seed
        Seed of the draws.
    """

    centre: str = "peak"
    elliptical: bool = False
    sector: tuple[float, float] | None = None
    band_keV: tuple[float, float] = (0.5, 2.0)
    counts: float | None = None
    signal_to_noise: float | None = None
    r_max: float | None = None
    edge: tuple[float, float] | None = None
    smoothing: float = 0.0
    draws: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        if self.counts is not None and self.signal_to_noise is not None:
            raise ConfigError("annuli by counts and by S/N at the same time: give one of them")
        for name in ("counts", "signal_to_noise", "r_max"):
            value = getattr(self, name)
            if value is not None and not 0 < value < np.inf:
                raise ConfigError(f"{name} of a profile is {value:g}, expected more than 0")
        if not 0 <= self.smoothing < np.inf:
            raise ConfigError(f"smoothing of a profile is {self.smoothing:g}, expected 0 or more")
        if self.draws < 2:
            raise ConfigError(f"draws of a profile are {self.draws}, expected 2 or more (300 is usual)")
        if self.sector is not None and not (
            np.isfinite(self.sector).all() and 0 < self.sector[1] - self.sector[0] <= 360
        ):
            first, last = self.sector
            raise ConfigError(
                f"sector from {first:g} to {last:g} degrees: expected first < last, at most 360 apart; "
                "for a sector across 0, write 330 390"
            )

    @property
    def tag(self) -> str:
        """Part of file names that identifies the sector; empty without a sector."""
        return "" if self.sector is None else f"_sector-{self.sector[0]:g}-{self.sector[1]:g}"


@dataclass(frozen=True, eq=False)
class ClusterProfile:
    """A profile of a cluster.

    Attributes
    ----------
    name, options
        Name of the cluster, and options of the profile.
    fingerprint
        Fingerprint of the bundle.
    frame, ra_deg, dec_deg
        Centre on the images and on the sky (ICRS).
    kpc_per_arcsec, redshift, abundance_table
        Scale, redshift and abundance table of the cluster.
    band, rings
        Brightness in the soft band, in rings with the width of a pixel.
    beta_models
        Beta models with one and two components.
    edge
        Density jump; None if none was asked for.
    density
        Density model fitted to the brightness.
    annuli, rows
        Annuli of the spectra, and a separate fit of each (ROW_DTYPE; norms of whole annuli).
    projection
        (n, n) fraction of each shell's emission in each annulus.
    deprojection
        The joint fit of all shells.
    geometry
        Volumes and radii of the shells.
    gas, gas_draws
        Gas properties of the shells for the best fit (n,) and for the draws (n_draw, n).
    shells
        68% intervals of every quantity of `Gas`, NaN where unknown.
    status
        (n,) status of each shell in words.
    entropy_fit
        Fit of the entropy profile; None if too few shells are known.
    core
        Classification of the core.
    """

    name: str
    options: ProfileOptions
    fingerprint: str
    frame: Frame
    ra_deg: float
    dec_deg: float
    kpc_per_arcsec: float
    redshift: float
    abundance_table: str
    band: SoftBand
    rings: Rings
    beta_models: tuple[BetaProfile, BetaProfile]
    edge: Edge | None
    density: BrightnessDensity
    annuli: Annuli
    rows: np.ndarray
    projection: FloatArray
    deprojection: Deprojection
    geometry: ShellGeometry
    gas: Gas
    gas_draws: Gas
    shells: dict[str, Intervals]
    status: tuple[str, ...]
    entropy_fit: EntropyFit | None
    core: Core

    @property
    def beta_model(self) -> BetaProfile:
        """Beta model with the lower Bayesian information criterion."""
        return preferred(*self.beta_models)


def analyse(bundle: Bundle, config: ClusterConfig, options: ProfileOptions) -> ClusterProfile:
    """Make a profile.

    Parameters
    ----------
    bundle, config
        The cluster.
    options
        Options of the profile.

    Raises
    ------
    ConfigError
        If an option is out of range, or the redshift is 0.
    EmptySelection
        If centre, sector or counts leave too few data for a profile.
    """
    scale = kpc_per_arcsec(config)
    if not scale:
        raise ConfigError(f"{config.path}: a profile of the gas needs a distance, but redshift is 0")
    frame = find_frame(bundle, options.centre, elliptical=options.elliptical, sector=options.sector)
    pixel = bundle.pixel_scale_arcsec
    band = soft_band(bundle, *options.band_keV)
    rings = rings_of(band.images, frame, pixel)
    beta_models = fit_beta_models(rings)
    beta = preferred(*beta_models)
    edge = None if options.edge is None else fit_edge(rings, *options.edge)
    annuli = choose_annuli(
        rings_of(BandImages.of(bundle), frame, pixel),
        frame,
        pixel,
        counts=options.counts,
        signal_to_noise=options.signal_to_noise or (None if options.counts else config.signal_to_noise),
        r_max=options.r_max,
    )
    rows, spectra = fit_annuli(bundle, config, annuli, beta)
    if not np.isfinite(rows["kT"]).any():
        raise EmptySelection(
            f"none of {len(annuli)} annuli has a temperature: ask for more counts in each, or another centre"
        )
    rng = np.random.default_rng(options.seed)
    edges_kpc = annuli.edges * scale
    distance = float(cosmology(config).angular_diameter_distance(bundle.redshift).to_value("kpc"))
    light = _Light(band, edges_kpc, distance, bundle)
    # The shape of the density within shells hardly depends on their temperatures.
    first = light.rate(rows["kT"], rows["abundance"])
    shape = fit_density(rings, beta, scale, first, [first], rng).best
    fit = ShellFit(spectra, projection_matrix(edges_kpc, lambda r: shape(r) ** 2), options.smoothing)
    log.info("%s: %d shells fitted jointly, %d draws", bundle.name, len(annuli), options.draws)
    start = fit.start(rows["norm"], rows["kT"], rows["abundance"])
    deprojection = fit_shells(fit, start, n_draws=options.draws, rng=rng)
    steady = deprojection
    if options.smoothing < _STEADY:
        steady = fit_shells(replace(fit, smoothing=_STEADY), start, n_draws=options.draws, rng=rng)
    bright = np.where(deprojection.no_emission, np.nan, 1.0)
    drawn = zip(steady.draws.kT[:_MODEL_DRAWS], steady.draws.abundance[:_MODEL_DRAWS], strict=True)
    density = fit_density(
        rings,
        beta,
        scale,
        light.rate(bright * steady.best.kT, steady.best.abundance),
        [light.rate(bright * kT, abundance) for kT, abundance in drawn],
        rng,
    )
    if density.statistic > density.n_bins + _POOR_SIGMA * np.sqrt(2.0 * density.n_bins):
        log.warning(
            "%s: the brightness is not that of a smooth sphere (C = %.0f in %d rings), so the shape of the "
            "density within and beyond the shells comes from a model that does not fit",
            bundle.name, density.statistic, density.n_bins,
        )  # fmt: skip
    geometry = ShellGeometry.of(edges_kpc, density.best)
    gas, gas_draws = (
        _gas(*shells, geometry, light)
        for shells in ((deprojection.best, steady.best), (deprojection.draws, steady.draws))
    )
    shells, status = intervals_of(gas, gas_draws, deprojection, spectra.options.kT_bounds)
    known = np.where(np.isfinite(shells["entropy"].value), gas.entropy, np.nan)
    time = shells["cooling_time"]
    ra, dec = (float(value) for value in bundle.wcs.all_pix2world(frame.col, frame.row, 0))
    return ClusterProfile(
        name=bundle.name,
        options=options,
        fingerprint=bundle.fingerprint,
        frame=frame,
        ra_deg=ra,
        dec_deg=dec,
        kpc_per_arcsec=scale,
        redshift=bundle.redshift,
        abundance_table=bundle.abundance_table,
        band=band,
        rings=rings,
        beta_models=beta_models,
        edge=edge,
        density=density,
        annuli=annuli,
        rows=rows,
        projection=fit.projection,
        deprojection=deprojection,
        geometry=geometry,
        gas=gas,
        gas_draws=gas_draws,
        shells=shells,
        status=status,
        entropy_fit=fit_entropy(geometry.radius_kpc, known, gas_draws.entropy),
        core=classify(
            concentration(rings, scale, beta.constant),
            (float(time.value[0]), float(time.low[0]), float(time.high[0])),
            float(geometry.radius_kpc[0]),
        ),
    )


@dataclass(frozen=True, eq=False)
class _Light:
    """Relation between the density of gas and its count rate.

    Parameters
    ----------
    band
        Energy band of the rate.
    edges_kpc
        (n + 1,) edges of shells.
    distance_kpc
        Angular diameter distance.
    bundle
        Bundle with redshift and abundance table.
    """

    band: SoftBand
    edges_kpc: FloatArray
    distance_kpc: float
    bundle: Bundle

    def norm(self, hydrogen_per_electron: ArrayLike) -> FloatArray:
        """Norm of n_e^2 = 1 cm^-6 in 1 kpc^3."""
        return norm_per_measure(hydrogen_per_electron, self.distance_kpc, self.bundle.redshift)

    def rate(self, kT: FloatArray, abundance: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """Function of radius [kpc] for the rate in the band of gas with n_e^2 = 1 cm^-6 in 1 kpc^3.

        `kT` and `abundance` (n,) are those of the shells; where they are NaN, neighbours are interpolated.
        """
        known = np.isfinite(kT)
        middle = np.sqrt(0.5 * (self.edges_kpc[1:] ** 2 + self.edges_kpc[:-1] ** 2))[known]
        electrons = Particles.of(abundance[known], self.bundle.abundance_table).electrons
        per_measure = self.band.rate(kT[known], abundance[known]) * self.norm(1.0 / electrons)
        return lambda radius_kpc: np.interp(radius_kpc, middle, per_measure)


def _gas(shells: Shells, steady: Shells, geometry: ShellGeometry, light: _Light) -> Gas:
    """Gas in shells; its mass is that of the fit with smoothed temperatures."""
    table, per_measure = light.bundle.abundance_table, float(light.norm(1.0))
    n_e, steady_n_e = (
        density_of_norm(each.norm, each.abundance, geometry.volume_kpc3, per_measure, table)
        for each in (shells, steady)
    )
    gas = Gas.of(n_e, shells.kT, shells.abundance, geometry, table)
    return replace(gas, gas_mass=mass_within(steady_n_e, steady.abundance, geometry, table))
