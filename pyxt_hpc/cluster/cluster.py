"""A cluster as an object: configuration, bundle, results and maps."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from astropy.units import Quantity
from astropy.wcs import WCS
from numpy.typing import ArrayLike

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.cluster.arguments import checked, pair, pool_or_this_process, whole_number
from pyxt_hpc.cluster.fitting import fit_configured
from pyxt_hpc.cluster.mass import Mass
from pyxt_hpc.cluster.profile import Profile
from pyxt_hpc.cluster.region import RegionFit, region_line
from pyxt_hpc.cluster.results import FitResults
from pyxt_hpc.cluster.sky_map import OF_MAPS, SkyMap, map_in_memory, map_of
from pyxt_hpc.config.cluster import RESOLUTION_STEP, ClusterConfig, read_config
from pyxt_hpc.config.parsers import Integer
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.fit.brightness.sky import SkyBrightness, sky_brightness
from pyxt_hpc.fit.inputs import (
    OF_FITS,
    check_bundle,
    config_of,
    read_cluster_bundle,
    read_region_map,
    warn_of_changed_settings,
    with_settings,
)
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.fit.single.one_region import fit_one_region
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.fitted import read_fitted_regions
from pyxt_hpc.parallel.pools.pool import Pool
from pyxt_hpc.profiles.analysis import ProfileOptions, analyse
from pyxt_hpc.profiles.mass.estimate import MassOptions, mass_problem, prepare_sampling, sample_mass
from pyxt_hpc.profiles.mass.models import WAYS
from pyxt_hpc.profiles.mass.sampler import SamplerOptions
from pyxt_hpc.profiles.mass.tables import annuli_of, made_from, read_annuli
from pyxt_hpc.profiles.tables import shell_table
from pyxt_hpc.stages.bins.scale_map import make_region_map
from pyxt_hpc.store.reader import open_store
from pyxt_hpc.store.reader import read_store as read_store

_SEED = Integer(0, 2**31 - 1)


class Cluster:
    """A cluster of galaxies with an INI file as its configuration.

    Files are read when they are needed, and only methods named ``write`` write files. All errors are
    subclasses of `pyxt_hpc.errors.PyxtError`; each message says what to do.

    Parameters
    ----------
    config
        Path of the INI file, or a configuration from `read_config`.

    Attributes
    ----------
    config : ClusterConfig
        All settings, in keV, 1e22 cm^-2 and solar abundances.

    Examples
    --------
    >>> import pyxt_hpc as px
    >>> cluster = px.Cluster("A1795_cluster_config.ini")  # doctest: +SKIP
    >>> cluster.map("temperature", paint="interpolate").plot()  # doctest: +SKIP
    """

    def __init__(self, config: str | os.PathLike[str] | ClusterConfig) -> None:
        self.config = config if isinstance(config, ClusterConfig) else read_config(config)

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return self.config.name

    @cached_property
    def bundle(self) -> Bundle:
        """Events, images, exposures and responses, which are the input of stages 5 to 7.

        Raises
        ------
        MissingInput, DamagedFile, ForeignProduct
            If there is no bundle, it cannot be read, or it was made with another configuration.
        """
        return read_cluster_bundle(self.config)

    @property
    def wcs(self) -> WCS:
        """Sky coordinates of all images and maps."""
        return self.bundle.wcs

    @property
    def brightness(self) -> Quantity:
        """Surface brightness (ny, nx), corrected for exposure and background; NaN without exposure."""
        return Quantity(self.bundle.brightness, "ct s-1 arcmin-2")

    @property
    def scale_map(self) -> Quantity:
        """Radius (ny, nx) of each pixel's circle, or of a circle with the area of its bin; 0: none."""
        return Quantity(self._region_map.radius, "pix")

    @property
    def bins(self) -> np.ndarray:
        """Number (ny, nx) int32 of the circle centred at each pixel, or of the bin that holds it; 0: none."""
        return self._region_map.index.copy()

    @cached_property
    def _region_map(self) -> RegionMap:
        return read_region_map(self.config, self.bundle)

    @property
    def _results_path(self) -> Path:
        return Layout.of(self.config).results

    @property
    def _index_map(self) -> str:
        """Path of the map with the numbers of regions, for messages."""
        return str(Layout.of(self.config).region_index_map)

    @property
    def results(self) -> FitResults:
        """Fits of all regions, read from the results store at each access.

        Raises
        ------
        MissingInput, DamagedFile, ForeignProduct
            If there is no results store, it cannot be read, or its fits were made from another bundle.
        """
        bundle = self.bundle
        stored = read_store(self._results_path)
        check_bundle(stored, bundle, self._results_path, self.config)
        return FitResults(stored, bundle, partial(_region_map_of, self))

    def regions(self, resolution: int = 2) -> np.ndarray:
        """Regions that ``fit-spectra --resolution`` fits.

        Parameters
        ----------
        resolution
            1: every 5th pixel, 2: every 3rd pixel, 3: every pixel. Bins that share no pixel are all fitted.

        Returns
        -------
        numpy.ndarray
            (n,) with the columns region, row, col, radius [pixels]. For a bin, they are the pixel nearest to
            its centroid and the radius of a circle with its area; to fit bins, give `bins` to `fit_spectra`.
        """
        if resolution not in RESOLUTION_STEP:
            raise ConfigError(f"resolution is {resolution}, expected 1, 2 or 3")
        return self._region_map.select(resolution).table

    def map(self, name: str = "temperature", paint: str = "block", **settings: object) -> SkyMap:
        """Map of the fits, as from ``pyxt-hpc make-maps``; arguments and errors as for `make_map`."""
        return self._map(with_settings(self.config, settings, OF_MAPS), name, paint)

    def _map(self, config: ClusterConfig, name: str, paint: str) -> SkyMap:
        return map_of(read_fitted_regions(config), name, paint)

    def fit_region(self, number: int, **settings: object) -> RegionFit:
        """Fit one region, and return its fit with the spectra.

        Parameters
        ----------
        number
            Number of the region, as in the results store and the region index map.
        **settings
            Keys of ``[spectral]`` in the configuration, such as ``free_abundance = True``.

        Raises
        ------
        ConfigError
            If there is no such region, no observation saw enough of it, or a setting is unknown or out of
            range.
        """
        config = with_settings(self.config, settings, OF_FITS)
        region = self._region_map.numbered(np.array([whole_number("region", number)]), self._index_map)
        one = fit_one_region(self.bundle, config, region, self._sky)
        return RegionFit(self.name, one, region_line(one, self.bundle, config))

    def region_at(self, ra: float, dec: float) -> int:
        """Number of the circle centred at the pixel of a sky position, or of the bin that holds this pixel.

        Parameters
        ----------
        ra, dec
            Right ascension and declination [deg] or as angles with a unit, ICRS.

        Raises
        ------
        ConfigError
            If the position is outside the images, or there is no region.
        """
        ra, dec = (float(Quantity(angle, "deg").value) for angle in (ra, dec))
        col, row = (float(at) for at in self.wcs.wcs_world2pix(ra, dec, 0))
        ny, nx = self.bundle.mask.shape
        # In this form, NaN also raises the error.
        if not (-0.5 <= row < ny - 0.5 and -0.5 <= col < nx - 0.5):
            raise ConfigError(
                f"{ra:.5f} {dec:+.5f} is outside of the images of {self.name}, {ny} x {nx} pixels: correct it"
            )
        at = round(row), round(col)
        number = int(self.bins[at])
        if number == 0:
            why = (
                "the S/N that was asked for is not reached there"
                if self.bundle.mask[at]
                else "it is off the chips, in a gap, or in a source that was cut out"
            )
            raise ConfigError(f"there is no region at {ra:.5f} {dec:+.5f}: {why}; see {self._index_map}")
        return number

    def fit_spectra(self, regions: ArrayLike, pool: Pool | None = None, **settings: object) -> FitResults:
        """Fit regions with the settings of this cluster; arguments as for `fit_spectra`; writes no file."""
        config = with_settings(self.config, settings, OF_FITS)
        fitted = fit_configured(self.bundle, config, regions, pool, self._sky)
        if np.ndim(regions) == 2:
            return fitted  # with the map of the given bins
        return replace(fitted, region_map=partial(_region_map_of, self))

    def profile(
        self,
        center: str = "peak",
        *,
        elliptical: bool = False,
        sector: Sequence[float] | None = None,
        counts: float | None = None,
        signal_to_noise: float | None = None,
        r_max: float | None = None,
        band: Sequence[float] = (0.5, 2.0),
        edge: Sequence[float] | None = None,
        smoothing: float = 0.0,
        draws: int = 300,
        seed: int = 0,
        **settings: object,
    ) -> Profile:
        """Radial profile of brightness and gas, as from ``pyxt-hpc profile-analysis``; writes no file.

        Parameters
        ----------
        center
            ``peak``, ``centroid``, or ``RA DEC``.
        elliptical
            Whether to use the ellipses of the best beta model instead of circles.
        sector
            First and last angle [deg], counterclockwise from the right of the images; None: all angles.
        counts, signal_to_noise
            Net counts or S/N of every annulus; both None: the S/N of the configuration.
        r_max
            Largest radius of a spectrum [arcsec].
        band
            Energy band of the brightness [keV].
        edge
            Range of radii in which a density jump is fitted [arcsec].
        smoothing
            Weight of the second differences of ln kT between shells.
        draws, seed
            Number of Monte Carlo draws for the errors, and their seed.
        **settings
            Keys of ``[spectral]`` in the configuration, such as ``free_abundance = True``.

        Raises
        ------
        ConfigError
            If an option is out of range, or the centre is outside the images.
        EmptySelection
            If centre, sector or counts leave no data for a profile.
        """
        options = ProfileOptions(
            centre=str(center),
            elliptical=elliptical,
            sector=None if sector is None else pair("sector", sector),
            band_keV=pair("band", band),
            counts=counts,
            signal_to_noise=signal_to_noise,
            r_max=r_max,
            edge=None if edge is None else pair("edge", edge),
            smoothing=smoothing,
            draws=checked("draws", draws, Integer(2, 100_000)),
            seed=checked("seed", seed, _SEED),
        )
        config = with_settings(self.config, settings, (*OF_FITS, *OF_MAPS))
        return Profile(analyse(self.bundle, config, options))

    def mass(
        self,
        profile: Profile | None = None,
        *,
        sector: Sequence[float] | None = None,
        ways: Sequence[str] = WAYS,
        core: bool = False,
        ensembles: int = 2,
        max_steps: int = 20_000,
        seed: int = 1,
        pool: Pool | None = None,
    ) -> Mass:
        """Hydrostatic mass, as from ``pyxt-hpc mass-estimation``; writes no file.

        Parameters
        ----------
        profile
            Profile from `profile`; None: the one that ``profile-analysis`` wrote for this `sector`.
        sector
            Sector as in `profile`; not used if a profile is given.
        ways
            ``forward``: models of temperature and density; ``backward``: models of an NFW halo and density.
        core
            Whether the density has a second component.
        ensembles
            Number of ensembles of walkers for each way.
        max_steps
            Largest number of steps of an ensemble; it stops earlier when its chain has converged.
        seed
            Seed of the random numbers.
        pool
            Pool from `choose_pool`; None: this process.

        Raises
        ------
        MissingInput, DamagedFile, ForeignProduct
            If there is no profile, it cannot be read, or it was made from another bundle.
        EmptySelection
            If there are too few annuli, or no model near the data is in hydrostatic equilibrium.
        """
        options = MassOptions(
            ways=(ways,) if isinstance(ways, str) else tuple(ways),
            core=core,
            ensembles=checked("ensembles", ensembles, Integer(1, 64)),
            sampler=SamplerOptions(
                max_steps=checked("max_steps", max_steps, Integer(1, 10**7)),
                seed=checked("seed", seed, _SEED),
            ),
        )
        pool = pool_or_this_process(pool)
        if profile is None:
            tag = ProfileOptions(sector=None if sector is None else pair("sector", sector)).tag
            annuli, abundance = read_annuli(self.config, self.bundle, tag)
        else:
            tag = profile.analysis.options.tag
            annuli, abundance = annuli_of(
                shell_table(profile.analysis), self.bundle, self.config, "the profile"
            )
        problem = mass_problem(self.bundle, self.config, annuli, abundance, options)
        with tempfile.TemporaryDirectory() as directory:
            sampling = prepare_sampling(problem, lambda way, k: Path(directory) / f"{way}-{k}.h5")
            found = sample_mass(sampling, pool)
        assert found is not None, "MPI ranks come with the command line"
        return Mass(self.name, found, tag, made_from(self.bundle, self.config))

    @cached_property
    def _sky(self) -> SkyBrightness:
        return sky_brightness(self.bundle)

    def __repr__(self) -> str:
        config = self.config
        obsids = config.observation_ids
        some = ", ".join(obsids[:4]) + (", ..." if len(obsids) > 4 else "")
        return (
            f"<Cluster {config.name}: ObsIDs {some}; z {config.redshift:g}, nH {config.nH:g}e22 cm^-2, "
            f"{config.energy_min_keV:g}-{config.energy_max_keV:g} keV, S/N {config.signal_to_noise:g}>"
        )


def _region_map_of(cluster: Cluster) -> RegionMap:
    """Map from which regions are chosen; unlike a lambda, it can be pickled with results."""
    return cluster._region_map


class _OpenedBundle(Cluster):
    """A cluster without an INI file: regions are computed, and results are read from the bundle's folder."""

    def __init__(self, path: Path, bundle: Bundle, config: ClusterConfig) -> None:
        super().__init__(config)
        self._path = path
        self.bundle = bundle

    @property
    def _results_path(self) -> Path:
        return _results_beside(self._path, self.bundle)

    @property
    def _index_map(self) -> str:
        return "the scale map"

    @cached_property
    def _region_map(self) -> RegionMap:
        return make_region_map(self.bundle, self.config)[0]

    def _map(self, config: ClusterConfig, name: str, paint: str) -> SkyMap:
        results = self.results
        warn_of_changed_settings(results.stored, self.bundle, self._results_path, config)
        return map_in_memory(config, results, name, paint)


def open_bundle(path: str | os.PathLike[str], **settings: object) -> Cluster:
    """Open a bundle as a cluster, without an INI file.

    The scale map is computed when it is needed. If the bundle's folder has results from this bundle, the
    cluster gets their settings.

    Parameters
    ----------
    path
        Path of the bundle, such as ``A1795_bundle.h5``.
    **settings
        Keys of the configuration that the bundle does not have, such as ``signal_to_noise_threshold = 40`` or
        ``free_abundance = True``.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If there is no bundle, it cannot be read, or it has another version.
    ConfigError
        If a setting is unknown or out of range.
    """
    path = Path(path)
    bundle = read_bundle(path)
    results = _results_beside(path, bundle)
    stored = None
    if check_regular(results):
        with open_store(results) as file:
            stored = file.description["settings"]
    known = stored if stored and stored["bundle"] == bundle.fingerprint else None
    return _OpenedBundle(path, bundle, with_settings(config_of(bundle, known), settings))


def _results_beside(path: Path, bundle: Bundle) -> Path:
    return path.with_name(Layout(path.parent, bundle.name).results.name)
