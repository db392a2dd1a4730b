"""A folder of ClusterPyXT taken over: what is in it, and what is said of what is not."""

import configparser
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from as_clusterpyxt import NAME, fit_of, image_header
from astropy.io import fits

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.chandra.events import read_sky_wcs
from pyxt_hpc.chandra.regions.sky import contains, read_regions
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.cli import main
from pyxt_hpc.clusterpyxt.importing import import_cluster
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import ConfigError, DamagedFile, MissingInput
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status


def rewrite_config(old: Path, **values: str) -> None:
    """Change values in the configuration of ClusterPyXT."""
    path = old / f"{NAME}_pypeline_config.ini"
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    parser["cluster"].update(values)
    with path.open("w") as file:
        parser.write(file)


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_is_taken_and_nothing_changed(
    old: Path, pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(old)
    where = tmp_path / "new"
    assert main(["import-cluster", str(old), "--directory", str(where), "--as", "clusterpyxt"]) == 0
    said = capsys.readouterr().out
    assert contents(old) == before

    config = read_config(where / f"{NAME}_cluster_config.ini")
    layout = Layout.of(config)
    assert (config.redshift, config.nH, config.signal_to_noise) == (0.1, 0.05, 20.0)
    assert (config.statistic, config.spectral_grouping) == ("chi2gehrels", "channels")
    # its circles count the background as signal, and that is found out
    assert config.signal_to_noise_of == "counts"
    assert "missing: nothing" in said
    assert layout.import_list.read_text() in said

    # every fit is where its region was
    results, bundle = read_store(layout.results), read_bundle(layout.bundle)
    theirs = np.load(pristine / "radius.npy")
    index = fits.getdata(old / "acb" / f"{NAME}_scale_map_region_index.fits")
    done = results.rows[results.status == Status.DONE]
    at = done["row"], done["col"]
    np.testing.assert_array_equal(done["radius"], theirs[at].astype(np.float32))
    numbers = index[at].astype(int)
    worst = done["kT"] == 30.0
    assert worst.sum() == np.count_nonzero(bundle.mask[at][worst])
    expected = np.array([fit_of(n)[1] for n in numbers[~worst]])
    np.testing.assert_allclose(done["kT"][~worst], expected, rtol=1e-12)
    np.testing.assert_allclose(done["kT_hi"][~worst] - expected, 0.5, rtol=1e-9)
    open_below = (done["flags"] & int(FitFlag.KT_LO_OPEN)) != 0
    np.testing.assert_array_equal(open_below[~worst], numbers[~worst] % 50 == 0)
    assert ((done["flags"][worst] & int(FitFlag.KT_HI_OPEN)) != 0).all()
    # counts are those of the circles: S/N 20 of all counts
    np.testing.assert_array_less(300, done["counts"][bundle.mask[at] > 0])
    assert results.settings["software"] == "ClusterPyXT"
    assert results.settings["statistic"] == "chi2gehrels"

    # the background is subtracted as ClusterPyXT did it
    for observation in bundle.observations:
        data, back = (
            np.load(old / "acb" / f"{NAME}_effective_{kind}_time_{observation.obsid}.npy")
            for kind in ("data", "background")
        )
        live = back > 0
        assert observation.background_scale == pytest.approx((data[live] / back[live])[0], rel=1e-12)

    # and its maps can be looked at
    assert main(["make-temperature-map", "-c", str(config.path)]) == 0
    shown = fits.getdata(layout.map("temperature"))
    np.testing.assert_allclose(shown[at], done["kT"], rtol=1e-6)
    pressure = fits.getdata(layout.clusterpyxt_map("pressure"))
    assert (pressure.min(), pressure.max()) == (0.0, 1.0)
    # fits of ours do not go on with fits of ClusterPyXT
    assert main(["fit-spectra", "-c", str(config.path), "--continue"]) == 2
    assert "software was ClusterPyXT" in capsys.readouterr().err
    # but its circles can be fitted again, with its choices
    assert main(["fit-spectra", "-c", str(config.path), "--yes", "--resolution", "1"]) == 0
    again = read_store(layout.results)
    assert (again.status == Status.DONE).mean() > 0.95
    assert again.settings["statistic"] == "chi2gehrels"
    # chi2gehrels makes hot gas too cool (truth: 3 to 9 keV), but not by any factor
    assert 2.0 < np.nanmedian(again.rows["kT"]) < 9.0


def test_stages_1_to_4_do_it_anew(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = import_cluster(old, tmp_path / "new")
    assert done.has_inputs
    config = read_config(done.config)
    assert config.statistic == "wstat"
    before = read_bundle(Layout.of(config).bundle)
    assert main(["run", "-c", str(done.config), "--through", "crop-data"]) == 0
    after = read_bundle(Layout.of(config).bundle)
    assert after.fingerprint != before.fingerprint
    # the same observations and the same box, but with vignetting and on one grid
    assert after.counts.sum() == pytest.approx(before.counts.sum(), rel=0.05)
    assert {o.area_of for o in after.observations} == {"vignetting table"}


def test_only_what_was_copied_to_a_supercomputer(old: Path, tmp_path: Path) -> None:
    for path in old.iterdir():
        if path.name != "acb":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = import_cluster(old, tmp_path / "new", copy=True)
    layout = Layout.of(read_config(done.config))
    assert not done.has_bundle
    assert any("acisI_comb_mask.fits" in line for line in done.missing)
    assert any(line.startswith("sources.reg") for line in done.missing)
    assert sum("stands for its level-2 events" in line for line in done.changed) == 2
    events = layout.observation("4001") / "4001_evt2.fits"
    assert events.is_file()
    assert not events.is_symlink()


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("5.24e+20", 0.0524, "becomes 0.0524"),
        ("0.052", 0.052, "practically without absorption"),
        ("520000000000000000000", 0.052, "becomes 0.052"),
    ],
)
def test_column_in_either_unit(old: Path, tmp_path: Path, text: str, column: float, said: str) -> None:
    shutil.rmtree(old / "combined")  # no bundle: that takes its time
    rewrite_config(old, hydrogen_column_density=text)
    done = import_cluster(old, tmp_path / "new")
    assert read_config(done.config).nH == pytest.approx(column)
    assert any(said in line for line in done.changed)


def test_placeholders_are_missing_and_can_be_given(old: Path, tmp_path: Path) -> None:
    shutil.rmtree(old / "combined")
    rewrite_config(
        old,
        hydrogen_column_density="Update me! (on order of 10^22 e.g. 0.052 for 5.2e20)",
        redshift="Update me! (e.g. 0.192)",
        observation_ids="4001,,4002,",
    )
    done = import_cluster(old, tmp_path / "new")
    assert sum("Update me!" in line for line in done.missing) == 2
    with pytest.raises(ConfigError, match="redshift is missing"):
        read_config(done.config)
    given = {"redshift": "0.2", "hydrogen_column_density": "0.03"}
    config = read_config(import_cluster(old, tmp_path / "newer", given=given).config)
    assert (config.redshift, config.nH, config.observation_ids) == (0.2, 0.03, ("4001", "4002"))


def test_physical_regions_keep_their_place_on_the_sky(old: Path, tmp_path: Path) -> None:
    shutil.rmtree(old / "combined")
    events = next((old / "4001" / "repro").glob("*evt2.fits"))
    first = read_sky_wcs(events)
    # merge_obs chooses a tangent point of its own
    merged = tangent_plane(first.wcs.crval[0] + 0.02, first.wcs.crval[1] - 0.01, crpix=(4096.5, 4096.5))
    fits.writeto(
        old / f"{NAME}_broad_flux.img", np.zeros((10, 10), np.float32), image_header(merged, 4000.5, 4000.5)
    )
    (old / "sources.reg").write_text("physical\ncircle(4200,4150,30)\nbox(4000,4100,40,20,30)\n")
    done = import_cluster(old, tmp_path / "new")
    assert any(line.startswith("sources.reg: from sky pixels of") for line in done.changed)
    before = read_regions(old / "sources.reg")
    after = read_regions(Layout.of(read_config(done.config)).sources_reg)
    x, y = (v.ravel() for v in np.meshgrid(np.arange(3950.0, 4250, 1.7), np.arange(4050.0, 4200, 1.7)))
    ra, dec = merged.wcs_pix2world(x, y, 1)
    inside = contains(before, ra, dec, {"physical": merged})
    assert inside.sum() > 1000
    # the same but for points on the outline
    differing = inside != contains(after, ra, dec, {"physical": first})
    assert differing.sum() < 5


def test_damaged_files_are_named_and_the_rest_is_taken(old: Path, tmp_path: Path) -> None:
    (old / "sources.reg").write_text("fk5\ncircle(1,2\n")
    (old / "4001" / "analysis" / "globalresponse" / "acisI.arf").write_bytes(b"SIMPLE")
    (old / "acb" / f"{NAME}_4001.arf").unlink()
    best = old / "acb" / f"{NAME}_best_spectral_fits.csv"
    with best.open("a") as file:
        file.write("17,4.1,0.2\r\n")  # half a line, of a process that was killed
    done = import_cluster(old, tmp_path / "new")
    assert any(line.startswith("sources.reg: ") and "line 2" in line for line in done.missing)
    assert any(line.startswith("ObsID 4001: ARF") for line in done.missing)
    assert any(line.startswith("bundle: ") for line in done.missing)
    assert not done.has_inputs
    assert done.config.is_file()


@pytest.mark.parametrize("size", [20, 50_000], ids=["regions", "bundle"])
def test_a_full_disk_leaves_nothing(on_a_full_disk, old: Path, tmp_path: Path, size: int) -> None:  # type: ignore[no-untyped-def]
    """A bundle for which there was no space is not listed as missing."""
    done = on_a_full_disk(["import-cluster", str(old), "--directory", str(tmp_path / "new")], size)
    assert done.returncode == 2, done.stderr
    assert "File too large" in done.stderr
    assert list((tmp_path / "new").iterdir()) == []


def test_file_of_a_wrong_exposure_is_named(old: Path, tmp_path: Path) -> None:
    (old / "acb" / f"{NAME}_4001_exptime.dat").write_text("0")
    done = import_cluster(old, tmp_path / "new")
    assert any(f"acb/{NAME}_4001_exptime.dat: the exposure is 0 s" in line for line in done.missing)


def test_image_of_another_size_is_told(old: Path, tmp_path: Path) -> None:
    path = old / "combined" / f"{NAME}_comb_ctsimage.fits"
    with fits.open(path, mode="update") as hdus:
        hdus[0].data = hdus[0].data[:-1]
        shape = hdus[0].data.shape
    done = import_cluster(old, tmp_path / "new")
    found = f"combined/{path.name}: its image is {shape}, expected {(shape[0] + 1, shape[1])} as the mask has"
    assert any(found in line for line in done.missing)


def test_lines_of_fits(old: Path, tmp_path: Path) -> None:
    best = old / "acb" / f"{NAME}_best_spectral_fits.csv"
    with best.open("a") as file:
        file.write("17,4.1,0.2\r\n1,6.5,0.2,-0.1,1e-4,1e-5,-1e-5,1,4001\r\n99999999,6,1,-1,1,1,-1,1,4001\r\n")
    done = import_cluster(old, tmp_path / "new")
    assert any("1 line unreadable, 1 line replaced" in line for line in done.changed)
    assert any("1 of regions that are not in the scale map" in line for line in done.missing)
    results = read_store(Layout.of(read_config(done.config)).results)
    assert results.rows["kT"][0] == 6.5
    # one observation of two took part
    assert results.rows["observations"][0, 0] == 1


def test_refusals(old: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="no such folder"):
        import_cluster(tmp_path / "nothing", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingInput, match="_pypeline_config"):
        import_cluster(tmp_path / "empty", tmp_path)
    with pytest.raises(ConfigError, match="already exists"):
        import_cluster(old, old.parent)
    shutil.rmtree(old / "combined")
    import_cluster(old, tmp_path / "new")
    with pytest.raises(ConfigError, match="already exists"):
        import_cluster(old, tmp_path / "new")
    path = old / f"{NAME}_pypeline_config.ini"
    path.write_text("[other]\na = 1\n")
    with pytest.raises(ConfigError, match=r"expected ClusterPyXT's \[cluster\]"):
        import_cluster(old, tmp_path / "newer")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedFile):
        import_cluster(old, tmp_path / "newer")
    path.write_text("[cluster]\nname = A\nobservation_ids = none\n")
    with pytest.raises(ConfigError, match="observation_ids"):
        import_cluster(old, tmp_path / "newer")
    assert not os.path.lexists(tmp_path / "newer")
