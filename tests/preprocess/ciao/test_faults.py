"""Every tool goes wrong in every way: one line that says it, nothing half, and on from there."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pyxt_hpc.chandra.kinds import datasets_of
from pyxt_hpc.errors import CiaoError, DiskFull, PyxtError
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.call import Call
from pyxt_hpc.preprocess.ciao.find import Ciao, find_ciao
from pyxt_hpc.preprocess.ciao.plans import (
    archive,
    background,
    clean_events,
    detection,
    exposure_maps,
    flares,
    repro,
    responses,
)
from pyxt_hpc.preprocess.ciao.runner import Limits, run_plan

OBSID = "4001"
CHIPS = (0, 1, 2, 3)
SPAN_S = (365.0e6, 365.02e6)
PATIENT, IMPATIENT = Limits(workers=1), Limits(workers=1, time_limit_s=0.7)

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
        yield clean_events.clean_events_call(dataset, layout, files, layout.deflare_gti(OBSID))
        layout.ciao_region(OBSID).write_text("circle(4300,4300,150)\n")
        made = layout.ciao_arf(OBSID), layout.ciao_rmf(OBSID)
        yield responses.response_call(dataset, layout, files, made, (0.7, 8.0))
        box = exposure_maps.SkyBox((3900.5, 4300.5), (3900.5, 4300.5))
        yield exposure_maps.exposure_map_call(dataset, layout, files, box, (0.7, 2.0))
        yield from detection.detection_calls({OBSID: files}, {OBSID: CHIPS}, layout, 1)

    def run(self, call: Call, limits: Limits) -> list[str]:
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


def test_every_tool_in_every_way(installation: Any, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "A1", "A1")
    way = Way(layout, find_ciao(str(installation.prefix)), installation)
    for call in way.calls():
        before = products(layout.cluster_dir)
        for kind, (error, said, limits) in FAULTS.items():
            if not_possible(call, kind):
                continue
            installation.order({"tool": call.tool, "kind": kind})
            with pytest.raises(PyxtError) as raised:
                way.run(call, limits)
            where = f"{kind} at {call.tool}: {raised.value}"
            message = str(raised.value)
            assert type(raised.value) is error, where
            assert re.search(said, message), where
            assert "\n" not in message, where
            assert call.tool in message, where
            assert not call.obsid or f"ObsID {call.obsid}" in message, where
            (log,) = re.findall(r"\S+\.log", message)
            assert Path(log).is_file(), where
            assert installation.calls() == [call.tool], where
            after = products(layout.cluster_dir)
            if call.in_place:  # what has come is kept, as the next download goes on with it
                shutil.rmtree(layout.observation(OBSID), ignore_errors=True)
            else:
                assert after == before, where
        for entry in installation.log():
            assert "hanging" not in entry or not Path(f"/proc/{entry['hanging']}").exists()
        installation.order({"tool": call.tool, "kind": "warning"})
        assert way.run(call, PATIENT) == [call.tool]
        installation.order()
        assert way.run(call, PATIENT) == []
        if call.in_place:  # chandra_repro unpacks what has come, so it is asked what is there, not what was
            assert not list(archive.incomplete(layout.observation(OBSID)))
        else:
            way.done.append(call)
        assert products(layout.cluster_dir).keys() >= before.keys()
    assert {"WARNING"} <= set(re.findall("WARNING", (layout.logs / f"tests_{OBSID}.log").read_text()))


def not_possible(call: Call, kind: str) -> bool:
    """A tool that writes no file cannot write a bad one; the archive's part runs in the bridge itself."""
    if call.tool == "find_chandra_obsid":
        return kind in ("nothing", "truncated", "empty", "disk")
    return call.tool == "download_chandra_obsid" and kind == "prompt"
