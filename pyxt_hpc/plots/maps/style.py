"""How a person wants pictures of maps to look."""

from dataclasses import dataclass, field

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted

FORMATS = ("png", "pdf", "svg")
SCALES = ("auto", "linear", "log")


@dataclass(frozen=True)
class PictureStyle:
    """How maps are drawn.

    Parameters
    ----------
    vmin, vmax
        Ends of the colours, in the unit of the map; None: where most values are.
    cmap
        Name of matplotlib's; None: the one of the quantity.
    scale
        One of `SCALES`: ``auto`` is logarithmic where values that may be so reach over a factor 3.
    only
        Names of the maps that `vmin`, `vmax`, `cmap` and `scale` are for; none: for all.
    dpi
        Dots per inch.
    formats
        Of `FORMATS`.
    centre
        RA, Dec [deg] of the middle; None: that of the map.
    zoom
        The field is so many times smaller than the map.
    contours
        Whether contours of the brightness are drawn.
    regions
        Whether a DS9 file of the regions is written, however large it is.

    Raises
    ------
    ConfigError
        If any of it cannot be.
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
            raise ConfigError(f"vmin is {self.vmin:g} and vmax {self.vmax:g}: expected the lower one first")
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
