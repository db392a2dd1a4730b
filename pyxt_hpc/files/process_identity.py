"""Which machine this is, and which of its processes live: for what dead processes have left behind.

Folders for the time of some work go with it; of those that killed processes leave, none stays for long.
"""

import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path


@cache
def this_machine() -> str:
    """Identity of the machine's boot and of this process's name space of pids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def machine_mark() -> str:
    """The same, as eight letters for the names of temporary files."""
    return hashlib.sha256(this_machine().encode()).hexdigest()[:8]


def start_of(pid: int) -> str:
    """When a process of this machine began, in clock ticks; "ended" for one that only its parent still knows.

    Nothing where /proc does not tell.
    """
    _, fields = _stat_of(Path(f"/proc/{pid}"))
    if not fields:
        return ""
    return "ended" if fields[0] in "ZX" else fields[19]


def _stat_of(process: Path) -> tuple[str, list[str]]:
    """Name of a process, and what /proc tells of it from its state on; nothing if it has gone."""
    try:
        head, _, fields = (process / "stat").read_text().rpartition(")")
    except OSError:
        return "", []
    return head.partition("(")[2], fields.split()


def age_of_ancestor(name: str) -> float:
    """For how long [s] the nearest ancestor of that name has run; 0 if there is none in sight."""
    pid = os.getppid()
    while pid:
        found, fields = _stat_of(Path(f"/proc/{pid}"))
        if not fields:
            break
        if found == name:
            uptime = float(Path("/proc/uptime").read_text().split()[0])
            return uptime - int(fields[19]) / os.sysconf("SC_CLK_TCK")
        pid = int(fields[1])
    return 0.0


def is_mapped(path: Path) -> bool:
    """Whether a process that this one may look into has a file in its memory."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            if str(path) in maps.read_text():
                return True
        except OSError:
            continue
    return False


def is_group_running(group: int) -> bool:
    """Whether a process of a group lives, not counting those that only their parent still knows."""
    found = map(_stat_of, Path("/proc").glob("[0-9]*"))
    return any(fields and fields[0] not in "ZX" and fields[2] == str(group) for _, fields in found)


def is_running(pid: int) -> bool:
    """Whether a process of this machine has that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return start_of(pid) != "ended"


@contextmanager
def private_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new folder in `parent`, which is made if absent; it is removed on leaving.

    Folders of the same name that processes of this machine have left, which were killed, are removed, too.
    """
    parent.mkdir(parents=True, exist_ok=True)
    abandoned = re.compile(rf"\.tmp-{machine_mark()}-(\d+)-{re.escape(name)}-\w+")
    for entry in list(parent.iterdir()):
        if (match := abandoned.fullmatch(entry.name)) and not is_running(int(match[1])):
            shutil.rmtree(entry, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f".tmp-{machine_mark()}-{os.getpid()}-{name}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
