"""The cluster that hostile situations are tried on: fitted, and so small that a command takes a second."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pyxt_hpc.cli import main

sys.path.insert(0, str(Path(__file__).parent))  # the tables share `situations`


@pytest.fixture(scope="session")
def tiny_cluster(made_once: Callable[..., Path]) -> Path:
    """Folder with ``demo.ini``: 2 arcmin of the demo's cluster, fitted at the coarsest resolution."""
    from pyxt_hpc.simulate.demo import write_demo_input

    def fill(folder: Path) -> None:
        write_demo_input(folder, exposure_fraction=0.1, field_arcmin=2.0)
        config = str(folder / "demo.ini")
        for line in ("run --through crop-data", "create-bins", "fit-spectra --resolution 1"):
            assert main([*line.split(), "-c", config]) == 0

    return made_once("tiny_cluster", fill)


@pytest.fixture
def work(tiny_cluster: Path, tmp_path: Path) -> Path:
    """A copy of it; large files are links, so replace them and do not edit them."""
    folder = tmp_path / "work"
    shutil.copytree(tiny_cluster, folder, copy_function=lambda a, b: Path(b).hardlink_to(a))
    for name in ("demo.ini", "demo/acb/demo_results.h5"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).write_bytes(content)
    return folder
