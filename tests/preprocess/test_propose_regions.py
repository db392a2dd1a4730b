"""The stage between 1 and 2: region files where nobody has drawn any, and again when the images change."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.regions.sky import read_regions
from pyxt_hpc.config.cluster import ClusterConfig, read_config
from pyxt_hpc.errors import EmptySelection, MissingInput
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.propose_regions import propose_regions
from pyxt_hpc.steps import StageResult

Cluster = tuple[ClusterConfig, Layout]


@pytest.fixture
def cluster(proposed: tuple[Path, StageResult], tmp_path: Path) -> Cluster:
    return copy(proposed[0], tmp_path / "work")


def copy(folder: Path, to: Path) -> Cluster:
    shutil.copytree(folder, to)
    config = read_config(to / "demo.ini")
    return config, Layout.of(config)


def files(config: ClusterConfig, layout: Layout) -> list[Path]:
    circles = [layout.response_region(obsid) for obsid in config.observation_ids]
    return [layout.sources_reg, layout.exclude_reg, layout.crop_reg, *circles]


def times(paths: list[Path]) -> list[int]:
    return [path.stat().st_mtime_ns for path in paths]


def double_counts(layout: Layout) -> None:
    """Another merged image, as if an observation had come."""
    for path in (layout.merged_counts, layout.merged_background, layout.merged_exposure):
        with fits.open(path, memmap=False) as hdus:
            hdus[0].data = np.asarray(2 * hdus[0].data, hdus[0].data.dtype)
            hdus[0].data[:, : hdus[0].data.shape[1] // 3] = 0
            hdus.writeto(path, overwrite=True, checksum=True)


def test_files_picture_and_words(proposed: tuple[Path, StageResult]) -> None:
    folder, outcome = proposed
    config = read_config(folder / "demo.ini")
    layout = Layout.of(config)
    assert outcome.made
    assert all(read_regions(path).shapes for path in files(config, layout))
    said = outcome.facts["files"]
    assert said[:-1] == [f"{path}: written" for path in files(config, layout)]
    assert said[-1].startswith(f"{layout.proposal_picture}: ")
    assert layout.proposal_picture.stat().st_size > 50_000

    before = times([*files(config, layout), layout.proposal_picture])
    again = propose_regions(config, layout)
    assert not again.made
    assert again.facts["files"] == [f"{path}: proposed before, kept" for path in files(config, layout)]
    assert times([*files(config, layout), layout.proposal_picture]) == before


def test_a_persons_file_wins_whatever_is_missing_or_asked_for(cluster: Cluster) -> None:
    config, layout = cluster
    drawn = 'fk5\nbox(150,20,100",100")\n'
    layout.crop_reg.write_text(drawn)
    more = layout.sources_reg.read_text() + 'circle(10:00:00,+20:00:00,3")\n'  # one more by hand
    layout.sources_reg.write_text(more)
    layout.exclude_reg.unlink()
    for force in (False, True):
        said = propose_regions(config, layout, force=force).facts["files"]
        assert f"{layout.sources_reg}: yours, kept" in said
        assert f"{layout.crop_reg}: yours, kept" in said
        assert layout.crop_reg.read_text() == drawn
        assert layout.sources_reg.read_text() == more
    assert layout.exclude_reg.exists()


def test_killed_before_the_picture(cluster: Cluster) -> None:
    config, layout = cluster
    layout.proposal_picture.unlink()
    layout.step_record("propose-regions").unlink()
    before = times(files(*cluster))
    assert propose_regions(config, layout).made
    assert layout.proposal_picture.exists()
    assert times(files(*cluster)) == before  # the same regions: nothing that follows is outdated


def test_proposed_again_when_the_images_change(cluster: Cluster) -> None:
    config, layout = cluster
    layout.exclude_reg.write_text('fk5\ncircle(150,20,30")\n')
    crop = layout.crop_reg.read_text()
    double_counts(layout)
    outcome = propose_regions(config, layout)
    assert outcome.made
    assert f"{layout.exclude_reg}: yours, kept" in outcome.facts["files"]
    assert layout.exclude_reg.read_text().startswith("fk5")
    assert layout.crop_reg.read_text() != crop


def test_all_drawn_by_hand_asks_nothing_of_the_image(small_cluster_processed: Path, tmp_path: Path) -> None:
    config, layout = cluster = copy(small_cluster_processed, tmp_path / "work")
    for drawn in (layout.sources_reg, layout.crop_reg):
        drawn.unlink()
    expected = fits.getdata(layout.merged_background)
    with fits.open(layout.merged_counts, memmap=False) as hdus:
        hdus[0].data[:] = np.random.default_rng(1).poisson(expected)
        hdus.writeto(layout.merged_counts, overwrite=True, checksum=True)
    with pytest.raises(EmptySelection, match="no extended emission found"):
        propose_regions(config, layout)
    for path in files(*cluster)[:3]:
        path.parent.mkdir(exist_ok=True)
        path.write_text('fk5\ncircle(150,20,30")\n')
    outcome = propose_regions(config, layout)
    assert [line.rpartition(": ")[2] for line in outcome.facts["files"]] == ["yours, kept"] * 3 + [
        "written"
    ] * 2
    assert not propose_regions(config, layout).made


def test_before_stage_1(small_cluster: Path) -> None:
    config = read_config(small_cluster / "demo.ini")
    with pytest.raises(MissingInput, match=r"_broad_thresh\.img \(pyxt-hpc process-data\)"):
        propose_regions(config, Layout.of(config))
