"""Ranks are ended whatever has become of the streams."""

import io
import sys

import pytest

from pyxt_hpc.parallel.world import World


class Comm:
    """Notes with which code it was ended."""

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
