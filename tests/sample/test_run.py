"""A sample: done clusters are skipped, failures stop nobody and are told, and it can be stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import MissingInput
from pyxt_hpc.layout import Layout, SampleLayout
from pyxt_hpc.preprocess.ciao import backend
from pyxt_hpc.sample import command, page, run
from pyxt_hpc.sample.command import CommandResult
from pyxt_hpc.sample.outcome import ClusterState, Outcome, read_outcome, write_outcome
from pyxt_hpc.sample.run import SampleRequest, request_fingerprint
from pyxt_hpc.sample.table import read_sample

OPTIONS = ["--through", "fit-spectra", "--resolution", "1", "--num-cpus", "1"]
TABLE = """\
name,obsids,z,nH,abundance,signal_to_noise
demo,4001 4002,0.1,0.05,0.3,40
broken,4001,0.1,0.05,,
absent,77 78,0.1,0.05,,
"""


@pytest.fixture(autouse=True)
def no_ciao(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine have no CIAO."""

    def find(*arguments: object) -> None:
        raise MissingInput("CIAO is not found")

    monkeypatch.setattr(backend, "find_ciao", find)


@pytest.fixture(scope="module")
def table(small_cluster_cropped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a simulated cluster, of one whose events are damaged, and of one that is not here."""
    folder = tmp_path_factory.mktemp("sample") / "a b"
    shutil.copytree(small_cluster_cropped, folder)
    events = folder / "broken" / "4001" / "primary" / "acisf04001N003_evt2.fits"
    events.parent.mkdir(parents=True)
    events.write_bytes(b"SIMPLE  =                    T")
    background = folder / "demo" / "4001" / "4001_background.fits"
    shutil.copy(background, folder / "broken" / "4001" / background.name)
    (folder / "my clusters.csv").write_text(TABLE, encoding="utf-8")
    return folder / "my clusters.csv"


def outcome(table: Path, name: str) -> Outcome:
    """Outcome of a cluster's run."""
    return read_outcome(SampleLayout(table).outcome(name), name)


class Page(HTMLParser):
    """Links, and what a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag points at."""
        for name, value in attrs:
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in ("src", "href"):
                self.fetched.append(value or "")


def test_failures_stop_nobody_and_the_page_says_why(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--sample", str(table), *OPTIONS]) == 2
    said = capsys.readouterr()
    assert "2 of 3 clusters failed (broken, absent)" in said.err
    assert [outcome(table, name).state for name in ("demo", "broken", "absent")] == [
        ClusterState.DONE,
        ClusterState.FAILED,
        ClusterState.FAILED,
    ]
    assert "ObsIDs 77, 78 have to be downloaded, which CIAO does" in outcome(table, "absent").reason
    assert "it is not found" in outcome(table, "absent").reason
    assert "acisf04001N003_evt2.fits" in outcome(table, "broken").reason
    layout = SampleLayout(table)
    text = layout.page.read_text(encoding="utf-8")
    for told in ("1 done, 2 failed", "my clusters.csv", "line 3", "line 4", "77, 78", "evt2.fits"):
        assert told in text
    seen = Page(text)
    assert all((layout.folder / unquote(link)).exists() for link in seen.links)
    assert any("broken.log" in link for link in seen.links)
    assert all(one.startswith("data:") for one in seen.fetched)
    assert "1369" in text, "regions of the demo"


def test_again_what_is_done_is_skipped_and_what_failed_is_tried(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: outcome(table, name) for name in ("demo", "broken")}
    assert before["demo"].state == ClusterState.DONE, "by the test above"
    started = SampleLayout(table).log("demo").stat().st_mtime_ns
    assert main(["run", "--sample", str(table), *OPTIONS]) == 2
    assert "demo: done already" in capsys.readouterr().out
    assert outcome(table, "demo") == before["demo"]
    assert SampleLayout(table).log("demo").stat().st_mtime_ns == started
    assert outcome(table, "broken").ended > before["broken"].ended


def test_what_a_person_draws_or_asks_makes_a_cluster_run_again(table: Path) -> None:
    config = read_config(table.parent / "demo.ini")
    request = SampleRequest(last="fit-spectra")
    before = request_fingerprint(config, request)
    assert before == request_fingerprint(config, request)
    assert before != request_fingerprint(
        config, SampleRequest(last="fit-spectra", options=("--resolution", "1"))
    )
    drawn = Layout.of(config).exclude_reg
    drawn.write_text(drawn.read_text() + "# mine\n")
    assert request_fingerprint(config, request) != before


def test_a_configuration_of_a_person_must_agree_and_one_of_the_table_follows_it(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = SampleLayout(table).config("absent")
    other = table.with_name("other.csv")
    head, *rows = TABLE.splitlines()
    other.write_text(f"{head}\nabsent,77,0.2,0.05,,\n", encoding="utf-8")
    config.write_text(config.read_text().replace("redshift = 0.1", "redshift = 0.15"))
    assert main(["run", "--sample", str(other), *OPTIONS]) == 2
    reason = outcome(other, "absent").reason
    assert "redshift is 0.15, but 0.2 in line 2 of other.csv" in reason
    assert "observation_ids is 77, 78, but 77 in line 2" in reason
    config.unlink()
    assert main(["run", "--sample", str(other), *OPTIONS]) == 2
    assert "redshift = 0.2" in config.read_text()
    other.write_text(f"{head}\nabsent,77,0.3,0.05,,\n", encoding="utf-8")
    assert main(["run", "--sample", str(other), *OPTIONS]) == 2
    assert "redshift = 0.3" in config.read_text()
    assert "ObsID 77 has to be downloaded" in capsys.readouterr().out


def test_stopped_it_ends_with_75_and_says_where(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(table.parent / "demo", folder / "demo")
    for made in (folder / "demo" / "acb").glob("*_results.h5"):
        made.unlink()
    own = folder / "clusters.csv"
    own.write_text("\n".join(TABLE.splitlines()[:2]), encoding="utf-8")
    line = [sys.executable, "-P", "-m", "pyxt_hpc", "run", "--sample", str(own), *OPTIONS]
    line[line.index("1")] = "3"  # every pixel: it takes a while
    log = SampleLayout(own).log("demo")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        deadline = time.monotonic() + 120
        while not (log.exists() and "fits: " in log.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        said = process.communicate(timeout=120)[0]
    assert process.returncode == 75, said
    assert "stopped at demo" in said
    found = outcome(own, "demo")
    assert found.state == ClusterState.STOPPED
    assert "left" in found.reason
    assert "Not finished" in SampleLayout(own).page.read_text(encoding="utf-8")


def rows_of(table: Path, text: str) -> SampleLayout:
    """A table of clusters that are not here, and their layout."""
    table.write_text(text, encoding="utf-8")
    return SampleLayout(table)


HEAD = "name,obsids,z,nH\n"


def test_a_report_follows_the_maps_and_its_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = rows_of(tmp_path / "two.csv", f"{HEAD}A,1,0.1,0.05\nB,2,0.1,0.05\n")
    asked: list[str] = []

    def pretended(words: list[str], log: Path, *, append: bool = False) -> CommandResult:
        asked.append(f"{words[0]} {Path(words[2]).name[0]}")
        fails = asked[-1] == "report B"
        return CommandResult(2, "no fits", False) if fails else CommandResult(0, "", False)

    monkeypatch.setattr(run, "run_command", pretended)
    for name, obsid in (("A", "1"), ("B", "2")):
        (tmp_path / name / obsid).mkdir(parents=True)
    assert main(["run", "--sample", str(layout.table)]) == 2
    assert asked == ["run A", "report A", "run B", "report B"]
    assert [outcome(layout.table, name).state for name in "AB"] == [ClusterState.DONE, ClusterState.FAILED]
    assert outcome(layout.table, "B").reason == "no fits"
    asked.clear()
    assert main(["run", "--sample", str(layout.table), "--through", "fit-spectra"]) == 0
    assert asked == ["run A", "run B"], "no maps, no report"


def test_the_page_shows_texts_as_texts(tmp_path: Path) -> None:
    layout = rows_of(tmp_path / "a&b.csv", f"{HEAD}A,1,0.1,0.05\n")
    reason = "<script>alert(1)</script> & 'x'"
    write_outcome(layout.outcome("A"), Outcome("A", ClusterState.FAILED, reason, found={"kT": "<i>5</i>"}))
    rows = read_sample(layout.table)
    page.write_page(layout, rows)
    text = layout.page.read_text(encoding="utf-8")
    assert "<script>" not in text
    assert "<i>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#39;x&#39;" in text
    assert "a&amp;b.csv" in text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "gone"}', '{"state": "done", "found": 3}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "A.json").write_text(text, encoding="utf-8")
    assert read_outcome(tmp_path / "A.json", "A") == Outcome("A")


def test_a_process_that_is_killed_is_a_failure_of_its_cluster_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    killed = command._reason(-signal.SIGKILL, log, 0)
    assert "SIGKILL" in killed
    assert "memory" in killed
    log.write_text(
        'Traceback\n  File "x"\nKeyError: 3\npyxt-hpc: this is a defect of pyxt_hpc: please report\n'
    )
    assert command._reason(1, log, 0) == "a defect of pyxt_hpc: KeyError: 3"
