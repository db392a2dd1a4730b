"""Make and write maps by their names, one after the other."""

from collections.abc import Iterator, Sequence

from pyxt_hpc.maps.catalogue import check_available, map_names, named_maps
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.kinds.expression import Expression
from pyxt_hpc.maps.kinds.masked import masked_maps
from pyxt_hpc.maps.product import MapProduct, write_maps

CLUSTERPYXT_COMMANDS = {
    "make-temperature-map": ("temperature", "norm", "counts", "scale", "signal_to_noise"),
    "make-pressure-map": ("pseudo_pressure", "density", "pressure"),
    "make-entropy-map": ("pseudo_entropy", "entropy", "cooling_time"),
    "make-gradient-map": ("gradient",),
    "make-residual-map": ("residual",),
}
"""Names of the maps that each command makes that is named as in ClusterPyXT."""


def make_maps(
    image: ClusterImage, names: Sequence[str] = (), mode: str = "block", mask: Expression | None = None
) -> Iterator[MapProduct]:
    """Write, then yield, maps given by their names, one after the other.

    Parameters
    ----------
    image
        The cluster; `FittedRegions` if `catalogue.need_fits`, or with a mask.
    names
        Names as for `catalogue.map_names`; an empty sequence stands for the default maps.
    mode
        One of `paint.MODES`.
    mask
        Maps are blank where this expression is true, such as ``fractional_error > 0.3 or flags``.

    Raises
    ------
    ConfigError
        If there is no map with a name, or a name in the mask is not that of a map or a flag.
    EmptySelection
        If a map would have no value; it is not written.
    """
    single = map_names(names)
    if isinstance(image, FittedRegions):
        check_available(image, names)
    products = named_maps(image, single, mode)
    if mask is not None and isinstance(image, FittedRegions):
        products = masked_maps(image, products, mask)
    yield from write_maps(image, products)
