"""Runs of all clusters of a sample: finished clusters are skipped, and a failure does not stop the others."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyxt_hpc.config.cluster import KEYS, ClusterConfig, config_template, read_config
from pyxt_hpc.errors import (
    EXIT_DEFECT,
    EXIT_TRY_AGAIN,
    ConfigError,
    Interrupted,
    MissingInput,
    PyxtError,
)
from pyxt_hpc.exit_codes import ending_of
from pyxt_hpc.files.text import resolved
from pyxt_hpc.files.writing import check_regular, write_text
from pyxt_hpc.layout import Layout, SampleLayout
from pyxt_hpc.preprocess.ciao.backend import choose_backend
from pyxt_hpc.provenance import fingerprint, software
from pyxt_hpc.sample.command import run_command
from pyxt_hpc.sample.findings import findings
from pyxt_hpc.sample.outcome import ClusterState, Outcome, read_outcome, write_outcome
from pyxt_hpc.sample.page import write_page
from pyxt_hpc.sample.table import Row, read_sample

log = logging.getLogger(__name__)

Echo = Callable[[str], None]

FIRST, LAST = "process-data", "make-maps"
"""The stage that downloads observations, and the stage after which there is a report."""


@dataclass(frozen=True)
class SampleRequest:
    """Stages and options for every cluster.

    Parameters
    ----------
    first, last
        Stages of `pipeline.run.STAGES`.
    options
        Further arguments of ``pyxt-hpc run``.
    """

    first: str = FIRST
    last: str = LAST
    options: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """All arguments of ``pyxt-hpc run``."""
        return ["--from", self.first, "--through", self.last, *self.options]


def run_sample(table: Path, echo: Echo, request: SampleRequest, part: tuple[int, int] = (1, 1)) -> None:
    """Run the clusters of a table one after the other, and write the page about all after each.

    Parameters
    ----------
    table
        CSV file; see `read_sample`.
    echo
        Function that prints a line.
    part
        (I, N) with 1 <= I <= N: run only every Nth cluster from the Ith on, as a task of a job array.

    Raises
    ------
    ConfigError
        If the table is wrong.
    PyxtError
        If clusters failed, with their names, after all others were run.
    Interrupted
        If this process got a stop signal, or clusters have to be run again.
    """
    rows = read_sample(table)
    layout = SampleLayout(resolved(table))
    chosen = rows[part[0] - 1 :: part[1]]
    found: list[Outcome] = []
    for number, row in enumerate(chosen, 1):
        echo(f"== {row.name} ({number} of {len(chosen)})")
        outcome, stopped = _run_one(layout, row, request, echo, rows)
        found.append(outcome)
        told = f": {outcome.reason}" if outcome.reason else ""
        echo(f"{row.name}: {outcome.state}{told}")
        write_page(layout, rows)
        if stopped:
            raise Interrupted(
                f"{table}: stopped at {row.name}, with {len(chosen) - number} clusters after it: run the "
                "same command again"
            )
    echo(f"{layout.page}: the page about all")
    _tell(table, layout, found)


def _tell(table: Path, layout: SampleLayout, found: Sequence[Outcome]) -> None:
    failed, again = (
        [one.name for one in found if one.state == state]
        for state in (ClusterState.FAILED, ClusterState.STOPPED)
    )
    if failed:
        raise PyxtError(
            f"{table}: {len(failed)} of {len(found)} clusters failed ({', '.join(failed)}): {layout.page} "
            "says why; remove the causes and run the same command again, which skips finished clusters"
        )
    if again:
        raise Interrupted(f"{table}: {', '.join(again)} stopped before the end: run the same command again")


def _run_one(
    layout: SampleLayout, row: Row, request: SampleRequest, echo: Echo, rows: Sequence[Row]
) -> tuple[Outcome, bool]:
    """Run a cluster; return its outcome, and whether this process got a stop signal."""
    path = layout.outcome(row.name)
    before = read_outcome(path, row.name)
    now = replace(before, state=ClusterState.FAILED, reason="", exit_code=0)
    began = time.time()
    stopped = False
    try:
        now = replace(now, configuration=prepare_configuration(layout, row, before.configuration))
        config = read_config(layout.config(row.name))
        now = replace(now, made_from=request_fingerprint(config, request))
        if _is_done(before, now, config, request):
            echo(f"{row.name}: done already")
            return before, False
        refuse_what_must_be_downloaded(config, request)
        write_outcome(path, replace(now, state=ClusterState.RUNNING))
        write_page(layout, rows)
        where = ["-c", str(config.path)]
        ended = run_command(["run", *where, *request.words], layout.log(row.name))
        if ended.exit_code == 0 and request.last == LAST:
            ended = run_command(["report", *where], layout.log(row.name), append=True)
        stopped = ended.stopped
        state = {0: ClusterState.DONE, EXIT_TRY_AGAIN: ClusterState.STOPPED}.get(
            ended.exit_code, ClusterState.FAILED
        )
        if stopped and state == ClusterState.FAILED:
            state = ClusterState.STOPPED  # the signal came before the command could handle it
        now = replace(
            now, state=state, reason=ended.reason, exit_code=ended.exit_code, found=findings(config)
        )
        if state == ClusterState.DONE:  # regions that were drawn or proposed meanwhile are included
            now = replace(now, made_from=request_fingerprint(config, request))
    except Exception as error:
        ending = ending_of(error)
        if ending.exit_code == EXIT_DEFECT:
            log.exception("%s: a defect of pyxt_hpc; please report it", row.name)
        reason = (
            " ".join([ending.line, *ending.more]) or f"a defect of pyxt_hpc: {type(error).__name__}: {error}"
        )
        now = replace(now, reason=reason, exit_code=ending.exit_code)
    now = replace(now, ended=time.time(), seconds=time.time() - began)
    write_outcome(path, now)
    return now, stopped


def prepare_configuration(layout: SampleLayout, row: Row, written: str) -> str:
    """Write a cluster's configuration from its row, unless a person has written or changed it.

    Parameters
    ----------
    written
        Fingerprint of the text that was last written.

    Returns
    -------
    str
        Fingerprint of the text; empty if a person has written or changed the file.

    Raises
    ------
    ConfigError
        If such a file contradicts the row.
    """
    path = layout.config(row.name)
    text = config_template(row.name, row.texts)
    ours = fingerprint({"text": text})
    if check_regular(path):
        there = fingerprint({"text": path.read_text(encoding="utf-8", errors="replace")})
        if there == ours:
            return ours
        if there != written:
            _compare(path, row, layout.table)
            return ""
    write_text(path, text)
    return ours


def _compare(path: Path, row: Row, table: Path) -> None:
    config = read_config(path)
    different = []
    for name, text in row.texts.items():
        one = KEYS[name]
        if one.parse(text) != (there := getattr(config, one.attribute)):
            shown = ", ".join(there) if isinstance(there, tuple) and name == "observation_ids" else there
            different.append(f"{name} is {shown}, but {text} in line {row.line} of {table.name}")
    if different:
        raise ConfigError(f"{path}: {'; '.join(different)}: make them agree, or remove the configuration")


def request_fingerprint(config: ClusterConfig, request: SampleRequest) -> str:
    """Fingerprint of the configuration, the drawn regions and the request."""
    layout = Layout.of(config)
    drawn = [layout.sources_reg, layout.exclude_reg, layout.background_reg, layout.crop_reg]
    drawn += [layout.response_region(obsid) for obsid in config.observation_ids]
    files = {
        str(path.relative_to(layout.cluster_dir)): path.read_text(encoding="utf-8", errors="replace")
        for path in drawn
        if check_regular(path)
    }
    return fingerprint(
        {
            "configuration": config.path.read_text(encoding="utf-8", errors="replace"),
            "drawn": files,
            "request": request.words,
            "software": software(),
        }
    )


def _is_done(before: Outcome, now: Outcome, config: ClusterConfig, request: SampleRequest) -> bool:
    """Whether the same request is done and its last product exists."""
    layout = Layout.of(config)
    product = layout.report if request.last == LAST else layout.cluster_dir
    return before.state == ClusterState.DONE and before.made_from == now.made_from and product.exists()


def refuse_what_must_be_downloaded(config: ClusterConfig, request: SampleRequest) -> None:
    """Check that missing observations can be downloaded.

    Raises
    ------
    MissingInput
        If observations are missing, and CIAO is not used.
    """
    if request.first != FIRST:
        return
    layout = Layout.of(config)
    absent = [obsid for obsid in config.observation_ids if not layout.observation(obsid).is_dir()]
    if not absent or (backend := choose_backend(config, layout)).ciao is not None:
        return
    many = len(absent) > 1
    why = backend.reason if config.backend == "builtin" else "it is not found (`pyxt-hpc help ciao`)"
    raise MissingInput(
        f"ObsID{'s' * many} {', '.join(absent)} {'have' if many else 'has'} to be downloaded, which CIAO "
        f"does: {why}; install it, or put the files into {layout.cluster_dir}/<ObsID>/"
    )
