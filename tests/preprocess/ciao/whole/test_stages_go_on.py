"""Stages by their commands: a tool fails, the command is typed again, and it goes on there."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.cli import main
from pyxt_hpc.exit_codes import EXIT_TRY_AGAIN
from pyxt_hpc.files.process_identity import is_running
from pyxt_hpc.layout import Layout

# with deflare and wavdetect, so that every tool is there
STAGES = {
    "process-data": ("find_chandra_obsid", "download_chandra_obsid", "chandra_repro", "blanksky"),
    "propose-regions": ("merge_obs", "wavdetect"),
    "remove-sources": ("dmextract", "deflare"),
    "generate-responses": ("dmcopy", "specextract", "fluximage"),
}
OF_ALL = ("merge_obs", "wavdetect")


@pytest.fixture
def cluster(simulated: Any, new_installation: Callable, tmp_path: Path) -> tuple[Path, Layout, Any]:
    """Configuration, layout and installation of a cluster of which there are but ObsIDs."""
    installation = new_installation(tmp_path, replay=True)
    config = simulated.configuration(
        tmp_path, "A1", backend="ciao", prefix=str(installation.prefix), detection="wavdetect",
        flare_filter="deflare", num_cpus="1",
    )  # fmt: skip
    return config, Layout(tmp_path / "A1", "A1"), installation


def test_every_tool_fails_once(
    cluster: tuple[Path, Layout, Any], simulated: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    config, layout, installation = cluster
    _, obsid = simulated.obsids
    for stage, tools in STAGES.items():
        done: set[tuple[str, str]] = set()
        for tool in tools:
            match = "" if tool in OF_ALL else of_obsid(obsid)
            installation.order({"tool": tool, "kind": "fail", "match": match})
            capfd.readouterr()
            went_well = calls_of(installation, simulated, [stage, "-c", str(config)], 2)
            said = [line for line in capfd.readouterr().err.splitlines() if "pyxt-hpc: error: " in line]
            assert len(said) == 1, said
            assert (f"{tool} of ObsID {obsid} failed" if match else f"{tool} failed") in said[0], said
            assert not done & went_well, f"{stage}, {tool}: done again"
            done |= {one for one in went_well if one[0] != "find_chandra_obsid"}
        installation.order()
        went_well = calls_of(installation, simulated, [stage, "-c", str(config)], 0)
        assert not done & went_well, f"{stage}: done again"
        done |= went_well
        expected = {(t, o) for t in tools for o in (("",) if t in OF_ALL else simulated.obsids)}
        assert {one for one in expected if one[0] != "find_chandra_obsid"} <= done
    assert main(["crop-data", "-c", str(config)]) == 0
    bundle = read_bundle(layout.bundle)
    assert [o.obsid for o in bundle.observations] == list(simulated.obsids)
    assert {o.area_of for o in bundle.observations} == {"CIAO's exposure maps"}
    assert not list(layout.cluster_dir.rglob(".tmp-*"))
    core = re.search(r"circle\(10:00:00\S*", layout.sources_reg.read_text())
    assert core is None, "wavdetect's cluster core is among the sources"


def of_obsid(obsid: str) -> str:
    """An expression that is found in the parameters of calls for an observation."""
    return rf'[/"]{obsid}[/"]'


def calls_of(installation: Any, simulated: Any, command: list[str], code: int) -> set[tuple[str, str]]:
    """Tools, with their ObsIDs, that a command called and that went well."""
    installation.forget()
    assert main(command) == code
    found = set()
    for entry in installation.log():
        text = json.dumps(entry["parameters"])
        of = [obsid for obsid in simulated.obsids if re.search(of_obsid(obsid), text)]
        if entry["fault"] is None:
            assert (entry["tool"], *of) not in found
            found.add((entry["tool"], of[0] if len(of) == 1 else ""))
    return found


@pytest.mark.parametrize(
    ("tool", "by"),
    [("download_chandra_obsid", signal.SIGINT), ("chandra_repro", signal.SIGTERM)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_interrupted(
    cluster: tuple[Path, Layout, Any], simulated: Any, tool: str, by: signal.Signals
) -> None:
    config, layout, installation = cluster
    first, second = simulated.obsids
    installation.order({"tool": tool, "kind": "hang", "match": of_obsid(second)})
    line = [sys.executable, "-P", "-m", "pyxt_hpc", "process-data", "-c", str(config)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not any("hanging" in entry for entry in installation.log()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(by)
        _, said = process.communicate(timeout=300)
    assert process.returncode == EXIT_TRY_AGAIN, said
    (told,) = [text for text in said.splitlines() if text.startswith("pyxt-hpc: ")]
    assert "interrupted" in told
    for entry in installation.log():
        assert not is_running(entry.get("hanging", entry.get("pid"))), entry
    assert not list(layout.cluster_dir.rglob(".tmp-*"))
    installation.order()
    installation.forget()
    assert main(["process-data", "-c", str(config)]) == 0
    again = [entry for entry in installation.log() if entry.get("tool") == tool]
    assert len(again) == 1
    assert second in str(again[0]["parameters"])
    assert layout.filtered_events(first).is_file()
    assert layout.filtered_events(second).is_file()
