"""Solar abundance tables by XSPEC's names (`data/tables/abundances.txt`)."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted

DEFAULT_TABLE = "angr"


@lru_cache
def load_abundances() -> Mapping[str, NDArray[np.float64]]:
    """Abundances by number relative to hydrogen: name -> (30,) for atomic numbers 1 to 30."""
    text = (files("pyxt_hpc") / "data" / "tables" / "abundances.txt").read_text("ascii")
    header, *rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    values.flags.writeable = False
    return MappingProxyType({name: values[:, i] for i, name in enumerate(header[1:])})


def abundances(table: str) -> NDArray[np.float64]:
    """Abundances (30,) of a table. Raises ConfigError with all names if there is no such table."""
    tables = load_abundances()
    if table not in tables:
        raise ConfigError(f"abundance table {quoted(table)} is unknown; choose one of {', '.join(tables)}")
    return tables[table]
