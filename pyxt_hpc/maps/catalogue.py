"""Names of all maps, as in the file names, and the maps for given names."""

from collections.abc import Container, Iterator, Sequence

import numpy as np

from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.files.quoting import quoted, suggestion
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.gas.thermodynamics import ENTROPY_MAPS, PRESSURE_MAPS, Thermodynamics, map_gas
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.kinds.gradient import SCALES, map_gradients
from pyxt_hpc.maps.kinds.quantities import (
    ABUNDANCE,
    BRIGHTNESS,
    CIRCLES,
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
from pyxt_hpc.maps.kinds.residual import map_residuals
from pyxt_hpc.maps.painting.paint import MODES
from pyxt_hpc.maps.product import MapProduct

ERRORS = ("_error_plus", "_error_minus", "_fractional_error", "_error")
"""Endings of the names of the error maps of a measured quantity."""

_FITTED = tuple(q.name for q in (TEMPERATURE, NORM, NORM_PER_AREA, ABUNDANCE, COLUMN))
_GAS = PRESSURE_MAPS + ENTROPY_MAPS
_GRADIENTS = tuple(
    f"{kind}_{sigma}pix" for kind in ("gradient", "log_gradient", "gradient_significance") for sigma in SCALES
)
_RESIDUALS = tuple(
    f"residual_{smooth}{what}" for smooth in ("beta", "azimuthal") for what in ("", "_significance")
)
MAPS = (*_FITTED, *_GAS, BRIGHTNESS.name, *DIAGNOSTICS, *CIRCLES, *_GRADIENTS, *_RESIDUALS)
"""Names of all maps; each includes its error maps."""

_MEASURED = (*_FITTED, *_GAS, BRIGHTNESS.name)
_WITHOUT_FITS = frozenset((*_GRADIENTS, *_RESIDUALS))
_ONLY_IF_FREE = frozenset((ABUNDANCE.name, COLUMN.name))

DEFAULT = (
    "surface_brightness",
    "temperature",
    "temperature_error_plus",
    "temperature_error_minus",
    "temperature_error",
    "temperature_fractional_error",
    "norm_per_area",
    "abundance",
    "abundance_error",
    "density",
    "pressure",
    "entropy",
    "counts",
    "goodness",
    "observations",
    "flags",
    "scale",
    "signal_to_noise",
)
"""Maps that are made if no name is given; those of the abundance only if it was fitted."""

GROUPS: dict[str, tuple[str, ...]] = {
    "fits": (*_FITTED, *DIAGNOSTICS, *CIRCLES),
    "gas": _GAS,
    "gradient": _GRADIENTS,
    "residual": _RESIDUALS,
    "all": MAPS,
}
"""Names that stand for several maps."""

ALIASES = {
    "kT": "temperature",
    "T": "temperature",
    "error": "temperature_error",
    "fractional_error": "temperature_fractional_error",
    "brightness": "surface_brightness",
    "nH": "column_density",
    "Z": "abundance",
    "radius": "scale",
    "SN": "signal_to_noise",
}
"""Other names of single maps."""


def map_names(names: Sequence[str]) -> tuple[str, ...]:
    """Expand names of maps and groups to names of single maps.

    Parameters
    ----------
    names
        Names in `MAPS`, `GROUPS` or `ALIASES`, or of single error maps such as ``temperature_error``; an
        empty sequence stands for `DEFAULT`.

    Returns
    -------
    tuple of str
        Names of single maps, without repetitions.

    Raises
    ------
    ConfigError
        If there is no map with a name.
    """
    if not names:
        return DEFAULT
    found: list[str] = []
    for name in names:
        for one in GROUPS.get(name, (ALIASES.get(name, name),)):
            base = base_name(one)
            if base not in MAPS or (base != one and base not in (*_MEASURED, *_RESIDUALS)):
                raise _unknown(name)
            found += [one] if base != one else [one, *(f"{one}{end}" for end in ERRORS)]
    return tuple(dict.fromkeys(found))


def _unknown(name: str) -> ConfigError:
    known = {one.lower(): one for one in (*GROUPS, *MAPS, *ALIASES)}
    meant = suggestion(name.lower(), known)
    return ConfigError(f"there is no map {quoted(name)}{meant}: known are {', '.join(MAPS)}")


def base_name(name: str) -> str:
    """Name of the map to which an error map belongs; other names are returned unchanged."""
    end = next((end for end in ERRORS if name.endswith(end)), "")
    return name.removesuffix(end)


def need_fits(names: Sequence[str]) -> bool:
    """Whether any of some single maps needs the fits, and not only the image."""
    return not {base_name(name) for name in names} <= _WITHOUT_FITS


def named_maps(image: ClusterImage, names: Sequence[str], mode: str = "block") -> Iterator[MapProduct]:
    """Make single maps one after the other, in the order that is fastest to compute.

    Maps of frozen parameters are omitted, and so are error maps and diagnostics without any value.

    Parameters
    ----------
    image
        The cluster; `FittedRegions` if `need_fits`.
    names
        Names as returned by `map_names`.
    mode
        One of `paint.MODES`, for maps of fitted parameters and of the gas.
    """
    wanted, bases = frozenset(names), frozenset(map(base_name, names))
    if isinstance(image, FittedRegions):
        for product in _of_fits(image, bases, mode):
            if product.name in wanted:
                yield product
    for own, make in ((_GRADIENTS, map_gradients), (_RESIDUALS, map_residuals)):
        if not bases.isdisjoint(own):
            for product in make(image):
                if product.name in wanted:
                    yield product


def _of_fits(regions: FittedRegions, bases: Container[str], mode: str) -> Iterator[MapProduct]:
    for quantity, measured in parameters(regions):
        if quantity.name in bases:
            yield from map_measured(regions, quantity, measured, mode)
    yield from map_diagnostics(regions, bases)
    yield from map_circles(regions, bases)
    if BRIGHTNESS.name in bases:
        yield from map_brightness(regions)
    if gas := [name for name in _GAS if name in bases]:
        yield from map_gas(Thermodynamics.of(regions), gas, mode)  # shared quantities are computed once


def check_available(regions: FittedRegions, names: Sequence[str]) -> None:
    """Check that the parameters whose maps are requested by name were fitted.

    Raises
    ------
    ConfigError
        If a parameter was frozen.
    """
    fitted = {quantity.name for quantity, _ in parameters(regions)}
    for name in names:
        base = base_name(ALIASES.get(name, name))
        if base in _ONLY_IF_FREE and base not in fitted:
            raise ConfigError(f"{base} was not fitted, but frozen: fit it with free_{base} = true")


def map_named(regions: FittedRegions, name: str, mode: str = "block") -> list[MapProduct]:
    """Make a map by its name, followed by its error maps, if it has any.

    Parameters
    ----------
    name
        One of `MAPS`.
    mode
        One of `paint.MODES`; maps of other quantities than fitted parameters and the gas ignore it.

    Raises
    ------
    ConfigError
        If there is no such map or mode, or the parameter was frozen.
    EmptySelection
        If there is no map with a value.
    """
    if name not in MAPS:
        raise _unknown(str(name))
    if mode not in MODES:
        raise ConfigError(f"maps are not painted as {quoted(mode)}: choose one of {', '.join(MODES)}")
    check_available(regions, [name])
    products = list(named_maps(regions, map_names([name]), mode))
    if not products or not np.isfinite(products[0].values).any():
        raise EmptySelection(f"the map {name} would have no pixel with a value")
    return products
