"""What a look at the stores says while they are written, after a crash and after damage."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.errors import DamagedFile, MissingInput
from pyxt_hpc.files.tablefile import TableFile
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.layout import Layout
from pyxt_hpc.stages.status import read_status, read_statuses, verify
from pyxt_hpc.store.reader import BLOCK
from pyxt_hpc.store.rows import REGION_DTYPE, ROW_DTYPE, Status, blank_rows
from pyxt_hpc.store.writer import ResultsStore

N = 40_000


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Of a cluster without anything."""
    return Layout(tmp_path / "A", "A")


def regions(n: int = N) -> np.ndarray:
    """Regions 11, 13, 15 ..."""
    made = np.zeros(n, REGION_DTYPE)
    made["region"] = 11 + 2 * np.arange(n)
    return made


def create(path: Path, n: int = N) -> ResultsStore:
    """A new store."""
    return ResultsStore.create(path, regions=regions(n), fingerprint="abc", settings={"nH": 1})


def write(store: ResultsStore, start: int, stop: int, status: Status = Status.DONE, flags: int = 0) -> None:
    """Finish some regions."""
    indices = np.arange(start, stop)
    rows = blank_rows(regions(len(store))[indices])
    rows["flags"] = flags
    store.write(indices, rows, np.full(len(indices), status, np.uint8))


def test_nothing_there_names_the_command(layout: Layout) -> None:
    with pytest.raises(MissingInput, match="fit-spectra"):
        read_statuses(layout)
    with pytest.raises(MissingInput, match="fit-spectra"):
        list(verify(layout))


def test_counts_writer_rate_and_time_left(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    with create(layout.results) as store:
        young = read_status(layout.results)
        assert (young.rate, young.seconds_left, young.total, young.finished) == (None, None, N, 0)
        clock[0] = 1060.0  # compiling
        write(store, 0, 1000)
        clock[0] = 1070.0
        write(store, 1000, 3000)
        store.start(np.arange(3000, 3100))
        store.flush()
        clock[0] = 1075.0
        status = read_status(layout.results)
        assert status.writer is not None
        assert status.writer.pid == os.getpid()
        assert status.checkpoint == 1070.0
        assert status.rate == pytest.approx(200.0)
        assert status.seconds_left == pytest.approx((N - 3000) / 200.0 - 5.0)
        assert list(status.counts) == list(Status)
        assert list(status.counts.values()) == [N - 3100, 100, 3000, 0, 0]
    after = read_status(layout.results)
    assert (after.writer, after.rate, after.seconds_left) == (None, None, None)
    assert after.counts[Status.IN_FLIGHT] == 100


def test_rate_of_a_resumed_run_is_its_own(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    with create(layout.results) as store:
        write(store, 0, 20_000)
    with ResultsStore.open_for_resume(layout.results, fingerprint="abc", settings={"nH": 1}) as store:
        write(store, 20_000, 20_100)
        clock[0] += 10
        write(store, 20_100, 20_200)
        store.flush()
        assert read_status(layout.results).rate == pytest.approx(10.0)


def test_reasons_are_flags_or_messages_with_their_regions(layout: Layout) -> None:
    with create(layout.results) as store:
        write(store, 0, 100)
        write(store, 16_380, 16_400, Status.BAD, FitFlag.NO_COUNTS)
        write(store, 5, 8, Status.BAD, FitFlag.FAILED | FitFlag.KT_LO_OPEN)
        last = np.array([N - 1])
        store.write(
            last, blank_rows(regions()[last]), np.array([Status.QUARANTINED], np.uint8), {N - 1: "died twice"}
        )
    first, second, third = read_status(layout.results).reasons
    assert (first.status, first.text, first.n_regions) == (Status.BAD, "no counts", 20)
    assert first.regions == tuple(11 + 2 * i for i in range(16_380, 16_390))
    assert (second.n_regions, second.regions) == (3, (21, 23, 25))
    assert sorted(second.text.split(", ")) == ["failed", "kt lo open"]
    assert (third.status, third.text, third.regions) == (
        Status.QUARANTINED,
        "died twice",
        (11 + 2 * (N - 1),),
    )


def test_every_store_is_shown(layout: Layout) -> None:
    for path in (layout.part_results(2, 3), layout.results, layout.part_results(1, 3)):
        create(path, 10).close()
    shown = [status.path for status in read_statuses(layout)]
    assert shown == [layout.results, layout.part_results(1, 3), layout.part_results(2, 3)]


def test_verify_names_damaged_rows(layout: Layout) -> None:
    with create(layout.results) as store:
        write(store, 0, 30_000)
    create(layout.part_results(1, 2), 10).close()
    assert [check.problem for check in verify(layout)] == ["", ""]
    content = bytearray(layout.results.read_bytes())
    start = content.index(regions(1)["region"].tobytes() + bytes(8))
    for i in (7, 20_000):
        content[start + i * ROW_DTYPE.itemsize + 30] ^= 4
    layout.results.write_bytes(content)
    whole, part = verify(layout)
    assert whole.problem == f"2 rows do not match their checksum (regions 25, {11 + 2 * 20_000})"
    assert (whole.counts[Status.DONE], whole.counts[Status.PENDING]) == (29_998, 10_002)
    assert part.problem == ""
    layout.results.write_bytes(content[:-1])
    with pytest.raises(DamagedFile):
        list(verify(layout))


def test_only_rows_that_are_asked_for_are_read(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with create(layout.results) as store:
        write(store, 0, 100)
        write(store, 39_000, 39_001, Status.BAD)
    read = TableFile.read
    seen = []

    def spy(file: TableFile, table: str, start: int = 0, stop: int | None = None) -> np.ndarray:
        rows = read(file, table, start, stop)
        seen.append((table, len(rows)))
        return rows

    monkeypatch.setattr(TableFile, "read", spy)
    read_status(layout.results)
    # the block in the middle has nothing that is finished
    last = N - 2 * BLOCK
    assert sum(n for table, n in seen if table == "rows") <= BLOCK + 2 * last


def test_flags_of_the_fits_are_counted(layout: Layout) -> None:
    with create(layout.results) as store:
        write(store, 0, 90)
        write(store, 90, 98, flags=FitFlag.POOR_FIT | FitFlag.FEW_COUNTS)
        write(store, 30_000, 30_002, flags=FitFlag.FEW_COUNTS)
        write(store, 100, 200, Status.BAD, FitFlag.NO_COUNTS)
    flags = read_status(layout.results).flags
    assert flags.fits == 100
    assert flags.flagged == {FitFlag.FEW_COUNTS: 10, FitFlag.POOR_FIT: 8}
    assert flags.doubtful == 8


def test_a_look_at_a_running_fit_loads_no_compiler() -> None:
    code = "import sys, pyxt_hpc.stages.status; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numba", "astropy", "scipy"} & set(done.stdout.split())
