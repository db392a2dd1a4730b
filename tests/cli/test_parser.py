"""Every command is in the tree and explains itself, and help is quick."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.cli.command import Command, Group
from pyxt_hpc.cli.parser import FORMER, HEADINGS, all_commands, make_parser, with_present_names
from pyxt_hpc.errors import EXIT_MEANINGS

HEAVY = ("astropy", "h5py", "matplotlib", "mpi4py", "numba", "numpy", "scipy")
COMMANDS = all_commands()


def in_full() -> list[str]:
    """Every command that a user can type."""
    inner = [one.name for group in COMMANDS if isinstance(group, Group) for one in group.commands]
    return [command.name for command in COMMANDS] + inner


def commands() -> list[Command]:
    """Every command that does something, including those of groups."""
    return [one for top in COMMANDS for one in (top.commands if isinstance(top, Group) else (top,))]


@pytest.mark.parametrize("text", ["-1", "-1e-9", "-2.5E+3", "-.5"])
def test_negative_numbers_are_no_options(text: str) -> None:
    assert make_parser().parse_args(["make-maps", "-c", "A.ini", "--vmin", text]).vmin == float(text)


@pytest.mark.parametrize("name", ["", *in_full()])
def test_help_tells_usage_and_where_exit_codes_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*name.split(), "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: pyxt-hpc {name}".rstrip() + " ")
    if name:
        assert said.endswith("Exit codes and all commands: pyxt-hpc --help\n")
    else:
        told = re.findall("^  ([0-9]+) +[a-z]", said[said.index("exit codes:") :], re.MULTILINE)
        assert [int(code) for code in told] == list(EXIT_MEANINGS)


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.name)
def test_help_has_an_example_that_is_understood(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*command.name.split(), "--help"])
    said = capsys.readouterr().out
    assert f"example:\n  {command.example}\n" in said
    program, *words = shlex.split(command.example)
    assert program == "pyxt-hpc"
    assert make_parser().parse_args(words).run is command


@pytest.mark.parametrize("command", commands(), ids=lambda command: command.name)
def test_every_command_can_be_agreed_to_beforehand(command: Command) -> None:
    words = shlex.split(command.example)[1:]
    assert not make_parser().parse_args(words).yes
    for option in ("-y", "--yes"):
        assert make_parser().parse_args([*words, option]).yes


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then the configuration is not even read."""
    (tmp_path / "file").write_text("")
    wrong = tmp_path / "file" / "x"
    for words in (
        "report -c A.ini", "pack -c A.ini", "results export -c A.ini", "make-job -c A.ini --site slurm",
        "unpack A.tar", "fit-pha a.pi --redshift 0.1 --nH 0.1",
    ):  # fmt: skip
        assert main([*words.split(), "--output", str(wrong)]) == 2
        said = capsys.readouterr().err
        assert f"{wrong}: is " in said
        assert "is below something that is not a folder" in said


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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("statu", "unknown command 'statu' (did you mean status?)"),
        ("fit-spectrm", "(did you mean fit-pha?)"),
        ("submt", "(did you mean make-job --submit?)"),
        ("zzz", "unknown command 'zzz': see pyxt-hpc --help"),
        ("results verfy", "unknown command 'verfy' (did you mean verify?): see pyxt-hpc results --help"),
        ("status -c a --wach", "unknown option '--wach' (did you mean --watch?): see pyxt-hpc status --help"),
        ("status -c a --config-fle=b", "unknown option '--config-fle' (did you mean --config-file?)"),
        ("status -c a b", "'b' is one word too many"),
        ("fit-spectra -c a --engine sherp", "'sherp' is none of fast, sherpa (did you mean sherpa?)"),
        ("fit-spectra -c a -q -v", "not allowed with argument -q/--quiet"),
    ],
)
def test_what_may_have_been_meant_is_suggested(
    line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert words in said


def test_who_gives_no_command_is_told_where_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "pyxt-hpc --help" in said
    assert "pyxt-hpc demo" in said
