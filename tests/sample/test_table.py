"""Tables of clusters: what is read, and how what is wrong is told."""

from pathlib import Path

import pytest

from pyxt_hpc.config.cluster import config_template, read_config
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.sample.table import read_sample


def written(folder: Path, text: str) -> Path:
    """Write a file with this text."""
    path = folder / "clusters.csv"
    path.write_text(text, encoding="utf-8")
    return path


GOOD = """\
# relaxed ones first
name,obsids,z,nH,abundance,signal_to_noise
A1795, 493 494, 0.0625, 0.0119,,60

A2029,"4977, 891",0.0773,0.0325,0.35,
"""


def test_rows_become_configurations(tmp_path: Path) -> None:
    first, second = read_sample(written(tmp_path, GOOD))
    assert (first.name, first.line, second.line) == ("A1795", 3, 5)
    for row in (first, second):
        (tmp_path / f"{row.name}.ini").write_text(config_template(row.name, row.texts), encoding="utf-8")
    config = read_config(tmp_path / "A1795.ini")
    assert (config.observation_ids, config.redshift, config.nH) == (("493", "494"), 0.0625, 0.0119)
    assert (config.abundance, config.signal_to_noise) == (0.3, 60.0)
    other = read_config(tmp_path / "A2029.ini")
    assert (other.observation_ids, other.abundance, other.signal_to_noise) == (("4977", "891"), 0.35, 50.0)


@pytest.mark.parametrize(
    "text",
    [
        "﻿name;obsids;z;nH\r\nA;1 2;0.1;0.05\r\n",  # as spreadsheets of some countries save it
        "Redshift,NAME,observation_ids,hydrogen_column_density\n0.1,A,1 2,0.05",
    ],
)
def test_other_ways_of_writing_it(tmp_path: Path, text: str) -> None:
    (row,) = read_sample(written(tmp_path, text))
    assert row.name == "A"
    assert row.texts["observation_ids"] == "1 2"
    assert row.texts["redshift"] == "0.1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty, expected a first line such as `name,obsids,z,nH,abundance`"),
        ("name,obsids,z,nH\n", "there is no line below the first"),
        ("name,obsids,z\nA,1,0.1\n", "line 1: the columns nh are missing"),
        ("name,obsid,z,nH\nA,1,0.1,0.05\n", "the column 'obsid' is unknown (did you mean obsids?)"),
        ("name,obsids,z,redshift,nH\nA,1,0.1,0.1,0.05\n", "the column 'redshift' is there twice"),
        ("name,obsids,z,nH\nA,1,0.1\n", "line 2: found 3 cells, expected 4"),
        ("name,obsids,z,nH\nA,1,2,0.1,0.05\n", "line 2: found 5 cells, expected 4"),
        ("name,obsids,z,nH\nA,1,,0.05\n", "line 2, column z: is empty"),
        ("name,obsids,z,nH\nA,1,0.1,0.05\n\nA,2,0.1,0.05\n", "line 4, column name: 'A' is on line 2 already"),
        (
            "name,obsids,z,nH\nA,1,0.1,0.05\na,2,0.1,0.05\n",
            "line 3, column name: 'A' is on line 2 already, and differs in capitals only",
        ),
        ("name,obsids,z,nH\nA,1,0.1,5.2e20\n", "line 2, column nH: is"),
        ("name,obsids,z,nH\n../A,1,0.1,0.05\n", "line 2, column name: is '../A'"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_sample(written(tmp_path, text))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    lines = ["name,obsids,z,nH", "A,one,0.1,0.05", "B,1,-0.1,0.05", "C,1,0.1,0.05", "C D,1,nan,0.05"]
    with pytest.raises(ConfigError) as error:
        read_sample(written(tmp_path, "\n".join(lines)))
    for told in ("line 2, column obsids", "line 3, column z", "line 5, column name", "line 5, column z"):
        assert told in str(error.value)
