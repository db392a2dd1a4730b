"""The cluster on which hostile situations are tested."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the tables share `situations`


@pytest.fixture
def work(tiny_cluster: Path, tmp_path: Path) -> Path:
    """A copy of the cluster; large files are links, so replace them and do not edit them."""
    folder = tmp_path / "work"
    shutil.copytree(tiny_cluster, folder, copy_function=lambda a, b: Path(b).hardlink_to(a))
    for name in ("demo.ini", "demo/acb/demo_results.h5"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).write_bytes(content)
    return folder
