"""One finished map: its numbers, how people call them, and its FITS file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pyxt_hpc.bundle.header import observation_cards
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.images import write_image
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.provenance import fingerprint

_MAX_TEXT = 67
"""Letters of a string that is whole in one card of a header."""

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
    meanings
        Of the integers, for the picture's legend.
    name
        Of the quantity as in the names of files, such as ``temperature_error``.
    limits
        Between which pictures have their colours; None: where most values are.
    period
        Values that differ by it are the same: the colours of pictures come back to where they begin. 0: none.
    marks
        Values that are marked at the colour bar.
    shown
        (ny, nx) what pictures show of the values; None: all.
    curves
        (n, 2) rows and columns each [pixels, from 0]: drawn over the map.
    note
        A convention that pictures state below their title.
    cards
        More keywords of the FITS header: values, or values with comments.
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
    meanings: Mapping[int, str] | None = None
    name: str = ""
    limits: tuple[float, float] | None = None
    period: float = 0.0
    marks: tuple[float, ...] = ()
    shown: np.ndarray | None = None
    curves: tuple[np.ndarray, ...] = ()
    note: str = ""
    cards: Mapping[str, Any] = field(default_factory=dict)


def map_product(
    image: ClusterImage,
    name: str,
    title: str,
    unit: str,
    values: np.ndarray,
    comment: str,
    *,
    suffix: str = "",
    **how: Any,
) -> MapProduct:
    """A map whose file has its name, and a suffix; the other arguments are those of `MapProduct`."""
    return MapProduct(image.layout.map(f"{name}{suffix}"), title, unit, values, comment, name=name, **how)


_NO_EFFECT_ON_MAPS = (
    "path", "data_directory", "last_step_completed", "parallel_processing", "num_cpus", "hpc",
)  # fmt: skip


def config_fingerprint(config: ClusterConfig) -> str:
    """SHA-256 of everything in a configuration that can change a map."""
    return fingerprint(
        {f.name: repr(getattr(config, f.name)) for f in fields(config) if f.name not in _NO_EFFECT_ON_MAPS}
    )


def write_maps(image: ClusterImage, products: Iterable[MapProduct]) -> Iterator[MapProduct]:
    """Write, then yield, one map after the other, so that only one is in memory."""
    for product in products:
        write_map(product, image)
        yield product


def write_map(
    product: MapProduct, image: ClusterImage, errors: Mapping[str, np.ndarray] | None = None
) -> None:
    """Write the FITS file of a map.

    Its header holds fingerprints of configuration (CONFIGID), bundle (BUNDLEID) and, where it is of fits,
    results (RESULTID).

    Parameters
    ----------
    errors
        (ny, nx) each: written as extensions of these names.

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
    cards: dict[str, Any] = {
        **observation_cards(image.bundle),
        "DATE": (datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"), "[UTC] when the file was written"),
        "CONFIGID": (config_fingerprint(image.config)[:16], "fingerprint of the configuration"),
    }
    if isinstance(image, FittedRegions):
        cards["RESULTID"] = (image.fingerprint[:16], "fingerprint of the results store")
        cards["SNTARGET"] = (image.config.signal_to_noise, "S/N that was asked of every region")
        if image.config.bins:
            cards["BINNING"] = image.config.bins
    cards |= product.cards
    if product.integer:
        cards["BLANK"] = BLANK
    texts = (card[0] if isinstance(card, tuple) else card for card in cards.values())
    if any(isinstance(text, str) and len(text) > _MAX_TEXT for text in texts):
        cards = {"LONGSTRN": ("OGIP 1.0", "long strings go on in CONTINUE"), **cards}
    write_image(
        product.path,
        values,
        image.bundle.wcs_header,
        unit=product.unit,
        comment=product.comment,
        bundle_fingerprint=image.bundle.fingerprint,
        settings=cards,
        history=[f"configuration {image.config.path.name}", *image.history],
        errors=errors,
    )
