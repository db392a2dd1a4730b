"""Progress of a stage with its rate and the time left: a bar on a terminal, regular lines in the log."""

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from tqdm import tqdm

from pyxt_hpc.parallel.launch import BAR_VARIABLE, NO_BAR

log = logging.getLogger(__name__)

LOG_INTERVAL_S = 10.0

_MANY = 10
"""Fewest items for a rate from the first completion on: workers that begin together also finish together."""

_FEW = 100
"""Of so many items or fewer the rate is told from the beginning: of more the first minute, while kernels are
compiled, would make hours of minutes."""

T = TypeVar("T")


class Progress(AbstractContextManager["Progress", None]):
    """Counter of completed items; an earlier run completed `initial` of the `total`.

    Without `says_end`, the log has no line at the end, because the caller writes one.
    """

    def __init__(self, label: str, unit: str, total: int, initial: int = 0, *, says_end: bool = True) -> None:
        self._says_end = says_end
        self._label, self._unit, self._total, self._done = label, unit, total, initial
        self._last_line = time.monotonic()
        self._said = -1
        self._begin = self._last_line, initial
        # For many items the rate counts from the first completion on, since kernels may be compiled before.
        self._first: tuple[float, int] | None = None
        self._bar = None
        asked = os.environ.get(BAR_VARIABLE)
        if asked != NO_BAR and (asked or sys.stderr.isatty()):
            tqdm.monitor_interval = 0  # its thread would make forking unsafe
            self._bar = tqdm(
                desc=label, unit=f" {unit}", total=total, initial=initial, smoothing=0.1, dynamic_ncols=True
            )

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._says_end and self._said != self._done:
            self._log_line(time.monotonic())

    def add(self, n: int) -> None:
        """Count `n` more completed items."""
        self._done += n
        if self._bar is not None:
            self._bar.update(n)
        now = time.monotonic()
        if self._first is None:
            self._first = (now, self._done)
        elif now - self._last_line >= LOG_INTERVAL_S:
            self._log_line(now)

    def _log_line(self, now: float) -> None:
        self._last_line, self._said = now, self._done
        start, before = self._first or self._begin
        is_known = self._done - before >= _MANY or self._done == self._total
        if self._done - before < _MANY:
            start, before = self._begin
        pace = ""
        if now > start and self._done > before and (is_known or self._total - before <= _FEW):
            rate = (self._done - before) / (now - start)
            left = (self._total - self._done) / rate
            pace = f", {rate:.{0 if rate >= 10 else 2}f} {self._unit}s/s" + (
                f", {left:.0f} s left" if left else ""
            )
        # With a bar on the terminal, lines go to the log file only.
        level = logging.INFO if self._bar is None else logging.DEBUG
        log.log(level, "%s: %d of %d%s", self._label, self._done, self._total, pace)


def counted(label: str, unit: str, items: Sequence[T]) -> Iterator[T]:
    """Iterate over the items with a progress bar, or with lines in the log."""
    with Progress(label, unit, len(items), says_end=False) as progress:
        for item in items:
            yield item
            progress.add(1)
