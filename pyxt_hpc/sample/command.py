"""A command of pyxt-hpc in a process of its own, which may fail, die or be interrupted."""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.errors import EXIT_DEFECT, EXIT_TRY_AGAIN
from pyxt_hpc.files.quoting import shown
from pyxt_hpc.parallel.signals import stop_signals

_LOOK_SECONDS = 0.2
_ERROR = "pyxt-hpc: error: "
_MAX_REASON = 2000


@dataclass(frozen=True)
class CommandResult:
    """Result of a command: its exit code, a reason, and whether this process got a stop signal meanwhile."""

    exit_code: int
    reason: str
    stopped: bool


def run_command(words: Sequence[str], log: Path, *, append: bool = False) -> CommandResult:
    """Run a command and write its output to a file.

    Stop signals to this process (SIGINT, SIGTERM, SIGUSR1, SIGUSR2) are passed on; then this waits for the
    end of the command, which stores what is finished.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # -P: import this package, and not one in the working directory
    command = [sys.executable, "-P", "-m", "pyxt_hpc", *words]
    with log.open("ab" if append else "wb") as output, stop_signals() as received:
        output.write(f"$ pyxt-hpc {' '.join(words)}\n".encode())
        output.flush()
        began = output.tell()
        # A process group of its own: otherwise Ctrl-C at a terminal would arrive twice, which ends a command
        # at once, without storing.
        with subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=dict(os.environ),
        ) as child:
            code, told = None, 0
            while code is None:
                try:
                    code = child.wait(_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    if len(received) > told:
                        child.send_signal(received[told])
                        told += 1
                except KeyboardInterrupt:  # the second Ctrl-C
                    child.send_signal(signal.SIGINT)
                    raise
    return CommandResult(code, _reason(code, log, began), bool(received))


def _reason(code: int, log: Path, began: int) -> str:
    """Why a command failed, in its own words if possible; empty if it did not fail."""
    if code == 0:
        return ""
    with log.open("rb") as file:
        file.seek(began)
        lines = file.read().decode(errors="replace").splitlines()
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        memory = "; perhaps because memory ran out" if -code == signal.SIGKILL else ""
        return f"its process was ended by {name}{memory}"
    told = [line for line in lines if line.strip()]
    at = next((i for i in reversed(range(len(told))) if told[i].startswith(_ERROR)), None)
    if at is not None:  # the message continues in indented lines
        more = itertools.takewhile(lambda line: line.startswith("  "), told[at + 1 :])
        said = [told[at].removeprefix(_ERROR), *(line.strip() for line in more)]
        return shown(" ".join(said), _MAX_REASON)
    if code == EXIT_TRY_AGAIN:
        return "interrupted: finished results are stored"
    if code == EXIT_DEFECT and len(told) > 1:
        return f"a defect of pyxt_hpc: {shown(told[-2], _MAX_REASON)}"
    return f"exit code {code}"
