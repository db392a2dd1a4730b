"""Products appear whole or not at all: written under a temporary name, then renamed.

A process that is killed leaves its temporary file. Whoever writes the same product next removes it, once its
process is known to have ended; on another machine nobody knows that, so there its age decides.
"""

import errno
import io
import logging
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pyxt_hpc.errors import ConfigError, DamagedFile
from pyxt_hpc.files.process_identity import is_running, machine_mark
from pyxt_hpc.files.system_errors import as_pyxt_error, system_errors

if TYPE_CHECKING:
    from astropy.table import Table

log = logging.getLogger(__name__)

_ABANDONED_S = 86400.0  # since its last change: no file takes so long to be written

_NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EROFS)

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(path: Path) -> bool:
    """Whether there is a regular file, or a link to one, so that opening it for reading cannot hang.

    Raises DamagedFile if something else is there: a folder, a pipe, a socket, a device, a link to nothing, a
    loop of links; or the system does not tell what it is.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.is_symlink():
            return False
        raise DamagedFile(
            f"{path}: is a link to {os.readlink(path)}, which is not there: mend or remove the link"
        ) from None
    except NotADirectoryError:
        raise DamagedFile(f"{path}: is below something that is not a folder: correct the path") from None
    except OSError as error:
        reason = "a loop of links" if error.errno == errno.ELOOP else error.strerror
        raise DamagedFile(f"{path}: cannot be looked at ({reason}): correct the path or its folder") from None
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
        raise DamagedFile(f"{path}: is {kind}, expected a regular file: move it away or give another path")
    return True


def refuse_to_replace(path: Path, beginnings: tuple[bytes, ...], kind: str) -> None:
    """Keep a file whose name somebody gave by mistake for that of a product.

    Raises ConfigError if there is a file that has none of the first bytes that files of this kind can have.
    """
    if not check_regular(path) or not path.stat().st_size:
        return
    with system_errors(path), path.open("rb") as file:
        if file.read(max(map(len, beginnings))).startswith(beginnings):
            return
    raise ConfigError(f"{path}: exists, and is not {kind}: give another --output, or move it away")


def check_place(path: Path, *, is_folder: bool = False) -> None:
    """See that a file, or files in a folder, can be written; folders that are missing are made.

    Called before long work, so that a wrong path is not found out after it.

    Raises DamagedFile if there can be no file: something else has the name, a folder of the path is none, or
    the system does not let it be written; DiskFull if there is no room for a folder.
    """
    folder = path if is_folder else path.parent
    with _naming_file(path, path):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    if not is_folder and path.exists():
        check_regular(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it takes the place of `path`.

    The suffix stays at the end because astropy and matplotlib choose the format by it. Missing folders
    are made. File and folder are forced to the disk, so a product that has its name is whole also after a
    crash of the machine. After an error the temporary file is gone and `path` is as it was. Temporary
    files that killed processes have left of this `path` are removed.

    Raises DiskFull if there is no room for it; DamagedFile if the system does not let it be written (no
    permission, a file in place of a folder), or `path` is there and is not a regular file.
    """
    if not path.name:
        raise DamagedFile(f"{path}: is a folder, expected the name of a file: give another path")
    temporary = path.with_name(f".tmp-{machine_mark()}-{os.getpid()}-{path.name}")
    with _naming_file(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():  # a link to nothing may be replaced
            check_regular(path)
        _remove_abandoned(path)
        try:
            yield temporary
            sync_file(temporary)
            os.replace(temporary, path)
            note_product(path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        sync_folder(path.parent)


def note_product(path: Path) -> None:
    """Remember what this process made, for `products_stay`; `replacing` does it by itself."""
    _made.add(path.absolute())


def was_made(path: Path) -> bool:
    """Whether this process made a product of that name, within `products_stay`."""
    return path.absolute() in _made


@contextmanager
def products_stay() -> Iterator[None]:
    """What a command makes is there when it ends: success is not said of products that somebody removed.

    Raises DamagedFile on leaving without another error, if a product that was made meanwhile is gone.
    """
    _made.clear()
    yield
    gone = sorted(path for path in _made if not path.exists())
    if gone:
        others = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise DamagedFile(
            f"{gone[0]}{others}: made by this command, and removed by something else before it ended: find "
            "out what did it, and run the command again"
        )


_made: set[Path] = set()


def sync_file(path: Path) -> None:
    """Force a file's content to the disk, where file systems that write late say that they are full."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a crash of the machine, where the file system knows how."""
    with suppress(PermissionError):
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, mode: int) -> None:
    handle = os.open(path, mode | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        log.debug("%s: this file system does not sync it: %s", path, error)
    finally:
        os.close(handle)


@contextmanager
def _naming_file(path: Path, temporary: Path) -> Iterator[None]:
    """Name the product for errors of its own file, and any other file that an error names for itself."""
    try:
        yield
    except OSError as error:
        named = error.filename
        if isinstance(named, bytes):
            named = os.fsdecode(named)
        other = isinstance(named, str) and Path(named) not in (temporary, path, path.parent)
        if other:
            raise as_pyxt_error(Path(named), error) from error
        raise as_pyxt_error(path, error, "written") from error


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of a product whose processes have ended."""
    of_product = re.compile(rf"\.tmp-([0-9a-f]{{8}})-(\d+)-{re.escape(path.name)}")
    for entry in path.parent.iterdir():
        if not (match := of_product.fullmatch(entry.name)):
            continue
        # another process may do the same at this moment
        with suppress(FileNotFoundError):
            if match[1] == machine_mark():
                abandoned = not is_running(int(match[2]))
            else:
                abandoned = time.time() - entry.stat().st_mtime > _ABANDONED_S
            if abandoned:
                entry.unlink()
                log.debug("%s: removed, its process has ended", entry)


def write_text(path: Path, text: str, *, executable: bool = False) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if executable:
            temporary.chmod(0o755)


_ROWS_AT_ONCE = 1 << 14


def write_ecsv(path: Path, table: "Table") -> None:
    """Write a table as text that astropy reads back with units and meanings.

    A long one is written in pieces: astropy makes several texts of every number before it writes the first.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for start in range(0, max(len(table), 1), _ROWS_AT_ONCE):
            text = io.StringIO()
            table[start : start + _ROWS_AT_ONCE].write(text, format="ascii.ecsv")
            lines = text.getvalue().splitlines(keepends=True)
            n_head = next(i for i, line in enumerate(lines) if not line.startswith("#")) + 1
            file.writelines(lines[n_head if start else 0 :])
