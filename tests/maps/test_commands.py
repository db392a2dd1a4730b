"""Maps as files: what is in them, and what is never written."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.maps.commands import make_fit_maps, make_temperature_maps
from pyxt_hpc.maps.product import MapProduct, write_product
from pyxt_hpc.maps.quantities import map_diagnostics, map_parameters

SHAPE = (31, 40)


def test_every_parameter_has_both_errors_and_their_fraction(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    regions.rows["kT_hi"][3] = np.nan
    made = {p.path.name: p for p in map_parameters(regions, "block")}
    ends = ("", "_error", "_error_plus", "_error_minus", "_fractional_error")
    assert {n for n in made if "temperature" in n} == {f"A_temperature{end}_map.fits" for end in ends}
    assert not any("abundance" in name or "column" in name for name in made)
    assert np.nanmax(abs(made["A_temperature_error_minus_map.fits"].values - 0.5)) < 1e-6
    assert np.nanmax(abs(made["A_temperature_fractional_error_map.fits"].values - 0.1)) < 1e-6
    at = regions.rows["row"][3], regions.rows["col"][3]
    assert np.isfinite(made["A_temperature_error_minus_map.fits"].values[at])
    assert np.isnan(made["A_temperature_error_plus_map.fits"].values[at])
    area = np.pi * 4.0**2 * (1.968 / 60) ** 2
    expected = 1e-6 * np.pi * 16 / area
    assert made["A_norm_per_area_map.fits"].values[0, 0] == pytest.approx(expected, rel=0.03)


def test_free_parameters_are_mapped(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    regions = replace(regions, settings={"abundance_bounds": [0, 3], "nH_bounds": [0, 1]})
    names = {p.path.name for p in map_parameters(regions, "average")}
    assert {"A_abundance_average_map.fits", "A_column_density_average_map.fits"} <= names


def test_diagnostics_are_those_of_the_rows(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    regions.rows["observations"] = 0b1011
    regions.rows["goodness"] = np.nan
    regions.rows["statistic"] = 120.0
    made = {p.path.name: p.values[0, 0] for p in map_diagnostics(regions)}
    assert made["A_observations_map.fits"] == 3
    assert made["A_statistic_map.fits"] == pytest.approx(1.2)
    assert made["A_exposure_map.fits"] == 1e5
    assert "A_goodness_map.fits" not in made


def test_missing_is_blank_in_every_file(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    regions.radius[:9, :9] = 0.0
    inside = (regions.rows["row"] < 9) & (regions.rows["col"] < 9)
    regions = replace(regions, rows=regions.rows[~inside])
    products = [*map_parameters(regions, "block"), *map_diagnostics(regions)]
    for product in products:
        write_product(product, regions.bundle, regions.config, regions.history)
        with fits.open(product.path) as hdus:
            data, header = hdus[0].data, hdus[0].header
        assert np.isnan(data[:9, :9]).all()
        assert np.isfinite(data[10:, 10:]).all()
        assert header["BUNIT"] == product.unit
        assert "A.ini" in str(header["HISTORY"])
        assert "made up" in str(header["HISTORY"])
    with fits.open(regions.layout.map("flags"), do_not_scale_image_data=True) as hdus:
        assert hdus[0].data.dtype.kind == "i"
        assert (hdus[0].data[0, 0], hdus[0].data[20, 20]) == (-1, 0)


def test_blank_map_is_an_error_and_no_file(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    path = regions.layout.map("empty")
    with pytest.raises(EmptySelection, match="no pixel has a value"):
        write_product(MapProduct(path, "Empty", "", np.full(SHAPE, np.nan)), regions.bundle, regions.config)
    assert not path.exists()
    regions.rows["kT"] = np.nan
    with pytest.raises(EmptySelection):
        next(make_temperature_maps(regions))
    with pytest.raises(EmptySelection):
        next(make_fit_maps(regions))
