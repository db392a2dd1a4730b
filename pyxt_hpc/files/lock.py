"""Locks for a single writer on any file system: a lock file names its owner, and expires after its end.

The lock file is created complete by a hard link, which is atomic also on NFS (where flock is not reliable).
On the owner's machine, the lock is valid while the owner's process exists. On other machines its age decides:
the owner touches it every few seconds, and another process may take it over if it was not touched for
`SILENCE_SECONDS`.

An owner that was only stopped (SIGSTOP, a suspended job) notices the loss before its next write, since it
checks the lock: it writes nothing later than `CHECK_SECONDS` after the last check. A write between two checks
cannot be prevented. Therefore, a process that takes over a lock without proof of the owner's end
(`contested`) continues with a copy of the file, which the former owner cannot change.
"""

import contextlib
import errno
import json
import logging
import os
import secrets
import shutil
import socket
import stat
import time
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path

from pyxt_hpc.errors import DamagedFile, StoreInUse
from pyxt_hpc.files.process_identity import is_running, start_of, this_machine
from pyxt_hpc.files.quoting import shown
from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.writing import check_regular, replacing

log = logging.getLogger(__name__)

SILENCE_SECONDS = 180.0
"""Time without a touch [s] after which an owner on another machine is considered dead."""

TOUCH_SECONDS = 5.0
CHECK_SECONDS = 1.0
"""Time [s] for which a check of the lock is valid: a small fraction of `SILENCE_SECONDS`."""

SETTLE_SECONDS = 0.05
_MAX_BYTES = 4096
_MAX_PID = 2**22  # limit of Linux

JOB_VARIABLES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
RESTART_VARIABLE = "SLURM_RESTART_COUNT"


@dataclass(frozen=True)
class Owner:
    """Unique identity of a process.

    Parameters
    ----------
    host, pid
        Host and process, for messages.
    started
        Start of the process in clock ticks since the boot; empty without /proc.
    machine
        Identity of the machine's boot and of the process's pid namespace.
    job, restart
        Job and restart count of the batch system; job is empty without one.
    """

    host: str
    pid: int
    started: str
    machine: str
    job: str
    restart: str

    def __str__(self) -> str:
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}"


def this_process() -> Owner:
    """The calling process."""
    return Owner(
        host=socket.gethostname(),
        pid=os.getpid(),
        started=start_of(os.getpid()),
        machine=this_machine(),
        job=next(filter(None, map(os.environ.get, JOB_VARIABLES)), ""),
        restart=os.environ.get(RESTART_VARIABLE, "0"),
    )


def lock_path(path: Path) -> Path:
    """Lock file of a file."""
    return path.with_name(f"{path.name}.lock")


def current_owner(path: Path) -> Owner | None:
    """The process that is writing a file now, or None; an expired lock does not count.

    Raises DamagedFile if another file has the lock's name, or the lock cannot be read.
    """
    with system_errors(lock_path(path)):
        found = _read(lock_path(path))
    if found is None or _is_stale(found, this_process(), time.time()):
        return None
    return found.owner


class WriterLock(contextlib.AbstractContextManager["WriterLock", None]):
    """Exclusive right to write a file, from the creation of this object until `release` or the context's end.

    The file need not exist.

    Raises StoreInUse if another process has the lock; DiskFull or DamagedFile if the lock file cannot be
    created, or another file has its name.
    """

    def __init__(self, path: Path) -> None:
        self.path = lock_path(path)
        self.contested = False
        """Whether the lock was taken from an owner that may still exist."""
        self._target = path
        self._saw_another = False
        self._text = json.dumps({"owner": asdict(this_process()), "token": secrets.token_hex(8)})
        with system_errors(self.path):
            self._acquire()
        self._touched = self._confirmed = _clock()
        self._release = weakref.finalize(self, _release, self.path, self._text, os.getpid())

    def _acquire(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        token = f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{self.path.name}"
        own = self.path.with_name(token)
        try:
            with own.open("w", encoding="utf-8") as file:
                file.write(self._text)
                file.flush()
                os.fsync(file.fileno())
                # The time of the file system's clock, with which ages of locks are measured.
                status = os.fstat(file.fileno())
            while not self._link(own) or not self._is_own():
                found = _read(self.path)
                if found is None or found.text == self._text:
                    continue
                self._saw_another = True
                if not _is_stale(found, this_process(), status.st_mtime):
                    raise StoreInUse(self._refusal(found, status.st_mtime))
                if found.owner is None or found.owner.machine != this_process().machine:
                    self.contested = True
                log.warning(
                    "%s: %s has ended without removing its lock, which is now taken over",
                    self.path, _name(found.owner),
                )  # fmt: skip
                _remove_if_same(self.path, found.text)
            for garbage in self.path.parent.glob(f".tmp-*-{self.path.name}"):
                with contextlib.suppress(FileNotFoundError):
                    if status.st_mtime - garbage.stat().st_mtime > SILENCE_SECONDS:
                        garbage.unlink()
        finally:
            own.unlink(missing_ok=True)

    def _refusal(self, found: "_LockFile", now: float) -> str:
        age = max(now - found.touched, 0.0)
        advice = ""
        if found.owner is None or found.owner.machine != this_process().machine:
            advice = f"; if it has certainly ended, delete {self.path}, or wait {SILENCE_SECONDS:.0f} s"
        return (
            f"{self._target}: {_name(found.owner)} is writing it (last sign of life {age:.0f} s ago): wait "
            f"for it or end it{advice}"
        )

    def _is_own(self) -> bool:
        """Whether the lock is still this process's, after a pause for others that saw a dead owner's lock."""
        if self._saw_another:
            time.sleep(SETTLE_SECONDS)
        found = _read(self.path)
        return found is not None and found.text == self._text

    def _link(self, own: Path) -> bool:
        try:
            os.link(own, self.path)
            return True
        except FileExistsError:
            # On NFS, the reply to a successful link can be lost, and the request be repeated.
            return os.stat(own).st_nlink == 2
        except OSError:
            log.debug("%s: no hard links on this file system", self.path)
        with contextlib.suppress(FileExistsError), self.path.open("x", encoding="utf-8") as file:
            file.write(self._text)
            return True
        return False

    def leave_to_sleeper(self) -> None:
        """Replace the file by a copy if the last owner may only be stopped, with the old file open."""
        if self.contested and check_regular(self._target):
            with replacing(self._target) as temporary:
                shutil.copyfile(self._target, temporary)

    def check(self, *, now: bool = False) -> None:
        """Check that this process still has the lock; must be called before every write.

        With `now`, the check is repeated even if the last one is recent.

        Raises StoreInUse if another process has the lock.
        """
        while now or _clock() - self._confirmed >= CHECK_SECONDS:
            before = _clock()
            try:
                found = _read(self.path)
            except DamagedFile:
                found = None
            except OSError as error:
                if before - self._confirmed < SILENCE_SECONDS / 2:  # no process can have taken it over yet
                    log.debug("%s: cannot be read now: %s", self.path, error)
                    return
                raise StoreInUse(
                    f"{self._target}: its lock {self.path.name} cannot be read ({error.strerror}): this run "
                    "stops; finished results are stored"
                ) from None
            if found is None or found.text != self._text:
                what = f"was taken over by {_name(found.owner)}" if found else "was removed"
                raise StoreInUse(
                    f"{self._target}: its lock {self.path.name} {what}: this run stops; finished results "
                    "are stored"
                )
            # Take the time before the check, so that it is repeated if the process was stopped during it.
            self._confirmed, now = before, False

    def touch(self, *, now: bool = False) -> None:
        """Renew the lock; fast enough for frequent calls.

        Raises StoreInUse as `check`.
        """
        if not now and _clock() - self._touched < TOUCH_SECONDS:
            return
        self._touched = _clock()
        self.check(now=True)
        with contextlib.suppress(OSError):
            os.utime(self.path)

    def release(self) -> None:
        """Release the lock."""
        self._release()

    def __exit__(self, *_: object) -> None:
        self.release()


def _clock() -> float:
    """Seconds of a clock that also counts while the process is stopped or the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class _LockFile:
    """Contents of a lock file; `owner` is None if the file is incomplete or of another version."""

    owner: Owner | None
    text: str
    touched: float


def _read(path: Path) -> _LockFile | None:
    """Read a lock file; None if there is none.

    Raises DamagedFile if the file is not a lock; OSError if it cannot be read.
    """
    try:
        # Opening makes NFS query the server for the time of the last touch. O_NONBLOCK: a pipe must not
        # block.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise _no_lock(path, "a link" if error.errno == errno.ELOOP else "a socket or device") from None
        if error.errno == errno.EACCES:
            raise DamagedFile(
                f"{path}: cannot be read ({error.strerror}), so the writer of {path.stem} is not known: ask "
                "the file's owner, or remove it if no run is writing"
            ) from None
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _no_lock(path, "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device")
        text = os.read(handle, _MAX_BYTES).decode(errors="replace")
    finally:
        os.close(handle)
    return _LockFile(_owner_in(path, text), text, status.st_mtime)


def _owner_in(path: Path, text: str) -> Owner | None:
    """Owner named in a lock; None if the lock is truncated, or of another version."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        # The lock is being written, or was left by a crash of the machine.
        if _BEGINNING.startswith(text[: len(_BEGINNING)]) or not text.strip("\0"):
            return None
        raise _no_lock(path, "a file of another kind") from None
    fields = content.get("owner") if isinstance(content, dict) else None
    if not isinstance(fields, dict):
        raise _no_lock(path, "a file of another kind")
    try:
        owner = Owner(**fields)
    except TypeError:
        return None  # a lock of another version: its age decides
    texts = (owner.host, owner.started, owner.machine, owner.job, owner.restart)
    if type(owner.pid) is not int or not 0 < owner.pid <= _MAX_PID:
        raise _no_lock(path, f"a file with the process number {shown(owner.pid)}")
    if not all(isinstance(text, str) for text in texts):
        raise _no_lock(path, "a file of another kind")
    return owner


_BEGINNING = '{"owner": {'


def _no_lock(path: Path, kind: str) -> DamagedFile:
    return DamagedFile(
        f"{path}: is {kind}, not a lock of pyxt-hpc: move it away, or remove it if no run is writing "
        f"{path.stem}"
    )


def _name(owner: Owner | None) -> str:
    return "an unknown process" if owner is None else str(owner)


def _is_stale(found: _LockFile, me: Owner, now: float) -> bool:
    owner = found.owner
    if owner is not None and owner.machine == me.machine:
        return not _is_alive(owner)
    if owner is not None and owner.job and owner.job == me.job and owner.restart != me.restart:
        return True  # an earlier attempt of the same job
    return now - found.touched > SILENCE_SECONDS


def _is_alive(owner: Owner) -> bool:
    # A zombie process still has its pid.
    started = start_of(owner.pid)
    return is_running(owner.pid) and (not started or not owner.started or started == owner.started)


def _release(path: Path, text: str, pid: int) -> None:
    # A forked child has a copy of the object, but does not own the lock.
    if os.getpid() != pid:
        return
    with contextlib.suppress(OSError, DamagedFile):
        _remove_if_same(path, text)


def _remove_if_same(path: Path, text: str) -> None:
    """Remove a lock with this content, unless another process has already replaced it."""
    found = _read(path)
    if found is None or found.text != text:
        return
    # Rename it first, because another process may have taken it over since it was read.
    aside = path.with_name(f".tmp-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    try:
        moved = _read(aside)
        if moved is not None and moved.text != text:
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
    finally:
        aside.unlink(missing_ok=True)
