"""Requests to a batch system: the keys of ``[hpc]``."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from pyxt_hpc.config import parsers
from pyxt_hpc.config.parsers import Integer, choice, matching
from pyxt_hpc.config.schema import Key, key, read_texts, sections_of
from pyxt_hpc.errors import ConfigError

SECTION = "hpc"
SCHEDULERS = ("slurm", "pbs", "list")
REQUEUES = ("auto", "qrerun")

_memory = matching(
    "0|[1-9][0-9]{0,6}[MG]", "the memory of a node in M or G, e.g. 64G, or 0 for all of it (SLURM)"
)
_resources = matching(
    r"[a-z_]+=[A-Za-z0-9_.-]+(:[a-z_]+=[A-Za-z0-9_.-]+)*",
    "resources of a node as in -l select, e.g. model=bro",
)
_account_directive = matching("-[A-Za-z_= -]+", "what comes before the account, e.g. -W group_list=")
_address = matching("[A-Za-z0-9_.+-]+@[A-Za-z0-9.-]+", "an address such as you@example.org")
_key = partial(key, SECTION)


@dataclass(frozen=True)
class BatchSettings:
    """A request to a batch system. Attributes have the names of the keys; times are in seconds."""

    scheduler: str = _key(choice(*SCHEDULERS), "slurm or pbs; list: a file of commands for any scheduler")
    nodes: int = _key(Integer(1, 100_000), "nodes of a job", "1")
    ranks_per_node: int = _key(
        Integer(1, 4096), "MPI ranks on each node, or processes of each task of an array", "1"
    )
    time: int = _key(parsers.hours, "HH:MM:SS, limit of one attempt", "01:00:00")
    partition: str = _key(parsers.word, "SLURM's partition or PBS's queue", "")
    account: str = _key(parsers.word, "account that is charged", "")
    account_directive: str = _key(
        _account_directive,
        "option that names the account, if the usual one does not, e.g. -W group_list=",
        "",
    )
    memory: str = _key(_memory, "memory of a node, e.g. 500M or 64G; 0: all of it (SLURM)", "")
    pbs_select: str = _key(
        _resources, "further resources of a node (PBS), e.g. model=bro", "", former_name="chunk"
    )
    directives: tuple[str, ...] = _key(
        parsers.directives, "further options of the batch system, one on a line", ""
    )
    modules: tuple[str, ...] = _key(parsers.words, "modules to load, comma-separated", "")
    venv: str = _key(
        parsers.printable, "virtual environment with pyxt-hpc; empty: the one in which make-job runs", ""
    )
    environment: tuple[tuple[str, str], ...] = _key(
        parsers.environment, "environment variables of the job, one NAME=VALUE on a line", ""
    )
    launcher: tuple[str, ...] = _key(parsers.launcher, "srun or mpirun, with options", "mpirun")
    stop_margin: int = _key(
        Integer(10, 86_400, "s"),
        "how long before its time limit a job stops its work and stores it",
        "120",
        former_name="warning",
    )
    max_requeues: int = _key(Integer(0, 1000), "how often an unfinished job may run again", "20")
    requeue: str = _key(
        choice(*REQUEUES),
        "auto; or qrerun, where the centre lets users call it (PBS): a job that runs again keeps its id",
        "auto",
    )
    mail: str = _key(_address, "address that gets a mail when the job ends", "")

    @classmethod
    def of(cls, texts: Mapping[str, str], where: str) -> "BatchSettings":
        """Settings from the texts of the keys.

        Raises ConfigError if keys are unknown, invalid or missing; its message names all, and `where`.
        """
        values, problems = read_texts(texts, KEYS, f"[{SECTION}] ")
        if not texts.get("scheduler"):
            problems.append("no batch system: give --scheduler slurm, pbs or list, or --site NAME")
        if problems:
            raise ConfigError.of_several(where, problems)
        return cls(**values)

    @property
    def ranks(self) -> int:
        """Total number of MPI ranks."""
        return self.nodes * self.ranks_per_node


KEYS: dict[str, Key] = sections_of(BatchSettings)[SECTION]


def _text_key(name: str, meaning: str) -> dict[str, Key]:
    return {name: Key(SECTION, name, str, "", meaning)}


CONFIG_KEYS = {**_text_key("site", "profile of a centre: its name, or the path of your own file"), **KEYS}
"""Keys of ``[hpc]`` in a cluster's configuration."""

NEEDS_ACCOUNT = "needs_account"

PROFILE_KEYS = {
    **_text_key("description", "what the centre is"),
    **_text_key("documentation", "address of its documentation"),
    NEEDS_ACCOUNT: Key(
        SECTION, NEEDS_ACCOUNT, parsers.boolean, "false", "true: every job is charged to an account"
    ),
    **KEYS,
}
"""Keys of the profile of a computing centre."""
