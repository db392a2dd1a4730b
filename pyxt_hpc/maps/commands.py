"""Which maps each command makes.

Every function writes one map after the other and yields it. Fits are painted in a mode of `paint.MODES`.
EmptySelection is raised instead of writing a blank map.
"""

from collections.abc import Iterator

from pyxt_hpc.maps.clusterpyxt import map_as_clusterpyxt
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.gas.thermodynamics import ENTROPY_MAPS, PRESSURE_MAPS, Thermodynamics, map_gas
from pyxt_hpc.maps.gradient import map_gradients
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.product import MapProduct, write_maps
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
    """Temperature and norm with their errors, counts and radii."""
    yield from write_maps(regions, map_measured(regions, TEMPERATURE, regions.parameter("kT"), mode))
    yield from write_maps(regions, map_measured(regions, NORM, regions.parameter("norm"), mode))
    yield from write_maps(regions, map_diagnostics(regions, ("counts",)))
    yield from write_maps(regions, map_circles(regions))


def make_fit_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Everything that was fitted."""
    yield from write_maps(regions, map_parameters(regions, mode))
    yield from write_maps(regions, map_diagnostics(regions))
    yield from write_maps(regions, map_circles(regions))


def make_brightness_maps(regions: FittedRegions) -> Iterator[MapProduct]:
    """The surface brightness smoothed with the circles."""
    yield from write_maps(regions, map_brightness(regions))


def make_gradient_maps(image: ClusterImage) -> Iterator[MapProduct]:
    """Gradients of the brightness on several scales; they need no fits."""
    yield from write_maps(image, map_gradients(image))


def make_residual_maps(image: ClusterImage) -> Iterator[MapProduct]:
    """What a smooth cluster leaves of the brightness; it needs no fits."""
    yield from write_maps(image, map_residuals(image))


def make_pressure_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Pseudo-pressure, density and pressure."""
    yield from write_maps(regions, map_gas(Thermodynamics.of(regions), PRESSURE_MAPS, mode))


def make_entropy_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Pseudo-entropy, entropy and cooling time."""
    yield from write_maps(regions, map_gas(Thermodynamics.of(regions), ENTROPY_MAPS, mode))


def make_clusterpyxt_maps(regions: FittedRegions) -> Iterator[MapProduct]:
    """Density, pressure and entropy as ClusterPyXT has them."""
    yield from write_maps(regions, map_as_clusterpyxt(regions))


def make_all_maps(regions: FittedRegions, mode: str = "block") -> Iterator[MapProduct]:
    """Every map there is."""
    yield from make_fit_maps(regions, mode)
    yield from make_brightness_maps(regions)
    yield from make_gradient_maps(regions)
    yield from make_residual_maps(regions)
    gas = Thermodynamics.of(regions)  # one for both: what they share is computed once
    yield from write_maps(regions, map_gas(gas, PRESSURE_MAPS + ENTROPY_MAPS, mode))
