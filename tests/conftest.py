"""Fixtures that several rooms of tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference numbers and real spectra that lies beside a developer's checkout."""
    if not (SHARED / "reference").is_dir():
        pytest.skip(f"the reference data are not here: {SHARED} (only developers have them)")
    return SHARED


@pytest.fixture(scope="session")
def small_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``demo.ini`` and the middle of the demo's cluster, briefly observed."""
    from pyxt_hpc.demo import write_demo_input

    folder = tmp_path_factory.mktemp("small_cluster")
    write_demo_input(folder, exposure_fraction=0.3, field_arcmin=6.0)
    return folder
