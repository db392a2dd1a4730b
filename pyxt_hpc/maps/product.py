"""A finished map: its values, their description, and its FITS file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pyxt_hpc.bundle.header import observation_cards
from pyxt_hpc.chandra.observed import goes_on
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.images import write_image
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.provenance import fingerprint

BLANK = -1
"""Pixels of integer maps without a value."""


@dataclass(frozen=True, eq=False)
class MapProduct:
    """Values and description of a map.

    Parameters
    ----------
    path
        FITS file.
    title
        Title, such as ``Temperature``.
    unit
        FITS unit string, empty for a pure number.
    values
        (ny, nx), NaN where there is no value.
    comment
        Meaning of the values, with the formula.
    logarithmic
        Pictures have a logarithmic colour scale.
    diverging
        Pictures have a colour scale that is symmetric about 0.
    integer
        The file has integers, with `BLANK` for NaN.
    of_regions
        (n,) values of the regions, if the map is painted from regions and has a DS9 region file.
    meanings
        Meanings of the integers, for the legend of the picture.
    name
        Name of the quantity as in file names, such as ``temperature_error``.
    limits
        Ends of the colour scale; None: from the distribution of the values.
    period
        Period of a cyclic quantity, for which pictures have cyclic colours; 0: not cyclic.
    marks
        Values that are marked at the colour bar.
    shown
        (ny, nx) mask of the pixels that pictures show; None: all.
    curves
        Curves drawn over the map: (n, 2) rows and columns [pixels, from 0] each.
    note
        What pictures state below their title, such as a convention.
    cards
        Further keywords of the FITS header: values, or (value, comment).
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
    """Map with a file that is called by its name and a suffix; other arguments as for `MapProduct`."""
    return MapProduct(image.layout.map(f"{name}{suffix}"), title, unit, values, comment, name=name, **how)


_NO_EFFECT_ON_MAPS = (
    "path", "data_directory", "last_step_completed", "parallel_processing", "num_cpus", "hpc",
)  # fmt: skip


def config_fingerprint(config: ClusterConfig) -> str:
    """SHA-256 of all values of a configuration that can change a map."""
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

    Its header has the fingerprints of the configuration (CONFIGID), the bundle (BUNDLEID) and, if `image` has
    fits, the results (RESULTID).

    Parameters
    ----------
    errors
        Images (ny, nx), written as extensions with these names.

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
        cards["SNTARGET"] = (image.config.signal_to_noise, "S/N target of every region")
        if image.config.bins:
            cards["BINNING"] = image.config.bins
    cards |= product.cards
    if product.integer:
        cards["BLANK"] = BLANK
    texts = (card[0] if isinstance(card, tuple) else card for card in cards.values())
    if any(isinstance(text, str) and goes_on(text) for text in texts):
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
