"""A cluster goes to another machine in one file, and its results come back; a sample says what it takes."""

import re
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.config import read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.stages.estimate import Estimate
from pyxt_hpc.store import Status, read_results


@pytest.fixture(scope="module")
def home(small_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a cluster up to the bundle, with its data elsewhere."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(small_cluster, folder / "data")
    config = folder / "demo.ini"
    text = (folder / "data" / "demo.ini").read_text()
    config.write_text(re.sub(r"^data_directory = \.", "data_directory = data", text, flags=re.MULTILINE))
    assert main(["run", "--through", "crop-data", "-c", str(config)]) == 0
    return config


def rows(config: Path) -> np.ndarray:
    results = read_results(Layout.of(read_config(config)).results)
    return results.rows[results.status == Status.DONE]


def test_there_and_back(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "packed.tar"
    assert main(["pack", "-c", str(home), "--output", str(packed)]) == 0
    with tarfile.open(packed) as archive:
        assert sorted(archive.getnames()) == ["demo.ini", "demo/acb/demo_bundle.h5"]
    away = tmp_path / "far away"
    assert (
        main(["unpack", str(packed), "--directory", str(away), "--site", "lumi", "--account", "project_1"])
        == 0
    )
    script = (away / "demo" / "demo_job.sh").read_text()
    assert f"fit-spectra -c '{away / 'demo.ini'}'" in script
    assert "#SBATCH --account=project_1\n" in script
    assert main(["unpack", str(packed), "--directory", str(away)]) == 2
    assert "is there already" in capsys.readouterr().err

    config = ["-c", str(away / "demo.ini"), "--num-cpus", "1"]
    assert main(["create-bins", *config]) == 0
    fit = ["fit-spectra", *config, "--resolution", "1", "--continue", "--max-regions"]
    pull = ["pull-results", "-c", str(home), str(away / "demo" / "acb")]
    assert main(pull) == 2
    assert "no demo_results.h5" in capsys.readouterr().err
    assert main([*fit, "30"]) == 75
    assert main(pull) == 0
    assert capsys.readouterr().out.count("copied") == 4
    assert len(rows(home)) == 30
    assert main([*fit, "25"]) == 75
    assert main(pull) == 0
    assert "25 regions added" in capsys.readouterr().out
    assert rows(home).tobytes() == rows(away / "demo.ini").tobytes()
    # The run can go on here: store, bundle and scale map belong together.
    assert (
        main(["fit-spectra", "-c", str(home), "--resolution", "1", "--continue", "--max-regions", "5"]) == 75
    )
    assert len(rows(home)) == 60

    other = tmp_path / "other"
    shutil.copytree(home.parent, other)
    text = (other / "demo.ini").read_text()
    (other / "demo.ini").write_text(text.replace("abundance = 0.3", "abundance = 0.5"))
    assert main(["run", "--through", "crop-data", "-c", str(other / "demo.ini")]) == 0
    assert main(["pull-results", "-c", str(other / "demo.ini"), str(away / "demo" / "acb")]) == 2
    assert "another bundle" in capsys.readouterr().err


def test_what_is_no_package_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "packed.tar"
    assert main(["unpack", str(packed)]) == 2
    assert "pyxt-hpc pack" in capsys.readouterr().err
    packed.write_bytes(b"no tar")
    assert main(["unpack", str(packed), "--directory", str(tmp_path / "a")]) == 2
    assert "cannot be unpacked" in capsys.readouterr().err
    with tarfile.open(packed, "w") as archive:
        archive.add(home, "demo.ini")
    assert main(["unpack", str(packed), "--directory", str(tmp_path / "b")]) == 2
    assert "not from pack" in capsys.readouterr().err
    with tarfile.open(packed, "w") as archive:
        archive.add(home, "demo.ini")
        archive.add(home, "../x_bundle.h5")
    assert main(["unpack", str(packed), "--directory", str(tmp_path / "c")]) == 2
    assert not list(tmp_path.rglob("x_bundle.h5"))


def test_estimate_says_how_it_reckons(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create-bins", "-c", str(home), "--num-cpus", "1", "--resolution", "1"]) == 0
    binned = re.search(r"resolution 1: (\d+ regions) to fit", capsys.readouterr().out)
    assert binned
    line = ["estimate", "-c", str(home), "--sample", "40", "--nodes", "2", "--ranks-per-node", "3"]
    assert main([*line, "--resolution", "1"]) == 0
    said = capsys.readouterr().out
    for part in (binned[1], "measured on 40", "2 nodes x 3 ranks: 5 fit", "--time 00:05:00 --memory "):
        assert part in said
    assert main([*line, "--sample", "0"]) == 2


def test_estimate_is_arithmetic() -> None:
    gigabyte = 2**30
    found = Estimate(3, 1_000_000, 300, 0.1, 4, 128, 2 * gigabyte, gigabyte, gigabyte // 4)
    assert found.fit_seconds == pytest.approx(1e5 / 511)
    assert found.time_seconds == 600  # 1.5 x 196 + 60 = 354 s
    assert found.memory_gigabytes == 53  # 1.5 x (2 + 1 + 32)
    alone = Estimate(3, 100, 10, 1.0, 1, 1, 0, 0, gigabyte)
    assert alone.fit_seconds == 100
