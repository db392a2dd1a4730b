"""Opening of HDF5 files for reading, also on file systems without locks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from pyxt_hpc.files.system_errors import OF_HDF5, as_pyxt_error, error_number
from pyxt_hpc.files.writing import check_regular


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file without a lock, which it does not need if it was written atomically and never changes.

    By default, HDF5 requests a lock, which file systems of compute nodes may refuse.

    Raises DamagedFile if it is not a regular file or the system refuses to read it. OSError and RuntimeError,
    also from the ``with`` block, mean that it is not HDF5, or is damaged; the caller converts them.
    """
    check_regular(path)
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, *OF_HDF5) as error:
        # HDF5 uses the same classes for damage, but without an error number of the system.
        if error_number(error):
            raise as_pyxt_error(path, error, "read") from None
        raise
