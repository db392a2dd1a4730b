"""Sherpa's classes, and the absorbed plasma as a Sherpa model.

The model is XSPEC's if Sherpa has a working XSPEC, else this package's plasma and absorption; `which_model`
says which. XSPEC without its data files can be imported but returns zeros, so it counts as working only if
its apec gives photons.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.interpolate import bracket
from pyxt_hpc.errors import MissingInput
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import load_plasma
from pyxt_hpc.spectra.templates import SourceModel

FIRST_KT = (2.0, 5.0, 10.0)
"""First guesses of the temperature [keV]; the best fit is used."""

# Column density [1e22 cm^-2] from which the opacity is computed: large enough for hard photons, small enough
# for soft.
_THIN = 0.01


def which_model() -> str:
    """Name the plasma and absorption models of `fit_with_sherpa`, and why they are not XSPEC's.

    Raises
    ------
    MissingInput
        If Sherpa is not installed.
    """
    load_sherpa()
    xspec, reason = load_xspec()
    if xspec is not None:
        return f"XSPEC {xspec.get_xsversion()}'s apec and absorption, through Sherpa"
    return f"this package's APEC and absorption tables as Sherpa models ({reason})"


@lru_cache
def load_sherpa() -> SimpleNamespace:
    """Sherpa's classes that are needed, imported at first use."""
    try:
        with silence():
            from sherpa.astro.data import DataARF, DataPHA, DataRMF
            from sherpa.astro.instrument import Response1D
            from sherpa.data import DataSimulFit
            from sherpa.estmethods import Confidence
            from sherpa.fit import Fit
            from sherpa.models.basic import UserModel
            from sherpa.models.model import SimulFitModel
            from sherpa.models.parameter import Parameter
            from sherpa.optmethods import LevMar, NelderMead
            from sherpa.stats import Chi2Gehrels, CStat, WStat
            from sherpa.utils.err import SherpaErr
    except ImportError as error:
        raise MissingInput(
            f"the engine `sherpa` needs Sherpa, which cannot be imported here ({error}): "
            "pip install 'pyxt_hpc[sherpa]' (`pyxt-hpc help statistics` lists what it must find to compile)"
        ) from error
    classes = (
        *(DataARF, DataPHA, DataRMF, Response1D, DataSimulFit, SimulFitModel, UserModel, Parameter),
        *(Fit, Confidence, LevMar, NelderMead),
    )
    return SimpleNamespace(
        **{kind.__name__: kind for kind in classes},
        # Errors of a single fit, which get a flag.
        failures=(SherpaErr, ArithmeticError, ValueError),
        statistics={"wstat": WStat, "cstat": CStat, "chi2gehrels": Chi2Gehrels},
    )


@lru_cache
def load_xspec() -> tuple[Any, str]:
    """Sherpa's XSPEC module, or None and the reason if its apec gives no photons."""
    try:
        with silence():
            from sherpa.astro import xspec

            edges = np.linspace(0.5, 8.0, 16)
            photons = xspec.XSapec("probe")(edges[:-1], edges[1:])
    except Exception as error:  # an incomplete XSPEC may raise anything
        return None, f"Sherpa has no XSPEC here: {' '.join(str(error).split()) or type(error).__name__}"
    if not (np.all(np.isfinite(photons)) and photons.sum() > 0):
        return None, "XSPEC is here but its apec gives no photons; check HEADAS and its spectral data"
    return xspec, ""


@contextmanager
def silence() -> Iterator[None]:
    """Suppress Sherpa's messages and numerical warnings."""
    logger = logging.getLogger("sherpa")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def photon_model(model: SourceModel, options: FitOptions) -> SimpleNamespace:
    """Photon model, its parameters by this package's names, and the ordered names of the free ones."""
    xspec, _ = load_xspec()
    if xspec is not None:
        xspec.set_xschatter(0)
        xspec.set_xsabund(model.abundance_table)
        xspec.set_xsxsect("bcmc")
        absorber = {"phabs": xspec.XSphabs, "tbabs": xspec.XSTBabs}[model.absorption]("absorber")
        plasma = xspec.XSapec("plasma")
    else:
        absorber, plasma = table_models(model.absorption, model.abundance_table)
    kT_bounds = options.kT_bounds or (load_plasma().kT[0], load_plasma().kT[-1])
    plasma.Redshift.val = model.redshift
    _set(plasma.kT, float(np.clip(FIRST_KT[1], *kT_bounds)), kT_bounds)
    _set(plasma.Abundanc, options.abundance, options.abundance_bounds)
    _set(absorber.nH, model.nH, options.nH_bounds)
    parameters = {"kT": plasma.kT, "norm": plasma.norm, "abundance": plasma.Abundanc, "nH": absorber.nH}
    photons = absorber * plasma
    free = [name for p in photons.pars for name, q in parameters.items() if p is q and not p.frozen]
    return SimpleNamespace(photons=photons, parameters=parameters, free=free)


def _set(parameter: Any, value: float, bounds: tuple[float, float] | None) -> None:
    """Give a parameter its bounds and free it, or freeze it without bounds."""
    parameter.frozen = bounds is None
    if bounds is None:
        parameter.val = value
    else:
        parameter.set(val=float(np.clip(value, *bounds)), min=bounds[0], max=bounds[1])


def table_models(absorption: str, abundance_table: str) -> tuple[Any, Any]:
    """This package's absorber and plasma as Sherpa models with XSPEC's parameters."""
    sherpa = load_sherpa()
    huge = 1e24
    absorber = sherpa.UserModel("absorber", (sherpa.Parameter("absorber", "nH", 0.0, 0.0, 1e6, 0.0, 1e6),))
    plasma = sherpa.UserModel(
        "plasma",
        (
            sherpa.Parameter("plasma", "kT", 1.0, 0.008, 64.0, 0.008, 64.0),
            sherpa.Parameter("plasma", "Abundanc", 1.0, 0.0, 1e3, 0.0, 1e3, frozen=True),
            sherpa.Parameter("plasma", "Redshift", 0.0, -0.999, 20.0, -0.999, 20.0, frozen=True),
            sherpa.Parameter("plasma", "norm", 1.0, 0.0, huge, 0.0, huge),
        ),
    )

    def absorbed(p: Sequence[float], lo: NDArray, hi: NDArray, *_: Any, **__: Any) -> NDArray:
        return np.exp(-p[0] * _opacity(np.append(lo, hi[-1]).tobytes(), absorption, abundance_table))

    def emitted(p: Sequence[float], lo: NDArray, hi: NDArray, *_: Any, **__: Any) -> NDArray:
        kT, hhe, metals = _plasma(np.append(lo, hi[-1]).tobytes(), float(p[2]), abundance_table)
        k, t = bracket(kT, p[0])
        lower, upper = (hhe[i] + p[1] * metals[i] for i in (k, k + 1))
        return p[3] * ((1.0 - t) * lower + t * upper)

    absorber.calc, plasma.calc = absorbed, emitted
    return absorber, plasma


# Cached, because the energy grids that Sherpa asks for are few in a whole cluster.
@lru_cache(maxsize=64)
def _opacity(edges: bytes, absorption: str, abundance_table: str) -> NDArray[np.float64]:
    """Optical depth (n_energy,) at nH = 1 of bins between edges (the bytes of float64)."""
    through = transmission(np.frombuffer(edges), _THIN, absorption, abundance_table=abundance_table)
    return -np.log(through) / _THIN


@lru_cache(maxsize=64)
def _plasma(edges: bytes, redshift: float, abundance_table: str) -> tuple[NDArray, NDArray, NDArray]:
    """Temperatures (n_kT,) and the two components (n_kT, n_energy) of `PlasmaTable.components`."""
    table = load_plasma()
    return (table.kT, *table.components(np.frombuffer(edges), redshift, abundance_table))
