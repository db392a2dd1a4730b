"""One page about all clusters of a sample, with results, failures and their reasons, and links to reports."""

import os
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.files.times import duration, utc
from pyxt_hpc.files.writing import write_text
from pyxt_hpc.layout import Layout, SampleLayout
from pyxt_hpc.provenance import software
from pyxt_hpc.report.html import rendered
from pyxt_hpc.sample.findings import NAMES
from pyxt_hpc.sample.outcome import ClusterState, Outcome, read_outcomes
from pyxt_hpc.sample.table import Row


def write_page(layout: SampleLayout, rows: Sequence[Row]) -> None:
    """Write the page; several processes may do so at the same time."""
    while True:
        outcomes = read_outcomes(layout, rows)
        text = sample_html(layout, rows, outcomes)
        write_text(layout.page, text)
        # Check for changes after writing, so that an old page cannot remain.
        if read_outcomes(layout, rows) == outcomes:
            return


def sample_html(layout: SampleLayout, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> str:
    """Text of the page."""
    entries = [_entry(layout, row, one) for row, one in zip(rows, outcomes, strict=True)]
    number = Counter(one.state for one in outcomes)
    context = {
        "title": f"Clusters of {layout.table.name}",
        "table": layout.table.name,
        "clusters": entries,
        "counts": [(state.value, number[state]) for state in ClusterState if number[state]],
        "software": software(),
        "now": utc(),
    }
    return rendered(files("pyxt_hpc.sample"), "page", context)


def _entry(layout: SampleLayout, row: Row, outcome: Outcome) -> dict[str, str | int]:
    """Texts and links of a cluster; links are relative to the page, and empty or absent without a target."""
    entry: dict[str, str | int] = {
        **dict.fromkeys((*NAMES, "report", "picture_file"), ""),
        "name": row.name,
        "state": outcome.state.value,
        "line": row.line,
        "redshift": row.texts["redshift"],
        "column": row.texts["hydrogen_column_density"],
        "obsids": row.texts["observation_ids"],
        "reason": outcome.reason,
        **outcome.found,
        "time": duration(outcome.seconds) if outcome.seconds else "",
        "log": _link(layout, layout.log(row.name)),
    }
    try:
        config = read_config(layout.config(row.name))
    except PyxtError:  # the configuration is wrong, so the cluster has failed, or it does not exist yet
        return entry
    own = Layout.of(config)
    return entry | {
        "report": _link(layout, own.report) or _link(layout, own.main_output),
        "picture_file": _link(layout, own.picture(own.map("temperature"))),
    }


def _link(layout: SampleLayout, path: Path) -> str:
    """Relative link, so that the folder can be copied; empty if the path does not exist."""
    return quote(os.path.relpath(path, layout.folder)) if path.exists() else ""
