"""The command and the Python face, from a bundle and a profile's table to tables and pictures."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import emcee
import h5py
import numpy as np
import pytest
from astropy.table import QTable, Table
from astropy.units import Quantity
from simulated_annuli import AnnularSky

import pyxt_hpc as px
from pyxt_hpc.bundle import write_bundle
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.profiles.mass.annuli import AnnularFits
from pyxt_hpc.profiles.mass.sampler import BLOCK, THIN
from pyxt_hpc.profiles.mass.tables import annuli_of
from pyxt_hpc.simulate.demo import configuration_text
from pyxt_hpc.simulate.direct import observe_directly
from pyxt_hpc.simulate.spherical import PRESETS, RELAXED


def table_of(annuli: AnnularFits, sky: AnnularSky, fingerprint: str) -> Table:
    """The columns that a mass needs of a profile's table of shells."""
    area = sky.area_arcsec2 / 3600.0
    table = Table(meta={"bundle": fingerprint, "kpc_per_arcsec": RELAXED.kpc_per_arcsec})
    table["r_in_kpc"], table["r_out_kpc"], table["area"] = annuli.r_in, annuli.r_out, area
    table["counts"], table["background_counts"] = annuli.counts, annuli.background
    for end in ("", "_lo", "_hi"):
        table[f"projected_kT{end}"] = getattr(annuli, f"kT{end}")
        table[f"projected_norm{end}"] = getattr(annuli, f"norm{end}") * sky.area_arcsec2
    table["projected_abundance"] = np.full(len(area), 0.3)
    return table


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, sky: AnnularSky, noiseless: AnnularFits) -> Path:
    """Configuration of a cluster with a bundle, for its responses, and a profile."""
    folder = tmp_path_factory.mktemp("mass")
    preset = PRESETS["relaxed"]
    truth = preset.truth(field_arcmin=1.5)
    bundle = observe_directly(truth, np.random.default_rng(1), exposure_s=preset.exposure_s)
    path = folder / "relaxed.ini"
    path.write_text(configuration_text("relaxed", truth, [preset.plan]), encoding="utf-8")
    config = read_config(path)
    layout = Layout.of(config)
    layout.bundle.parent.mkdir(parents=True)
    layout.main_output.mkdir()
    observation = replace(bundle.observations[0], obsid="5001", dataset="5001")
    bundle = write_bundle(layout.bundle, replace(bundle, name="relaxed", observations=(observation,)))
    table = table_of(noiseless, sky, bundle.fingerprint)
    table.write(layout.profile_shells(""), format="ascii.ecsv")
    return path


def test_command_writes_tables_and_pictures(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["mass-estimation", "-c", str(cluster), "--max-steps", "100", "--ensembles", "1"]
    assert main([*command, "--way", "backward", "--num-cpus", "1"]) == 0
    said = capsys.readouterr().out
    assert "NOT CONVERGED" in said
    assert "the last annulus ends at 1320 kpc" in said
    layout = Layout.of(read_config(cluster))
    table = QTable.read(layout.mass_table(""), format="ascii.ecsv")
    assert list(table["way"]) == ["backward", "backward"]
    row = table[1]
    assert row["mass_lo"] < 6e14 * Quantity(1, "solMass") < row["mass_hi"]
    assert row["radius"].to_value("kpc") == pytest.approx(1200.0, rel=0.05)
    assert not table["extrapolated"].any()
    profile = Table.read(layout.mass_profile(""), format="ascii.ecsv")
    far = np.asarray(profile["radius"]) > 1320.0
    assert np.array_equal(profile["extrapolated"], far)
    assert main([*command, "--way", "backward", "--num-cpus", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["overdensities"]
    assert found[1]["mass"] == pytest.approx(row["mass"].value)
    radius, kT = (np.asarray(profile[name])[~far] for name in ("radius", "kT"))
    assert kT == pytest.approx(RELAXED.kT(radius), rel=0.15)
    for path in (layout.mass_picture(""), layout.mass_corner("")):
        assert path.read_bytes().startswith(b"\x89PNG")
    assert table.meta["ways"]["backward"]["steps"] == [100]
    # by which the report sees that a mass is old
    assert table.meta["bundle"] == profile.meta["bundle"] == px.Cluster(cluster).bundle.fingerprint
    assert table.meta["kpc_per_arcsec"] == pytest.approx(RELAXED.kpc_per_arcsec)


def test_python_face_is_the_command(cluster: Path) -> None:
    mass = px.Cluster(cluster).mass(ways=("backward",), ensembles=1, max_steps=100)
    layout = Layout.of(read_config(cluster))
    written = QTable.read(layout.mass_table(""), format="ascii.ecsv")
    # the same seed: the same chain
    assert np.array_equal(mass.table["mass"], written["mass"])
    assert mass.profiles["kT"].unit == "keV"
    assert repr(mass) == "<Mass of relaxed: backward>"
    assert mass.table.meta["bundle"] == written.meta["bundle"]


def test_signal_ends_it_soon_and_it_goes_on(cluster: Path) -> None:
    command = [sys.executable, "-P", "-m", "pyxt_hpc", "mass-estimation", "-c", str(cluster)]
    command += ["--way", "backward", "--ensembles", "1", "--seed", "3"]
    chain = Layout.of(read_config(cluster)).mass_chain("_backward_1")
    chain.unlink(missing_ok=True)
    with subprocess.Popen(
        [*command, "--num-cpus", "2", "--max-steps", "10000000"], stderr=subprocess.PIPE, text=True
    ) as process:
        while not chain.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 75, said
    assert "stopped by SIGTERM" in said
    assert "run the same command again to continue the ensembles" in said
    backend = emcee.backends.HDFBackend(str(chain), name=_only_group(chain))
    stored = backend.iteration * THIN
    assert 0 < stored <= 10 * BLOCK
    assert main([*command[4:], "--num-cpus", "1", "--max-steps", str(stored + 100)]) == 0
    assert backend.iteration * THIN == stored + 100


def _only_group(path: Path) -> str:
    with h5py.File(path) as file:
        (name,) = file
        return str(name)


def test_no_profile_is_told_before_anything_is_done(
    cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mass-estimation", "-c", str(cluster), "--sector", "30", "90"]) == 2
    said = capsys.readouterr().err
    assert "there is no profile" in said
    assert f"run `pyxt-hpc profile-analysis -c {cluster} --sector 30 90` first" in said
    assert main(["mass-estimation", "-c", str(cluster), "--sector", "-30", "9.5"]) == 2
    assert "--sector -30 9.5` first" in capsys.readouterr().err
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no table", "not a table of a profile"),
        (
            "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: int64}\na\n1\n",
            "not a table of a profile",
        ),
    ],
)
def test_damaged_profile_is_told(
    cluster: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    layout = Layout.of(read_config(cluster))
    layout.profile_shells("_sector-0-90").write_text(text)
    assert main(["mass-estimation", "-c", str(cluster), "--sector", "0", "90"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_profile_of_another_bundle_is_refused(cluster: Path, sky, noiseless, capsys) -> None:
    layout = Layout.of(read_config(cluster))
    table_of(noiseless, sky, "another").write(layout.profile_shells("_sector-1-2"), format="ascii.ecsv")
    assert main(["mass-estimation", "-c", str(cluster), "--sector", "1", "2"]) == 2
    assert "made from another bundle; make it again" in capsys.readouterr().err


def test_profile_with_radii_of_another_cosmology_is_refused(cluster: Path, sky, noiseless, capsys) -> None:
    layout, bundle = Layout.of(read_config(cluster)), px.Cluster(cluster).bundle
    table_of(noiseless, sky, bundle.fingerprint).write(
        layout.profile_shells("_sector-2-3"), format="ascii.ecsv"
    )
    other = cluster.with_name("other.ini")
    other.write_text(cluster.read_text().replace("hubble_constant = 70", "hubble_constant = 50"))
    assert main(["mass-estimation", "-c", str(other), "--sector", "2", "3"]) == 2
    said = capsys.readouterr().err
    assert "kpc per arcsec, but hubble_constant and matter_density of" in said
    assert "make it again with `pyxt-hpc profile-analysis" in said


def test_table_gives_the_annuli_back(cluster: Path, sky, noiseless) -> None:
    bundle, config = px.Cluster(cluster).bundle, read_config(cluster)
    annuli, abundance = annuli_of(table_of(noiseless, sky, bundle.fingerprint), bundle, config, "it")
    assert abundance == pytest.approx(0.3)
    for name, values in vars(noiseless).items():
        assert getattr(annuli, name) == pytest.approx(values)
        assert type(getattr(annuli, name)) is np.ndarray  # columns of tables are slow
