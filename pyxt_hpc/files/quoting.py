"""What a user gave, as messages repeat it: never more than a line's worth."""

import difflib
from collections.abc import Iterable, Mapping

MAX_LETTERS = 100
MAX_WORD = 500  # longer than most paths
MAX_MESSAGE = 4000


def shown(value: object, max_letters: int = MAX_LETTERS) -> str:
    """Text of a value in a message, without control characters and cut to so many letters."""
    text = str(value)
    printable = "".join(
        letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:max_letters]
    )
    return f"{printable}... ({len(text)} letters)" if len(text) > max_letters else printable


def ascii_text(text: str) -> str:
    """A text as headers of FITS files hold it: letters beyond printable ASCII in escapes of Python's."""
    return "".join(letter if " " <= letter <= "~" else ascii(letter)[1:-1] for letter in text)


def quoted(value: object) -> str:
    """As `shown`, a text in quotation marks."""
    return f"'{shown(value)}'" if isinstance(value, str) else shown(repr(value))


def suggestion(name: str, known: Mapping[str, str] | Iterable[str]) -> str:
    """What may have been meant by an unknown name, in brackets after a blank; nothing if nothing is near.

    A mapping has what is to be said for each name that may be near.
    """
    said = known if isinstance(known, Mapping) else {one: one for one in known}
    near = difflib.get_close_matches(name[:MAX_LETTERS], said, n=1)
    return f" (did you mean {said[near[0]]}?)" if near else ""


def listed(values: Iterable[object], separator: str = ", ") -> str:
    """Numbers of chips, grades and the like, one after the other."""
    return separator.join(map(str, values))


def several(n: int, what: str) -> str:
    """A number of things, such as ``1 region`` and ``2 regions``."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def one_line(text: str) -> str:
    """A whole message: without line breaks, and cut where somebody has quoted without `shown`."""
    words = text.split()
    line = " ".join(shown(word) if len(word) > MAX_WORD else word for word in words)
    return line if len(line) <= MAX_MESSAGE else f"{line[:MAX_MESSAGE]}..."
