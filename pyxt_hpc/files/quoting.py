"""Text for messages; values from users and files are shortened, and their control characters escaped."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

MAX_LETTERS = 100
MAX_WORD = 500  # longer than most paths
MAX_MESSAGE = 4000
FEW_ALIKE = 3  # so many similar texts are each told


def shown(value: object, max_letters: int = MAX_LETTERS) -> str:
    """Text of a value for a message, with escaped control characters and at most `max_letters` characters."""
    text = str(value)
    printable = "".join(
        letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:max_letters]
    )
    return f"{printable}... ({len(text)} characters)" if len(text) > max_letters else printable


def ascii_text(text: str) -> str:
    """Text for a FITS header: characters other than printable ASCII become Python's escapes."""
    return "".join(letter if " " <= letter <= "~" else ascii(letter)[1:-1] for letter in text)


def quoted(value: object) -> str:
    """Text of a value as `shown` makes it; strings have quotation marks."""
    return f"'{shown(value)}'" if isinstance(value, str) else shown(repr(value))


def suggestion(name: str, known: Mapping[str, str] | Iterable[str]) -> str:
    """Suggestion of a similar known name, in brackets after a blank; empty if no name is similar.

    If `known` is a mapping, the suggestion is the value of the similar name.
    """
    said = known if isinstance(known, Mapping) else {one: one for one in known}
    near = difflib.get_close_matches(name[:MAX_LETTERS], said, n=1)
    return f" (did you mean {said[near[0]]}?)" if near else ""


def listed(values: Iterable[object], separator: str = ", ") -> str:
    """Join values, such as numbers of chips or grades."""
    return separator.join(map(str, values))


def several(n: int, what: str) -> str:
    """Number with a noun in singular or plural, such as ``1 region`` and ``2 regions``."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def told_once(found: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Names with their texts; of more than `FEW_ALIKE` texts that differ in numbers only, the first.

    The other names follow its text: many observations of a cluster often have the same problem.
    """
    alike: dict[str, list[tuple[str, str]]] = {}
    for name, text in found:
        alike.setdefault(re.sub("[0-9.]+", "0", text), []).append((name, text))
    for same in alike.values():
        if len(same) <= FEW_ALIKE:
            yield from same
            continue
        (name, text), *others = same
        yield name, f"{text}; likewise, with other numbers, for {listed(other for other, _ in others)}"


def one_line(text: str) -> str:
    """A message without line breaks; very long words and messages are shortened."""
    words = text.split()
    line = " ".join(shown(word) if len(word) > MAX_WORD else word for word in words)
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}..."
