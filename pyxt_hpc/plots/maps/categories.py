"""Maps of few integers, such as flags: each integer has a colour and a line in the legend."""

from dataclasses import dataclass
from itertools import cycle

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from pyxt_hpc.maps.kinds.blanks import is_blank
from pyxt_hpc.maps.product import MapProduct

MAX_CLASSES = 10
"""Number of the most frequent integers that have a class each; all others share one more class."""

_MAX_LABEL = 30
"""Longest label [characters] of a legend in two columns."""

_NO_REMARK = "#e4efe6"
# Okabe & Ito (2008), then darker shades of the same: distinct with any colour vision.
_FLAGGED = (
    "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#f0e442", "#7a5195", "#5a3d1e",
    "#004d40",
)  # fmt: skip
_BLANK = ("#8c8c8c", "#b5b5b5", "#6b6b6b", "#4d4d4d", "#303030", "#a0a0a0")
_OTHER = "#000000"


@dataclass(frozen=True)
class Classes:
    """The classes of a map of integers.

    Parameters
    ----------
    levels
        Values that have a class each, ascending.
    colours, labels, shares
        Colour, label and fraction of the map of each class; the last entry is for all other values, if any.
    """

    levels: tuple[int, ...]
    colours: tuple[str, ...]
    labels: tuple[str, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, product: MapProduct, values: NDArray) -> "Classes | None":
        """Classes of the values; None if there is no value, or if a colour scale shows them better."""
        known, numbers = np.unique(values[np.isfinite(values)].astype(int), return_counts=True)
        if product.meanings is None and len(known) > MAX_CLASSES:
            return None
        if not len(known):
            return None
        frequent = np.sort(np.argsort(-numbers, kind="stable")[:MAX_CLASSES])
        levels = tuple(known[frequent].tolist())
        share = numbers / numbers.sum()
        if product.meanings is None:
            colours = [to_hex(c) for c in mpl.colormaps["viridis"](np.linspace(0.1, 0.95, len(levels)))]
            labels = [_with_share(str(level), share[i]) for level, i in zip(levels, frequent, strict=True)]
        else:
            colours = _colours(levels)
            words = [product.meanings[level] for level in levels]
            labels = [_with_share(word, share[i]) for word, i in zip(words, frequent, strict=True)]
        shares = share[frequent].tolist()
        if len(levels) < len(known):
            shares.append(1.0 - sum(shares))
            colours.append(_OTHER)
            labels.append(_with_share(f"{len(known) - len(levels)} others", shares[-1]))
        return cls(levels, tuple(colours), tuple(labels), tuple(shares))

    @property
    def longest(self) -> int:
        """Length of the longest label [characters]."""
        return max(map(len, self.labels))

    @property
    def columns(self) -> int:
        """Number of columns of the legend: two if the labels are short."""
        return 2 if self.longest <= _MAX_LABEL else 1

    def positions(self, values: NDArray) -> NDArray[np.float64]:
        """Index of the class of every value; NaN where a value is NaN."""
        levels = np.array(self.levels)
        at = np.minimum(np.searchsorted(levels, np.nan_to_num(values, nan=levels[0])), len(levels) - 1)
        at = np.where(levels[at] == values, at, len(levels))
        return np.where(np.isfinite(values), at, np.nan)


def _colours(levels: tuple[int, ...]) -> list[str]:
    flagged, blank = iter(_FLAGGED), cycle(_BLANK)
    return [
        _NO_REMARK if level == 0 else next(blank) if is_blank(level) else next(flagged) for level in levels
    ]


def _with_share(word: str, share: float) -> str:
    percent = f"{100 * share:.1f}%" if share >= 0.0005 else "<0.1%"
    return f"{word} ({percent})"
