"""The program itself, before its parts are loaded."""

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
