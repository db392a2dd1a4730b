"""What CIAO is asked depends on what is there; what a person has supplied is left alone."""

import gzip
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import CiaoError, ConfigError, DamagedFile
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao.plans.call import Call
from pyxt_hpc.preprocess.ciao.runner import steps_of
from pyxt_hpc.preprocess.ciao.stages import (
    prepare_stage,
    process_data_plans,
    propose_regions_plans,
    remove_sources_plans,
)
from pyxt_hpc.steps import StepResult, run_if_outdated

from .test_plans import Case, header_of, put, write_level_1, write_repro, write_table

TWO = Case(("4940", "10551"))
PUBLIC = (
    "# obsid  sepn   inst grat   time    obsdate piname target\n"
    "4940      0.0 ACIS-I NONE   78.9 2004-01-20 Nobody A1795\n"
    "10551     0.0 ACIS-I NONE   15.8 2009-04-20 Nobody A1795\n"
)


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    return ClusterConfig(
        path=tmp_path / "A.ini", name="A", observation_ids=TWO.obsids, redshift=0.06, nH=0.01, abundance=0.3,
        data_directory=tmp_path, backend="ciao",
    )  # fmt: skip


@pytest.fixture
def layout(config: ClusterConfig) -> Layout:
    return Layout.of(config)


def said(calls: Sequence[Call], screen: str = PUBLIC) -> tuple[StepResult, ...]:
    return tuple(StepResult({"screen": screen}, "not done yet") for _ in calls)


def tools(calls: Sequence[Call]) -> list[tuple[str, str]]:
    return [(call.tool, call.obsid) for call in calls]


def write_all(case: Case, layout: Layout, *, level_1: bool = True, repro: bool = True) -> None:
    for obsid in case.obsids:
        if level_1:
            write_level_1(case, obsid, layout)
        if repro:
            write_repro(case, obsid, "", layout)


def of_both(tool: str) -> list[tuple[str, str]]:
    return [(tool, obsid) for obsid in TWO.obsids]


def test_from_nothing_to_the_background(
    config: ClusterConfig, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    plans = process_data_plans(config, layout)
    calls = next(plans)
    assert tools(calls) == of_both("find_chandra_obsid")
    calls = plans.send(said(calls))
    assert tools(calls) == of_both("download_chandra_obsid")
    write_all(TWO, layout, repro=False)
    calls = plans.send(said(calls))
    assert tools(calls) == of_both("chandra_repro")
    lines = [record.message for record in caplog.records if record.message.startswith(("ObsID ", "4940"))]
    assert lines[0].split() == ["ObsID", "target", "instrument", "mode", "exposure", "[ks]", "date", "public",
                                "used"]  # fmt: skip
    assert lines[1].split() == ["4940", "-", "ACIS-0123", "FAINT", "1.0", "-", "yes", "yes"]
    write_all(TWO, layout, level_1=False)
    calls = plans.send(said(calls))
    assert tools(calls) == of_both("blanksky")
    with pytest.raises(StopIteration):
        plans.send(said(calls))


def test_what_is_here_is_not_looked_up(config: ClusterConfig, layout: Layout) -> None:
    write_all(TWO, layout, repro=False)
    assert tools(next(process_data_plans(config, layout))) == []


@pytest.mark.parametrize(
    ("screen", "problem"),
    [(PUBLIC.replace("ACIS-I NONE   15.8", " HRC-I NONE   15.8"), "its instrument is HRC-I, expected ACIS"),
     (PUBLIC.replace("10551", "10552"), "no public observation of this number")],
)  # fmt: skip
def test_an_observation_that_cannot_be_used_stops_before_the_download(
    screen: str, problem: str, config: ClusterConfig, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    plans = process_data_plans(config, layout)
    calls = next(plans)
    with pytest.raises(
        ConfigError, match=rf"A\.ini: observation_ids: .*take them out.*: 10551 \(.*{problem}"
    ):
        plans.send(said(calls, screen))
    # the table has the others, too
    assert any(line.split()[:1] + line.split()[-2:] == ["4940", "yes", "yes"] for line in caplog.messages)


def test_continuous_clocking_stops_before_it_is_reprocessed(config: ClusterConfig, layout: Layout) -> None:
    write_all(replace(TWO, mode="CC33_FAINT"), layout, repro=False)
    plans = process_data_plans(config, layout)
    calls = next(plans)
    with pytest.raises(ConfigError, match="continuous clocking has no image"):
        plans.send(said(calls))


def test_what_a_person_has_made_is_not_made_again(config: ClusterConfig, layout: Layout) -> None:
    write_all(TWO, layout, level_1=False)
    put(layout.supplied_background("4940"), "blank sky")
    found = run_through(process_data_plans(config, layout))
    assert found == [("blanksky", "10551")]


def run_through(plans: object) -> list[tuple[str, str]]:
    """All calls of plans whose products are there already."""
    found, results = [], None
    while True:
        try:
            calls = plans.send(results)  # type: ignore[attr-defined]
        except StopIteration:
            return found
        found += tools(calls)
        results = said(calls)


@pytest.mark.parametrize("sign", ["mark", "record"])
def test_what_was_made_before_is_looked_at_again(sign: str, config: ClusterConfig, layout: Layout) -> None:
    write_all(TWO, layout)
    for obsid in TWO.obsids:
        record = layout.call_record("process-data", obsid, "chandra_repro-0123abcd")
        put({"mark": layout.repro_mark(obsid), "record": record}[sign], "")
    expected = [*of_both("chandra_repro"), *of_both("blanksky")]
    assert run_through(process_data_plans(config, layout)) == expected


def test_level_1_may_be_removed_when_it_has_been_used(config: ClusterConfig, layout: Layout) -> None:
    write_all(TWO, layout, level_1=False)
    for obsid in TWO.obsids:
        layout.repro_mark(obsid).touch()
    assert run_through(process_data_plans(config, layout)) == of_both("blanksky")


def test_copies_are_settled_before_and_not_to_show_plans(config: ClusterConfig, layout: Layout) -> None:
    write_all(TWO, layout, repro=False)
    (packed,) = layout.observation("4940").glob("secondary/*evt1.fits.gz")
    unpacked = packed.with_suffix("")
    unpacked.write_bytes(b"")  # chandra_repro was killed
    plans = process_data_plans(config, layout)
    next(plans)
    assert tools(plans.send(())) == [("download_chandra_obsid", "4940")]
    with pytest.raises(DamagedFile):
        plans.send((StepResult({}, None),))  # as of a download that is up to date, and not done now
    assert unpacked.exists()
    prepare_stage("process-data", config, layout)
    assert not unpacked.exists()
    assert tools(next(process_data_plans(config, layout))) == []


def test_what_was_made_is_marked_though_another_fails(config: ClusterConfig, layout: Layout) -> None:
    write_all(TWO, layout, repro=False)
    plans = process_data_plans(config, layout)
    next(plans)
    plans.send(())
    calls = plans.send(())
    assert tools(calls) == of_both("chandra_repro")
    write_repro(TWO, "4940", "", layout)
    (step,) = steps_of("process-data", calls[:1], layout)
    run_if_outdated(step, dict)
    with pytest.raises(CiaoError, match="chandra_repro of ObsID 10551 failed"):
        plans.throw(CiaoError("chandra_repro of ObsID 10551 failed"))
    assert [layout.repro_mark(obsid).exists() for obsid in TWO.obsids] == [True, False]


def test_a_damaged_download_is_fetched_again(config: ClusterConfig, layout: Layout) -> None:
    write_all(TWO, layout, repro=False)
    (path,) = layout.observation("4940").glob("secondary/*evt1.fits.gz")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    plans = process_data_plans(config, layout)
    calls = next(plans)
    assert tools(calls) == []  # its level 2 tells what it is
    calls = plans.send(said(calls))
    assert tools(calls) == [("download_chandra_obsid", "4940")]
    path.write_bytes(whole)
    # everything else was unpacked before
    (other,) = layout.observation("4940").glob("secondary/*flt1.fits.gz")
    other.with_suffix("").write_bytes(gzip.decompress(other.read_bytes()))
    assert tools(plans.send(said(calls))) == of_both("chandra_repro")
    assert not other.exists()


def test_vfaint_is_screened_by_configuration(config: ClusterConfig, layout: Layout) -> None:
    write_all(replace(TWO, mode="VFAINT"), layout, repro=False)
    for screened in (True, False):
        plans = process_data_plans(replace(config, check_vf_pha=screened), layout)
        next(plans)
        plans.send(())
        calls = plans.send(())
        assert [call.parameters["check_vf_pha"] for call in calls] == [screened, screened]


# backgrounds


def at_blank_sky(config: ClusterConfig, layout: Layout) -> tuple[object, list[Call]]:
    """The plans of stage 1 when the last of them is due."""
    write_all(TWO, layout, level_1=False)
    plans = process_data_plans(config, layout)
    calls: Sequence[Call] = next(plans)
    while not calls:
        calls = plans.send(())
    return plans, list(calls)


def test_without_blank_sky_the_other_ways_are_named(config: ClusterConfig, layout: Layout) -> None:
    plans, _ = at_blank_sky(config, layout)
    with pytest.raises(CiaoError, match=r"^no file for CCD 8; .*stowed, or = region and .*background.reg"):
        plans.throw(CiaoError("no file for CCD 8"))  # type: ignore[attr-defined]


def test_without_blank_sky_a_drawn_region_is_taken(
    config: ClusterConfig, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    put(layout.background_reg, 'fk5\ncircle(150,30,60")\n')
    old = layout.ciao_background("4940")
    put(old, "of an earlier run")
    plans, _ = at_blank_sky(config, layout)
    with pytest.raises(StopIteration):
        plans.throw(CiaoError("no file for CCD 8"))  # type: ignore[attr-defined]
    assert "no file for CCD 8; the background is taken from" in caplog.text
    assert not old.exists()


def test_the_way_to_the_background_is_chosen(config: ClusterConfig, layout: Layout) -> None:
    _, calls = at_blank_sky(replace(config, blank_sky="stowed"), layout)
    assert [call.parameters["stowedbg"] for call in calls] == [True, True]
    put(layout.ciao_background("4940"), "of an earlier run")
    config = replace(config, blank_sky="region")
    assert run_through(process_data_plans(config, layout)) == []
    assert layout.ciao_background("4940").exists(), "to show plans changes nothing"
    prepare_stage("process-data", config, layout)
    assert not layout.ciao_background("4940").exists()


# sources and flares


def test_builtin_detection_and_cleaning_ask_nothing(config: ClusterConfig, layout: Layout) -> None:
    assert run_through(propose_regions_plans(config, layout)) == []
    assert run_through(remove_sources_plans(config, layout)) == []


def test_wavdetect_is_asked_unless_somebody_has_drawn_the_sources(
    config: ClusterConfig, layout: Layout
) -> None:
    write_all(TWO, layout, level_1=False)
    config = replace(config, detection="wavdetect")
    assert run_through(propose_regions_plans(config, layout)) == [("merge_obs", ""), ("wavdetect", "")]
    one = replace(config, observation_ids=("4940",))
    assert run_through(propose_regions_plans(one, layout)) == [("fluximage", ""), ("wavdetect", "")]
    put(layout.sources_reg, "fk5\n")
    assert run_through(propose_regions_plans(config, layout)) == []


def test_an_event_file_with_nothing_beside_it_names_what_is_missing(
    config: ClusterConfig, layout: Layout
) -> None:
    write_table(layout.repro("4940") / "acisf04940_repro_evt2.fits", "EVENTS", header_of(TWO, "4940"))
    with pytest.raises(Exception, match=r"no \*fov1.fits, \*bpix1.fits, \*msk1.fits, \*asol1.fits beside"):
        next(process_data_plans(config, layout))
