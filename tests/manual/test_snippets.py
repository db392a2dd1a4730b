"""Every command and program in README and the manual does what it says, or is one that could be given."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.cli.parser import all_commands, make_parser
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.jobs.sites import read_site
from pyxt_hpc.sample.table import read_sample
from pyxt_hpc.simulate.demo import write_demo_input

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "pyxt_hpc" / "manual"
PAGES = [ROOT / "README.md", *sorted(FOLDER.glob("*.md"))]
IN_CI = ("demo command", "test command")
"""Marks of what is run as it stands: by whoever tries README, and by .ci/run."""

WAYS = ("run", "run from events", "parsed", "python", "configuration", "site", "sample", "tree")
"""What may follow ``tested:`` in a mark."""

PROGRAMS = {
    *(
        "bash",
        "cd",
        "conda",
        "download_chandra_obsid",
        "ds9",
        "eval",
        "git",
        "mkdir",
        "parallel",
        "python3",
        "rsync",
        "sbatch",
        "source",
    ),
    *(".venv/bin/pip", ".venv/bin/pytest", ".venv/bin/ruff", ".venv/bin/mypy", ".ci/run", "~/pyxt/bin/pip"),
}
"""Programs of others that the manual names."""

_BLOCK = re.compile(r"(?:^<!-- ([^>]*) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the comment before it."""

    page: str
    line: int
    mark: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(*marks: str) -> list[Block]:
    """Of all pages, with one of these marks; without any, all."""
    found = []
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for match in _BLOCK.finditer(text):
            line = text[: match.start(2)].count("\n") + 1
            found.append(Block(path.stem, line, match[1] or "", match[2], match[3]))
    return [block for block in found if not marks or block.mark in marks]


def command_lines(text: str) -> Iterator[list[str]]:
    """Words of each command of a piece of shell."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = next((i for i, word in enumerate(words) if word in ("&&", "|", ";")), len(words))
            yield words[: words.index(">")] if ">" in words else words[:end]
            words = words[end + 1 :]


def refuse_unknown(words: list[str]) -> None:
    """Read a command as the shell's user gives it; raises ConfigError if the parser does not take it."""
    if words[0] in ("mpirun", "srun"):
        refuse_unknown(words[words.index("pyxt-hpc") :])
    elif words[0] in ("pyxt-hpc", ".venv/bin/pyxt-hpc"):
        make_parser().parse_args(words[1:])
    else:
        assert words[0] in PROGRAMS, words


def test_every_block_says_how_it_is_tested() -> None:
    known = {*IN_CI, "snippet in Python", *(f"tested: {way}" for way in WAYS)}
    assert not [str(block) for block in blocks() if block.mark not in known]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a small simulated cluster, made from its observations by what the manual says."""
    folder = tmp_path_factory.mktemp("manual")
    write_demo_input(folder, exposure_fraction=0.3, field_arcmin=3.0)
    with contextlib.chdir(folder):
        for block in blocks("tested: run from events"):
            run_all(block)
    return folder


def run_all(block: Block) -> None:
    """Give the commands of a block."""
    for words in command_lines(as_in_sandbox(block.text)):
        assert words[0] == "pyxt-hpc"
        assert main(words[1:]) == 0, words


def as_in_sandbox(text: str) -> str:
    """The manual speaks of A1795, which has more regions."""
    return (
        text.replace("A1795_cluster_config.ini", "demo.ini").replace("A1795", "demo").replace("4711", "711")
    )


@pytest.mark.parametrize("block", blocks("tested: run"), ids=str)
def test_commands_that_are_run(block: Block, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sandbox)
    run_all(block)


@pytest.mark.parametrize("block", blocks("tested: python", "snippet in Python"), ids=str)
def test_programs(block: Block, sandbox: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(as_in_sandbox(block.text), encoding="utf-8")
    before = set(sandbox.rglob("*"))
    run = subprocess.run(
        [sys.executable, str(script)],
        cwd=sandbox,
        env={**os.environ, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    new = set(sandbox.rglob("*")) - before
    assert {path.name for path in new} == set(re.findall(r'write\("(.*?)"\)', as_in_sandbox(block.text)))
    for path in new:
        path.unlink()


@pytest.mark.parametrize("block", blocks("tested: parsed", *IN_CI), ids=str)
def test_commands_that_are_read(block: Block) -> None:
    if block.language == "python":
        compile(block.text, str(block), "exec")
        return
    subprocess.run(["bash", "-n"], input=re.sub(r"<[a-z ]+>", "X", block.text), text=True, check=True)
    for words in command_lines(block.text):
        refuse_unknown(words)


@pytest.mark.parametrize("block", blocks("tested: configuration", "tested: site"), ids=str)
def test_configurations(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "A.ini"
    path.write_text(block.text, encoding="utf-8")
    if block.mark == "tested: site":
        assert read_site(str(path))["scheduler"] == "slurm"
    else:
        assert read_config(path).name == "A1795"


@pytest.mark.parametrize("block", blocks("tested: sample"), ids=str)
def test_tables_of_clusters(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "clusters.csv"
    path.write_text(block.text, encoding="utf-8")
    assert [row.name for row in read_sample(path)] == ["A1795", "A2029"]


@pytest.mark.parametrize("block", blocks("tested: tree"), ids=str)
def test_what_is_where(block: Block) -> None:
    paths, parent = set(), ""
    for line in block.text.splitlines():
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        paths.update(f"{parent if line.startswith(' ') else ''}{name}" for name in names)
        if not line.startswith(" "):
            parent = names[0]
    assert not [path for path in paths if not (ROOT / path).exists()]
    rooms = {
        path.name for path in (ROOT / "pyxt_hpc").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert rooms <= {path.removeprefix("pyxt_hpc/").rstrip("/") for path in paths}


def test_commands_within_sentences() -> None:
    """Names and options are those that there are, whatever else the command would need."""
    names = {command.name.split()[0] for command in all_commands()}
    wrong = []
    for path in PAGES:
        for span in _SPAN.findall(_BLOCK.sub("", path.read_text(encoding="utf-8"))):
            words = span.split()
            if words[0] == "pyxt-hpc":
                words = words[1:]
            elif words[0] not in names or not any(word.startswith("--") for word in words):
                continue
            if not words or words[0] == "COMMAND":
                continue
            try:
                make_parser().parse_args(words)
            except SystemExit:
                continue  # --help
            except ConfigError as error:
                if "required" not in str(error) and "expected" not in str(error):
                    wrong.append(f"{path.name}: {span}: {error}")
    assert not wrong, "\n".join(wrong)


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 160


def test_links_lead_somewhere() -> None:
    missing = []
    for path in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", _BLOCK.sub("", path.read_text(encoding="utf-8"))):
            if not target.startswith("http") and not (path.parent / target).exists():
                missing.append(f"{path.name}: {target}")
    assert not missing
