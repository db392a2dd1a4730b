"""Every map in every form: beside its FITS file pictures and, if painted from regions, a DS9 file."""

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import Any

from astropy.wcs import WCS

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.files.writing import note_product
from pyxt_hpc.fit.cosmology import kpc_per_arcsec
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.parallel.pools.sandbox import begin_child
from pyxt_hpc.plots.ds9.frames import Frames
from pyxt_hpc.plots.ds9.region_file import Boxes, write_boxes
from pyxt_hpc.plots.maps.overview import Overview
from pyxt_hpc.plots.maps.pictures import Picture, Scene, draw_picture
from pyxt_hpc.plots.maps.style import AS_USUAL, PictureStyle

_LARGE = 1_000_000
"""Bytes of a DS9 file that is not written unasked."""

_CONTOUR_SIGMA = 8.0
"""Of the Gaussian under which the brightness has contours where regions are bins [pixels]."""

_MAX_WORKERS = 8
"""More would wait for the process that makes the maps."""

_WAITING = 2
"""Maps a worker that are made and not yet drawn: little enough for memory."""


def write_products(
    image: ClusterImage,
    products: Iterable[MapProduct],
    style: PictureStyle = AS_USUAL,
    sheets: "Sheets | None" = None,
) -> Iterator[tuple[MapProduct, list[Path]]]:
    """Draw maps whose FITS files are written, as they come, in processes beside the one that makes them.

    Parameters
    ----------
    sheets
        Are given those maps that belong on them.

    Yields
    ------
    product, paths
        The map, and what was written beside its FITS file.
    """
    layout = image.layout
    scene, wcs = scene_of(image, style), image.bundle.wcs
    boxes = Boxes.of(image) if isinstance(image, FittedRegions) else None
    n_workers = _workers(image.config)
    waiting: deque[tuple[MapProduct, list[Path], list[Future[Any]]]] = deque()

    def finished() -> tuple[MapProduct, list[Path]]:
        product, paths, futures = waiting.popleft()
        for future in futures:
            future.result()
        for path in paths:  # by other processes, for this one
            note_product(path)
        return product, paths

    executor = ProcessPoolExecutor(n_workers, ForkContext(), _begin_drawing, (os.getpid(),))
    try:
        for product in products:
            picture = Picture.of(product, style, wcs)
            paths = [layout.picture(product.path, form) for form in style.formats]
            futures = [executor.submit(draw_picture, picture, scene, path, style.dpi) for path in paths]
            if sheets is not None:
                sheets.add(product, style, wcs)
            beside = layout.ds9_regions(product.path)
            if (
                product.of_regions is not None
                and boxes is not None
                # a large one is not made unasked, but one that is there must not become outdated
                and (style.regions or boxes.size < _LARGE or beside.exists())
            ):
                paths.append(beside)
                futures.append(executor.submit(write_boxes, boxes, *boxes.coloured(product, style), beside))
            waiting.append((product, paths, futures))
            while len(waiting) > _WAITING * n_workers or (waiting and all(f.done() for f in waiting[0][2])):
                yield finished()
        while waiting:
            yield finished()
    finally:
        executor.shutdown(cancel_futures=True)


class Sheets:
    """What shows several maps together: the overview, and the script for DS9.

    Parameters
    ----------
    masked
        Whether the maps are blank where a mask is true: the files have names of their own.
    """

    def __init__(self, *, masked: bool = False) -> None:
        self._overview, self._frames = Overview(), Frames()
        self._tag = "_masked" if masked else ""

    def add(self, product: MapProduct, style: PictureStyle, wcs: WCS) -> None:
        """Take a map, if it is shown with others."""
        self._overview.add(product, style, wcs)
        self._frames.add(product, style)

    def write(self, regions: FittedRegions, style: PictureStyle) -> Iterator[tuple[Path, str]]:
        """Write, then yield, each of the files and what it is, if there are maps enough for it."""
        layout = regions.layout
        if self._overview.is_whole:
            scene = scene_of(regions, style)
            for form in style.formats:
                path = layout.overview(f"{self._tag}.{form}")
                self._overview.draw(regions, scene, path, style.dpi)
                yield path, "the main maps on one sheet"
        if self._frames.is_whole:
            path = layout.ds9_script(self._tag)
            self._frames.write(layout, path)
            yield path, "opens temperature, errors and flags in DS9"


def scene_of(image: ClusterImage, style: PictureStyle = AS_USUAL) -> Scene:
    """What all pictures of a cluster have in common."""
    contours = None
    if style.contours:
        in_bins = isinstance(image, FittedRegions) and image.labels is not None
        # contours of bins would be their outlines
        contours = (image.brightness_under(_CONTOUR_SIGMA) if in_bins else image.brightness).value
    scale = kpc_per_arcsec(image.config)
    return Scene(image.bundle.wcs_header, contours, scale, name=image.bundle.name).thinned()


def _begin_drawing(parent: int) -> None:
    begin_child(parent)
    # An executor with a dead worker ends the others by it, and waits for them.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _workers(config: ClusterConfig) -> int:
    if not config.parallel_processing:
        return 1
    return min(config.num_cpus or len(os.sched_getaffinity(0)), _MAX_WORKERS)
