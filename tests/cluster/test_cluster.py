"""The Python face: what its objects say is what the command line stores and maps."""

import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.units import Quantity
from astropy.wcs import WCS
from matplotlib.figure import Figure
from simulated_fronts import shock_free_cluster

import pyxt_hpc as px
from pyxt_hpc.bundle import write_bundle
from pyxt_hpc.cli import main
from pyxt_hpc.cli.commands.manual import manual_pages
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import ConfigError, ForeignProduct, MissingInput, PyxtError
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.fitted import read_fitted_regions
from pyxt_hpc.maps.make import make_maps
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.store.reader import read_store

NAME = "A1795"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a small cluster that is fitted and mapped."""
    folder = tmp_path_factory.mktemp("face")
    rng = np.random.default_rng(6)
    truth = shock_free_cluster("round", rng, 45).cluster
    path = folder / f"{NAME}_cluster_config.ini"
    bundle = observe_directly(truth, rng, exposure_s=4e4)
    path.write_text(
        f"[cluster_info]\nname = {NAME}\nobservation_ids = {bundle.obsids[0]}\nredshift = {bundle.redshift}\n"
        f"hydrogen_column_density = {bundle.nH}\nabundance = {bundle.abundance}\n"
        "signal_to_noise_threshold = 20\n"
    )
    write_bundle(Layout.of(read_config(path)).bundle, renamed(bundle))
    assert main(["create-bins", "-c", str(path), "--num-cpus", "1"]) == 0
    assert main(["fit-spectra", "-c", str(path), "--num-cpus", "1", "--yes"]) == 0
    regions = read_fitted_regions(read_config(path))
    for _ in (*make_maps(regions, ["all"]), *make_maps(regions, ["kT", "norm"], "interpolate")):
        pass  # what the commands write, without the pictures
    return path


def renamed(bundle: px.bundle.Bundle) -> px.bundle.Bundle:
    """The bundle of a cluster of our name."""
    return replace(bundle, name=NAME)


@pytest.fixture(params=["INI", "bundle"])
def cluster(request: pytest.FixtureRequest, config: Path) -> px.Cluster:
    """The cluster by its configuration, and by its bundle alone."""
    if request.param == "INI":
        return px.Cluster(config)
    return px.open_bundle(Layout.of(read_config(config)).bundle)


def files_in(folder: Path) -> set[tuple[Path, int]]:
    """Every file and when it was changed."""
    return {(path, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_table_is_that_of_the_results_store(cluster: px.Cluster, config: Path, tmp_path: Path) -> None:
    stored = read_store(Layout.of(read_config(config)).results)
    table = cluster.results.to_table()
    assert len(table) == len(stored.rows) == len(cluster.results)
    for name in stored.rows.dtype.names:
        np.testing.assert_array_equal(table[name], stored.rows[name], err_msg=name)
    assert table["kT"].unit == "keV"
    assert cluster.results["kT"].unit == "keV"
    assert cluster.results["norm"][0].to("cm-5").value == pytest.approx(1e14 * stored.rows["norm"][0])
    names = [", ".join(flag.name for flag in FitFlag if flag & value) for value in stored.rows["flags"]]
    assert table["flag_names"].tolist() == names
    assert set(table["status"]) == {"done"}
    assert set(table["obs_id"]) == {cluster.bundle.obsids[0]}
    place = SkyCoord(table["ra"], table["dec"])[0]
    expected = cluster.wcs.pixel_to_world(table["col"][0], table["row"][0])
    assert place.separation(expected).arcsec < 1e-6
    main(["results", "export", "--format", "ecsv", "-c", str(config), "--output", str(tmp_path)])
    (path,) = tmp_path.glob("*.ecsv")
    assert Table.read(path).colnames == table.colnames


@pytest.mark.parametrize(
    ("name", "paint", "file"),
    [
        ("temperature", "block", "temperature"),
        ("temperature", "interpolate", "temperature{}_interpolated"),
        ("norm_per_area", "block", "norm_per_area"),
        ("density", "block", "density"),
        ("cooling_time", "block", "cooling_time"),
        ("surface_brightness", "block", "surface_brightness"),
        ("goodness", "block", "goodness"),
        ("flags", "block", "flags"),
        ("scale", "block", "scale"),
        ("signal_to_noise", "block", "signal_to_noise"),
        ("gradient_2pix", "block", "gradient_2pix"),
        ("residual_azimuthal", "block", "residual_azimuthal"),
    ],
)
def test_maps_are_those_of_the_command_line(
    cluster: px.Cluster, config: Path, name: str, paint: str, file: str
) -> None:
    layout = Layout.of(read_config(config))
    pattern = file if "{}" in file else file + "{}"
    made = cluster.map(name, paint=paint)
    with fits.open(layout.map(pattern.format(""))) as hdus:
        data, header = hdus[0].data.astype(float), hdus[0].header
        data[data == header.get("BLANK", np.nan)] = np.nan
    np.testing.assert_array_equal(made.values.value, data)
    assert made.unit == Quantity(1, header["BUNIT"]).unit if header["BUNIT"] else made.unit == ""
    assert WCS(header).wcs.compare(made.wcs.wcs)
    for end, error in (("_error_plus", made.error_plus), ("_error_minus", made.error_minus)):
        path = layout.map(pattern.format(end))
        if not path.exists():
            path = layout.map(pattern.format("_error"))  # one for both sides
        assert (error is not None) == path.exists()
        if error is not None:
            np.testing.assert_array_equal(error.value, fits.getdata(path))
            assert error.unit == made.unit
    assert f"SkyMap {name} of {NAME}: 45 x 45 pixels" in repr(made)


def test_a_map_is_written_only_when_asked_for(cluster: px.Cluster, config: Path, tmp_path: Path) -> None:
    before = files_in(config.parent)
    made = cluster.map("temperature")
    axes = made.plot()
    assert axes.get_title() == f"{NAME}: Temperature"
    assert files_in(config.parent) == before
    path = made.write(tmp_path / "kT.fits")
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["ERROR_MINUS", "ERROR_PLUS"]
        np.testing.assert_array_equal(hdus[0].data, made.values.value)
        np.testing.assert_array_equal(hdus["ERROR_PLUS"].data, made.error_plus.value)
        assert hdus["ERROR_PLUS"].header["BUNIT"] == "keV"
        assert WCS(hdus["ERROR_PLUS"].header).wcs.compare(made.wcs.wcs)
    packed = made.write(tmp_path / "kT.fits.gz")
    assert packed.read_bytes().startswith(b"\x1f\x8b")
    np.testing.assert_array_equal(fits.getdata(packed), made.values.value)
    for name in ("kT.png", "kT", "kT.csv.gz"):
        with pytest.raises(
            ConfigError, match=rf"{name}: a map is written as FITS: .* save the figure of plot"
        ):
            made.write(tmp_path / name)
        assert not (tmp_path / name).exists()
    on_disk = fits.getheader(Layout.of(read_config(config)).map("temperature"))
    assert fits.getheader(path)["RESULTID"] == on_disk["RESULTID"]


def test_a_map_is_drawn_on_given_axes(cluster: px.Cluster) -> None:
    made = cluster.map("density")
    axes = Figure().add_subplot(projection=made.wcs)
    assert made.plot(axes) is axes
    assert len(axes.images) == 1
    assert made.plot(Figure().add_subplot()).get_title() == f"{NAME}: Electron density"


def test_a_side_on_which_all_intervals_are_open_has_no_errors(cluster: px.Cluster) -> None:
    rows = cluster.fit_spectra(cluster.regions(1))
    rows.stored.rows["kT_hi"] = np.nan
    made = px.make_map(rows, "temperature")
    assert np.isnan(made.error_plus).all()
    assert np.isnan(made.errors).all()
    assert np.isfinite(made.error_minus).all()


def test_one_region_is_that_of_the_map(cluster: px.Cluster, config: Path, tmp_path: Path) -> None:
    row = cluster.results.stored.rows[3]
    before = files_in(config.parent)
    one = cluster.fit_region(row["region"])
    for name, value in one.values.items():
        assert value.value == row[name]
    assert {name: (low.value, high.value) for name, (low, high) in one.intervals.items()} == {
        "kT": (row["kT_lo"], row["kT_hi"]),
        "norm": (row["norm_lo"], row["norm_hi"]),
    }
    assert one.spectrum["counts"].sum().value == row["counts"]
    assert str(one.spectrum["energy_lo"].unit) == "keV"
    assert len(one.plot().axes) == 2
    assert files_in(config.parent) == before
    assert one.write(tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    free = cluster.fit_region(int(row["region"]), free_abundance=True)
    low, high = (end.value for end in free.intervals["abundance"])
    assert not low > free.values["abundance"].value
    assert high > free.values["abundance"].value
    assert "kT" in repr(free)


def test_a_place_on_the_sky_has_a_region(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = px.Cluster(config)
    row = cluster.results.stored.rows[7]
    ra, dec = (float(at) for at in cluster.wcs.wcs_pix2world(row["col"] + 0.3, row["row"] - 0.4, 0))
    assert cluster.region_at(ra, dec) == row["region"]
    titles: list[str] = []
    monkeypatch.setattr(Figure, "suptitle", lambda self, text, **how: titles.append(text))
    place = SkyCoord(ra, dec, unit="deg").to_string("hmsdms", sep=":")
    assert main(["fit-region", "-c", str(config), "--at", place]) == 0
    assert f"region_{row['region']}_spectrum.png" in capsys.readouterr().out
    (title,) = titles
    assert f"Region {row['region']} of {NAME}" in title
    middle = cluster.wcs.pixel_to_world(row["col"], row["row"])
    assert middle.to_string("hmsdms", sep=":", precision=1) in title
    assert f'radius {row["radius"] * 1.968:.1f}"' in title
    for word in ("z = 0.1", "nH = 0.05", "Z = 0.3 solar", "kpc"):
        assert word in title


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit-region", "--at", "0 0"], "outside of the images"),
        (["fit-region", "--at", "10:00:06"], "expected 'RA DEC'"),
        (["fit-region", "--at", "nan nan"], "nan"),
        (["fit-region"], "takes the number of a region, or a position --at"),
        (["fit-region", "3", "--at", "0 0"], "takes the number of a region, or a position --at"),
        (["make-maps", "kT", "goodness", "--vmin", "2"], "name one"),
        (["make-maps", "--vmax", "2"], "name one"),
        (["make-maps", "kT", "--vmin", "3", "--vmax", "2"], "lower value first"),
        (["make-maps", "kT", "--vmin", "nan"], "not a finite number"),
        (["make-maps", "kT", "--cmap", "rainbows"], "there are no colours 'rainbows'"),
        (["make-maps", "kT", "--format", "gif"], "png, pdf, svg"),
        (["make-maps", "kT", "--center", "somewhere"], "expected 'RA DEC'"),
        (["make-maps", "kT", "--center", "10 10"], "not on the map"),
        (["make-maps", "temprature"], "did you mean temperature"),
        (["make-maps", "kT", "--mask", "open('x')"], "'open('x')' is not allowed; expected comparisons"),
        (["make-maps", "kT", "--mask", "goodnes > 3"], "did you mean goodness"),
        (["make-maps", "abundance"], "free_abundance = true"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    config: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "-c", str(config)]) == 2
    assert message in capsys.readouterr().err


def test_fits_in_memory_are_those_of_the_store(cluster: px.Cluster) -> None:
    stored = cluster.results
    regions = cluster.regions(2)
    rows = px.fit_spectra(cluster.bundle, regions, pool=px.choose_pool(2))
    alone = cluster.fit_spectra(regions[5:9])
    for name in ("region", "kT", "kT_lo", "norm", "goodness", "flags"):
        np.testing.assert_array_equal(rows[name], stored[name])
        np.testing.assert_array_equal(alone[name], stored[name][5:9])
    np.testing.assert_array_equal(px.make_map(rows, "temperature").values, cluster.map("temperature").values)
    np.testing.assert_array_equal(px.make_map(stored, "scale").values, cluster.scale_map)
    free = px.fit_spectra(cluster.bundle, regions[:1], free_abundance=True)
    assert np.isfinite(free["abundance_hi"]).all()
    assert np.isnan(rows["abundance_hi"]).all()


def test_objects_print_well(cluster: px.Cluster) -> None:
    assert f"Cluster {NAME}" in repr(cluster)
    assert f"Bundle {NAME}: 45 x 45 pixels" in repr(cluster.bundle)
    n = len(cluster.regions(2))
    assert repr(cluster.results) == f"<FitResults of {NAME}: {n} regions, {n} done>"
    assert "<table" in cluster.results._repr_html_()
    assert cluster.brightness.unit == "ct s-1 arcmin-2"


def test_settings_of_results_are_those_of_an_opened_bundle(config: Path) -> None:
    opened = px.open_bundle(Layout.of(read_config(config)).bundle)
    assert opened.config.signal_to_noise == 20
    other = px.open_bundle(Layout.of(read_config(config)).bundle, temperature_max=20, free_abundance=True)
    assert other.config.temperature_max_keV == 20
    assert other.config.free_abundance


def test_a_bundle_alone_needs_nothing_beside_it(config: Path, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.h5"
    path.write_bytes(Layout.of(read_config(config)).bundle.read_bytes())
    cluster = px.open_bundle(path, signal_to_noise_threshold=20)
    rows = cluster.fit_spectra(cluster.regions(1))
    assert rows.done.all()
    assert np.isfinite(px.make_map(rows, "pressure").values).all()
    with pytest.raises(MissingInput, match=f"{NAME}_results.h5"):
        _ = cluster.results
    assert list(tmp_path.iterdir()) == [path]


def test_results_can_be_pickled_with_their_map(cluster: px.Cluster) -> None:
    labels = np.ones(cluster.bundle.mask.shape, np.int32)
    for results in (cluster.results, cluster.fit_spectra(cluster.regions(1)), cluster.fit_spectra(labels)):
        again = pickle.loads(pickle.dumps(results))
        found, expected = (px.make_map(one).values.value for one in (again, results))
        np.testing.assert_array_equal(found, expected)


def test_bins_may_be_edited_for_fits_of_ones_own(cluster: px.Cluster) -> None:
    labels = np.ones(cluster.bundle.mask.shape, np.int32)
    binned = px.Cluster(cluster.config)
    vars(binned)["_region_map"] = RegionMap.of_labels(labels)
    binned.bins[:] = 0
    assert (binned.bins == 1).all()


def test_label_image_is_fitted_and_painted_by_bin(cluster: px.Cluster) -> None:
    y, x = np.mgrid[:45, :45]
    labels = np.where(np.hypot(y - 22, x - 22) < 20, 1 + y // 15 + 3 * (x // 15), 0)
    labels[labels == 4] = 70  # numbers need not be consecutive
    rows = px.fit_spectra(cluster.bundle, labels)
    assert rows["region"].value.tolist() == [1, 2, 3, 5, 6, 7, 8, 9, 70]
    assert rows["area"].value.tolist() == [np.count_nonzero(labels == n) for n in rows["region"].value]
    assert rows["counts"].value.sum() == cluster.bundle.counts[labels > 0].sum()
    kT, expected = px.make_map(rows).values.value, np.full((45, 45), np.nan)
    for number, value in zip(rows["region"], rows["kT"], strict=True):
        expected[labels == number] = value.value
    np.testing.assert_allclose(kT, expected, rtol=1e-6)
    brightness = px.make_map(rows, "surface_brightness").values.value
    one = labels == 5
    bundle = cluster.bundle
    mean = (bundle.counts - bundle.background)[one].sum() / bundle.exposure[one].sum()
    np.testing.assert_allclose(brightness[one] * bundle.pixel_area_arcmin2, mean, rtol=1e-4)
    assert np.isnan(brightness[labels == 0]).all()
    density = px.make_map(rows, "density")
    assert np.isfinite(density.values[labels > 0]).all()
    with pytest.raises(ConfigError, match="share no pixel"):
        px.make_map(rows, paint="average")
    for wrong, words in ((labels[1:], "44 x 45 pixels, expected"), (0 * labels, "every label is 0")):
        with pytest.raises(ConfigError, match=words):
            px.fit_spectra(cluster.bundle, wrong)


def test_errors_are_one_plain_line(cluster: px.Cluster, config: Path, tmp_path: Path) -> None:
    store = Layout.of(read_config(config)).results
    regions = cluster.regions(1)
    outside = regions.copy()
    outside["col"][0] = 45
    crooked = Table(regions)
    crooked["radius"] = crooked["radius"] + 0.3
    for wrong, words in {
        lambda: cluster.map("temprature"): r"did you mean temperature\?.*density.*goodness",
        lambda: cluster.map(paint="blocks"): "block, interpolate, average",
        lambda: cluster.map("abundance"): "free_abundance",
        lambda: cluster.map(depth_kpc=-1): "depth_kpc",
        lambda: cluster.fit_region(10**6): "has regions 1 to 2025",
        lambda: cluster.fit_region(0): "has regions 1 to 2025",
        lambda: cluster.fit_region(1, abundanc=1): "abundanc.*did you mean abundance",
        lambda: cluster.fit_region(1, redshift=0.2): "bundle was made with its value",
        lambda: cluster.regions(4): "1, 2 or 3",
        lambda: px.open_bundle(tmp_path / "no.h5"): "no.h5 is missing: `pyxt-hpc crop-data",
        lambda: px.read_results(tmp_path / "no.h5"): "no.h5",
        lambda: px.read_results(Layout.of(read_config(config)).bundle): "bundle",
        lambda: px.make_map(px.read_results(store)): "without a bundle",
        lambda: px.fit_spectra(cluster.bundle, [1, 2]): "no column region, row, col, radius",
        lambda: px.fit_spectra(cluster.bundle, regions[:0]): "no region",
        lambda: px.fit_spectra(cluster.bundle, outside): "column 45.*45 x 45 pixels",
        lambda: px.fit_spectra(cluster.bundle, crooked): "in steps of 0.125",
        lambda: cluster.map("counts").errors: "the map counts has no errors",
        lambda: cluster.fit_region(100.7): "region is 100.7, expected a whole number",  # type: ignore[arg-type]
        lambda: cluster.fit_region(1, depth_kpc=30): r"depth_kpc is a key of \[maps\], which has no effect",
        lambda: cluster.fit_spectra(
            regions, signal_to_noise_threshold=9
        ): "threshold is a key of .cluster_info",
        lambda: px.fit_spectra(cluster.bundle, regions, num_cpus=3): "num_cpus is a key of .processing",
        lambda: cluster.map(free_abundance=True): "free_abundance is a key of .spectral",
        lambda: px.make_map(cluster.results, temperature_max=9): "temperature_max is a key of .spectral",
        lambda: cluster.profile(backend="ciao"): "backend is a key of .processing",
        lambda: cluster.profile((150.0, 20.0)): "centre .*: expected peak, centroid",  # type: ignore[arg-type]
        lambda: cluster.profile(sector="12"): "sector is '12', expected two numbers",
        lambda: cluster.profile(band=(0.5, 2, 7)): "band is .*, expected two numbers",
        lambda: cluster.profile(seed=-1): "seed is '-1', expected a whole number",
        lambda: cluster.mass(ensembles=0): "ensembles is '0', expected a whole number from 1",
        lambda: cluster.mass(max_steps=0): "max_steps is '0', expected a whole number from 1",
        lambda: cluster.mass(pool=4): "expected a pool, as from choose_pool",  # type: ignore[arg-type]
        lambda: px.choose_pool(-1): "-1",
        lambda: px.choose_pool(np.nan): "n_workers is 'nan'",  # type: ignore[arg-type]
        lambda: px.choose_pool(10**9): "from 0 to 4096",
        lambda: px.Cluster(tmp_path / "no.ini"): "no.ini",
        lambda: cluster.results["kt"]: "known are.*kT",
    }.items():
        with pytest.raises(PyxtError, match=words) as caught:
            wrong()
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="scale map"):
        px.make_map(cluster.fit_spectra(regions[:1]) and px.fit_spectra(cluster.bundle, regions), "scale")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("row", [0.7, 1, 2]),
        ("col", [0, np.nan, 2]),
        ("region", [1.5, 2.5, 3.5]),
        ("region", [np.nan, 1, 2]),
        ("region", [0, 1, 2]),
        ("region", [1, 2, 2**31]),
        ("radius", ["8", "8", "8"]),
        ("row", ["1", "2", "3"]),
    ],
)
def test_what_would_be_rounded_is_refused(cluster: px.Cluster, column: str, values: list[object]) -> None:
    regions = Table(cluster.regions(1)[:3])
    regions[column] = values
    with pytest.raises(ConfigError, match=r"expected a number from 1|expected numbers in all"):
        px.fit_spectra(cluster.bundle, regions)


def test_masked_labels_are_no_region(cluster: px.Cluster) -> None:
    labels = np.zeros(cluster.bundle.mask.shape, np.int32)
    labels[10:20, 10:20], labels[20:30, 10:20] = 1, 2
    fitted = px.fit_spectra(cluster.bundle, np.ma.masked_array(labels, labels == 1))
    assert fitted["region"].value.tolist() == [2]


def test_angles_may_have_units(cluster: px.Cluster) -> None:
    ra, dec = (float(v) for v in cluster.wcs.wcs_pix2world(22, 22, 0))
    there = cluster.region_at(ra, dec)
    assert cluster.region_at(Quantity(np.radians(ra), "rad"), Quantity(60 * dec, "arcmin")) == there  # type: ignore[arg-type]


def test_other_names_of_maps(cluster: px.Cluster) -> None:
    assert cluster.map("kT").name == "temperature"


def test_opened_bundle_tells_that_its_fits_have_other_settings(
    config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    px.open_bundle(Layout.of(read_config(config)).bundle, temperature_max=20).map()
    assert "made with other settings" in caplog.text


def test_results_of_another_bundle_are_refused(config: Path, tmp_path: Path) -> None:
    bundle = px.read_bundle(Layout.of(read_config(config)).bundle)
    path = tmp_path / "other_bundle.h5"
    write_bundle(path, replace(bundle, background=2 * bundle.background))
    (tmp_path / f"{NAME}_results.h5").write_bytes(Layout.of(read_config(config)).results.read_bytes())
    cluster = px.open_bundle(path)
    assert cluster.config.signal_to_noise == 50
    with pytest.raises(ForeignProduct, match="fitted from bundle"):
        _ = cluster.results


def test_what_the_notebook_shows(config: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(manual_pages()["notebook"].read_text(encoding="utf-8"))
    before = files_in(config.parent)
    run = subprocess.run(
        [sys.executable, str(script)],
        cwd=config.parent,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert files_in(config.parent) == before


def test_import_is_quick() -> None:
    program = "import sys, pyxt_hpc; print(*sys.modules); print(*dir(pyxt_hpc))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded, names = run.stdout.splitlines()
    assert not {"numpy", "astropy", "h5py", "numba", "matplotlib"} & set(loaded.split())
    assert set(px.__all__) <= set(names.split())
    for name in px.__all__:
        assert getattr(px, name)
    with pytest.raises(AttributeError, match="no attribute 'Clustre'"):
        _ = px.Clustre
