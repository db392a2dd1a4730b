"""Fits of many regions: an absorbed APEC model with free kT and norm, and optionally free abundance and nH.

`fit_temperature` (kT and norm) or `fit_free` (more parameters) fit one region after the other; this module
has their common options, model, checks and results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.arrays.compiled import kernel
from pyxt_hpc.arrays.interpolate import bracket
from pyxt_hpc.arrays.views import read_only
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.spectra.kernels import descent, fit_free, fit_temperature
from pyxt_hpc.spectra.kernels.bins import FitBins, load
from pyxt_hpc.spectra.kernels.fit_free import fit_with_more_free
from pyxt_hpc.spectra.kernels.fit_temperature import fit_kT_and_norm
from pyxt_hpc.spectra.kernels.outcome import FAILED, N_NUMBERS, NO_COUNTS
from pyxt_hpc.spectra.kernels.statistics import STATISTICS

PARAMETERS = ("kT", "norm", "abundance", "nH")
"""Parameters of the model; each has a value and two ends in FIT_DTYPE."""

_NUMBERS = (*(f"{name}{end}" for name in PARAMETERS for end in ("", "_lo", "_hi")), "statistic")

FIT_COLUMNS = [*_NUMBERS, "dof", "flags"]
FIT_DTYPE = np.dtype([(name, np.float64) for name in _NUMBERS] + [("dof", np.int32), ("flags", np.int32)])
"""Result of one region: kT [keV], norm [XSPEC's apec norm], abundance [solar], nH [1e22 cm^-2], each with the
ends of its 68% interval (NaN if open, or if the parameter is frozen)."""


@dataclass(frozen=True, eq=False)
class ModelGrid:
    """Count rates of the model at norm 1, in the concatenated bins of all observations.

    Parameters
    ----------
    kT
        (n_kT,) temperatures [keV], ascending; the model is linear between them.
    nH
        (n_nH,) column densities [1e22 cm^-2], ascending; a single one if nH is frozen.
    hhe, metals
        (n_nH, n_kT, n_bin) rates of H and He, and of metals at abundance 1 [count s^-1].
    """

    kT: NDArray[np.float64]
    nH: NDArray[np.float64]
    hhe: NDArray[np.float64]
    metals: NDArray[np.float64]

    def only(self, chosen: NDArray[np.bool_]) -> ModelGrid:
        """The model in chosen bins (n_bin,)."""
        return replace(self, hhe=self.hhe[..., chosen], metals=self.metals[..., chosen])


@dataclass(frozen=True)
class FitOptions:
    """Statistic, free parameters and bounds of fits.

    Parameters
    ----------
    statistic
        One of `statistics.STATISTICS`. ``cstat`` takes background / ratio as the known background.
    abundance
        Frozen abundance, or first guess of a free one [solar].
    abundance_bounds
        Lowest and highest abundance; None freezes it.
    nH_bounds
        Lowest and highest nH [1e22 cm^-2], within the grid; None freezes it.
    kT_bounds
        Lowest and highest kT [keV], within the grid; None is the whole grid.
    """

    statistic: str = "wstat"
    abundance: float = 0.3
    abundance_bounds: tuple[float, float] | None = None
    nH_bounds: tuple[float, float] | None = None
    kT_bounds: tuple[float, float] | None = None

    @property
    def free(self) -> tuple[str, ...]:
        """Those of `PARAMETERS` that are fitted."""
        bounds = {"abundance": self.abundance_bounds, "nH": self.nH_bounds}
        return tuple(name for name in PARAMETERS if name not in bounds or bounds[name] is not None)


def fit_regions(
    source: ArrayLike,
    background: ArrayLike,
    weight: ArrayLike,
    ratio: ArrayLike,
    model: ModelGrid,
    options: FitOptions,
    bins: ArrayLike | None = None,
) -> NDArray:
    """Fit many regions.

    Parameters
    ----------
    source, background : (n_reg, n_bin)
        Counts of the source and background spectra, in the concatenated bins of all observations.
    weight : (n_reg, n_bin)
        Effective exposure [s], including vignetting; 0 excludes the bin from the fit.
    ratio : (n_reg, n_bin)
        Exposure of the background spectrum over that of the source; not used where weight is 0.
    bins : (n_wide + 1,), optional
        Edges of wider bins, in which counts and the weighted model are summed before the fit; all bins within
        a wide bin must have the same ratio, and either all or none weight 0. None: bins as given.

    Returns
    -------
    (n_reg,) FIT_DTYPE
        The row of a region depends only on that region. A region that cannot be fitted has NaN in every
        number, and the reason in `flags` (bits of the kernels, named by `pyxt_hpc.fit.flags`).

    Raises
    ------
    ConfigError
        If shapes disagree, rates are negative or not finite, kT or nH do not ascend, or bounds are reversed
        or outside the grid.
    """
    kT, hhe, metals = (read_only(a) for a in _checked(model, options))
    spectra = tuple(
        read_only(np.ascontiguousarray(a, np.float64)) for a in (source, background, weight, ratio)
    )
    shape = spectra[0].shape
    if len(shape) != 2 or shape[1] != hhe.shape[2] or any(a.shape != shape for a in spectra):
        shapes = [a.shape for a in spectra]
        raise ConfigError(
            f"spectra to fit: found shapes {shapes}, expected four times (n_reg, {hhe.shape[2]})"
        )
    edges = np.arange(shape[1] + 1) if bins is None else np.ascontiguousarray(bins, np.int64)
    if edges[0] != 0 or edges[-1] != shape[1] or np.any(np.diff(edges) < 1):
        raise ConfigError(
            f"wide bins: found edges {edges[0]} ... {edges[-1]}, expected 0 ... {shape[1]} ascending"
        )
    n_wide = len(edges) - 1
    spectrum = FitBins.empty(STATISTICS.index(options.statistic), read_only(edges))
    numbers = np.full((shape[0], N_NUMBERS), np.nan)
    integers = np.zeros((shape[0], 2), np.int32)
    if options.free == ("kT", "norm"):
        rates = read_only(np.ascontiguousarray(hhe[0] + options.abundance * metals[0]))
        scratch = np.empty((len(kT), n_wide)), np.empty((len(kT), fit_temperature.N_COLUMNS))
        _fit_batch(spectra, spectrum, rates, kT, *scratch, numbers, integers)
    else:
        abundance = options.abundance_bounds or (options.abundance, options.abundance)
        nH = options.nH_bounds or (float(model.nH[0]), float(model.nH[0]))
        first = min(max(options.abundance, abundance[0]), abundance[1])
        free = descent.FreeModel(
            hhe,
            metals,
            nH=read_only(np.ascontiguousarray(model.nH, np.float64)),
            limits=np.array([*abundance, first, *nH]),
            rates=np.empty((descent.N_RATES, n_wide)),
            vectors=np.empty((descent.N_VECTORS, 4)),
        )
        nodes = np.empty((len(kT), fit_free.N_COLUMNS))
        _fit_free_batch(spectra, spectrum, free, kT, nodes, numbers, integers)
    out = np.zeros(shape[0], FIT_DTYPE)
    for i, name in enumerate(_NUMBERS):
        out[name] = numbers[:, i]
    out["dof"] = np.maximum(integers[:, 0] - len(options.free), 0)
    out["flags"] = integers[:, 1]
    fitted = np.isfinite(out["kT"])
    if options.abundance_bounds is None:
        out["abundance"] = np.where(fitted, options.abundance, np.nan)
    if options.nH_bounds is None:
        out["nH"] = np.where(fitted, model.nH[0], np.nan)
    return out


def expected_rates(model: ModelGrid, fits: NDArray) -> NDArray[np.float64]:
    """Count rates of fitted models at norm 1 [count s^-1].

    Parameters
    ----------
    fits : (n_reg,) FIT_DTYPE

    Returns
    -------
    (n_reg, n_bin)
        Rates; NaN for regions that could not be fitted.
    """
    usable = np.isfinite(fits["kT"])
    kT = np.where(usable, fits["kT"], model.kT[0])
    k, t = bracket(model.kT, kT)
    abundance = fits["abundance"][:, None]
    rates = np.zeros((len(fits), model.hhe.shape[2]))
    for j, share in _column_shares(model.nH, np.where(usable, fits["nH"], model.nH[0])):
        for node, part in ((k, 1 - t), (k + 1, t)):
            rates += (share * part)[:, None] * (model.hhe[j, node] + abundance * model.metals[j, node])
    rates[~usable] = np.nan
    return rates


def _column_shares(
    columns: NDArray[np.float64], nH: NDArray[np.float64]
) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Indices of the columns around an nH, and their weights in Lagrange's polynomial."""
    if len(columns) == 1:
        return [(np.zeros(len(nH), np.int64), np.ones(len(nH)))]
    first = np.clip(np.searchsorted(columns, nH) - 2, 0, len(columns) - 4)
    shares = []
    for a in range(4):
        value = np.ones(len(nH))
        for b in range(4):
            if a != b:
                value *= (nH - columns[first + b]) / (columns[first + a] - columns[first + b])
        shares.append((first + a, value))
    return shares


def _checked(
    model: ModelGrid, options: FitOptions
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Temperatures and rates within the bounds of kT."""
    kT, nH = (np.ascontiguousarray(a, np.float64) for a in (model.kT, model.nH))
    hhe, metals = (np.ascontiguousarray(a, np.float64) for a in (model.hhe, model.metals))
    if kT.ndim != 1 or len(kT) < 2 or not np.all(np.diff(kT) > 0):
        raise ConfigError(
            f"kT of the templates: found shape {kT.shape}, expected 2 or more ascending temperatures"
        )
    if nH.ndim != 1 or len(nH) < 1 or not np.all(np.diff(nH) > 0):
        raise ConfigError(f"nH of the templates: found shape {nH.shape}, expected ascending columns")
    for name, rates in (("hhe", hhe), ("metals", metals)):
        if rates.ndim != 3 or rates.shape[:2] != (len(nH), len(kT)) or rates.shape != hhe.shape:
            raise ConfigError(
                f"templates {name}: found shape {rates.shape}, expected ({len(nH)}, {len(kT)}, n_bin)"
            )
        if not (np.all(np.isfinite(rates)) and np.all(rates >= 0)):
            raise ConfigError(
                f"templates {name}: found rates that are negative or not finite; look for such values in the "
                "ARF and RMF and make them again"
            )
    if options.statistic not in STATISTICS:
        raise ConfigError(f"statistic is {options.statistic!r}, expected one of {', '.join(STATISTICS)}")
    if not 0.0 <= options.abundance < np.inf:
        raise ConfigError(f"abundance is {options.abundance}, expected 0 or more")
    if (len(nH) > 1) != (options.nH_bounds is not None):
        raise ConfigError(f"{len(nH)} columns in the templates, but nH_bounds = {options.nH_bounds}")
    limits = {
        "kT": (options.kT_bounds, kT[0], kT[-1]),
        "abundance": (options.abundance_bounds, 0.0, np.inf),
        "nH": (options.nH_bounds, nH[0], nH[-1]),
    }
    for name, (bounds, lowest, highest) in limits.items():
        if bounds is not None and not lowest <= bounds[0] < bounds[1] <= highest:
            raise ConfigError(
                f"bounds of {name}: found {bounds[0]:g} to {bounds[1]:g}, expected two ascending values "
                f"within {lowest:.4g} to {highest:.4g}"
            )
    if options.kT_bounds is None:
        return kT, hhe, metals
    # The model is linear between temperatures, so the bounds can become nodes.
    lo, hi = options.kT_bounds
    inside = np.concatenate([[lo], kT[(kT > lo) & (kT < hi)], [hi]])
    k, t = bracket(kT, inside)
    t = t[:, None]
    hhe, metals = ((1 - t) * rates[:, k] + t * rates[:, k + 1] for rates in (hhe, metals))
    return inside, np.ascontiguousarray(hhe), np.ascontiguousarray(metals)


@kernel
def _fit_batch(spectra, bins, templates, kT, rates, nodes, numbers, integers):  # type: ignore[no-untyped-def]
    """Fit kT and norm of regions one after the other with the same scratch arrays."""
    source, background, weight, ratio = spectra
    for region in range(source.shape[0]):
        flags, n_used, counts = load(bins, source[region], background[region], weight[region], ratio[region])
        if flags == 0:
            flags = fit_kT_and_norm(bins, counts, templates, rates, nodes, kT, numbers[region])
        if flags & (FAILED | NO_COUNTS):
            numbers[region, :] = np.nan
        integers[region, 0], integers[region, 1] = n_used, flags


@kernel
def _fit_free_batch(spectra, bins, model, kT, nodes, numbers, integers):  # type: ignore[no-untyped-def]
    """Fit more parameters of regions one after the other with the same scratch arrays."""
    source, background, weight, ratio = spectra
    for region in range(source.shape[0]):
        flags, n_used, counts = load(bins, source[region], background[region], weight[region], ratio[region])
        if flags == 0:
            flags = fit_with_more_free(bins, counts, model, kT, nodes, numbers[region])
        if flags & (FAILED | NO_COUNTS):
            numbers[region, :] = np.nan
        integers[region, 0], integers[region, 1] = n_used, flags
