"""The command and the Python face: tables that can be read back, pictures, and clear refusals."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.table import QTable

import pyxt_hpc as px
from pyxt_hpc.bundle import Bundle, write_bundle
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import config_template, read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.profiles.mass.tables import read_annuli

Observed = Callable[[str, float], Bundle]


@pytest.fixture(scope="module")
def config(observed: Observed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a cluster that has a bundle and nothing else."""
    folder = tmp_path_factory.mktemp("profiles")
    bundle = replace(observed("cool core", 10.0), name="A")
    path = folder / "A.ini"
    texts = {
        "observation_ids": "1",
        "redshift": f"{bundle.redshift}",
        "hydrogen_column_density": f"{bundle.nH}",
        "signal_to_noise_threshold": "130",
    }
    path.write_text(config_template("A", texts), encoding="utf-8")
    write_bundle(Layout.of(read_config(path)).bundle, bundle)
    return path


def test_numbers_as_json(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile-analysis", "-c", str(config), "--draws", "20", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    shells = QTable.read(Layout.of(read_config(config)).profile_shells(""))
    assert said["redshift"] == shells.meta["redshift"]
    for name in ("r_kpc", "kT", "n_e_lo"):
        np.testing.assert_allclose([shell[name] for shell in said["shells"]], shells[name].value)


def test_command_writes_tables_and_pictures(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout.of(read_config(config))
    line = ["profile-analysis", "-c", str(config), "--draws", "20", "--sector", "-20", "200"]
    assert main([*line, "--edge", "20", "120", "--free-abundance", "--elliptical"]) == 0
    said = capsys.readouterr().out
    assert "axis ratio 0.9" in said or "axis ratio 1.0" in said
    assert "strong cool core" in said
    assert "density jumps by" in said
    tag = "_sector--20-200"
    shells = QTable.read(layout.profile_shells(tag))
    n = len(shells)
    assert f"{shells['kT'][0].value:.2f}" in said
    for name, unit in {"n_e": "cm-3", "kT": "keV", "entropy": "keV cm2", "r_kpc": "kpc"}.items():
        assert shells[name].unit == unit
        assert shells[name].info.description
    assert shells["cov_n_e_kT"].shape == (n, n)
    assert np.all(shells["n_e_lo"] < shells["n_e"])
    assert np.all(shells["abundance_lo"] <= shells["abundance_hi"])
    # covariance and interval are of the same draws
    error = np.sqrt(np.diagonal(shells["cov_n_e_n_e"].value))
    assert error == pytest.approx(0.5 * (shells["n_e_hi"] - shells["n_e_lo"]).value, rel=1.0)
    # masses are taken from this table
    annuli, abundance = read_annuli(read_config(config), px.Cluster(config).bundle, tag)
    assert np.array_equal(annuli.counts, shells["counts"].value)
    assert np.array_equal(annuli.background, shells["background_counts"].value)
    assert annuli.kT == pytest.approx(shells["projected_kT"].value)
    assert 0.1 < abundance < 1.0
    meta = shells.meta
    assert meta["core"]["by_cooling_time"] == "strong cool core"
    assert meta["edge"]["jump"] > 0
    assert meta["options"]["sector"] == [-20.0, 200.0]
    rings = QTable.read(layout.profile_brightness(tag))
    assert rings["brightness"].unit == "ct s-1 arcmin-2"
    assert np.all(rings["r_out"][:-1] == rings["r_in"][1:])
    for picture in (layout.profile_picture(tag), layout.profile_brightness_picture(tag)):
        assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--center", "10 20"], "outside of the images"),
        (["--sector", "30", "10"], "first < last"),
        (["--counts", "1e9"], "net counts: found 0, and a profile needs two or more"),
        (["--counts", "1000", "--r-max", "3"], "1000 net counts within r-max 3 arcsec"),
        (["--band", "9", "11"], "0.7-8 keV"),
        (["--band", "2", "0.5"], "expected the lower energy first"),
        (["--edge", "nan", "100"], "0 < first < second"),
    ],
)
def test_command_refuses_in_one_line(
    config: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["profile-analysis", "-c", str(config), *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_python_face_has_units(config: Path) -> None:
    from matplotlib.figure import Figure

    profile = px.Cluster(config).profile(counts=3e4, draws=20)
    assert profile.center.separation(profile.center).deg == 0
    assert profile.center.ra.deg == pytest.approx(150.0, abs=2e-3)
    assert profile.shells["kT"].unit == "keV"
    assert f"{len(profile.shells)} shells" in repr(profile)
    for draw, panels in ((profile.plot, 6), (profile.plot_brightness, 2)):
        figure = Figure()
        draw(figure)
        assert len(figure.axes) == panels
    same = px.Cluster(config).profile(counts=3e4, draws=20)
    assert np.array_equal(same.shells["kT_hi"], profile.shells["kT_hi"], equal_nan=True)
