"""INI files: reading, and commenting out one key without other changes."""

import configparser
import re
from pathlib import Path

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import one_line, shown

_COMMENT = ("#", ";")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")


def parse_ini(text: str, path: Path, kind: str) -> configparser.ConfigParser:
    """Parse the text of an INI file.

    Raises ConfigError if it is not an INI file; the message names `path` and `kind`.
    """
    parser = configparser.ConfigParser(inline_comment_prefixes=_COMMENT, interpolation=None)
    try:
        parser.read_string(text, str(path))
    except configparser.Error as error:
        reason = shown(one_line(str(error)), 300)
        raise ConfigError(f"{path}: cannot be read as {kind}: {reason}") from None
    return parser


def without_key(text: str, section: str, key: str) -> str:
    """Text of an INI file with the lines of a key (in lower case) commented out.

    Raises ConfigError if the text is no INI file, or if `configparser` would find any other change.
    """
    edited = []
    place: tuple[str, str] = "", ""
    indent = 0
    for line in _LINE.findall(text):
        content = line.strip("\ufeff \t\r\n")
        if content and not content.startswith(_COMMENT):
            here = len(line) - len(line.lstrip())
            if not place[1] or here <= indent:  # otherwise the line continues a value
                indent = here
                header = configparser.ConfigParser.SECTCRE.match(content)
                place = (header["header"], "") if header else (place[0], re.split("[=:]", content)[0])
            if (place[0], place[1].strip().lower()) == (section, key):
                line = f"# {line}"
        edited.append(line)
    expected = _read(text)
    expected.get(section, {}).pop(key, None)
    if _read("".join(edited)) != expected:
        raise ConfigError(f"[{section}] {key} cannot be taken out by itself: write it on one line")
    return "".join(edited)


def _read(text: str) -> dict[str, dict[str, str]]:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    parser = parse_ini(text, Path("configuration"), "an INI file")
    found = {name: dict(parser[name]) for name in parser.sections()}
    return found | {parser.default_section: dict(parser.defaults())}
