"""A page of the manual as plain text of the terminal's width, with a pager where somebody reads."""

import io
import re
import shutil
import sys
from typing import ClassVar

from pyxt_hpc.cli.screen import echo

WIDEST = 110
"""Columns; longer lines are hard to read."""

_ASCII = str.maketrans("─•", "-*")
"""What rich draws with, for any terminal and for `grep`."""

_LINK_TO_PAGE = re.compile(r"(?<!!)\[([^]]*)\]\((?!https?:)[^)]*\)")
_PICTURE = re.compile(r"^!\[([^]]*)\]\(([^)]*)\)$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def plain_text(markdown: str, width: int | None = None) -> str:
    """Lay a page out without colours; links within the repository are their texts.

    Parameters
    ----------
    markdown
        Text of the page.
    width
        Columns; None for those of the terminal, at most `WIDEST`.
    """
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import Heading, Markdown
    from rich.text import Text

    class Underlined(Heading):
        """A heading that is one without bold letters, too."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            line = {"h1": "=", "h2": "-"}.get(self.tag, "")
            yield Text(f"\n{self.text.plain}\n{line * len(self.text.plain)}".rstrip())

    class Page(Markdown):
        elements: ClassVar = {**Markdown.elements, "heading_open": Underlined}

    text = _COMMENT.sub("", markdown)
    text = _PICTURE.sub(r"(Picture, \2: \1)", text)
    text = _LINK_TO_PAGE.sub(r"\1", text)
    out = io.StringIO()
    width = width or min(shutil.get_terminal_size((80, 24)).columns, WIDEST)
    Console(file=out, color_system=None, width=max(width, 40), force_terminal=False).print(
        Page(text, hyperlinks=False)
    )
    lines = (line.rstrip() for line in out.getvalue().translate(_ASCII).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def show(text: str) -> None:
    """Print it, through the pager (``PAGER``, `less`) if a person is at the terminal."""
    if sys.stdout.isatty():
        import pydoc

        pydoc.pager(text)
    else:
        echo(text)
