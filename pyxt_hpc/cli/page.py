"""Pages of the manual as plain text of the terminal's width, shown with a pager at a terminal."""

import io
import re
import shutil
import sys
from pathlib import Path
from typing import ClassVar

from pyxt_hpc.cli.screen import echo

MAX_WIDTH = 110
"""Largest number of columns, since longer lines are hard to read."""

_ASCII = str.maketrans("─•", "-*")
"""Replacements of rich's symbols, for all terminals and for `grep`."""

_LINK = re.compile(r"(?<!!)\[([^]]*)\]\((?!https?:)([^)]*)\)")
_PICTURE = re.compile(r"^!\[([^]]*)\]\(([^)]*)\)$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def plain_text(markdown: str, width: int | None = None) -> str:
    """Format a page without colours.

    Parameters
    ----------
    width
        Number of columns; None means that of the terminal, up to `MAX_WIDTH`.
    """
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import CodeBlock, Heading, Markdown
    from rich.text import Text

    class Underlined(Heading):
        """A heading that is recognisable without bold letters."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            line = {"h1": "=", "h2": "-"}.get(self.tag, "")
            yield Text(f"\n{self.text.plain}\n{line * len(self.text.plain)}".rstrip())

    class Unbroken(CodeBlock):
        """A command whose lines are not broken, so that it can be copied."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            lines = str(self.text).strip("\n").split("\n")
            yield Text("\n".join(f"    {line}" for line in lines), no_wrap=True, overflow="ignore")

    class Page(Markdown):
        elements: ClassVar = {**Markdown.elements, "heading_open": Underlined, "fence": Unbroken}

    text = _COMMENT.sub("", markdown)
    text = _PICTURE.sub(r"(Picture, \2: \1)", text)
    text = _LINK.sub(_within_reach, text)
    out = io.StringIO()
    width = width or min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)
    Console(file=out, color_system=None, width=max(width, 40), force_terminal=False).print(
        Page(text, hyperlinks=False), crop=False
    )
    lines = (line.rstrip() for line in out.getvalue().translate(_ASCII).splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _within_reach(link: re.Match[str]) -> str:
    """Text of a link for a terminal: ``help`` and the page's name for another page, else the link's text."""
    text, target = link[1], Path(link[2])
    if target.parent != Path():
        return text
    return f"help {target.stem}" if text.lower() == target.stem else f"{text} (help {target.stem})"


def show(text: str) -> None:
    """Print a text, with the pager (``PAGER``, `less`) at a terminal."""
    if sys.stdout.isatty():
        import pydoc

        pydoc.pager(text)
    else:
        echo(text)
