"""Which maps each command makes: written one after the other, so that only one is in memory."""

from collections.abc import Iterable, Iterator

from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.gas.thermodynamics import ENTROPY_MAPS, PRESSURE_MAPS, Thermodynamics, map_gas
from pyxt_hpc.maps.gradient import map_gradients
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.product import MapProduct, write_product
from pyxt_hpc.maps.quantities import (
    NORM,
    TEMPERATURE,
    map_brightness,
    map_circles,
    map_diagnostics,
    map_measured,
    map_parameters,
)
from pyxt_hpc.maps.residual import map_residuals


def make_temperature_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, the maps of temperature and norm with their errors, and of counts and radii.

    Parameters
    ----------
    regions
        Of the cluster.
    mode
        One of `paint.MODES`.

    Raises
    ------
    EmptySelection
        Instead of writing a blank map.
    """
    yield from _written(regions, map_measured(regions, TEMPERATURE, regions.parameter("kT"), mode))
    yield from _written(regions, map_measured(regions, NORM, regions.parameter("norm"), mode))
    yield from _written(regions, map_diagnostics(regions, ["counts"]))
    yield from _written(regions, map_circles(regions))


def make_fit_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, the maps of everything that was fitted; as `make_temperature_maps`."""
    yield from _written(regions, map_parameters(regions, mode))
    yield from _written(regions, map_diagnostics(regions))
    yield from _written(regions, map_circles(regions))


def make_brightness_maps(regions: FittedRegions) -> Iterator[MapProduct]:
    """Write, then yield, the maps of the smoothed surface brightness; as `make_temperature_maps`."""
    yield from _written(regions, map_brightness(regions))


def make_gradient_maps(image: ClusterImage) -> Iterator[MapProduct]:
    """Write, then yield, the gradients of the brightness on several scales; they need no fits."""
    yield from _written(image, map_gradients(image))


def make_residual_maps(image: ClusterImage) -> Iterator[MapProduct]:
    """Write, then yield, what a smooth cluster leaves of the brightness; as `make_gradient_maps`."""
    yield from _written(image, map_residuals(image))


def make_pressure_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, pseudo-pressure, density and pressure; as `make_temperature_maps`."""
    yield from _written(regions, map_gas(_gas(regions), PRESSURE_MAPS, mode))


def make_entropy_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, pseudo-entropy, entropy and cooling time; as `make_temperature_maps`."""
    yield from _written(regions, map_gas(_gas(regions), ENTROPY_MAPS, mode))


def make_all_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, every map there is; as `make_temperature_maps`."""
    yield from make_fit_maps(regions, mode)
    yield from make_brightness_maps(regions)
    yield from make_gradient_maps(regions)
    yield from make_residual_maps(regions)
    gas = _gas(regions)
    yield from _written(regions, map_gas(gas, PRESSURE_MAPS + ENTROPY_MAPS, mode))


def _gas(regions: FittedRegions) -> Thermodynamics:
    return Thermodynamics(regions, regions.config.abundance_error)


def _written(image: ClusterImage, products: Iterable[MapProduct]) -> Iterator[MapProduct]:
    results = image.fingerprint if isinstance(image, FittedRegions) else ""
    for product in products:
        write_product(product, image.bundle, image.config, image.history, results)
        yield product
