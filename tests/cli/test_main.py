"""The program itself, before its parts are imported."""

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from types import SimpleNamespace

import pytest

import pyxt_hpc.cli
from pyxt_hpc.__main__ import main
from pyxt_hpc.errors import EXIT_TRY_AGAIN


def test_interrupted_while_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(pyxt_hpc.cli, "main", interrupt)
    assert main() == EXIT_TRY_AGAIN
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_a_library_that_makes_another_error_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    before = signal.getsignal(number)

    def load(arguments: object) -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        raise ImportError("PyCapsule_Import could not import module")

    monkeypatch.setattr(pyxt_hpc.cli, "parse", lambda argv: SimpleNamespace(run=load))
    monkeypatch.setattr(pyxt_hpc.cli, "as_asked", lambda *_: nullcontext())
    assert main() == EXIT_TRY_AGAIN
    assert capsys.readouterr().err == "pyxt-hpc: interrupted: finished results are stored\n"
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_the_same_code(number: signal.Signals) -> None:
    """Signals also end it during work that does not check for them."""
    code = (
        "import os, sys, time\n"
        "import pyxt_hpc.cli\n"
        "pyxt_hpc.cli.main = lambda: (print('ready', flush=True), time.sleep(60))\n"
        "from pyxt_hpc.__main__ import main\n"
        "sys.exit(main())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PMI", "SLURM"))}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == EXIT_TRY_AGAIN, said
    assert "interrupted" in said
