"""Outcomes of the clusters of a sample, each in its own file, so that tasks of a job array share none."""

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
    """State of a cluster."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Interrupted or out of time: finished results are stored, and the next run continues."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a cluster.

    Parameters
    ----------
    name
        Name of the cluster.
    state
        One of `ClusterState`.
    reason
        Why it failed or stopped.
    exit_code
        Exit code of its command.
    ended
        Time of its end [s since 1970].
    seconds
        Duration.
    made_from
        Fingerprint of the configuration, the drawn regions and the request; a cluster is run again if it
        changes.
    configuration
        Fingerprint of the configuration's text, if it was written from the table.
    found
        Texts of `findings`, so that the page about all, which is written often, reads no other file.
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
    """Read an outcome; without a file, or with a damaged one, the cluster is waiting."""
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
        return Outcome(name)  # the next run of the cluster finds out what is done


def read_outcomes(layout: SampleLayout, rows: Sequence[Row]) -> list[Outcome]:
    """Outcomes of all clusters of a table, in its order."""
    return [read_outcome(layout.outcome(row.name), row.name) for row in rows]


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write an outcome, and make its folder."""
    write_text(path, json.dumps(asdict(outcome), indent=1) + "\n")
