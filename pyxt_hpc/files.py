"""Products appear whole or not at all: written under a temporary name, then renamed.

A process that is killed leaves its temporary file. Whoever writes the same product next removes it, once its
process is known to have ended; on another machine nobody knows that, so there its age decides.
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.machine import is_running, this_machine

log = logging.getLogger(__name__)

_ABANDONED_S = 86400.0  # since its last change: no file takes so long to be written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it takes the place of `path`.

    The suffix stays at the end because astropy and matplotlib choose the format by it. Missing folders
    are made. After an error the temporary file is gone and `path` is as it was. Temporary files that killed
    processes have left of this `path` are removed.

    Raises
    ------
    DamagedFile
        The system does not let it be written: no space, no permission, a file in place of a folder.
    """
    temporary = path.with_name(f".tmp-{_machine_mark()}-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
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


def _machine_mark() -> str:
    return hashlib.sha256(this_machine().encode()).hexdigest()[:8]


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of a product whose processes have ended."""
    of_product = re.compile(rf"\.tmp-([0-9a-f]{{8}})-(\d+)-{re.escape(path.name)}")
    for entry in path.parent.iterdir():
        if not (match := of_product.fullmatch(entry.name)):
            continue
        # another process may do the same at this moment
        with suppress(FileNotFoundError):
            if match[1] == _machine_mark():
                abandoned = not is_running(int(match[2]))
            else:
                abandoned = time.time() - entry.stat().st_mtime > _ABANDONED_S
            if abandoned:
                entry.unlink()
                log.debug("%s: removed, its process has ended", entry)
