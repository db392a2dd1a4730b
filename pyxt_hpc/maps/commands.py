"""Which maps each command makes: written one after the other, so that only one is in memory."""

from collections.abc import Iterable, Iterator

from pyxt_hpc.maps.brightness import BRIGHTNESS, smooth_brightness
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.product import MapProduct, write_product
from pyxt_hpc.maps.quantities import (
    NORM,
    TEMPERATURE,
    error_maps,
    map_circles,
    map_diagnostics,
    map_measured,
    map_parameters,
)
from pyxt_hpc.maps.thermodynamics import Thermodynamics, map_entropy, map_pressure


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
    yield from _written(regions, (p for p in map_diagnostics(regions) if p.title == "Counts of the circle"))
    yield from _written(regions, map_circles(regions))


def make_fit_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, the maps of everything that was fitted; as `make_temperature_maps`."""
    yield from _written(regions, map_parameters(regions, mode))
    yield from _written(regions, map_diagnostics(regions))
    yield from _written(regions, map_circles(regions))


def make_brightness_maps(regions: FittedRegions) -> Iterator[MapProduct]:
    """Write, then yield, the maps of the smoothed surface brightness; as `make_temperature_maps`."""
    smooth = smooth_brightness(regions.bundle, regions.radius)
    how = "(counts - background)/(exposure x area), mean of each pixel's own circle"
    yield from _written(regions, error_maps(regions, BRIGHTNESS, smooth, how))


def make_pressure_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, pseudo-pressure, density and pressure; as `make_temperature_maps`."""
    yield from _written(regions, map_pressure(Thermodynamics(regions), mode))


def make_entropy_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, pseudo-entropy, entropy and cooling time; as `make_temperature_maps`."""
    yield from _written(regions, map_entropy(Thermodynamics(regions), mode))


def make_all_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Write, then yield, every map there is; as `make_temperature_maps`."""
    yield from make_fit_maps(regions, mode)
    yield from make_brightness_maps(regions)
    gas = Thermodynamics(regions)
    yield from _written(regions, map_pressure(gas, mode))
    yield from _written(regions, map_entropy(gas, mode))


def _written(regions: FittedRegions, products: Iterable[MapProduct]) -> Iterator[MapProduct]:
    for product in products:
        write_product(product, regions.bundle, regions.config, regions.history)
        yield product
