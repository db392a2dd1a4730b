"""HDF5 files opened for reading, also on file systems without locks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from pyxt_hpc.files.system_errors import as_pyxt_error, error_number
from pyxt_hpc.files.writing import check_regular


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file that appeared by a rename and is never changed, so that nobody needs to lock it.

    File systems of compute nodes may refuse locks, which HDF5 asks for by itself.

    Raises DamagedFile, with the file and the reason, if it is no regular file or the system refuses to read
    it. OSError and RuntimeError say that it is not HDF5, or damaged, also where that shows within the
    ``with`` block: for the caller to word.
    """
    check_regular(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except OSError as error:
        # HDF5 reports damage by the same class, but without a number of the system's.
        if error_number(error):
            raise as_pyxt_error(path, error, "read") from None
        raise
