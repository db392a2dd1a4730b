"""Every map by its name, as in the names of the files."""

import difflib
from collections.abc import Iterable

from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.gas.thermodynamics import ENTROPY_MAPS, PRESSURE_MAPS, Thermodynamics, map_gas
from pyxt_hpc.maps.gradient import SCALES, map_gradients
from pyxt_hpc.maps.paint import MODES
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.maps.quantities import (
    ABUNDANCE,
    BRIGHTNESS,
    COLUMN,
    DIAGNOSTICS,
    NORM,
    NORM_PER_AREA,
    TEMPERATURE,
    map_brightness,
    map_circles,
    map_diagnostics,
    map_measured,
    parameters,
)
from pyxt_hpc.maps.residual import map_residuals

_FITTED = tuple(q.name for q in (TEMPERATURE, NORM, NORM_PER_AREA, ABUNDANCE, COLUMN))
_GAS = PRESSURE_MAPS + ENTROPY_MAPS
CIRCLES = ("scale", "signal_to_noise")
_GRADIENTS = tuple(
    f"{kind}_{sigma}pix" for kind in ("gradient", "log_gradient", "gradient_significance") for sigma in SCALES
)
_RESIDUALS = tuple(
    f"residual_{smooth}{what}" for smooth in ("beta", "azimuthal") for what in ("", "_significance")
)
MAPS = (*_FITTED, *_GAS, BRIGHTNESS.name, *DIAGNOSTICS, *CIRCLES, *_GRADIENTS, *_RESIDUALS)
"""Names of all maps."""


def map_named(regions: FittedRegions, name: str, mode: str = "block") -> list[MapProduct]:
    """Make a map by its name: the map, then those of its errors, as far as it has any.

    Parameters
    ----------
    regions
        Of the cluster.
    name
        One of `MAPS`.
    mode
        One of `paint.MODES`; only maps of fitted parameters and of the gas know another than ``block``.

    Raises
    ------
    ConfigError
        If there is no such map or mode.
    EmptySelection
        If it has no pixel with a value.
    """
    if name not in MAPS:
        close = difflib.get_close_matches(name, MAPS, n=1)
        meant = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(f"there is no map {quoted(name)}: {meant}Known are {', '.join(MAPS)}")
    if mode not in MODES:
        raise ConfigError(f"maps are not painted as {quoted(mode)}: choose one of {', '.join(MODES)}")
    products = list(_made(regions, name, mode))
    if not products:
        raise EmptySelection(f"the map {name} would have no pixel with a value")
    return products


def _made(regions: FittedRegions, name: str, mode: str) -> Iterable[MapProduct]:
    if name in _FITTED:
        for quantity, measured in parameters(regions):
            if quantity.name == name:
                return map_measured(regions, quantity, measured, mode)
        raise ConfigError(f"{name} was not fitted, but frozen: fit it with free_{name} = true")
    if name in _GAS:
        return map_gas(Thermodynamics.of(regions), [name], mode)
    if name == BRIGHTNESS.name:
        return map_brightness(regions)
    if name in DIAGNOSTICS:
        return map_diagnostics(regions, [name])
    others = {**dict.fromkeys(_GRADIENTS, map_gradients), **dict.fromkeys(_RESIDUALS, map_residuals)}
    make = others.get(name, map_circles)
    paths = [regions.layout.map(f"{name}{end}") for end in ("", "_error")]
    return (product for product in make(regions) if product.path in paths)
