"""One sheet with the main maps of a cluster."""

from dataclasses import dataclass, field
from pathlib import Path

from astropy.wcs import WCS
from matplotlib.figure import Figure

from pyxt_hpc.files.quoting import several
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.figures import save
from pyxt_hpc.plots.maps.pictures import Picture, Scene, draw_picture_on
from pyxt_hpc.plots.maps.style import PictureStyle

PANELS = (
    "surface_brightness",
    "temperature",
    "temperature_error",
    "temperature_fractional_error",
    "pressure",
    "entropy",
    "abundance",
    "goodness",
    "flags",
)
"""Names of maps in their order on the sheet; maps that were not made are left out."""

_INSTEAD = {"abundance": "density"}
"""Map that replaces another which was not made: density, if the abundance was not fitted."""

_COLUMNS = 3
_CELLS = 300
_PANEL, _ROW = 3.45, 3.1
"""Width and height of a panel with its colour bar and title [inch]."""


@dataclass
class Overview:
    """Collector of the pictures on the sheet, from maps as they are made."""

    pictures: dict[str, Picture] = field(default_factory=dict)

    def add(self, product: MapProduct, style: PictureStyle, wcs: WCS) -> None:
        """Take a map, if it belongs on the sheet."""
        if product.name in (*PANELS, *_INSTEAD.values()):
            self.pictures[product.name] = Picture.of(product, style, wcs, cells=_CELLS)

    @property
    def is_whole(self) -> bool:
        """Whether the sheet has all maps that every cluster has."""
        return all(name in self.pictures or name in _INSTEAD for name in PANELS)

    def draw(self, regions: FittedRegions, scene: Scene, path: Path, dpi: int) -> None:
        """Write the sheet, in the format of its file name."""
        names = [name if name in self.pictures else _INSTEAD.get(name, name) for name in PANELS]
        chosen = [self.pictures[name] for name in names if name in self.pictures]
        n_rows = -(-len(chosen) // _COLUMNS)
        head, foot = 0.85, 0.5  # the foot is for the legend of the flags
        width, height = _COLUMNS * _PANEL, n_rows * _ROW + head + foot
        figure = Figure(figsize=(width, height), dpi=dpi)
        for i, picture in enumerate(chosen):
            row, column = divmod(i, _COLUMNS)
            left, bottom = column * _PANEL + 0.12, height - head - (row + 1) * _ROW + 0.12
            axes = figure.add_axes((left / width, bottom / height, 2.65 / width, 2.65 / height))
            axes.set_xticks([])
            axes.set_yticks([])
            draw_picture_on(axes, picture, scene, small=True)
        figure.text(0.12 / width, 1 - 0.12 / height, scene.name, fontsize=16, weight="bold", va="top")
        figure.text(0.12 / width, 1 - 0.45 / height, _facts(regions, scene), fontsize=9, va="top")
        save(figure, path)
        figure.clear()


def _facts(regions: FittedRegions, scene: Scene) -> str:
    """Two lines about the fits and the pictures."""
    bundle = regions.bundle
    abundance = (
        f"abundance {bundle.abundance:g} solar"
        if regions.settings["abundance_bounds"] is None
        else "abundance fitted"
    )
    nH = (
        rf"nH {bundle.nH:g}$\times$10$^{{22}}$ cm$^{{-2}}$"
        if regions.settings["nH_bounds"] is None
        else "nH fitted"
    )
    obsids = ", ".join(bundle.obsids[:6]) + (", ..." if len(bundle.obsids) > 6 else "")
    contours = "" if scene.contours is None else "; contours: smoothed X-ray surface brightness"
    return (
        f"z = {bundle.redshift:g}, {nH}, {abundance}, {bundle.energy_min_keV:g}-{bundle.energy_max_keV:g} keV"
        f"; ObsID {obsids}\nS/N {regions.config.signal_to_noise:g}; {len(regions.rows)} of "
        f"{several(regions.total, 'region')} fitted; errors are half the 68% interval{contours}"
    )
