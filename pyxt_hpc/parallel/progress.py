"""How far a stage is, with rate and time left: a bar on a terminal, now and then a line in the log."""

import logging
import os
import sys
import time
from contextlib import AbstractContextManager

from tqdm import tqdm

from pyxt_hpc.parallel.launch import BAR_VARIABLE, NO_BAR

log = logging.getLogger(__name__)

LOG_INTERVAL_S = 10.0


class Progress(AbstractContextManager["Progress", None]):
    """Counts completed items; `initial` of the `total` were completed by an earlier run."""

    def __init__(self, label: str, unit: str, total: int, initial: int = 0) -> None:
        self._label, self._unit, self._total, self._done = label, unit, total, initial
        self._last_line = time.monotonic()
        # The rate counts from the first completion on: before it kernels may have been compiled.
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
        self._last_line = now
        start, before = self._first or (now, self._done)
        pace = ""
        if now > start and self._done > before:
            rate = (self._done - before) / (now - start)
            left = (self._total - self._done) / rate
            pace = f", {rate:.{0 if rate >= 10 else 2}f} {self._unit}s/s" + (
                f", {left:.0f} s left" if left else ""
            )
        # Beside a bar they are for a log file.
        level = logging.INFO if self._bar is None else logging.DEBUG
        log.log(level, "%s: %d of %d%s", self._label, self._done, self._total, pace)
