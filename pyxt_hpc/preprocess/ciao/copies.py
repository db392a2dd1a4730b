"""Files that exist both compressed and uncompressed, as a killed chandra_repro or a person may leave them.

chandra_repro unpacks every file that it reads, and then removes the compressed one. If it finds both, it
stops, or takes either.
"""

import gzip
import logging
import zlib
from pathlib import Path

from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.system_errors import system_errors

log = logging.getLogger(__name__)

_BLOCK = 1 << 20


def settle_copies(folder: Path) -> None:
    """Remove one file of each pair: the uncompressed one if it is incomplete, else the compressed one.

    Raises DamagedFile if their contents differ.
    """
    for packed in sorted(folder.glob("*.fits.gz")):
        unpacked = packed.with_suffix("")
        if not unpacked.is_file():
            continue
        with system_errors(packed):
            same, whole = _compare(packed, unpacked)
            if same and whole:
                log.info("%s: %s has the same content, and is used", packed, unpacked.name)
                packed.unlink()
            elif same:
                log.info("%s: it is incomplete: %s is used", unpacked, packed.name)
                unpacked.unlink()
            else:
                raise DamagedFile(
                    f"{unpacked}: its content is not that of {packed.name}, and chandra_repro cannot tell "
                    "which to take; remove one of them"
                )


def _compare(packed: Path, unpacked: Path) -> tuple[bool, bool]:
    """Whether the uncompressed file is the beginning of the unpacked content, and whether it is all of it."""
    try:
        with gzip.open(packed) as there, unpacked.open("rb") as here:
            while True:
                ours = here.read(_BLOCK)
                theirs = there.read(len(ours) or 1)
                if not ours:
                    return True, not theirs
                if ours != theirs:
                    return False, False
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return False, False
