"""Maps as files: what is in them, and what is never written."""

import logging
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.bundle import write_bundle
from pyxt_hpc.errors import ConfigError, EmptySelection, ForeignProduct, PyxtError
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.inputs import fit_settings, scale_map_settings
from pyxt_hpc.images import write_image
from pyxt_hpc.maps import memory
from pyxt_hpc.maps.catalogue import map_names, named_maps
from pyxt_hpc.maps.fitted import FittedRegions, read_fitted_regions
from pyxt_hpc.maps.image import read_cluster_image
from pyxt_hpc.maps.kinds.blanks import Blank
from pyxt_hpc.maps.kinds.quantities import map_diagnostics
from pyxt_hpc.maps.make import make_maps
from pyxt_hpc.maps.product import MapProduct, config_fingerprint, write_map
from pyxt_hpc.provenance import software
from pyxt_hpc.store.rows import Status
from pyxt_hpc.store.writer import ResultsStore

SHAPE = (31, 40)
PARAMETERS = ("temperature", "norm", "norm_per_area", "abundance", "column_density")


def test_every_parameter_has_both_errors_and_their_fraction(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    regions.rows["kT_hi"][3] = np.nan
    made = {p.path.name: p for p in named_maps(regions, map_names(PARAMETERS))}
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
    names = {p.path.name for p in named_maps(regions, map_names(PARAMETERS), "average")}
    assert {"A_abundance_average_map.fits", "A_column_density_average_map.fits"} <= names


def test_diagnostics_are_those_of_the_rows(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    regions.rows["observations"][:, :2] = [0b1011, 0b1]
    regions.rows["goodness"], regions.rows["live_fraction"] = np.nan, 0.75
    regions.rows["statistic"] = 120.0
    made = {p.path.name: p.values[0, 0] for p in map_diagnostics(regions)}
    assert made["A_observations_map.fits"] == 4
    assert made["A_statistic_map.fits"] == pytest.approx(1.2)
    assert made["A_exposure_map.fits"] == 1e5
    assert made["A_live_fraction_map.fits"] == 0.75
    assert "A_goodness_map.fits" not in made


def test_missing_is_blank_in_every_file(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    regions.radius[:9, :9] = 0.0
    inside = (regions.rows["row"] < 9) & (regions.rows["col"] < 9)
    regions = replace(regions, rows=regions.rows[~inside])
    products = [*named_maps(regions, map_names(PARAMETERS)), *map_diagnostics(regions)]
    for product in products:
        write_map(product, regions)
        with fits.open(product.path) as hdus:
            data, header = hdus[0].data, hdus[0].header
        assert np.isnan(data[:9, :9]).all() or product.name == "flags"
        assert np.isfinite(data[10:, 10:]).all()
        assert header["BUNIT"] == product.unit
        assert "A.ini" in str(header["HISTORY"])
        assert "made up" in str(header["HISTORY"])
    with fits.open(regions.layout.map("flags"), do_not_scale_image_data=True) as hdus:
        assert hdus[0].data.dtype.kind == "i"
        assert (hdus[0].data[0, 0], hdus[0].data[20, 20]) == (int(Blank.NO_REGION), 0)


def test_blank_map_is_an_error_and_no_file(fitted) -> None:
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    path = regions.layout.map("empty")
    with pytest.raises(EmptySelection, match="no pixel has a value"):
        write_map(MapProduct(path, "Empty", "", np.full(SHAPE, np.nan)), regions)
    assert not path.exists()
    regions.rows["kT"] = np.nan
    with pytest.raises(EmptySelection):
        next(make_maps(regions, ["kT"]))
    with pytest.raises(EmptySelection):
        next(make_maps(regions, ["fits"]))


@pytest.fixture
def stored(fitted):
    """Write a cluster with fits of some status; its regions as they were written."""

    def make(status: np.ndarray | Status = Status.DONE, *, bundle: str = "", flags: int = 0) -> FittedRegions:
        regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
        written = write_bundle(regions.layout.bundle, regions.bundle)
        write_image(
            regions.layout.scale_map, regions.radius, written.wcs_header, unit="pixel", comment="",
            bundle_fingerprint=written.fingerprint, settings=scale_map_settings(regions.config),
        )  # fmt: skip
        regions.rows["flags"] = flags
        settings = fit_settings(regions.config, written, SimpleNamespace(origin="image"), 2)
        settings["bundle"] = bundle or written.fingerprint
        status = np.full(len(regions.rows), status, np.uint8) if isinstance(status, Status) else status
        final = np.flatnonzero(status >= Status.DONE)
        path = regions.layout.results
        with ResultsStore.create(
            path, regions=regions.rows, fingerprint="a" * 64, settings=settings
        ) as store:
            store.write(final, regions.rows[final], status[final])
        return replace(regions, bundle=written)

    return make


N_REGIONS = 11 * 14


def test_incomplete_results_are_mapped_and_counted(stored) -> None:
    status = np.full(N_REGIONS, Status.PENDING, np.uint8)
    status[:100], status[:10] = Status.DONE, Status.BAD
    regions = stored(status)
    read = read_fitted_regions(regions.config)
    assert (len(read.rows), read.bad, read.pending) == (90, 10, N_REGIONS - 100)
    path = next(make_maps(read, ["kT"])).path
    with fits.open(path) as hdus:
        seen, header = np.isfinite(hdus[0].data), hdus[0].header
    at = regions.rows["row"], regions.rows["col"]
    assert np.array_equal(seen[at], status == Status.DONE)
    text = " ".join(str(header["HISTORY"]).split())
    assert f"90 of {N_REGIONS} regions are fitted, 10 bad, {N_REGIONS - 100} not yet fitted" in text


def test_results_that_are_being_written_are_mapped_with_a_warning(
    stored, caplog: pytest.LogCaptureFixture
) -> None:
    regions = stored(np.r_[np.full(50, Status.DONE), np.zeros(N_REGIONS - 50)].astype(np.uint8))
    path = regions.layout.results
    settings = read_fitted_regions(regions.config).settings
    assert "is writing it" not in caplog.text
    with ResultsStore.open_for_resume(path, fingerprint="a" * 64, settings=settings) as store:
        store.start(np.array([60, 61]))
        store.write(np.array([60]), regions.rows[60:61], np.array([Status.DONE], np.uint8))
        with caplog.at_level(logging.WARNING):
            read = read_fitted_regions(regions.config)
    assert "is writing it: maps will show what is fitted now" in caplog.text
    assert (len(read.rows), read.pending) == (51, N_REGIONS - 51)


def test_results_of_another_bundle_are_refused(stored) -> None:
    regions = stored(bundle="b" * 64)
    with pytest.raises(ForeignProduct, match=r"fitted from bundle bbbb.*fit-spectra"):
        read_fitted_regions(regions.config)


def test_only_bad_regions_say_why(stored) -> None:
    regions = stored(Status.BAD, flags=int(FitFlag.FAILED))
    with pytest.raises(EmptySelection, match=f"all {N_REGIONS} regions are bad.*FAILED in {N_REGIONS}"):
        read_fitted_regions(regions.config)
    regions = stored(Status.PENDING)
    with pytest.raises(EmptySelection, match=f"none of {N_REGIONS} regions has been fitted .0 bad.: run"):
        read_fitted_regions(regions.config)


def test_too_little_memory_is_refused_before_anything_is_read(
    stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = stored()
    needed = memory.available_memory()
    assert needed is None or needed > 1 << 20
    monkeypatch.setattr(memory, "available_memory", lambda: 50 << 20)
    monkeypatch.setattr("pyxt_hpc.maps.fitted.read_cluster_bundle", None)
    for read in (read_fitted_regions, read_cluster_image):
        with pytest.raises(ConfigError, match=r"31 x 40 pixels need about 0\.\d GiB of memory, but 0\.0 GiB"):
            read(regions.config)


def test_larger_images_and_more_regions_need_more_memory(stored) -> None:
    regions = stored()
    before = memory.needed_memory(regions.layout)[0]
    regions.layout.results.unlink()
    assert memory.needed_memory(regions.layout)[0] < before


def test_every_header_says_what_the_map_was_made_from(stored) -> None:
    regions = stored()
    read = read_fitted_regions(regions.config)
    header = fits.getheader(next(make_maps(read, ["kT"])).path)
    assert header["CONFIGID"] == config_fingerprint(regions.config)[:16]
    assert header["BUNDLEID"] == regions.bundle.fingerprint[:16]
    assert (header["RESULTID"], header["CREATOR"]) == ("a" * 16, software())
    image = read_cluster_image(regions.config)
    header = fits.getheader(next(make_maps(image, ["gradient"])).path)
    assert header["BUNDLEID"] == regions.bundle.fingerprint[:16]
    assert "RESULTID" not in header


def test_fingerprint_of_the_configuration_is_of_what_decides_the_maps(fitted) -> None:
    config = fitted(np.ones(SHAPE), np.ones(SHAPE)).config
    same = replace(config, last_step_completed=7, num_cpus=3)
    assert config_fingerprint(same) == config_fingerprint(config)
    assert config_fingerprint(replace(config, depth_kpc=500.0)) != config_fingerprint(config)


@pytest.mark.parametrize("read", [read_fitted_regions, read_cluster_image])
def test_missing_bundle_is_named(stored, read) -> None:
    regions = stored()
    regions.layout.bundle.unlink()
    with pytest.raises(PyxtError, match=r"A_bundle\.h5 is missing: `pyxt-hpc run .* --through crop-data"):
        read(regions.config)


def test_headers_name_cluster_observations_and_settings(stored) -> None:
    regions = stored()
    read = read_fitted_regions(regions.config)
    names = [f"{number:05d}" for number in range(40)]  # too long for one card
    observations = tuple(replace(read.bundle.observations[0], obsid=name, dataset=name) for name in names)
    observations += (replace(observations[0], dataset="00000-BI", exposure_s=5e4),)
    read = replace(read, bundle=replace(read.bundle, observations=observations))
    for product in (next(make_maps(read, ["kT"])), next(make_maps(read, ["flags"]))):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with fits.open(product.path, checksum=True) as hdus:
                hdus.verify("exception")
                header = hdus[0].header
        assert header["OBJECT"] == "A"
        assert (header["TELESCOP"], header["INSTRUME"]) == ("CHANDRA", "ACIS")
        assert header["OBS_ID"] == ",".join(names)
        assert header["LONGSTRN"] == "OGIP 1.0"
        assert header["EXPOSURE"] == pytest.approx(40 * 1e5)  # both kinds of chips at the same time
        assert (header["REDSHIFT"], header["NH"], header["SNTARGET"]) == (0.1, 0.05, 50.0)
        when = datetime.fromisoformat(header["DATE"]).replace(tzinfo=UTC)
        assert abs((datetime.now(UTC) - when).total_seconds()) < 600
        assert {"CHECKSUM", "DATASUM"} <= set(header)
