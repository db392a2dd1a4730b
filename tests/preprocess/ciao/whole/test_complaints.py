"""What users of such software have complained of, through the double of CIAO: it cannot happen here."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulated_archive import write_archive

import pyxt_hpc
from pyxt_hpc.chandra.events import read_events, write_events
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import ClusterConfig, read_config
from pyxt_hpc.errors import CiaoError, ConfigError
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.process_data import process_data
from pyxt_hpc.preprocess.remove_sources import remove_sources

VF_BACKGROUND = np.uint32(1 << 23)  # as the double's chandra_repro has it


@pytest.fixture
def config_of(simulated: Any, tmp_path: Path) -> Callable[..., ClusterConfig]:
    """Write and read a cluster's configuration for an installation of the double, with some keys as given."""

    def write(installation: Any, **texts: str) -> ClusterConfig:
        texts = {"backend": "ciao", "prefix": str(installation.prefix), **texts}
        return read_config(simulated.configuration(tmp_path, "A1", **texts))

    return write


def test_wrong_and_proprietary_obsids_are_named_before_anything_is_downloaded(
    new_installation: Callable, config_of: Callable, tmp_path: Path
) -> None:
    installation = new_installation(tmp_path, proprietary=["4002"])
    config = config_of(installation)
    with pytest.raises(ConfigError, match=r"4002 \(the archive has no public observation of this number\)"):
        process_data(config, Layout.of(config))
    config = config_of(installation, observation_ids="4001, 49999")
    with pytest.raises(
        CiaoError, match=r"find_chandra_obsid of ObsID 49999 failed: .*observation_ids is wrong"
    ):
        process_data(config, Layout.of(config))
    assert set(installation.calls()) == {"find_chandra_obsid"}


def test_a_folder_with_a_blank_is_refused_before_ciao_sees_it(
    new_installation: Callable, simulated: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    installation = new_installation(tmp_path)
    folder = tmp_path / "Abell 85"
    folder.mkdir()
    config = simulated.configuration(folder, "A85", backend="ciao", prefix=str(installation.prefix))
    assert main(["process-data", "-c", str(config)]) == 2
    (line,) = [one for one in capfd.readouterr().err.splitlines() if "error" in one]
    assert "blank" in line
    assert str(folder) in line
    assert installation.calls() == []


def test_header_keywords_are_never_asked_of_ciao(installation: Any, config_of: Callable) -> None:
    config = config_of(installation, observation_ids="4001")
    process_data(config, Layout.of(config))
    assert not {"dmkeypar", "dmlist", "pget", "pset"} & set(installation.calls())
    sources = Path(pyxt_hpc.__file__).parent.rglob("*.py")
    assert not [
        path for path in sources if re.search(r'"dmkeypar"|import (paramio|pycrates)', path.read_text())
    ]


def test_vfaint_is_screened_in_events_and_background_alike(
    simulated: Any, new_installation: Callable, config_of: Callable, tmp_path: Path
) -> None:
    """A tenth of events and background is what the outer pixels call background; both lose it, or none."""
    source = Layout(tmp_path / "level_2", "level_2")
    obsid = "4001"
    n_all = {}
    for path in (next(simulated.level_2.observation(obsid).glob("primary/*evt2.fits")),
                 simulated.level_2.supplied_background(obsid)):  # fmt: skip
        events = read_events(path)
        status = np.where(np.arange(len(events)) % 10 == 0, VF_BACKGROUND, np.uint32(0)).astype(np.uint32)
        events.header["DATAMODE"] = "VFAINT"
        target = source.cluster_dir / path.relative_to(simulated.level_2.cluster_dir)
        write_events(target, replace(events, status=status))
        n_all[path.name] = len(events)
    for path in simulated.level_2.observation(obsid).glob("primary/*"):
        if not path.name.endswith("evt2.fits"):
            (source.observation(obsid) / "primary" / path.name).symlink_to(path)
    installation = new_installation(tmp_path)
    archive = tmp_path / "vfaint"
    for path in installation.blank_skies.iterdir():
        path.unlink()
    write_archive(source, (obsid,), archive, installation.blank_skies)
    installation.use_archive(archive)
    config = config_of(installation, observation_ids=obsid)
    layout = Layout.of(config)
    n_events, n_background = n_all.values()
    for screened, share in ((True, 0.9), (False, 1.0)):
        process_data(replace(config, check_vf_pha=screened), layout)
        (repro,) = layout.repro(obsid).glob("*_repro_evt2.fits")
        assert bool(read_events(repro).header["CHKVFPHA"]) is screened
        events, background = (
            read_events(path(obsid)) for path in (layout.filtered_events, layout.background_events)
        )
        assert len(events) == pytest.approx(share * n_events, rel=0.001)
        assert len(background) == pytest.approx(share * n_background, rel=0.001)


def test_deflare_that_stops_says_why(new_installation: Callable, config_of: Callable, tmp_path: Path) -> None:
    installation = new_installation(tmp_path)
    config = config_of(installation, observation_ids="4001", flare_filter="deflare")
    layout = Layout.of(config)
    process_data(config, layout)
    layout.sources_reg.write_text('fk5\ncircle(150.1,20.1,10")\n')
    said = "Only 0.04 of the bins are good"
    installation.order({"tool": "deflare", "kind": "fail", "said": said})
    with pytest.raises(CiaoError, match=f"deflare of ObsID 4001 failed: .*{said}.*flare_filter = builtin"):
        remove_sources(config, layout)
    installation.order()
    # what is set instead tells mean and sigma, and draws the curve
    facts = remove_sources(replace(config, flare_filter="builtin"), layout).observations["4001"]
    assert facts["quiet_rate"] > 0 < facts["quiet_sigma"]
    assert layout.light_curve_plot("4001").is_file()
