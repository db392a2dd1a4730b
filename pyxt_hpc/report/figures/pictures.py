"""Pictures of other stages, reduced in size for a page."""

import base64
import io
import logging
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pyxt_hpc.files.writing import check_regular

log = logging.getLogger(__name__)

_WIDTHS = (1000, 640, 420)
"""Widths of pictures [pixels]; the first is used for which all pictures of the page are small enough."""

_BYTES = 2_500_000
"""Largest total size of a page's pictures in base64 [bytes]."""


@dataclass(frozen=True)
class PictureFile:
    """A picture that may exist: its file, its title, and its description as alternative text."""

    path: Path
    title: str
    alt: str


@dataclass(frozen=True)
class PagePicture:
    """A picture: title, alternative text, size in pixels, and content as a ``data:`` URL."""

    title: str
    alt: str
    width: int
    height: int
    url: str


def page_pictures(wanted: list[PictureFile]) -> dict[Path, PagePicture]:
    """Pictures as WebP by their files; missing and unreadable ones are left out."""
    read = {one: image for one in wanted if (image := _read(one.path)) is not None}
    made: dict[Path, PagePicture] = {}
    for width in _WIDTHS:
        made = {one.path: _encoded(image, width, one) for one, image in read.items()}
        if sum(len(picture.url) for picture in made.values()) <= _BYTES:
            break
    return made


def _read(path: Path) -> Image.Image | None:
    if not check_regular(path):
        return None
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        log.warning("%s: left out of the report, as it cannot be read as a picture (%s)", path, error)
        return None


def _encoded(image: Image.Image, width: int, wanted: PictureFile) -> PagePicture:
    if image.width > width:
        size = width, max(round(image.height * width / image.width), 1)
        image = image.resize(size, Image.Resampling.LANCZOS)
    with io.BytesIO() as buffer:
        image.save(buffer, "WEBP", quality=80, method=4)
        text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return PagePicture(wanted.title, wanted.alt, *image.size, f"data:image/webp;base64,{text}")
