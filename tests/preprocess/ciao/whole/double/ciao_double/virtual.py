"""CIAO's virtual files and stacks: read strictly, and applied to events.

``file[block][filter][cols ...][bin ...][opt ...]``; whatever is not understood is an error, so that a slip in
a string is one here too.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_COLUMNS = {
    "time", "ccd_id", "node_id", "expno", "chipx", "chipy", "tdetx", "tdety", "detx", "dety", "x", "y", "pha",
    "energy", "pi", "fltgrade", "grade", "status", "sky",
}  # fmt: skip
_WHOLE = {"ccd_id", "node_id", "expno", "chipx", "chipy", "pha", "pi", "fltgrade", "grade"}
_BLOCK = re.compile(r"[A-Z][A-Z0-9_]*|\d+")
_NUMBER = r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})?:({_NUMBER})?|({_NUMBER})")
_BIN = re.compile(rf"(x|y|sky|time|pi|tdet)(?:=({_NUMBER})?(?::({_NUMBER})?:({_NUMBER})?)?)?")


@dataclass
class Virtual:
    """A file, and what is to be done with it in order."""

    path: Path
    block: str = ""
    filters: list = field(default_factory=list)  # (column, text, whether it is excluded)
    times: list = field(default_factory=list)  # GTI files
    binning: dict = field(default_factory=dict)  # axis: (low, high, step)

    @property
    def plain(self):
        return not (self.block or self.filters or self.times or self.binning)


def split(text, mark):
    """Split at a mark that is in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += character in "[(" and 1
        depth -= character in "])" and 1
        if depth < 0:
            raise ValueError(f"a bracket too many in '{text}'")
        if character == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if depth:
        raise ValueError(f"a bracket is not closed in '{text}'")
    return parts


def stack(text):
    """Elements of a stack: joined by commas, or lines of ``@file``, whose names are relative to it."""
    elements = []
    for part in split(text, ","):
        if not part.startswith("@"):
            elements.append(part)
            continue
        name, bracket, rest = part[1:].partition("[")
        kept = name.startswith("-")
        path = existing(name.removeprefix("-"))
        for line in path.read_text().split("\n"):
            if line and not line.startswith("#"):
                elements.append(str(Path(line) if kept else path.parent / line) + bracket + rest)
    if any(not element or " " in element for element in elements):
        raise ValueError(f"an empty element or a blank in the stack '{text}'")
    return elements


def files(text):
    """Files of a stack, which must be there."""
    return [existing(element) for element in stack(text)]


def existing(name):
    path = Path(name)
    if " " in name:
        raise ValueError(f"a blank in the path '{name}'")
    if not path.is_absolute():
        raise ValueError(f"'{name}' is relative: it depends on where the tool is run")
    if not path.is_file():
        raise OSError(f"could not open file '{name}': No such file or directory")
    return path


def parse(text):
    """A virtual file; ValueError says what cannot be understood."""
    name, bracket, rest = text.partition("[")
    virtual = Virtual(existing(name))
    if not bracket:
        return virtual
    rest = bracket + rest
    number = 0
    while rest:
        if not rest.startswith("["):
            raise ValueError(f"'{rest}' behind a bracket in '{text}'")
        end = _end_of_bracket(rest, text)
        _bracket(virtual, rest[1:end], number, text)
        rest = rest[end + 1 :]
        number += 1
    return virtual


def _end_of_bracket(rest, text):
    depth = 0
    for number, character in enumerate(rest):
        depth += (character in "[(") - (character in "])")
        if depth == 0:
            return number
    raise ValueError(f"a bracket is not closed in '{text}'")


def _bracket(virtual, content, number, text):
    word, _, rest = content.partition(" ")
    if number == 0 and _BLOCK.fullmatch(content):
        virtual.block = content
    elif content.startswith("@"):
        virtual.times.append(existing(content[1:]))
    elif word in ("cols", "subspace"):
        if not re.fullmatch(r"-?\w+(,-?\w+)*", rest):
            raise ValueError(f"'{content}' of '{text}' names no column")
    elif word == "opt":
        if not re.fullmatch(r"full|update=no|type=[ir]\d|mem=\d+", rest):
            raise ValueError(f"'{content}' of '{text}' is no option that is known")
    elif word == "bin":
        for part in split(rest, ","):
            if not (found := _BIN.fullmatch(part)):
                raise ValueError(f"'{content}' of '{text}' is no binning")
            axis, *numbers = found.groups()
            if ":" not in part and numbers[0]:
                numbers = [None, None, numbers[0]]
            virtual.binning[axis] = tuple(None if n is None else float(n) for n in numbers)
    else:
        excluded = word == "exclude"
        _expressions(virtual, rest if excluded else content, excluded, text)


def _expressions(virtual, content, excluded, text):
    terms = []
    for part in split(content, ","):
        if (found := re.match(r"(\w+)=", part)) and "(" not in part[: found.end()]:
            terms.append([found[1], part[found.end() :]])
        elif terms:
            terms[-1][1] += "," + part
        else:
            raise ValueError(f"'{content}' of '{text}' is no filter")
    for column, values in terms:
        if column not in _COLUMNS:
            raise ValueError(f"'{column}' of '{text}' is no column of events")
        if column == "sky":
            if not re.fullmatch(
                r"region\(.+\)|(circle|ellipse|box|rotbox|annulus|polygon)\([^()]+\)", values
            ):
                raise ValueError(f"'{values}' of '{text}' is no region")
            if values.startswith("region("):
                parse(values[7:-1])
        elif not all(_RANGE.fullmatch(value) for value in values.split(",")):
            raise ValueError(f"'{values}' of '{text}' is no range of values")
        virtual.filters.append((column, values, excluded))


def in_ranges(column, values, numbers):
    """Whether values (n,) are in ranges ``lo:hi,value``; the upper end counts for whole numbers only."""
    inside = numbers != numbers
    for part in values.split(","):
        low, high, exact = _RANGE.fullmatch(part).groups()
        if exact is not None:
            inside = inside | (numbers == float(exact))
            continue
        below = float(low or "-inf") <= numbers
        above = numbers <= float(high or "inf") if column in _WHOLE else numbers < float(high or "inf")
        inside = inside | (below & above)
    return inside
