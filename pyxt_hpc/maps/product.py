"""One finished map: its numbers, how people call them, and its FITS file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.images import write_image

BLANK = -1
"""Of integer maps, where there is nothing."""


@dataclass(frozen=True, eq=False)
class MapProduct:
    """One map: what it holds and how people call it.

    Parameters
    ----------
    path
        FITS file.
    title
        For people, such as ``Temperature``.
    unit
        FITS unit string, empty for a pure number.
    values
        (ny, nx) float32, NaN where there is nothing.
    comment
        What the pixels hold, with the formula.
    logarithmic
        Pictures show it on a logarithmic scale.
    diverging
        Pictures show the sign: 0 is in the middle of their colours.
    integer
        The file has integers, `BLANK` for NaN.
    of_regions
        (n,) the regions' own values where the map is painted from regions and has a DS9 file of them.
    """

    path: Path
    title: str
    unit: str
    values: np.ndarray
    comment: str = ""
    logarithmic: bool = False
    diverging: bool = False
    integer: bool = False
    of_regions: np.ndarray | None = None


def write_product(
    product: MapProduct, bundle: Bundle, config: ClusterConfig, history: Sequence[str] = ()
) -> None:
    """Write the FITS file of a map.

    Raises
    ------
    EmptySelection
        If no pixel has a value: a blank map is never written.
    """
    values = product.values
    seen = np.isfinite(values)
    if not seen.any():
        raise EmptySelection(f"{product.path}: not written: no pixel has a value ({product.comment})")
    if product.integer:
        values = np.where(seen, values, BLANK).astype(np.int32)
    write_image(
        product.path,
        values,
        bundle.wcs_header,
        unit=product.unit,
        comment=product.comment,
        bundle_fingerprint=bundle.fingerprint,
        settings={"BLANK": BLANK} if product.integer else None,
        history=[f"configuration {config.path.name}", *history],
    )
