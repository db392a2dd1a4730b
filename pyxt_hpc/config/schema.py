"""Keys of INI files: one table for reading, for checks and for new configurations.

The table is a dataclass with fields made by `key`. A test compares the manual with it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from configparser import ConfigParser
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pyxt_hpc.errors import MAX_PROBLEMS
from pyxt_hpc.files.quoting import shown, suggestion

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """A key of an INI file.

    Parameters
    ----------
    section, name
        Section and name of the key.
    parse
        Function from a text that is not empty to a value; it raises ValueError, which says what is expected.
    default
        Text used if there is none; None if the key must be given.
    meaning
        One line of explanation, for a comment or a table.
    unit
        Unit of the value.
    suggestion
        Text for new configurations if there is no default.
    former_name
        Name of the key in earlier versions, which is still read.
    attribute
        Name of the attribute in the dataclass.
    """

    section: str
    name: str
    parse: Callable[[str], Any]
    default: str | None
    meaning: str
    unit: str = ""
    suggestion: str = ""
    former_name: str = ""
    attribute: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether the user must give a value, since there is neither a default nor a suggestion."""
        return self.default is None and not self.suggestion

    @property
    def comment(self) -> str:
        """Unit and meaning, for a comment."""
        return f"[{self.unit}] {self.meaning}" if self.unit else self.meaning


Keys = Mapping[str, Key]
"""Keys of one section, by name."""


def key(
    section: str,
    parse: Callable[[str], Any],
    meaning: str,
    default: str | None = None,
    *,
    name: str = "",
    suggestion: str = "",
    former_name: str = "",
) -> Any:
    """Field of a dataclass for a key; without `name`, the key has the name of the attribute."""
    unit = getattr(parse, "unit", "")
    metadata = {"key": Key(section, name, parse, default, meaning, unit, suggestion, former_name)}
    return field(default=MISSING if default is None else parse(default), metadata=metadata)


def sections_of(table: type) -> dict[str, dict[str, Key]]:
    """Keys of a dataclass, by section and name."""
    sections: dict[str, dict[str, Key]] = {}
    for f in fields(table):
        if "key" in f.metadata:
            one = f.metadata["key"]
            one = replace(one, name=one.name or f.name, attribute=f.name)
            sections.setdefault(one.section, {})[one.name] = one
    return sections


@dataclass(frozen=True)
class Contents:
    """Texts of an INI file by section and key, values by section and attribute, and lines about problems."""

    texts: dict[str, dict[str, str]]
    values: dict[str, dict[str, Any]]
    problems: list[str]


def read_sections(parser: ConfigParser, path: Path, sections: Mapping[str, Keys]) -> Contents:
    """Read and check every section and key of a file; former names are replaced, with a warning."""
    contents = Contents({}, {}, [])
    notes: list[str] = []
    for section in parser.sections():
        if len(contents.problems) > MAX_PROBLEMS:
            break  # since the search for similar names takes time
        if section not in sections:
            contents.problems.append(f"section [{shown(section)}] is unknown{_suggestion(section, sections)}")
            continue
        texts = {name: text.strip() for name, text in parser.items(section)}
        for one in sections[section].values():
            if one.former_name not in texts:
                continue
            if one.name in texts:
                contents.problems.append(
                    f"[{section}] {one.former_name} is the former name of {one.name}: take one of them out"
                )
            texts[one.name] = texts.pop(one.former_name)
            notes.append(f"[{section}] {one.former_name} is now called {one.name}")
        contents.texts[section] = texts
        contents.values[section], problems = read_texts(texts, sections[section], f"[{section}] ")
        contents.problems.extend(problems)
    if notes and not contents.problems:
        log.warning("%s: %s: please use the new name; the former name is still read", path, "; ".join(notes))
    return contents


def read_texts(texts: Mapping[str, str], keys: Keys, where: str = "") -> tuple[dict[str, Any], list[str]]:
    """Values by attribute, and problems that begin with `where`; keys without a text are skipped."""
    unknown = [name for name in texts if name not in keys][:MAX_PROBLEMS]
    problems = [f"{where}{shown(name)} is unknown{_suggestion(name, keys)}" for name in unknown]
    values = {}
    for name, one in keys.items():
        if text := texts.get(name):
            try:
                values[one.attribute] = one.parse(text)
            except ValueError as error:
                problems.append(f"{where}{name} {error}")
    return values, problems


def _suggestion(name: str, known: Iterable[str]) -> str:
    return suggestion(name, list(known)) or f" (known: {', '.join(sorted(known))})"


def ini_lines(sections: Mapping[str, Keys], texts: Mapping[str, str]) -> Iterator[str]:
    """Lines of a new INI file with all keys and comments; keys without a text get default or suggestion."""
    for section, keys in sections.items():
        yield from ("", f"[{section}]")
        for name, one in keys.items():
            text = texts.get(name, one.default or one.suggestion)
            first, *more = text.split("\n")
            yield f"{f'{name} = {first}'.rstrip():<36}  # {one.comment}"
            yield from (f"    {line}" for line in more)
