"""The text of a job script."""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc import __version__
from pyxt_hpc.batch import BatchSettings
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.jobs.sites import FOLDER

MOST_TASKS = 9999


@dataclass(frozen=True)
class Job:
    """What a job is to do, and where.

    Parameters
    ----------
    name
        Of the cluster.
    config, script, log_dir
        Absolute paths of the configuration, of the script and of the folder for logs.
    settings
        Asked of the batch system.
    stages
        5 (bins), 6 (fits) or both.
    resolution
        Of the fits.
    n_tasks
        Tasks of a job array, each of which fits its slice without MPI; 0: one job over MPI ranks.

    Raises
    ------
    ConfigError
        If the parts do not go together.
    """

    name: str
    config: Path
    script: Path
    log_dir: Path
    settings: BatchSettings
    stages: tuple[int, ...] = (5, 6)
    resolution: int = 2
    n_tasks: int = 0

    def __post_init__(self) -> None:
        for path in (self.config, self.script, self.log_dir):
            if not str(path).isprintable():
                raise ConfigError(f"{str(path)!r}: the path has control characters, which no script can hold")
        if self.stages not in ((5,), (6,), (5, 6)):
            raise ConfigError(f"stages {self.stages}: expected 5, 6 or both")
        if self.n_tasks and self.stages != (6,):
            raise ConfigError("a job array does stage 6 alone: run create-bins before, and use --stages 6")
        if self.n_tasks and not 2 <= self.n_tasks <= MOST_TASKS:
            raise ConfigError(f"--array {self.n_tasks}: expected 2 to {MOST_TASKS} tasks")

    @property
    def title(self) -> str:
        """Name that the queue shows."""
        return f"pyxt-{self.name}"


def render(job: Job) -> str:
    """Text of the script.

    Every value of the user is quoted for the shell, or of characters that need no quotes.
    """
    settings = job.settings
    text = (FOLDER / f"{settings.scheduler}.sh").read_text(encoding="utf-8")
    text = text.replace("@BODY@\n", (FOLDER / "body.sh").read_text(encoding="utf-8"))
    values = {
        "MADE_BY": f"Made by pyxt-hpc make-job {__version__}: make it anew rather than change it here.",
        "DIRECTIVES": "\n".join(_slurm(job) if settings.scheduler == "slurm" else _pbs(job)),
        "WARN_AT": str(settings.time - settings.warning),
        "MAX_REQUEUES": str(settings.max_requeues),
        "SCRIPT": shlex.quote(str(job.script)),
        "LOG_DIR": shlex.quote(str(job.log_dir)),
        "LOG_STEM": shlex.quote(str(job.log_dir / job.title)),
        "WORK_DIR": shlex.quote(str(job.config.parent)),
        "ENVIRONMENT": "\n".join(_environment(settings, job.config.parent)),
        "COMMANDS": "\n".join(_commands(job)),
    }
    # In one pass: a value that looks like a placeholder stays what it is.
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text)


def _slurm(job: Job) -> list[str]:
    s = job.settings
    minutes, seconds = divmod(s.time, 60)
    hours, minutes = divmod(minutes, 60)
    tasks, cpus = (1, s.ranks_per_node) if job.n_tasks else (s.ranks_per_node, 1)
    options = [
        f"--job-name={job.title}",
        # Relative: the log proper is the script's own, whose path may have blanks.
        f"--output={job.title}-%{'A_%a' if job.n_tasks else 'j'}.out",
        "--open-mode=append",
        "--requeue",
        f"--signal=B:USR1@{s.warning}",
        f"--nodes={1 if job.n_tasks else s.nodes}",
        f"--ntasks-per-node={tasks}",
        f"--cpus-per-task={cpus}",
        f"--time={hours:02d}:{minutes:02d}:{seconds:02d}",
        s.memory and f"--mem={s.memory}",
        s.partition and f"--partition={s.partition}",
        s.account and f"{s.account_directive or '--account='}{s.account}",
        s.mail and f"--mail-user={s.mail}",
        s.mail and "--mail-type=END,FAIL",
        job.n_tasks and f"--array=1-{job.n_tasks}",
        *s.directives,
    ]
    return [f"#SBATCH {option}" for option in options if option]


def _pbs(job: Job) -> list[str]:
    s = job.settings
    minutes, seconds = divmod(s.time, 60)
    hours, minutes = divmod(minutes, 60)
    chunk = [
        f"select={1 if job.n_tasks else s.nodes}",
        f"ncpus={s.ranks_per_node}",
        f"mpiprocs={1 if job.n_tasks else s.ranks_per_node}",
        s.memory and f"mem={s.memory.lower()}b",
        s.chunk,
    ]
    options = [
        f"-N {job.title}",
        "-S /bin/bash",
        "-j oe",
        "-r y",
        f"-l {':'.join(filter(None, chunk))}",
        f"-l walltime={hours:02d}:{minutes:02d}:{seconds:02d}",
        s.partition and f"-q {s.partition}",
        s.account and f"{s.account_directive or '-A '}{s.account}",
        s.mail and f"-M {s.mail}",
        s.mail and "-m ae",
        job.n_tasks and f"-J 1-{job.n_tasks}",
        *s.directives,
    ]
    return [f"#PBS {option}" for option in options if option]


_MODULES = """\
if ! type module >/dev/null 2>&1; then
    for file in /etc/profile.d/{lmod,modules}.sh /usr/share/{lmod/lmod,modules,Modules}/init/bash; do
        # shellcheck disable=SC1090 # the site's own
        if [ -r "$file" ]; then set +eu; . "$file"; set -eu; fi
    done
fi
set +eu # module is a function of the site, which minds neither"""


def _environment(settings: BatchSettings, folder: Path) -> list[str]:
    lines = []
    if settings.modules:
        lines += [_MODULES]
        lines += [
            f'module load {shlex.quote(name)} || {{ say "cannot load module "{shlex.quote(name)}; exit 2; }}'
            for name in settings.modules
        ]
        lines += ["set -eu"]
    if settings.venv:
        venv = folder / os.path.expanduser(settings.venv)
        lines += [f"export PATH={shlex.quote(str(venv / 'bin'))}:$PATH"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in settings.environment]
    lines += ['export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"']
    lines += ['command -v pyxt-hpc >/dev/null || { say "no pyxt-hpc on PATH: give --venv PATH"; exit 2; }']
    return lines


def _commands(job: Job) -> list[str]:
    config = ["-c", str(job.config)]
    fit = ["pyxt-hpc", "fit-spectra", *config, "--resolution", str(job.resolution), "--continue"]
    if job.n_tasks:
        line = shlex.join([*fit, "--num-cpus", str(job.settings.ranks_per_node), "--slice"])
        task = {"slurm": "SLURM_ARRAY_TASK_ID", "pbs": "task"}[job.settings.scheduler]
        return [f'run {line} "${task}"/{job.n_tasks}', "stop_unless_done"]
    commands = {5: ["pyxt-hpc", "create-bins", *config], 6: fit}
    launcher = [*job.settings.launcher, "-n", str(job.settings.ranks)] if job.settings.ranks > 1 else []
    return [
        line
        for stage in job.stages
        for line in (f"run {shlex.join([*launcher, *commands[stage]])}", "stop_unless_done")
    ]
