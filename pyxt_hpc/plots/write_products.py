"""Pictures of every map beside its FITS file, and a DS9 file if regions were painted on it."""

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
"""Size of a DS9 file [bytes] that is written only if the user asks for it."""

_CONTOUR_SIGMA = 8.0
"""Width of the Gaussian that smooths the brightness for contours if regions are bins [pixels]."""

_MAX_WORKERS = 8
"""Largest number of processes: more would wait for the process that makes the maps."""

_WAITING = 2
"""Largest number of maps per worker that wait to be drawn, to limit memory."""


def write_products(
    image: ClusterImage,
    products: Iterable[MapProduct],
    style: PictureStyle = AS_USUAL,
    sheets: "Sheets | None" = None,
) -> Iterator[tuple[MapProduct, list[Path]]]:
    """Draw maps as they are made, in other processes; their FITS files are written already.

    Parameters
    ----------
    sheets
        Sheets that take the maps which belong on them.

    Yields
    ------
    product, paths
        The map, and the files written beside its FITS file.
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
        for path in paths:  # other processes have written them
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
                # An existing large file is written again, so that it does not become outdated.
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
    """Files that show several maps: the overview, and the script for DS9.

    Parameters
    ----------
    masked
        Whether a mask was applied to the maps; the files then have names of their own.
    """

    def __init__(self, *, masked: bool = False) -> None:
        self._overview, self._frames = Overview(), Frames()
        self._tag = "_masked" if masked else ""

    def add(self, product: MapProduct, style: PictureStyle, wcs: WCS) -> None:
        """Take a map, if it belongs to one of the files."""
        self._overview.add(product, style, wcs)
        self._frames.add(product, style)

    def write(self, regions: FittedRegions, style: PictureStyle) -> Iterator[tuple[Path, str]]:
        """Write each file whose maps are all there; yield its path and description."""
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
    """Scene of the pictures of a cluster."""
    contours = None
    if style.contours:
        in_bins = isinstance(image, FittedRegions) and image.labels is not None
        # Contours of an image of bins would follow the outlines of the bins.
        contours = (image.brightness_under(_CONTOUR_SIGMA) if in_bins else image.brightness).value
    scale = kpc_per_arcsec(image.config)
    return Scene(image.bundle.wcs_header, contours, scale, name=image.bundle.name).thinned()


def _begin_drawing(parent: int) -> None:
    begin_child(parent)
    # The executor sends SIGTERM to the other workers when one has died, and waits for them to end.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _workers(config: ClusterConfig) -> int:
    if not config.parallel_processing:
        return 1
    return min(config.num_cpus or len(os.sched_getaffinity(0)), _MAX_WORKERS)
