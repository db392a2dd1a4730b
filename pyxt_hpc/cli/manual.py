"""The command that shows the manual."""

import argparse
from pathlib import Path

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import option
from pyxt_hpc.cli.screen import echo
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted

FOLDER = Path(__file__).parents[1] / "manual"


def manual_pages() -> dict[str, Path]:
    """Every page of the manual by its name."""
    return {path.stem: path for path in sorted(FOLDER.iterdir()) if path.suffix in (".md", ".py")}


@command(
    "help",
    "show a page of the manual",
    "Show a page of the manual, or which pages there are.",
    option("page", metavar="PAGE", nargs="?", help="its name (default: tell all names)"),
    example="pyxt-hpc help profiles",
)
def show_manual(arguments: argparse.Namespace) -> None:
    pages = manual_pages()
    if arguments.page is None:
        for name, path in pages.items():
            title = next(line for line in path.read_text(encoding="utf-8").splitlines() if "# %%" not in line)
            echo(f"{name:<14}{title.lstrip('# ')}")
        echo("pyxt-hpc help PAGE shows one of them; pyxt-hpc COMMAND --help tells of a command")
        return
    if arguments.page not in pages:
        raise ConfigError(
            f"the manual has no page {quoted(arguments.page)}: its pages are {', '.join(pages)}; of a "
            "command tells pyxt-hpc COMMAND --help"
        )
    echo(pages[arguments.page].read_text(encoding="utf-8").rstrip())


COMMANDS = (show_manual,)
