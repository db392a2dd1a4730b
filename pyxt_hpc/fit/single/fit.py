"""Fit of one region with its spectra, the best model and the statistic in each bin.

`fit_regions` fits thousands of regions and returns only one row for each; this module adds the details that a
plot or table of one region needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.ogip.response import fold
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.extraction.background import expected_background
from pyxt_hpc.fit.flags import quality_flags
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid, fit_regions
from pyxt_hpc.spectra.goodness import goodness, moments, statistic_per_bin
from pyxt_hpc.spectra.grouping import choose_level, levels_of_fit
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import apec
from pyxt_hpc.spectra.spectrum import Spectrum
from pyxt_hpc.spectra.templates import SourceModel, Templates, column_grid


@dataclass(frozen=True, eq=False)
class FittedSpectrum:
    """Spectrum of one observation in a fit; all arrays are (n_bin,).

    Attributes
    ----------
    spectrum : Spectrum
    counts, background : float64
        Observed counts of the source and background spectra; for cstat, `background` is `background_model`.
    background_model : float64
        Expected counts of the background spectrum, without its noise.
    model : float64
        Expected counts of the source, without background.
    statistic : float64
        Contribution of each bin to the statistic.
    """

    spectrum: Spectrum
    counts: NDArray[np.float64]
    background: NDArray[np.float64]
    background_model: NDArray[np.float64]
    model: NDArray[np.float64]
    statistic: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SingleFit:
    """Fit of the spectra of one region.

    Attributes
    ----------
    row : () FIT_DTYPE
        Row of `fit_regions`, with `quality_flags`.
    goodness : float
        Standard deviations of the statistic above its expectation (`goodness.goodness`).
    options : FitOptions
    observations : tuple of FittedSpectrum
    """

    row: np.ndarray
    goodness: float
    options: FitOptions
    observations: tuple[FittedSpectrum, ...]


def fit_single(
    spectra: Sequence[Spectrum],
    model: SourceModel,
    options: FitOptions,
    *,
    background_shapes: Sequence[NDArray[np.float64]] | None = None,
) -> SingleFit:
    """Fit an absorbed plasma model to the spectra of one region, by `fit_regions`.

    cstat needs a known background, and uses its smooth expectation; other statistics use the observed counts.

    Parameters
    ----------
    spectra : sequence of Spectrum
        Spectra of the observations that take part.
    model : SourceModel
        Source model; its nH is not used if `options` has bounds for nH.
    options : FitOptions
        Statistic, bounds and free parameters.
    background_shapes : sequence of (n_channels,), optional
        For each spectrum, background counts of a larger area, which are scaled to the region to give the
        expected background. Default: the smoothed background of the spectrum.

    Raises
    ------
    ConfigError
        If there are no spectra, options are invalid, or a model or table is unknown.
    """
    if not spectra:
        raise ConfigError("nothing to fit: found no spectra, expected one or more; choose another region")
    columns = np.array([model.nH]) if options.nH_bounds is None else column_grid(options.nH_bounds)
    templates = [[replace(model, nH=column).fold(s.arf, s.rmf) for column in columns] for s in spectra]
    shapes = background_shapes if background_shapes is not None else [None] * len(spectra)
    counts = [s.binned(s.counts) for s in spectra]
    smooth = [expected_background(s, shape) for s, shape in zip(spectra, shapes, strict=True)]
    known = options.statistic == "cstat"
    background = smooth if known else [s.binned(s.background) for s in spectra]
    n_bin = [s.n_bin for s in spectra]
    weight = np.repeat([s.exposure_s for s in spectra], n_bin)
    ratio = np.repeat([s.ratio for s in spectra], n_bin)
    row = fit_regions(
        np.concatenate(counts)[None],
        np.concatenate(background)[None],
        weight[None],
        ratio[None],
        _grid(spectra, templates, columns),
        options,
    )[0]
    expected = [_source_counts(s, row, model) for s in spectra]
    z = goodness(
        [row["statistic"]],
        len(options.free),
        np.concatenate(expected)[None],
        np.concatenate(smooth)[None],
        weight[None],
        moments(options.statistic, ratio),
    )
    total = np.concatenate(counts).sum(keepdims=True)
    from_background = (np.concatenate(smooth) / ratio).sum(keepdims=True)
    row["flags"] |= quality_flags(total, from_background, z)[0]
    return SingleFit(
        row=row,
        goodness=float(z[0]),
        options=options,
        observations=tuple(
            FittedSpectrum(s, S, B, b, m, statistic_per_bin(options.statistic, S, B, m, s.ratio))
            for s, S, B, b, m in zip(spectra, counts, background, smooth, expected, strict=True)
        ),
    )


def default_statistic(spectra: Sequence[Spectrum]) -> str:
    """wstat if all spectra have background counts, else cstat."""
    return "wstat" if all(s.binned(s.background).any() for s in spectra) else "cstat"


def merge_bins(spectra: Sequence[Spectrum], model: SourceModel, options: FitOptions) -> list[Spectrum]:
    """Merge bins of one region's spectra as wstat needs (`choose_level`); arguments as in `fit_single`."""
    level = int(choose_level([s.binned(s.background).sum() for s in spectra]))
    columns = np.array([model.nH])
    if options.nH_bounds is not None:
        columns = column_grid(options.nH_bounds)
        nearest = int(np.abs(columns - model.nH).argmin())
        columns = columns[max(nearest - 1, 0) : nearest + 2]
    merged = []
    for spectrum in spectra:
        folded = [replace(model, nH=column).fold(spectrum.arf, spectrum.rmf) for column in columns]
        hhe, metals = (
            np.stack([spectrum.binned(rates) for rates in one])
            for one in ([f.hhe for f in folded], [f.metals for f in folded])
        )
        background = expected_background(spectrum)
        edges = levels_of_fit(folded[0].kT, columns, hhe, metals, background, model.nH, options)[level]
        bins = spectrum.bin_of_channel
        wide = np.searchsorted(edges, bins, side="right") - 1
        merged.append(replace(spectrum, bin_of_channel=np.where(bins >= 0, wide, -1).astype(np.int16)))
    return merged


def _grid(
    spectra: Sequence[Spectrum], templates: Sequence[Sequence[Templates]], columns: NDArray[np.float64]
) -> ModelGrid:
    def side_by_side(component: str) -> NDArray[np.float64]:
        rates = [
            np.stack([s.binned(getattr(one, component)) for one in folded])
            for s, folded in zip(spectra, templates, strict=True)
        ]
        return np.concatenate(rates, axis=-1)

    return ModelGrid(templates[0][0].kT, columns, side_by_side("hhe"), side_by_side("metals"))


def _source_counts(spectrum: Spectrum, row: np.ndarray, model: SourceModel) -> NDArray[np.float64]:
    """Expected counts of the best model in each bin; 0 if the region could not be fitted."""
    if not np.isfinite(row["kT"]):
        return np.zeros(spectrum.n_bin)
    edges = np.append(spectrum.rmf.energy_lo, spectrum.rmf.energy_hi[-1])
    kT, abundance, nH = (float(row[name]) for name in ("kT", "abundance", "nH"))
    photons = apec(edges, kT, abundance, model.redshift, model.abundance_table)
    through = transmission(edges, nH, model.absorption, abundance_table=model.abundance_table)
    rate = spectrum.binned(fold(photons * through, spectrum.arf, spectrum.rmf))
    return float(row["norm"]) * spectrum.exposure_s * rate
