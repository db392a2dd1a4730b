"""The syntax of DS9 and CIAO region files.

Syntax: one or more shapes a line, separated by ``;`` in DS9 format; a line ``physical``, ``image``, ``fk5``
or ``icrs`` sets the system of what follows. Without one, bare numbers are physical (sky) pixels, and
positions like ``1:2:3.4`` or ``30d`` celestial, as in CIAO. New line, ``+``: union; ``*``: intersection with
the shape before; ``-`` after a shape cuts from that shape, at the start of a line from everything in the
file. Angles are in degrees counter-clockwise from +x (from west, in celestial systems).
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from astropy.coordinates import SkyCoord

from pyxt_hpc.errors import RegionSyntaxError
from pyxt_hpc.quoting import shown
from pyxt_hpc.textfiles import read_text

_SYSTEMS = {"physical": "physical", "image": "image", "fk5": "fk5", "j2000": "fk5", "icrs": "icrs"}
_FOREIGN_SYSTEMS = {"fk4", "b1950", "galactic", "ecliptic", "detector", "amplifier", "linear", "wcs"}
_NO_AREA = {"point", "line", "vector", "text", "ruler", "compass", "projection", "segment"}
_SHAPE = re.compile(r"\s*(?P<op>[-+*!&|\s]*)(?P<name>[A-Za-z]+)\s*\((?P<arguments>[^()]*)\)\s*")
_BARE_SHAPE = re.compile(r"(?P<op>[-+]?)(?P<name>[A-Za-z]+)\s+(?P<arguments>[^()]+)$")
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(.*)")
_SEXAGESIMAL = re.compile(r"([-+]?)(\d+)[:h](\d+)[:m](\d+(?:\.\d*)?)s?$")
_SEXAGESIMAL_DEGREES = re.compile(r"([-+]?)(\d+)d(\d+)m(\d+(?:\.\d*)?)s$")
_ARCSEC = {'"': 1.0, "arcsec": 1.0, "'": 60.0, "arcmin": 60.0, "d": 3600.0, "deg": 3600.0}


@dataclass(frozen=True)
class Shape:
    """One shape of a region file.

    ``points`` (n, 2) are positions in ``system``: degrees (ICRS) for ``icrs``, pixels otherwise. ``sizes``
    are in arcsec where ``in_arcsec``, else in pixels of the system. ``angles`` in degrees.
    """

    kind: str
    system: str
    points: tuple[tuple[float, float], ...]
    sizes: tuple[float, ...]
    in_arcsec: bool
    angles: tuple[float, ...]
    line: int
    negated: bool = False


@dataclass(frozen=True)
class RegionFile:
    """Union of ``terms``, each the intersection of its shapes, less every shape of ``cuts``."""

    path: Path
    terms: tuple[tuple[Shape, ...], ...]
    cuts: tuple[Shape, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the file holds no shape at all."""
        return not (self.terms or self.cuts)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Every shape, in no particular order."""
        return tuple(shape for term in self.terms for shape in term) + self.cuts


def read_regions(path: Path) -> RegionFile:
    """Read a region file; an empty one is valid and holds no point.

    Raises
    ------
    MissingInput
        No such file.
    DamagedFile
        It is not a text file that can be read.
    RegionSyntaxError
        Names the file, the line and what is wrong there.
    """
    path = Path(path)
    return parse_regions(read_text(path, "draw the regions in DS9 and save them in fk5 coordinates"), path)


def parse_regions(text: str, path: Path) -> RegionFile:
    """Parse the text of a region file; ``path`` is for messages. Raises RegionSyntaxError."""
    terms: list[tuple[Shape, ...]] = []
    cuts: list[Shape] = []
    system = "physical"
    if text.startswith("SIMPLE  ="):
        raise RegionSyntaxError(f"{path}: a FITS region file; save the regions in DS9 or CIAO text format")
    for number, line in enumerate(text.splitlines(), start=1):
        for statement in line.partition("#")[0].split(";"):
            statement = statement.strip()
            word = statement.lower()
            try:
                if not statement or word.split()[0] in ("global", "tile"):
                    continue
                if word in _SYSTEMS:
                    system = _SYSTEMS[word]
                elif word in _FOREIGN_SYSTEMS:
                    raise _Wrong(f"coordinate system {word} is not supported; save the regions in fk5")
                else:
                    _parse_statement(statement, system, number, terms, cuts)
            except _Wrong as error:
                raise RegionSyntaxError(
                    f"{path}, line {number}: {shown(error, 300)} (found: {shown(statement)})"
                ) from None
    return RegionFile(path, tuple(terms), tuple(cuts))


class _Wrong(Exception):
    """What is wrong in a statement; the caller adds file and line."""


def _parse_statement(
    statement: str, system: str, line: int, terms: list[tuple[Shape, ...]], cuts: list[Shape]
) -> None:
    position = 0
    while position < len(statement):
        match = _SHAPE.match(statement, position)
        if match is None and position == 0:
            match = _BARE_SHAPE.match(statement)
        if match is None:
            raise _Wrong("expected a shape like circle(x,y,r)")
        shape = _parse_shape(match["name"].lower(), match["arguments"], system, line)
        operator = "".join(match["op"].split())
        if operator in ("", "+", "|"):
            terms.append((shape,))
        elif operator in ("-", "!") and position == 0:
            cuts.append(shape)
        elif operator in ("*", "&", "-", "*!", "*-", "&!", "&-"):
            if not terms:
                raise _Wrong(f"nothing stands before {operator}")
            terms[-1] += (replace(shape, negated=operator not in ("*", "&")),)
        else:
            raise _Wrong(f"operator {operator} is unknown; expected + - or *")
        position = match.end()


def _parse_shape(name: str, text: str, system: str, line: int) -> Shape:
    if name in _NO_AREA:
        raise _Wrong(f"a {name} has no area; draw a circle, ellipse, box or polygon")
    if name not in _BUILDERS:
        raise _Wrong(f"shape {name} is unknown; expected one of {', '.join(sorted(_BUILDERS))}")
    arguments = [part for part in re.split(r"[,\s]+", text.strip()) if part]
    return _BUILDERS[name](_Arguments(name, arguments, system, line))


class _Arguments:
    """The arguments of one shape, taken one after the other."""

    def __init__(self, name: str, arguments: list[str], system: str, line: int) -> None:
        self.name, self.left, self.line = name, arguments, line
        celestial = system in ("fk5", "icrs")
        literal = [a for a in arguments if re.match(r"[-+]?\d+(:|h\d|d\d)|[-+]?[\d.]+d(eg)?$", a)]
        self.literal_position = bool(literal) and literal[0] == arguments[0]
        self.system = system if celestial else "icrs" if self.literal_position or len(literal) > 1 else system
        self.bare_size_is_degrees = celestial
        self.sizes_in_arcsec: set[bool] = set()

    def count(self, *expected: int) -> int:
        if len(self.left) not in expected:
            wanted = " or ".join(str(n) for n in expected)
            raise _Wrong(f"{self.name} has {len(self.left)} arguments, expected {wanted}")
        return len(self.left)

    def position(self) -> tuple[float, float]:
        x, y = self.left.pop(0), self.left.pop(0)
        if self.system not in ("fk5", "icrs"):
            return self._plain(x), self._plain(y)
        ra, dec = _celestial(x, hours=True), _celestial(y, hours=False)
        if not -90 <= dec <= 90:
            raise _Wrong(f"declination {y} is outside -90 to 90 degrees")
        if self.system == "fk5":
            icrs = SkyCoord(ra, dec, unit="deg", frame="fk5").icrs
            return float(icrs.ra.deg), float(icrs.dec.deg)
        return ra, dec

    def size(self, *, may_be_zero: bool = False) -> float:
        text = self.left.pop(0)
        value, unit = _number(text)
        if unit == "" and self.bare_size_is_degrees:
            unit = "d"
        elif unit == "" and self.system == "icrs":
            raise _Wrong(f'size {text} needs a unit after a celestial position, such as {text}"')
        elif unit in ("p", "i") and self.system in ("fk5", "icrs"):
            raise _Wrong(f"size {text} in pixels after a celestial position; save sizes in arcsec")
        if unit not in ("", "p", "i") and unit not in _ARCSEC:
            raise _Wrong(f"size {text} has an unknown unit; expected \" ' or d")
        if value < 0 or (value == 0 and not may_be_zero):
            raise _Wrong(f"size {text} is not positive")
        self.sizes_in_arcsec.add(unit in _ARCSEC)
        return value * _ARCSEC.get(unit, 1.0)

    def angle(self) -> float:
        if not self.left:
            return 0.0
        value, unit = _number(self.left.pop(0))
        if unit not in ("", "d", "deg"):
            raise _Wrong(f"angle has the unit {unit}, expected degrees")
        return value

    def shape(
        self,
        kind: str,
        points: list[tuple[float, float]],
        sizes: list[float] | None = None,
        angles: list[float] | None = None,
    ) -> Shape:
        if len(self.sizes_in_arcsec) > 1:
            raise _Wrong(f"{self.name} mixes pixels and angular sizes")
        system = "icrs" if self.system == "fk5" else self.system
        return Shape(
            kind,
            system,
            tuple(points),
            tuple(sizes or ()),
            True in self.sizes_in_arcsec,
            tuple(angles or ()),
            self.line,
        )

    def _plain(self, text: str) -> float:
        value, unit = _number(text)
        if unit not in ("", "p", "i"):
            raise _Wrong(f"position {text} is not a number of pixels")
        return value


def _number(text: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text)
    if match is None or not math.isfinite(float(match[1])):
        raise _Wrong(f"{text} is not a number")
    return float(match[1]), match[2]


def _celestial(text: str, *, hours: bool) -> float:
    """Degrees of a coordinate: degrees as a number, or sexagesimal (hours in right ascension)."""
    factor = 15.0 if hours else 1.0
    match = _SEXAGESIMAL.fullmatch(text)
    if match is None:
        match, factor = _SEXAGESIMAL_DEGREES.fullmatch(text), 1.0
    if match:
        whole, minutes, seconds = float(match[2]), float(match[3]), float(match[4])
        if minutes >= 60 or seconds >= 60:
            raise _Wrong(f"{text} has 60 or more minutes or seconds")
        value = factor * (whole + minutes / 60 + seconds / 3600)
        return -value if match[1] == "-" else value
    value, unit = _number(text)
    if unit not in ("", "d", "deg"):
        raise _Wrong(f"{text} is not a celestial coordinate")
    return value


def _circle(a: _Arguments) -> Shape:
    a.count(3)
    return a.shape("circle", [a.position()], [a.size()])


def _annulus(a: _Arguments) -> Shape:
    if len(a.left) < 4:
        a.count(4)
    point = a.position()
    radii = [a.size(may_be_zero=True) for _ in range(len(a.left))]
    return a.shape("annulus", [point], _ascending(a.name, radii[0], radii[-1]))


def _pie(a: _Arguments) -> Shape:
    a.count(6)
    point = a.position()
    radii = [a.size(may_be_zero=True), a.size()]
    return a.shape("pie", [point], _ascending(a.name, *radii), [a.angle(), a.angle()])


def _panda(a: _Arguments) -> Shape:
    a.count(8)
    point, angles = a.position(), [a.angle(), a.angle()]
    a.left.pop(0)
    radii = [a.size(may_be_zero=True), a.size()]
    return a.shape("pie", [point], _ascending(a.name, *radii), angles)


def _two_axes(kind: str) -> Callable[[_Arguments], Shape]:
    def build(a: _Arguments) -> Shape:
        # DS9 writes an elliptical or box-shaped annulus as two pairs of sizes
        n = a.count(4, 5, 7)
        point = a.position()
        sizes = [a.size() for _ in range(4 if n == 7 else 2)]
        if n == 7:
            _ascending(a.name, sizes[0], sizes[2])
            _ascending(a.name, sizes[1], sizes[3])
        return a.shape(kind, [point], sizes, [a.angle()])

    return build


def _rectangle(a: _Arguments) -> Shape:
    a.count(4)
    (x1, y1), (x2, y2) = a.position(), a.position()
    return a.shape("polygon", [(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def _polygon(a: _Arguments) -> Shape:
    if len(a.left) < 6 or len(a.left) % 2:
        raise _Wrong(f"polygon has {len(a.left)} arguments, expected three or more pairs")
    return a.shape("polygon", [a.position() for _ in range(len(a.left) // 2)])


def _field(a: _Arguments) -> Shape:
    a.count(0)
    return a.shape("field", [])


def _ascending(name: str, inner: float, outer: float) -> list[float]:
    if not inner < outer:
        raise _Wrong(f"{name} has the inner size {inner:g}, not below the outer {outer:g}")
    return [inner, outer]


_BUILDERS: dict[str, Callable[[_Arguments], Shape]] = {
    "annulus": _annulus,
    "box": _two_axes("box"),
    "circle": _circle,
    "ellipse": _two_axes("ellipse"),
    "field": _field,
    "panda": _panda,
    "pie": _pie,
    "polygon": _polygon,
    "rectangle": _rectangle,
    "rotbox": _two_axes("box"),
}
