"""The tree of commands: every one is there and explains itself, and asking for help is quick."""

import subprocess
import sys

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.cli.command import Command, Group
from pyxt_hpc.cli.parser import MODULES

HEAVY = ("astropy", "h5py", "matplotlib", "mpi4py", "numba", "numpy", "scipy")
COMMANDS: list[Command | Group] = [command for module in MODULES for command in module.COMMANDS]


def in_full() -> list[str]:
    """Every command that can be typed."""
    inner = [one.name for group in COMMANDS if isinstance(group, Group) for one in group.commands]
    return [command.name for command in COMMANDS] + inner


@pytest.mark.parametrize("name", ["", *in_full()])
def test_help_tells_usage_and_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*name.split(), "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: pyxt-hpc {name}".rstrip() + " ")
    assert "exit codes:" in said


def test_every_stage_of_run_is_a_command() -> None:
    from pyxt_hpc.pipeline.run import STAGES

    assert set(STAGES) < set(in_full())
    assert len(set(in_full())) == len(in_full())


def test_commands_are_made_without_heavy_imports() -> None:
    code = "import sys; from pyxt_hpc.cli.parser import make_parser; make_parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())


@pytest.mark.parametrize("line", [["results", "export"], ["run"], ["fit-spectra", "--regions", "1"]])
def test_serial_commands_refuse_ranks(
    line: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PMI_SIZE", "3")
    assert main([*line, "-c", "absent.ini"]) == 2
    assert "is serial: run it without mpirun" in capsys.readouterr().err
