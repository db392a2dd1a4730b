"""Arrays in a page: one compressed block of bytes, which a few lines of JavaScript take apart again.

Base64 of what zlib made of it; browsers undo it themselves (`DecompressionStream`). Bytes of the same
significance lie together, so that zlib finds what repeats; of labels the differences along rows are kept, of
floating-point numbers the 16 leading bits of the mantissa, which is more than anybody reads.
"""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DROPPED_BITS = 7
"""Of the 23 bits of a single-precision mantissa: what is left is right to 1 part in 130,000."""

_KINDS = {"f4": np.float32, "i4": np.int32, "u2": np.uint16, "u1": np.uint8}


class PackedArrays:
    """Arrays by name, which are put together once."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self._blocks: list[bytes] = []
        self._names: dict[bytes, str] = {}

    def add(self, name: str, values: NDArray[Any], *, differences: bool = False) -> str:
        """Add an array and give the name that it has there: that of an earlier one that is the same.

        Parameters
        ----------
        values
            Floating-point numbers are kept in single precision, integers as they are: uint8, uint16, int32.
        differences
            Keep differences from one element to the next, which compress better where many are 0.
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
        """Name, kind, length and coding of every array, in the order of the bytes."""
        return list(self._entries)

    def text(self) -> str:
        """All arrays in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._blocks), 9)).decode("ascii")


def _shortened(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Numbers whose last bits are 0, rounded; NaN stays NaN."""
    bits = values.view(np.uint32)
    half = np.uint32(1 << (_DROPPED_BITS - 1))
    mask = np.uint32(0xFFFFFFFF << _DROPPED_BITS & 0xFFFFFFFF)
    rounded = ((bits + half) & mask).view(np.float32)
    return np.where(np.isfinite(values), rounded, np.float32(np.nan)).astype(np.float32)
