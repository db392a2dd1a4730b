"""What is doubtful about a cluster's fits: said first, in sentences, the gravest first."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.fit.flags import BACKGROUND_SHARE, DOUBTFUL, MEANINGS, FitFlag, FlagCounts

_OUTER_SHARE = 0.2
"""Part of the live pixels, the farthest from the centre, by which the background is judged."""

_NEGATIVE_SIGMA, _NEGATIVE_SHARE = 4.0, 0.02
"""A background that is larger than the counts by so much is too large."""

_SCALE_ERROR = 0.05
"""Of a background scale: beyond it the error of the scale matters in the outskirts."""

_SAME_COLUMN = 1e-3
"""Relative difference of absorbing columns that is none."""

_POOR_IN_BACKGROUND = 0.01
"""Share of poor fits among those dominated by background."""


@dataclass(frozen=True)
class Doubt:
    """Something doubtful: `grave` or not, a title in a few words, and what it means."""

    grave: bool
    title: str
    text: str


@dataclass(frozen=True)
class FlagShare:
    """How many fits have a flag."""

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
    """Of the fits as a whole."""
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
    """Of fits as ClusterPyXT makes them, or that it has made: what differs from ours.

    Parameters
    ----------
    signal_to_noise_of
        By what circles were made: ``net`` or ``counts``.
    """
    if settings["software"] == "ClusterPyXT":
        fitted = settings["nH"]
        text = "These fits were made by ClusterPyXT and taken over; they have no goodness."
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
            "chi2gehrels on subtracted spectra makes hot gas too cool (2000 counts of 9.9 keV come out as "
            "6.4 keV); it is for comparison with ClusterPyXT's maps, and wstat is the default.",
        )
    if signal_to_noise_of == "counts":
        yield Doubt(
            False,
            "Circles that count the background as signal",
            "Circles were made by the S/N of all counts, as in ClusterPyXT since 2022: far out they hold "
            "hardly any cluster.",
        )
    if any(observation.area_of.startswith("ClusterPyXT") for observation in bundle.observations):
        yield Doubt(
            False,
            "One effective area for the whole field",
            "The bundle is ClusterPyXT's, without vignetting: norm, density and pressure are too low away "
            "from the optical axis.",
        )


def doubts_of_background(bundle: Bundle, row: float, col: float) -> Iterator[Doubt]:
    """Of the background's level: far from the centre it must not exceed the counts."""
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
            "file is of another time; temperatures of faint regions come out wrong.",
        )
    for observation in bundle.observations:
        in_file = len(observation.background_channel)
        if in_file and in_file**-0.5 > _SCALE_ERROR:
            yield Doubt(
                False,
                "Few background events",
                f"Observation {observation.dataset} has {in_file} background events in all: their noise is "
                "that of the outskirts.",
            )


def doubts_of_blanks(
    blank: Mapping[int, float], reasons: Mapping[int, str], dead: Container[int]
) -> Iterator[Doubt]:
    """Of live pixels without a value."""
    for code, share in sorted(blank.items(), key=lambda item: -item[1]):
        if code not in dead and share >= 0.0005:
            yield Doubt(
                share > 0.5,
                "Blank area",
                f"{share:.1%} of the live pixels have no value: {reasons[code]}.",
            )
