"""Plans are done once, several observations at a time, checked, and gone on with where they stopped."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from small_ciao import outside, small_ciao, tool

from pyxt_hpc.errors import CiaoError, ConfigError, DiskFull, Interrupted, MissingInput, PyxtError
from pyxt_hpc.files.process_identity import is_running
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.find import Ciao, find_ciao
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, Value
from pyxt_hpc.preprocess.ciao.runner import CallLimits, run_plan
from pyxt_hpc.steps import StepResult

STAGE = "process-data"


class Cluster:
    """A cluster's folder, and a small CIAO whose tool ``copy`` notes that it was called."""

    def __init__(self, folder: Path) -> None:
        self.prefix = small_ciao(folder / "ciao")
        self.layout = Layout(folder / "A", "A")
        self.ciao: Ciao = find_ciao(str(self.prefix), outside())
        self.events = folder / "evt2.fits"
        fits.HDUList([fits.PrimaryHDU(np.arange(2000.0))]).writeto(self.events)
        self.called = folder / "called"
        tool(self.prefix, "copy", f'echo "copy $name" | tee -a {self.called}; cp "$infile" "$outfile"')

    def copy(self, obsid: str = "1", name: str = "a", **parameters: Value) -> Call:
        """Make a copy of the events."""
        return Call(
            tool="copy",
            parameters={
                "name": name,
                "infile": str(self.events),
                "outfile": f"{OUT}/{name}.fits",
                **parameters,
            },
            reads=(self.events,),
            writes=(f"{name}.fits",),
            folder=self.layout.analysis(obsid) if obsid else self.layout.combined,
            obsid=obsid,
        )

    def run(self, *plan: Call, workers: int = 2, **options: float) -> tuple[StepResult, ...]:
        force = bool(options.pop("force", False))
        limits = CallLimits(workers, **options)  # type: ignore[arg-type]
        return run_plan(STAGE, plan, self.layout, self.ciao, limits, force=force)

    def calls(self) -> list[str]:
        """What was called since the last look."""
        found = self.called.read_text().split("\n")[:-1] if self.called.exists() else []
        self.called.unlink(missing_ok=True)
        return found

    def files(self) -> set[str]:
        """All files but records and logs."""
        root = self.layout.cluster_dir
        found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        return {name for name in found if not name.startswith(("steps/", "logs/"))}


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


def reasons(results: tuple[StepResult, ...]) -> list[str | None]:
    return [result.reason for result in results]


def test_a_plan_is_done_once(cluster: Cluster) -> None:
    plan = [cluster.copy("1"), cluster.copy("1", "b"), cluster.copy("2"), cluster.copy("")]
    first = cluster.run(*plan)
    assert reasons(first) == ["not done yet"] * 4
    assert cluster.files() == {
        "1/analysis/a.fits",
        "1/analysis/b.fits",
        "2/analysis/a.fits",
        "combined/a.fits",
    }
    assert sorted(cluster.calls()) == ["copy a", "copy a", "copy a", "copy b"]
    again = cluster.run(*plan)
    assert reasons(again) == [None] * 4
    assert cluster.calls() == []
    assert [one.facts for one in again] == [one.facts for one in first]
    facts = first[1].facts
    assert facts["files"] == ["b.fits"]
    assert facts["screen"] == "copy b\n"
    assert facts["outputs"]["outfile"] == str(cluster.layout.analysis("1") / "b.fits")
    assert facts["ciao"] == f"CIAO 4.17.0, without CALDB, in {cluster.prefix}"
    assert facts["seconds"] > 0


def test_only_what_changed_is_done_again(cluster: Cluster) -> None:
    plan = [cluster.copy("1"), cluster.copy("1", "b")]
    cluster.run(*plan)
    cluster.calls()
    (cluster.layout.analysis("1") / "b.fits").unlink()
    assert reasons(cluster.run(*plan)) == [None, "b.fits is missing"]
    other = [replace(plan[0], parameters={**plan[0].parameters, "more": "1"}), plan[1]]
    assert reasons(cluster.run(*other)) == ["parameters changed", None]
    os.utime(cluster.events, (1, 1))
    fits.HDUList([fits.PrimaryHDU(np.ones(2000))]).writeto(cluster.events, overwrite=True)
    assert [str(reason) for reason in reasons(cluster.run(*other))] == [f"{cluster.events} changed"] * 2
    assert reasons(cluster.run(*other, force=True)) == ["asked for"] * 2


def test_the_same_tool_twice_in_a_stage(cluster: Cluster) -> None:
    """In two plans as in one: each call has its own record."""
    for _ in range(2):
        again = [cluster.run(cluster.copy("1", name)) for name in ("a", "b")]
    assert [reasons(one) for one in again] == [[None], [None]]


def test_the_folder_may_be_moved(cluster: Cluster, tmp_path: Path) -> None:
    made = cluster.copy()
    more = cluster.copy("1", "b", infile=str(cluster.layout.analysis("1") / "a.fits"))
    cluster.run(made, more)
    cluster.layout.cluster_dir.rename(tmp_path / "moved")
    cluster.layout = Layout(tmp_path / "moved", "A")
    more = cluster.copy("1", "b", infile=str(cluster.layout.analysis("1") / "a.fits"))
    assert reasons(cluster.run(cluster.copy(), more)) == [None, None]


def test_a_stage_goes_on_from_the_tool_that_failed(cluster: Cluster) -> None:
    plan = [cluster.copy("1"), cluster.copy("1", "b"), cluster.copy("1", "c")]
    working = (cluster.prefix / "bin/copy").read_text()
    tool(
        cluster.prefix, "copy", f'echo "copy $name" >> {cluster.called}; [ $name = a ] && cp $infile $outfile'
    )
    with pytest.raises(CiaoError, match="copy of ObsID 1 failed: it said nothing"):
        cluster.run(*plan)
    assert cluster.calls() == ["copy a", "copy b"]
    assert cluster.files() == {"1/analysis/a.fits"}
    (cluster.prefix / "bin/copy").write_text(working)
    cluster.run(*plan)
    assert cluster.calls() == ["copy b", "copy c"]


def test_others_are_finished_where_one_observation_fails(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    tool(
        cluster.prefix,
        "fail",
        f"until [ -e {cluster.layout.analysis('2')}/b.fits ]; do sleep 0.01; done; exit 1",
    )
    failing = replace(cluster.copy("1"), tool="fail")
    plan = [
        failing,
        replace(failing, obsid="3"),
        cluster.copy("2"),
        cluster.copy("2", "b"),
        cluster.copy("", "all"),
    ]
    with pytest.raises(CiaoError, match="fail of ObsID 1 failed"):
        cluster.run(*plan, workers=3)
    assert cluster.files() == {"2/analysis/a.fits", "2/analysis/b.fits"}
    assert "fail of ObsID 3 failed" in caplog.text


def test_observations_are_done_at_the_same_time_and_each_in_its_order(cluster: Cluster) -> None:
    """Each waits for the other: one after the other they would never end."""
    folder = cluster.prefix.parent
    meet = f"touch {folder}/$own; until [ -e {folder}/$other ]; do sleep 0.01; done; cp $infile $outfile"
    tool(cluster.prefix, "copy", f"{meet}; echo $own >> {cluster.called}")
    plan = [
        cluster.copy("1", own="1a", other="2a"),
        cluster.copy("1", "b", own="1b", other="2b"),
        cluster.copy("2", own="2a", other="1a"),
        cluster.copy("2", "b", own="2b", other="1b"),
        cluster.copy("", "all", own="all", other="1b"),
        cluster.copy("1", "c", own="1c", other="2b"),
    ]
    cluster.run(*plan, time_limit_s=30.0)
    order = cluster.calls()
    assert sorted(order[:2]) == ["1a", "2a"]
    assert sorted(order[2:4]) == ["1b", "2b"]
    assert order[4:] == ["all", "1c"]


@pytest.mark.parametrize("downloads", [1, 2])
def test_so_many_downloads_at_a_time(downloads: int, cluster: Cluster) -> None:
    (cluster.prefix / "lib/ciao_contrib/cda/data.py").write_text(
        "import os, time\n"
        "def download_chandra_obsids(obsids, filetypes=None, mirror=None):\n"
        f"    with open({str(cluster.called)!r}, 'a') as file:\n"
        "        for word in ('begin', 'end'):\n"
        "            file.write(word + '\\n'); file.flush(); time.sleep(0.3)\n"
        "    os.makedirs(str(obsids[0]))\n"
        f"    os.link({str(cluster.events)!r}, str(obsids[0]) + '/evt2.fits')\n"
        "    return [True]\n"
    )
    folder = cluster.layout.cluster_dir
    plan = [
        Call("download_chandra_obsid", {"obsids": (o,)}, (), (f"{o}/*evt2.fits",), folder, o, in_place=True)
        for o in ("1", "2", "3")
    ]
    results = cluster.run(*plan, workers=3, downloads=downloads)
    assert results[1].facts["files"] == ["2/evt2.fits"]
    in_turn = ["begin", "end"] * 3
    assert (cluster.calls() == in_turn) == (downloads == 1)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("true", "made no a.fits"),
        (': > "$outfile"', "a.fits is empty"),
        ('head -c 5000 "$infile" > "$outfile"', r"a.fits: product is damaged or not FITS \(truncated"),
        ('echo text > "$outfile"', "a.fits: product is damaged or not FITS"),
        (
            'gzip < "$infile" | head -c 200 > "$outfile"',
            r"a.fits: product is damaged \(Compressed file ended",
        ),
    ],
)
def test_products_are_looked_at_before_they_get_their_names(
    script: str, expected: str, cluster: Cluster
) -> None:
    cluster.run(cluster.copy())
    before = (cluster.layout.analysis("1") / "a.fits").stat()
    tool(cluster.prefix, "copy", script)
    log = cluster.layout.logs / "process-data_1.log"
    with pytest.raises(CiaoError, match=f"copy of ObsID 1 ended without an error, but {expected}.*{log}"):
        cluster.run(cluster.copy(), force=True)
    assert (cluster.layout.analysis("1") / "a.fits").stat().st_ino == before.st_ino
    assert cluster.files() == {"1/analysis/a.fits"}


def test_what_was_not_promised_is_thrown_away_and_paths_in_lists_are_final(cluster: Cluster) -> None:
    tool(
        cluster.prefix,
        "repro",
        'for n in 1 2; do cp "$infile" "$outdir/pcad${n}_asol1.fits"; done; echo scratch > here\n'
        'ls -d "$outdir"/pcad* > "$outdir/acis_asol1.lis"\n'
        'mkdir "$outdir/deep"; cp "$infile" "$outdir/deep/x.img"',
    )
    call = Call(
        tool="repro",
        parameters={"infile": str(cluster.events), "outdir": OUT},
        reads=(),
        writes=("*asol1*", "pcad*.fits", "deep/*.img"),
        folder=cluster.layout.observation("1") / "repro",
        obsid="1",
    )
    (result,) = cluster.run(call)
    folder = call.folder
    made = ["acis_asol1.lis", "deep/x.img", "pcad1_asol1.fits", "pcad2_asol1.fits"]
    assert sorted(result.facts["files"]) == made
    assert cluster.files() == {f"1/repro/{name}" for name in made}
    expected = [str(folder / f"pcad{n}_asol1.fits") for n in (1, 2)]
    assert (folder / "acis_asol1.lis").read_text().splitlines() == expected


def test_what_an_earlier_run_made_besides_goes(cluster: Cluster) -> None:
    tool(cluster.prefix, "copy", 'for n in $numbers; do cp "$infile" "${outfile%.fits}$n.fits"; done')
    three, two = (replace(cluster.copy(numbers=numbers), writes=("a*.fits",)) for numbers in ("1 2 3", "1 2"))
    cluster.run(three)
    assert cluster.files() == {f"1/analysis/a{n}.fits" for n in (1, 2, 3)}
    cluster.run(two)
    assert cluster.files() == {f"1/analysis/a{n}.fits" for n in (1, 2)}


def test_what_is_executed_is_a_script_and_has_its_log_beside_it(cluster: Cluster) -> None:
    cluster.run(cluster.copy(), cluster.copy("1", "b"))
    cluster.calls()
    for name in ("a", "b"):
        (cluster.layout.analysis("1") / f"{name}.fits").unlink()
    script = cluster.layout.logs / "process-data_1.sh"
    tool(cluster.prefix, "punlearn", "true")
    subprocess.run(["bash", script], env={"PATH": f"{cluster.prefix}/bin:{os.defpath}"}, check=True)
    assert cluster.calls() == ["copy a", "copy b"]
    assert cluster.files() == {"1/analysis/a.fits", "1/analysis/b.fits"}
    lines = script.with_suffix(".log").read_text().splitlines()
    assert [line for line in lines if not line.startswith("==")] == ["copy a", "copy b"]
    assert len(lines) == 6


def test_a_question_is_always_asked_anew(cluster: Cluster) -> None:
    tool(cluster.prefix, "ask", "echo $RANDOM")
    call = Call("ask", {}, (), (), cluster.layout.logs, "1")
    first, second = (cluster.run(call)[0] for _ in range(2))
    assert second.reason == "asked for"
    assert first.facts["screen"] != "" != second.facts["screen"]


def test_a_file_that_is_read_has_to_be_there(cluster: Cluster) -> None:
    cluster.events.unlink()
    with pytest.raises(MissingInput, match=f"copy needs {cluster.events}: not found"):
        cluster.run(cluster.copy())


@pytest.mark.parametrize("folder", ["a blank", "com,ma", "br[acket", "key=value", "wild*"])
def test_paths_that_ciao_cannot_take_are_refused_at_once(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    cluster = Cluster(tmp_path)
    cluster.layout = Layout(tmp_path / folder / "A", "A")
    with pytest.raises(ConfigError, match=r"CIAO cannot take .* in a path"):
        cluster.run(cluster.copy())


@pytest.mark.parametrize(
    ("script", "kind", "expected"),
    [
        ("sleep 600", CiaoError, r"it took longer than 0\.000\d+ h: raise \[ciao\] time_limit"),
        ("kill -9 $$", CiaoError, "killed by SIGKILL, most likely because memory ran out"),
        ("kill -9 $PPID; sleep 600", CiaoError, "killed by SIGKILL"),
        (
            "echo '# COPY: ERROR: could not write: No space left on device'; exit 1",
            DiskFull,
            "the disk or the quota",
        ),
    ],
)
def test_failures_are_errors_of_ours(
    script: str, kind: type[PyxtError], expected: str, cluster: Cluster
) -> None:
    tool(cluster.prefix, "copy", script)
    with pytest.raises(kind, match=f"copy of ObsID 1 failed: .*{expected}"):
        cluster.run(cluster.copy(), time_limit_s=1.0)
    assert cluster.files() == set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_and_what_is_finished_is_kept(number: signal.Signals, cluster: Cluster) -> None:
    """Exactly as a stage would be interrupted from the terminal or by the batch system."""
    tool(
        cluster.prefix,
        "copy",
        f'cp "$infile" "$outfile"; [ $name = a ] || {{ echo $$ >> {cluster.called}; sleep 600 & wait; }}',
    )
    program = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "from pathlib import Path; from test_runner import Cluster\n"
        "cluster = Cluster.__new__(Cluster)\n"
        "from pyxt_hpc.errors import Interrupted\n"
        "from pyxt_hpc.layout import Layout; from pyxt_hpc.preprocess.ciao.find import find_ciao\n"
        f"folder = Path({str(cluster.prefix.parent)!r})\n"
        "cluster.prefix, cluster.layout = folder / 'ciao', Layout(folder / 'A', 'A')\n"
        "cluster.ciao, cluster.events = find_ciao(str(cluster.prefix)), folder / 'evt2.fits'\n"
        "plan = [cluster.copy(o, n) for o in '123' for n in 'ab']\n"
        "try: cluster.run(*plan)\n"
        "except Interrupted as error: print(error); sys.exit(error.exit_code)\n"
    )
    environment = {**outside(), "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 30
        while not cluster.called.exists() or len(cluster.called.read_text().split()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        try:
            said = process.communicate(timeout=300)[0].decode()
        finally:
            process.kill()
    assert process.returncode == Interrupted.exit_code == 75
    assert said == "process-data: interrupted; run it again to continue with the tools that were running\n"
    pids = map(int, cluster.called.read_text().split())
    assert not any(map(is_running, pids))
    assert cluster.files() == {"1/analysis/a.fits", "2/analysis/a.fits"}
