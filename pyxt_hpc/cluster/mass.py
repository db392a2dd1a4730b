"""Hydrostatic mass of a cluster: tables with units, and pictures."""

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
    """Results of ``pyxt-hpc mass-estimation``.

    Attributes
    ----------
    name : str
        Name of the cluster.
    estimate : ClusterMass
        All numbers, samples and chains.
    tag : str
        Suffix of the profile's files; empty for a profile over all angles.
    made_from : mapping
        Bundle and scale for the headers of tables, from `profiles.mass.tables.made_from`.
    """

    name: str
    estimate: ClusterMass
    tag: str
    made_from: Mapping[str, Any]

    @property
    def table(self) -> QTable:
        """R2500, M2500, R500, M500 and gas fractions with 68% intervals, with one row for each way."""
        return QTable(overdensity_table(self.estimate, self._meta))

    @property
    def profiles(self) -> QTable:
        """Radial profiles of mass, gas mass, gas fraction, density and temperature, with 68% intervals."""
        return QTable(profile_table(self.estimate, self._meta))

    @property
    def _meta(self) -> dict[str, Any]:
        outermost = self.estimate.annuli.outermost
        return {"name": self.name, "profile": self.tag, "outermost_kpc": outermost, **self.made_from}

    @property
    def _title(self) -> str:
        return f"{self.name}{self.tag.replace('_', ' ')}"

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw temperature, norm, density, mass and gas fraction with the fitted data.

        Parameters
        ----------
        figure
            Empty figure; None: a new figure of pyplot, which notebooks show automatically.
        """
        from pyxt_hpc.plots.figures import shown_figure
        from pyxt_hpc.plots.mass import MASS_SIZE, draw_mass

        return shown_figure(figure, MASS_SIZE, draw_mass, self.estimate, self._title)

    def plot_corner(self, figure: "Figure | None" = None) -> "Figure":
        """Draw the samples of each pair of parameters; argument as for `plot`."""
        from pyxt_hpc.plots.figures import shown_figure
        from pyxt_hpc.plots.mass import corner_size, draw_corner

        return shown_figure(figure, corner_size(self.estimate), draw_corner, self.estimate, self._title)

    def write(self, layout: Layout) -> Iterator[Path]:
        """Write both tables and both pictures to the paths of the command line, and yield these paths."""
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
