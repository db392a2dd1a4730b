"""What became of every cluster of a sample: a small file each, so that tasks of a job array share nothing."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from pyxt_hpc.files.writing import check_regular, write_text
from pyxt_hpc.layout import SampleLayout
from pyxt_hpc.sample.findings import NAMES
from pyxt_hpc.sample.table import Row


class ClusterState(StrEnum):
    """Of a cluster."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Interrupted or out of time: what was finished is stored, and the next run goes on."""


@dataclass(frozen=True)
class Outcome:
    """What became of a cluster.

    Parameters
    ----------
    name
        Of the cluster.
    state
        One of `ClusterState`.
    reason
        Why it failed or stopped.
    exit_code
        Of its command.
    ended
        When [s since 1970].
    seconds
        That it took.
    made_from
        Fingerprint of the configuration, of what a person drew, and of what was asked: a cluster that is done
        with another one is done again.
    configuration
        Fingerprint of the configuration's text, if it was written from the table.
    found
        Texts of `findings`: the page about all is written often, and reads nothing else.
    """

    name: str
    state: ClusterState = ClusterState.WAITING
    reason: str = ""
    exit_code: int = 0
    ended: float = 0.0
    seconds: float = 0.0
    made_from: str = ""
    configuration: str = ""
    found: dict[str, str] = field(default_factory=dict)


def read_outcome(path: Path, name: str) -> Outcome:
    """As it was written; waiting where there is no file, or a damaged one."""
    if not check_regular(path):
        return Outcome(name)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Outcome(
            name,
            state=ClusterState(values["state"]),
            reason=str(values["reason"]),
            exit_code=int(values["exit_code"]),
            ended=float(values["ended"]),
            seconds=float(values["seconds"]),
            made_from=str(values["made_from"]),
            configuration=str(values["configuration"]),
            found={key: str(text) for key, text in values["found"].items() if key in NAMES},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Outcome(name)  # what is done shows itself when the cluster is run again


def read_outcomes(layout: SampleLayout, rows: Sequence[Row]) -> list[Outcome]:
    """Those of all clusters of a table, in its order."""
    return [read_outcome(layout.outcome(row.name), row.name) for row in rows]


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write it; the folder is made."""
    write_text(path, json.dumps(asdict(outcome), indent=1) + "\n")
