"""The reference engine: fits of the same spectra and bins with Sherpa's own statistic, optimiser and `conf`.

Sherpa (Freeman, Doe & Siemiginowska 2001, Proc. SPIE 4477, 76) gets data, responses and models as objects
that are made for one fit, without files or a session, so that no state is carried from one region to the
next.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.reference.sherpa_models import FIRST_KT, load_sherpa, photon_model, silence
from pyxt_hpc.spectra.fit import FIT_DTYPE, PARAMETERS, FitOptions
from pyxt_hpc.spectra.spectrum import Spectrum
from pyxt_hpc.spectra.templates import SourceModel

log = logging.getLogger(__name__)

# Energy that replaces 0, as in Sherpa's own configuration.
_ZERO_ENERGY = 1e-10
_BOUND_TOLERANCE = 1e-4
# A norm below this gives less than a thousandth of a count in the longest exposure: no emission.
_NO_NORM = 1e-12
_UNUSED_QUALITY = 2


def fit_with_sherpa(
    spectra: Sequence[Spectrum],
    model: SourceModel,
    options: FitOptions,
) -> NDArray:
    """Fit one absorbed plasma model to the spectra of one region.

    Parameters
    ----------
    spectra
        Spectra of the observations that take part.
    model
        Source model; its nH is fixed or, if `options` has bounds for nH, the first guess.
    options
        Statistic, bounds and free parameters.

    Returns
    -------
    () FIT_DTYPE
        Result as of `fit.fit_regions` for one region. Ends of intervals are NaN if `conf` finds none.

    Raises
    ------
    MissingInput
        If Sherpa is not installed; the message says how to install it.
    """
    load_sherpa()
    row = np.zeros((), FIT_DTYPE)
    for name in ("statistic", *(f"{name}{end}" for name in PARAMETERS for end in ("", "_lo", "_hi"))):
        row[name] = np.nan
    with silence():
        sherpa = photon_model(model, options)
        row["dof"] = max(sum(spectrum.n_bin for spectrum in spectra) - len(sherpa.free), 0)
        if not any(spectrum.binned(spectrum.counts).any() for spectrum in spectra):
            row["flags"] = FitFlag.NO_COUNTS
            return row
        fit = _fit(spectra, sherpa.photons, options.statistic)
        _minimise(fit, sherpa, spectra)
        lo, hi = _intervals(fit)
        statistic = fit.calc_stat()
    if not np.isfinite(statistic) or sherpa.parameters["norm"].val < _NO_NORM:
        row["flags"] = FitFlag.NO_COUNTS if np.isfinite(statistic) else FitFlag.FAILED
        return row
    row["statistic"] = statistic
    flags = FitFlag(0)
    for name, parameter in sherpa.parameters.items():
        row[name] = parameter.val
        if name in sherpa.free:
            i = sherpa.free.index(name)
            row[f"{name}_lo"], row[f"{name}_hi"] = lo[i], hi[i]
            flags |= _flags(name, parameter, lo[i], hi[i])
    row["flags"] = flags
    return row


def sherpa_statistic(
    spectra: Sequence[Spectrum],
    values: NDArray,
    model: SourceModel,
    options: FitOptions,
) -> float:
    """Sherpa's statistic at given values (() FIT_DTYPE), for the model of `fit_with_sherpa`.

    NaN if there is nothing to fit or a value is NaN. The other arguments are those of `fit_with_sherpa`.
    """
    load_sherpa()
    with silence():
        sherpa = photon_model(model, options)
        if len(spectra) == 0 or not all(np.isfinite(values[name]) for name in sherpa.free):
            return float("nan")
        for name in sherpa.free:
            parameter = sherpa.parameters[name]
            # Sherpa refuses values that rounding has moved beyond a bound.
            parameter.val = float(np.clip(values[name], parameter.min, parameter.max))
        return float(_fit(spectra, sherpa.photons, options.statistic).calc_stat())


def _response(arf: Arf, rmf: Rmf) -> tuple[Any, Any]:
    """Sherpa's ARF and RMF; channels are always numbered from 1, as in `_data`."""
    sherpa = load_sherpa()
    zero = {"ethresh": _ZERO_ENERGY}
    return (
        sherpa.DataARF("arf", arf.energy_lo, arf.energy_hi, arf.area, **zero),
        sherpa.DataRMF(
            "rmf", rmf.n_channels, rmf.energy_lo, rmf.energy_hi, rmf.n_group, rmf.first_channel + 1,
            rmf.n_channel, rmf.matrix, offset=1, e_min=rmf.channel_lo_keV, e_max=rmf.channel_hi_keV, **zero,
        ),
    )  # fmt: skip


def _data(spectrum: Spectrum, statistic: str) -> Any:
    """Sherpa's spectrum: bins become its grouping, channels that are not fitted have bad quality."""
    sherpa = load_sherpa()
    bins = spectrum.bin_of_channel
    channel = np.arange(1, len(bins) + 1)
    used = bins >= 0
    first = np.concatenate([[True], np.diff(bins) != 0])
    # A bin continues after a bad channel within it.
    first[used] = np.concatenate([[True], np.diff(bins[used]) != 0])
    data = sherpa.DataPHA(
        spectrum.name, channel, spectrum.counts, exposure=spectrum.exposure_s, backscal=1.0,
        grouping=np.where(first | ~used, 1, -1), quality=np.where(used, 0, _UNUSED_QUALITY),
    )  # fmt: skip
    data.set_response(*_response(spectrum.arf, spectrum.rmf))
    # Only the product of area and exposure matters, so the ratio is put into the exposure.
    background = sherpa.DataPHA(
        "background",
        channel,
        spectrum.background,
        exposure=spectrum.exposure_s * spectrum.ratio,
        backscal=1.0,
    )
    data.set_background(background)
    data.ignore_bad()
    if statistic == "chi2gehrels":
        data.subtract()
    return data


def _folded(data: Any, spectrum: Spectrum, photons: Any, statistic: str) -> Any:
    """Model of expected counts per channel; for cstat, it includes the known background."""
    folded = load_sherpa().Response1D(data)(photons)
    return folded + spectrum.background / spectrum.ratio if statistic == "cstat" else folded


def _fit(spectra: Sequence[Spectrum], photons: Any, statistic: str) -> Any:
    """Sherpa's joint fit of all spectra."""
    sherpa = load_sherpa()
    data = [_data(spectrum, statistic) for spectrum in spectra]
    folded = [_folded(d, s, photons, statistic) for d, s in zip(data, spectra, strict=True)]
    return sherpa.Fit(
        sherpa.DataSimulFit("region", data),
        sherpa.SimulFitModel("region", folded),
        sherpa.statistics[statistic](),
        sherpa.LevMar(),
        sherpa.Confidence(),
    )


def _minimise(fit: Any, model: SimpleNamespace, spectra: Sequence[Spectrum]) -> None:
    """Set the parameters to the best of several fits from different temperatures, then refine it."""
    parameters = model.parameters
    net = sum(s.binned(s.counts).sum() - s.binned(s.background).sum() / s.ratio for s in spectra)
    first = {name: parameters[name].val for name in model.free}
    best, best_values = np.inf, list(fit.model.thawedpars)
    for kT in sorted({float(np.clip(kT, parameters["kT"].min, parameters["kT"].max)) for kT in FIRST_KT}):
        for name, value in {**first, "kT": kT, "norm": 1.0}.items():
            parameters[name].val = value
        # cstat's model includes background and is not proportional to the norm, but this is only a first
        # guess.
        predicted = fit.data.eval_model_to_fit(fit.model.parts).sum()
        parameters["norm"].val = max(net, 1.0) / predicted if predicted > 0 else 1.0
        with suppress(*load_sherpa().failures):
            result = fit.fit()
            if result.statval < best:
                best, best_values = result.statval, list(fit.model.thawedpars)
    fit.model.thawedpars = best_values
    # LevMar stops before bounds and at kinks of the model; NelderMead does not.
    fit.method = load_sherpa().NelderMead()
    with suppress(*load_sherpa().failures):
        fit.fit()
    fit.method = load_sherpa().LevMar()


def _intervals(fit: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the 68% intervals of the free parameters, NaN where conf finds none.

    If conf finds a better minimum, it starts again from there, and leaves the parameters at it.
    """
    n = len(fit.model.thawedpars)
    conf = fit.estmethod
    conf.parallel = False
    conf.soft_limits = True
    # Compute intervals for bad fits, too.
    conf.max_rstat = np.inf
    try:
        result = fit.est_errors()
    except load_sherpa().failures as error:
        log.debug("conf: %s", error)
        return np.full(n, np.nan), np.full(n, np.nan)
    best = np.array(result.parvals)
    lo, hi = (
        best + np.array([np.nan if offset is None else offset for offset in offsets], np.float64)
        for offsets in (result.parmins, result.parmaxes)
    )
    return lo, hi


def _flags(name: str, parameter: Any, lo: float, hi: float) -> FitFlag:
    """Flags of one free parameter."""
    width = _BOUND_TOLERANCE * (parameter.max - parameter.min)
    low, high = parameter.val <= parameter.min + width, parameter.val >= parameter.max - width
    states = {f"{name.upper()}_LO_OPEN": np.isnan(lo), f"{name.upper()}_HI_OPEN": np.isnan(hi)}
    if name == "kT":
        states |= {"AT_BOUND_LOW": low, "AT_BOUND_HIGH": high}
    elif name != "norm":
        states[f"{name.upper()}_AT_BOUND"] = low or high
    flags = FitFlag(0)
    for label, holds in states.items():
        if holds:
            flags |= FitFlag[label]
    return flags
