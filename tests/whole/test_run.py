"""One command goes from event files to maps without help, and a second time does only what changed."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.chandra.regions.sky import contains, read_regions
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.pipeline.run import STAGES
from pyxt_hpc.simulate.truth import compare_with_truth
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status


@pytest.fixture(scope="module")
def config(small_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a cluster without drawn regions, after a first run."""
    folder = tmp_path_factory.mktemp("run") / "work"
    shutil.copytree(small_cluster, folder)
    path = folder / "demo.ini"
    layout = Layout.of(read_config(path))
    layout.sources_reg.unlink()
    layout.crop_reg.unlink()
    before = path.read_bytes()
    assert main(["run", "-c", str(path), "--resolution", "1"]) == 0
    assert path.read_bytes() == before, "the user's file was written"
    return path


def did(capsys: pytest.CaptureFixture[str], config: Path, *options: str) -> dict[str, bool]:
    """Stages that a run did, of those that it reached."""
    capsys.readouterr()
    assert main(["run", "-c", str(config), "--resolution", "1", *options]) == 0
    sections = re.split(r"^== (.*)$", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    said = dict(zip(sections[::2], sections[1::2], strict=True))
    nothing = {stage: "up to date" in text for stage, text in said.items()}
    if "fit-spectra" in said:
        fitted = re.search(r"(\d+) regions were fitted before\n(\d+) of (\d+)", said["fit-spectra"])
        nothing["fit-spectra"] = fitted is not None and fitted[1] == fitted[3]
    return {stage: not up_to_date for stage, up_to_date in nothing.items()}


def test_hands_free(config: Path) -> None:
    layout = Layout.of(read_config(config))
    results = read_store(layout.results)
    assert set(results.status) == {Status.DONE}
    with fits.open(layout.map("temperature")) as hdus:
        assert np.isfinite(hdus[0].data).mean() > 0.5
    for path in (layout.map("pressure"), layout.map("entropy"), layout.proposal_picture):
        assert path.exists()
    bundle = read_bundle(layout.bundle)
    comparison = compare_with_truth(results.rows, bundle, layout.cluster_dir / "truth")
    # circles overlap, so they count as some 50 independent ones
    assert abs(comparison.median) < 0.4
    assert 0.5 < comparison.coverage < 0.85
    # also where circles reach over the edges of fields and images
    inside_truth = comparison.of(np.isfinite(comparison.norm_ratio))
    far = inside_truth.distance_arcmin > np.median(inside_truth.distance_arcmin)
    for half in (inside_truth.of(far), inside_truth.of(~far)):
        assert abs(np.mean(half.norm_ratio) - 1) < 0.04
        assert abs(np.mean(half.goodness)) < 1.0
    assert comparison.poor.mean() < 0.01


def test_every_bright_source_is_out_and_the_core_is_in(config: Path) -> None:
    layout = Layout.of(read_config(config))
    true = read_regions(layout.cluster_dir / "truth" / "sources.reg")
    ra, dec = np.array([shape.points[0] for shape in true.shapes]).T
    assert contains(read_regions(layout.sources_reg), ra, dec, {}).mean() >= 0.7  # a third of the exposure
    assert not contains(read_regions(layout.sources_reg), 150.0, 20.0, {})
    assert contains(read_regions(layout.exclude_reg), 150.0, 20.0, {})
    assert contains(read_regions(layout.crop_reg), 150.0, 20.0, {})


def test_second_run_does_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert did(capsys, config) == dict.fromkeys(STAGES, False)


def test_from_and_through(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = did(capsys, config, "--from", "remove-sources", "--through", "crop-data")
    assert list(order) == ["remove-sources", "generate-responses", "crop-data"]
    assert main(["run", "-c", str(config), "--from", "crop-data", "--through", "process-data"]) == 2
    assert "--from crop-data comes after" in capsys.readouterr().err


def test_a_drawn_region_wins_and_only_what_follows_is_done(
    config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = tmp_path / "work"
    shutil.copytree(config.parent, copy)  # with its times: a moved cluster is up to date
    moved = copy / config.name
    layout = Layout.of(read_config(moved))
    drawn = 'fk5\nbox(150,20,240",240")\n'
    layout.crop_reg.write_text(drawn)
    assert did(capsys, moved, "--through", "create-bins") == {
        stage: stage in ("crop-data", "create-bins") for stage in STAGES[:6]
    }
    # fits of the former crop are not removed without a message
    assert main(["run", "-c", str(moved), "--resolution", "1"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert did(capsys, moved, "--yes", "--through", "fit-spectra")["fit-spectra"]
    # proposals are made again only where nobody has touched them
    sources = layout.sources_reg.read_text()
    layout.exclude_reg.write_text("")
    assert main(["propose-regions", "-c", str(moved), "--force"]) == 0
    assert layout.crop_reg.read_text() == drawn
    assert layout.exclude_reg.read_text() == ""
    assert layout.sources_reg.read_text() == sources
