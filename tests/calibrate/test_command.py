"""The command: products, the same numbers however it is launched, and its way of stopping."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from pyxt_hpc.calibrate import driver
from pyxt_hpc.calibrate.simulation import Simulation, simulate_chunk
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.files.writing import replacing
from pyxt_hpc.layout import Layout

MPIEXEC = Path(sys.executable).with_name("mpiexec")


@pytest.fixture(scope="module")
def config(tiny_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated cluster with its fits."""
    return shutil.copytree(tiny_cluster, tmp_path_factory.mktemp("calibrate") / "work") / "demo.ini"


def layout(config: Path) -> Layout:
    """Layout of the cluster."""
    return Layout.of(read_config(config))


def test_products_say_the_same_as_the_screen(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "-c", str(config), "--num-cpus", "2", "--draws", "3"]) == 0
    out = capsys.readouterr().out
    where = layout(config)
    table = Table.read(where.calibration_table(""), format="ascii.ecsv")
    assert all(sentence in out for sentence in table.meta["sentences"])
    whole = table[table["variable"] == "all"][0]
    assert f"{whole['kT_coverage']:.1%}" in out
    assert abs(whole["kT_coverage"] - 0.683) < 4 * whole["kT_coverage_error"] + 0.01
    for variable in ("S/N", "kT", "background share"):
        assert table["regions"][table["variable"] == variable].sum() == whole["regions"]
    regions = Table.read(where.calibration_regions(""), format="ascii.ecsv")
    assert len(regions) == whole["regions"]
    with fits.open(where.map("trust")) as trust, fits.open(where.scale_map) as radius:
        assert trust[0].data.shape == radius[0].data.shape
        values = set(np.unique(np.nan_to_num(trust[0].data, nan=-1)).tolist())
        assert 0 in values
        assert values <= {-1, 0, 1, 2, 3, 4, 5}
        assert "RESULTID" in trust[0].header
    for path in (where.calibration_picture(""), where.picture(where.map("trust"))):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(not MPIEXEC.exists(), reason="no mpiexec: pip install 'pyxt_hpc[mpi]' brings it")
def test_ranks_and_processes_find_the_same(config: Path) -> None:
    options = ["calibrate", "-c", str(config), "--draws", "2", "--regions", "40"]
    table = layout(config).calibration_regions("")
    assert main([*options, "--num-cpus", "1"]) == 0
    alone = table.read_bytes()
    line = [str(MPIEXEC), "-n", "3", sys.executable, "-P", "-m", "pyxt_hpc", *options]
    subprocess.run(line, check=True, timeout=300, capture_output=True)
    assert table.read_bytes() == alone
    assert main([*options, "--num-cpus", "1", "--seed", "2"]) == 0
    assert table.read_bytes() != alone


def test_a_mistake_on_purpose_is_told_and_has_files_of_its_own(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = layout(config)
    options = ["--num-cpus", "1", "--regions", "60", "--true-nH", "0.15", "--true-background", "1.02"]
    assert main(["calibrate", "-c", str(config), *options]) == 0
    out = capsys.readouterr().out
    assert "nH was 0.15 in the simulation, but 0.05 in the fits" in out
    suffix = "_nH_0.15_background_1.02"
    table = Table.read(where.calibration_table(suffix), format="ascii.ecsv")
    assert table["kT_bias"][0] > 5 * table["kT_bias_error"][0]
    with fits.open(where.map(f"trust{suffix}")) as trust:
        assert (trust[0].data == 1).sum() > 0.9 * (trust[0].data >= 0).sum()


def test_interrupted_it_ends_with_75_and_keeps_nothing(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signals = [signal.SIGINT]  # once: twice is at once

    def interrupted(context: Simulation, indices: np.ndarray) -> np.ndarray:
        if signals:
            os.kill(os.getpid(), signals.pop())
        return simulate_chunk(context, indices)

    monkeypatch.setattr(driver, "simulate_chunk", interrupted)
    options = ["--num-cpus", "1", "--true-abundance", "0.5"]
    assert main(["calibrate", "-c", str(config), *options]) == 75
    assert "nothing is kept" in capsys.readouterr().err
    assert not layout(config).calibration_table("_abundance_0.5").exists()


def test_fits_of_other_settings_are_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = config.read_text(encoding="utf-8")
    other = config.with_name("other.ini")
    with replacing(other) as temporary:
        temporary.write_text(text.replace("temperature_max = 40", "temperature_max = 30"), encoding="utf-8")
    assert main(["calibrate", "-c", str(other), "--num-cpus", "1"]) == 2
    (line,) = [text for text in capsys.readouterr().err.splitlines() if "other settings" in text]
    assert "kT_bounds [0.1, 40.0], now [0.1, 30.0]" in line
    assert "fit-spectra" in line
