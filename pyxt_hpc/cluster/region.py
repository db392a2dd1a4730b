"""Fit of one region: parameters with intervals, spectrum and picture."""

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
    """The fit of one region, with the same values as in the maps.

    Attributes
    ----------
    cluster : str
        Name of the cluster.
    one : OneRegion
        Row of the results store, the spectra, and their fit for pictures.
    facts : str
        Position, radius, redshift and frozen parameters, for the picture.
    """

    cluster: str
    one: OneRegion
    facts: str = ""

    @property
    def number(self) -> int:
        """Number of the region."""
        return int(self.one.row["region"])

    @property
    def row(self) -> np.ndarray:
        """Fit as a row of the results store."""
        return self.one.row

    @property
    def values(self) -> dict[str, Quantity]:
        """Best-fit kT, norm, abundance and nH; NaN without a fit."""
        return {name: self._quantity(name) for name in PARAMETERS}

    @property
    def intervals(self) -> dict[str, tuple[Quantity, Quantity]]:
        """Both ends of the 68% interval of every free parameter; an open end is NaN."""
        return {
            name: (self._quantity(f"{name}_lo"), self._quantity(f"{name}_hi"))
            for name in self.one.fit.options.free
        }

    @property
    def goodness(self) -> float:
        """Statistic minus its expectation, in standard deviations (Kaastra 2017)."""
        return float(self.row["goodness"])

    @property
    def flags(self) -> str:
        """Names of the flags of the fit; empty without flags."""
        return flag_names(int(self.row["flags"]))

    @property
    def spectrum(self) -> QTable:
        """Spectra and best model of all fitted datasets, in the bins of the fit.

        Returns
        -------
        astropy.table.QTable
            One row for each bin: dataset, edges of the bin, counts, and the expected counts of the background
            and of the source.
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
        """Draw data, model and background in the upper panel and residuals in the lower one.

        Parameters
        ----------
        figure
            Empty figure; None: a new figure of pyplot, which notebooks show automatically.
        """
        from pyxt_hpc.plots.figures import shown_figure
        from pyxt_hpc.plots.spectra import SIZE, draw_spectrum_on

        return shown_figure(figure, SIZE, draw_spectrum_on, self.one.fit, self._title)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture of `plot` as a PNG file and return its path."""
        from pyxt_hpc.plots.spectra import draw_spectrum

        draw_spectrum(Path(path), self.one.fit, self._title)
        return Path(path)

    def write_spectra(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the spectra for XSPEC and Sherpa into a folder.

        Returns
        -------
        list of Path
            One spectrum for each dataset. Its header names the files of its background, ARF and RMF in the
            same folder; its column GROUPING has the bins of the fit, and the ARF is valid for the region.
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
    """One line with position and radius of a region, redshift, and nH and abundance if they are frozen."""
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
