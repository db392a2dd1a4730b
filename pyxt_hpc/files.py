"""Products appear whole or not at all: written under a temporary name, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxt_hpc.errors import DamagedFile


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it takes the place of `path`.

    The suffix stays at the end because astropy and matplotlib choose the format by it. Missing folders
    are made. After an error the temporary file is gone and `path` is as it was.

    Raises
    ------
    DamagedFile
        The system does not let it be written: no space, no permission, a file in place of a folder.
    """
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise DamagedFile(
            f"{path}: cannot be written ({error.strerror or ' '.join(str(error).split())}); free disk space, "
            f"and see that {path.parent} is a folder you may write to"
        ) from error
