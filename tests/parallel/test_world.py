"""Ranks end whatever happens to their streams, and no launcher lets every process do the whole job."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyxt_hpc.parallel.launch import LAUNCHERS, LAUNCHERS_WITHOUT_SIZE, RANKS_VARIABLE
from pyxt_hpc.parallel.world import World
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status

JOB = Path(__file__).with_name("toy_job.py")


class Comm:
    """A communicator that records the code with which it was ended."""

    code: int | None = None

    def Abort(self, code: int) -> None:
        self.code = code


def test_streams_that_are_gone_leave_no_rank_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    closed, comm = io.StringIO(), Comm()
    closed.close()
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", closed)
    World(0, 2, comm).abort(75)  # type: ignore[arg-type]
    assert comm.code == 75


def start(store: Path, *options: str, **variables: str) -> "subprocess.Popen[str]":
    """One process of the toy job, with only the information that an unknown launcher gives."""
    known = {name for _, *names in (*LAUNCHERS, *LAUNCHERS_WITHOUT_SIZE) for name in names}
    environment = {name: value for name, value in os.environ.items() if name not in known}
    return subprocess.Popen(
        [sys.executable, str(JOB), "fine", "1", str(store), *options],
        env=environment | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_one_of_many_by_an_unknown_launcher_is_refused(tmp_path: Path) -> None:
    process = start(tmp_path / "toy.h5", NEWRUN_RANK="3")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2, errors
    assert "an unknown launcher (NEWRUN_RANK is 3)" in errors
    assert not (tmp_path / "toy.h5").exists()


def test_job_script_whose_launcher_starts_single_processes_is_refused(tmp_path: Path) -> None:
    process = start(tmp_path / "toy.h5", **{RANKS_VARIABLE: "4"})
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 2, errors
    assert f"{RANKS_VARIABLE} asks for 4 ranks, but MPI finds 1" in errors
    assert not (tmp_path / "toy.h5").exists()


def test_processes_that_are_told_nothing_do_not_write_the_same_store(tmp_path: Path) -> None:
    """Without information from a launcher, only the lock of the store prevents several writers."""
    first = start(tmp_path / "toy.h5", "--seconds", "0.01")
    assert first.stdout is not None
    assert any(line.startswith("chunk") for line in first.stdout), "ended early"
    second = start(tmp_path / "toy.h5")
    _, errors = second.communicate(timeout=300)
    assert second.returncode == 75, errors
    assert "in use" in errors or "is writing" in errors
    first.communicate(timeout=300)
    assert first.returncode == 0
    assert (read_store(tmp_path / "toy.h5").status == Status.DONE).all()
