"""A product is replaced completely or not at all."""

import errno
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pyxt_hpc.errors import DamagedFile, DiskFull
from pyxt_hpc.files import writing
from pyxt_hpc.files.process_identity import start_of
from pyxt_hpc.files.writing import check_place, check_regular, replacing, write_ecsv


def test_new_content_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.txt"
    for text in ("one", "two"):
        with replacing(path) as temporary:
            temporary.write_text(text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_place_is_looked_at_before_the_work(tmp_path: Path) -> None:
    check_place(tmp_path / "new folder" / "a.html")
    check_place(tmp_path / "csv", is_folder=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["csv", "new folder"]
    (tmp_path / "file").write_text("kept")
    for wrong, is_folder in (("file/a.html", False), ("file", True), ("csv", False)):
        with pytest.raises(DamagedFile, match=str(tmp_path / wrong)):
            check_place(tmp_path / wrong, is_folder=is_folder)
    assert (tmp_path / "file").read_text() == "kept"


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
    """A temporary file of a process that was writing `path`."""
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
            left_behind(
                path, "0" * 8, ended.pid, age_s=3600
            ),  # of another machine, which may be writing it now
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
        "import os, sys; from pathlib import Path; from pyxt_hpc.files.writing import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), 9)"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", killed, str(path)]) as process:
        while not list(tmp_path.glob(".tmp-*")) or start_of(process.pid) != "ended":
            time.sleep(0.01)
        with replacing(path) as temporary:
            temporary.write_text("whole")
        assert list(tmp_path.iterdir()) == [path]


def test_only_regular_files_and_links_to_them_are_regular(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "link").symlink_to(file)
    assert check_regular(file)
    assert check_regular(tmp_path / "link")
    assert not check_regular(tmp_path / "absent")


def fifo(path: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/null")


IRREGULAR = [
    (Path.mkdir, "is a folder"), (fifo, "FIFO"), (socket_file, "is a socket"), (device, "is a device"),
    (loop, "loop of links"), (dangling, "link to nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), IRREGULAR)
def test_what_is_not_a_regular_file_is_named(
    make: Callable[[Path], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("thing"))
    with pytest.raises(DamagedFile, match=rf"^thing: .*{words}"):
        check_regular(Path("thing"))


@pytest.mark.parametrize(("make", "words"), IRREGULAR[:-2])
def test_what_is_not_a_regular_file_is_never_replaced(
    make: Callable[[Path], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("thing"))
    before = os.lstat("thing")
    with pytest.raises(DamagedFile, match=words), replacing(Path("thing")) as temporary:
        temporary.write_text("new")
    assert os.lstat("thing") == before
    assert os.listdir() == ["thing"]


def hdf5_full(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = np.zeros(100_000)


def fits_full(path: Path) -> None:
    fits.PrimaryHDU(np.zeros(100_000)).writeto(path)


def plain_full(path: Path) -> None:
    path.write_bytes(bytes(800_000))


def figure_full(path: Path) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=600, pil_kwargs={"compress_level": 0})


@pytest.mark.parametrize("write", [plain_full, fits_full, figure_full, hdf5_full])
def test_full_disk_is_a_full_disk_whatever_library_meets_it(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, before[1]))
    try:
        with (
            pytest.raises(DiskFull, match=r"a\.png: cannot be written.*free disk space"),
            replacing(path) as temporary,
        ):
            write(temporary)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_that_only_syncing_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(DiskFull, match=r"a\.txt: cannot be written.*quota"),
        replacing(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == []


def test_file_and_folder_are_synced_around_the_renaming(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(os.readlink(f"/proc/self/fd/{handle}")))
    monkeypatch.setattr(os, "replace", lambda *paths: done.append("renamed"))
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert done == [str(temporary), "renamed", str(tmp_path)]


def test_the_file_that_could_not_be_read_is_blamed_not_the_product(tmp_path: Path) -> None:
    with (
        pytest.raises(DamagedFile, match="^" + re.escape(str(tmp_path / "input"))),
        replacing(tmp_path / "a.txt") as temporary,
    ):
        temporary.write_text((tmp_path / "input").read_text())


@pytest.mark.parametrize("n", [0, 1, 4, 8, 11])
def test_a_long_table_is_written_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(writing, "_ROWS_AT_ONCE", 4)
    rng = np.random.default_rng(5)
    table = Table(
        {
            "region": np.arange(n),
            "kT": Column(rng.normal(5, 1, n).astype(np.float32), unit="keV", description="temperature"),
            "norm": MaskedColumn(rng.normal(size=n), mask=np.arange(n) % 3 == 0),
            "text": np.array(["", "# no comment", 'a "b"\nc', "ä,\u2028 b"] * 3)[:n],
        },
        meta={"bundle": "ab", "sentences": ["one", "two"]},
        masked=True,
    )
    table.write(tmp_path / "whole.ecsv", format="ascii.ecsv")
    write_ecsv(tmp_path / "pieces.ecsv", table)
    assert (tmp_path / "pieces.ecsv").read_bytes() == (tmp_path / "whole.ecsv").read_bytes()
