"""Every map in every form: beside its FITS file a picture and, if painted from regions, a DS9 file."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pyxt_hpc.maps.brightness import smooth_brightness
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.maps.thermodynamics import kpc_per_arcsec
from pyxt_hpc.report.ds9 import write_bins
from pyxt_hpc.report.pictures import Scene, draw_map


def draw_products(
    regions: FittedRegions, products: Iterable[MapProduct]
) -> Iterator[tuple[MapProduct, list[Path]]]:
    """Draw maps as they come.

    Parameters
    ----------
    regions
        Of the cluster.
    products
        Maps whose FITS files are written.

    Yields
    ------
    product, paths
        The map, and what was written beside its FITS file.
    """
    layout, bundle = regions.layout, regions.bundle
    brightness = smooth_brightness(bundle, regions.radius).value
    scene = Scene(bundle.wcs_header, brightness, kpc_per_arcsec(regions.config))
    for product in products:
        paths = [layout.picture(product.path)]
        draw_map(product, scene, paths[0])
        if product.of_regions is not None:
            paths.append(layout.ds9_regions(product.path))
            write_bins(product, regions, paths[-1])
        yield product, paths
