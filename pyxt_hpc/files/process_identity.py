"""Identity of the machine and state of its processes, to remove files of killed processes.

This includes temporary folders that are removed after use, or later if their process was killed.
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
    """Identity of the machine's boot and of this process's pid namespace; without /proc, the host name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def machine_mark() -> str:
    """Eight hexadecimal digits of a digest of `this_machine`, for names of temporary files."""
    return hashlib.sha256(this_machine().encode()).hexdigest()[:8]


def start_of(pid: int) -> str:
    """Start of a process of this machine, in clock ticks since the boot; "ended" for a zombie.

    It is empty if there is no such process, or no /proc.
    """
    _, fields = _stat_of(Path(f"/proc/{pid}"))
    if not fields:
        return ""
    return "ended" if fields[0] in "ZX" else fields[19]


def _stat_of(process: Path) -> tuple[str, list[str]]:
    """Name of a process, and its fields in /proc from the state on; empty if the process has gone."""
    try:
        head, _, fields = (process / "stat").read_text().rpartition(")")
    except OSError:
        return "", []
    return head.partition("(")[2], fields.split()


def age_of_ancestor(name: str) -> float:
    """Time [s] since the start of the nearest ancestor with this name; 0 if none is found."""
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
    """Whether a process has mapped a file into memory, as far as this process may see."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            if str(path) in maps.read_text():
                return True
        except OSError:
            continue
    return False


def is_group_running(group: int) -> bool:
    """Whether a process of a process group exists; zombies do not count."""
    found = map(_stat_of, Path("/proc").glob("[0-9]*"))
    return any(fields and fields[0] not in "ZX" and fields[2] == str(group) for _, fields in found)


def is_running(pid: int) -> bool:
    """Whether a process with this pid exists on this machine; zombies do not count."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return start_of(pid) != "ended"


@contextmanager
def private_folder(parent: Path, name: str) -> Iterator[Path]:
    """Create a temporary folder in `parent`, which is created if missing; it is removed at the end.

    Folders with the same name of killed processes of this machine are removed, too.
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
