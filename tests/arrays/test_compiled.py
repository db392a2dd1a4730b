"""Kernels work whatever becomes of the folder that keeps them compiled."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MODULE = """
from pyxt_hpc.arrays.compiled import compiled, kernel

@compiled
def double(x):
    return 2 * x

@kernel
def half(x):
    return x / 2
"""


def answer(folder: Path, **environment: str) -> tuple[str, str]:
    """What a new process says that calls both kernels."""
    if not (folder / "kernels.py").exists():
        (folder / "kernels.py").write_text(MODULE)
    line = [sys.executable, "-c", "import kernels; print(kernels.double(4), kernels.half(4.0))"]
    done = subprocess.run(
        line,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout.strip(), done.stderr


def nowhere(folder: Path) -> dict[str, str]:
    """Environment of a read-only installation without a home."""
    (folder / "__pycache__").write_text("in the way of a cache beside the module")
    nowhere = "/proc/nowhere"
    return {"HOME": nowhere, "XDG_CACHE_HOME": nowhere, "NUMBA_CACHE_DIR": nowhere}


def test_without_a_place_they_are_compiled_and_it_is_said_once(tmp_path: Path) -> None:
    said, warned = answer(tmp_path, **nowhere(tmp_path))
    assert said == "8 2.0"
    assert warned.count("NUMBA_CACHE_DIR") == 1
    assert len(warned.splitlines()) == 1


def test_compiled_once_for_all_processes(tmp_path: Path) -> None:
    kept = tmp_path / "cache"
    assert answer(tmp_path, NUMBA_CACHE_DIR=str(kept)) == ("8 2.0", "")
    made = {path: path.stat().st_mtime_ns for path in kept.rglob("*.nb?")}
    assert len(made) == 4
    assert answer(tmp_path, NUMBA_CACHE_DIR=str(kept)) == ("8 2.0", "")
    assert made == {path: path.stat().st_mtime_ns for path in kept.rglob("*.nb?")}


@pytest.fixture(scope="module")
def compiled_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the kernels and `cache`, where they are compiled."""
    folder = tmp_path_factory.mktemp("compiled_before")
    answer(folder, NUMBA_CACHE_DIR=str(folder / "cache"))
    return folder


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:50]),
        lambda path: path.write_bytes(bytes(1000)),
    ],
    ids=["cut", "zeros"],
)
def test_damaged_cache_is_made_again(
    compiled_before: Path, tmp_path: Path, suffix: str, damage: Callable[[Path], object]
) -> None:
    kept = tmp_path / "cache"
    shutil.copytree(compiled_before / "cache", kept)
    for path in kept.rglob(f"*.{suffix}"):
        damage(path)
    said, warned = answer(compiled_before, NUMBA_CACHE_DIR=str(kept))
    assert said == "8 2.0"
    assert "Traceback" not in warned
    mended = {path: path.read_bytes() for path in kept.rglob(f"*.{suffix}")}
    assert len(mended) == 2
    assert answer(compiled_before, NUMBA_CACHE_DIR=str(kept)) == ("8 2.0", "")
    assert mended == {path: path.read_bytes() for path in kept.rglob(f"*.{suffix}")}


def test_full_disk_costs_only_time(tmp_path: Path) -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)); "
        "import kernels; print(kernels.double(4))"
    )
    (tmp_path / "kernels.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "c")},
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert done.stdout == "8\n"
    assert done.stderr.count("File too large") == 1
