"""A page of the manual as plain text of the terminal's width, with a pager where somebody reads."""

import io
import re
import shutil
import sys
from pathlib import Path
from typing import ClassVar

from pyxt_hpc.cli.screen import echo

MAX_WIDTH = 110
"""Columns; longer lines are hard to read."""

_ASCII = str.maketrans("─•", "-*")
"""What rich draws with, for any terminal and for `grep`."""

_LINK = re.compile(r"(?<!!)\[([^]]*)\]\((?!https?:)([^)]*)\)")
_PICTURE = re.compile(r"^!\[([^]]*)\]\(([^)]*)\)$", re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def plain_text(markdown: str, width: int | None = None) -> str:
    """Lay a page out without colours.

    Parameters
    ----------
    width
        Columns; None for those of the terminal, at most `MAX_WIDTH`.
    """
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.markdown import CodeBlock, Heading, Markdown
    from rich.text import Text

    class Underlined(Heading):
        """A heading that is one without bold letters, too."""

        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            line = {"h1": "=", "h2": "-"}.get(self.tag, "")
            yield Text(f"\n{self.text.plain}\n{line * len(self.text.plain)}".rstrip())

    class Unbroken(CodeBlock):
        """A command that can be copied: its lines are as long as they are."""

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
    """A link as it can be followed at a terminal: to another page by ``help``, to a file by its name."""
    text, target = link[1], Path(link[2])
    if target.parent != Path():
        return text
    return f"help {target.stem}" if text.lower() == target.stem else f"{text} (help {target.stem})"


def show(text: str) -> None:
    """Print it, through the pager (``PAGER``, `less`) if a person is at the terminal."""
    if sys.stdout.isatty():
        import pydoc

        pydoc.pager(text)
    else:
        echo(text)
