"""Tables as ECSV, text that astropy reads back with units and meanings."""

from pathlib import Path

from astropy.table import Table

from pyxt_hpc.files.writing import replacing


def write_ecsv(path: Path, table: Table) -> None:
    """Write a table under a temporary name and rename it."""
    with replacing(path) as temporary:
        table.write(temporary, format="ascii.ecsv")
