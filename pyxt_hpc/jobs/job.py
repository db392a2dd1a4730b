"""Work and paths of a job."""

from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.config.hpc import BatchSettings
from pyxt_hpc.errors import ConfigError

MAX_TASKS = 9999


@dataclass(frozen=True)
class Job:
    """A job for stages of one cluster, or for all stages of a sample of clusters.

    Parameters
    ----------
    name
        Name of the cluster or sample.
    config, script, record
        Absolute paths of the configuration (for a sample, the table of clusters), of the script, and of the
        table of jobs in the folder for logs.
    settings
        Request to the batch system.
    stages
        5 (bins), 6 (fits) or both.
    resolution
        Resolution of the fits.
    n_tasks
        Number of tasks of a job array, each of which works on its slice without MPI; 0: one job with MPI
        ranks.
    is_sample
        Whether each task runs all stages for its slice of a sample of clusters.

    Raises
    ------
    ConfigError
        If the values are invalid or contradict each other.
    """

    name: str
    config: Path
    script: Path
    record: Path
    settings: BatchSettings
    stages: tuple[int, ...] = (5, 6)
    resolution: int = 2
    n_tasks: int = 0
    is_sample: bool = False

    def __post_init__(self) -> None:
        for path in (self.config, self.script, self.record):
            if not str(path).isprintable():
                raise ConfigError(
                    f"{str(path)!r}: the path has control characters, which a script cannot contain: rename "
                    "it"
                )
        if self.stages not in ((5,), (6,), (5, 6)):
            raise ConfigError(f"stages {self.stages}: expected 5, 6 or both")
        if self.n_tasks and self.stages != (6,) and not self.is_sample:
            raise ConfigError("a job array does only stage 6: run create-bins first, and use --stages 6")
        if self.settings.scheduler == "list" and not self.n_tasks:
            raise ConfigError(
                "a list has a line for every slice of the regions: give the number of slices with --array N"
            )
        if self.n_tasks and not 2 <= self.n_tasks <= MAX_TASKS:
            raise ConfigError(f"--array {self.n_tasks}: expected 2 to {MAX_TASKS} tasks")

    @property
    def title(self) -> str:
        """Name of the job in the queue."""
        return f"pyxt-{self.name}"

    @property
    def log_dir(self) -> Path:
        """Folder for logs."""
        return self.record.parent

    @property
    def ranks(self) -> int:
        """Number of MPI ranks; 1 for tasks of an array, since pyxt-hpc starts the other processes."""
        return 1 if self.n_tasks else self.settings.ranks
