"""Arrays of a page in one compressed block of bytes, which a few lines of JavaScript unpack.

The block is compressed by zlib and encoded in base64; browsers can decompress it (`DecompressionStream`).
Bytes of the same significance are stored together, which improves the compression. Labels are stored as
differences along rows, floating-point numbers with the 16 leading bits of the mantissa, more digits than the
page shows.
"""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DROPPED_BITS = 7
"""Bits dropped of the 23 bits of a single-precision mantissa; the rounding error is below 1/130,000."""

_KINDS = {"f4": np.float32, "i4": np.int32, "u2": np.uint16, "u1": np.uint8}


class PackedArrays:
    """Collector of arrays by name; equal arrays are stored once."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._blocks: list[bytes] = []
        self._names: dict[bytes, str] = {}

    def add(self, name: str, values: NDArray[Any], *, differences: bool = False) -> str:
        """Add an array and return its name, which is that of an earlier equal array if there is one.

        Parameters
        ----------
        values
            Array of floating-point numbers, stored in single precision, or of uint8, uint16 or int32.
        differences
            Store differences of successive elements, which compress better if many are 0.
        """
        kind = "f4" if values.dtype.kind == "f" else values.dtype.str[1:]
        flat = np.ascontiguousarray(values, _KINDS[kind]).ravel()
        if kind == "f4":
            flat = _shortened(flat)
        if differences:
            flat = np.diff(flat, prepend=flat.dtype.type(0))
        planes = np.ascontiguousarray(flat.view(np.uint8).reshape(len(flat), flat.itemsize).T).tobytes()
        key = f"{kind}{differences}{values.shape}".encode() + planes
        if known := self._names.get(key):
            return known
        self._names[key] = name
        self._entries.append({"name": name, "kind": kind, "length": len(flat), "differences": differences})
        self._blocks.append(planes)
        return name

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Name, kind, length and encoding of every array, in the order of the bytes."""
        return list(self._entries)

    def text(self) -> str:
        """All arrays in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._blocks), 9)).decode("ascii")


def _shortened(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Numbers rounded to fewer bits; NaN stays NaN."""
    bits = values.view(np.uint32)
    half = np.uint32(1 << (_DROPPED_BITS - 1))
    mask = np.uint32(0xFFFFFFFF << _DROPPED_BITS & 0xFFFFFFFF)
    rounded = ((bits + half) & mask).view(np.float32)
    return np.where(np.isfinite(values), rounded, np.float32(np.nan)).astype(np.float32)
