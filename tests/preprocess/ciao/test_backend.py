"""CIAO or not is decided by what there is to do; what of a stage is shown is what is done."""

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from small_ciao import outside, small_ciao, tool

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import ClusterConfig, config_template, read_config
from pyxt_hpc.errors import ConfigError, MissingInput
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.ciao import backend
from pyxt_hpc.preprocess.ciao.backend import carry_out, choose_backend, rehearse
from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call
from pyxt_hpc.preprocess.ciao.runner import CallLimits, Plans

STAGE = "process-data"


@pytest.fixture
def no_ciao(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is found but what a test gives."""
    monkeypatch.setattr("os.environ", outside())
    backend._said.clear()


@pytest.fixture
def config(tmp_path: Path, no_ciao: None) -> ClusterConfig:
    path = tmp_path / "A.ini"
    path.write_text(
        config_template(
            "A",
            {
                "observation_ids": "1, 2",
                "redshift": "0.1",
                "hydrogen_column_density": "0.03",
                "num_cpus": "3",
            },
        )
    )
    return read_config(path)


def supply(config: ClusterConfig, *names: str) -> Layout:
    """Empty files of these names for every observation."""
    layout = Layout.of(config)
    for obsid in config.observation_ids:
        for name in names:
            path = layout.observation(obsid) / name.replace("ID", obsid)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return layout


LEVEL_2 = "primary/acisf0000ID_evt2.fits.gz"
LEVEL_1 = "secondary/acisf0000ID_evt1.fits.gz"
RESPONSES = ("ID.arf", "ID-BI.rmf")


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ((), "ObsID 1 has to be downloaded"),
        ((LEVEL_1,), "ObsID 1 has to be downloaded"),
        ((LEVEL_2,), "ObsID 1 has no responses"),
        ((LEVEL_2, "ID.arf"), "ObsID 1 has no responses"),
        ((LEVEL_2, *RESPONSES, LEVEL_1), "ObsID 1 has events of level 1"),
        (("repro/acisf0000ID_repro_evt2.fits", *RESPONSES), None),
    ],
)
def test_auto_is_ciao_where_only_ciao_helps(
    there: tuple[str, ...], expected: str | None, config: ClusterConfig, tmp_path: Path
) -> None:
    layout = supply(config, *there)
    alone = choose_backend(config, layout)
    assert alone.ciao is None
    assert alone.reason.startswith(expected or "every observation has events of level 2 and responses")
    assert ("CIAO is not found" in alone.reason) == (expected is not None)
    chosen = choose_backend(replace(config, ciao_prefix=str(small_ciao(tmp_path / "ciao"))), layout)
    assert (chosen.ciao is not None) == (expected is not None)


def test_what_is_asked_for_is_done_or_refused(config: ClusterConfig, tmp_path: Path) -> None:
    layout = supply(config, LEVEL_2, *RESPONSES)
    with pytest.raises(MissingInput, match="CIAO is not found: looked at"):
        choose_backend(replace(config, backend="ciao"), layout)
    given = replace(config, ciao_prefix=str(small_ciao(tmp_path / "ciao")))
    assert choose_backend(replace(given, backend="ciao"), layout).ciao is not None
    supply(config, LEVEL_1)
    assert choose_backend(replace(given, backend="builtin"), layout).ciao is None
    with pytest.raises(ConfigError, match=r"\[ciao\] prefix"):
        choose_backend(replace(config, ciao_prefix=str(tmp_path / "nothing")), layout)


def test_the_choice_is_said_once(config: ClusterConfig, caplog: pytest.LogCaptureFixture) -> None:
    layout = supply(config, LEVEL_2, *RESPONSES)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            choose_backend(config, layout)
    reason = "every observation has events of level 2 and responses"
    assert caplog.messages == [f"stages 1 to 3 are done without CIAO: {reason}"]


def test_limits_are_those_of_the_configuration(config: ClusterConfig) -> None:
    assert CallLimits.of(config) == CallLimits(workers=3, downloads=1, time_limit_s=43200.0)
    assert CallLimits.of(replace(config, parallel_processing=False)).workers == 1
    assert CallLimits.of(replace(config, num_cpus=0)).workers == len(os.sched_getaffinity(0))
    assert CallLimits.of(replace(config, ciao_time_limit_h=0.5, ciao_downloads=2)) == CallLimits(3, 2, 1800.0)


def copy(layout: Layout, obsid: str, name: str, source: Path) -> Call:
    return Call(
        tool="copy",
        parameters={"infile": str(source), "outfile": f"{OUT}/{name}.txt"},
        reads=(source,),
        writes=(f"{name}.txt",),
        folder=layout.analysis(obsid) if obsid else layout.combined,
        obsid=obsid,
    )


@pytest.fixture
def plans(config: ClusterConfig, tmp_path: Path) -> Callable[[], Plans[str]]:
    """A stage whose second plan has as many calls as the first one's result has words."""
    layout = Layout.of(config)
    source = tmp_path / "source.txt"
    source.write_text("x y\n")

    def generate() -> Plans[str]:
        made = yield [copy(layout, obsid, "first", source) for obsid in config.observation_ids]
        assert [one.facts["files"] for one in made] == [["first.txt"]] * 2
        words = (layout.analysis("1") / "first.txt").read_text().split()
        made = yield [copy(layout, "", word, layout.analysis("1") / "first.txt") for word in words]
        return f"{len(made)} words"

    return generate


def test_what_is_rehearsed_is_what_is_done(
    plans: Callable[[], Plans[str]], config: ClusterConfig, tmp_path: Path
) -> None:
    prefix = small_ciao(tmp_path / "ciao")
    tool(prefix, "copy", 'cp "$infile" "$outfile"')
    config = replace(config, ciao_prefix=str(prefix))
    layout = supply(config, LEVEL_1)
    ciao = choose_backend(config, layout).ciao
    assert ciao is not None

    def due(**options: bool) -> list[str]:
        calls, all_known = rehearse(STAGE, plans(), layout, **options)
        assert all_known == (not calls or "force" in options)
        return [f"{call.obsid} {call.writes[0]}".strip() for call in calls]

    before = sorted(layout.cluster_dir.rglob("*"))
    assert due() == ["1 first.txt", "2 first.txt"]
    assert sorted(layout.cluster_dir.rglob("*")) == before
    assert carry_out(STAGE, plans(), config, layout, ciao) == "2 words"
    assert (layout.combined / "y.txt").read_text() == "x y\n"
    assert due() == []
    assert due(force=True) == ["1 first.txt", "2 first.txt", "x.txt", "y.txt"]
    (layout.combined / "y.txt").unlink()
    assert due() == ["y.txt"]
    (layout.analysis("2") / "first.txt").unlink()
    assert due() == ["2 first.txt"]
    assert carry_out(STAGE, plans(), config, layout, ciao) == "2 words"
    assert due() == []


def test_dry_run_prints_a_script_and_does_nothing(
    config: ClusterConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_ciao(tmp_path / "ciao")  # which has none of the tools
    text = config.path.read_text().replace("prefix =", "prefix = ciao")
    config.path.write_text(text.replace("backend = auto", "backend = ciao"))
    assert main(["process-data", "-c", str(config.path), "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert [line for line in lines if line.startswith("download_chandra_obsid")] == [
        "download_chandra_obsid 1",
        "download_chandra_obsid 2",
    ]
    assert lines[-1].startswith("# Further calls may depend on the products of these")
    assert not Layout.of(config).cluster_dir.exists()


def test_dry_run_needs_ciao(config: ClusterConfig, capsys: pytest.CaptureFixture[str]) -> None:
    supply(config, LEVEL_2, *RESPONSES)
    for stage in backend.PLANS:
        assert main([stage, "-c", str(config.path), "--dry-run"]) == 2
        assert (
            "--dry-run shows calls of CIAO, which has no part in this: every observation has"
            in capsys.readouterr().err
        )


def test_stages_without_ciao_have_no_dry_run(
    config: ClusterConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["crop-data", "-c", str(config.path), "--dry-run"]) == 2
    assert "unknown option '--dry-run'" in capsys.readouterr().err
