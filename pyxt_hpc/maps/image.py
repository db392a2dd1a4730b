"""A cluster's image, from which the maps that need no fits are made."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.convolve import gaussian_sums
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.inputs import read_cluster_bundle
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.memory import check_memory
from pyxt_hpc.maps.painting.paint import Measured

_SMOOTHING = 4.0
"""Standard deviation of the Gaussian that replaces the circles of the scale map [pixels]."""


@dataclass(frozen=True, eq=False)
class ClusterImage:
    """Configuration and bundle, and images that need nothing else; `history` is for the headers of maps."""

    config: ClusterConfig
    bundle: Bundle
    history: tuple[str, ...]

    @property
    def layout(self) -> Layout:
        """Paths of the cluster."""
        return Layout.of(self.config)

    @cached_property
    def exposure(self) -> NDArray[np.float32]:
        """Exposure x pixel area, (ny, nx) [s arcmin^2]; 0 where dead."""
        return self.bundle.exposure * np.float32(self.bundle.pixel_area_arcmin2)

    @cached_property
    def signal(self) -> NDArray[np.float32]:
        """Counts less background, (ny, nx); 0 where dead."""
        return np.where(self.exposure > 0, self.bundle.counts - self.bundle.background, 0.0).astype(
            np.float32
        )

    @cached_property
    def variance(self) -> NDArray[np.float32]:
        """Variance of the signal, (ny, nx) [count^2]: counts + variance of the background; 0 where dead."""
        variance = self.bundle.counts + self.bundle.background_variance
        return np.where(self.exposure > 0, variance, 0.0).astype(np.float32)

    @cached_property
    def brightness(self) -> Measured:
        """Surface brightness smoothed with a Gaussian, (ny, nx) [count s^-1 arcmin^-2]; NaN where dead."""
        return self.brightness_under(_SMOOTHING)

    def brightness_under(self, sigma: float) -> Measured:
        """Surface brightness as `brightness`, for a given standard deviation of the Gaussian [pixels]."""
        exposure = gaussian_sums(self.exposure, sigma)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = gaussian_sums(self.signal, sigma) / exposure
            error = np.sqrt(gaussian_sums(self.variance, sigma, squared=True)) / exposure
        value[self.exposure == 0] = error[self.exposure == 0] = np.nan
        return Measured(value, error, error)


def read_cluster_image(config: ClusterConfig) -> ClusterImage:
    """Read the bundle of a cluster.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If the bundle is absent, unreadable, or made with another configuration.
    ConfigError
        If the machine has too little memory for the maps.
    """
    check_memory(config)
    bundle = read_cluster_bundle(config)
    band = f"{bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV"
    return ClusterImage(config, bundle, (f"counts, background and exposure of the bundle, {band}",))
