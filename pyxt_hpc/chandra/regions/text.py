"""Parse DS9, CIAO and JS9 region files in text format.

A line has one or more shapes; DS9 separates them by ``;``. A line ``physical``, ``image``, ``fk5`` or
``icrs`` sets the system of the following shapes. Without such a line, plain numbers are physical (sky)
pixels, and positions like ``1:2:3.4`` or ``30d`` are celestial, as in CIAO. A new line, ``+`` and ``||`` form
the union; ``*`` forms the intersection with the shape before it. ``-`` after a shape subtracts from that
shape; at the start of a line it subtracts from the whole region. Angles are in degrees, counter-clockwise
from +x (in celestial systems, from west). Text after ``#`` and in JS9's ``{...}`` is ignored, except DS9's
``# Filename: NAME``: ``image`` coordinates belong to that image.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from pyxt_hpc.errors import RegionSyntaxError
from pyxt_hpc.files.quoting import shown

_SYSTEMS = {"physical": "physical", "image": "image", "fk5": "fk5", "j2000": "fk5", "icrs": "icrs"}
_FOREIGN_SYSTEMS = {"fk4", "b1950", "galactic", "ecliptic", "detector", "amplifier", "linear", "wcs"}
_NO_AREA = {"point", "line", "vector", "text", "ruler", "compass", "projection", "segment"}
_SHAPE = re.compile(r"\s*(?P<op>[-+*!&|\s]*)(?P<name>[A-Za-z]+)\s*\((?P<arguments>[^()]*)\)\s*")
_EXCLUDED = re.compile(r"\binclude\s*=\s*0", re.IGNORECASE)
_DRAWN_ON = re.compile(r"#\s*Filename:\s*(?P<name>[^\[]+)", re.IGNORECASE)
_BARE_SHAPE = re.compile(r"(?P<op>[-+]?)(?P<name>[A-Za-z]+)\s+(?P<arguments>[^()]+)$")
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(.*)")
_SEXAGESIMAL = re.compile(r"([-+]?)(\d+)(:|h|d)(\d+)(?::|m|')(\d+(?:\.\d*)?)(?:s|\")?$")
_LITERAL_POSITION = re.compile(r"[-+]?\d+(:|h\d|d\d)|[-+]?[\d.]+d(eg)?$")
_ARCSEC = {'"': 1.0, "arcsec": 1.0, "'": 60.0, "arcmin": 60.0, "d": 3600.0, "deg": 3600.0}


@dataclass(frozen=True)
class Shape:
    """One shape of a region file.

    ``points`` (n, 2) are positions in ``system``. They are degrees (ICRS) for ``icrs``; sky pixels for
    ``physical``; pixels of the image `RegionFile.drawn_on` for ``image``; and pixels of `RegionFile.wcs` for
    ``table``. ``sizes`` are in arcsec if ``in_arcsec``, else in pixels of the system; for a ring, the inner
    sizes come before the outer ones. ``angles`` [deg] are the rotation of a box or an ellipse, then the first
    and the last direction of a sector, measured from the rotated axis if there is one. ``line`` is the line
    in the file or the row in its table.
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
    """A region: the union of ``terms``, each the intersection of its shapes, without the shapes of ``cuts``.

    ``drawn_on`` is the file name of the image on which the regions were drawn, if it is in the file. ``wcs``
    is the WCS in a FITS table of regions.
    """

    path: Path
    terms: tuple[tuple[Shape, ...], ...]
    cuts: tuple[Shape, ...]
    drawn_on: str | None = None
    wcs: WCS | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the file has no shape."""
        return not (self.terms or self.cuts)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """All shapes: first those of ``terms``, then those of ``cuts``."""
        return tuple(shape for term in self.terms for shape in term) + self.cuts

    def place(self, shape: Shape) -> str:
        """File and line or row of a shape, for messages."""
        return f"{self.path}, {'row' if shape.system == 'table' else 'line'} {shape.line}"


def parse_regions(text: str, path: Path) -> RegionFile:
    """Parse the text of a region file; ``path`` is for messages. Raises RegionSyntaxError."""
    terms: list[tuple[Shape, ...]] = []
    cuts: list[Shape] = []
    system, drawn_on = "physical", None
    for number, line in enumerate(text.splitlines(), start=1):
        if drawn := _DRAWN_ON.match(line):
            drawn_on = Path(drawn["name"].strip()).name
        for statement in _without_remarks(line).split(";"):
            statement = statement.strip()
            word = statement.lower()
            try:
                if not statement:
                    continue
                if _EXCLUDED.search(line) and not statement.startswith(("-", "!")):
                    raise ShapeError("include=0 is not supported; write - before every shape that is cut out")
                if word.split()[0] in ("global", "tile"):
                    continue
                if word in _SYSTEMS:
                    system = _SYSTEMS[word]
                elif word in _FOREIGN_SYSTEMS:
                    raise ShapeError(f"coordinate system {word} is not supported; save the regions in fk5")
                else:
                    _parse_statement(statement, system, number, terms, cuts)
            except ShapeError as error:
                raise RegionSyntaxError(
                    f"{path}, line {number}: {shown(error, 300)} (found: {shown(statement)})"
                ) from None
    return RegionFile(path, tuple(terms), tuple(cuts), drawn_on)


class ShapeError(Exception):
    """A shape is invalid; the caller adds file and line to the message."""


def _without_remarks(line: str) -> str:
    """Remove the comment and JS9's properties in braces, which can contain ``#`` and ``;``, from a line."""
    kept, depth = [], 0
    for letter in line:
        if letter == "#" and depth == 0:
            break
        depth += letter == "{"
        if depth == 0:
            kept.append(letter)
        depth -= letter == "}" and depth > 0
    return "".join(kept) if depth == 0 else line  # an unclosed brace is part of the text


def _parse_statement(
    statement: str, system: str, line: int, terms: list[tuple[Shape, ...]], cuts: list[Shape]
) -> None:
    position = 0
    statement = statement.rstrip("| ")  # in DS9's composites, it joins the shape to the next line
    while position < len(statement):
        match = _SHAPE.match(statement, position)
        if match is None and position == 0:
            match = _BARE_SHAPE.match(statement)
        if match is None:
            raise ShapeError("expected a shape like circle(x,y,r)")
        arguments = match["arguments"].replace(",", " ").split()
        shape = parse_shape(match["name"].lower(), arguments, system, line)
        operator = "".join(match["op"].split())
        begins = position == 0 or operator.startswith("|")
        operator = operator.lstrip("|")
        if operator in ("", "+"):
            terms.append((shape,))
        elif operator in ("-", "!") and begins:
            cuts.append(shape)
        elif operator in ("*", "&", "-", "*!", "*-", "&!", "&-"):
            if not terms:
                raise ShapeError(f"nothing stands before {operator}")
            terms[-1] += (replace(shape, negated=operator not in ("*", "&")),)
        else:
            raise ShapeError(f"operator {operator} is unknown; expected + - or *")
        position = match.end()


def parse_shape(name: str, arguments: list[str], system: str, line: int) -> Shape:
    """Make a shape from its lower-case name and its arguments. Raises ShapeError."""
    if name in _NO_AREA:
        raise ShapeError(f"a {name} has no area; draw a circle, ellipse, box or polygon")
    if name not in _BUILDERS:
        raise ShapeError(f"shape {name} is unknown; expected one of {', '.join(sorted(_BUILDERS))}")
    return _BUILDERS[name](_Arguments(name, arguments, system, line))


class _Arguments:
    """Arguments of one shape, which are read one after the other."""

    def __init__(self, name: str, arguments: list[str], system: str, line: int) -> None:
        self.name, self.left, self.line = name, arguments, line
        celestial = system in ("fk5", "icrs")
        literal = any(_LITERAL_POSITION.match(argument) for argument in arguments[:2])
        self.system = system if celestial or not literal else "icrs"
        self.bare_size_is_degrees = celestial
        self.sizes_in_arcsec: set[bool] = set()

    def count(self, *expected: int) -> int:
        if len(self.left) not in expected:
            wanted = " or ".join(str(n) for n in expected)
            raise ShapeError(f"{self.name} has {len(self.left)} arguments, expected {wanted}")
        return len(self.left)

    def position(self) -> tuple[float, float]:
        x, y = self.left.pop(0), self.left.pop(0)
        if self.system not in ("fk5", "icrs"):
            return self._plain(x), self._plain(y)
        ra, dec = _celestial(x, hours=True), _celestial(y, hours=False)
        if not -180 <= ra <= 360:
            raise ShapeError(f"right ascension {x} is outside 0 to 24 hours, or 0 to 360 degrees")
        if not -90 <= dec <= 90:
            raise ShapeError(f"declination {y} is outside -90 to 90 degrees")
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
            raise ShapeError(f'size {text} needs a unit after a celestial position, such as {text}"')
        elif unit in ("p", "i"):
            self._check_pixels(text, unit)
        if unit not in ("", "p", "i") and unit not in _ARCSEC:
            raise ShapeError(f"size {text} has an unknown unit; expected \" ' or d")
        if value < 0 or (value == 0 and not may_be_zero):
            raise ShapeError(f"size {text} is not positive")
        value *= _ARCSEC.get(unit, 1.0)
        if not math.isfinite(value):
            raise ShapeError(f"size {text} is not a number")
        self.sizes_in_arcsec.add(unit in _ARCSEC)
        return value

    def angle(self) -> float:
        if not self.left:
            return 0.0
        value, unit = _number(self.left.pop(0))
        if unit not in ("", "d", "deg"):
            raise ShapeError(f"angle has the unit {unit}, expected degrees")
        return value

    def shape(
        self,
        kind: str,
        points: list[tuple[float, float]],
        sizes: list[float] | None = None,
        angles: list[float] | None = None,
    ) -> Shape:
        if len(self.sizes_in_arcsec) > 1:
            raise ShapeError(f"{self.name} mixes pixels and angular sizes")
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
            raise ShapeError(f"position {text} is not a number of pixels")
        self._check_pixels(text, unit)
        return value

    def _check_pixels(self, text: str, unit: str) -> None:
        """Raise ShapeError if pixels (p: physical, i: image) are not in the system of the shape."""
        if self.system in ("fk5", "icrs"):
            raise ShapeError(f"size {text} in pixels after a celestial position; save sizes in arcsec")
        if unit and not self.system.startswith(unit):
            raise ShapeError(f"{text} is not in pixels of the system {self.system}; save the regions in fk5")


def _number(text: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text)
    if match is None or not math.isfinite(float(match[1])):
        raise ShapeError(f"{text} is not a number")
    return float(match[1]), match[2]


def _celestial(text: str, *, hours: bool) -> float:
    """Convert a coordinate to degrees: a number in degrees, or sexagesimal text (RA in hours, unless d)."""
    match = _SEXAGESIMAL.fullmatch(text)
    if match:
        sign, unit = match[1], match[3]
        if unit == "h" and not hours:
            raise ShapeError(f"declination {text} is in hours, expected degrees")
        whole, minutes, seconds = float(match[2]), float(match[4]), float(match[5])
        # Seconds of 60.0 are valid: programs that round them after splitting the number write this.
        if minutes >= 60 or seconds > 60:
            raise ShapeError(f"{text} has 60 or more minutes or seconds")
        value = (15.0 if hours and unit != "d" else 1.0) * (whole + minutes / 60 + seconds / 3600)
        return -value if sign == "-" else value
    value, unit = _number(text)
    if unit not in ("", "d", "deg"):
        raise ShapeError(f"{text} is not a celestial coordinate")
    return value


def _circle(a: _Arguments) -> Shape:
    a.count(3)
    return a.shape("circle", [a.position()], [a.size()])


def _annulus(a: _Arguments) -> Shape:
    if len(a.left) < 4:
        a.count(4)
    point = a.position()
    radii = [a.size(may_be_zero=True) for _ in range(len(a.left))]
    return a.shape("annulus", [point], _ascending(a.name, radii))


def _pie(a: _Arguments) -> Shape:
    a.count(6)
    point = a.position()
    radii = [a.size(may_be_zero=True), a.size()]
    return a.shape("pie", [point], _ascending(a.name, radii), [a.angle(), a.angle()])


def _panda(a: _Arguments) -> Shape:
    a.count(8)
    point, angles = a.position(), [a.angle(), a.angle()]
    a.left.pop(0)  # the number of sectors does not change the region
    radii = [a.size(may_be_zero=True), a.size()]
    return a.shape("pie", [point], _ascending(a.name, radii), angles)


def _two_axes(kind: str) -> Callable[[_Arguments], Shape]:
    def build(a: _Arguments) -> Shape:
        # DS9 writes several elliptical or box-shaped rings as one shape with a pair of sizes for each edge.
        if len(a.left) < 4:
            a.count(4)
        n_pair = (len(a.left) - 2) // 2
        if n_pair > 1 and len(a.left) % 2 == 0:
            raise ShapeError(f"{a.name} has {len(a.left)} arguments, expected pairs of sizes and an angle")
        point = a.position()
        return a.shape(kind, [point], _pairs(a, n_pair), [a.angle()])

    return build


def _two_axes_panda(kind: str) -> Callable[[_Arguments], Shape]:
    def build(a: _Arguments) -> Shape:
        a.count(11)
        point, sector = a.position(), [a.angle(), a.angle()]
        a.left.pop(0)
        sizes = _pairs(a, 2)
        a.left.pop(0)
        return a.shape(kind, [point], sizes, [a.angle(), *sector])

    return build


def _pairs(a: _Arguments, n: int) -> list[float]:
    """Sizes of the innermost and the outermost of n pairs, or of the outermost alone if there is no hole."""
    sizes = [a.size(may_be_zero=n > 1 and i < 2) for i in range(2 * n)]
    if n == 1:
        return sizes
    for axis in (0, 1):
        _ascending(a.name, sizes[axis::2])
    return sizes[:2] + sizes[-2:] if sizes[0] and sizes[1] else sizes[-2:]


def _rectangle(a: _Arguments) -> Shape:
    a.count(4)
    (x1, y1), (x2, y2) = a.position(), a.position()
    return a.shape("polygon", [(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def _polygon(a: _Arguments) -> Shape:
    if len(a.left) < 6 or len(a.left) % 2:
        raise ShapeError(f"polygon has {len(a.left)} arguments, expected three or more pairs")
    return a.shape("polygon", [a.position() for _ in range(len(a.left) // 2)])


def _field(a: _Arguments) -> Shape:
    a.count(0)
    return a.shape("field", [])


def _ascending(name: str, sizes: list[float]) -> list[float]:
    """First and last of the sizes. Raises ShapeError unless the sizes increase."""
    for inner, outer in pairwise(sizes):
        if not inner < outer:
            raise ShapeError(f"{name} has the inner size {inner:g}, not below the outer {outer:g}")
    return [sizes[0], sizes[-1]]


_BUILDERS: dict[str, Callable[[_Arguments], Shape]] = {
    "annulus": _annulus,
    "box": _two_axes("box"),
    "bpanda": _two_axes_panda("box"),
    "circle": _circle,
    "ellipse": _two_axes("ellipse"),
    "epanda": _two_axes_panda("ellipse"),
    "field": _field,
    "panda": _panda,
    "pie": _pie,
    "polygon": _polygon,
    "rectangle": _rectangle,
    "rotbox": _two_axes("box"),
}
