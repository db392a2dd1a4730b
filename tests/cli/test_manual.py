"""The manual is shown by the command line."""

from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.cli.manual import FOLDER, manual_pages


def test_pages_are_listed_with_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed[:-1]] == list(manual_pages())
    assert "notebook      A cluster in a notebook" in listed
    assert set(manual_pages().values()) == {path for path in FOLDER.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", manual_pages())
def test_a_page_is_shown_as_it_is(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", name]) == 0
    assert capsys.readouterr().out.rstrip() == manual_pages()[name].read_text(encoding="utf-8").rstrip()


@pytest.mark.parametrize("name", ["nothing", "../cli/manual", ""])
def test_pages_that_there_are_not(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "its pages are" in line
    assert "contributing" in line


@pytest.mark.parametrize("page", ["contributing.md", "changes.md"])
def test_paths_that_the_manual_names_exist(page: str) -> None:
    import re

    root = Path(__file__).parents[2]
    text = (FOLDER / page).read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:pyxt_hpc|tests|benchmarks|jobscripts|\.ci)/[\w./-]+|README\.md|setup\.cfg)`", text
    )
    assert not [path for path in named if not (root / path).exists()]
