"""Options of the pictures of maps."""

from dataclasses import dataclass, field

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted

FORMATS = ("png", "pdf", "svg")
SCALES = ("auto", "linear", "log")


@dataclass(frozen=True)
class PictureStyle:
    """Options of the pictures of maps.

    Parameters
    ----------
    vmin, vmax
        Ends of the scale, in the unit of the map; None: percentiles of the values.
    cmap
        Name of a colour map of matplotlib; None: that of the quantity.
    scale
        One of `SCALES`; ``auto`` is logarithmic for quantities that allow it and extend over a factor of 3.
    only
        Names of the maps that `vmin`, `vmax`, `cmap` and `scale` are for; empty: all maps.
    dpi
        Dots per inch.
    formats
        One or more of `FORMATS`.
    centre
        RA, Dec [deg] of the centre of the field; None: centre of the map.
    zoom
        Size of the map, over that of the field.
    contours
        Whether to draw contours of the brightness.
    regions
        Whether to write DS9 files of the regions of any size.

    Raises
    ------
    ConfigError
        If a value is out of range or unknown.
    """

    vmin: float | None = None
    vmax: float | None = None
    cmap: str | None = None
    scale: str = "auto"
    only: frozenset[str] = field(default_factory=frozenset)
    dpi: int = 150
    formats: tuple[str, ...] = ("png",)
    centre: tuple[float, float] | None = None
    zoom: float = 1.0
    contours: bool = True
    regions: bool = False

    def __post_init__(self) -> None:
        if self.vmin is not None and self.vmax is not None and not self.vmin < self.vmax:
            raise ConfigError(f"vmin is {self.vmin:g} and vmax {self.vmax:g}: expected the lower value first")
        if self.cmap is not None:
            import matplotlib as mpl

            if self.cmap not in mpl.colormaps:
                raise ConfigError(
                    f"there are no colours {quoted(self.cmap)}: expected a name of matplotlib's colormaps, "
                    "such as viridis, inferno or RdBu_r"
                )
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ConfigError(
                f"format is {quoted(','.join(self.formats))}: expected one or more of {', '.join(FORMATS)}"
            )
        if not 1.0 <= self.zoom <= 1000.0:
            raise ConfigError(f"zoom is {self.zoom:g}: expected 1 (the whole map) to 1000")

    def colours_are_for(self, name: str) -> bool:
        """Whether `vmin`, `vmax`, `cmap` and `scale` are for a map of this name."""
        return not self.only or name in self.only


AS_USUAL = PictureStyle()
