"""Sources of wavdetect, as circles that are proposed for ``sources.reg``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pyxt_hpc.chandra.sky.tangent import SKY_PIXEL_ARCSEC, tangent_plane, world_to_pixel
from pyxt_hpc.detect.region_proposals import SkyCircle, SkyEllipse
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.fits import open_fits

_AGAIN = "make it again: pyxt-hpc propose-regions --force"


def read_sources(path: Path) -> tuple[SkyCircle, ...]:
    """Circles around the ellipses of wavdetect's list. Raises MissingInput, DamagedFile."""
    with open_fits(path, "source list", _AGAIN) as hdus:
        table = next((hdu for hdu in hdus[1:] if hdu.data is not None and hdu.data.dtype.names), None)
        if table is None:
            return ()  # wavdetect found no source
        names = {name.upper(): name for name in table.data.dtype.names}
        wanted = ("RA", "DEC", "R", "NET_COUNTS", "SRC_SIGNIFICANCE")
        if absent := [name for name in wanted if name not in names]:
            raise DamagedFile(f"{path}: no column {', '.join(absent)}: not a list of wavdetect; {_AGAIN}")
        ra, dec, axes, counts, significance = (np.asarray(table.data[names[name]], float) for name in wanted)
    if axes.ndim != 2:
        raise DamagedFile(f"{path}: column R has not two semi-axes in each row; {_AGAIN}")
    radius = SKY_PIXEL_ARCSEC * axes.max(axis=1, initial=0.0)
    return tuple(
        SkyCircle(float(a), float(d), float(r), f"{n:.0f} counts, {s:.1f} sigma, wavdetect")
        for a, d, r, n, s in zip(ra, dec, radius, counts, significance, strict=True)
    )


def outside_core(sources: Sequence[SkyCircle], core: SkyEllipse) -> tuple[SkyCircle, ...]:
    """Sources without those that are the core of the cluster, which wavdetect also detects.

    A source is the core if its centre is in the ellipse, or the centre of the ellipse is in the source.
    """
    plane = tangent_plane(core.ra, core.dec)
    turn = np.radians(core.angle)
    kept = []
    for source in sources:
        x, y = (float(v - 1.0) * SKY_PIXEL_ARCSEC for v in world_to_pixel(plane, source.ra, source.dec))
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        in_core = (along / core.semi_major) ** 2 + (across / core.semi_minor) ** 2 <= 1.0
        if not in_core and np.hypot(x, y) > source.radius:
            kept.append(source)
    return tuple(kept)
