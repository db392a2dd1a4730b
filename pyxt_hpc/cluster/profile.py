"""Radial profile of a cluster: tables with units, and pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.coordinates import SkyCoord
from astropy.table import QTable

from pyxt_hpc.files.writing import write_ecsv
from pyxt_hpc.layout import Layout
from pyxt_hpc.profiles.analysis import ClusterProfile
from pyxt_hpc.profiles.tables import brightness_table, shell_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """Results of ``pyxt-hpc profile-analysis``.

    Attributes
    ----------
    analysis : ClusterProfile
        All numbers, models and draws.
    """

    analysis: ClusterProfile

    @property
    def center(self) -> SkyCoord:
        """Sky position of the centre."""
        return SkyCoord(self.analysis.ra_deg, self.analysis.dec_deg, unit="deg")

    @property
    def shells(self) -> QTable:
        """Table of annuli and shells with units, as in the file ``..._shells.ecsv``."""
        return QTable(shell_table(self.analysis))

    @property
    def brightness(self) -> QTable:
        """Table of the surface brightness in rings with units, as in the file ``..._brightness.ecsv``."""
        return QTable(brightness_table(self.analysis))

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw temperature, density, pressure, entropy, cooling time and gas mass.

        Parameters
        ----------
        figure
            Empty figure; None: a new figure of pyplot, which notebooks show automatically.
        """
        from pyxt_hpc.plots.figures import shown_figure
        from pyxt_hpc.plots.profiles import GAS_SIZE, draw_gas

        return shown_figure(figure, GAS_SIZE, draw_gas, self.analysis)

    def plot_brightness(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the brightness with its models; argument as for `plot`."""
        from pyxt_hpc.plots.figures import shown_figure
        from pyxt_hpc.plots.profiles import BRIGHTNESS_SIZE, draw_brightness

        return shown_figure(figure, BRIGHTNESS_SIZE, draw_brightness, self.analysis)

    def write(self, layout: Layout) -> Iterator[Path]:
        """Write both tables and both pictures to the paths of the command line, and yield these paths."""
        from pyxt_hpc.plots.figures import write_figure
        from pyxt_hpc.plots.profiles import BRIGHTNESS_SIZE, GAS_SIZE, draw_brightness, draw_gas

        tag = self.analysis.options.tag
        for path, table in (
            (layout.profile_brightness(tag), brightness_table),
            (layout.profile_shells(tag), shell_table),
        ):
            write_ecsv(path, table(self.analysis))
            yield path
        for path, size, draw in (
            (layout.profile_brightness_picture(tag), BRIGHTNESS_SIZE, draw_brightness),
            (layout.profile_picture(tag), GAS_SIZE, draw_gas),
        ):
            write_figure(path, size, draw, self.analysis)
            yield path

    def __repr__(self) -> str:
        own = self.analysis
        where = "" if own.options.sector is None else f" in the sector {own.options.sector}"
        reach = f"{len(own.annuli)} shells to {own.geometry.edges_kpc[-1]:.0f} kpc"
        return f"<Profile of {own.name}{where}: {reach} about {own.ra_deg:.5f} {own.dec_deg:+.5f}>"
