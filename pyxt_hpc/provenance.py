"""Provenance of products: version of the software, and fingerprints of data and settings."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from pyxt_hpc.version import __version__


def software() -> str:
    """Name and version of this software."""
    return f"pyxt_hpc {__version__}"


def fingerprint(parts: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of named arrays and JSON values, independent of their order."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        value = parts[name]
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value)
            digest.update(f"{name}:{array.dtype.str}:{array.shape}:".encode())
            digest.update(array.view(np.uint8).data if array.size else b"")
        else:
            digest.update(f"{name}:{json.dumps(value, sort_keys=True)}:".encode())
    return digest.hexdigest()
