"""One page about all clusters of a sample: what was found, what failed and why, and where the reports are."""

import base64
import io
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FileSystemLoader
from matplotlib.image import thumbnail

from pyxt_hpc.config.cluster import ClusterConfig, read_config
from pyxt_hpc.errors import PyxtError
from pyxt_hpc.files.writing import check_regular, replacing
from pyxt_hpc.fit.flags import DOUBTFUL
from pyxt_hpc.layout import Layout, SampleLayout
from pyxt_hpc.provenance import software
from pyxt_hpc.sample.outcome import Outcome, State, read_outcome
from pyxt_hpc.sample.table import Row
from pyxt_hpc.store.reader import read_results
from pyxt_hpc.store.rows import Status

_SCALE = 0.35
"""Of the pictures on the page, in units of the files."""


@dataclass(frozen=True)
class Entry:
    """A cluster on the page: texts for people; links are relative to the page, and empty where nothing is."""

    name: str
    state: str
    line: int
    reason: str = ""
    redshift: str = ""
    column: str = ""
    obsids: str = ""
    regions: str = ""
    kT: str = ""
    error: str = ""
    doubtful: str = ""
    time: str = ""
    log: str = ""
    report: str = ""
    picture: str = ""
    picture_file: str = ""


def write_page(layout: SampleLayout, rows: Sequence[Row]) -> None:
    """Write the page; several processes may do so, and what the last of them knew stays."""
    layout.folder.mkdir(parents=True, exist_ok=True)
    while True:
        outcomes = _outcomes(layout, rows)
        text = render(layout, rows, outcomes)
        with replacing(layout.page) as temporary:
            temporary.write_text(text, encoding="utf-8")
        # whoever writes last looks again: a page that was overtaken does not stay
        if _outcomes(layout, rows) == outcomes:
            return


def render(layout: SampleLayout, rows: Sequence[Row], outcomes: Sequence[Outcome]) -> str:
    """The page's text."""
    entries = [_entry(layout, row, one) for row, one in zip(rows, outcomes, strict=True)]
    number = Counter(one.state for one in entries)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html").render(
        title=f"Clusters of {layout.table.name}",
        table=layout.table.name,
        clusters=entries,
        counts=[(state.value, number[state]) for state in State if number[state]],
        software=software(),
        now=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _outcomes(layout: SampleLayout, rows: Sequence[Row]) -> list[Outcome]:
    return [read_outcome(layout.outcome(row.name), row.name) for row in rows]


def _entry(layout: SampleLayout, row: Row, outcome: Outcome) -> Entry:
    values = {
        "redshift": row.texts["redshift"],
        "column": row.texts["hydrogen_column_density"],
        "obsids": row.texts["observation_ids"],
        "reason": outcome.reason,
        "time": _duration(outcome.seconds) if outcome.seconds else "",
        "log": _link(layout, layout.log(row.name)),
    }
    try:
        config = read_config(layout.config(row.name))
    except PyxtError:  # which is why the cluster failed, or it is not yet there
        return Entry(row.name, outcome.state.value, row.line, **values)
    own = Layout.of(config)
    picture = own.picture(own.map("temperature"))
    return Entry(
        row.name,
        outcome.state.value,
        row.line,
        **values,
        **_numbers(config),
        report=_link(layout, own.main_output),
        picture=_small(picture) if check_regular(picture) else "",
        picture_file=_link(layout, picture),
    )


def _numbers(config: ClusterConfig) -> dict[str, str]:
    """What the results store says."""
    path = Layout.of(config).results
    if not check_regular(path):
        return {}
    try:
        results = read_results(path)
    except PyxtError:  # damaged, or of another version: the next run of the cluster tells
        return {}
    done = results.rows[results.status == Status.DONE]
    total = len(results.rows)
    regions = f"{len(done)}" if len(done) == total else f"{len(done)} of {total}"
    if not len(done):
        return {"regions": regions}
    low, middle, high = np.percentile(done["kT"], [5.0, 50.0, 95.0])
    error = 0.5 * (done["kT_hi"] - done["kT_lo"]) / done["kT"]
    return {
        "regions": regions,
        "kT": f"{middle:.2f} ({low:.2f} to {high:.2f})",
        "error": f"{np.nanmedian(error):.0%}" if np.isfinite(error).any() else "open",
        "doubtful": f"{np.mean((done['flags'] & int(DOUBTFUL)) != 0):.1%}",
    }


def _link(layout: SampleLayout, path: Path) -> str:
    """Relative, so that the folder can be copied; nothing where there is nothing."""
    return quote(os.path.relpath(path, layout.folder)) if path.exists() else ""


def _small(picture: Path) -> str:
    """A smaller PNG, in base 64."""
    out = io.BytesIO()
    thumbnail(str(picture), out, scale=_SCALE)
    return base64.b64encode(out.getvalue()).decode()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
