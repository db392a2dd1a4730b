"""Finding the files of the archive and those that a person supplies."""

from pathlib import Path

import pytest

from pyxt_hpc.errors import ConfigError, MissingInput
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.inputs.supplied import find_observations, need_regions


def make(layout: Layout, *names: str) -> None:
    for name in names:
        path = layout.cluster_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "A1", "A1")


def test_archive_layout_and_what_chandra_repro_made(layout: Layout, caplog: pytest.LogCaptureFixture) -> None:
    make(layout, "1/1_background.fits")
    make(layout, "1/primary/acisf00001N003_evt2.fits.gz", "1/primary/acisf00001_000N003_fov1.fits.gz")
    make(layout, "1/primary/._acisf00001N003_evt2.fits.gz", "1/primary/acisf00001N003_evt2.fits.gz.part")
    make(layout, "1/primary/pcadf1N003_asol1.fits.gz", "1/primary/pcadf2N003_asol1.fits.gz")
    (found,) = find_observations(layout, ["1"])
    assert found.events.name == "acisf00001N003_evt2.fits.gz"
    assert found.fov is not None
    assert found.fov.name == "acisf00001_000N003_fov1.fits.gz"
    assert [path.name for path in found.aspect] == ["pcadf1N003_asol1.fits.gz", "pcadf2N003_asol1.fits.gz"]
    make(layout, "1/primary/acisf00001N003_evt2.fits")  # unpacked by hand: not a second file
    (found,) = find_observations(layout, ["1"])
    assert found.events.name == "acisf00001N003_evt2.fits"
    assert "evt2.fits.gz: not used, because acisf00001N003_evt2.fits is beside it" in caplog.text
    make(layout, "1/repro/acisf00001_repro_evt2.fits", "1/repro/acisf00001_repro_fov1.fits")
    (found,) = find_observations(layout, ["1"])
    assert found.events.name == "acisf00001_repro_evt2.fits"
    assert found.fov is not None
    assert found.fov.name == "acisf00001_repro_fov1.fits"


def test_what_chandra_repro_leaves_beside_the_copies_of_the_archive(layout: Layout) -> None:
    make(layout, "323/323_background.fits", "323/primary/acisf00323N003_evt2.fits.gz")
    for kind in ("fov1", "bpix1", "msk1"):
        make(layout, f"323/repro/acisf00323_000N003_{kind}.fits", f"323/repro/acisf00323_repro_{kind}.fits")
    make(layout, "323/repro/acisf00323_repro_evt2.fits", "323/repro/pcadf063874624N004_asol1.fits")
    make(layout, "323/repro/pcadf00323_repro_asol1.fits")
    (found,) = find_observations(layout, ["323"])
    assert found.fov is not None
    names = [found.events.name, found.fov.name, *(path.name for path in found.aspect)]
    assert names == [
        "acisf00323_repro_evt2.fits",
        "acisf00323_repro_fov1.fits",
        "pcadf00323_repro_asol1.fits",
    ]


def test_what_chandra_repro_made_in_one_folder_with_the_archive_s(layout: Layout) -> None:
    make(layout, "1/1_background.fits", "1/acisf00001N003_evt2.fits", "1/acisf00001_repro_evt2.fits")
    (found,) = find_observations(layout, ["1"])
    assert found.events.name == "acisf00001_repro_evt2.fits"


def test_what_may_be_absent(layout: Layout) -> None:
    make(layout, "1/primary/acisf00001N003_evt2.fits", "background.reg")
    (found,) = find_observations(layout, ["1"])
    assert found.fov is None
    assert found.aspect == ()
    assert found.background is None


def test_everything_missing_is_named_at_once(layout: Layout) -> None:
    make(layout, "1/1_background.fits", "22/primary/acisf00022N003_evt2.fits")
    with pytest.raises(MissingInput) as caught:
        find_observations(layout, ["1", "22", "333"])
    message = str(caught.value)
    assert message.startswith("3 missing: ")
    assert "\n" not in message
    for text in (
        "1/primary/*_evt2.fits*",
        "22_background.fits",
        "background.reg",
        "333 (",
        "observation_ids",
    ):
        assert text in message
    for provider in ("download_chandra_obsid", "blanksky", "draw"):
        assert provider in message


def test_level_1_only(layout: Layout) -> None:
    make(layout, "1/1_background.fits", "1/secondary/acisf00001_000N003_evt1.fits.gz")
    with pytest.raises(
        MissingInput,
        match=r"acisf00001_000N003_evt1\.fits\.gz is of level 1: make level 2 with chandra_repro",
    ):
        find_observations(layout, ["1"])


def test_two_versions_of_a_file(layout: Layout) -> None:
    make(layout, "1/1_background.fits")
    make(layout, "1/primary/acisf00001N003_evt2.fits", "1/primary/acisf00001N004_evt2.fits")
    with pytest.raises(
        ConfigError, match=r"several files match .*N003_evt2.fits, .*N004_evt2.fits; keep one"
    ):
        find_observations(layout, ["1"])


def test_interleaved_exposures(layout: Layout) -> None:
    make(layout, "1/1_background.fits")
    make(layout, "1/primary/acisf00001_e1_000N003_evt2.fits", "1/primary/acisf00001_e2_000N003_evt2.fits")
    with pytest.raises(ConfigError, match=r"_e1_.*_e2_.*the largest EXPOSURE"):
        find_observations(layout, ["1"])


def test_missing_regions_say_who_draws_them(layout: Layout) -> None:
    with pytest.raises(MissingInput, match=r"2 missing: .*sources\.reg \(draw it in DS9.*propose-regions"):
        need_regions(layout.sources_reg, layout.crop_reg)
