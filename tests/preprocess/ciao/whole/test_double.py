"""The double of CIAO is strict, and its files are what the package without CIAO starts from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyxt_hpc.chandra.events import read_events


@pytest.fixture
def level_2(installation: Any, simulated: Any, tmp_path: Path, call_tools: Callable) -> Path:
    """Events that its chandra_repro made, with the files beside them."""
    import shutil

    folder = tmp_path / "4001"
    shutil.copytree(simulated.archive / "4001", folder)
    repro = {"indir": str(folder), "outdir": str(folder / "repro"), "set_ardlib": False}
    (told,) = call_tools(("chandra_repro", repro))
    assert "reprocessed" in told, told
    return folder / "repro" / "acisf04001_repro_evt2.fits"


def test_reprocessed_events_are_those_of_level_2(level_2: Path, simulated: Any) -> None:
    (before,) = simulated.level_2.observation("4001").glob("primary/*evt2.fits")
    made, expected = read_events(level_2), read_events(before)
    for name in ("x", "y", "energy_eV", "pi", "ccd_id", "time", "chipx", "chipy", "grade", "status"):
        np.testing.assert_array_equal(getattr(made, name), getattr(expected, name), err_msg=name)
    assert made.gti.keys() == expected.gti.keys()
    for chip, intervals in made.gti.items():
        np.testing.assert_allclose(intervals, expected.gti[chip])
    assert made.header["EXPOSURE"] == pytest.approx(expected.header["EXPOSURE"])
    (level_1,) = simulated.archive.glob("4001/secondary/*evt1.fits*")
    assert len(read_events(level_1)) > 1.1 * len(made)


WRONG = [
    # tool, parameters, kind of error, what is said of it
    ("dmcopy", {"infil": "x"}, "TypeError", "no parameter for dmcopy that matches 'infil'"),
    ("dmcopi", {}, "ValueError", "Unknown tool"),
    ("dmcopy", {"infile": "{evt}"}, "ValueError", "dmcopy.outfile is required"),
    ("dmcopy", {"infile": "{evt}", "outfile": "{evt}"}, "OSError", "already exists"),
    ("dmcopy", {"infile": "{evt}", "outfile": "{out}", "verbose": 6}, "ValueError", "must be <= 5"),
    ("dmcopy", {"infile": "{evt}", "outfile": "{out}", "clobber": "maybe"}, "ValueError", "a boolean"),
    ("dmcopy", {"infile": "{evt}", "outfile": "out.fits"}, "OSError", "relative"),
    ("dmcopy", {"infile": "{evt}x", "outfile": "{out}"}, "OSError", "No such file"),
    ("dmcopy", {"infile": "{evt}[energy=7:8", "outfile": "{out}"}, "OSError", "not closed"),
    ("dmcopy", {"infile": "{evt}[enrgy=7:8]", "outfile": "{out}"}, "OSError", "no column"),
    ("dmcopy", {"infile": "{evt}[energy=7-8]", "outfile": "{out}"}, "OSError", "no range"),
    ("dmcopy", {"infile": "{evt}[@{evt}.gti]", "outfile": "{out}"}, "OSError", "No such file"),
    ("dmcopy", {"infile": "{evt}[sky=region({out})]", "outfile": "{out}"}, "OSError", "No such file"),
    ("dmcopy", {"infile": "{evt}[bin sky=4:5]", "outfile": "{out}"}, "OSError", "no binning"),
    ("deflare", {"infile": "{evt}", "outfile": "{out}", "method": "clea"}, "ValueError", "one of"),
    ("deflare", {"infile": "{evt}", "outfile": "{out}", "plot": True}, "OSError", "waits for a key"),
    ("mkpsfmap", {"infile": "{evt}", "outfile": "{out}", "ecf": 1.5}, "ValueError", "must be <= 1"),
    ("specextract", {"infile": ["{evt}", "a b"], "outroot": "{out}"}, "ValueError", "a blank or a comma"),
    ("blanksky", {"evtfile": "{evt}", "outfile": "{out}"}, "OSError", "asolfile"),
]


def test_slips_are_errors(level_2: Path, call_tools: Callable, tmp_path: Path) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(one) for one in value]
        if isinstance(value, str):
            return value.replace("{evt}", str(level_2)).replace("{out}", str(tmp_path / "out.fits"))
        return value

    calls = [(tool, {key: filled(value) for key, value in p.items()}) for tool, p, *_ in WRONG]
    answers = call_tools(*calls)
    for (tool, parameters, kind, said), answer in zip(WRONG, answers, strict=True):
        assert isinstance(answer, list), (tool, parameters, answer)
        assert (answer[0], said in answer[1]) == (kind, True), (tool, parameters, answer)


def test_filters_choose_what_they_say(level_2: Path, call_tools: Callable, tmp_path: Path) -> None:
    region = tmp_path / "r.reg"
    region.write_text("circle(4200,4300,300)\n")
    infile = f"{level_2}[ccd_id=0,2:3][energy=700:8000][exclude sky=region({region})]"
    (said,) = call_tools(("dmcopy", {"infile": infile, "outfile": str(tmp_path / "out.fits")}))
    assert said is None
    events, chosen = read_events(level_2), read_events(tmp_path / "out.fits")
    expected = np.isin(events.ccd_id, (0, 2, 3)) & events.in_band((700, 8000))
    expected &= np.hypot(events.x - 4200, events.y - 4300) > 300
    assert 0 < expected.sum() < len(events)
    np.testing.assert_array_equal(chosen.time, events.time[expected])
    assert set(chosen.gti) == {0, 2, 3}
