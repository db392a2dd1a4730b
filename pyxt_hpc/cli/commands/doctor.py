"""The command that checks the installation."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import config_file_option, json_option
from pyxt_hpc.cli.screen import answer, echo, painted
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import LaunchError

if TYPE_CHECKING:
    from pyxt_hpc.doctor import Finding

COLOURS = {"ok": "32", "warning": "33", "missing": "33", "broken": "31"}


@command(
    "doctor",
    "check the installation, and list the effects of missing parts",
    "Check CIAO with CALDB, DS9, MPI, HDF5, Sherpa, SLURM or PBS, cores, memory, shared memory, the cache\n"
    "of compiled kernels and the disk. Nothing is changed.",
    config_file_option("also check the disk of this cluster's data, and its [ciao] prefix"),
    json_option,
    example="pyxt-hpc doctor",
)
def doctor(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.doctor import Verdict, examine

    config = read_config(arguments.config) if arguments.config else None
    folder = config.cluster_directory if config else Path()
    findings = []
    for finding in examine(folder, config.ciao_prefix if config else ""):
        findings.append(finding)
        if not arguments.json:  # print each at once, since some take seconds
            echo(*_lines(finding))
    if arguments.json:
        answer(findings, ())
    if broken := [one for one in findings if one.verdict is Verdict.BROKEN]:
        raise LaunchError.of_several("nothing works here", [f"{one.part}: {one.found}" for one in broken])


COMMANDS = (doctor,)


def _lines(finding: "Finding") -> Iterator[str]:
    verdict = finding.verdict.value
    yield f"{painted(f'{verdict:<8}', COLOURS[verdict], sys.stdout)} {finding.part}: {finding.found}"
    if finding.prevents:
        yield f"{'':<9}{finding.prevents}"
