"""Arrays for fits: events of all observations of a cluster, and the model folded through each response."""

from dataclasses import dataclass, fields, replace

import numpy as np

from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.chandra.kinds import name_of_whole
from pyxt_hpc.chandra.ogip.response import Rmf
from pyxt_hpc.errors import ConfigError, DamagedFile
from pyxt_hpc.fit.inputs import source_model
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid
from pyxt_hpc.spectra.grouping import bin_lookup, channel_bins, levels_of_fit, resolution_bins
from pyxt_hpc.spectra.templates import SourceModel, column_grid
from pyxt_hpc.store.rows import MAX_OBSERVATIONS

_LIVE_MAX = 65535
"""Largest integer value in live images."""


@dataclass(frozen=True)
class ObservationArrays:
    """Events of one observation, with their spectral bins, and its live images.

    Parameters
    ----------
    event_indptr, background_indptr
        (ny * nx + 1,) first event of every pixel, row-major.
    event_bin, background_bin
        (n_event,) bin of each event in this observation; n_bin if it has none.
    first
        (2,) row and column of the cluster's images where those of this observation, (ny, nx), begin.
    live
        (ny, nx, 1 + n_energy) the mask, then the relative area at each tabulated energy, in `live_unit`.
    live_unit
        (1,) unit of live images, which are integers of 16 bits to save memory.
    interpolation
        (n_energy, n_bin) weights of the tabulated energies for the area at the centre of each bin.
    """

    event_indptr: np.ndarray
    event_bin: np.ndarray
    background_indptr: np.ndarray
    background_bin: np.ndarray
    first: np.ndarray
    live: np.ndarray
    live_unit: np.ndarray
    interpolation: np.ndarray

    @property
    def corner(self) -> tuple[int, int]:
        """`first` as whole numbers of Python."""
        return int(self.first[0]), int(self.first[1])

    @classmethod
    def of(cls, observation: BundleObservation, edges: np.ndarray) -> "ObservationArrays":
        """Arrays of an observation, for bins with these edges in channels."""
        rmf, n_bin = observation.rmf, len(edges) - 1
        # Bin n_bin is for events outside the band. Small integers save memory.
        lookup = np.where((found := bin_lookup(edges, rmf.n_channels)) < 0, n_bin, found)
        lookup = lookup.astype(np.uint8 if n_bin < 256 else np.int16)
        few = max(len(observation.event_channel), len(observation.background_channel)) < 2**31
        offset = np.int32 if few else np.int64
        centre = 0.5 * (rmf.channel_lo_keV[edges[:-1]] + rmf.channel_hi_keV[edges[1:] - 1])
        nodes = observation.vignetting_keV
        largest = max(float(observation.vignetting.max()), 1.0)
        live = np.empty((*observation.mask.shape, 1 + len(nodes)), np.uint16)
        for i, image in enumerate([observation.mask, *(observation.mask * observation.vignetting)]):
            live[..., i] = np.rint(image * np.float32(_LIVE_MAX / largest))
        return cls(
            event_indptr=observation.event_indptr.astype(offset),
            event_bin=lookup[observation.event_channel],
            background_indptr=observation.background_indptr.astype(offset),
            background_bin=lookup[observation.background_channel],
            first=np.array([observation.first_row, observation.first_col]),
            live=live,
            live_unit=np.array([largest / _LIVE_MAX]),
            interpolation=np.array([np.interp(centre, nodes, unit) for unit in np.eye(len(nodes))]),
        )


@dataclass(frozen=True)
class ObservationSet:
    """Model and events of all observations, with concatenated spectral bins.

    Parameters
    ----------
    kT, nH
        (n_kT,), (n_nH,) temperatures [keV] and column densities [1e22 cm^-2] of the model.
    hhe, metals
        (n_nH, n_kT, n_bin) count rates at norm 1 for the ARF of each observation, of H and He, and of metals
        at abundance 1 [count s^-1].
    first_bin
        (n_obs + 1,) first bin of each observation, and the number of bins.
    background_shape
        (n_bin,) counts of the whole background file of each observation.
    level_first, level_edges
        (n_level + 1,), (...) fits at level l use bins with the edges ``level_edges[level_first[l] :
        level_first[l + 1]]`` (see `grouping.merge_levels`).
    pointing
        (n_obs,) index of the first dataset with the same ObsID; such datasets were exposed together.
    kind
        (n_obs,) index of the first dataset with the same ObsID and kind of chips; such datasets differ by the
        place of their responses.
    exposure_s, ratio
        (n_obs,) exposure [s]; counts in the background file per background count expected in the observation.
    minimum_fraction
        (1,) smallest fraction of a region's brightness that must be live in an observation (all places of
        its kind of chips together) that takes part.
    brightness
        (ny + 2 m, nx + 2 m) relative brightness of the cluster, with a margin of m pixels around the images.
    margin
        (1,) m.
    per_observation
        Events and live images of each observation.
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
    kind: np.ndarray
    exposure_s: np.ndarray
    ratio: np.ndarray
    minimum_fraction: np.ndarray
    brightness: np.ndarray
    margin: np.ndarray
    per_observation: tuple[ObservationArrays, ...]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Flat dictionary of arrays, which ranks can share."""
        flat = {key: value for key, value in vars(self).items() if key != "per_observation"}
        for i, own in enumerate(self.per_observation):
            flat |= {f"{i}/{key}": value for key, value in vars(own).items()}
        return flat

    @classmethod
    def from_arrays(cls, flat: dict[str, np.ndarray]) -> "ObservationSet":
        """Inverse of `to_arrays`, without copies."""
        common = {key: value for key, value in flat.items() if "/" not in key}
        names = [field.name for field in fields(ObservationArrays)]
        own = [
            ObservationArrays(**{name: flat[f"{i}/{name}"] for name in names})
            for i in range(len(common["exposure_s"]))
        ]
        return cls(**common, per_observation=tuple(own))

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the images."""
        ny, nx = (n - 2 * int(self.margin[0]) for n in self.brightness.shape)
        return ny, nx

    def by_bin(self, of_observations: np.ndarray) -> np.ndarray:
        """Repeat values of observations, (..., n_obs), for each of their bins: (..., n_bin)."""
        return np.repeat(of_observations, np.diff(self.first_bin), axis=-1)

    def only(self, chosen: np.ndarray) -> "ObservationSet":
        """The chosen observations (n_obs,) bool, with their bins."""
        fine = self.by_bin(chosen)
        levels = [self.bins_of(chosen, edges)[1] for edges in self.levels()]
        return replace(
            self,
            hhe=self.hhe[..., fine],
            metals=self.metals[..., fine],
            first_bin=np.concatenate([[0], np.cumsum(np.diff(self.first_bin)[chosen])]),
            background_shape=self.background_shape[fine],
            level_first=np.cumsum([0] + [len(edges) for edges in levels]),
            level_edges=np.concatenate(levels),
            pointing=_first_alike(self.pointing[chosen]),
            kind=_first_alike(self.kind[chosen]),
            exposure_s=self.exposure_s[chosen],
            ratio=self.ratio[chosen],
            per_observation=tuple(self.per_observation[i] for i in np.flatnonzero(chosen)),
        )

    def bins_of(self, chosen: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First bins of the wide bins of chosen observations, and the edges of these bins without the others.

        Parameters
        ----------
        chosen
            (n_obs,) bool.
        edges
            (n_wide + 1,) edges of a level; an edge is between every two observations.
        """
        own = self.by_bin(chosen)[edges[:-1]]
        return edges[:-1][own], np.concatenate([[0], np.cumsum(np.diff(edges)[own])])

    @property
    def grid(self) -> ModelGrid:
        """Model for `fit_regions`."""
        return ModelGrid(self.kT, self.nH, self.hhe, self.metals)

    def levels(self) -> list[np.ndarray]:
        """Edges of the bins at each level."""
        return np.split(self.level_edges, self.level_first[1:-1])


def _first_alike(values: np.ndarray) -> np.ndarray:
    """Index (n,) of the first of the values (n,) that is the same."""
    _, first, group = np.unique(values, return_index=True, return_inverse=True)
    return np.asarray(first[group])


def base_bins(bundle: Bundle, rmf: Rmf, binning: str) -> np.ndarray:
    """Edges, in channels, of the finest bins of a method of binning."""
    if binning == "channels":
        return channel_bins(bundle.energy_min_keV, bundle.energy_max_keV, rmf)
    return resolution_bins(rmf, bundle.energy_min_keV, bundle.energy_max_keV)


def fold_observations(
    bundle: Bundle, brightness: np.ndarray | None, minimum_fraction: float, options: FitOptions, binning: str
) -> ObservationSet:
    """Fold the plasma model through every observation's response.

    Parameters
    ----------
    brightness
        (ny + 2 m, nx + 2 m) relative brightness in the images and around them (`SkyBrightness.image`). None:
        the model alone, without events and images; no region can be extracted.
    minimum_fraction
        Smallest fraction of a region's brightness that must be live in an observation that takes part.
    options
        Options of the fits: statistic, and free parameters with their bounds.
    binning
        ``resolution``: bins of half the detector's resolution; ``auto``: for wstat, these bins are merged if
        the background has few counts; ``channels``: no grouping.

    Raises
    ------
    DamagedFile
        If a response is not finite, or an exposure or background scale is not positive and finite.
    ConfigError
        If there are more observations than the results store has bits for.
    """
    if len(bundle.observations) > MAX_OBSERVATIONS:
        raise ConfigError(
            f"{bundle.name}: there are {len(bundle.observations)} observations; at most {MAX_OBSERVATIONS} "
            "can be fitted together: lower response_places, or leave the shortest out of observation_ids"
        )
    kT, source = np.empty(0), source_model(bundle)
    columns = np.array([bundle.nH]) if options.nH_bounds is None else column_grid(options.nH_bounds)
    hhe, metals, bins, arrays, shapes, levels = [], [], [0], [], [], []
    for observation in bundle.observations:
        edges = base_bins(bundle, observation.rmf, binning)
        kT, h_and_he, heavier = _fold(observation, source, columns, edges)
        shape = np.add.reduceat(observation.background_spectrum[: edges[-1]], edges[:-1])
        levels.append(
            levels_of_fit(kT, columns, h_and_he, heavier, shape, bundle.nH, options)
            if binning == "auto" and options.statistic == "wstat"
            else (np.arange(len(edges)),)
        )
        hhe.append(h_and_he)
        metals.append(heavier)
        shapes.append(shape)
        if brightness is not None:
            arrays.append(ObservationArrays.of(observation, edges))
        bins.append(bins[-1] + len(edges) - 1)
    level_edges = [
        np.concatenate([[0]] + [part[1:] + first for part, first in zip(level, bins[:-1], strict=True)])
        for level in zip(*levels, strict=True)
    ]
    if brightness is None:
        brightness = np.zeros((0, 0), np.float32)
    obsids = [o.obsid for o in bundle.observations]
    kinds = [name_of_whole(o.dataset) for o in bundle.observations]
    return ObservationSet(
        kT=kT,
        nH=columns,
        hhe=np.concatenate(hhe, axis=-1),
        metals=np.concatenate(metals, axis=-1),
        first_bin=np.array(bins),
        background_shape=np.concatenate(shapes),
        level_first=np.cumsum([0] + [len(edges) for edges in level_edges]),
        level_edges=np.concatenate(level_edges),
        pointing=_first_alike(np.array(obsids)),
        kind=_first_alike(np.array(kinds)),
        exposure_s=np.array([o.exposure_s for o in bundle.observations]),
        ratio=np.array([1.0 / o.background_scale for o in bundle.observations]),
        minimum_fraction=np.array([minimum_fraction]),
        brightness=brightness,
        margin=np.array([max(len(brightness) - len(bundle.mask), 0) // 2]),
        per_observation=tuple(arrays),
    )


def _fold(
    observation: BundleObservation, source: SourceModel, columns: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Temperatures (n_kT,), and rates (n_nH, n_kT, n_bin) of H and He, and of metals, in bins of channels."""
    for name in ("exposure_s", "background_scale"):
        # This form of the condition is also true for NaN.
        if not 0 < getattr(observation, name) < np.inf:
            raise DamagedFile(
                f"observation {observation.dataset}: its {name} in the bundle is "
                f"{getattr(observation, name)}, expected a number above 0; make the bundle again with "
                "`pyxt-hpc crop-data -c CONFIG --force`"
            )
    folded = [replace(source, nH=float(column)).fold(observation.arf, observation.rmf) for column in columns]
    hhe, metals = (
        np.add.reduceat(np.stack(rates)[..., : edges[-1]], edges[:-1], axis=-1)
        for rates in ([f.hhe for f in folded], [f.metals for f in folded])
    )
    if not (np.all(np.isfinite(hhe)) and np.all(np.isfinite(metals))):
        raise DamagedFile(
            f"observation {observation.dataset}: its ARF or RMF has values that are not finite; make "
            "them again, then the bundle with `pyxt-hpc run -c CONFIG --through crop-data`"
        )
    return folded[0].kT, hhe, metals
