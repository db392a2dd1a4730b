"""One page about all clusters of a sample: what was found, what failed and why, and where the reports are."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader

from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.files.times import duration, utc
from pyxt_hpc.files.writing import write_text
from pyxt_hpc.layout import Layout, SampleLayout
from pyxt_hpc.provenance import software
from pyxt_hpc.sample.outcome import ClusterState, Outcome, read_outcomes
from pyxt_hpc.sample.table import Row


def write_page(layout: SampleLayout, rows: Sequence[Row]) -> None:
    """Write the page; several processes may do so, and what the last of them knew stays."""
    while True:
        outcomes = read_outcomes(layout, rows)
        text = sample_html(layout, rows, outcomes)
        write_text(layout.page, text)
        # whoever writes last looks again: a page that was overtaken does not stay
        if read_outcomes(layout, rows) == outcomes:
            return


def sample_html(layout: SampleLayout, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> str:
    """The page's text."""
    entries = [_entry(layout, row, one) for row, one in zip(rows, outcomes, strict=True)]
    number = Counter(one.state for one in outcomes)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html").render(
        title=f"Clusters of {layout.table.name}",
        table=layout.table.name,
        clusters=entries,
        counts=[(state.value, number[state]) for state in ClusterState if number[state]],
        software=software(),
        now=utc(),
    )


def _entry(layout: SampleLayout, row: Row, outcome: Outcome) -> dict[str, str | int]:
    """A cluster: texts for people; links are relative to the page, and absent or empty where nothing is."""
    entry: dict[str, str | int] = {
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
    except PyxtError:  # which is why the cluster failed, or it is not yet there
        return entry
    own = Layout.of(config)
    return entry | {
        "report": _link(layout, own.report) or _link(layout, own.main_output),
        "picture_file": _link(layout, own.picture(own.map("temperature"))),
    }


def _link(layout: SampleLayout, path: Path) -> str:
    """Relative, so that the folder can be copied; nothing where there is nothing."""
    return quote(os.path.relpath(path, layout.folder)) if path.exists() else ""
