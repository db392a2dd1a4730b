"""Maps of density, pressure and entropy by ClusterPyXT's formulas, to reproduce published maps.

With X the mean of counts/exposure over a pixel's circle, including background, and T the painted temperature,

    n = sqrt(X),    P = n T,    K = T n^(-2/3) where n > 0.

P and K are scaled to (x - min)/(max - min) over the whole image, where pixels without a temperature are 0
(``make_pressure_map``, ``make_entropy_map`` and ``normalize_data`` of ClusterPyXT). So they are 0 at the
image's lowest pixel, have no unit, and are not proportional to a pressure or an entropy. These maps serve
only for comparisons; `pyxt_hpc.maps.gas` has the physical quantities.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.binning.smoothing import sum_own_circles
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.product import MapProduct


def scaled(image: NDArray) -> NDArray[np.float64]:
    """Scale an image linearly, so that its lowest pixel is 0 and its highest is 1; NaN counts as 0."""
    values = np.nan_to_num(np.asarray(image, np.float64))
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def mean_flux(counts: NDArray, exposure: NDArray, radius: NDArray) -> NDArray[np.float64]:
    """Mean of counts/exposure in every pixel's circle, (ny, nx); 0 where there is no circle.

    As in ClusterPyXT, the mean is over all pixels of the circle in the image, and dead pixels count as 0.
    """
    live = exposure > 0
    flux = np.divide(counts, exposure, out=np.zeros(counts.shape), where=live)
    images = np.stack([flux, np.ones_like(flux), *np.zeros((2, *flux.shape))], axis=-1)  # four are needed
    total, pixels, *_ = sum_own_circles(images, radius)
    return np.divide(total, pixels, out=np.zeros(counts.shape), where=pixels > 0)


def map_as_clusterpyxt(regions: FittedRegions) -> Iterator[MapProduct]:
    """Density, pressure and entropy by ClusterPyXT's formulas, under ClusterPyXT's names.

    Raises ConfigError if regions are not circles.
    """
    if regions.labels is not None:
        raise ConfigError(
            f"{regions.config.path}: clusterpyxt_maps = true is for circles, but the regions are bins: "
            "remove it, or set method = circles"
        )
    bundle = regions.bundle
    density = np.sqrt(mean_flux(bundle.counts, bundle.exposure, regions.radius))
    temperature = np.nan_to_num(regions.paint(regions.rows["kT"]).astype(np.float64))
    entropy = np.zeros_like(density)
    some = density > 0
    entropy[some] = temperature[some] * density[some] ** (-2.0 / 3.0)
    for name, values, formula in (
        ("density", density, "n = sqrt(X), X: mean of counts/exposure in the circle, background included"),
        ("pressure", scaled(density * temperature), "(n T - min)/(max - min), n = sqrt(X)"),
        ("entropy", scaled(entropy), "(T n^(-2/3) - min)/(max - min), n = sqrt(X)"),
    ):
        yield MapProduct(
            path=regions.layout.clusterpyxt_map(name),
            title=f"{name.capitalize()} as in ClusterPyXT",
            unit="",
            values=values.astype(np.float32),
            comment=f"as ClusterPyXT, no unit: {formula}",
        )
