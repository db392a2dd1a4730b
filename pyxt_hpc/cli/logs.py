"""Output of log messages to standard error, and to a log file if requested."""

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from pyxt_hpc.cli import screen
from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.writing import refuse_to_replace
from pyxt_hpc.parallel.launch import BAR_VARIABLE, NO_BAR
from pyxt_hpc.version import __version__

HEAD = "# log of pyxt-hpc\n"
"""First line of a log file, which marks a file to which lines may be added."""

_said = logging.getLogger("pyxt_hpc.cli.said")
"""Logger of the printed lines, only for the log file."""
_said.propagate = False
_said.setLevel(logging.INFO)


class _Screen(logging.StreamHandler):
    """Messages on standard error."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.setLevel(logging.INFO)
        self.setFormatter(logging.Formatter("%(message)s"))

    def format(self, record: logging.LogRecord) -> str:
        colour = (
            "31" if record.levelno >= logging.ERROR else "33" if record.levelno >= logging.WARNING else ""
        )
        label = f"{record.levelname}:"
        return f"{screen.painted(label, colour, self.stream) if colour else label} {super().format(record)}"


class LogFile(logging.FileHandler):
    """Messages with times, appended to a file; if a write fails, one message tells it and logging stops."""

    def __init__(self, path: Path) -> None:
        refuse_to_replace(path, (HEAD.encode(),), "a log of pyxt-hpc")
        with system_errors(path):
            if not path.exists() or not path.stat().st_size:
                path.write_text(HEAD, encoding="utf-8")
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))

    def handleError(self, record: logging.LogRecord) -> None:
        reason = sys.exception()
        self.setLevel(logging.CRITICAL + 1)
        print(
            f"pyxt-hpc: {self.baseFilename} cannot be written ({reason}): continuing without it",
            file=sys.stderr,
        )


def log_to_screen() -> None:
    """Show messages on standard error, unless the caller has set up its own logging."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, handlers=[_Screen()])
    for library in ("matplotlib", "fontTools"):  # they log hundreds of lines on fonts for every PDF
        logging.getLogger(library).setLevel(logging.WARNING)


@contextmanager
def as_asked(arguments: argparse.Namespace, argv: Sequence[str], prints: bool) -> Iterator[None]:
    """Set the amount of messages by a command's options; only the rank that prints writes the log file.

    Raises
    ------
    DamagedFile, ConfigError, OSError
        If the log file cannot be written.
    """
    with ExitStack() as undo:
        level = logging.WARNING if arguments.quiet else logging.DEBUG if arguments.verbose else logging.INFO
        root, ours = logging.getLogger(), logging.getLogger("pyxt_hpc")
        for handler in root.handlers:
            if isinstance(handler, _Screen):
                undo.callback(handler.setLevel, handler.level)
                handler.setLevel(level)
        if arguments.quiet:
            undo.callback(_set_bar, os.environ.get(BAR_VARIABLE))
            _set_bar(NO_BAR)
        has_file = arguments.log_file is not None and prints
        if has_file or arguments.verbose:
            undo.callback(ours.setLevel, ours.level)
            ours.setLevel(logging.DEBUG)
        if has_file:
            file = undo.enter_context(closing(LogFile(arguments.log_file)))
            for logger in (root, _said):
                undo.callback(logger.removeHandler, file)
                logger.addHandler(file)
            _said.info("pyxt_hpc %s: %s", __version__, shlex.join(["pyxt-hpc", *argv]))
        undo.callback(setattr, screen, "manner", screen.manner)
        screen.manner = screen.Manner(
            arguments.quiet, getattr(arguments, "json", False), _said.info if has_file else screen.Manner.note
        )
        yield


def _set_bar(value: str | None) -> None:
    os.environ.pop(BAR_VARIABLE, None)
    if value is not None:
        os.environ[BAR_VARIABLE] = value
