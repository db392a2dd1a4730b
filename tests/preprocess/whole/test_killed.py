"""Stages 1 to 4 killed at any instant, again and again, end with what an undisturbed run makes."""

import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.steps import StageResult

TIMES = 4  # a few, for every push; by hand: 150
EARLIEST_S, LATEST_S = 0.5, 5.0
FITS = {".fits", ".img", ".expmap", ".psfmap", ".lc", ".gti", ".arf", ".rmf"}


def start(config: Path) -> subprocess.Popen:
    line = [sys.executable, "-P", "-m", "pyxt_hpc", "run", "-c", str(config), "--through", "crop-data"]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def make_copy(small_cluster: Path, folder: Path) -> tuple[Path, Layout]:
    """A cluster whose regions nobody has drawn."""
    shutil.copytree(small_cluster, folder)
    config = folder / "demo.ini"
    layout = Layout.of(read_config(config))
    for drawn in (layout.sources_reg, layout.crop_reg):
        drawn.unlink()
    return config, layout


@pytest.fixture(scope="module")
def undisturbed(proposed: tuple[Path, StageResult], tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = tmp_path_factory.mktemp("undisturbed") / "work"
    shutil.copytree(proposed[0], folder)
    config = folder / "demo.ini"
    layout = Layout.of(read_config(config))
    process = start(config)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return layout


def products(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".tmp-"))


def check_whole(paths: list[Path]) -> None:
    for path in paths:
        if path.suffix in FITS:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a truncated file is only worth a warning to astropy
                with fits.open(path, memmap=False, lazy_load_hdus=False) as hdus:
                    assert len([hdu.data for hdu in hdus]) > 0, path
        elif path.suffix == ".h5":
            with h5py.File(path) as file:
                assert file.keys()
        elif path.suffix == ".png":
            with Image.open(path) as picture:
                picture.verify()


def wait_until(instant: str, rng: np.random.Generator, folder: Path, process: subprocess.Popen) -> None:
    """Wait for any time, or for a file that is being written after any time."""
    until = time.monotonic() + rng.uniform(EARLIEST_S, LATEST_S)
    while process.poll() is None:
        passed = time.monotonic() > until
        if passed and (instant == "any" or list(folder.rglob(".tmp-*"))):
            return
        time.sleep(0.001)


def test_killed_again_and_again(small_cluster: Path, tmp_path: Path, undisturbed: Layout) -> None:
    config, layout = make_copy(small_cluster, tmp_path / "work")
    rng = np.random.default_rng(20)
    finished: dict[Path, int] = {}
    killed = litter = 0
    for n in range(TIMES):
        process = start(config)
        wait_until("any" if n % 2 else "writing", rng, layout.cluster_dir, process)
        process.kill()
        _, err = process.communicate(timeout=300)
        assert process.returncode in (0, -signal.SIGKILL), err
        killed += process.returncode != 0
        litter += bool(list(tmp_path.rglob(".tmp-*")))
        check_whole(products(layout.cluster_dir))
        # what a step has recorded stays as it is: nothing finished is done again
        assert {path: path.stat().st_mtime_ns for path in finished} == finished
        finished = {path: path.stat().st_mtime_ns for path in layout.cluster_dir.glob("steps/*.json")}
        if killed and process.returncode == 0:
            break
    process = start(config)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert killed > 1
    assert litter, "no kill met a file that was being written: choose other instants"
    assert not list(tmp_path.rglob(".tmp-*"))
    names = [[p.relative_to(one.cluster_dir) for p in products(one.cluster_dir)]
             for one in (layout, undisturbed)]  # fmt: skip
    assert names[0] == names[1]
    assert read_bundle(layout.bundle).fingerprint == read_bundle(undisturbed.bundle).fingerprint
    for name in ("sources_reg", "exclude_reg", "crop_reg"):
        assert getattr(layout, name).read_bytes() == getattr(undisturbed, name).read_bytes()


@pytest.mark.parametrize("stage", ["process-data", "remove-sources"])
def test_interrupted_from_the_keyboard(small_cluster: Path, tmp_path: Path, stage: str) -> None:
    config, layout = make_copy(small_cluster, tmp_path / "work")
    process = start(config)
    assert process.stdout is not None
    for line in process.stdout:
        if line == f"== {stage}\n":
            break
    while process.poll() is None and not list(layout.cluster_dir.rglob(".tmp-*")):
        time.sleep(0.001)  # until it writes: nothing more is to be imported
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 75, err
    said = [line for line in err.splitlines() if not line.startswith(("INFO", "WARNING"))]
    assert said == ["pyxt-hpc: interrupted: finished results are stored"]
    assert not list(tmp_path.rglob(".tmp-*"))
    check_whole(products(layout.cluster_dir))
