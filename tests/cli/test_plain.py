"""Results as JSON."""

import json
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.cli.plain import plain, plain_fits
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.store.rows import ROW_DTYPE, packed_observations


class Colour(IntEnum):
    """An example of a status."""

    DEEP_RED = 3


class Marks(IntFlag):
    """An example of the flags of a fit."""

    OPEN = 1
    POOR = 4


@dataclass(frozen=True)
class Result:
    """An example of a command's result."""

    path: Path
    counts: dict[Colour, int]
    values: np.ndarray


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (np.bool_(True), True),
        (float("nan"), None),
        (np.float32("inf"), None),
        (np.float64(0.5), 0.5),
        (np.int64(7), 7),
        (Colour.DEEP_RED, "deep_red"),
        (Marks.OPEN | Marks.POOR, ["open", "poor"]),
        (Marks(0), []),
        ((1, (2.0, float("nan"))), [1, [2.0, None]]),
        (np.array([[1.0, np.nan]]), [[1.0, None]]),
        (np.array([(1, 2.5)], [("a", int), ("b", float)]), [{"a": 1, "b": 2.5}]),
        (
            Result(Path("a/b"), {Colour.DEEP_RED: 2}, np.arange(2)),
            {"path": "a/b", "counts": {"deep_red": 2}, "values": [0, 1]},
        ),
    ],
)
def test_values(value: object, expected: object) -> None:
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)
    json.dumps(found, allow_nan=False)


def test_fits_have_names_of_flags_and_numbers_of_datasets() -> None:
    rows = np.zeros(2, ROW_DTYPE)
    rows["kT"] = 4.5, np.nan
    rows["flags"] = 0, int(FitFlag.KT_HI_OPEN | FitFlag.POOR_FIT)
    rows["observations"] = packed_observations(np.array([[True, False, True], [False, True, False]]))
    first, second = plain_fits(["12", "13"], rows)
    assert (first["name"], first["kT"], first["flags"], first["observations"]) == ("12", 4.5, [], [0, 2])
    assert second["kT"] is None
    assert second["flags"] == ["kt_hi_open", "poor_fit"]
    assert second["observations"] == [1]
