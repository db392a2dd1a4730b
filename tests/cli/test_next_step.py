"""After each stage, one line names the next command."""

import shlex
from pathlib import Path

import pytest

from pyxt_hpc.cli.next_step import FOLLOWING, tell_next
from pyxt_hpc.cli.parser import parse
from pyxt_hpc.pipeline.run import STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_what_follows_is_a_command_that_is_understood(stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    config = Path("my clusters") / "A.ini"
    tell_next(stage, config)
    (line,) = capsys.readouterr().out.splitlines()
    label, _, command = line.partition(": ")
    assert label == "next"
    program, *words = shlex.split(command.partition(" (")[0])
    arguments = parse(words)
    assert program == "pyxt-hpc"
    assert arguments.run.name == FOLLOWING[stage]
    assert arguments.config == config


def test_stages_follow_each_other_to_the_report() -> None:
    assert [STAGES[0], *FOLLOWING.values()] == [*STAGES, "report"]
