"""A sample as a job array: a task a cluster."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.layout import SampleLayout
from pyxt_hpc.sample.outcome import ClusterState, Outcome, write_outcome

TABLE = "name,obsids,z,nH\nA,1,0.1,0.05\nB,2,0.1,0.05\nC,3,0.1,0.05\n"
PROGRAM = '#!/bin/bash\nprintf "%s\\n" "$@" >"$OUT"\nexit "${CODE:-0}"\n'


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three clusters, in a folder with a blank."""
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / "clusters.csv").write_text(TABLE, encoding="utf-8")
    return folder / "clusters.csv"


@pytest.mark.parametrize(("scheduler", "code"), [("slurm", 0), ("slurm", 2), ("pbs", 0)])
def test_a_task_runs_its_cluster(table: Path, tmp_path: Path, scheduler: str, code: int) -> None:
    tools = tmp_path / "venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "pyxt-hpc").write_text(PROGRAM)
    (tools / "pyxt-hpc").chmod(0o755)
    given = [
        "--scheduler",
        scheduler,
        "--venv",
        str(tools.parent),
        "--ranks-per-node",
        "4",
        "--time",
        "02:00:00",
    ]
    assert main(["make-job", "--sample", str(table), *given]) == 0
    script = SampleLayout(table).job_script
    text = script.read_text()
    assert ("--array=1-3" if scheduler == "slurm" else "-J 1-3") in text
    environment = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "2"}
    if scheduler == "pbs":
        environment = {"PBS_JOBID": "12[2].server", "PBS_ARRAY_INDEX": "2"}
    out = tmp_path / "out"
    environment |= {"PATH": os.defpath, "OUT": str(out), "CODE": str(code)}
    done = subprocess.run(["bash", str(script)], env=environment, check=False, timeout=60, cwd=tmp_path)
    assert done.returncode == code
    words = ["run", "--sample", str(table), "--resolution", "2", "--num-cpus", "4", "--slice", "2/3"]
    assert out.read_text().splitlines() == words
    assert SampleLayout(table).jobs_record.exists()


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (TABLE.replace("0.1", "x", 1), [], "line 2, column z"),
        (
            "\n".join(TABLE.splitlines()[:2]),
            [],
            "has one cluster, but the tasks of a job array are two or more",
        ),
        (TABLE, ["--stages", "6"], "do all stages"),
    ],
)
def test_what_cannot_be_a_job_is_refused(
    table: Path, capsys: pytest.CaptureFixture[str], text: str, options: list[str], told: str
) -> None:
    table.write_text(text, encoding="utf-8")
    assert main(["make-job", "--sample", str(table), "--scheduler", "slurm", *options]) == 2
    assert told in capsys.readouterr().err
    assert not SampleLayout(table).job_script.exists()


def test_status_and_cancel_know_the_array(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = tmp_path / "slurm"
    tools.mkdir()
    for name, program in {"sbatch": "echo 12", "scancel": f'echo "$@" >"{tools}/cancelled"'}.items():
        (tools / name).write_text(f"#!/bin/bash\n{program}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    layout = SampleLayout(table)
    assert main(["make-job", "--submit", "--sample", str(table), "--scheduler", "slurm"]) == 0
    write_outcome(layout.outcome("B"), Outcome("B", ClusterState.FAILED, "no events", 2))
    capsys.readouterr()
    assert main(["status", "--sample", str(table)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("job 12 (slurm), submitted ")
    assert lines[1].strip() == "tasks: 3 not yet started; 0 attempts"
    assert lines[2:] == ["A: waiting", "B: failed: no events", "C: waiting"]
    assert main(["status", "--sample", str(table), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [job["job"] for job in told["jobs"]] == ["12"]
    assert told["clusters"][1] == {"name": "B", "state": "failed", "reason": "no events", "exit_code": 2}
    assert main(["cancel", "--sample", str(table)]) == 0
    assert "job 12: 12 ended; no attempt follows" in capsys.readouterr().out
    assert (tools / "cancelled").read_text() == "12\n"
    assert main(["cancel", "--sample", str(table)]) == 0
    assert "every job of this sample has ended already" in capsys.readouterr().out


def test_a_cluster_or_a_sample_but_not_both(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--sample", str(table), "-c", "A.ini"]) == 2
    assert "not allowed with" in capsys.readouterr().err
    assert main(["run"]) == 2
    assert "required" in capsys.readouterr().err
