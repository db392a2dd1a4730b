"""Text and writing of job scripts."""

import hashlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from pyxt_hpc.files.system_errors import system_errors
from pyxt_hpc.files.writing import check_regular, refuse_to_replace, write_text
from pyxt_hpc.jobs.job import Job
from pyxt_hpc.jobs.sites import FOLDER
from pyxt_hpc.jobs.systems import SYSTEMS
from pyxt_hpc.version import __version__

# Threads of libraries in every rank would slow all ranks down. PBS sets the first variable to ncpus.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

SLACK_SECONDS = 15
"""A TERM within this time [s] before the limit, or after it, is PBS's end of the job at the limit."""


def write_script(job: Job) -> None:
    """Write the script, which can be submitted from any folder, and the files that it needs.

    Raises ConfigError if a file that is not a script has its name; DamagedFile or DiskFull if it cannot be
    written.
    """
    _refuse_to_replace(job)
    text = script_text(job)
    if not SYSTEMS[job.settings.scheduler].is_list:
        write_text(*machinery(job), executable=True)
    if SYSTEMS[job.settings.scheduler].resubmits_script:
        write_text(resubmitted(job), text, executable=True)
    write_text(job.script, text, executable=True)


def replaces_another(job: Job) -> bool:
    """Whether a script exists that differs from the one that `write_script` would write.

    Raises ConfigError if a file that is not a script has its name; DamagedFile if it cannot be read.
    """
    _refuse_to_replace(job)
    if not check_regular(job.script):
        return False
    with system_errors(job.script):
        return job.script.read_bytes() != script_text(job).encode()


def script_text(job: Job) -> str:
    """Text of the script.

    Values of the user are quoted for the shell, or have only characters that need no quotes.
    """
    if SYSTEMS[job.settings.scheduler].is_list:
        return "".join(f"{line}\n" for line in _list(job))
    return _fill(job, resubmitted(job))


def resubmitted(job: Job) -> Path:
    """Path of the copy of the script from which later attempts are submitted.

    Its name has a digest of its text, so that a later ``make-job`` does not replace the copy of a job that
    waits or runs.
    """
    return job.log_dir / f"{job.title}-{_digest(_fill(job, Path()))}.sh"


def machinery(job: Job) -> tuple[Path, str]:
    """Path and text of the file that the script sources, by absolute path, since batch systems move scripts.

    Its name has a digest of its text, too.
    """
    system = job.settings.scheduler
    text = "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in (f"{system}.sh", "body.sh"))
    return job.log_dir / f"machinery-{system}-{_digest(text)}.sh", text


def _refuse_to_replace(job: Job) -> None:
    if SYSTEMS[job.settings.scheduler].is_list:
        refuse_to_replace(job.script, (b"env ",), "a list of commands")
    else:
        refuse_to_replace(job.script, (b"#!",), "a script")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _fill(job: Job, resubmitted: Path) -> str:
    settings = job.settings
    system = SYSTEMS[settings.scheduler]
    text = (FOLDER / "script.sh").read_text(encoding="utf-8")
    of_system = {}
    if system.resubmits_script:
        slack = min(SLACK_SECONDS, settings.stop_margin // 2)
        of_system = {"slack": str(slack), "requeue": settings.requeue, "next_script": str(resubmitted)}
    values = {
        "MADE_BY": f"Made by pyxt-hpc make-job {__version__}. To change it, run make-job again instead of "
        "editing it.",
        "DIRECTIVES": "\n".join(f"{system.prefix} {option}" for option in system.options(job) if option),
        "TIME": str(settings.time),
        "WARN_AT": str(settings.time - settings.stop_margin),
        "MAX_REQUEUES": str(settings.max_requeues),
        "OF_SYSTEM": "".join(f"{name}={shlex.quote(value)}\n" for name, value in of_system.items()),
        "WORK_DIR": shlex.quote(str(job.config.parent)),
        "LOG_DIR": shlex.quote(str(job.log_dir)),
        "LOG_STEM": shlex.quote(str(job.log_dir / job.title)),
        "RECORD": shlex.quote(str(job.record)),
        "MACHINERY": shlex.quote(str(machinery(job)[0])),
        "ENVIRONMENT": "\n".join(_environment(job)),
        "COMMANDS": "\n".join(_commands(job)),
    }
    # In one pass, so that a value that looks like a placeholder is not replaced.
    return re.sub(r"@([A-Z_]+)@", lambda match: values[match[1]], text)


_MODULES = """\
if ! type module >/dev/null 2>&1; then
    for file in /etc/profile.d/{lmod,modules}.sh /usr/share/{lmod/lmod,modules,Modules}/init/bash; do
        # shellcheck disable=SC1090 # the site's own
        if [ -r "$file" ]; then set +eu; . "$file"; set -eu; fi
    done
fi
set +eu # module is a function of the site, which minds neither"""


def _environment(job: Job) -> list[str]:
    settings = job.settings
    lines = []
    if settings.modules:
        lines += [_MODULES]
        lines += [
            f'module load {shlex.quote(name)} || finish 2 "cannot load module "{shlex.quote(name)}'
            for name in settings.modules
        ]
        lines += ["set -eu"]
    if settings.venv:
        venv = job.config.parent / os.path.expanduser(settings.venv)
        lines += [f'export PATH={shlex.quote(str(venv / "bin"))}:"$PATH"']
    # Every rank compares PYXT_HPC_RANKS with the size of its MPI world.
    variables = {
        "PYXT_HPC_RANKS": str(job.ranks),
        **dict.fromkeys(ONE_THREAD, "1"),
        **dict(settings.environment),
    }
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines += ['command -v pyxt-hpc >/dev/null || finish 2 "no pyxt-hpc on PATH: give --venv PATH"']
    return lines


def _commands(job: Job) -> list[str]:
    if job.n_tasks:
        return [f'run {shlex.join(["pyxt-hpc", *_of_slice(job)])} "$task"/{job.n_tasks}']
    config = ["-c", str(job.config)]
    fit = ["pyxt-hpc", "fit-spectra", *config, "--resolution", str(job.resolution), "--continue"]
    commands = {5: ["pyxt-hpc", "create-bins", *config, "--continue"], 6: fit}
    launcher = [*job.settings.launcher, "-n", str(job.ranks)] if job.ranks > 1 else []
    return [f"run {shlex.join([*launcher, *commands[stage]])}" for stage in job.stages]


def _of_slice(job: Job) -> list[str]:
    """Arguments of pyxt-hpc for a task of an array; the slice must be appended."""
    what = ["run", "--sample"] if job.is_sample else ["fit-spectra", "-c"]
    words = [*what, str(job.config), "--resolution", str(job.resolution)]
    words += [] if job.is_sample else ["--continue"]
    return [*words, "--num-cpus", str(job.settings.ranks_per_node), "--slice"]


def _list(job: Job) -> Iterator[str]:
    """One command line for each slice, independent of the settings of the shell that runs it."""
    settings = job.settings
    variables = {**dict.fromkeys(ONE_THREAD, "1"), **dict(settings.environment)}
    folder = job.config.parent / os.path.expanduser(settings.venv) / "bin" if settings.venv else Path()
    begin = ["env", *(f"{name}={value}" for name, value in variables.items()), str(folder / "pyxt-hpc")]
    for task in range(1, job.n_tasks + 1):
        yield shlex.join([*begin, *_of_slice(job), f"{task}/{job.n_tasks}"])
