"""Joint fit of shells of gas to the spectra of all annuli, through the projection matrix."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from pyxt_hpc.parallel.progress import counted
from pyxt_hpc.profiles.annulus_spectra import AnnulusSpectra
from pyxt_hpc.spectra.goodness import statistic_per_bin

FloatArray = NDArray[np.float64]

_FAINTEST = 1e-6
"""Lower limit of norms, over the largest norm; a norm at the limit means no emission."""

_MAX_ITERATIONS = 200
_TOLERANCE = 1e-4
"""Smallest decrease of the statistic before the search ends; a 68% interval corresponds to 1."""

_MAX_STEP = 1.0
_TINY = 1e-100


@dataclass(frozen=True, eq=False)
class Shells:
    """Gas in shells; arrays are (n,) for the best fit, (n_draw, n) for draws.

    Parameters
    ----------
    norm
        XSPEC's apec norm of the whole shell.
    kT
        Temperature [keV].
    abundance
        Abundance [solar].
    """

    norm: FloatArray
    kT: FloatArray
    abundance: FloatArray


@dataclass(frozen=True, eq=False)
class Deprojection:
    """The fit of all shells.

    Parameters
    ----------
    best
        Shells of the best fit.
    draws
        Shells fitted to spectra drawn from the best model.
    no_emission
        (n,) whether a shell has no emission; its temperature and abundance are then undefined.
    no_emission_drawn
        (n_draw, n) the same for every draw.
    statistic, n_bins, n_free
        Statistic, number of bins and of free parameters of the best fit.
    """

    best: Shells
    draws: Shells
    no_emission: NDArray[np.bool_]
    no_emission_drawn: NDArray[np.bool_]
    statistic: float
    n_bins: int
    n_free: int


@dataclass(frozen=True, eq=False)
class ShellFit:
    """Statistic of shells of gas and its minimisation.

    Parameters
    ----------
    spectra
        Spectra of n annuli.
    projection
        (n, n) fraction of each shell's emission in each annulus.
    smoothing
        Weight of the squares of second differences of ln kT in the statistic; 0: no smoothing.
    """

    spectra: AnnulusSpectra
    projection: FloatArray
    smoothing: float = 0.0

    @property
    def _n(self) -> int:
        return len(self.projection)

    @property
    def _statistic(self) -> str:
        # chi2gehrels is not used because it is biased, and outer annuli of few counts affect all inner
        # shells.
        return "cstat" if self.spectra.options.statistic == "cstat" else "wstat"

    def bounds(self, largest_norm: float) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest parameters: ln norm, ln kT, and abundance if it is free."""
        options, kT = self.spectra.options, self.spectra.kT
        low_kT, high_kT = options.kT_bounds or (kT[0], kT[-1])
        one = np.ones(self._n)
        sides = [
            [np.log(_FAINTEST * largest_norm) * one, np.log(low_kT) * one],
            [np.log(1e3 * largest_norm) * one, np.log(high_kT) * one],
        ]
        if options.abundance_bounds is not None:
            for side, bound in zip(sides, options.abundance_bounds, strict=True):
                side.append(bound * one)
        return np.concatenate(sides[0]), np.concatenate(sides[1])

    def shells(self, p: FloatArray) -> Shells:
        """Shells with parameters (n_parameter,)."""
        parts = p.reshape(-1, self._n)
        frozen = np.full(self._n, self.spectra.options.abundance)
        return Shells(np.exp(parts[0]), np.exp(parts[1]), parts[2] if len(parts) > 2 else frozen)

    @cached_property
    def _seen(self) -> FloatArray:
        """(n, n_bin) fraction of every shell's emission in the annulus of every bin."""
        return np.ascontiguousarray(self.projection[self.spectra.annulus].T)

    @cached_property
    def _rates(self) -> FloatArray:
        """(n_kT, n_bin) expected counts at norm 1 and the frozen abundance."""
        return self.spectra.hhe + self.spectra.options.abundance * self.spectra.metals

    def _model(self, p: FloatArray) -> tuple[Shells, FloatArray, FloatArray, FloatArray | None]:
        """Shells; their counts (n, n_bin) at norm 1; derivatives by kT, and by abundance if it is free."""
        s, shells = self.spectra, self.shells(p)
        k = np.clip(np.searchsorted(s.kT, shells.kT, side="right") - 1, 0, len(s.kT) - 2)
        width, above = (s.kT[k + 1] - s.kT[k])[:, None], (shells.kT - s.kT[k])[:, None]
        if len(p) == 2 * self._n:
            below, by_kT, metals = self._rates[k], (self._rates[k + 1] - self._rates[k]) / width, None
        else:
            Z = shells.abundance[:, None]
            below = s.hhe[k] + Z * s.metals[k]
            by_kT = (s.hhe[k + 1] + Z * s.metals[k + 1] - below) / width
            metals = s.metals[k] + above / width * (s.metals[k + 1] - s.metals[k])
        return shells, below + above * by_kT, by_kT, metals

    def expected(self, p: FloatArray) -> FloatArray:
        """Expected source counts (n_bin,)."""
        shells, rates, _, _ = self._model(p)
        return np.einsum("j,jb,jb->b", shells.norm, self._seen, rates)

    def derivatives(self, p: FloatArray) -> FloatArray:
        """Derivatives of the expected counts by every parameter, (n_parameter, n_bin)."""
        shells, rates, by_kT, metals = self._model(p)
        amount = self._seen * shells.norm[:, None]
        by_parameters = [amount * rates, amount * by_kT * shells.kT[:, None]]
        if metals is not None:
            by_parameters.append(amount * metals)
        return np.concatenate(by_parameters)

    def background(self, source: FloatArray, background: FloatArray, expected: FloatArray) -> FloatArray:
        """Best-fitting background counts in the source spectra, (n_bin,)."""
        r = self.spectra.ratio
        if self._statistic == "cstat":
            return background / r
        u = (1.0 + r) * expected + background - source
        b: FloatArray = (np.sqrt(u * u + 4.0 * source * background) - u + 2.0 * background) / (
            2.0 * (1.0 + r)
        )
        return b

    def statistic(
        self, source: FloatArray, background: FloatArray, p: FloatArray, bends: FloatArray | float = 0.0
    ) -> float:
        """Statistic at parameters (n_parameter,), including the smoothing term."""
        expected = self.expected(p)
        per_bin = statistic_per_bin(self._statistic, source, background, expected, self.spectra.ratio)
        rough = np.diff(p.reshape(-1, self._n)[1], 2) - bends
        return float(per_bin.sum()) + self.smoothing * float(np.sum(rough**2))

    def minimise(
        self,
        source: FloatArray,
        background: FloatArray,
        start: FloatArray,
        bends: FloatArray | float = 0.0,
    ) -> tuple[FloatArray, float]:
        """Best parameters and their statistic, by Fisher scoring with Levenberg-Marquardt damping.

        The curvature is the expected one of the statistic profiled over the background, for which S - B/r has
        the variance m + b + b/r. `bends` are the expected second differences of ln kT (n - 2,) in the
        smoothing term.
        """
        low, high = self.bounds(float(np.exp(start[: self._n].max())))
        n_kT = slice(self._n, 2 * self._n)
        second = np.diff(np.eye(self._n), 2, axis=0)
        p, damping = np.clip(start, low, high), 1e-3
        best = self.statistic(source, background, p, bends)
        for _ in range(_MAX_ITERATIONS):
            derivatives = self.derivatives(p)
            expected = derivatives[: self._n].sum(axis=0)
            b = self.background(source, background, expected)
            total = np.maximum(expected + b, _TINY)
            gradient = derivatives @ (1.0 - source / total)
            known = 0.0 if self._statistic == "cstat" else b / self.spectra.ratio
            curvature = (derivatives / np.maximum(total + known, 1e-12)) @ derivatives.T
            gradient[n_kT] += self.smoothing * second.T @ (second @ p[n_kT] - bends)
            curvature[n_kT, n_kT] += self.smoothing * second.T @ second
            held = ((p <= low) & (gradient > 0)) | ((p >= high) & (gradient < 0))
            free = np.flatnonzero(~held)
            found = False
            while damping < 1e10 and not found:
                matrix = curvature[np.ix_(free, free)]
                diagonal = np.diag(matrix)
                matrix = matrix + np.diag(damping * diagonal + 1e-12 * diagonal.max(initial=1e-300))
                step = np.zeros(len(p))
                step[free] = np.linalg.solve(matrix, -gradient[free])
                step *= min(1.0, _MAX_STEP / max(float(np.abs(step).max()), 1e-300))
                trial = np.clip(p + step, low, high)
                value = self.statistic(source, background, trial, bends)
                found = value < best
                damping = damping / 5.0 if found else damping * 5.0
            if not found:
                break
            gain, p, best = best - value, trial, value
            if gain < _TOLERANCE:
                break
            damping = max(damping, 1e-9)
        return p, best

    def start(self, norm: FloatArray, kT: FloatArray, abundance: FloatArray) -> FloatArray:
        """First guess from separate fits of the annuli (n,)."""
        usable = np.isfinite(norm) & (norm > 0)
        guess, _ = nnls(self.projection, np.where(usable, norm, 0.0))
        typical = float(np.median(kT[usable])) if usable.any() else 4.0
        parts = [
            np.log(np.maximum(guess, 1e-2 * norm[usable].max(initial=1e-300) / len(norm))),
            np.log(np.where(np.isfinite(kT), kT, typical)),
        ]
        if self.spectra.options.abundance_bounds is not None:
            parts.append(np.where(np.isfinite(abundance), abundance, self.spectra.options.abundance))
        return np.concatenate(parts)


def fit_shells(fit: ShellFit, start: FloatArray, *, n_draws: int, rng: np.random.Generator) -> Deprojection:
    """Fit all shells jointly, and again to spectra drawn from the best model.

    Parameters
    ----------
    fit
        Spectra and projection.
    start
        Result of `ShellFit.start`.
    n_draws, rng
        Number and random numbers of the draws for errors: Poisson counts of the best model and of the smooth
        background. The means of the smoothing term are drawn, too, so that the errors include its width.
    """
    s = fit.spectra
    known = s.smooth if fit._statistic == "cstat" else s.background
    best, statistic = fit.minimise(s.source, known, start)
    expected = fit.expected(best)
    found = np.empty((n_draws, len(best)))
    for i in counted("draws of the shells", "draw", range(n_draws)):
        source = rng.poisson(expected + s.smooth / s.ratio).astype(float)
        background = s.smooth if fit._statistic == "cstat" else rng.poisson(s.smooth).astype(float)
        bends = rng.normal(0.0, fit.smoothing**-0.5, max(fit._n - 2, 0)) if fit.smoothing else 0.0
        found[i], _ = fit.minimise(source, background, best, bends)
    shells = fit.shells(best)
    each = [fit.shells(p) for p in found]
    draws = Shells(*(np.array([getattr(d, name) for d in each]) for name in ("norm", "kT", "abundance")))
    faintest = 30.0 * _FAINTEST * shells.norm.max()
    return Deprojection(
        best=shells,
        draws=draws,
        no_emission=shells.norm < faintest,
        no_emission_drawn=draws.norm < faintest,
        statistic=statistic,
        n_bins=len(s.source),
        n_free=len(best),
    )
