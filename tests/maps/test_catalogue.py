"""Maps by their names: which are made, and which are masked."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.maps import catalogue
from pyxt_hpc.maps.catalogue import DEFAULT, MAPS, map_named, map_names, need_fits
from pyxt_hpc.maps.gas.correlation import JointErrors
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.kinds.expression import Expression
from pyxt_hpc.maps.make import CLUSTERPYXT_COMMANDS, make_maps

SHAPE = (31, 40)


def test_names_stand_for_maps_with_their_errors() -> None:
    errors = ("_error_plus", "_error_minus", "_fractional_error", "_error")
    assert map_names(["kT"]) == ("temperature", *(f"temperature{end}" for end in errors))
    assert map_names(["temperature_error"]) == ("temperature_error",)
    assert map_names(["flags", "flags"])[0] == "flags"
    assert len(map_names(["gradient"])) >= 15
    assert set(MAPS) <= set(map_names(["all"]))
    assert map_names([]) == DEFAULT
    assert set(DEFAULT) <= set(map_names(["all"]))
    for names in CLUSTERPYXT_COMMANDS.values():
        assert map_names(names)


@pytest.mark.parametrize("name", ["tempersture", "flags_error", "gradient_3pix", "", "kt", "../x", "mach"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no map"):
        map_names([name])
    if name == "kt":
        with pytest.raises(ConfigError, match="did you mean kT"):
            map_names([name])


def test_some_maps_need_no_fits() -> None:
    assert not need_fits(map_names(["gradient", "residual"]))
    assert not need_fits(map_names(["residual_beta_error"]))
    assert need_fits(map_names(["gradient", "kT"]))


def without_correlations(regions) -> JointErrors:
    """Made-up bundles have no responses that errors could be correlated by."""
    return JointErrors(*np.zeros((5, len(regions.rows))))


def test_the_default_set_is_of_about_fifteen(fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxt_hpc.maps.gas.thermodynamics.joint_errors", without_correlations)
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    regions = replace(regions, circles_signal_to_noise=np.full(SHAPE, 40.0))
    made = [product.name for product in make_maps(regions)]
    assert set(made) <= set(DEFAULT)
    assert "abundance" not in made
    assert {"temperature", "temperature_error", "entropy", "flags"} <= set(made)
    assert 13 <= len(made) <= 17
    free = replace(regions, settings={"abundance_bounds": [0, 3], "nH_bounds": None})
    assert {"abundance", "abundance_error"} <= {product.name for product in make_maps(free)}


def test_only_what_is_named_is_made(fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    monkeypatch.setattr(catalogue, "map_gas", None)  # not even computed
    monkeypatch.setattr(catalogue, "map_gradients", None)
    products = list(make_maps(regions, ["goodness", "temperature_error"]))
    assert [product.name for product in products] == ["temperature_error", "goodness"]
    assert sorted(path.name for path in regions.layout.main_output.glob("*.fits")) == [
        "A_goodness_map.fits",
        "A_temperature_error_map.fits",
    ]
    with pytest.raises(ConfigError, match="abundance was not fitted"):
        next(make_maps(regions, ["Z"]))


def test_a_blank_map_is_never_handed_over(fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyxt_hpc.maps.gas.thermodynamics.joint_errors", without_correlations)
    regions = fitted(np.full(SHAPE, 5.0), np.zeros(SHAPE))
    assert (map_named(regions, "pressure")[0].values == 0.0).all()
    for name in ("entropy", "cooling_time"):
        with pytest.raises(EmptySelection, match=f"the map {name} would have no pixel with a value"):
            map_named(regions, name)


def test_maps_of_the_image_need_no_fits(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    image = ClusterImage(regions.config, regions.bundle, ())
    (product,) = make_maps(image, ["gradient_2pix"])
    assert product.name == "gradient_2pix"


def test_maps_are_blank_where_a_mask_is_true(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    rows = regions.rows
    rows["kT_hi"][rows["col"] > 20] = 9.0  # half the interval is 45% of kT
    rows["kT_hi"][(rows["col"] > 20) & (rows["row"] > 20)] = np.nan
    flagged = (rows["col"] <= 20) & (rows["row"] <= 10)
    rows["flags"][flagged] = int(FitFlag.POOR_FIT)
    mask = Expression.of("fractional_error > 0.3 or POOR_FIT")
    made = {product.name: product for product in make_maps(regions, ["kT", "flags"], mask=mask)}
    kT = made["temperature"]
    assert kT.path.name == "A_temperature_masked_map.fits"
    seen = np.isfinite(kT.values[rows["row"], rows["col"]])
    assert np.array_equal(seen, (rows["col"] <= 20) & ~flagged)
    assert np.array_equal(np.isfinite(kT.of_regions), seen)
    header = fits.getheader(kT.path)
    assert header["MASK"] == mask.text
    assert made["flags"].path.name == "A_flags_map.fits"
    assert not regions.layout.map("temperature").exists()
    flags = Expression.of("flags or temperature > 100")
    (counts,) = make_maps(regions, ["counts"], mask=flags)
    seen = np.isfinite(counts.values[rows["row"], rows["col"]])
    assert np.array_equal(seen, rows["flags"] == 0)


def test_a_mask_that_leaves_nothing_is_told(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    with pytest.raises(EmptySelection, match=r"mask 'kT > 1': wherever temperature has a value"):
        list(make_maps(regions, ["kT"], mask=Expression.of("kT > 1")))
    assert not regions.layout.main_output.exists()


def test_a_flag_that_is_misspelt_in_a_mask_is_suggested(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    for word, message in (
        ("poor_fitt", r"^mask 'poor_fitt': there is no map or flag 'poor_fitt' \(did you mean POOR_FIT\?\)$"),
        ("temperatur", r"^mask 'temperatur': there is no map 'temperatur' \(did you mean temperature\?\)"),
        ("xyz", r"^mask 'xyz': there is no map 'xyz': known are temperature.* and the flags .*POOR_FIT"),
    ):
        with pytest.raises(ConfigError, match=message):
            list(make_maps(regions, ["kT"], mask=Expression.of(word)))


@pytest.mark.parametrize("text", ["nonsense > 1", "gradient > 1", "abundance > 1", "AT_BOUND"])
def test_masks_of_what_is_no_map_are_refused(fitted, text: str, caplog: pytest.LogCaptureFixture) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    with caplog.at_level(logging.ERROR), pytest.raises(ConfigError):
        list(make_maps(regions, ["kT"], mask=Expression.of(text)))
    assert not regions.layout.main_output.exists()
