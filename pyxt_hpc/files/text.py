"""Reading of small text files of users (configurations, profiles, region files), and paths in them."""

from pathlib import Path

from pyxt_hpc.errors import ConfigError, DamagedFile, MissingInput
from pyxt_hpc.files.quoting import quoted, shown
from pyxt_hpc.files.system_errors import PASSING, as_pyxt_error
from pyxt_hpc.files.writing import check_regular

MAX_BYTES = 10 << 20
"""Largest size of a text file; the largest known ones have some hundred kB."""


def read_text(path: Path, missing: str, *, max_bytes: int = MAX_BYTES) -> str:
    """Read a whole file of UTF-8 text, with or without a byte order mark.

    Raises MissingInput, with the remedy `missing`, if there is no such file; DamagedFile if it is not a
    regular file, is too large, is not text, or cannot be read.
    """
    if not check_regular(path):
        raise MissingInput(f"{path}: there is no such file; {missing}")
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise DamagedFile(
                f"{path}: has {size / 1e6:.0f} MB, expected a text file of at most {max_bytes / 1e6:.0f} MB"
            )
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedFile(
            f"{path}: is not a text file in UTF-8 (byte {error.start}): save it again as plain text"
        ) from None
    except OSError as error:
        if error.errno in PASSING:
            raise as_pyxt_error(path, error, "read") from None
        raise DamagedFile(
            f"{path}: cannot be read ({error.strerror or error}); change its permissions, or check its disk"
        ) from None
    if "\0" in text:
        raise DamagedFile(
            f"{path}: contains NUL characters, which no text file has: save it again as plain text"
        )
    return text


def user_path(text: str) -> Path:
    """Path from a user's text; ``~`` and ``~name`` become home folders, as in a shell.

    Raises ConfigError if a home folder is unknown, or the text has a NUL character.
    """
    if "\0" in text:
        raise ConfigError(f"the path {quoted(text)} has a NUL character: correct it")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"the path {quoted(text)} begins with {shown(text.partition('/')[0])}, which is nobody's home "
            "folder on this machine: write the path in full"
        ) from None


def resolved(path: Path) -> Path:
    """Absolute path without symbolic links; it need not exist.

    Raises ConfigError if its links form a loop, or the system cannot follow it.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop, up to Python 3.12
        raise ConfigError(f"{shown(path)}: cannot be followed ({shown(error)}): correct the path") from None
