"""The joint model of all observations: what a fit of any region needs, as plain arrays."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.chandra.ogip.response import Rmf
from pyxt_hpc.errors import ConfigError, DamagedFile
from pyxt_hpc.fit.extract import disc_sums, extract_regions, weighted_disc_sums
from pyxt_hpc.fit.inputs import source_model
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid
from pyxt_hpc.spectra.grouping import bin_lookup, channel_bins, merge_levels, resolution_bins
from pyxt_hpc.spectra.templates import column_grid
from pyxt_hpc.store.rows import MAX_OBSERVATIONS

BINNINGS = ("auto", "resolution", "channels")
"""Spectral bins: as wide as the background's counts ask for; half the detector's resolution; channels."""

_WHOLE = 65535
"""Live images are whole numbers up to this: a fourth of the memory."""


@dataclass(frozen=True)
class JointModel:
    """Model and events of all observations, their spectral bins side by side.

    Parameters
    ----------
    kT, nH
        (n_kT,), (n_nH,) temperatures [keV] and column densities [1e22 cm^-2] of the model.
    hhe, metals
        (n_nH, n_kT, n_bin) count rates at norm 1 on the optical axis, of H and He and of metals at
        abundance 1 [count s^-1].
    first_bin
        (n_obs + 1,) where the bins of each observation begin.
    background_shape
        (n_bin,) counts of each observation's whole background file.
    level_first, level_edges
        (n_level + 1,), (...): level l fits in bins with the edges ``level_edges[level_first[l] :
        level_first[l + 1]]`` (see `grouping.merge_levels`).
    pointing
        (n_obs,) place of the first dataset of the same ObsID: front- and back-illuminated chips of one
        observation look at the sky together.
    exposure_s, ratio
        (n_obs,) exposure [s]; background counts in the blank-sky file per background count expected
        in the observation.
    minimum_fraction
        (1,) an observation takes part where at least this share of the circle's brightness is live in it.
    brightness
        (ny + 2 m, nx + 2 m) relative brightness of the cluster, in m pixels around the images, too.
    observations
        Per observation the arrays of `_observation_arrays`.
    """

    kT: np.ndarray
    nH: np.ndarray
    hhe: np.ndarray
    metals: np.ndarray
    first_bin: np.ndarray
    background_shape: np.ndarray
    level_first: np.ndarray
    level_edges: np.ndarray
    pointing: np.ndarray
    exposure_s: np.ndarray
    ratio: np.ndarray
    minimum_fraction: np.ndarray
    brightness: np.ndarray
    observations: tuple[dict[str, np.ndarray], ...]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat dictionary of arrays that ranks can share."""
        flat = {key: value for key, value in vars(self).items() if key != "observations"}
        for i, arrays in enumerate(self.observations):
            flat |= {f"{i}/{key}": value for key, value in arrays.items()}
        return flat

    @classmethod
    def from_arrays(cls, flat: dict[str, np.ndarray]) -> "JointModel":
        """Inverse of `to_arrays`, without copying."""
        common = {key: value for key, value in flat.items() if "/" not in key}
        observations = tuple(
            {key.split("/")[1]: value for key, value in flat.items() if key.startswith(f"{i}/")}
            for i in range(len(common["exposure_s"]))
        )
        return cls(**common, observations=observations)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the images."""
        return self.observations[0]["live"].shape[:2]

    @property
    def grid(self) -> ModelGrid:
        """The model as the engine takes it."""
        return ModelGrid(self.kT, self.nH, self.hhe, self.metals)

    def levels(self) -> list[np.ndarray]:
        """Edges of the bins of every level."""
        return np.split(self.level_edges, self.level_first[1:-1])


@dataclass(frozen=True)
class RegionSpectra:
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


def base_bins(bundle: Bundle, rmf: Rmf, binning: str) -> np.ndarray:
    """Edges of the finest bins of a binning, in channels."""
    if binning == "channels":
        return channel_bins(bundle.energy_min_keV, bundle.energy_max_keV, rmf)
    return resolution_bins(rmf, bundle.energy_min_keV, bundle.energy_max_keV)


def joint_model(
    bundle: Bundle, brightness: np.ndarray, minimum_fraction: float, options: FitOptions, binning: str
) -> JointModel:
    """Fold the plasma model through every observation's response.

    Parameters
    ----------
    bundle
        The cluster.
    brightness
        (ny + 2 m, nx + 2 m) relative brightness in and around its images: `SkyBrightness.image`.
    minimum_fraction
        An observation takes part in a region where at least this share of the circle's brightness is live.
    options
        Of the fits: whether nH is free, and in what bounds.
    binning
        One of `BINNINGS`.

    Raises
    ------
    DamagedFile
        If a response is not finite, or an exposure or background scale not positive.
    ConfigError
        If there are more observations than a results store can name.
    """
    if len(bundle.observations) > MAX_OBSERVATIONS:
        raise ConfigError(
            f"{bundle.name}: there are {len(bundle.observations)} observations; at most {MAX_OBSERVATIONS} "
            "can be fitted together: leave the shortest out of observation_ids"
        )
    kT, source = np.empty(0), source_model(bundle)
    columns = np.array([bundle.nH]) if options.nH_bounds is None else column_grid(options.nH_bounds)
    hhe: list[np.ndarray] = []
    metals: list[np.ndarray] = []
    bins, arrays, shapes, levels = [0], [], [], []
    for observation in bundle.observations:
        for name in ("exposure_s", "background_scale"):
            # written so that NaN fails
            if not 0 < getattr(observation, name) < np.inf:
                raise DamagedFile(
                    f"observation {observation.dataset}: its {name} in the bundle is "
                    f"{getattr(observation, name)}, expected more than 0; make the bundle again with "
                    "`pyxt-hpc crop-data --force`"
                )
        edges = base_bins(bundle, observation.rmf, binning)
        folded = [
            replace(source, nH=float(column)).fold(observation.arf, observation.rmf) for column in columns
        ]
        kT = folded[0].kT
        for component, rates in ((hhe, [f.hhe for f in folded]), (metals, [f.metals for f in folded])):
            component.append(np.add.reduceat(np.stack(rates)[..., : edges[-1]], edges[:-1], axis=-1))
        if not (np.all(np.isfinite(hhe[-1])) and np.all(np.isfinite(metals[-1]))):
            raise DamagedFile(
                f"observation {observation.dataset}: its ARF or RMF has values that are not finite; make "
                "them again, then the bundle with `pyxt-hpc run --through crop-data`"
            )
        channels = np.bincount(observation.background_channel, minlength=observation.rmf.n_channels)
        shapes.append(np.add.reduceat(channels[: edges[-1]].astype(float), edges[:-1]))
        levels.append(
            _levels(kT, columns, hhe[-1], metals[-1], shapes[-1], bundle.nH, options)
            if binning == "auto" and options.statistic == "wstat"
            else (np.arange(len(edges)),)
        )
        arrays.append(_observation_arrays(observation, edges))
        bins.append(bins[-1] + len(edges) - 1)
    level_edges = [
        np.concatenate([[0]] + [part[1:] + first for part, first in zip(level, bins[:-1], strict=True)])
        for level in zip(*levels, strict=True)
    ]
    obsids = [o.obsid for o in bundle.observations]
    return JointModel(
        kT=kT,
        nH=columns,
        hhe=np.concatenate(hhe, axis=-1),
        metals=np.concatenate(metals, axis=-1),
        first_bin=np.array(bins),
        background_shape=np.concatenate(shapes),
        level_first=np.cumsum([0] + [len(edges) for edges in level_edges]),
        level_edges=np.concatenate(level_edges),
        pointing=np.array([obsids.index(obsid) for obsid in obsids]),
        exposure_s=np.array([o.exposure_s for o in bundle.observations]),
        ratio=np.array([1.0 / o.background_scale for o in bundle.observations]),
        minimum_fraction=np.array([minimum_fraction]),
        brightness=brightness,
        observations=tuple(arrays),
    )


def _levels(
    kT: np.ndarray,
    columns: np.ndarray,
    hhe: np.ndarray,
    metals: np.ndarray,
    shape: np.ndarray,
    nH: float,
    options: FitOptions,
) -> tuple[np.ndarray, ...]:
    """Wider bins that keep what is to be known of every free parameter."""
    rates = hhe + options.abundance * metals
    nearest = int(np.abs(columns - nH).argmin())
    other: list[np.ndarray] = []
    if options.abundance_bounds is not None:
        other.append(metals[nearest])
    if options.nH_bounds is not None:
        other.append(rates[min(nearest + 1, len(columns) - 1)] - rates[max(nearest - 1, 0)])
    return merge_levels(kT, rates[nearest], shape, other)


def _observation_arrays(observation: BundleObservation, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Events with their bins, the live images of one observation, and its area between their energies."""
    rmf, n_bin = observation.rmf, len(edges) - 1
    # The last of n_bin + 1 bins takes what is outside the band; in as few bytes as hold it.
    lookup = np.where((found := bin_lookup(edges, rmf.n_channels)) < 0, n_bin, found)
    lookup = lookup.astype(np.uint8 if n_bin < 256 else np.int16)
    few = max(len(observation.event_channel), len(observation.background_channel)) < 2**31
    offset = np.int32 if few else np.int64
    centre = 0.5 * (rmf.channel_lo_keV[edges[:-1]] + rmf.channel_hi_keV[edges[1:] - 1])
    nodes = observation.vignetting_keV
    largest = max(float(observation.vignetting.max()), 1.0)
    live = np.empty((*observation.mask.shape, 1 + len(nodes)), np.uint16)
    for i, image in enumerate([observation.mask, *(observation.mask * observation.vignetting)]):
        live[..., i] = np.rint(image * np.float32(_WHOLE / largest))
    return {
        "indptr": observation.event_indptr.astype(offset),
        "bin": lookup[observation.event_channel],
        "background_indptr": observation.background_indptr.astype(offset),
        "background_bin": lookup[observation.background_channel],
        # (ny, nx, 1 + n_energy): the mask, then the area at each energy
        "live": live,
        "live_unit": np.array([largest / _WHOLE]),
        # (n_energy, n_bin): linear interpolation of the area between the energies it is known at
        "interpolation": np.array([np.interp(centre, nodes, unit) for unit in np.eye(len(nodes))]),
    }


@dataclass(frozen=True)
class Circles:
    """Circles, and what of their brightness an observation sees.

    Parameters
    ----------
    row, col, radius
        (n,) centres and radii [pixels]; centres are inside the images.
    model
        Of the cluster.

    Raises
    ------
    ConfigError
        If a circle reaches where the brightness is not known.
    """

    row: np.ndarray
    col: np.ndarray
    radius: np.ndarray
    model: JointModel

    def __post_init__(self) -> None:
        ny, nx = self.model.shape
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
        return (self.model.brightness.shape[0] - self.model.shape[0]) // 2

    @cached_property
    def brightness(self) -> np.ndarray:
        """(n,) sum over the whole circle."""
        m = self._margin
        return disc_sums(self.row + m, self.col + m, self.radius, self.model.brightness[None])[:, 0]

    def seen_by(self, observation: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What an observation sees of each circle.

        Returns
        -------
        share : (n,)
            Of the circle's brightness: sum(S live)/sum(S), the denominator over the whole circle.
        area : (n, n_energy)
            Relative to the ARF at the energies where it is known: sum(S live vignetting)/sum(S).
        takes_part : (n,) bool
            Whether the share is large enough.
        """
        arrays = self.model.observations[observation]
        sums = weighted_disc_sums(self.row, self.col, self.radius, self.model.brightness, arrays["live"])
        seen = sums * (arrays["live_unit"] / self.brightness[:, None])
        # rounded: a fraction given in decimals is not missed by an error of the last bit
        takes_part = np.round(seen[:, 0], 9) >= self.model.minimum_fraction[0]
        return seen[:, 0], seen[:, 1:], takes_part & (seen[:, 0] > 0)


def extract_spectra(model: JointModel, row: np.ndarray, col: np.ndarray, radius: np.ndarray) -> RegionSpectra:
    """Spectra, effective exposures and participating observations of some regions.

    Parameters
    ----------
    model
        Of the cluster.
    row, col, radius
        (n_region,) centres and radii [pixels].
    """
    n_region, n_bin, n_obs = len(row), model.hhe.shape[2], len(model.exposure_s)
    source = np.zeros((n_region, n_bin), np.int32)
    background = np.zeros((n_region, n_bin), np.int32)
    weight = np.zeros((n_region, n_bin))
    ratio = np.zeros((n_region, n_bin))
    taking_part = np.zeros((n_region, n_obs), bool)
    live_share = np.zeros((n_region, n_obs))
    circles = Circles(row, col, radius, model)
    for i, arrays in enumerate(model.observations):
        bins = slice(model.first_bin[i], model.first_bin[i + 1])
        n = bins.stop - bins.start
        live_share[:, i], area, taking_part[:, i] = circles.seen_by(i)
        shape = model.shape
        source[:, bins] = extract_regions(row, col, radius, arrays["indptr"], arrays["bin"], n, shape)
        background[:, bins] = extract_regions(
            row, col, radius, arrays["background_indptr"], arrays["background_bin"], n, shape
        )
        # Term by term: a matrix product rounds differently in chunks of other sizes, and results must not.
        for node, share in zip(area.T, arrays["interpolation"], strict=True):
            weight[:, bins] += model.exposure_s[i] * node[:, None] * share
        ratio[:, bins] = model.ratio[i]
        for array in (source, background, weight):
            array[~taking_part[:, i], bins] = 0
    return RegionSpectra(source, background, weight, ratio, taking_part, live_share)
