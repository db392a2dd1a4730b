"""One region: its values with intervals, its spectrum and the picture of both."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import QTable, vstack
from astropy.units import Quantity

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.chandra.sky.position import position_text
from pyxt_hpc.cluster.results import unit_of
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.cosmology import kpc_per_arcsec
from pyxt_hpc.fit.flags import flag_names
from pyxt_hpc.fit.single.one_region import OneRegion
from pyxt_hpc.fit.single.rounding import with_ends
from pyxt_hpc.fit.single.spectrum_files import write_spectra
from pyxt_hpc.spectra.fit import PARAMETERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class RegionFit:
    """The fit of one region, as the map has it.

    Attributes
    ----------
    cluster : str
        Name of the cluster.
    one : OneRegion
        Row of the map, and the fit of the spectra channel by channel that is drawn.
    facts : str
        Place, size, redshift and what was frozen, for the picture.
    """

    cluster: str
    one: OneRegion
    facts: str = ""

    @property
    def number(self) -> int:
        """Of the region."""
        return int(self.one.row["region"])

    @property
    def row(self) -> np.ndarray:
        """The row of the results store that ``fit-spectra`` writes."""
        return self.one.row

    @property
    def values(self) -> dict[str, Quantity]:
        """Best kT, norm, abundance and nH; NaN where there is no fit."""
        return {name: self._quantity(name) for name in PARAMETERS}

    @property
    def intervals(self) -> dict[str, tuple[Quantity, Quantity]]:
        """Both ends of the 68% interval of every parameter that was fitted; an open end is NaN."""
        return {
            name: (self._quantity(f"{name}_lo"), self._quantity(f"{name}_hi"))
            for name in self.one.fit.options.free
        }

    @property
    def goodness(self) -> float:
        """Standard deviations of the statistic above its expectation (Kaastra 2017)."""
        return float(self.row["goodness"])

    @property
    def flags(self) -> str:
        """Names of the flags of the fit; nothing where there are none."""
        return flag_names(int(self.row["flags"]))

    @property
    def spectrum(self) -> QTable:
        """The spectra of all datasets that take part, with the best model, in the bins of the fit.

        Returns
        -------
        astropy.table.QTable
            A row per bin: dataset, edges of the bin, counts, and the counts that are expected of the
            background and of the source.
        """
        parts = []
        for observation in self.one.fit.observations:
            spectrum = observation.spectrum
            low, high = spectrum.energy_edges.T
            columns = {
                "dataset": np.full(len(low), spectrum.name),
                "energy_lo": Quantity(low, "keV"),
                "energy_hi": Quantity(high, "keV"),
                "counts": Quantity(observation.counts, "ct"),
                "background": Quantity(observation.background_model / spectrum.ratio, "ct"),
                "model": Quantity(observation.model, "ct"),
            }
            parts.append(QTable(columns))
        return vstack(parts, metadata_conflicts="silent")

    def plot(self, figure: "Figure | None" = None) -> "Figure":
        """Draw data, model and background above, residuals below.

        Parameters
        ----------
        figure
            An empty one; None: a new one of pyplot, which notebooks show by themselves.
        """
        from pyxt_hpc.plots.figures import shown_figure
        from pyxt_hpc.plots.spectra import SIZE, draw_spectrum_on

        return shown_figure(figure, SIZE, draw_spectrum_on, self.one.fit, self._title)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture of `plot` as a PNG file, and give its path."""
        from pyxt_hpc.plots.spectra import draw_spectrum

        draw_spectrum(Path(path), self.one.fit, self._title)
        return Path(path)

    def write_spectra(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the spectra for XSPEC and Sherpa into a folder.

        Returns
        -------
        list of Path
            A spectrum for each dataset. Its background, ARF and RMF are beside it, and named in its header;
            GROUPING has the bins of the fit, and the ARF is that of the region.
        """
        stem = f"{self.cluster}_region_{self.number}"
        return write_spectra(Path(folder), stem, self.one.spectra, {"OBJECT": self.cluster})

    @property
    def _title(self) -> str:
        return f"Region {self.number} of {self.cluster}" + (self.facts and f"\n{self.facts}")

    def _quantity(self, column: str) -> Quantity:
        return Quantity(float(self.row[column]), unit_of(column))

    def __repr__(self) -> str:
        parts: list[Any] = []
        for name, (low, high) in self.intervals.items():
            value = self.values[name]
            text = with_ends(float(value.value), float(low.value), float(high.value))
            parts.append(f"{name} {text} {value.unit}".rstrip())
        parts.append(f"goodness {self.goodness:+.1f}")
        if self.flags:
            parts.append(self.flags)
        return f"<RegionFit {self.number} of {self.cluster}: {'; '.join(parts)}>"


def region_line(one: OneRegion, bundle: Bundle, config: ClusterConfig) -> str:
    """Place and radius of a region, redshift, nH and abundance, on a line."""
    row, options = one.row, one.fit.options
    ra, dec = (float(at) for at in bundle.wcs.wcs_pix2world(row["col"], row["row"], 0))
    arcsec = float(row["radius"]) * bundle.pixel_scale_arcsec
    scale = kpc_per_arcsec(config)
    radius = f'radius {arcsec:.1f}"' + (f" = {arcsec * scale:.0f} kpc" if scale else "")
    frozen = [f"z = {bundle.redshift:g}"]
    if options.nH_bounds is None:
        frozen.append(rf"nH = {bundle.nH:g}$\times$10$^{{22}}$ cm$^{{-2}}$")
    if options.abundance_bounds is None:
        frozen.append(f"Z = {options.abundance:g} solar")
    return f"{position_text(ra, dec)} (ICRS), {radius}, {', '.join(frozen)}"
