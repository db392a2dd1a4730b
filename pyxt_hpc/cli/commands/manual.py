"""The command that shows the manual."""

import argparse
import re
from functools import cache
from pathlib import Path

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import option
from pyxt_hpc.cli.page import plain_text, show
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted

FOLDER = Path(__file__).parents[2] / "manual"
INDEX = "README"
MESSAGES = "troubleshooting"


def manual_pages() -> dict[str, Path]:
    """Pages of the manual by name, without the list of pages."""
    pages = (path for path in sorted(FOLDER.iterdir()) if path.suffix in (".md", ".py"))
    return {path.stem: path for path in pages if path.stem != INDEX}


@cache
def entries_on_messages() -> tuple[tuple[tuple[str, ...], str], ...]:
    """Entries of the troubleshooting page: phrases, in which ``...`` stands for any text, and advice."""
    lines = (FOLDER / f"{MESSAGES}.md").read_text(encoding="utf-8").splitlines()
    cells = (line.strip("| ").split(" | ", 1) for line in lines if line.startswith("| `"))
    return tuple((tuple(re.findall("`([^`]+)`", phrases)), advice) for phrases, advice in cells)


def entries_for(message: str) -> list[str]:
    """Advice for a message, each with the phrase that matches it."""
    found = (
        (next((phrase for phrase in phrases if is_in(phrase, message)), None), advice)
        for phrases, advice in entries_on_messages()
    )
    return [f"`{phrase}`: {advice}" for phrase, advice in found if phrase]


def is_in(phrase: str, message: str) -> bool:
    """Whether a message contains a phrase, irrespective of backticks and line breaks."""
    return _pattern(phrase).search(_on_one_line(message)) is not None


@cache
def _on_one_line(message: str) -> str:
    return " ".join(message.replace("`", "").split())


@cache
def _pattern(phrase: str) -> re.Pattern[str]:
    return re.compile(".*?".join(re.escape(part) for part in phrase.split("...")))


@command(
    "help",
    "show a page of the manual, or explain a message",
    "Show a page of the manual, the list of pages, or the manual's explanation of a message.",
    option(
        "topic",
        metavar="TOPIC",
        nargs="*",
        help="name of the page, or a message in quotes (default: the list of all pages)",
    ),
    example="pyxt-hpc help profiles",
)
def show_manual(arguments: argparse.Namespace) -> None:
    pages = manual_pages()
    topic = " ".join(arguments.topic)
    path = pages.get(topic) if arguments.topic else FOLDER / f"{INDEX}.md"
    if path is not None:
        text = path.read_text(encoding="utf-8")
        show(text.rstrip() if path.suffix == ".py" else plain_text(text))
    elif entries := entries_for(topic):
        show(plain_text("\n".join(f"* {entry}" for entry in entries)))
    else:
        raise ConfigError(
            f"the manual has no page {quoted(topic)}, and no such message: its pages are "
            f"{', '.join(pages)}; pyxt-hpc COMMAND --help explains a command"
        )


COMMANDS = (show_manual,)
