"""The table of clusters, a CSV file with a row for each cluster and columns for keys of its configuration."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.config.cluster import KEYS
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted, suggestion
from pyxt_hpc.files.text import read_text

SHORT_NAMES = {
    "obsids": "observation_ids",
    "z": "redshift",
    "nh": "hydrogen_column_density",
    "signal_to_noise": "signal_to_noise_threshold",
}
"""Short names of columns besides their keys; case does not matter."""

_NOT_OF_A_TABLE = ("data_directory", "last_step_completed")
_EXAMPLE = "name,obsids,z,nH,abundance"


@dataclass(frozen=True)
class Row:
    """A cluster of the table.

    Parameters
    ----------
    name
        Name of the cluster.
    line
        Line of the file, from 1.
    texts
        Texts of the keys of its configuration.
    """

    name: str
    line: int
    texts: dict[str, str]


def read_sample(path: Path) -> list[Row]:
    """Read and check a table of clusters.

    Commas or semicolons separate cells. Blanks separate the ObsIDs in a cell; commas do if the cell is in
    quotes. Empty lines and lines that begin with ``#`` are skipped.

    Raises
    ------
    MissingInput, DamagedFile
        If there is no such file, or it is not text.
    ConfigError
        If a column is unknown or missing, or a cell is wrong; all problems are named together, with line and
        column.
    """
    text = read_text(path, f"write one that begins with the line `{_EXAMPLE}`")
    try:
        lines = list(_lines(text))
    except csv.Error as error:
        raise ConfigError(f"{path}: is not a CSV file ({error}): save it again as one") from None
    if not lines:
        raise ConfigError(
            f"{path}: is empty, expected a first line such as `{_EXAMPLE}` and a line for each cluster"
        )
    (at, head), *body = lines
    columns, problems = _columns(head, at)
    rows: list[Row] = []
    if not problems:
        for line, cells in body:
            row = _row(line, cells, columns, head, problems)
            # On file systems that ignore case, both would share one folder.
            earlier = next((one for one in rows if row and one.name.lower() == row.name.lower()), None)
            if row and earlier is not None:
                capitals = "" if earlier.name == row.name else ", and differs in capitals only"
                problems.append(
                    f"line {line}, column {_head_of('name', columns, head)}: {quoted(earlier.name)} is on "
                    f"line {earlier.line} already{capitals}"
                )
            elif row:
                rows.append(row)
        if not body:
            problems.append("there is no line below the first, expected a line for each cluster")
    if problems:
        raise ConfigError.of_several(str(path), problems)
    return rows


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of every line that is not empty or a comment."""
    first = next((line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"), "")
    between = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text), delimiter=between, skipinitialspace=True)
    number = 1
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped) and not stripped[0].startswith("#"):
            yield number, stripped
        number = reader.line_num + 1


def _columns(head: Sequence[str], line: int) -> tuple[list[str], list[str]]:
    """Key of every column, and problems."""
    known = {key.lower(): key for key in KEYS if key not in _NOT_OF_A_TABLE} | SHORT_NAMES
    columns, problems = [], []
    for title in head:
        key = known.get(title.lower())
        if key is None:
            expected = f", expected keys of a configuration, such as {_EXAMPLE}"
            meant = suggestion(title.lower(), list(known)) or expected
            problems.append(f"line {line}: the column {quoted(title)} is unknown{meant}")
        elif key in columns:
            problems.append(f"line {line}: the column {quoted(title)} is there twice")
        columns.append(key or "")
    short = {key: name for name, key in SHORT_NAMES.items()}
    missing = [short.get(key, key) for key, one in KEYS.items() if one.is_needed and key not in columns]
    if missing:
        problems.append(f"line {line}: the columns {', '.join(missing)} are missing")
    return columns, problems


def _row(
    line: int, cells: Sequence[str], columns: Sequence[str], head: Sequence[str], problems: list[str]
) -> Row | None:
    """A cluster; None if something is wrong, which is added to `problems`."""
    if len(cells) != len(columns):
        problems.append(
            f"line {line}: found {len(cells)} cells, expected {len(columns)} ({', '.join(head)}); put "
            "several ObsIDs into one cell with blanks between them"
        )
        return None
    texts: dict[str, str] = {}
    found = len(problems)
    for key, title, cell in zip(columns, head, cells, strict=True):
        one = KEYS[key]
        if not cell:
            if one.is_needed:
                problems.append(f"line {line}, column {title}: is empty ({one.comment})")
            continue
        try:
            one.parse(cell)
        except ValueError as error:
            problems.append(f"line {line}, column {title}: {error}")
        texts[key] = cell
    if len(problems) > found:
        return None
    return Row(texts["name"], line, texts)


def _head_of(key: str, columns: Sequence[str], head: Sequence[str]) -> str:
    return head[list(columns).index(key)]
