"""INI files as people write them: read, and one value set to another, every other character as it was.

The rules for lines, comments and values that go over several lines are those of `configparser`, by which
both texts are read at the end: if anything but that value differs, nothing is changed.
"""

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import one_line, shown

_COMMENT = ("#", ";")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_OPTION = re.compile(r"\s*(?P<key>[^=:]*?)\s*(?P<mark>[=:][ \t]*)(?P<value>.*)", re.DOTALL)


def new_parser() -> configparser.ConfigParser:
    """How our INI files are read: comments after values, no interpolation."""
    return configparser.ConfigParser(inline_comment_prefixes=_COMMENT, interpolation=None)


def parse_ini(text: str, path: Path, kind: str) -> configparser.ConfigParser:
    """The content of an INI file; which file it is, and of what kind, is for the message.

    Raises ConfigError if it is not an INI file.
    """
    parser = new_parser()
    try:
        parser.read_string(text, str(path))
    except configparser.Error as error:
        reason = shown(one_line(str(error)), 300)
        raise ConfigError(f"{path}: cannot be read as {kind}: {reason}") from None
    return parser


def set_value(text: str, section: str, key: str, value: str) -> str:
    """Text of an INI file with a value set; the key, or its section, is added if it is not there.

    Ends of lines, a byte order mark and comments of the former value stay. The key is in lower case, as
    `configparser` gives it; the value is one line without comment signs.

    Raises ConfigError if that cannot be done without changing anything else, or the text is no INI file.
    """
    lines = [match[0] for match in _LINE.finditer(text) if match[0]]
    own = [number for number, *place in _places(lines) if place == [section, key]]
    header = [number for number, *place in _places(lines) if place == [section, None]]
    if own:
        lines[own[0]] = _with_value(lines[own[0]], value)
        for number in own[1:]:
            lines[number] = _comment_of(lines[number])
    elif header:
        end = _end_of(lines[header[0]]) or "\n"
        lines[header[0]] = f"{_body(lines[header[0]])}{end}"
        lines.insert(header[0] + 1, f"{key} = {value}{end}")
    else:
        end = next(filter(None, map(_end_of, lines)), "\n")
        if lines and not _end_of(lines[-1]):
            lines[-1] += end
        lines += [end, f"[{section}]{end}", f"{key} = {value}{end}"]
    edited = "".join(lines)
    expected = _read(text)
    expected.setdefault(section, {})[key] = value
    if _read(edited) != expected:
        raise ConfigError(f"[{section}] {key} cannot be set to {value} by itself: write it on one line")
    return edited


def _read(text: str) -> dict[str, dict[str, str]]:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    parser = parse_ini(text, Path("configuration"), "an INI file")
    found = {name: dict(parser[name]) for name in parser.sections()}
    return found | {parser.default_section: dict(parser.defaults())}


def _places(lines: list[str]) -> Iterator[tuple[int, str | None, str | None]]:
    """Number of every line that says something, its section, and its key; None for the section's header."""
    section: str | None = None
    key: str | None = None
    indent = 0
    for number, line in enumerate(lines):
        content = line[: _comment_start(line)].removeprefix("\ufeff")
        if not content.strip():
            continue
        here = len(content) - len(content.lstrip())
        if section is not None and key is not None and here > indent:
            yield number, section, key
            continue
        indent = here
        if match := configparser.ConfigParser.SECTCRE.match(content.strip()):
            section, key = match["header"], None
        elif match := _OPTION.match(content):
            key = match["key"].lower()
        yield number, section, key


def _comment_start(line: str) -> int:
    """Where a line's comment begins, or its end does."""
    if line.strip().startswith(_COMMENT):
        return 0
    match = re.search(r"(?:^|(?<=\s))[#;]", line)
    return match.start() if match else len(_body(line))


def _with_value(line: str, value: str) -> str:
    start = _comment_start(line)
    match = _OPTION.match(line[:start])
    if match is None:  # a key without "=", which `configparser` refuses
        return line
    old = match["value"].rstrip()
    rest = line[match.start("value") + len(old) :]
    if not old and rest[:1] in _COMMENT:
        rest = f"  {rest}"
    # The comment stays in its column, if there is room.
    room = len(rest) - len(rest.lstrip(" "))
    if rest.lstrip(" ")[:1] in _COMMENT:
        rest = " " * max(room - len(value) + len(old), 1) + rest.lstrip(" ")
    return f"{line[: match.start('value')]}{value}{rest}"


def _comment_of(line: str) -> str:
    """What is left of a further line of a value: its comment, or nothing."""
    start = _comment_start(line)
    content = line[:start]
    indent = content[: len(content) - len(content.lstrip())]
    return f"{indent}{line[start:]}" if start < len(_body(line)) else ""


def _body(line: str) -> str:
    return line.rstrip("\r\n")


def _end_of(line: str) -> str:
    return line[len(_body(line)) :]
