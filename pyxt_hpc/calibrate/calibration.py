"""Results of a calibration, in classes of S/N, kT and background, and as sentences."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.calibrate.recovery import NOMINAL, ByPlace, Recovery, Summary, by_place, coverage_error
from pyxt_hpc.calibrate.trust import FITS, MEANINGS, MISS, RULES, SHIFT, Trust, judge
from pyxt_hpc.spectra.fit import FitOptions

CLASSES: dict[str, tuple[str, tuple[float, ...]]] = {
    "S/N": ("", (0, 5, 10, 15, 20, 30, 40, 50, 70, 100, 150, np.inf)),
    "kT": ("keV", (0, 1, 2, 3, 4, 5, 6, 8, 10, 15, np.inf)),
    "background share": ("", (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, np.inf)),
}
"""Unit and edges of the classes of each variable."""

_SIGMA, _MIN_DIFFERENCE, _MIN_RATIO = 3.0, 0.02, 1.5
"""A class is reported if its deviation exceeds 3 sigma, 0.02, and 1.5 times the deviation of all regions."""

_MIN_FITS = 30
"""Smallest number of fits of a class for a meaningful median and error."""

_TYPICAL = 0.005
"""Largest bias that counts as none."""


@dataclass(frozen=True)
class Setup:
    """Settings with which the spectra were drawn and fitted.

    Parameters
    ----------
    options
        Options of the fits.
    draws, seed
        Number of spectra of each region, and seed of the random numbers.
    wrong
        Parameters that were simulated with another value than the fits assume, with both values:
        ``{"nH": (0.08, 0.05)}``.
    left_out
        Number of fitted regions that could not be simulated.
    """

    options: FitOptions
    draws: int
    seed: int
    wrong: Mapping[str, tuple[float, float]]
    left_out: int

    @property
    def suffix(self) -> str:
        """Suffix of file names: empty, or the other simulated value, such as ``_nH_0.08``."""
        return "".join(f"_{name}_{simulated:g}" for name, (simulated, _) in self.wrong.items())


@dataclass(frozen=True)
class Class:
    """Regions in one range of S/N, kT or background share; `variable` is ``all`` for all regions."""

    variable: str
    low: float
    high: float
    chosen: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Regions of a cluster that were simulated and fitted again.

    Parameters
    ----------
    rows
        (n,) fits of the data, of the store's ROW_DTYPE.
    truth
        (n,) simulated values, of TRUTH_DTYPE.
    fits
        (n, draws) fits of the simulations, of FIT_DTYPE.
    signal_to_noise
        (n,) S/N of the regions.
    setup
        Settings of the simulations.
    """

    rows: np.ndarray
    truth: np.ndarray
    fits: np.ndarray
    signal_to_noise: NDArray[np.float64]
    setup: Setup

    @cached_property
    def recovered(self) -> dict[str, Recovery]:
        """Recovery of every free parameter, by name."""
        return {name: Recovery.of(name, self.truth, self.fits) for name in self.setup.options.free}

    @cached_property
    def by_place(self) -> ByPlace:
        """Bias and coverage of kT around every region."""
        return by_place(self.recovered["kT"], self.rows["row"], self.rows["col"], FITS)

    @cached_property
    def trust(self) -> NDArray[np.int64]:
        """`Trust` (n,) of every region."""
        return judge(self.by_place)

    @cached_property
    def summaries(self) -> list[tuple[Class, dict[str, Summary]]]:
        """Every class with the results of every free parameter."""
        return [
            (one, {name: recovery.summary(one.chosen) for name, recovery in self.recovered.items()})
            for one in self._classes()
        ]

    def _classes(self) -> Iterator[Class]:
        """All regions as one class, then every class with regions."""
        yield Class("all", -np.inf, np.inf, np.ones(len(self.rows), bool))
        values = {
            "S/N": self.signal_to_noise,
            "kT": self.truth["kT"],
            "background share": self.rows["background_counts"] / np.maximum(self.rows["counts"], 1),
        }
        for name, (_, edges) in CLASSES.items():
            for low, high in pairwise(edges):
                chosen = (values[name] >= low) & (values[name] < high)
                if chosen.any():
                    yield Class(name, low, high, chosen)

    def sentences(self) -> list[str]:
        """The results as sentences, the most important first."""
        (_, found), *_ = self.summaries
        kT = found["kT"]
        return [
            _what_was_done(self.setup, len(self.rows)),
            *_of_kT(kT),
            *self._classes_apart(kT),
            *(_of_other(name, one) for name, one in found.items() if name != "kT"),
            self._trusted(),
            _what_it_cannot_tell(self.setup),
        ]

    def _classes_apart(self, whole: Summary) -> Iterator[str]:
        """The class of each variable with the worst kT, if it is worse than all regions together."""
        quiet = []
        for variable in CLASSES:
            biased: list[tuple[float, str]] = []
            missed: list[tuple[float, str]] = []
            for one, summary in self.summaries:
                if one.variable != variable or summary["kT"].fits < _MIN_FITS:
                    continue
                found, where = summary["kT"], f"where {_range(one)} ({one.chosen.sum()} regions)"
                amount, usual = abs(found.bias), abs(whole.bias)
                if amount > max(_MIN_DIFFERENCE, _SIGMA * found.bias_error, _MIN_RATIO * usual):
                    biased.append((amount, f"kT is {_high(found.bias)} {where}."))
                amount, usual = (abs(each.coverage - NOMINAL) for each in (found, whole))
                if amount > max(_MIN_DIFFERENCE, _SIGMA * found.coverage_error, _MIN_RATIO * usual):
                    share = f"{found.coverage:.1%} of the fits"
                    missed.append((amount, f"The 68% intervals of kT contain the truth in {share} {where}."))
            yield from (max(worse)[1] for worse in (biased, missed) if worse)
            if not biased and not missed:
                quiet.append(variable)
        if quiet and whole.fits >= _MIN_FITS:
            yield f"No class of {_either(quiet)} is noticeably worse than all regions together."

    def _trusted(self) -> str:
        n = len(self.trust)
        shares = {one: int((self.trust == one).sum()) / n for one in Trust}
        text = f"{shares.pop(Trust.TRUSTED):.1%} of the regions are trusted"
        others = [f"{MEANINGS[one]} in {share:.1%}" for one, share in shares.items() if share]
        together = self.by_place.fits
        rest = ""
        if together < FITS:
            rest = (
                f" This is less than the necessary {FITS}: the statistical error of the coverage is "
                f"{coverage_error(together):.1%}, and 'trusted' only means that no problem was detected; "
                "give more --draws or --regions."
            )
        return (
            f"{text}{''.join(f'; {other}' for other in others)} (from {together} fits of each region and "
            f"those around it; not trusted: {RULES}).{rest}"
        )


def _what_was_done(setup: Setup, regions: int) -> str:
    text = (
        f"{regions} regions were simulated {_times(setup.draws)} each from their best fits, with Poisson "
        f"noise in source and background (seed {setup.seed}), and fitted again with the same settings "
        f"({setup.options.statistic})."
    )
    if setup.left_out:
        text += (
            f" {setup.left_out} fitted regions were excluded, because their kT or nH is at a bound and "
            "cannot be simulated."
        )
    for name, (simulated, fitted) in setup.wrong.items():
        text += f" As requested, {name} was {simulated:g} in the simulation, but {fitted:g} in the fits."
    return text


def _of_kT(found: Summary) -> Iterator[str]:
    verdict = "the errors are right"
    if _SIGMA * found.coverage_error > MISS:
        verdict = "there are too few fits to judge the errors"
    elif abs(found.coverage - NOMINAL) > max(_MIN_DIFFERENCE, _SIGMA * found.coverage_error):
        word = "small" if found.coverage < NOMINAL else "large"
        verdict = f"the errors are too {word} and should be multiplied by {found.error_factor:.2f}"
        if abs(found.shift) > SHIFT and found.coverage < NOMINAL:
            verdict = "the coverage is low because of the bias"
    yield (
        f"The 68% intervals of kT contain the truth in {found.coverage:.1%} +- {found.coverage_error:.1%} of "
        f"the fits: {verdict}."
    )
    if abs(found.bias) < max(_TYPICAL, _SIGMA * found.bias_error):
        yield f"kT has no significant bias: {found.bias:+.2%} +- {found.bias_error:.2%} for all regions."
    else:
        yield (
            f"kT is {_high(found.bias)} (+- {found.bias_error:.2%}) for all regions, which is "
            f"{abs(found.shift):.2f} of its error."
        )
    if found.without_fit > 0:
        yield f"{found.without_fit:.2%} of the spectra have no fit; they count as misses of the truth."


def _of_other(name: str, found: Summary) -> str:
    bias = f"{found.bias:+.2%}" if name == "norm" else f"{found.bias:+.3g}"
    error = f"{found.bias_error:.2%}" if name == "norm" else f"{found.bias_error:.2g}"
    covered = f"{found.coverage:.1%} of the fits"
    return f"{name}: bias {bias} +- {error}; the intervals contain the truth in {covered}."


def _what_it_cannot_tell(setup: Setup) -> str:
    if setup.wrong:
        return "Bias and coverage are those of fits with the wrong value."
    return (
        "The simulation uses the responses, the background and the model of the fits: it cannot show errors "
        "of these, nor the effect of several temperatures in a region."
    )


def _high(bias: float) -> str:
    return f"{abs(bias):.1%} {'high' if bias > 0 else 'low'}"


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n} times"


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _range(one: Class) -> str:
    unit = CLASSES[one.variable][0]
    unit = f" {unit}" if unit else ""
    name = "the background share of the counts" if one.variable == "background share" else one.variable
    if one.low == 0:
        return f"{name} is below {one.high:g}{unit}"
    if not np.isfinite(one.high):
        return f"{name} is above {one.low:g}{unit}"
    return f"{name} is {one.low:g} to {one.high:g}{unit}"
