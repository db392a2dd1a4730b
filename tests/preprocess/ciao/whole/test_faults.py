"""Every tool goes wrong in every way: one line that says it, nothing half, and on from there."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pyxt_hpc.chandra.kinds import datasets_of
from pyxt_hpc.errors import CiaoError, DiskFull, PyxtError
from pyxt_hpc.files.process_identity import is_running
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.find import Ciao, find_ciao
from pyxt_hpc.preprocess.ciao.plans import (
    archive,
    background,
    detection,
    exposure_maps,
    flares,
    repro,
    responses,
)
from pyxt_hpc.preprocess.ciao.plans.call import Call
from pyxt_hpc.preprocess.ciao.runner import CallLimits, run_plan

OBSID = "4001"
CHIPS = (0, 1, 2, 3)
SPAN_S = (365.0e6, 365.02e6)
PATIENT, IMPATIENT = CallLimits(workers=1), CallLimits(workers=1, time_limit_s=0.7)

# kind of fault: error, its text in the message, and whether the tool is given no time
FAULTS = {
    "fail": (
        CiaoError,
        "it was told to fail|name resolution>: this machine does not reach the archive",
        PATIENT,
    ),
    "nothing": (CiaoError, "ended without an error, but", PATIENT),
    "truncated": (CiaoError, "ended without an error, but", PATIENT),
    "empty": (CiaoError, "ended without an error, but", PATIENT),
    "hang": (CiaoError, "it took longer than .* h: raise .* time_limit", IMPATIENT),
    "killed": (CiaoError, "SIGKILL, most likely because memory ran out", PATIENT),
    "crash": (CiaoError, "Segmentation fault", PATIENT),
    "prompt": (CiaoError, "end of file on standard input", PATIENT),
    "disk": (DiskFull, "the disk or the quota is full: free space", PATIENT),
}


@dataclass
class Way:
    """All tools of stages 1 to 3 for one observation, each call made when what it reads is there."""

    layout: Layout
    ciao: Ciao
    installation: Any
    done: list[Call] = field(default_factory=list)

    def calls(self) -> Iterator[Call]:
        layout = self.layout
        (dataset,) = datasets_of(OBSID, CHIPS)
        yield archive.find_call(OBSID, layout)
        yield archive.download_call(OBSID, layout)
        exposure = repro.choose_exposure(OBSID, layout.observation(OBSID))
        yield repro.repro_call(OBSID, layout, exposure, check_very_faint=True)
        files = repro.find_repro(OBSID, layout)
        assert files is not None
        yield background.background_call(OBSID, layout, files, CHIPS, stowed=False)
        yield from flares.flare_calls(OBSID, layout, files, CHIPS, SPAN_S, None)
        yield responses.clean_events_call(dataset, layout, files, layout.deflare_gti(OBSID))
        layout.ciao_region(OBSID).write_text("circle(4300,4300,150)\n")
        yield responses.response_call(dataset, layout, files, (0.7, 8.0))
        grid = "3900.5:4300.5:4,3900.5:4300.5:4"
        yield exposure_maps.exposure_map_call(dataset, layout, files, grid, (0.7, 2.0))
        two = {OBSID: files, "4002": files}  # the same twice, so that merge_obs has to do
        merging, finding = detection.detection_calls(two, dict.fromkeys(two, CHIPS), layout, 1)
        small = {**merging.parameters, "xygrid": "3896.5:4296.5:2,3896.5:4296.5:2"}
        yield replace(merging, parameters=small)
        yield finding

    def run(self, call: Call, limits: CallLimits) -> list[str]:
        """Do a call with all before it; the tools that were called."""
        self.installation.forget()
        try:
            run_plan("tests", [*self.done, call], self.layout, self.ciao, limits)
        finally:
            called = self.installation.calls()
        return called


def products(folder: Path) -> dict[Path, int]:
    """Files of a cluster but for logs and records, with their sizes.

    Those of the archive without: chandra_repro unpacks them where they are.
    """
    found = {}
    for path in folder.rglob("*"):
        above = {part.name for part in path.parents}
        if path.is_file() and not {"logs", "steps"} & above:
            of_archive = bool({"primary", "secondary"} & above)
            found[path.with_name(path.name.removesuffix(".gz"))] = 0 if of_archive else path.stat().st_size
    return found


def test_every_tool_in_every_way(new_installation: Callable[..., Any], tmp_path: Path) -> None:
    installation = new_installation(tmp_path, replay=True)
    layout = Layout(tmp_path / "A1", "A1")
    way = Way(layout, find_ciao(str(installation.prefix)), installation)
    for call in way.calls():
        before = products(layout.cluster_dir)
        for kind in FAULTS:
            if is_possible(call, kind):
                check_fault(way, call, kind)
                if call.in_place:  # what has come is kept, as the next download goes on with it
                    shutil.rmtree(layout.observation(OBSID), ignore_errors=True)
                else:
                    assert products(layout.cluster_dir) == before, f"{kind} at {call.tool}"
        installation.order({"tool": call.tool, "kind": "warning"})
        assert way.run(call, PATIENT) == [call.tool]
        installation.order()
        assert way.run(call, PATIENT) == ([] if call.writes else [call.tool])
        if call.in_place:  # chandra_repro unpacks what has come, so it is asked what is there, not what was
            assert not list(archive.incomplete(layout.observation(OBSID)))
        elif call.writes:
            way.done.append(call)
    assert "WARNING: it was told to warn" in (layout.logs / f"tests_{OBSID}.log").read_text()


def check_fault(way: Way, call: Call, kind: str) -> None:
    """Let a call go wrong, and look at what is said of it."""
    error, said, limits = FAULTS[kind]
    way.installation.order({"tool": call.tool, "kind": kind})
    with pytest.raises(PyxtError) as raised:
        way.run(call, limits)
    message = str(raised.value)
    where = f"{kind} at {call.tool}: {message}"
    assert type(raised.value) is error, where
    assert re.search(said, message), where
    assert "\n" not in message, where
    assert call.tool in message, where
    assert not call.obsid or f"ObsID {call.obsid}" in message, where
    (log,) = re.findall(r"\S+\.log", message)
    assert Path(log).is_file(), where
    assert way.installation.calls() == [call.tool], f"{where}: an earlier tool was called again"
    for entry in way.installation.log():
        assert "hanging" not in entry or not is_running(entry["hanging"]), where


def is_possible(call: Call, kind: str) -> bool:
    """A tool that writes no file writes no bad one; rare faults are of the bridge, so one tool is enough."""
    if kind in ("crash", "prompt", "empty"):
        return call.tool == "dmcopy"
    return bool(call.writes) or kind not in ("nothing", "truncated", "disk")
