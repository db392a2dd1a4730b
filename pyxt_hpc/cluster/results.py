"""Fits of a cluster's regions, with units."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.units import Quantity, Unit, dimensionless_unscaled

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted, several
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.store import reader
from pyxt_hpc.store.reader import Results
from pyxt_hpc.store.rows import COLUMNS, Status

if TYPE_CHECKING:
    from astropy.table import Table


def unit_of(column: str) -> Unit:
    """Unit of a column of the results store."""
    text = COLUMNS[column][1]
    return Unit(text, format="fits") if text else dimensionless_unscaled


@dataclass(frozen=True, eq=False, repr=False)
class FitResults:
    """Fits of regions, with one row for each region.

    ``results["kT"]`` is a column with its unit; ``results.to_table()`` has all columns.

    Attributes
    ----------
    stored : pyxt_hpc.store.reader.Results
        Rows, status and settings without units, as in the results store.
    bundle : Bundle or None
        Fitted data; None if only a results store was read.
    region_map : callable or None
        Function that returns the map from which the regions were chosen; None if it is not known.
    """

    stored: Results
    bundle: Bundle | None = None
    region_map: Callable[[], RegionMap] | None = None

    def __len__(self) -> int:
        return len(self.stored.rows)

    def __getitem__(self, column: str) -> Quantity:
        """Values (n, ...) of a column for all regions; NaN for parameters of a region without a fit.

        Raises
        ------
        ConfigError
            If there is no such column.
        """
        if column not in COLUMNS:
            raise ConfigError(f"there is no column {quoted(column)}: known are {', '.join(COLUMNS)}")
        return Quantity(self.stored.rows[column], unit_of(column))

    @property
    def settings(self) -> dict[str, Any]:
        """All settings on which the values depend."""
        return self.stored.settings

    @property
    def done(self) -> np.ndarray:
        """Whether each region has a fit, (n,) bool."""
        return self.stored.status == Status.DONE

    def to_table(self) -> "Table":
        """Table of the finished regions with units.

        Returns
        -------
        astropy.table.Table
            All columns of the results store with unit and meaning, and flags and status in words; if the
            bundle is known, also the fitted datasets and the sky position of the centre. It is the table of
            ``pyxt-hpc results export --format ecsv``.
        """
        from pyxt_hpc.fit.table import fits_table

        if self.bundle is None:
            return fits_table(self.stored, [])
        return fits_table(self.stored, [o.dataset for o in self.bundle.observations], self.bundle.wcs)

    def __repr__(self) -> str:
        count = {status: int(np.count_nonzero(self.stored.status == status)) for status in Status}
        parts = [f"{n} {status.name.lower().replace('_', ' ')}" for status, n in count.items() if n]
        name = f" of {self.bundle.name}" if self.bundle is not None else ""
        return f"<FitResults{name}: {several(len(self), 'region')}, {', '.join(parts)}>"

    def _repr_html_(self) -> str:
        """HTML table of the first and last regions, for notebooks."""
        return str(self.to_table()._repr_html_())


def read_results(path: str | os.PathLike[str]) -> FitResults:
    """Read a results store; a job may be writing to it at the same time.

    Parameters
    ----------
    path
        Path of the store, such as ``A1795_results.h5``.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If there is no such file, it cannot be read, or it is no results store.
    """
    return FitResults(reader.read_store(Path(path)))
