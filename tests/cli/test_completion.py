"""Completions that the Tab key offers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pyxt-hpc fit-", {"fit-spectra", "fit-region", "fit-pha"}),
        ("pyxt-hpc results me", {"merge"}),
        ("pyxt-hpc make-maps --vm", {"--vmin", "--vmax"}),
        ("pyxt-hpc status -c A1", {"A1795_cluster_config.ini"}),
    ],
)
def test_completed(line: str, offered: set[str], tmp_path: Path) -> None:
    pytest.importorskip("argcomplete", reason="argcomplete, an optional extra, is not installed")
    (tmp_path / "A1795_cluster_config.ini").touch()
    answer = tmp_path / "answer.txt"
    asked = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pyxt_hpc"], env=os.environ | asked, cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert {word.strip() for word in answer.read_text().split("\n")} == offered


def test_without_argcomplete_it_ends_silently(tmp_path: Path) -> None:
    (tmp_path / "argcomplete.py").write_text("raise ImportError")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pyxt_hpc"], env=os.environ | {"_ARGCOMPLETE": "1", "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
