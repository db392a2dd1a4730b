"""Parsers for the texts of keys: each returns a value or raises ValueError, which says what is expected."""

import itertools
import re
import shlex
from collections.abc import Callable
from configparser import ConfigParser
from dataclasses import dataclass

from pyxt_hpc.files.quoting import quoted, shown

LAUNCHERS = ("srun", "mpirun", "mpiexec", "mpiexec.hydra", "mpiexec.openmpi", "orterun", "aprun")
MAX_NAME = 100
"""Largest number of characters in a cluster's name, which begins file names."""

# The shell takes directives as comments, and every batch system has its own rules for quotes in them. So only
# characters without a special meaning in any batch system are allowed.
_DIRECTIVE = re.compile(r"-[A-Za-z0-9_.:@+/=,\[\]*()&|% -]*")


def number(text: str) -> float:
    """Parse a number; Python's ``1_0`` for 10 is refused, since it may be a slip for 1.0."""
    if "_" in text:
        raise ValueError(f"is {quoted(text)}, expected a number")
    return float(text)


@dataclass(frozen=True)
class Number:
    """Parser of a number in a range, with a unit."""

    low: float
    high: float
    unit: str = ""
    example: str = ""

    def __call__(self, text: str) -> float:
        try:
            value = number(text)
        except ValueError:
            unit = f" in {self.unit}" if self.unit else ""
            raise ValueError(f"is {quoted(text)}, expected a number{unit}{self.example}") from None
        if not self.low <= value <= self.high:
            raise ValueError(f"is {shown(text)}, expected {self.low:g} to {self.high:g} {self.unit}".rstrip())
        return value


class ColumnDensity(Number):
    """Parser of a hydrogen column in 1e22 cm^-2; the error for a value in cm^-2 proposes the right number."""

    def __call__(self, text: str) -> float:
        try:
            value = number(text)
        except ValueError:
            value = 0.0
        if 1e15 < value < float("inf"):
            raise ValueError(f"is in {self.unit}; found {shown(text)}: did you mean {value / 1e22:.4g}?")
        return super().__call__(text)


@dataclass(frozen=True)
class Integer:
    """Parser of a whole number in a range, with a unit."""

    low: int
    high: int
    unit: str = ""

    def __call__(self, text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not self.low <= int(text) <= self.high:
            raise ValueError(f"is {quoted(text)}, expected a whole number from {self.low} to {self.high}")
        return int(text)


def boolean(text: str) -> bool:
    """Parse true or false, or yes, no, on, off, 1, 0."""
    if text.lower() not in ConfigParser.BOOLEAN_STATES:
        raise ValueError(f"is {quoted(text)}, expected true or false")
    return ConfigParser.BOOLEAN_STATES[text.lower()]


def choice(*options: str) -> Callable[[str], str]:
    """Parser that accepts one of some words."""

    def parse(text: str) -> str:
        if text not in options:
            raise ValueError(f"is {quoted(text)}, expected one of {', '.join(options)}")
        return text

    return parse


def matching(pattern: str, expected: str) -> Callable[[str], str]:
    """Parser that accepts an empty text, or a text that matches a regular expression."""

    def parse(text: str) -> str:
        if text and not re.fullmatch(pattern, text):
            raise ValueError(f"is {quoted(text)}, expected {expected}")
        return text

    return parse


word = matching(r"[A-Za-z0-9][A-Za-z0-9_.:@+/-]*", "letters, digits and any of _ . : @ + / - (no blanks)")


def words(text: str) -> tuple[str, ...]:
    """Parse words that are separated by commas or blanks."""
    return tuple(map(word, _split(text)))


def printable(text: str) -> str:
    """Parse one line with any printable characters; scripts quote it for the shell."""
    if not text.isprintable():
        raise ValueError(f"is {quoted(text)}, expected one line without control characters")
    return text


def cluster_name(text: str) -> str:
    """Parse a name of a folder that is valid in CIAO's file stacks."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]*", text):
        raise ValueError(
            f"is {quoted(text)}, expected letters, digits and any of _ . + - (no blanks), e.g. A1795"
        )
    if len(text) > MAX_NAME:
        raise ValueError(
            f"is {quoted(text)}, expected at most {MAX_NAME} characters, since file names begin with it"
        )
    return text


def observation_ids(text: str) -> tuple[str, ...]:
    """Parse ObsIDs, each given once; leading zeros are removed."""
    found = _split(text)
    wrong = [part for part in found if not re.fullmatch(r"[0-9]{1,5}", part)]
    if wrong or not found:
        odd = shown(", ".join(wrong)) or "no number"
        raise ValueError(f"holds {odd}, expected numbers of up to 5 digits, e.g. 4940, 4941")
    obsids = tuple(part.lstrip("0") or "0" for part in found)
    if len(set(obsids)) < len(obsids):
        raise ValueError(f"names an observation twice: {shown(text)}")
    return obsids


PSF = -1.0
"""Value that stands for the local radius of the point spread function."""


def minimum_radius(text: str) -> float:
    """Parse a radius in pixels, or ``psf``, which gives `PSF`."""
    return PSF if text == "psf" else Number(0.0, 1000.0, "pixel", ", or psf")(text)


def centre(text: str) -> tuple[float, float] | None:
    """Parse right ascension and declination in degrees, or ``peak``, which gives None."""
    if text == "peak":
        return None
    parts = _split(text)
    if len(parts) != 2:
        raise ValueError(f"is {quoted(text)}, expected peak, or RA, Dec in degrees, e.g. 207.2188, 26.5928")
    return Number(0.0, 360.0, "deg")(parts[0]), Number(-90.0, 90.0, "deg")(parts[1])


def radii(text: str) -> tuple[float, ...]:
    """Parse ascending radii in arcsec, or ``none``, which gives an empty tuple."""
    if text == "none":
        return ()
    found = tuple(map(Number(0.0, 1e5, "arcsec"), _split(text)))
    if len(found) < 2 or any(low >= high for low, high in itertools.pairwise(found)):
        raise ValueError(f"is {quoted(text)}, expected two or more ascending radii, e.g. 0, 10, 25, 60")
    return found


def hours(text: str) -> int:
    """Parse a time HH:MM:SS into seconds."""
    match = re.fullmatch(r"([0-9]{1,4}):([0-5][0-9]):([0-5][0-9])", text)
    hours, minutes, seconds = map(int, match.groups()) if match else (0, 0, 0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise ValueError(f"is {quoted(text)}, expected HH:MM:SS above 0, e.g. 04:00:00")
    return total


def launcher(text: str) -> tuple[str, ...]:
    """Parse a program that starts MPI ranks, with its options."""
    try:
        command = tuple(shlex.split(printable(text)))
    except ValueError as error:
        raise ValueError(f"is {quoted(text)}: {error}") from None
    if not command or command[0].rpartition("/")[2] not in LAUNCHERS:
        raise ValueError(f"is {quoted(text)}, expected one of {', '.join(LAUNCHERS)} with its options")
    return command


def directives(text: str) -> tuple[str, ...]:
    """Parse options of a batch system, one on each line."""
    lines = _lines(text)
    for line in lines:
        if not _DIRECTIVE.fullmatch(line):
            raise ValueError(
                f"holds {quoted(line)}, expected an option such as --qos=regular or -l place=scatter"
            )
    return lines


def environment(text: str) -> tuple[tuple[str, str], ...]:
    """Parse environment variables with their values, one on each line."""
    found = []
    for line in _lines(text):
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name.strip()):
            raise ValueError(f"holds {quoted(line)}, expected NAME=VALUE on each line")
        found.append((name.strip(), printable(value.strip())))
    return tuple(found)


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.split("\n") if line.strip())
