"""Maps are drawn in other processes, in order, and what goes wrong there is heard of."""

from itertools import islice

import numpy as np
import pytest
from matplotlib.image import imread

from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.make import make_maps
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.write_products import write_products

SHAPE = (60, 66)


def test_every_map_has_its_files_in_order(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    products = list(islice(make_maps(regions, ["kT"]), 4))
    drawn = list(write_products(regions, iter(products)))
    assert [product for product, _ in drawn] == products
    for product, paths in drawn:
        with_regions = product.of_regions is not None
        assert [path.suffix for path in paths] == [".png", ".reg"][: 1 + with_regions]
        assert all(path.stat().st_size > 1000 for path in paths)
    assert drawn[0][1][1].name == "A_temperature_map.reg"


def test_an_image_without_fits_is_drawn(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    image = ClusterImage(regions.config, regions.bundle, ())
    half = np.where(np.arange(SHAPE[1]) < SHAPE[1] // 2, 1.0, 3.0) * np.ones(SHAPE)
    even, uneven = (
        MapProduct(image.layout.map(name), "A", "", values)
        for name, values in (("a", np.ones(SHAPE)), ("b", half))
    )
    pictures = [imread(paths[0]) for _, paths in write_products(image, [even, uneven])]
    # two halves of colours of their own
    one, other = (len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) for picture in pictures)
    assert other > one > 1


def test_failure_of_a_drawing_is_raised(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    path = regions.layout.map("a")
    regions.layout.picture(path).mkdir(parents=True)
    with pytest.raises(DamagedFile, match=r"A_a_map\.png: is a folder"):
        list(write_products(regions, [MapProduct(path, "A", "", np.ones(SHAPE))]))
