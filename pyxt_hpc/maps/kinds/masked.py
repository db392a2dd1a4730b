"""Masked maps, which are blank where an expression of maps is true."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.files.quoting import quoted, suggestion
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.maps.catalogue import GROUPS, check_available, map_names, named_maps
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.kinds.expression import Expression
from pyxt_hpc.maps.product import MapProduct


def masked_maps(
    regions: FittedRegions, products: Iterable[MapProduct], expression: Expression
) -> Iterator[MapProduct]:
    """Set maps to NaN where an expression is true, and change their file names to ``..._masked_map.fits``.

    The map of the flags is not masked, since it shows the reasons.

    Raises
    ------
    ConfigError
        If a name in the expression is neither that of a map nor of a flag.
    EmptySelection
        If a map has no values left.
    """
    blank = where_true(regions, expression)
    rows = regions.rows
    for product in products:
        if product.name == "flags":
            yield product
            continue
        values = np.where(blank, np.float32(np.nan), product.values)
        if not np.isfinite(values).any():
            raise EmptySelection(
                f"mask {quoted(expression.text)}: wherever {product.name} has a value, the mask is true or "
                "has no value itself: nothing is left to be mapped; relax it"
            )
        of_regions = product.of_regions
        if of_regions is not None:
            of_regions = np.where(blank[rows["row"], rows["col"]], np.nan, of_regions)
        yield replace(
            product,
            path=regions.layout.masked_map(product.path),
            values=values,
            of_regions=of_regions,
            note=f"blank where {expression.text}",
            cards={**product.cards, "MASK": (expression.text, "where this is true the map is blank")},
        )


def where_true(regions: FittedRegions, expression: Expression) -> NDArray[np.bool_]:
    """Mask (ny, nx) of the pixels where an expression of maps and names of flags is true.

    The expression counts as true where a map in it has no value, such as the error of an open interval.

    Raises
    ------
    ConfigError
        If a name is neither that of a map nor of a flag, is that of a group of maps or of a frozen parameter,
        or the map has no value.
    """
    flags = {str(flag.name) for flag in FitFlag}
    maps: dict[str, NDArray] = {}
    single = {}
    for name in expression.names:
        if name in flags:
            maps[name] = regions.paint((regions.rows["flags"] & int(FitFlag[name])) != 0)
        elif name == "flags":  # only of fits: NaN where there is no fit
            maps[name] = regions.paint(regions.rows["flags"])
        elif name in GROUPS:
            raise ConfigError(f"mask {quoted(expression.text)}: {name} stands for several maps: name one")
        else:
            single[name] = _map_in_mask(name, expression, flags)
    check_available(regions, list(single.values()))
    made = {product.name: product.values for product in named_maps(regions, tuple(single.values()))}
    for name, real in single.items():
        if real not in made:
            raise ConfigError(f"mask {quoted(expression.text)}: the map {name} has no value anywhere")
        maps[name] = made[real]
    return expression.true(maps)


def _map_in_mask(name: str, expression: Expression, flags: set[str]) -> str:
    try:
        return map_names([name])[0]
    except ConfigError as error:
        what = f"{error}, and the flags {', '.join(sorted(flags))}"
        if meant := suggestion(name.upper(), flags):
            what = f"there is no map or flag {quoted(name)}{meant}"
        raise ConfigError(f"mask {quoted(expression.text)}: {what}") from None
