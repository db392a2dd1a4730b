"""Text of values with errors; the decimals are such that the smaller error has two digits."""

import math

_PLAIN_POWERS = range(-3, 5)
"""Powers of ten for which a value is written without an exponent."""


def power_and_decimals(
    value: float, low: float, high: float, plain: range = _PLAIN_POWERS
) -> tuple[int, int]:
    """Exponent of ten that is written separately, and number of decimals of the mantissa.

    Parameters
    ----------
    value, low, high
        A value and the ends of its interval; ends that are not finite are open and ignored.
    plain
        Powers of ten of values that are written without an exponent; then the exponent is 0.
    """
    power = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
    if power in plain:
        power = 0
    errors = [abs(end - value) for end in (low, high) if math.isfinite(end) and end != value]
    if not errors or not math.isfinite(value):
        return power, max(2 - math.floor(math.log10(abs(value)) - power), 0) if value else 2
    # Round it to two digits first, since 0.0999 is 0.10.
    smallest = float(f"{min(errors):.1e}")
    return power, max(1 - math.floor(math.log10(smallest)) + power, 0)


def with_sides(value: float, low: float, high: float) -> str:
    """Text of a value with both errors, such as ``8.75 -0.85 +1.09`` or ``(4.64 -0.09 open)e-05``."""
    if not math.isfinite(value):
        return "-"
    power, decimals = power_and_decimals(value, low, high)
    unit = 10.0**power
    sides = (f"{(end - value) / unit:+.{decimals}f}" if math.isfinite(end) else "open" for end in (low, high))
    text = " ".join([f"{value / unit:.{decimals}f}", *sides])
    return f"({text})e{power:+03d}" if power else text


def with_ends(value: float, low: float, high: float) -> str:
    """Text of a value with its interval, such as ``8.75 (7.90 to 9.84)``; an end may be ``open``.

    If the value is not finite, the ends are limits, such as ``- (open to 1.2e-05)``.
    """
    if not math.isfinite(value):
        limits = [f"{end:.3g}" if math.isfinite(end) else "open" for end in (low, high)]
        return "-" if limits == ["open", "open"] else f"- ({' to '.join(limits)})"
    power, decimals = power_and_decimals(value, low, high)
    exponent = f"e{power:+03d}" if power else ""
    number, *ends = (
        f"{x / 10.0**power:.{decimals}f}{exponent}" if math.isfinite(x) else "open"
        for x in (value, low, high)
    )
    return f"{number} ({' to '.join(ends)})"


def with_error(value: float, error: float) -> str:
    """Text of a value with a symmetric error, such as ``0.1440 +- 0.0015``."""
    if not math.isfinite(value):
        return "-"
    power, decimals = power_and_decimals(value, value - error, value + error)
    value, error = value / 10.0**power, error / 10.0**power
    text = f"{value:.{decimals}f} +- {f'{error:.{decimals}f}' if math.isfinite(error) else 'unknown'}"
    return f"({text})e{power:+03d}" if power else text
