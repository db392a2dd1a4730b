"""The joint model of all observations: what a fit of any region needs, as plain arrays."""

from dataclasses import dataclass

import numpy as np

from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.spectra.extract import disc_area, disc_sums, extract_regions
from pyxt_hpc.spectra.grouping import bin_lookup, resolution_bins
from pyxt_hpc.spectra.templates import fold_templates


@dataclass(frozen=True)
class JointModel:
    """Templates and events of all observations, their spectral bins side by side.

    Parameters
    ----------
    kT
        (n_kT,) temperatures of the templates [keV].
    templates
        (n_kT, n_bin) count rates at norm 1 on the optical axis [count s^-1].
    first_bin
        (n_obs + 1,) where the bins of each observation begin.
    exposure_s, ratio
        (n_obs,) exposure [s]; background counts in the blank-sky file per background count expected
        in the observation.
    minimum_fraction
        (1,) an observation takes part where at least this fraction of the circle is live.
    observations
        Per observation the arrays of `observation_arrays`.
    """

    kT: np.ndarray
    templates: np.ndarray
    first_bin: np.ndarray
    exposure_s: np.ndarray
    ratio: np.ndarray
    minimum_fraction: np.ndarray
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
        return self.observations[0]["live"].shape[1:]


@dataclass(frozen=True)
class RegionSpectra:
    """Binned spectra of some regions, the bins of all observations side by side.

    Parameters
    ----------
    source, background
        (n_region, n_bin) counts.
    weight
        (n_region, n_bin) effective exposure: live time x live fraction of the circle x area relative
        to the ARF [s]; 0 where the observation does not take part.
    ratio
        (n_region, n_bin) background exposure per source exposure.
    observations
        (n_region,) bit i: observation i takes part.
    """

    source: np.ndarray
    background: np.ndarray
    weight: np.ndarray
    ratio: np.ndarray
    observations: np.ndarray


def joint_model(bundle: Bundle, minimum_fraction: float) -> JointModel:
    """Fold the plasma model through every observation's response, in bins of half the resolution.

    Parameters
    ----------
    bundle
        The cluster.
    minimum_fraction
        An observation takes part in a region where at least this fraction of the circle is live.
    """
    templates, bins, arrays = [], [0], []
    kT = np.empty(0)
    for observation in bundle.observations:
        rmf = observation.rmf
        edges = resolution_bins(rmf, bundle.energy_min_keV, bundle.energy_max_keV)
        folded = fold_templates(
            observation.arf,
            rmf,
            redshift=bundle.redshift,
            nH=bundle.nH,
            absorption=bundle.absorption,
            abundance_table=bundle.abundance_table,
        )
        kT = folded.kT
        rate = folded.at_abundance(bundle.abundance)
        templates.append(np.add.reduceat(rate[:, : edges[-1]], edges[:-1], axis=1))
        bins.append(bins[-1] + len(edges) - 1)
        arrays.append(_observation_arrays(observation, edges))
    return JointModel(
        kT=kT,
        templates=np.ascontiguousarray(np.concatenate(templates, axis=1)),
        first_bin=np.array(bins),
        exposure_s=np.array([o.exposure_s for o in bundle.observations]),
        ratio=np.array([1.0 / o.background_scale for o in bundle.observations]),
        minimum_fraction=np.array([minimum_fraction]),
        observations=tuple(arrays),
    )


def _observation_arrays(observation: BundleObservation, edges: np.ndarray) -> dict[str, np.ndarray]:
    rmf = observation.rmf
    lookup = bin_lookup(edges, rmf.n_channels)
    centre = 0.5 * (rmf.channel_lo_keV[edges[:-1]] + rmf.channel_hi_keV[edges[1:] - 1])
    # Row 0 is the mask itself (live fraction), the others weigh it with the area at each energy.
    live = np.concatenate([observation.mask[None], observation.mask * observation.vignetting])
    nodes = observation.vignetting_keV
    return {
        "indptr": observation.event_indptr,
        "bin": lookup[observation.event_channel],
        "background_indptr": observation.background_indptr,
        "background_bin": lookup[observation.background_channel],
        "live": np.ascontiguousarray(live, np.float32),
        # (n_node, n_bin): linear interpolation of the area between the energies it is known at
        "interpolation": np.array([np.interp(centre, nodes, unit) for unit in np.eye(len(nodes))]),
    }


def extract_spectra(model: JointModel, row: np.ndarray, col: np.ndarray, radius: np.ndarray) -> RegionSpectra:
    """Spectra, effective exposures and participating observations of some regions.

    Parameters
    ----------
    model
        Of the cluster.
    row, col, radius
        (n_region,) centres and radii [pixels].
    """
    n_region, n_bin = len(row), model.templates.shape[1]
    source = np.zeros((n_region, n_bin), np.int32)
    background = np.zeros((n_region, n_bin), np.int32)
    weight = np.zeros((n_region, n_bin))
    ratio = np.zeros((n_region, n_bin))
    used = np.zeros(n_region, np.uint64)
    area = disc_area(radius)
    for i, arrays in enumerate(model.observations):
        bins = slice(model.first_bin[i], model.first_bin[i + 1])
        n = bins.stop - bins.start
        sums = disc_sums(row, col, radius, arrays["live"])
        takes_part = sums[:, 0] >= model.minimum_fraction[0] * area
        takes_part &= sums[:, 0] > 0
        mean_area = sums[:, 1:] / area[:, None]
        shape = model.shape
        source[:, bins] = extract_regions(row, col, radius, arrays["indptr"], arrays["bin"], n, shape)
        background[:, bins] = extract_regions(
            row, col, radius, arrays["background_indptr"], arrays["background_bin"], n, shape
        )
        # Term by term: a matrix product rounds differently in chunks of other sizes, and results must not.
        for node, share in zip(mean_area.T, arrays["interpolation"], strict=True):
            weight[:, bins] += model.exposure_s[i] * node[:, None] * share
        ratio[:, bins] = model.ratio[i]
        for array in (source, background, weight):
            array[~takes_part, bins] = 0
        used |= takes_part.astype(np.uint64) << np.uint64(i)
    return RegionSpectra(source, background, weight, ratio, used)
