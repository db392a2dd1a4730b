from pathlib import Path

from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.inputs import find_inputs


def make(layout: Layout, *names: str) -> None:
    for name in names:
        path = layout.cluster_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")


COMMON = ("sources.reg", "combined/master_crop-ciaowcs.reg", "1/1_background.fits", "1/1.arf", "1/1.rmf")


def test_archive_layout_and_what_chandra_repro_made(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "A1", "A1")
    make(
        layout, *COMMON, "1/primary/acisf00001N003_evt2.fits.gz", "1/primary/acisf00001_000N003_fov1.fits.gz"
    )
    make(layout, "1/primary/._acisf00001N003_evt2.fits.gz", "1/primary/acisf00001N003_evt2.fits.gz.part")
    (found,) = find_inputs(layout, ["1"]).observations
    assert found.events.name == "acisf00001N003_evt2.fits.gz"
    assert found.fov.name == "acisf00001_000N003_fov1.fits.gz"
    make(layout, "1/primary/acisf00001N003_evt2.fits")  # unpacked by hand: not a second file
    (found,) = find_inputs(layout, ["1"]).observations
    assert found.events.name == "acisf00001N003_evt2.fits"
    make(layout, "1/repro/acisf00001_repro_evt2.fits", "1/repro/acisf00001_repro_fov1.fits")
    (found,) = find_inputs(layout, ["1"]).observations
    assert found.events.name == "acisf00001_repro_evt2.fits"
    assert found.fov.name == "acisf00001_repro_fov1.fits"
