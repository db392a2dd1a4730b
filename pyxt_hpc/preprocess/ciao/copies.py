"""Files that are there compressed and not: what a killed chandra_repro leaves, or a person.

chandra_repro unpacks every file that it reads beside the packed one, and then removes that. Where it finds
both it stops, or takes the one or the other.
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
    """Leave one file of each pair: what was not unpacked to its end goes, else the packed one.

    Raises DamagedFile if they are not of the same content.
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
                log.info("%s: was not unpacked to its end: %s is used", unpacked, packed.name)
                unpacked.unlink()
            else:
                raise DamagedFile(
                    f"{unpacked}: its content is not that of {packed.name}, and chandra_repro cannot tell "
                    "which to take; remove one of them"
                )


def _compare(packed: Path, unpacked: Path) -> tuple[bool, bool]:
    """Whether a file begins as the other when that is unpacked, and whether it ends as that."""
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
