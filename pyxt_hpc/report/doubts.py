"""Doubts about a cluster's fits, in sentences at the beginning of the report."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.files.quoting import told_once
from pyxt_hpc.fit.flags import BACKGROUND_SHARE, DOUBTFUL, MEANINGS, FitFlag, FlagCounts

_OUTER_SHARE = 0.2
"""Fraction of the live pixels, the farthest from the centre, in which the background is checked."""

_NEGATIVE_SIGMA, _NEGATIVE_SHARE = 4.0, 0.02
"""Excess of background over counts, in sigma and relative, above which the background is too high."""

_SCALE_ERROR = 0.05
"""Relative Poisson error of a background file above which it matters in the outskirts."""

_SAME_COLUMN = 1e-3
"""Largest relative difference of equal column densities."""

_POOR_IN_BACKGROUND = 0.01
"""Largest usual fraction of poor fits among regions dominated by background."""


@dataclass(frozen=True)
class Doubt:
    """A doubt: whether it is grave, a short title, and an explanation."""

    grave: bool
    title: str
    text: str


@dataclass(frozen=True)
class FlagShare:
    """Number and fraction of fits with a flag."""

    bit: int
    name: str
    meaning: str
    number: int
    share: float
    doubtful: bool


def flag_shares(flags: NDArray[np.int32]) -> list[FlagShare]:
    """Flags that fits (n,) have, the most frequent first."""
    counts = FlagCounts.of(flags)
    shares = [
        FlagShare(
            int(flag), str(flag.name), MEANINGS[flag], n, n / max(counts.fits, 1), bool(flag & DOUBTFUL)
        )
        for flag, n in counts.flagged.items()
    ]
    return sorted(shares, key=lambda one: -one.number)


def doubts_of_fits(rows: NDArray) -> Iterator[Doubt]:
    """Doubts about the fits as a whole."""
    for sentence in FlagCounts.of(rows["flags"]).alarms():
        yield Doubt(True, "Too many doubtful fits", f"{sentence[0].upper()}{sentence[1:]}.")
    goodness = rows["goodness"][np.isfinite(rows["goodness"])]
    if len(goodness) > 100 and abs(np.median(goodness)) > 1.0:
        yield Doubt(
            True,
            "Goodness is shifted",
            f"Half of the fits have a goodness above {np.median(goodness):+.1f} sigma, where 0 is expected: "
            + (
                "the model or the background is wrong."
                if np.median(goodness) > 0
                else "errors are too large."
            ),
        )
    dominated = rows["background_counts"] > BACKGROUND_SHARE * rows["counts"]
    poor = (rows["flags"] & int(FitFlag.POOR_FIT)) != 0
    if dominated.sum() > 100 and poor[dominated].mean() > _POOR_IN_BACKGROUND:
        yield Doubt(
            True,
            "Poor fits where the background dominates",
            f"{poor[dominated].mean():.1%} of the regions with more background than cluster are poorly "
            "fitted: the shape of the background is probably wrong.",
        )


def doubts_of_choices(
    settings: Mapping[str, Any], bundle: Bundle, signal_to_noise_of: str
) -> Iterator[Doubt]:
    """Doubts about fits made by ClusterPyXT or with its choices.

    Parameters
    ----------
    signal_to_noise_of
        Counts of the S/N of circles: ``net`` or ``counts``.
    """
    if settings["software"] == "ClusterPyXT":
        fitted = settings["nH"]
        text = "These fits were made by ClusterPyXT and imported; they have no goodness."
        if abs(fitted - bundle.nH) > _SAME_COLUMN * bundle.nH:
            text += (
                f" They were made with nH = {fitted:.3g} instead of {bundle.nH:g} (1e22 cm^-2), because "
                "ClusterPyXT divides the number in its configuration by 1e22 whatever its unit is."
            )
        yield Doubt(True, "Fits of ClusterPyXT", text)
    if settings["statistic"] == "chi2gehrels":
        yield Doubt(
            True,
            "A biased statistic",
            "chi2gehrels on subtracted spectra makes hot gas too cool (2000 counts of gas of 9.9 keV give "
            "6.4 keV). It serves only for comparison with ClusterPyXT's maps; the default is wstat.",
        )
    if signal_to_noise_of == "counts":
        yield Doubt(
            False,
            "Circles that count the background as signal",
            "Circles were made by the S/N of all counts, as in ClusterPyXT since 2022. Far from the centre, "
            "they hold hardly any emission of the cluster.",
        )
    if any(observation.area_of.startswith("ClusterPyXT") for observation in bundle.observations):
        yield Doubt(
            False,
            "One effective area for the whole field",
            "The bundle is ClusterPyXT's, without vignetting: norm, density and pressure are too low away "
            "from the optical axis.",
        )


def doubts_of_background(bundle: Bundle, row: float, col: float) -> Iterator[Doubt]:
    """Doubts about the level of the background, which must not exceed the counts far from the centre."""
    live = bundle.exposure > 0
    y, x = np.nonzero(live)
    distance = np.hypot(y - row, x - col)
    outer = distance >= np.quantile(distance, 1.0 - _OUTER_SHARE)
    counts, background, variance = (
        float(image[live][outer].sum())
        for image in (bundle.counts, bundle.background, bundle.background_variance)
    )
    net, sigma = counts - background, float(np.sqrt(counts + variance))
    if background > 0 and net < -_NEGATIVE_SIGMA * sigma and net < -_NEGATIVE_SHARE * background:
        yield Doubt(
            True,
            "Too much background",
            f"In the outermost {_OUTER_SHARE:.0%} of the image the background exceeds the counts by "
            f"{-net / background:.1%} ({-net / sigma:.0f} sigma): it is scaled too high, or the blank-sky "
            "file is of another epoch. Temperatures of faint regions are therefore wrong.",
        )
    in_file = {
        observation.dataset: len(observation.background_channel) for observation in bundle.observations
    }
    few = ((name, n) for name, n in in_file.items() if n and n**-0.5 > _SCALE_ERROR)
    for name, text in told_once((name, f"only {n} background events") for name, n in few):
        yield Doubt(
            False,
            "Few background events",
            f"Observation {name} has {text}. Their noise matters in the outskirts.",
        )


def doubts_of_blanks(
    blank: Mapping[int, float], reasons: Mapping[int, str], dead: Container[int]
) -> Iterator[Doubt]:
    """Doubts about live pixels without a value."""
    for code, share in sorted(blank.items(), key=lambda item: -item[1]):
        if code not in dead and share >= 0.0005:
            yield Doubt(
                share > 0.5,
                "Blank area",
                f"{share:.1%} of the live pixels have no value: {reasons[code]}.",
            )
