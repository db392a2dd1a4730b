"""Solar abundance tables, under the names XSPEC gives them (`data/abundances.txt`)."""

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted

DEFAULT_TABLE = "angr"

_WEIGHTS = """1.008 4.0026 6.94 9.0122 10.81 12.011 14.007 15.999 18.998 20.180 22.990 24.305 26.982 28.085
    30.974 32.06 35.45 39.948 39.098 40.078 44.956 47.867 50.942 51.996 54.938 55.845 58.933 58.693 63.546
    65.38"""
ATOMIC_WEIGHTS = np.array(_WEIGHTS.split(), dtype=np.float64)
"""Of atomic numbers 1 to 30 (IUPAC) [atomic mass units]."""


@lru_cache
def load_abundances() -> Mapping[str, NDArray[np.float64]]:
    """Abundances by number relative to hydrogen: name -> (30,) for atomic numbers 1 to 30."""
    text = (files("pyxt_hpc") / "data" / "abundances.txt").read_text("ascii")
    header, *rows = [line.split() for line in text.splitlines() if not line.startswith("#")]
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    values.flags.writeable = False
    return MappingProxyType({name: values[:, i] for i, name in enumerate(header[1:])})


def abundances(table: str) -> NDArray[np.float64]:
    """Abundances (30,) of a table; ConfigError lists the names if there is no such table."""
    tables = load_abundances()
    if table not in tables:
        raise ConfigError(f"abundance table {quoted(table)} is unknown; choose one of {', '.join(tables)}")
    return tables[table]
