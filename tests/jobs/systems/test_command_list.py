"""A list of commands: a line for each slice, which any shell or GNU parallel runs as it is."""

import shlex
import subprocess
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.errors import ConfigError, LaunchError
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.script import script_text
from pyxt_hpc.jobs.sites import settings_for
from pyxt_hpc.jobs.submit import submit

NASTY = """/data/a 'b" $(touch hit) ; #"""


def make(folder: str = "/data", n_tasks: int = 3, **texts: str) -> Job:
    """A list of commands for a cluster in some folder."""
    settings = settings_for("A.ini", texts, {"scheduler": "list"}, None)
    root = Path(folder)
    record = root / "logs" / "jobs.tsv"
    return Job("A", root / "A.ini", root / "commands_A.lis", record, settings, stages=(6,), n_tasks=n_tasks)


def test_a_line_for_each_slice() -> None:
    lines = script_text(make(n_tasks=16, venv="/opt/v", ranks_per_node="4", environment="B=x y")).splitlines()
    assert len(lines) == 16
    for number, line in enumerate(lines, 1):
        words = shlex.split(line)
        command = words.index("/opt/v/bin/pyxt-hpc")
        assert words[0] == "env"
        assert {"OMP_NUM_THREADS=1", "B=x y"} <= set(words[1:command])
        assert words[command + 1 :] == [
            *("fit-spectra", "-c", "/data/A.ini", "--resolution", "2", "--continue"),
            *("--num-cpus", "4", "--slice", f"{number}/16"),
        ]


def test_a_shell_gives_the_program_what_was_meant(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "pyxt-hpc"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done\n')
    program.chmod(0o755)
    text = script_text(make(NASTY, venv=str(tmp_path)))
    done = subprocess.run(["sh"], input=text, capture_output=True, text=True, cwd=tmp_path, check=True)
    said = done.stdout.splitlines()
    assert said.count(f"{NASTY}/A.ini") == 3
    assert [word for word in said if word.endswith("/3")] == ["1/3", "2/3", "3/3"]
    assert not (tmp_path / "hit").exists()


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--array N"):
        make(n_tasks=0)
    with pytest.raises(ConfigError, match="leave --site lumi out"):
        settings_for("A.ini", {}, {"scheduler": "list"}, "lumi")
    # the site of the configuration is that of other jobs
    assert settings_for("A.ini", {"site": "lumi"}, {"scheduler": "list"}, None).account == ""
    job = make(str(tmp_path))
    with pytest.raises(LaunchError, match="there is no batch system to submit it to"):
        submit(job)
    assert len(job.script.read_text().splitlines()) == 3
    job.script.write_text("mine")
    with pytest.raises(ConfigError, match="is not a list of commands"):
        submit(job)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "A.ini"
    config.write_text(
        "[cluster_info]\nname = A\nobservation_ids = 1\nredshift = 0.1\nhydrogen_column_density = 0.03\n"
        "abundance = 0.3\n[hpc]\nmodules = gcc\n"
    )
    assert main(["make-job", "-c", str(config), "--scheduler", "list", "--array", "8"]) == 0
    said = capsys.readouterr().out
    assert "8 commands" in said
    assert "module load gcc" in said
    # where ClusterPyXT has it
    assert len((tmp_path / "A" / "acb" / "commands_A.lis").read_text().splitlines()) == 8
    assert main(["make-job", "-c", str(config), "--scheduler", "list"]) == 2
    assert "--array N" in capsys.readouterr().err


def test_a_line_for_some_clusters_of_a_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "clusters.csv"
    table.write_text("name,obsids,redshift,nH,abundance\nA1,1,0.1,0.03,0.3\nA2,2,0.1,0.03,0.3\n")
    assert main(["make-job", "--sample", str(table), "--scheduler", "list"]) == 0
    assert "results merge" not in capsys.readouterr().out
    lines = (tmp_path / "commands_clusters.lis").read_text().splitlines()
    assert len(lines) == 2
    words = shlex.split(lines[1])
    assert words[words.index("run") :] == [
        *("run", "--sample", str(table), "--resolution", "2", "--num-cpus", "1", "--slice", "2/2")
    ]
