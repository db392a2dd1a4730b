"""Annuli that each have enough counts for a spectrum."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.brightness.sky import MARGIN
from pyxt_hpc.profiles.brightness.beta_models import BetaProfile
from pyxt_hpc.profiles.brightness.rings import Rings
from pyxt_hpc.profiles.centre import Frame

FloatArray = NDArray[np.float64]

WIDENING = 1.2
"""Smallest ratio of outer to inner radius: finer shells give no more information."""

_INNERMOST_PIXELS = 2
_MIN_COMPLETE = 0.3
"""Fraction of an annulus, or of its part in the sector, that must be live."""

_QUADRATURE = 400


@dataclass(frozen=True, eq=False)
class Annuli:
    """Annuli around a centre.

    Parameters
    ----------
    limits
        (n + 1,) limits of the distances of an annulus's pixels from the centre, from 0 [pixels].
    edges
        (n + 1,) radii of circles with the area of all pixels within each limit [arcsec].
    frame
        Centre, ellipses and sector.
    pixel_arcsec
        Side of a pixel.
    """

    limits: NDArray[np.int64]
    edges: FloatArray
    frame: Frame
    pixel_arcsec: float

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def area_arcmin2(self) -> FloatArray:
        """Area of whole annuli (n,), also if there is a sector."""
        return np.pi * np.diff(self.edges**2) / 3600.0

    def labels(self, shape: tuple[int, int]) -> NDArray[np.int64]:
        """Number (ny, nx) of each pixel's annulus, from 1; 0 outside all annuli."""
        number = np.searchsorted(self.limits, self.frame.radius(shape), side="right")
        return np.where((number <= len(self)) & self.frame.inside(shape), number, 0)

    def brightness(self, model: BetaProfile, shape: tuple[int, int], margin: int = MARGIN) -> FloatArray:
        """Model brightness of every pixel, including a margin around the images."""
        frame = replace(self.frame, row=self.frame.row + margin, col=self.frame.col + margin)
        return model.cluster(frame.radius((shape[0] + 2 * margin, shape[1] + 2 * margin)) * self.pixel_arcsec)

    def share_in_images(self, model: BetaProfile, shape: tuple[int, int]) -> FloatArray:
        """Fraction (n,) of the model flux of every annulus that its pixels on the images have.

        It is below 1 for annuli that extend beyond the images or have a sector. For annuli of few pixels, it
        may differ slightly from 1.
        """
        labels = self.labels(shape)
        pixels = np.bincount(labels.ravel(), self.brightness(model, shape, 0).ravel(), len(self) + 1)[1:]
        part = np.linspace(0.0, 1.0, _QUADRATURE + 1)
        square = self.edges[:-1, None] ** 2 + part * np.diff(self.edges**2)[:, None]
        middle = np.sqrt(0.5 * (square[:, 1:] + square[:, :-1]))
        mean = model.cluster(middle).mean(axis=1)
        return pixels / (mean * np.pi * np.diff(self.edges**2) / self.pixel_arcsec**2)


def choose_annuli(
    rings: Rings,
    frame: Frame,
    pixel_arcsec: float,
    *,
    counts: float | None = None,
    signal_to_noise: float | None = None,
    r_max: float | None = None,
) -> Annuli:
    """Join rings into annuli, from the centre outwards, until each annulus has enough counts.

    Outer rings that do not complete an annulus are left out.

    Parameters
    ----------
    rings
        Rings with the width of a pixel, in the band of the spectra.
    frame, pixel_arcsec
        Frame and pixel side of the rings.
    counts, signal_to_noise
        Net counts, or S/N, that every annulus must reach; give one of them.
    r_max
        Largest radius of an annulus [arcsec].

    Raises
    ------
    EmptySelection
        If there are fewer than two annuli.
    """
    area = np.diff(rings.edges**2)
    limits = [0]
    for end in range(_INNERMOST_PIXELS, len(rings.counts) + 1):
        if r_max is not None and rings.edges[end] > r_max:
            break
        begin = limits[-1]
        part = slice(begin, end)
        found, background = float(rings.counts[part].sum()), float(rings.background[part].sum())
        net, noise = found - background, np.sqrt(found + float(rings.variance[part].sum()))
        enough = net >= counts if counts is not None else net >= (signal_to_noise or 0.0) * noise
        complete = float(area[part] @ rings.complete[part] / area[part].sum())
        if (
            net > 0
            and enough
            and rings.edges[end] >= WIDENING * rings.edges[begin]
            and complete >= _MIN_COMPLETE
        ):
            limits.append(end)
    if len(limits) < 3:
        total = float(rings.counts.sum() - rings.background.sum())
        wanted = f"{counts:g} net counts" if counts is not None else f"S/N {signal_to_noise:g}"
        if r_max is not None and rings.edges[-1] > r_max:
            wanted += f" within r-max {r_max:g} arcsec"
        raise EmptySelection(
            f"annuli with {wanted}: found {len(limits) - 1}, and a profile needs two or more (there are "
            f"{total:.0f} net counts within {rings.edges[-1]:.0f} arcsec): ask for fewer counts or a lower "
            "S/N, or choose another centre or sector"
        )
    return Annuli(np.array(limits), rings.edges[limits], frame, pixel_arcsec)
