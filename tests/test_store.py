"""A row is in the store whole, or it is pending; nothing else is ever believed."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput
from pyxt_hpc.store import REGION_DTYPE, ROW_DTYPE, ResultsStore, Status, read_results

N = 500
SETTINGS = {"resolution": 2, "nH": 0.05}


def regions(n: int = N) -> np.ndarray:
    """Regions 1 to n."""
    made = np.zeros(n, REGION_DTYPE)
    made["region"] = np.arange(1, n + 1)
    made["radius"] = 7.125
    return made


def fitted(indices: np.ndarray) -> np.ndarray:
    """Rows whose every number follows from the index."""
    rows = np.zeros(len(indices), ROW_DTYPE)
    rows["region"], rows["radius"] = indices + 1, 7.125
    for name in ("kT", "kT_lo", "norm", "statistic"):
        rows[name] = np.sqrt(indices + 1.0) * len(name)
    rows["kT_hi"] = np.where(indices % 7 == 0, np.nan, 1.0)
    return rows


def done(indices: np.ndarray) -> np.ndarray:
    """Every tenth region is bad."""
    return np.where(indices % 10 == 3, Status.BAD, Status.DONE).astype(np.uint8)


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Equal to the last bit, NaN included."""
    assert found.tobytes() == expected.tobytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be."""
    return tmp_path / "acb" / "A_results.h5"


def create(path: Path) -> ResultsStore:
    """A new store."""
    return ResultsStore.create(path, regions=regions(), fingerprint="abc", settings=SETTINGS)


def resume(path: Path) -> ResultsStore:
    """The same again."""
    return ResultsStore.open_for_resume(path, fingerprint="abc", settings=SETTINGS)


def test_what_is_written_is_read_back(path: Path) -> None:
    some = np.array([0, 1, 2, 17, 18, 400])
    with create(path) as store:
        np.testing.assert_array_equal(store.pending(), np.arange(N))
        store.write(some, fitted(some), done(some))
        assert len(store.pending()) == N - len(some)
        look_on = f"from test_store import *; print(read_results(Path({str(path)!r})).status.sum())"
        seen = subprocess.check_output([sys.executable, "-c", look_on], cwd=Path(__file__).parent, text=True)
        assert int(seen) == done(some).sum()
    found = read_results(path)
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
    found = read_results(path)
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
    assert_same(read_results(path).rows, fitted(everything))


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
            [sys.executable, "-c", f"from test_store import *; {how}(Path({str(path)!r}))"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
        store.write(some, fitted(some), done(some))
    assert other.returncode != 0
    assert f"process {os.getpid()} on {socket.gethostname()} is writing it" in other.stderr
    np.testing.assert_array_equal(np.flatnonzero(read_results(path).status), some)


def test_damaged_store_can_be_replaced(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not HDF5")
    create(path).close()
    assert len(read_results(path).rows) == N


def test_flipped_status_makes_the_row_pending_again(path: Path) -> None:
    everything = np.arange(N)
    with create(path) as store:
        store.write(everything, fitted(everything), done(everything))
    content = bytearray(path.read_bytes())
    start = content.index(done(everything).tobytes())
    content[start + 5] ^= 1  # done to bad
    content[start + 13] ^= 1  # bad to done
    path.write_bytes(content)
    np.testing.assert_array_equal(np.flatnonzero(read_results(path).status == Status.PENDING), [5, 13])


def test_damage_anywhere_is_an_error_or_pending_rows(path: Path) -> None:
    everything = np.arange(N)
    with create(path) as store:
        store.write(everything, fitted(everything), done(everything))
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(300):
        content = bytearray(whole)
        # Half of them where HDF5 keeps its own structures.
        at = int(rng.integers(len(content) if rng.random() < 0.5 else 5000))
        content[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
        try:
            found = read_results(path)
        except (DamagedFile, ForeignProduct):
            continue
        ready = found.status != Status.PENDING
        assert_same(found.rows[ready], fitted(everything[ready]))
        np.testing.assert_array_equal(found.status[ready], done(everything[ready]))


@pytest.mark.parametrize("keep", [0, 8, 600, 0.5, 0.99])
def test_truncated_file_is_damaged(path: Path, keep: float) -> None:
    create(path).close()
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(DamagedFile, match="start anew"):
        read_results(path)
    with pytest.raises(DamagedFile):
        resume(path)


def test_missing_and_foreign_files(path: Path) -> None:
    with pytest.raises(MissingInput, match="fit-spectra"):
        read_results(path)
    path.parent.mkdir()
    path.write_text("not HDF5")
    with pytest.raises(DamagedFile):
        read_results(path)
    import h5py

    with h5py.File(path, "w") as file:
        file["rows"] = 1
    with pytest.raises(ForeignProduct):
        read_results(path)


WRITER = """
    import sys
    from pathlib import Path
    import numpy as np
    sys.path.insert(0, {folder!r})
    from test_store import *
    path = Path({path!r})
    with (resume if path.exists() else create)(path) as store:
        print("open", flush=True)
        while len(store.pending()):
            some = store.pending()[:2]
            store.write(some, fitted(some), done(some))
            print("written", flush=True)
"""


def test_killed_while_writing_nothing_finished_is_lost_and_nothing_torn_believed(path: Path) -> None:
    script = textwrap.dedent(WRITER.format(folder=str(Path(__file__).parent), path=str(path)))
    rng = np.random.default_rng(2)
    finished = np.zeros(N, bool)
    kills = 0
    for _ in range(60):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        for _ in range(rng.integers(1, 25)):
            process.stdout.readline()
        time.sleep(rng.uniform(0.0, 3e-4))
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        found = read_results(path)
        ready = found.status != Status.PENDING
        assert ready[finished].all()
        assert_same(found.rows[ready], fitted(np.flatnonzero(ready)))
        finished = ready
        if finished.all():
            break
    assert kills >= 10
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)
    assert_same(read_results(path).rows, fitted(np.arange(N)))
