"""A hydrostatic mass with units, its tables and pictures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astropy.table import QTable

from pyxt_hpc.files.writing import write_ecsv
from pyxt_hpc.layout import Layout
from pyxt_hpc.profiles.mass.estimate import ClusterMass
from pyxt_hpc.profiles.mass.tables import overdensity_table, profile_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Mass:
    """What ``pyxt-hpc mass-estimation`` finds.

    Attributes
    ----------
    name : str
        Of the cluster.
    estimate : ClusterMass
        All numbers, samples and chains.
    tag : str
        Of the profile; empty for one all around.
    made_from : mapping
        What the annuli depend on, for the headers of tables: `profiles.mass.tables.made_from`.
    """

    name: str
    estimate: ClusterMass
    tag: str
    made_from: Mapping[str, Any]

    @property
    def table(self) -> QTable:
        """R2500, M2500, R500, M500 and gas fractions with 68% intervals, a row for each way."""
        return QTable(overdensity_table(self.estimate, self._meta))

    @property
    def profiles(self) -> QTable:
        """Mass, gas mass, gas fraction, density and temperature at radii, with 68% intervals."""
        return QTable(profile_table(self.estimate, self._meta))

    @property
    def _meta(self) -> dict[str, Any]:
        outermost = self.estimate.annuli.outermost
        return {"name": self.name, "profile": self.tag, "outermost_kpc": outermost, **self.made_from}

    @property
    def _title(self) -> str:
        return f"{self.name}{self.tag.replace('_', ' ')}"

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw temperature, norm, density, mass and gas fraction with what they were fitted to.

        Parameters
        ----------
        figure
            An empty one; None: a new one of pyplot, which notebooks show by themselves.
        """
        from pyxt_hpc.plots.figures import shown_figure
        from pyxt_hpc.plots.mass import MASS_SIZE, draw_mass

        return shown_figure(figure, MASS_SIZE, draw_mass, self.estimate, self._title)

    def plot_corner(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the samples of every two parameters; argument as `plot`."""
        from pyxt_hpc.plots.figures import shown_figure
        from pyxt_hpc.plots.mass import corner_size, draw_corner

        return shown_figure(figure, corner_size(self.estimate), draw_corner, self.estimate, self._title)

    def write(self, layout: Layout) -> Iterator[Path]:
        """Write both tables and both pictures to where the command line has them, and yield their paths."""
        from pyxt_hpc.plots.figures import write_figure
        from pyxt_hpc.plots.mass import MASS_SIZE, corner_size, draw_corner, draw_mass

        for path, table in (
            (layout.mass_profile(self.tag), profile_table),
            (layout.mass_table(self.tag), overdensity_table),
        ):
            write_ecsv(path, table(self.estimate, self._meta))
            yield path
        for path, size, draw in (
            (layout.mass_picture(self.tag), MASS_SIZE, draw_mass),
            (layout.mass_corner(self.tag), corner_size(self.estimate), draw_corner),
        ):
            write_figure(path, size, draw, self.estimate, self._title)
            yield path

    def __repr__(self) -> str:
        return f"<Mass of {self._title}: {', '.join(self.estimate.ways)}>"
