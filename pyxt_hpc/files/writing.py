"""Atomic writing of products, under a temporary name that is then changed to the final one.

A killed process leaves its temporary file. The next process that writes the same product removes it if its
process has ended, or, for a process of another machine, if it is old.
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
from pyxt_hpc.files.system_errors import PASSING, as_pyxt_error, system_errors

if TYPE_CHECKING:
    from astropy.table import Table

log = logging.getLogger(__name__)

_ABANDONED_S = 86400.0  # time since the last change [s], longer than any file takes to be written

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

    Raises DamagedFile if the path is something else (a folder, a pipe, a socket, a device, a broken link, a
    loop of links), or the system refuses to tell.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if not path.is_symlink():
            return False
        raise DamagedFile(
            f"{path}: is a link to {os.readlink(path)}, which does not exist: correct or remove the link"
        ) from None
    except NotADirectoryError:
        raise DamagedFile(f"{path}: is below something that is not a folder: correct the path") from None
    except OSError as error:
        if error.errno in PASSING:
            raise as_pyxt_error(path, error) from None
        reason = "a loop of links" if error.errno == errno.ELOOP else error.strerror
        raise DamagedFile(
            f"{path}: cannot be accessed ({reason}): correct the path, or the permissions of its folders"
        ) from None
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
        raise DamagedFile(f"{path}: is {kind}, expected a regular file: move it away or give another path")
    return True


def with_gz(path: Path) -> Path:
    """``path``, or ``path.gz`` if only this file exists: CFITSIO and CIAO open FITS files by either name."""
    packed = path.parent / f"{path.name}.gz"
    return packed if os.path.isfile(packed) and not os.path.lexists(path) else path


def refuse_to_replace(path: Path, beginnings: tuple[bytes, ...], kind: str) -> None:
    """Refuse to replace a file of another kind, whose name was given by mistake.

    Raises ConfigError if there is a file that begins with none of the first bytes of files of this kind.
    """
    if not check_regular(path) or not path.stat().st_size:
        return
    with system_errors(path), path.open("rb") as file:
        if file.read(max(map(len, beginnings))).startswith(beginnings):
            return
    raise ConfigError(f"{path}: exists, and is not {kind}: give another --output, or move it away")


def check_place(path: Path, *, is_folder: bool = False) -> None:
    """Check that a file, or files in a folder, can be written; missing folders are created.

    This is called before long computations, so that errors in a path appear first.

    Raises DamagedFile if the file cannot be written (the name or a folder of the path is something else, or
    the system refuses); DiskFull if there is no space for a folder.
    """
    folder = path if is_folder else path.parent
    with _naming_file(path, path):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            or_so = "is not a folder, or " if is_folder else ""
            raise DamagedFile(
                f"{path}: {or_so}is below something that is not a folder: correct the path"
            ) from None
        with tempfile.TemporaryFile(dir=folder):
            pass
    if not is_folder:
        check_regular(path)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`, which replaces `path` at the end, if there was no error.

    The suffix is kept because astropy and matplotlib choose the format by it. Missing folders are created.
    File and folder are flushed to disk, so that a product with its final name is complete even after a crash
    of the machine. After an error, the temporary file is removed and `path` is unchanged. Temporary files of
    killed processes for this `path` are removed.

    Raises DiskFull if there is no space; DamagedFile if the system refuses the write (no permission, a file
    in place of a folder), or `path` exists and is not a regular file.
    """
    if not path.name:
        raise DamagedFile(f"{path}: is a folder, expected the name of a file: give another path")
    temporary = path.with_name(f".tmp-{machine_mark()}-{os.getpid()}-{path.name}")
    with _naming_file(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():  # a broken link may be replaced
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
    """Record a product of this process, for `products_stay`; `replacing` calls this."""
    _made.add(path.absolute())


def was_made(path: Path) -> bool:
    """Whether this process made this product within `products_stay`."""
    return path.absolute() in _made


@contextmanager
def products_stay() -> Iterator[None]:
    """Check at the end of a command that its products still exist.

    Raises DamagedFile if a product was removed, unless there is another error.
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
    """Flush a file to disk; file systems with delayed writes report only then that they are full."""
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that new names survive a crash of the machine, if the file system can."""
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
    """Convert system errors to PyxtError, with the name of the product instead of its temporary file."""
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
        # Another process may remove it at the same time.
        with suppress(FileNotFoundError):
            if match[1] == machine_mark():
                abandoned = not is_running(int(match[2]))
            else:
                abandoned = time.time() - entry.stat().st_mtime > _ABANDONED_S
            if abandoned:
                entry.unlink()
                log.debug("%s: removed, since its process has ended", entry)


def write_text(path: Path, text: str, *, executable: bool = False) -> None:
    """Write a text file in UTF-8 atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        if executable:
            temporary.chmod(0o755)


_ROWS_AT_ONCE = 1 << 14


def write_ecsv(path: Path, table: "Table") -> None:
    """Write a table as ECSV text with units and descriptions.

    Long tables are written in pieces, because astropy makes several texts of every number before it writes
    the first.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        for start in range(0, max(len(table), 1), _ROWS_AT_ONCE):
            text = io.StringIO()
            table[start : start + _ROWS_AT_ONCE].write(text, format="ascii.ecsv")
            lines = text.getvalue().splitlines(keepends=True)
            n_head = next(i for i, line in enumerate(lines) if not line.startswith("#")) + 1
            file.writelines(lines[n_head if start else 0 :])
