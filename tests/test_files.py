"""A product is replaced whole or left alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyxt_hpc.files import replacing
from pyxt_hpc.machine import start_of


def test_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.txt"
    for text in ("one", "two"):
        with replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_failure_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_halfway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def left_behind(path: Path, mark: str, pid: int, age_s: float = 0.0) -> Path:
    """A temporary file of a process that wrote `path`."""
    litter = path.with_name(f".tmp-{mark}-{pid}-{path.name}")
    litter.write_text("half")
    os.utime(litter, (time.time() - age_s,) * 2)
    return litter


def test_litter_of_killed_processes_goes(tmp_path: Path) -> None:
    path = tmp_path / "a [1].txt"
    with replacing(path) as temporary:
        mark = temporary.name.split("-")[1]
        temporary.write_text("new")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with subprocess.Popen(["sleep", "60"]) as living:
        gone = [left_behind(path, mark, ended.pid), left_behind(path, "0" * 8, living.pid, age_s=2 * 86400)]
        kept = [
            left_behind(path, mark, living.pid, age_s=2 * 86400),
            left_behind(path, "0" * 8, ended.pid, age_s=3600),  # of another machine: it may be written now
            left_behind(tmp_path / "b-a [1].txt", mark, ended.pid),  # of another product
            left_behind(tmp_path / "a 1.txt", mark, ended.pid),
        ]
        with replacing(path) as temporary:
            temporary.write_text("newer")
        living.kill()
    assert not any(litter.exists() for litter in gone)
    assert all(litter.exists() for litter in kept)
    assert path.read_text() == "newer"


def test_a_process_that_nobody_waited_for_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    killed = (
        "import os, sys; from pathlib import Path; from pyxt_hpc.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), 9)"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", killed, str(path)]) as process:
        while not list(tmp_path.glob(".tmp-*")) or start_of(process.pid) != "ended":
            time.sleep(0.01)
        with replacing(path) as temporary:
            temporary.write_text("whole")
        assert list(tmp_path.iterdir()) == [path]
