"""The tree of commands: every one is there and explains itself, and asking for help is quick."""

import re
import subprocess
import sys

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.cli.command import Group
from pyxt_hpc.cli.parser import FORMER, HEADINGS, all_commands, with_present_names

HEAVY = ("astropy", "h5py", "matplotlib", "mpi4py", "numba", "numpy", "scipy")
COMMANDS = all_commands()


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


def test_first_page_tells_every_command_under_one_heading(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    headings = [line[:-1] for line in said.splitlines() if line.endswith(":") and line[0].isalpha()]
    assert headings == ["options", *HEADINGS, "exit codes"]
    listed = said[said.index("\nrun:") : said.index("exit codes:")]
    for command in COMMANDS:
        assert len(re.findall(rf"(?<=[ ]){command.name}(?=[ ,\n])", listed)) >= 1, command.name
        assert (f"\n  {command.name} " in listed) == command.is_listed
    assert not [name for name in FORMER if f"  {name} " in said]


@pytest.mark.parametrize("former", FORMER)
def test_former_names_still_do_it_with_a_note(former: str, caplog: pytest.LogCaptureFixture) -> None:
    present = list(FORMER[former])
    with caplog.at_level("INFO"):
        assert with_present_names([former, "-c", "a.ini"]) == [*present, "-c", "a.ini"]
    assert caplog.messages == [f"{former} is now called {' '.join(present)}"]
    with pytest.raises(SystemExit) as end:
        main([former, "--help"])
    assert end.value.code == 0
