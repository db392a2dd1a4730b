"""Every map in every form: beside its FITS file a picture and, if painted from regions, a DS9 file."""

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import Any

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.files.writing import note_product
from pyxt_hpc.fit.cosmology import kpc_per_arcsec
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.image import ClusterImage
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.parallel.pools.sandbox import begin_child
from pyxt_hpc.plots.ds9 import Boxes, write_boxes
from pyxt_hpc.plots.pictures import Picture, Scene, draw_picture

_MAX_WORKERS = 8
"""More would wait for the process that makes the maps."""

_WAITING = 2
"""Maps a worker that are made and not yet drawn: little enough for memory."""


def write_products(
    image: ClusterImage, products: Iterable[MapProduct]
) -> Iterator[tuple[MapProduct, list[Path]]]:
    """Draw maps whose FITS files are written, as they come, in processes beside the one that makes them.

    Yields
    ------
    product, paths
        The map, and what was written beside its FITS file.
    """
    layout = image.layout
    scene = scene_of(image)
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
            paths = [layout.picture(product.path)]
            futures = [executor.submit(draw_picture, Picture.of(product), scene, paths[0])]
            if product.of_regions is not None and boxes is not None:
                paths.append(layout.ds9_regions(product.path))
                futures.append(executor.submit(write_boxes, boxes, *boxes.coloured(product), paths[1]))
            waiting.append((product, paths, futures))
            while len(waiting) > _WAITING * n_workers or (waiting and all(f.done() for f in waiting[0][2])):
                yield finished()
        while waiting:
            yield finished()
    finally:
        executor.shutdown(cancel_futures=True)


def scene_of(image: ClusterImage) -> Scene:
    """What all pictures of a cluster have in common."""
    return Scene(image.bundle.wcs_header, image.brightness.value, kpc_per_arcsec(image.config)).thinned()


def _begin_drawing(parent: int) -> None:
    begin_child(parent)
    # An executor with a dead worker ends the others by it, and waits for them.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _workers(config: ClusterConfig) -> int:
    if not config.parallel_processing:
        return 1
    return min(config.num_cpus or len(os.sched_getaffinity(0)), _MAX_WORKERS)
