"""The whole analysis of a profile: from a bundle to shells of gas."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
from pyxt_hpc.profiles.core import Core, classify, concentration
from pyxt_hpc.profiles.gas.density import BrightnessDensity, fit_density, norm_per_measure
from pyxt_hpc.profiles.gas.deprojection import Deprojection, ShellFit, Shells, fit_shells
from pyxt_hpc.profiles.gas.projection import projection_matrix
from pyxt_hpc.profiles.gas.steadying import steadied
from pyxt_hpc.profiles.gas.thermodynamics import (
    EntropyFit,
    Gas,
    Interval,
    ShellGeometry,
    density_of_norm,
    fit_entropy,
    mass_within,
)
from pyxt_hpc.spectra.models.gas import Particles

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

_MODEL_DRAWS = 100
"""Of the density by brightness at most: each takes as long as many of the shells."""

_POOR_SIGMA = 8.0
"""Standard deviations of C above which a model of the brightness is told to be wrong."""

_TAIL = 0.16
"""Share of draws beyond one end of a 68% interval."""


@dataclass(frozen=True)
class ProfileOptions:
    """How a profile is made.

    Parameters
    ----------
    centre
        ``peak``, ``centroid``, or right ascension and declination.
    elliptical
        Along ellipses instead of circles.
    sector
        First and last angle [deg], counterclockwise from the right of the images; None: all around.
    band_keV
        Of the brightness.
    counts, signal_to_noise
        Net counts or S/N of every annulus that gets a spectrum; neither: the S/N of the configuration.
    r_max
        Largest radius of a spectrum [arcsec]; None: as far as there are whole annuli.
    edge
        Range in which an edge of the density is looked for [arcsec]; None: nowhere.
    smoothing
        Of ln kT from shell to shell (see `ShellFit`).
    draws
        Monte Carlo draws that tell errors.
    seed
        Of these.
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
                f"sector from {first:g} to {last:g} degrees: expected first < last and at most 360 between; "
                "one across 0 is 330 390"
            )

    @property
    def tag(self) -> str:
        """What tells products of this profile from those of another, for names of files."""
        return "" if self.sector is None else f"_sector-{self.sector[0]:g}-{self.sector[1]:g}"


@dataclass(frozen=True, eq=False)
class ClusterProfile:
    """A profile of a cluster.

    Attributes
    ----------
    name, options
        Of the cluster, and how the profile was made.
    fingerprint
        Of the bundle.
    frame, ra_deg, dec_deg
        Centre on the images and on the sky (ICRS).
    kpc_per_arcsec, redshift, abundance_table
        Of the cluster.
    band, rings
        Brightness in the soft band, in rings of the width of a pixel.
    beta_models
        With one and two components.
    edge
        If one was looked for.
    density
        By the brightness.
    annuli, rows
        Where spectra were taken, and the fit of each for itself (ROW_DTYPE; norms of whole annuli).
    projection
        (n, n) share of the shells' emission in the annuli.
    deprojection
        The joint fit of all shells.
    geometry
        Of the shells.
    gas, gas_draws
        What the shells are: of the best fit (n,), and of the draws (n_draw, n).
    shells
        68% intervals of every quantity of `Gas`, NaN where nothing is known.
    status
        (n,) words about each shell.
    entropy_fit
        None where too few shells are known.
    core
        Classification.
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
    shells: dict[str, Interval]
    status: tuple[str, ...]
    entropy_fit: EntropyFit | None
    core: Core

    @property
    def beta_model(self) -> BetaProfile:
        """That of the two whose parameters are worth it."""
        return preferred(*self.beta_models)


def analyse(bundle: Bundle, config: ClusterConfig, options: ProfileOptions) -> ClusterProfile:
    """Make a profile.

    Parameters
    ----------
    bundle, config
        The cluster.
    options
        How.

    Raises
    ------
    ConfigError
        If options cannot be, or the cluster has no distance.
    EmptySelection
        If centre, sector or counts leave nothing to make a profile of.
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
    by_default = config.signal_to_noise if options.counts is None else None
    annuli = choose_annuli(
        rings_of(BandImages.of(bundle), frame, pixel),
        frame,
        pixel,
        counts=options.counts,
        signal_to_noise=options.signal_to_noise or by_default,
        r_max=options.r_max,
    )
    rows, spectra = fit_annuli(bundle, config, annuli, beta)
    if not np.isfinite(rows["kT"]).any():
        raise EmptySelection(
            f"none of {len(annuli)} annuli has a temperature: ask for more counts in each, or another centre"
        )
    rng = np.random.default_rng(options.seed)
    distance = float(cosmology(config).angular_diameter_distance(bundle.redshift).to_value("kpc"))
    edges_kpc = annuli.edges * scale

    def rate_of(kT: FloatArray, abundance: FloatArray) -> Callable[[FloatArray], FloatArray]:
        return _rate_per_measure(band, kT, abundance, edges_kpc, distance, bundle)

    # how the density runs within shells does not depend on the temperature of the shells
    first = rate_of(rows["kT"], rows["abundance"])
    shape = fit_density(rings, beta, scale, first, [first], rng).best
    projection = projection_matrix(edges_kpc, lambda r: shape(r) ** 2)
    fit = ShellFit(spectra, projection, options.smoothing)
    log.info("%s: %d shells fitted jointly, %d draws", bundle.name, len(annuli), options.draws)
    start = fit.start(rows["norm"], rows["kT"], rows["abundance"])
    deprojection = fit_shells(fit, start, n_draws=options.draws, rng=rng)
    best, draws = deprojection.best, deprojection.draws
    without, at_bound = _without(deprojection), _at_bound(best.kT, spectra.options.kT_bounds)
    steady = steadied(deprojection, ~without & ~at_bound)
    warm = np.where(deprojection.no_emission, np.nan, 1.0)
    density = fit_density(
        rings,
        beta,
        scale,
        rate_of(warm * steady.kT, best.abundance),
        [
            rate_of(warm * steady.kT_draws[i], draws.abundance[i])
            for i in range(min(options.draws, _MODEL_DRAWS))
        ],
        rng,
    )
    if density.statistic > density.n_bins + _POOR_SIGMA * np.sqrt(2.0 * density.n_bins):
        log.warning(
            "%s: the brightness is no smooth sphere (C = %.0f in %d rings): how the density runs within "
            "shells and beyond the last one is taken from a model that does not fit",
            bundle.name, density.statistic, density.n_bins,
        )  # fmt: skip
    geometry = ShellGeometry.of(edges_kpc, density.best)
    per_measure = float(norm_per_measure(1.0, distance, bundle.redshift))
    table = bundle.abundance_table

    def gas_of(shells: Shells, steady_norm: FloatArray) -> Gas:
        n_e, steady_n_e = (
            density_of_norm(norm, shells.abundance, geometry.volume_kpc3, per_measure, table)
            for norm in (shells.norm, steady_norm)
        )
        gas = Gas.of(n_e, shells.kT, shells.abundance, geometry, table)
        return replace(gas, gas_mass=mass_within(steady_n_e, shells.abundance, geometry, table))

    gas, gas_draws = gas_of(best, steady.norm), gas_of(draws, steady.norm_draws)
    shells, status = _intervals(gas, gas_draws, deprojection, spectra.options.kT_bounds)
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
        abundance_table=table,
        band=band,
        rings=rings,
        beta_models=beta_models,
        edge=edge,
        density=density,
        annuli=annuli,
        rows=rows,
        projection=projection,
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


def _rate_per_measure(
    band: SoftBand,
    kT: FloatArray,
    abundance: FloatArray,
    edges_kpc: FloatArray,
    distance_kpc: float,
    bundle: Bundle,
) -> Callable[[FloatArray], FloatArray]:
    """Rate in the band of gas with n_e^2 = 1 cm^-6 in 1 kpc^3 by its radius.

    Of temperatures and abundances (n,) between edges; where they are NaN the neighbours' hold.
    """
    known = np.isfinite(kT)
    middle = np.sqrt(0.5 * (edges_kpc[1:] ** 2 + edges_kpc[:-1] ** 2))[known]
    electrons = Particles.of(abundance[known], bundle.abundance_table).electrons
    norm = norm_per_measure(1.0 / electrons, distance_kpc, bundle.redshift)
    per_measure = band.rate(kT[known], abundance[known]) * norm
    return lambda radius_kpc: np.interp(radius_kpc, middle, per_measure)


def _without(fit: Deprojection) -> NDArray[np.bool_]:
    """Shells whose emission is not significant."""
    return np.asarray(fit.no_emission | (fit.no_emission_drawn.mean(axis=0) > _TAIL))


def _at_bound(kT: FloatArray, bounds: tuple[float, float] | None) -> NDArray[np.bool_]:
    low, high = bounds or (0.0, np.inf)
    return np.asarray((kT <= low * (1 + 1e-9)) | (kT >= high * (1 - 1e-9)))


def _intervals(
    gas: Gas, draws: Gas, fit: Deprojection, kT_bounds: tuple[float, float] | None
) -> tuple[dict[str, Interval], tuple[str, ...]]:
    """Intervals of all quantities, blank where nothing is known, and words about each shell."""
    without, at_bound = _without(fit), _at_bound(gas.kT, kT_bounds)
    shells = {}
    for name, value in vars(gas).items():
        of_draws = np.where(fit.no_emission_drawn, np.nan, getattr(draws, name))
        shells[name] = Interval.of_draws(value, of_draws)
    low, high = kT_bounds or (0.0, np.inf)
    open_lo = np.mean(draws.kT <= low * (1 + 1e-9), axis=0) > _TAIL
    open_hi = np.mean(draws.kT >= high * (1 - 1e-9), axis=0) > _TAIL
    # no gas has no temperature; its density and mass are limits from above
    for name in ("kT", "abundance", "pressure", "entropy", "cooling_time"):
        shells[name] = shells[name].blanked(without)
    for name in ("kT", "pressure", "entropy", "cooling_time"):
        one = shells[name]
        shells[name] = Interval(
            np.where(at_bound, np.nan, one.value),
            np.where(open_lo, np.nan, one.low),
            np.where(open_hi, np.nan, one.high),
        )
    n_e = shells["n_e"]
    limit = np.percentile(draws.n_e, 100.0 * (1.0 - _TAIL), axis=0)
    shells["n_e"] = Interval(
        np.where(without, np.nan, n_e.value),
        np.where(without, np.nan, n_e.low),
        np.where(without, limit, n_e.high),
    )
    # the draws have found another solution than the fit, as where most of a shell is masked
    n_e = shells["n_e"]
    astray = ~without & ((n_e.value < n_e.low) | (n_e.value > n_e.high))
    for name, one in shells.items():
        shells[name] = Interval(np.where(astray, np.nan, one.value), one.low, one.high)
    words = np.select(
        [without, astray, at_bound, open_lo | open_hi],
        ["no significant emission", "not determined", "kT at its bound", "kT interval open"],
        "ok",
    ).tolist()
    if words[-1] == "ok":
        words[-1] = "ok, kT also of the gas beyond"
    return shells, tuple(words)
