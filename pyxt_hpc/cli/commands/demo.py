"""The command that runs all stages on a simulated cluster."""

import argparse
from pathlib import Path

from pyxt_hpc.cli.command import command
from pyxt_hpc.cli.options import json_option, option, whole_number
from pyxt_hpc.cli.screen import answer, tell


@command(
    "demo",
    "all stages on a simulated cluster, in minutes",
    "Simulate a cluster that is observed twice with ACIS-I, run all stages, and compare temperature,\n"
    "norm and goodness with the truth, also as a function of radius.",
    option("--directory", type=Path, default=Path("pyxt-demo"), help="working folder (default: ./pyxt-demo)"),
    option(
        "--ranks",
        type=whole_number(0, 4096),
        metavar="N",
        help="number of MPI ranks for stages 5 and 6, including the master; 0: processes instead of MPI "
        "(default: cores + 1 if MPI is installed)",
    ),
    json_option,
    example="pyxt-hpc demo --directory /tmp/pyxt-demo",
)
def demo(arguments: argparse.Namespace) -> None:
    from pyxt_hpc.pipeline.summaries import aligned_columns, flag_lines
    from pyxt_hpc.simulate.demo import run_demo
    from pyxt_hpc.simulate.truth import ring_table

    summary = run_demo(arguments.directory, arguments.ranks, tell)
    total = sum(summary.seconds.values())
    comparison = summary.comparison
    lines = {
        "regions fitted (bad)": f"{summary.regions} ({summary.bad})",
        **{f"seconds, {stage}": f"{seconds:.1f}" for stage, seconds in summary.seconds.items()},
        "seconds, all": f"{total:.1f}",
        "counts per region (median)": f"{summary.median_counts:.0f}",
        "(kT - truth)/sigma: median": f"{comparison.median:+.3f}",
        "(kT - truth)/sigma: scatter": f"{comparison.scatter:.3f}",
        "truth inside the 68% interval": f"{comparison.coverage:.1%}",
        "pictures": str(summary.pictures),
    }
    tell("")
    width = max(map(len, lines))
    answer(
        summary,
        (
            *(f"{name:<{width}}  {value}" for name, value in lines.items()),
            *("", *aligned_columns(*ring_table(comparison))),
            *("", *flag_lines(summary.flags)),
        ),
    )


COMMANDS = (demo,)
