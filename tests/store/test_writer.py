"""A row in the store is complete, or it counts as pending."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import h5py
import numpy as np
import pytest

from pyxt_hpc.errors import DamagedFile, DiskFull, EmptySelection, ForeignProduct, MissingInput
from pyxt_hpc.files import lock as lock_module
from pyxt_hpc.store import writer
from pyxt_hpc.store.reader import open_store, read_run, read_store
from pyxt_hpc.store.rows import (
    MAX_OBSERVATIONS,
    REGION_DTYPE,
    ROW_DTYPE,
    Status,
    blank_rows,
    is_final,
    packed_observations,
    unpacked_observations,
)
from pyxt_hpc.store.writer import ResultsStore

N = 500
SETTINGS = {"resolution": 2, "nH": 0.05}


def regions(n: int = N) -> np.ndarray:
    """Regions 1 to n."""
    made = np.zeros(n, REGION_DTYPE)
    made["region"] = np.arange(1, n + 1)
    made["radius"] = 7.125
    return made


def fitted(indices: np.ndarray) -> np.ndarray:
    """Rows in which every number follows from the index."""
    rows = np.zeros(len(indices), ROW_DTYPE)
    rows["region"], rows["radius"] = indices + 1, 7.125
    for name in ("kT", "kT_lo", "norm", "statistic"):
        rows[name] = np.sqrt(indices + 1.0) * len(name)
    rows["kT_hi"] = np.where(indices % 7 == 0, np.nan, 1.0)
    return rows


def done(indices: np.ndarray) -> np.ndarray:
    """States of rows: every tenth region is bad."""
    return np.where(indices % 10 == 3, Status.BAD, Status.DONE).astype(np.uint8)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Check that rows are equal to the last bit, including NaN."""
    assert found.tobytes() == expected.tobytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Path of a store that does not exist yet."""
    return tmp_path / "acb" / "A_results.h5"


def create(path: Path) -> ResultsStore:
    """Create a store."""
    return ResultsStore.create(path, regions=regions(), fingerprint="abc", settings=SETTINGS)


def resume(path: Path) -> ResultsStore:
    """Open this store again."""
    return ResultsStore.open_for_resume(path, fingerprint="abc", settings=SETTINGS)


def test_what_is_written_is_read_back(path: Path) -> None:
    some = np.array([0, 1, 2, 17, 18, 400])
    with create(path) as store:
        np.testing.assert_array_equal(store.pending(), np.arange(N))
        store.write(some, fitted(some), done(some))
        assert len(store.pending()) == N - len(some)
        look_on = f"from test_writer import *; print(read_store(Path({str(path)!r})).status.sum())"
        seen = subprocess.check_output([sys.executable, "-c", look_on], cwd=Path(__file__).parent, text=True)
        assert int(seen) == done(some).sum()
    found = read_store(path)
    assert (found.settings, found.fingerprint) == (SETTINGS, "abc")
    np.testing.assert_array_equal(np.flatnonzero(found.status), some)
    np.testing.assert_array_equal(found.status[some], done(some))
    np.testing.assert_array_equal(found.rows["region"], np.arange(1, N + 1))


def test_resuming_in_pieces_equals_one_run(path: Path) -> None:
    create(path).close()
    for _ in range(4):
        with resume(path) as store:
            some = store.pending()[:130]
            store.write(some, fitted(some), done(some))
    found = read_store(path)
    assert_same(found.rows, fitted(np.arange(N)))
    np.testing.assert_array_equal(found.status, done(np.arange(N)))


def test_flipped_bits_make_the_row_pending_again(path: Path) -> None:
    everything = np.arange(N)
    with create(path) as store:
        store.write(everything, fitted(everything), done(everything))
    content = bytearray(path.read_bytes())
    start = content.index(fitted(everything[:1]).tobytes())
    rng = np.random.default_rng(1)
    hit = rng.choice(N, 40, replace=False)
    for i in hit:
        byte = start + i * ROW_DTYPE.itemsize + int(rng.integers(ROW_DTYPE.itemsize))
        content[byte] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    with resume(path) as store:
        np.testing.assert_array_equal(store.pending(), np.sort(hit))
        store.write(np.sort(hit), fitted(np.sort(hit)), done(np.sort(hit)))
    assert_same(read_store(path).rows, fitted(everything))


def test_other_settings_are_refused_by_name(path: Path) -> None:
    create(path).close()
    before = path.read_bytes()
    with pytest.raises(ForeignProduct, match=r"nH was 0\.05, now 0\.06"):
        ResultsStore.open_for_resume(path, fingerprint="abd", settings=SETTINGS | {"nH": 0.06})
    with pytest.raises(ForeignProduct, match="other regions"):
        ResultsStore.open_for_resume(path, fingerprint="abd", settings=SETTINGS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("how", ["resume", "create"])
def test_second_writer_is_refused(path: Path, how: str) -> None:
    some = np.arange(9)
    with create(path) as store:
        other = subprocess.run(
            [sys.executable, "-c", f"from test_writer import *; {how}(Path({str(path)!r}))"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
        store.write(some, fitted(some), done(some))
    assert other.returncode != 0
    assert f"process {os.getpid()} on {socket.gethostname()} is writing it" in other.stderr
    np.testing.assert_array_equal(np.flatnonzero(read_store(path).status), some)


def test_damaged_store_can_be_replaced_and_what_a_kill_left_is_removed(path: Path) -> None:
    path.parent.mkdir()
    path.with_name(f".tmp-12345-{path.name}").write_text("half a store")
    path.write_text("not HDF5")
    create(path).close()
    assert len(read_store(path).rows) == N
    assert list(path.parent.iterdir()) == [path]


def test_missing_and_foreign_files(path: Path) -> None:
    with pytest.raises(MissingInput, match="fit-spectra"):
        read_store(path)
    path.parent.mkdir()
    path.write_text("not HDF5")
    with pytest.raises(DamagedFile):
        read_store(path)
    with h5py.File(path, "w") as file:
        file["rows"] = 1
    with pytest.raises(ForeignProduct):
        read_store(path)


def test_killed_while_writing_nothing_finished_is_lost_and_nothing_torn_believed(path: Path) -> None:
    # In a process of its own, which may fork, so that children start quickly.
    here = Path(__file__)
    script = f"from {here.stem} import *; kill_often({str(path)!r})"
    subprocess.run([sys.executable, "-c", script], cwd=here.parent, check=True, timeout=120)


def kill_often(name: str) -> None:
    """Kill 60 writers at random moments and check the store after each."""
    path, rng = Path(name), np.random.default_rng(2)
    finished = np.zeros(N, bool)
    create(path).close()
    kills = crashes = found_in_flight = 0
    while kills < 60:
        reader, writer = os.pipe()
        pid = os.fork()
        if not pid:
            write_two_by_two(path, writer)
        os.close(writer)
        os.read(reader, int(rng.integers(1, 25)))
        time.sleep(rng.uniform(0.0, 3e-4))
        os.kill(pid, signal.SIGKILL)
        kills += os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
        os.close(reader)
        found = read_store(path)
        ready = is_final(found.status)
        assert ready[finished].all()
        assert not len(found.torn)
        assert_same(found.rows[ready], fitted(np.flatnonzero(ready)))
        np.testing.assert_array_equal(found.status[ready], done(np.flatnonzero(ready)))
        crashes += np.count_nonzero(found.status == Status.IN_FLIGHT)
        finished = ready
        with resume(path) as store:
            assert store.crashes().sum() == crashes
        found_in_flight += crashes > 0
        if finished.all():
            create(path).close()
            finished[:], crashes = False, 0
    assert found_in_flight > 10


def write_two_by_two(path: Path, pipe: int) -> NoReturn:
    """Write all pending rows; a byte in the pipe follows every two rows."""
    with resume(path) as store:
        while len(some := store.pending()[:2]):
            store.start(some)
            store.write(some, fitted(some), done(some))
            os.write(pipe, b".")
    os._exit(0)


def test_regions_in_flight_at_a_crash_are_pending_and_counted(path: Path) -> None:
    store = create(path)
    store.start(np.arange(3, 9))
    store.give_back(np.array([4, 7]))
    store.write(np.array([5]), fitted(np.array([5])), done(np.array([5])))
    np.testing.assert_array_equal(np.flatnonzero(store.status() == Status.IN_FLIGHT), [3, 6, 8])
    np.testing.assert_array_equal(store.pending()[:6], [0, 1, 2, 4, 7, 9])
    np.testing.assert_array_equal(np.flatnonzero(read_store(path).status == Status.IN_FLIGHT), [3, 6, 8])
    store.close()
    for times in (1, 2):
        with resume(path) as store:
            np.testing.assert_array_equal(np.flatnonzero(store.crashes()), [3, 6, 8])
            assert set(store.crashes()[[3, 6, 8]]) == {times}
            assert len(store.pending()) == N - 1
            store.start(np.array([3, 6, 8]))


def test_messages_are_kept_whole_or_not_at_all(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    some = np.arange(2)
    bad = np.array([Status.BAD, Status.QUARANTINED], np.uint8)
    with create(path) as store:
        store.write(some, blank_rows(regions()[some]), bad, {0: "ValueError: \n no", 1: "x" * 1000})
    found = read_store(path)
    assert found.messages == {0: "ValueError: no", 1: "x" * 244}
    assert np.isnan(found.rows["kT"][:2]).all()
    np.testing.assert_array_equal(found.rows["region"][:2], [1, 2])
    content = bytearray(path.read_bytes())
    content[content.index(b"ValueError")] ^= 1
    path.write_bytes(content)
    assert list(read_store(path).messages) == [1]
    with resume(path) as store:
        everything = np.arange(N)
        store.write(everything, fitted(everything), done(everything), dict.fromkeys(range(N), "again"))
    assert "has space for" in caplog.text
    assert read_store(path).messages[N - 3] == "again"
    assert len(read_store(path).messages) == N - 2


def test_row_in_the_place_of_another_is_torn(path: Path) -> None:
    everything = np.arange(N)
    with create(path) as store:
        store.write(everything, fitted(everything), np.full(N, Status.DONE, np.uint8))
    content = bytearray(path.read_bytes())
    row, crc = content.index(fitted(everything[:1]).tobytes()), content.index(read_crc(path)[:9].tobytes())
    content[row : row + ROW_DTYPE.itemsize] = fitted(np.array([7])).tobytes()
    content[crc : crc + 4] = read_crc(path)[7:8].tobytes()
    path.write_bytes(content)
    np.testing.assert_array_equal(read_store(path).torn, [0])


def read_crc(path: Path) -> np.ndarray:
    """Checksums as another program reads them."""
    with h5py.File(path, "r") as file:
        return file["crc"][()]


def test_other_programs_read_it_as_hdf5(path: Path) -> None:
    some = np.arange(20)
    with create(path) as store:
        store.write(some, fitted(some), done(some))
    before = path.read_bytes()
    with h5py.File(path, "r+") as file:
        assert_same(file["rows"][:20], fitted(some))
        np.testing.assert_array_equal(file["status"][:20], done(some))
        assert file["rows"].shape == file["crc"].shape == (N,)
        assert json.loads(file.attrs["settings"]) == SETTINGS
        assert b"keV" in file.attrs["column kT"]
    assert path.read_bytes() == before


def test_nothing_to_fit_makes_no_store(path: Path) -> None:
    with pytest.raises(EmptySelection):
        ResultsStore.create(path, regions=regions(0), fingerprint="abc", settings={})
    assert not path.parent.exists()


def test_disk_full_while_writing_stops_cleanly_and_goes_on_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = np.arange(N)
    store = create(path)
    store.write(everything[:50], fitted(everything[:50]), done(everything[:50]))
    really = os.pwrite
    left = [3000]

    def pwrite(file: int, data: memoryview, at: int) -> int:
        if not left[0]:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        written = really(file, data[: left[0]], at)
        left[0] -= written
        return written

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", pwrite)
        with pytest.raises(DiskFull, match=r"quota.*finished before are stored"):
            store.write(everything[50:], fitted(everything[50:]), done(everything[50:]))
        with pytest.raises(DiskFull):
            store.close()
    np.testing.assert_array_equal(np.flatnonzero(is_final(read_store(path).status)), everything[:50])
    with resume(path) as store:
        some = store.pending()
        np.testing.assert_array_equal(some, everything[50:])
        store.write(some, fitted(some), done(some))
    assert_same(read_store(path).rows, fitted(everything))


def test_disk_too_small_is_told_before_anything_is_there(path: Path) -> None:
    script = (
        "import resource; from test_writer import *; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000)); "
        f"create(Path({str(path)!r}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        # coverage could not store its data either
        env={key: value for key, value in os.environ.items() if not key.startswith("COVERAGE")},
    )  # fmt: skip
    assert ended.returncode == 1
    assert f"DiskFull: {path}: cannot be written" in ended.stderr.splitlines()[-1]
    assert list(path.parent.iterdir()) == []


def test_room_on_the_disk_is_taken_from_the_start(path: Path) -> None:
    create(path).close()
    status = path.stat()
    assert status.st_blocks * 512 >= status.st_size
    sparse = path.with_name("B_results.h5")
    with path.open("rb") as source, sparse.open("wb") as copy:
        copy.write(source.read(4096 * 3))
        copy.truncate(status.st_size)
        copy.seek(4096 * 3)
        copy.write(source.read(50000))
    assert sparse.stat().st_blocks * 512 < status.st_size
    resume(sparse).close()
    assert sparse.stat().st_blocks * 512 >= status.st_size


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A copy that has flipped bits, zeros or random bytes, or is truncated or extended."""
    changed = bytearray(content)
    # Half of the damage where the structure is.
    at = int(rng.integers(len(content) if rng.random() < 0.5 else 16000))
    length = int(min(10.0 ** rng.uniform(0, 5), len(content) - at))
    match rng.integers(6):
        case 0 | 1:
            for _ in range(int(rng.integers(1, 4))):
                changed[int(rng.integers(at, at + length))] ^= 1 << int(rng.integers(8))
        case 2:
            changed[at : at + length] = bytes(length)
        case 3:
            changed[at : at + length] = rng.bytes(length)
        case 4:
            del changed[at:]
        case 5:
            # A block that was written to a wrong place.
            source = int(rng.integers(len(content) - length + 1))
            changed[at : at + length] = content[source : source + length]
    return bytes(changed)


def test_damage_is_an_error_or_pending_rows(path: Path) -> None:
    everything = np.arange(N)
    with create(path) as store:
        store.write(everything[:-20], fitted(everything[:-20]), done(everything[:-20]), {3: "why", 13: "so"})
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = accepted = 0
    for i in range(int(os.environ.get("PYXT_HPC_FUZZ", "300"))):
        path.write_bytes(damaged(whole, rng))
        try:
            found = read_store(path)
        except (DamagedFile, ForeignProduct):
            refused += 1
            with pytest.raises((DamagedFile, ForeignProduct)):
                resume(path)
            continue
        accepted += 1
        ready = is_final(found.status)
        assert_same(found.rows[ready], fitted(everything[ready]))
        np.testing.assert_array_equal(found.status[ready], done(everything[ready]))
        assert found.messages.items() <= {3: "why", 13: "so"}.items(), i
        assert (found.fingerprint, found.settings) == ("abc", SETTINGS)
        with resume(path) as store:
            np.testing.assert_array_equal(is_final(store.status()), ready)
    assert refused > 50
    assert accepted > 50


ACTIONS: dict[str, Callable[[ResultsStore], None]] = {
    "start": lambda store: store.start(np.arange(100, 110)),
    "give back": lambda store: store.give_back(np.arange(10)),
    "write": lambda store: store.write(np.arange(10), blank_rows(regions(10)), done(np.arange(10))),
    "close": lambda store: store.close(),
}


def fall_asleep(path: Path, action: str, nth: int) -> None:
    """Stop, as on another machine, before an action, or at the nth write after the check of the lock."""
    lock_module.this_machine = lambda: "another machine"
    lock_module.CHECK_SECONDS = 0.05
    really, calls = os.pwrite, [0]

    def pwrite(file: int, data: memoryview, at: int) -> int:
        calls[0] += 1
        if calls[0] == nth:
            os.kill(os.getpid(), signal.SIGSTOP)
        return really(file, data, at)

    with resume(path) as store:
        store.start(np.arange(10))
        os.pwrite = pwrite
        if not nth:
            os.kill(os.getpid(), signal.SIGSTOP)
        ACTIONS[action](store)


@pytest.mark.parametrize(
    ("action", "nth"),
    [("start", 0), ("give back", 0), ("write", 0), ("close", 0), ("give back", 1), ("write", 1), ("write", 3),
     ("close", 1)],
)  # fmt: skip
def test_owner_that_slept_while_another_finished_writes_nothing_more(
    path: Path, action: str, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "SILENCE_SECONDS", 0.3)
    everything = np.arange(N)
    create(path).close()
    script = f"from test_writer import *; fall_asleep(Path({str(path)!r}), {action!r}, {nth})"
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True
    ) as sleeper:
        assert os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WEXITED).si_code == os.CLD_STOPPED
        time.sleep(0.4)
        with resume(path) as store:
            np.testing.assert_array_equal(store.crashes()[:10], 1)
            store.write(everything, fitted(everything), done(everything))
        finished = path.read_bytes()
        sleeper.send_signal(signal.SIGCONT)
        _, said = sleeper.communicate(timeout=300)
    assert "StoreInUse" in said.splitlines()[-1], said
    assert "this run stops; finished results are stored" in said.splitlines()[-1]
    assert path.read_bytes() == finished
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("what", ["file", "folder", "replaced"])
def test_store_that_is_removed_while_it_is_written_is_no_success(path: Path, what: str) -> None:
    some = np.arange(10)
    store = create(path)
    store.write(some, fitted(some), done(some))
    if what == "folder":
        shutil.rmtree(path.parent)
    elif what == "file":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes())
        shutil.copy(path, path.with_name("copy"))
        path.with_name("copy").replace(path)
    with pytest.raises(DamagedFile, match=r"A_results\.h5: was removed or replaced by another file"):
        store.flush()
    with pytest.raises(DamagedFile, match="--continue"):
        store.close()


def test_looking_at_the_lock_before_every_write_costs_little(path: Path) -> None:
    with create(path) as store:
        calls = []
        really = lock_module._read
        try:
            lock_module._read = lambda name: calls.append(1) or really(name)
            for i in range(2000):
                store.start(np.array([i % N]))
        finally:
            lock_module._read = really
        assert len(calls) < 20


def test_observations_are_packed_and_unpacked() -> None:
    rng = np.random.default_rng(9)
    for n in (1, 8, 65, MAX_OBSERVATIONS):
        takes_part = rng.random((20, n)) < 0.5
        bits = packed_observations(takes_part)
        assert bits.dtype == ROW_DTYPE["observations"].base
        assert bits.shape[1:] == ROW_DTYPE["observations"].shape
        np.testing.assert_array_equal(unpacked_observations(bits, n), takes_part)
        assert bits.sum() == np.packbits(takes_part, axis=1, bitorder="little").sum()


def test_folder_that_is_gone_is_told_by_a_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_module, "CHECK_SECONDS", 0.2)
    store = create(path)
    shutil.rmtree(path.parent)
    time.sleep(0.25)
    with pytest.raises(DamagedFile, match="was removed or replaced by another file"):
        store.start(np.arange(3))
    with pytest.raises(DamagedFile):
        store.close()
    store.close()  # a second call does nothing


def test_heartbeat_flushes_when_it_is_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(writer, "FLUSH_SHARE", 1.0)
    with create(path) as store, open_store(path) as file:
        time.sleep(0.01)
        before = read_run(file)
        time.sleep(0.01)
        store.heartbeat()
        after = read_run(file)
    assert before is not None
    assert after is not None
    assert after.flushed > before.flushed


def test_what_is_damaged_of_the_latest_run_is_not_told(path: Path) -> None:
    create(path).close()
    with h5py.File(path, "r") as file:
        at = file["run"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with open_store(path) as file:
        assert read_run(file) is None
