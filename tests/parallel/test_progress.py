"""Lines of a batch log: the finished work, and a rate without the time of compilation."""

import logging

import pytest

from pyxt_hpc.parallel import progress
from pyxt_hpc.parallel.launch import BAR_VARIABLE
from pyxt_hpc.parallel.progress import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> list[float]:
    """The time [s], in a list that a test can change; there is a log and no bar."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.delenv(BAR_VARIABLE, raising=False)
    caplog.set_level(logging.INFO)
    return now


def test_rate_counts_from_the_first_completion(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    with Progress("fits", "region", total=2000, initial=500) as shown:
        clock[0] = 30.0  # compiling
        shown.add(1)
        clock[0] = 41.0
        shown.add(549)
        clock[0] = 50.0
        shown.add(950)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "fits: 1050 of 2000, 50 regions/s, 19 s left",
        "fits: 2000 of 2000, 75 regions/s",
    ]


def test_rate_of_few_is_not_that_of_workers_that_end_together(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    with Progress("mass", "ensemble", total=4) as shown:
        for clock[0] in (20.0, 20.1, 40.0, 50.1):
            shown.add(1)
    # the end is reported once
    assert [record.getMessage() for record in caplog.records] == [
        "mass: 2 of 4, 0.10 ensembles/s, 20 s left",
        "mass: 3 of 4, 0.07 ensembles/s, 13 s left",
        "mass: 4 of 4, 0.08 ensembles/s",
    ]


def test_no_time_is_told_before_the_rate_of_many_is_known(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """Two workers compiled kernels for 40 s, which is not the rate of 26,000 regions."""
    with Progress("fits", "region", total=26000) as shown:
        for clock[0], n in ((38.0, 2), (49.0, 9), (60.0, 11000), (62.0, 14989)):
            shown.add(n)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "fits: 11 of 26000",
        "fits: 11011 of 26000, 500 regions/s, 30 s left",
        "fits: 26000 of 26000, 1083 regions/s",
    ]


def test_nothing_done_is_said_without_a_rate(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Progress("fits", "region", total=7):
        pass
    assert [record.getMessage() for record in caplog.records] == ["fits: 0 of 7"]
