"""Small text files that people write: configurations, profiles, region files, and the paths in them."""

from pathlib import Path

from pyxt_hpc.errors import ConfigError, DamagedFile, MissingInput
from pyxt_hpc.files.quoting import quoted, shown
from pyxt_hpc.files.writing import check_regular

MAX_BYTES = 10 << 20
"""The largest that are known have some hundred kB: a larger file is not what it is taken for."""


def read_text(path: Path, missing: str, *, max_bytes: int = MAX_BYTES) -> str:
    """Read a whole file of UTF-8 text, with or without a byte order mark.

    Raises MissingInput, for which `missing` says what to do, if there is no such file; DamagedFile if it is
    no regular file, too large, not text, or the system does not let it be read.
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
        raise DamagedFile(
            f"{path}: cannot be read ({error.strerror or error}); change its permissions, or see to its disk"
        ) from None
    if "\0" in text:
        raise DamagedFile(f"{path}: holds NUL characters, as no text file does: save it again as plain text")
    return text


def user_path(text: str) -> Path:
    """A path that a person gave, with ``~`` and ``~name`` as a shell has them.

    Raises ConfigError if it has a home folder that is not known, or characters that no path has.
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
    """A path made absolute and without links; it need not be there.

    Raises ConfigError if links in it go round in a circle, or the system does not follow it.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # the latter is what Python up to 3.12 says of a circle
        raise ConfigError(f"{shown(path)}: cannot be followed ({shown(error)}): correct the path") from None
