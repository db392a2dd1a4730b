"""All stages on a simulated cluster, by the commands that a user would type."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.config.cluster import config_template, read_config
from pyxt_hpc.errors import EXIT_TRY_AGAIN, Interrupted, LaunchError, PyxtError
from pyxt_hpc.files.writing import write_text
from pyxt_hpc.fit.flags import FlagCounts
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.launch import BAR_VARIABLE, find_mpiexec
from pyxt_hpc.simulate.acis.observe import ObservationPlan, demo_plans, simulate_cluster
from pyxt_hpc.simulate.cluster import ClusterTruth, demo_truth
from pyxt_hpc.simulate.truth import TruthComparison, compare_with_truth
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status

NAME = "demo"
SEED = 1


@dataclass(frozen=True)
class DemoSummary:
    """Content of the demo's final table."""

    seconds: dict[str, float]
    regions: int
    bad: int
    median_counts: float
    flags: FlagCounts
    comparison: TruthComparison
    pictures: Path


def run_demo(directory: Path, ranks: int | None, echo: Callable[[str], None]) -> DemoSummary:
    """Simulate a cluster and map its temperature.

    Parameters
    ----------
    directory
        Folder; it is made if absent, and files of an earlier demo are replaced.
    ranks
        Number of MPI ranks for stages 5 and 6; 0: processes; None: MPI if it is installed.
    echo
        Function that prints a line.

    Raises
    ------
    LaunchError
        If ranks are requested and there is no MPI.
    PyxtError
        If a command fails.
    """
    launcher = _launcher(ranks, echo)
    directory.mkdir(parents=True, exist_ok=True)
    seconds = {}
    echo(f"simulating a cluster observed twice with ACIS-I in {directory / NAME}")
    start = time.perf_counter()
    truth, plans = demo_truth(), demo_plans()
    simulate_cluster(directory / NAME, truth, plans, seed=SEED)
    for drawn in (Layout(directory / NAME, NAME).sources_reg, Layout(directory / NAME, NAME).crop_reg):
        drawn.unlink()  # propose-regions makes them
    seconds["simulation"] = time.perf_counter() - start

    obsids = ",".join(plan.obsid for plan in plans)
    known = ["--redshift", f"{truth.redshift:g}", "--nH", f"{truth.nH:g}", "--abundance", "0.3"]
    wanted = ["--signal-to-noise", "40", "--yes"]
    _run(["pyxt-hpc", "init-cluster", NAME, "--obsids", obsids, *known, *wanted], echo, directory)
    config_path = directory / f"{NAME}_cluster_config.ini"

    commands = {
        "process-data": [],
        "propose-regions": [],
        "remove-sources": [],
        "generate-responses": [],
        "crop-data": [],
        "create-bins": launcher,
        "fit-spectra": launcher,
        "make-maps": [],
        "report": [],
    }
    extra = {"fit-spectra": ["--resolution", "2", "--yes"]}
    for name, prefix in commands.items():
        start = time.perf_counter()
        _run([*prefix, "pyxt-hpc", name, "-c", config_path.name, *extra.get(name, [])], echo, directory)
        seconds[name] = time.perf_counter() - start

    layout = Layout.of(read_config(config_path))
    results = read_store(layout.results)
    done = results.rows[results.status == Status.DONE]
    return DemoSummary(
        seconds=seconds,
        regions=len(results.rows),
        bad=int(np.sum(results.status == Status.BAD)),
        median_counts=float(np.median(done["counts"])),
        flags=FlagCounts.of(done["flags"]),
        comparison=compare_with_truth(done, read_bundle(layout.bundle), layout.cluster_dir / "truth"),
        pictures=layout.main_output,
    )


def write_demo_input(directory: Path, exposure_fraction: float = 1.0, field_arcmin: float = 14.0) -> Path:
    """Simulate the demo's observations and write its configuration, the inputs of `process-data`.

    Parameters
    ----------
    directory
        Folder for the cluster's folder and the configuration.
    exposure_fraction
        Exposure, over that of a million counts of the cluster.
    field_arcmin
        Side of the box around the emission.

    Returns
    -------
    Path
        The configuration file.
    """
    truth = demo_truth(field_arcmin=field_arcmin)
    plans = [replace(plan, exposure_s=exposure_fraction * plan.exposure_s) for plan in demo_plans()]
    return write_input(directory, NAME, truth, plans)


def write_input(directory: Path, name: str, truth: ClusterTruth, plans: Sequence[ObservationPlan]) -> Path:
    """Simulate observations of a cluster and write its configuration; return the path of the latter.

    Parameters
    ----------
    directory
        Folder for the cluster's folder and ``<name>.ini``.
    truth, plans
        As in `simulate_cluster`.
    """
    simulate_cluster(directory / name, truth, plans, seed=SEED)
    path = directory / f"{name}.ini"
    write_text(path, configuration_text(name, truth, plans))
    return path


def _launcher(ranks: int | None, echo: Callable[[str], None]) -> list[str]:
    if ranks is not None and ranks < 0:
        raise LaunchError(f"--ranks is {ranks}, expected 0 (processes) or more")
    if ranks == 0:
        return []
    mpiexec = find_mpiexec()
    if mpiexec is None:
        if ranks is None:
            echo("there is no MPI here (pip install 'pyxt_hpc[mpi]' installs one): processes are used")
            return []
        raise LaunchError(f"--ranks {ranks}: no mpi4py with mpiexec here: pip install 'pyxt_hpc[mpi]'")
    # One more rank than cores, since the master hardly computes.
    return [mpiexec, "-n", str(ranks or len(os.sched_getaffinity(0)) + 1)]


def _run(command: list[str], echo: Callable[[str], None], directory: Path) -> None:
    shown = shlex.join([Path(command[0]).name, *command[1:]])
    echo(f"$ {shown}")
    at = command.index("pyxt-hpc")
    # -P: import this package, and not one in the working directory.
    real = [*command[:at], sys.executable, "-P", "-m", "pyxt_hpc", *command[at + 1 :]]
    environment = dict(os.environ)
    if sys.stderr.isatty():
        environment[BAR_VARIABLE] = "1"
    interrupted = False
    with subprocess.Popen(real, cwd=directory, env=environment) as child:
        while True:
            try:
                code = child.wait()
                break
            except KeyboardInterrupt:  # the child has the signal, too, and ends without loss
                interrupted = True
    if interrupted or code == EXIT_TRY_AGAIN:
        raise Interrupted(f"`{shown}` was interrupted: run the demo again")
    if code:
        raise PyxtError(f"`{shown}` ended with exit code {code}: its message is above")


def configuration_text(name: str, truth: ClusterTruth, plans: Sequence[ObservationPlan]) -> str:
    """The configuration of a simulated cluster, as `init-cluster` writes it."""
    return config_template(
        name,
        {
            "observation_ids": ", ".join(plan.obsid for plan in plans),
            "redshift": f"{truth.redshift:g}",
            "hydrogen_column_density": f"{truth.nH:g}",
            "abundance": "0.3",
            "signal_to_noise_threshold": "40",
        },
    )
