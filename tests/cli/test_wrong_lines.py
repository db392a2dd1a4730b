"""Wrong command lines and configurations, generated from all commands and keys.

None gives a traceback; each is refused in one line that names the fault, and the nearest correct name if
there is one. If one file has several problems, each has its own line.
"""

import argparse
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.cli.command import Command, Group
from pyxt_hpc.cli.parser import all_commands
from pyxt_hpc.config.cluster import SECTIONS

EVERY = "PYXT_WRONG_LINES_EVERY"
"""Set it to 1 to try all generated lines, which takes a minute; else one in six is tried."""

CONFIGURATION = """\
[cluster_info]
name = A
observation_ids = 1, 2
redshift = 0.06
hydrogen_column_density = 0.03
abundance = 0.3
signal_to_noise_threshold = 50

[processing]
num_cpus = 1

[spectral]
energy_min = 0.7
energy_max = 8

[hpc]
scheduler = slurm
time = 01:00:00
"""


def commands() -> list[Command]:
    """Every command, including those of groups."""
    return [one for top in all_commands() for one in (top.commands if isinstance(top, Group) else (top,))]


def options_of(command: Command) -> Iterator[argparse.Action]:
    """Options of a command, without those that every command has."""
    parser = argparse.ArgumentParser(add_help=False)
    for add in command.options:
        add(parser)
    yield from (action for action in parser._actions if action.option_strings)


def twisted(name: str) -> str:
    """A name with two letters exchanged, like a typing error."""
    middle = len(name) // 2
    return f"{name[:middle]}{name[middle + 1]}{name[middle]}{name[middle + 2 :]}"


def generated_lines() -> Iterator[tuple[str, str]]:
    """Command lines of all commands and their options, with words of their error messages."""
    for command in commands():
        name, line = command.name, command.example.removeprefix("pyxt-hpc ")
        first, *more = name.split()
        if (other := twisted(first)) != first:
            yield line.replace(first, other, 1), f"unknown command '{other}'"
        yield f"{line} --no-such-option", "unknown option '--no-such-option'"
        for action in options_of(command):
            option = action.option_strings[-1]
            if option.startswith("--") and (other := twisted(option)) != option:
                yield f"{line} {other}", f"unknown option '{other}' (did you mean --"
            if action.nargs is None:
                yield f"{line} {option}", "expected one argument"
            if action.choices or action.type not in (None, Path):
                values = " ".join(["rubbish"] * (action.nargs if isinstance(action.nargs, int) else 1))
                yield f"{line} {option} {values}", f"argument {'/'.join(action.option_strings)}: "


CHOSEN = (
    ("", "a command is missing"),
    ("-c A.ini status", "'-c' is before the command"),
    ("--quiet status", "'--quiet' is before the command"),
    ("results", "COMMAND"),
    ("status", "one of the arguments -c/--config-file --sample is required"),
    ("results verify", "required: -c/--config-file"),
    ("status -c", "expected one argument"),
    ("status -c A.ini -c", "expected one argument"),
    ("status -c A.ini extra", "'extra' is one word too many"),
    ("status -c nothing.ini", "nothing.ini"),
    ("status -c .", "."),
    ("status -c A.ini --log-file", "expected one argument"),
    ("status -c A.ini --log-file A.ini", "is not a log"),
    ("status -c A.ini --log-file no/folder.log", "no/folder.log"),
    ("status -c A.ini -q -v", "not allowed with"),
    ("fit-spectra -c A.ini --slice 3/2", "expected I/N"),
    ("fit-spectra -c A.ini --time-limit soon", "soon"),
    ("fit-spectra -c A.ini --engine sherpa", "--regions"),
    ("run -c A.ini --from make-maps --through crop-data", "comes after"),
    ("init-cluster a/b", "name"),
    ("fit-pha gone.pi --redshift 0.1 --nH 0.05", "gone.pi"),
    ("fit-pha gone.pi --redshift 0.1 --nH 0.05 --energy 8 0.5", "expected the lower value first"),
    ("make-job -c A.ini --site nowhere", "nowhere"),
    ("unpack gone.tar", "gone.tar"),
    ("help no-such-page", "no page"),
)
"""The same, of single situations."""


def wrong_configurations() -> Iterator[tuple[str, str, list[str]]]:
    """For each fault: its name, the text of the configuration, and words of its message."""
    for section, keys in SECTIONS.items():
        for name in keys:
            other = twisted(name)
            if other != name and other not in keys and f"[{section}]" in CONFIGURATION:
                text = CONFIGURATION.replace(f"[{section}]\n", f"[{section}]\n{other} = 1\n")
                yield f"{section}: {other}", text, [f"{other} is unknown (did you mean {name}?)"]
    numbers = ("redshift", "hydrogen_column_density", "abundance", "signal_to_noise_threshold",
               "num_cpus", "energy_min", "energy_max", "time", "observation_ids")  # fmt: skip
    for name in numbers:
        lines = CONFIGURATION.splitlines()
        text = "\n".join(f"{name} = rubbish" if line.startswith(f"{name} =") else line for line in lines)
        yield f"{name} is rubbish", text, [name, "rubbish"]
    yield "empty", "", ["name is missing", "redshift is missing"]
    yield "no INI file", "<html>", ["cannot be read as an INI file"]
    yield "no section", "name = A\n", ["cannot be read as an INI file"]
    yield "a key twice", CONFIGURATION.replace("redshift", "redshift = 1\nredshift"), ["cannot be read"]
    yield "a section twice", f"{CONFIGURATION}[hpc]\n", ["cannot be read"]
    yield "unknown section", f"{CONFIGURATION}[spectrl]\n", ["did you mean spectral?"]
    yield "edges reversed", CONFIGURATION.replace("energy_max = 8", "energy_max = 0.5"), ["energy_min"]
    yield "column in other units", CONFIGURATION.replace("= 0.03\n", "= 3e20\n"), ["1e22 cm^-2"]
    yield "NUL", CONFIGURATION.replace("name = A", "name = A\0"), ["NUL"]


def said_by(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Lines that a refused command prints."""
    capsys.readouterr()
    assert main(shlex.split(line)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err.splitlines()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a valid configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "A.ini").write_text(CONFIGURATION)
    return tmp_path


def test_wrong_command_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generated = list(generated_lines())
    assert len(generated) > 250
    for line, words in [*CHOSEN, *generated[:: int(os.environ.get(EVERY, "6"))]]:
        (said,) = said_by(line, capsys)
        assert said.startswith("pyxt-hpc: error: "), line
        assert words in said, line
    assert [path.name for path in folder.iterdir()] == ["A.ini"]


def test_wrong_configurations(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = list(wrong_configurations())
    assert len(cases) > 40
    for what, text, words in cases:
        (folder / "A.ini").write_text(text)
        first, *more = said_by("status -c A.ini", capsys)
        assert first.startswith("pyxt-hpc: error: A.ini"), what
        assert all(line.startswith("  [") for line in more), what
        for word in words:
            assert word in " ".join([first, *more]), what
