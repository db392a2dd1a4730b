"""Conversion of results to values for JSON: names, numbers, texts and lists; NaN becomes null."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum, Flag
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def plain(value: Any) -> Any:
    """Convert a value for JSON.

    Dataclasses become objects of their fields, rows of tables objects of their columns, enumerations their
    names in lower case, and flags lists of these names; numbers that are not finite become null.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Flag):
        return [_name(one) for one in type(value) if one in value]
    if isinstance(value, Enum):
        return _name(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {_key(name): plain(one) for name, one in value.items()}
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names and not getattr(value, "shape", ()):
        return {name: plain(value[name]) for name in names}
    if hasattr(value, "tolist") and not names:
        return plain(value.tolist())  # numpy's numbers and arrays
    if isinstance(value, (list, tuple, set, frozenset)) or names:
        return [plain(one) for one in value]
    return str(value)


def plain_fits(names: Sequence[str], rows: "np.ndarray") -> list[dict[str, Any]]:
    """Convert fits as `plain` does, with names of flags and the datasets' numbers in the bundle.

    Parameters
    ----------
    rows
        (n,) results of `spectra.fit.FIT_DTYPE`, or with more columns.
    """
    import numpy as np

    from pyxt_hpc.fit.flags import FitFlag

    fits = []
    for name, row in zip(names, rows, strict=True):
        fit = {"name": name} | plain(row)
        fit["flags"] = plain(FitFlag(int(row["flags"])))
        if "observations" in fit:
            bits = np.unpackbits(row["observations"], bitorder="little")
            fit["observations"] = np.flatnonzero(bits).tolist()
        fits.append(fit)
    return fits


def _name(one: Enum) -> str:
    return one.name.lower()


def _key(name: object) -> str:
    return _name(name) if isinstance(name, Enum) else str(name)
