"""Folders for the time of some work, which go with it, and of which killed processes leave none for long."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxt_hpc.files.process_identity import is_running, machine_mark


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
