"""The manual is shown by the command line."""

import re
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.cli.commands.manual import FOLDER, manual_pages
from pyxt_hpc.cli.page import plain_text, show


def test_the_list_has_every_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^ help {name} ", shown, re.MULTILINE) for name in manual_pages())
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    linked = {path for _, path in re.findall(r"\| \[(\w+)\]\((\S+)\)", index)}
    assert linked == {path.name for path in manual_pages().values()}
    assert linked | {"README.md"} == {path.name for path in FOLDER.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", manual_pages())
def test_a_page_is_shown_plainly(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["help", name]) == 0
    shown, text = capsys.readouterr().out, manual_pages()[name].read_text(encoding="utf-8")
    assert "\x1b" not in shown
    if manual_pages()[name].suffix == ".py":
        assert shown.rstrip() == text.rstrip()
        return
    assert not re.search(r"<!--|^#+ |\*\*|\]\(", re.sub(r"(?m)^ .*$", "", shown), re.MULTILINE)
    # Nothing is lost.
    without = re.sub(r"<!--.*?-->|```\w*|(?<!!)(\[[^]]*\])\((?!http)[^)]*\)", r"\1", text, flags=re.DOTALL)
    words = set(re.findall("[a-z]{4,}", plain_text(text, 1000).lower()))
    assert not set(re.findall("[a-z]{4,}", without.lower())) - words


LAID_OUT = """\
One
===

    pyxt-hpc help "a line that is longer than the page is wide"

(Picture, b.png: a)

 * see help two, the bins (help bins), one.py, CIAO
   (https://a.b/c)

Two
---

 a    b
 --------
 x_1  y z"""


def test_layout_of_a_page() -> None:
    page = """# One

<!-- tested: run -->
```sh
pyxt-hpc help "a line that is longer than the page is wide"
```

![a](b.png)

* see [two](two.md), [the bins](bins.md), [one.py](../one.py), [CIAO](https://a.b/c)

## Two

| a | b |
| --- | --- |
| `x_1` | **y** z |
"""
    assert plain_text(page, 55) == LAID_OUT


def test_a_person_gets_a_pager(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    paged: list[str] = []
    monkeypatch.setattr("pydoc.pager", paged.append)
    show("text")
    assert capsys.readouterr().out == "text\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    show("text")
    assert paged == ["text"]


@pytest.mark.parametrize("name", ["nothing", "../cli/manual", ""])
def test_pages_that_there_are_not(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "its pages are" in line
    assert "contributing" in line


@pytest.mark.parametrize("page", [path.name for path in manual_pages().values()])
def test_paths_that_the_manual_names_exist(page: str) -> None:
    root = Path(__file__).parents[3]
    text = (FOLDER / page).read_text(encoding="utf-8")
    named = re.findall(
        r"`((?:pyxt_hpc|tests|benchmarks|jobscripts|\.ci)/[\w./-]+|README\.md|setup\.cfg)`", text
    )
    assert not [path for path in named if not (root / path).exists()]
