"""OGIP spectra made ready for one joint fit: the statistic that applies, and bins as wide as it needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyxt_hpc.chandra.ogip.pha import read_pha
from pyxt_hpc.fit.single.fit import default_statistic, merge_bins
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.ogip import load_spectrum
from pyxt_hpc.spectra.spectrum import Spectrum
from pyxt_hpc.spectra.templates import SourceModel


def prepare_fit(
    paths: Sequence[Path],
    model: SourceModel,
    *,
    energy_keV: tuple[float, float] = (0.7, 8.0),
    grouping: str | None = None,
    statistic: str | None = None,
    background: Path | str | None = None,
    arf: Path | str | None = None,
    rmf: Path | str | None = None,
    **options: Any,
) -> tuple[list[Spectrum], FitOptions]:
    """What `fit_single` or Sherpa takes of spectra in files.

    Parameters
    ----------
    energy_keV
        Band [keV].
    grouping
        As in `load_spectrum`; bins by the resolution become wider where wstat's background has few counts.
    statistic
        None: wstat, or cstat where a spectrum has no background.
    background, arf, rmf
        As in `load_spectrum`.
    **options
        Other fields of `FitOptions`.

    Raises
    ------
    PyxtError
        As `load_spectrum`.
    """
    low, high = energy_keV
    files = {"background": background, "arf": arf, "rmf": rmf}
    spectra = [
        load_spectrum(path, energy_min=low, energy_max=high, grouping=grouping, **files) for path in paths
    ]
    chosen = FitOptions(statistic=statistic or default_statistic(spectra), **options)
    by_resolution = grouping == "resolution" or (
        grouping is None and all(read_pha(path).grouping is None for path in paths)
    )
    if by_resolution and chosen.statistic == "wstat":
        spectra = merge_bins(spectra, model, chosen)
    return spectra, chosen
