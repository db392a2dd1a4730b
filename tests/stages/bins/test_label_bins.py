"""Bins that share no pixel, through stages 5 to 7: made, fitted, resumed, painted."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from simulated_fronts import shock_free_cluster

import pyxt_hpc as px
from pyxt_hpc.bundle import Bundle, write_bundle
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import BIN_METHODS, ClusterConfig, read_config
from pyxt_hpc.config.parsers import PSF
from pyxt_hpc.errors import ConfigError, EmptySelection, MissingInput
from pyxt_hpc.files.fits import write_fits
from pyxt_hpc.fit.inputs import config_of
from pyxt_hpc.layout import Layout
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.stages.bins.label_bins import Unbinned, label_bins, min_radius, summary_of
from pyxt_hpc.stages.bins.scale_map import circles_of
from pyxt_hpc.store.reader import read_store

SIDE = 45


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Gas without fronts, with a hole."""
    rng = np.random.default_rng(6)
    made = replace(
        observe_directly(shock_free_cluster("round", rng, SIDE).cluster, rng, exposure_s=4e4), name="A"
    )
    mask = made.mask.copy()
    mask[10:13, 30:33] = 0
    return replace(made, mask=mask)


def config_for(bundle: Bundle, **keys: object) -> ClusterConfig:
    """Without a file."""
    return replace(config_of(bundle), signal_to_noise=20.0, **keys)  # type: ignore[arg-type]


def write_config(folder: Path, bundle: Bundle, lines: str) -> Path:
    """An INI file with its bundle."""
    path = folder / "A.ini"
    path.write_text(
        f"[cluster_info]\nname = A\nobservation_ids = {bundle.obsids[0]}\nredshift = {bundle.redshift}\n"
        f"hydrogen_column_density = {bundle.nH}\nabundance = {bundle.abundance}\n"
        f"signal_to_noise_threshold = 20\n[binning]\n{lines}\n"
    )
    where = Layout.of(read_config(path)).bundle
    if not where.exists():
        write_bundle(where, bundle)
    return path


@pytest.mark.parametrize("method", ["contour", "voronoi", "grid", "annuli"])
def test_every_live_pixel_is_in_a_bin_or_has_a_reason(bundle: Bundle, method: str) -> None:
    config = config_for(bundle, bin_method=method, grid_side=7)
    made = label_bins(bundle, config)
    live = bundle.mask > 0
    np.testing.assert_array_equal(made.unbinned == Unbinned.DEAD, ~live)
    np.testing.assert_array_equal(made.unbinned == Unbinned.IN_BIN, made.labels > 0)
    assert not (made.labels[~live] > 0).any()
    for number in (1, int(made.labels.max())):
        own = made.labels == number
        c, b = bundle.counts[own].sum(), bundle.background[own].sum(dtype=float)
        np.testing.assert_allclose(made.signal_to_noise[own], (c - b) / np.sqrt(c + b), rtol=1e-5)
    summary = summary_of(bundle, config, made, 0.0)
    assert summary.bins == made.labels.max()
    assert sum(summary.unbinned.values()) == np.count_nonzero(live & (made.labels == 0))
    if method != "grid":
        assert summary.signal_to_noise[0] >= 0.97 * 20


def test_annuli_of_given_radii_and_place(bundle: Bundle) -> None:
    ra, dec = (float(v) for v in bundle.wcs.all_pix2world(20, 25, 0))
    scale = bundle.pixel_scale_arcsec
    config = config_for(
        bundle, bin_method="annuli", centre=(ra, dec), radii=(0.0, 5.2 * scale, 10.3 * scale), sectors=2
    )
    made = label_bins(bundle, config)
    y, x = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(y - 25, x - 20)
    apart = (bundle.mask > 0) & (abs(x - 20) > 1)  # from north, which the image may have turned a little
    rings = ((1, 0, 5.2, True), (2, 0, 5.2, False), (3, 5.2, 10.3, True), (4, 5.2, 10.3, False))
    for number, low, high, east in rings:
        inside = (distance >= low) & (distance < high) & ((x < 20) == east)
        np.testing.assert_array_equal((made.labels == number) & apart, inside & apart)
    assert (made.unbinned[distance > 11] != Unbinned.IN_BIN).all()
    assert (made.unbinned[(distance > 11) & (bundle.mask > 0)] == Unbinned.OUTSIDE).all()
    with pytest.raises(ConfigError, match=r"centre is at row .* outside the image of 45 x 45"):
        label_bins(bundle, replace(config, centre=(ra, dec + 1.0)))


def test_annuli_off_the_field_are_not_told_to_ask_for_less(bundle: Bundle) -> None:
    config = config_for(bundle, bin_method="annuli", radii=(5000.0, 6000.0))
    with pytest.raises(EmptySelection, match=r"no bin by .binning. method = annuli contains a live pixel"):
        label_bins(bundle, config)


def test_no_bin_reaches_the_signal(bundle: Bundle) -> None:
    for method in ("contour", "voronoi", "annuli"):
        with pytest.raises(EmptySelection, match="no bin reaches S/N 900: lower"):
            label_bins(bundle, replace(config_for(bundle, bin_method=method), signal_to_noise=900.0))


def test_point_spread_is_the_least_radius(bundle: Bundle, tmp_path: Path) -> None:
    path = write_config(tmp_path, bundle, "method = voronoi\nminimum_radius = psf")
    config = read_config(path)
    assert config.minimum_radius == PSF
    with pytest.raises(MissingInput, match=r"psfmap.*process-data.*or give minimum_radius in pixels"):
        min_radius(bundle, config)
    # pixels twice as large, the image's first one at their third
    header = fits.Header.fromstring(bundle.wcs_header)
    for axis in "12":
        header[f"CRPIX{axis}"] = 0.5 * (header[f"CRPIX{axis}"] - 0.5) + 0.5 + 2
        for name in (f"CDELT{axis}", f"CD{axis}_{axis}"):
            if name in header:
                header[name] *= 2
    radius = np.full((30, 30), 1.5, np.float32)
    radius[:, 2 + 12 :] = 3.0
    write_fits(Layout.of(config).merged_psf, fits.HDUList([fits.PrimaryHDU(radius, header)]))
    least = min_radius(bundle, config)
    np.testing.assert_allclose(least[:, :23], 3.0, rtol=1e-6)
    np.testing.assert_allclose(least[:, 25:], 6.0, rtol=1e-6)
    for method in ("voronoi", "contour"):
        labels = label_bins(bundle, replace(config, bin_method=method)).labels
        area = np.bincount(labels.ravel())
        assert area[np.unique(labels[:, 30:][labels[:, 30:] > 0])].min() >= np.pi * 6**2 * 0.9
        assert area[1:].min() >= np.pi * 3**2 * 0.9
    plain, _ = circles_of(bundle, config_for(bundle))
    larger, reached = circles_of(bundle, replace(config, bin_method="circles"))
    np.testing.assert_array_equal(larger, np.where(plain > 0, np.maximum(plain, least.astype(np.float32)), 0))
    row, col = np.argwhere((larger > plain) & (larger == 6))[0]
    y, x = np.mgrid[:SIDE, :SIDE]
    disc = ((y - row) ** 2 + (x - col) ** 2 <= 36) & (bundle.mask > 0)
    c, b = bundle.counts[disc].sum(), bundle.background[disc].sum(dtype=float)
    assert reached[row, col] == pytest.approx((c - b) / np.sqrt(c + b), rel=1e-5)


def test_from_bins_to_maps(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, bundle, "method = contour\nsmoothing_signal_to_noise = 12")
    config, command = read_config(path), ["-c", str(path), "--num-cpus", "1"]
    layout = Layout.of(config)
    assert main(["create-bins", *command]) == 0
    said = capsys.readouterr().out
    (n,) = (int(v) for v in re.findall(r"(\d+) regions to fit, at any resolution", said))
    assert "share no photons: their errors are independent" in said
    assert main(["create-bins", *command, "--continue"]) == 0
    assert "up to date" in capsys.readouterr().out
    with fits.open(layout.region_index_map) as hdus:
        labels, header = hdus[0].data.astype(int), hdus[0].header
        assert set(np.unique(hdus["UNBINNED"].data[labels > 0])) == {0}
    assert labels.max() == n
    assert (
        header["BINNING"]
        == config.bins
        == ("contour, smallest 0, largest 0, constraint 2, smoothing_signal_to_noise 12")
    )
    # at once, and with an interruption, over processes, and in parts: the same rows to the last bit
    assert main(["fit-spectra", *command]) == 0
    whole = read_store(layout.results)
    assert main(["fit-spectra", *command, "--yes", "--max-regions", "7"]) == 75
    assert main(["fit-spectra", "-c", str(path), "--num-cpus", "2", "--resolution", "1", "--continue"]) == 0
    again = read_store(layout.results)
    layout.results.unlink()
    for part in ("1/2", "2/2"):
        assert main(["fit-spectra", *command, "--slice", part]) == 0
    assert main(["results", "merge", "-c", str(path)]) == 0
    merged = read_store(layout.results)
    for name in set(whole.rows.dtype.names or ()) - {"seconds"}:
        np.testing.assert_array_equal(again.rows[name], whole.rows[name], err_msg=name)
        np.testing.assert_array_equal(merged.rows[name], whole.rows[name], err_msg=name)
    assert whole.rows["region"].tolist() == list(range(1, n + 1))
    assert whole.rows["counts"].sum() == bundle.counts[labels > 0].sum()
    assert whole.settings["bins"] == config.bins
    capsys.readouterr()
    assert main(["status", "-c", str(path)]) == 0
    assert f"{n} of {n} regions finished" in capsys.readouterr().out
    assert main(["make-temperature-map", "-c", str(path), "--resolution", "2"]) == 0
    kT = fits.getdata(layout.map("temperature"))
    np.testing.assert_array_equal(
        kT, np.append(np.float32(np.nan), whole.rows["kT"].astype(np.float32))[labels]
    )
    history = "".join(map(str, fits.getheader(layout.map("temperature"))["HISTORY"]))
    assert "bins share no photons: their errors are independent" in history
    assert "circles overlap" not in history
    drawn = layout.ds9_regions(layout.map("temperature")).read_text()
    assert drawn.count("polygon(") == n
    # what the Python face has is the same
    cluster = px.Cluster(path)
    np.testing.assert_array_equal(cluster.bins, labels)
    np.testing.assert_array_equal(cluster.map("temperature").values.value, kT)
    np.testing.assert_array_equal(cluster.fit_spectra(cluster.bins)["kT"].value, whole.rows["kT"])
    assert cluster.fit_region(5).row["kT"] == whole.rows["kT"][4]
    assert cluster.map("signal_to_noise").values.value[labels == 3][0] >= 20 * 0.97
    alone = px.open_bundle(
        layout.bundle, signal_to_noise_threshold=20, method="contour", smoothing_signal_to_noise=12
    )
    np.testing.assert_array_equal(alone.bins, labels)
    capsys.readouterr()
    for wrong, words in (
        (["make-maps", "--average"], "share no pixel"),
        (["find-shocks"], "regions are bins"),
    ):
        assert main([wrong[0], "-c", str(path), *wrong[1:]]) == 2
        assert words in capsys.readouterr().err
    # another method: everything that was made before is refused, and nothing is mixed
    write_config(tmp_path, bundle, "method = circles")
    assert main(["make-maps", "-c", str(path)]) == 2
    assert "made with BINNING = contour, smallest 0" in capsys.readouterr().err
    write_config(tmp_path, bundle, "method = contour\nconstraint = 1.5")
    assert main(["fit-spectra", *command, "--continue"]) == 2
    said = capsys.readouterr().err
    assert "BINNING = constraint 2, " in said
    assert "but it is constraint 1.5, " in said
    assert "create-bins" in said
    assert main(["create-bins", *command, "--continue"]) == 0
    assert "bins by the method contour" in capsys.readouterr().out
    assert main(["fit-spectra", *command, "--continue"]) == 2
    assert "bins" in capsys.readouterr().err


def test_bins_that_came_with_the_bundle_need_no_file(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(tmp_path, bundle, "method = file\nfile = of_mine.fits")
    create = ["create-bins", "-c", str(path), "--num-cpus", "1", "--continue"]
    assert main(create) == 2
    assert "of_mine.fits is missing" in capsys.readouterr().err
    fits.writeto(tmp_path / "of_mine.fits", 1 + np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 150)
    assert main(create) == 0
    assert "14 bins by the method file" in capsys.readouterr().out
    assert main(["pack", "-c", str(path), "--output", str(tmp_path / "A.tar")]) == 0
    there = tmp_path / "there"
    there.mkdir()
    assert main(["unpack", str(tmp_path / "A.tar"), "--directory", str(there)]) == 0
    create[2] = str(there / "A.ini")
    capsys.readouterr()
    assert main(create) == 0
    assert "up to date" in capsys.readouterr().out
    assert main(["fit-spectra", *create[1:]]) == 0
    # made again when the file is another one
    fits.writeto(tmp_path / "of_mine.fits", np.ones((SIDE, SIDE), int), overwrite=True)
    create[2] = str(path)
    assert main(create) == 0
    assert "1 bin by the method file" in capsys.readouterr().out


@pytest.mark.parametrize("change", [1, -5])
def test_damaged_labels_are_refused(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: int
) -> None:
    path = write_config(tmp_path, bundle, "method = grid\ngrid_side = 9")
    assert main(["create-bins", "-c", str(path), "--num-cpus", "1"]) == 0
    index = Layout.of(read_config(path)).region_index_map
    with fits.open(index, mode="update") as hdus:
        hdus[0].data[20, 20] += change
    capsys.readouterr()
    assert main(["fit-spectra", "-c", str(path), "--num-cpus", "1"]) == 2
    assert f"{index.name}: " in capsys.readouterr().err


def test_the_compressed_label_image_stands_for_the_one_that_is_not_there(
    bundle: Bundle, tmp_path: Path
) -> None:
    path = write_config(tmp_path, bundle, "method = file\nfile = labels.fits")
    row, col = np.indices(bundle.mask.shape)
    labels = (1 + col // 15 + 3 * (row // 15)).astype(np.int32)
    fits.writeto(tmp_path / "labels.fits.gz", labels, fits.Header.fromstring(bundle.wcs_header))
    assert main(["create-bins", "-c", str(path), "--num-cpus", "1"]) == 0
    with fits.open(Layout.of(read_config(path)).region_index_map) as hdus:
        found = hdus[0].data
    live = bundle.mask > 0
    assert len(np.unique(found[live] + 1000 * labels[live])) == len(np.unique(labels[live]))


def test_keys_of_methods_are_those_of_the_configuration(bundle: Bundle) -> None:
    for method in BIN_METHODS:
        text = config_for(bundle, bin_method=method, bin_file="a.fits").bins
        assert text.startswith("" if method == "circles" else method)
        assert all(f"{name} " in text for name in BIN_METHODS[method])
    assert config_for(bundle, minimum_radius=PSF).bins == "circles, minimum_radius psf"


def test_bins_of_a_centre_nearby_are_other_bins(bundle: Bundle) -> None:
    here, there = (
        config_for(bundle, bin_method="annuli", centre=(ra, 20.0)).bins for ra in (150.01231, 150.01234)
    )
    assert "centre 150.01231 20, " in here
    assert here != there
    assert "centre peak, " in config_for(bundle, bin_method="annuli").bins


BAD: dict[str, str] = {
    "method = file": "the key file is none",
    "method = hexagons": "expected one of circles, contour",
    "smallest = 30\nlargest = 20": "smallest = 30 is above largest = 20",
    "minimum_radius = -1": "minimum_radius is -1",
    "centre = 10, 20, 30": "expected peak, or RA, Dec",
    "radii = 5, 3": "two or more ascending radii",
    "sectors = 0": "sectors is '0'",
}


@pytest.mark.parametrize("lines", BAD)
def test_bad_configuration_is_named(bundle: Bundle, tmp_path: Path, lines: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(BAD[lines])):
        write_config(tmp_path, bundle, lines)
