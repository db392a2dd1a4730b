"""There is one writer at a time, however writers end: a second one is refused, and a dead one is replaced."""

import errno
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pyxt_hpc.errors import DamagedFile, DiskFull, StoreInUse
from pyxt_hpc.files import lock as lock_module
from pyxt_hpc.files.lock import (
    CHECK_SECONDS,
    SILENCE_SECONDS,
    Owner,
    WriterLock,
    current_owner,
    lock_path,
    this_process,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file to be written."""
    return tmp_path / "acb" / "A_results.h5"


def left_by(owner: Owner, path: Path, *, silent_for: float = 0.0) -> Path:
    """A lock file as another process writes it."""
    lock = lock_path(path)
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(json.dumps({"owner": asdict(owner), "token": "other"}))
    then = time.time() - silent_for
    os.utime(lock, (then, then))
    return lock


def elsewhere(**changes: str) -> Owner:
    """A process on another machine."""
    return replace(this_process(), host="node7", pid=4242, machine="other", **changes)


def test_second_writer_is_refused_with_names_until_the_first_is_done(path: Path) -> None:
    lock = WriterLock(path)
    me = this_process()
    assert current_owner(path) == me
    with pytest.raises(StoreInUse, match=rf"process {os.getpid()} on {me.host} is writing it.*end it$"):
        WriterLock(path)
    assert StoreInUse.exit_code == 75
    lock.touch(now=True)
    lock.release()
    assert list(path.parent.iterdir()) == []
    assert current_owner(path) is None
    WriterLock(path).release()


def test_lock_that_is_dropped_is_released(path: Path) -> None:
    lock = WriterLock(path)
    del lock
    WriterLock(path).release()


def test_forked_child_does_not_release(path: Path) -> None:
    script = f"from test_lock import *; fork_and_look(Path({str(path)!r}))"
    said = subprocess.check_output([sys.executable, "-c", script], cwd=Path(__file__).parent, text=True)
    assert "process" in said
    assert not lock_path(path).exists()


def fork_and_look(path: Path) -> None:
    """Let a child process try to release the lock."""
    lock = WriterLock(path)
    if not os.fork():
        lock.release()
        os._exit(0)
    os.wait()
    sys.stdout.write(str(current_owner(path)))


@pytest.mark.parametrize("how", ["killed", "pid of another", "zombie"])
def test_owner_that_ended_on_this_machine_is_replaced(path: Path, how: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    owner = replace(this_process(), pid=child.pid, started="1")
    if how == "killed":
        child.wait()
    elif how == "pid of another":
        owner = replace(owner, pid=os.getpid())
    else:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    left_by(owner, path)
    assert current_owner(path) is None
    lock = WriterLock(path)
    assert current_owner(path) == this_process()
    lock.release()
    child.wait()


def test_other_users_process_is_alive(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, signal: int) -> None:
        raise PermissionError

    left_by(replace(this_process(), started=""), path)
    monkeypatch.setattr(os, "kill", refuse)
    with pytest.raises(StoreInUse):
        WriterLock(path)


def test_owner_on_another_machine_is_believed_while_it_gives_signs_of_life(path: Path) -> None:
    left_by(elsewhere(job="77"), path, silent_for=SILENCE_SECONDS - 20)
    with pytest.raises(
        StoreInUse, match=r"process 4242 on node7, job 77 .*sign of life 16\d s ago.*delete .*\.lock"
    ):
        WriterLock(path)
    left_by(elsewhere(job="77"), path, silent_for=SILENCE_SECONDS + 5)
    assert current_owner(path) is None
    lock = WriterLock(path)
    assert list(path.parent.iterdir()) == [lock_path(path)]
    lock.release()


def test_job_that_starts_again_elsewhere_does_not_wait_for_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_by(elsewhere(job="77", restart="0"), path)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with pytest.raises(StoreInUse):
        WriterLock(path)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    WriterLock(path).release()


@pytest.mark.parametrize("text", ["", "\0" * 300, '{"owner": {"ho', '{"owner": {"host": "x"}}'])
def test_lock_that_cannot_be_read_is_believed_for_a_while(path: Path, text: str) -> None:
    lock = left_by(elsewhere(), path)
    lock.write_text(text)
    with pytest.raises(StoreInUse, match="an unknown process is writing it"):
        WriterLock(path)
    then = time.time() - SILENCE_SECONDS - 5
    os.utime(lock, (then, then))
    WriterLock(path).release()


def owner_text(**changes: object) -> str:
    """Text of a lock of another machine with an invalid value."""
    return json.dumps({"owner": asdict(elsewhere()) | changes, "token": "other"})


ODD_TEXTS = {
    "not JSON": "my notes", "a list": "[]", "a number": "7", "no owner": "{}",
    "owner is a text": '{"owner": "x"}',
    "nested deeply": '{"owner": {"host": ' + 2000 * '[' , "a list nested deeply": 4000 * "[",
    "pid is a text": owner_text(pid="12"), "pid is a float": owner_text(pid=1.5),
    "pid is null": owner_text(pid=None),
    "pid is true": owner_text(pid=True), "pid is huge": owner_text(pid=2**70),
    "pid is negative": owner_text(pid=-1),
    "pid is 0": owner_text(pid=0), "host is a number": owner_text(host=7),
    "machine is a list": owner_text(machine=[]),
    "job is null": owner_text(job=None),
}  # fmt: skip


def write(text: str) -> Callable[[Path], None]:
    """Make a file of another kind that was not touched for long."""

    def make(path: Path) -> None:
        path.write_text(text)
        os.utime(path, (1, 1))

    return make


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


ODD_THINGS: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a socket": socket_file,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a loop of links": lambda path: path.symlink_to(path.name),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a lock": lambda path: path.symlink_to(left_by(elsewhere(), path.with_name("other"))),
    **{name: write(text) for name, text in ODD_TEXTS.items() if name != "nested deeply"},
}


@pytest.mark.parametrize("thing", ODD_THINGS)
def test_what_is_no_lock_is_named_and_left_alone(
    path: Path, thing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    monkeypatch.chdir(path.parent)  # names of sockets are short
    lock = Path(lock_path(path).name)
    ODD_THINGS[thing](lock)
    before = os.lstat(lock).st_ino, os.lstat(lock).st_mtime, sorted(os.listdir())
    for look in (WriterLock, current_owner):
        with pytest.raises(DamagedFile, match=r"A_results\.h5\.lock: is .*not a lock .* move it away"):
            look(Path(path.name))
    assert (os.lstat(lock).st_ino, os.lstat(lock).st_mtime, sorted(os.listdir())) == before


def test_lock_that_was_cut_short_may_look_like_anything(path: Path) -> None:
    left_by(elsewhere(), path).write_text(ODD_TEXTS["nested deeply"])
    with pytest.raises(StoreInUse, match="an unknown process is writing it"):
        WriterLock(path)


def test_unknown_owner_of_an_old_lock_is_named_in_words(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lock = left_by(elsewhere(), path)
    lock.write_text('{"owner": {"host"')
    os.utime(lock, (1, 1))
    with WriterLock(path):
        assert "an unknown process has ended without removing its lock" in caplog.text


def test_unreadable_lock_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = left_by(elsewhere(), path)
    opened = os.open

    def refuse(name: Path, *arguments: int, **options: int) -> int:
        if name == lock and not arguments[0] & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", str(lock))
        return opened(name, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    for look in (WriterLock, current_owner):
        with pytest.raises(DamagedFile, match=r"cannot be read \(Permission denied\).*remove it if"):
            look(path)
    assert lock.exists()


def test_lock_is_looked_at_before_a_write_once_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(lock_module, "_clock", lambda: now[0])
    lock = WriterLock(path)
    left_by(elsewhere(), path)
    now[0] += 0.5 * CHECK_SECONDS
    lock.check()
    now[0] += CHECK_SECONDS  # as if it had been stopped for that time
    with pytest.raises(StoreInUse, match="taken over by process 4242 on node7"):
        lock.check()
    lock.release()
    assert current_owner(path) == elsewhere()


def test_lock_that_cannot_be_looked_at_is_good_until_others_may_take_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(lock_module, "_clock", lambda: now[0])
    lock = WriterLock(path)

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(lock_module, "_read", fail)
        now[0] = SILENCE_SECONDS / 3
        lock.check()
        now[0] = SILENCE_SECONDS
        with pytest.raises(StoreInUse, match="cannot be read"):
            lock.check()
    lock.release()


def test_a_look_that_takes_long_is_repeated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(lock_module, "_clock", lambda: now[0])
    lock = WriterLock(path)
    looked = lock_module._read

    def stopped_while_reading(name: Path) -> object:
        found = looked(name)
        if now[0] < 100.0:
            now[0] = 300.0
            left_by(elsewhere(), path)
        return found

    monkeypatch.setattr(lock_module, "_read", stopped_while_reading)
    now[0] = 5.0
    with pytest.raises(StoreInUse, match="taken over by process 4242"):
        lock.check()


def test_release_leaves_the_lock_of_who_took_it_over_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = WriterLock(path)
    rename = os.rename

    def taken_just_now(source: Path, target: Path) -> None:
        left_by(elsewhere(), path)
        rename(source, target)

    monkeypatch.setattr(os, "rename", taken_just_now)
    lock.release()
    assert current_owner(path) == elsewhere()
    assert list(path.parent.iterdir()) == [lock_path(path)]


def test_taken_from_one_whose_death_is_not_known(path: Path) -> None:
    left_by(elsewhere(), path, silent_for=SILENCE_SECONDS + 5)
    lock = WriterLock(path)
    assert lock.contested
    lock.release()
    left_by(replace(this_process(), started="1"), path)
    lock = WriterLock(path)
    assert not lock.contested
    lock.release()


def test_owner_that_was_taken_for_dead_stops(path: Path) -> None:
    lock = WriterLock(path)
    os.unlink(lock_path(path))
    other = left_by(elsewhere(), path)
    lock.touch()  # checks only now and then
    with pytest.raises(StoreInUse, match="taken over by process 4242 on node7: this run stops"):
        lock.touch(now=True)
    lock.release()
    assert other.exists()
    other.unlink()
    with pytest.raises(StoreInUse, match=r"its lock .* was removed"):
        lock.touch(now=True)


def test_touching_shows_a_sign_of_life(path: Path) -> None:
    lock = WriterLock(path)
    os.utime(lock_path(path), (1, 1))
    lock.touch(now=True)
    assert time.time() - lock_path(path).stat().st_mtime < 60
    lock.release()


def test_file_systems_without_hard_links(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    lock = WriterLock(path)
    with pytest.raises(StoreInUse, match=f"process {os.getpid()}"):
        WriterLock(path)
    lock.release()
    assert list(path.parent.iterdir()) == []


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "acb").write_text("a file in the place of a folder")
    with pytest.raises((DamagedFile, DiskFull)):
        WriterLock(tmp_path / "acb" / "A_results.h5")


def test_of_many_at_once_one_gets_a_stale_lock(path: Path) -> None:
    """Eight processes find a dead owner's lock again and again: two never have it at the same time."""
    script = f"from test_lock import *; contend(Path({str(path)!r}))"
    left_by(replace(this_process(), pid=os.getpid(), started="1"), path)
    crowd = [
        subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parent, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    wins = 0
    for process in crowd:
        _, errors = process.communicate(timeout=300)
        assert process.returncode < 50, errors.decode()
        wins += process.returncode
    assert wins >= 4


def contend(path: Path) -> None:
    """Take the lock alone, and leave it like a dead process; the exit code is the number of times."""
    logging.disable()
    end, wins, inside = time.monotonic() + 1.5, 0, path.with_name("inside")
    while time.monotonic() < end and wins < 40:
        try:
            lock = WriterLock(path)
        except StoreInUse:
            continue
        try:
            handle = os.open(inside, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            sys.exit(100)
        os.close(handle)
        inside.unlink()
        wins += 1
        # From now on the lock is stale.
        text = lock_path(path).read_text().replace(f'"started": "{this_process().started}"', '"started": "1"')
        lock_path(path).write_text(text)
        lock.release()
    sys.exit(wins)


def test_a_folder_in_the_locks_place_stops_the_owner(path: Path) -> None:
    lock = WriterLock(path)
    lock.path.unlink()
    lock.path.mkdir()
    with pytest.raises(StoreInUse, match=r"its lock .* was removed"):
        lock.check(now=True)
    lock.release()
    assert lock.path.is_dir()


def test_files_that_killed_processes_left_go_after_a_while(path: Path) -> None:
    path.parent.mkdir()
    old, young = (path.with_name(f".tmp-{pid}-00-{lock_path(path).name}") for pid in (1, 2))
    for left in (old, young):
        left.write_text("{")
    os.utime(old, (1, 1))
    with WriterLock(path):
        assert (old.exists(), young.exists()) == (False, True)
