"""Times and durations as text."""

import time


def utc(seconds: float | None = None) -> str:
    """Time as text, such as ``2026-11-28 00:20 UTC``; `seconds` since 1970, or None for now."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


def duration(seconds: float) -> str:
    """Duration as text, such as ``1 h 02 min``, ``2 min 03 s`` or ``3 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
