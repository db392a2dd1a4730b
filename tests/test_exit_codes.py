"""Every exception has the right exit code, and only defects are reported as defects."""

import errno
from pathlib import Path

import pytest

from pyxt_hpc.errors import DiskFull, StoreInUse
from pyxt_hpc.exit_codes import ending_of
from pyxt_hpc.files.quoting import MAX_MESSAGE, one_line, quoted, shown


def chained(error: BaseException, cause: BaseException) -> BaseException:
    """An error that a library raised because of another error."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DiskFull("a.h5: no room"), 2, "a.h5: no room"),
        (StoreInUse("busy"), 75, "busy"),
        (KeyboardInterrupt(), 75, "stored"),
        (MemoryError(), 2, "not enough memory"),
        (OSError(errno.ENOMEM, "x"), 2, "not enough memory"),
        (OSError(errno.ENOSPC, "x", "a.png"), 2, "a.png: cannot be written (No space left on device)"),
        (OSError(errno.EDQUOT, "x"), 2, "quota"),
        (OSError(errno.EMFILE, "x"), 2, "ulimit -n"),
        (OSError(errno.EAGAIN, "x"), 75, "try again"),
        (OSError(errno.ESTALE, "x", "a"), 75, "a: "),
        (PermissionError(errno.EACCES, "x", "a"), 2, "a: Permission denied"),
        (OSError("Can't write data"), 2, "Can't write data"),
        (chained(RuntimeError("x"), OSError(errno.ENOSPC, "x")), 1, ""),
        (OSError("Could not load libllvmlite.so: failed to map segment from shared object"), 2, "memory"),
        (ImportError("No module named 'h5py'", name="h5py"), 2, "install pyxt_hpc again"),
        (chained(ImportError("long advice"), ImportError("x.so: Too many open files")), 2, "ulimit -n"),
        (chained(ImportError("x"), KeyboardInterrupt()), 75, "interrupted"),
        (ImportError("cannot import name 'x'", name="pyxt_hpc.x"), 1, ""),
        (UnicodeEncodeError("ascii", "ö", 0, 1, "x"), 2, "UTF-8"),
        (RecursionError(), 2, "nested"),
        (ValueError("x"), 1, ""),
        (AssertionError(), 1, ""),
    ],
)
def test_exit_code_and_words(error: BaseException, code: int, words: str) -> None:
    ending = ending_of(error)
    assert ending.exit_code == code
    assert words in ending.line
    assert bool(ending.line) == (code != 1)
    assert "\n" not in ending.line


def test_what_is_quoted_is_short() -> None:
    assert quoted("abc") == "'abc'"
    assert shown(Path("a/b")) == "a/b"
    assert shown("a\nb\x1b[2J") == r"a\nb\x1b[2J"
    assert quoted("x" * 5000) == f"'{'x' * 100}... (5000 characters)'"
    assert len(one_line("word " * 100_000)) <= MAX_MESSAGE + 3
    assert len(one_line(f"bad value {'x' * 100_000}: correct it")) < 200
