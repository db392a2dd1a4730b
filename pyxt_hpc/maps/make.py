"""Maps as they are asked for, made and written one after the other.

Fits are painted in a mode of `paint.MODES`. EmptySelection is raised instead of writing a blank map.
"""

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
"""The maps that each command of ClusterPyXT makes, which has its name here, too."""


def make_maps(
    image: ClusterImage, names: Sequence[str] = (), mode: str = "block", mask: Expression | None = None
) -> Iterator[MapProduct]:
    """Write, then yield, one map after the other, by their names.

    Parameters
    ----------
    image
        The cluster; `FittedRegions` where `catalogue.need_fits`, or with a mask.
    names
        As `catalogue.map_names` takes them; none for the default set.
    mode
        One of `paint.MODES`.
    mask
        What is true where maps shall be blank, such as ``fractional_error > 0.3 or flags``; None: nothing.

    Raises
    ------
    ConfigError
        If there is no such map, or the mask is no expression of maps.
    """
    single = map_names(names)
    if isinstance(image, FittedRegions):
        check_available(image, names)
    products = named_maps(image, single, mode)
    if mask is not None and isinstance(image, FittedRegions):
        products = masked_maps(image, products, mask)
    yield from write_maps(image, products)
