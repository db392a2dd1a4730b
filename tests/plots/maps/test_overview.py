"""What shows several maps together: the overview, and the script that opens them in DS9."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from pyxt_hpc.maps.gas.correlation import JointErrors
from pyxt_hpc.maps.kinds.expression import Expression
from pyxt_hpc.maps.make import make_maps
from pyxt_hpc.plots.ds9.frames import FRAMES
from pyxt_hpc.plots.maps.overview import PANELS, _facts
from pyxt_hpc.plots.maps.style import PictureStyle
from pyxt_hpc.plots.write_products import Sheets, scene_of, write_products

SHAPE = (60, 66)


def without_correlations(regions) -> JointErrors:
    """Made-up bundles have no responses that errors could be correlated by."""
    return JointErrors(*np.zeros((5, len(regions.rows))))


@pytest.fixture
def regions(fitted, monkeypatch: pytest.MonkeyPatch):
    """Regions with their S/N, which is among the default maps."""
    monkeypatch.setattr("pyxt_hpc.maps.gas.thermodynamics.joint_errors", without_correlations)
    return replace(
        fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6)), circles_signal_to_noise=np.full(SHAPE, 40.0)
    )


def sheets_of(
    regions, names=(), style: PictureStyle | None = None, *, alone: bool = True, **how: object
) -> list[Path]:
    """Make the sheets and, if `alone`, the picture of every map."""
    style = style or PictureStyle(dpi=60)
    sheets = Sheets(masked="mask" in how)
    products = make_maps(regions, names, **how)
    if alone:
        for _ in write_products(regions, products, style, sheets):
            pass
    else:
        for product in products:
            sheets.add(product, style, regions.bundle.wcs)
    return [path for path, _ in sheets.write(regions, style)]


def test_the_default_maps_have_a_sheet_and_a_script(regions) -> None:
    overview, script = sheets_of(regions, style=PictureStyle(dpi=60, contours=False))
    assert overview.name == "A_overview.png"
    height, width = matplotlib.image.imread(overview).shape[:2]
    assert 0.9 < height / width < 1.1  # nine panels
    assert len(PANELS) == 9
    text = script.read_text()
    assert os.access(script, os.X_OK)
    for name in FRAMES:
        assert f"A_{name}_map.fits" in text


def test_the_sheet_says_what_its_errors_and_contours_are(regions) -> None:
    n = len(regions.rows)
    for contours in (False, True):
        first, second = _facts(regions, scene_of(regions, PictureStyle(contours=contours))).splitlines()
        assert "nH 0.05" in first
        assert f"{n} of {n} regions fitted; errors are half the 68% interval" in second
        assert second.endswith("contours: smoothed X-ray surface brightness") == contours


def test_a_few_maps_have_none_and_masked_ones_have_their_own(regions) -> None:
    assert sheets_of(regions, ["kT"]) == []
    names = [path.name for path in sheets_of(regions, mask=Expression.of("kT > 100"), alone=False)]
    assert names == ["A_overview_masked.png", "A_ds9_masked.sh"]


def test_the_script_hands_maps_and_regions_to_ds9(regions, tmp_path: Path) -> None:
    *_, script = sheets_of(regions, alone=False)
    said = tmp_path / "said"
    double = tmp_path / "bin" / "ds9"
    double.parent.mkdir()
    double.write_text(f'#!/bin/sh\npwd > {said}\nprintf "%s\\n" "$@" >> {said}\n')
    double.chmod(0o755)
    environment = {**os.environ, "PATH": f"{double.parent}:{os.environ['PATH']}"}

    def words() -> list[str]:
        subprocess.run([script, "-zoom", "2"], check=True, env=environment, cwd="/")
        return said.read_text().splitlines()

    folder, *options = words()
    assert Path(folder) == regions.layout.main_output.resolve()
    files = [word for word in options if word.endswith(".fits")]
    assert files == [f"A_{name}_map.fits" for name in FRAMES]
    assert all((Path(folder) / name).exists() for name in files)
    assert options[-2:] == ["-zoom", "2"]
    assert "-region" not in options
    regions.layout.sources_reg.write_text('fk5\ncircle(150,20,5")\n')
    regions.layout.shock_regions.write_text("icrs\nline(150,20,150.1,20)\n")
    options = words()[1:]
    loaded = [options[i + 2] for i, word in enumerate(options) if word == "load"]
    assert [options[i + 1] for i, word in enumerate(options) if word == "load"] == ["all", "all"]
    assert loaded == ["../sources.reg", "A_shocks.reg"]
    missing = subprocess.run(  # no ds9 in sight
        ["/bin/sh", script], check=False, capture_output=True, text=True, env={"PATH": "/usr/bin-none"}
    )
    assert missing.returncode == 2


def test_large_region_files_are_made_on_request_only(regions, monkeypatch: pytest.MonkeyPatch) -> None:
    path = regions.layout.ds9_regions(regions.layout.map("temperature"))
    monkeypatch.setattr("pyxt_hpc.plots.write_products._LARGE", 1000)
    sheets_of(regions, ["kT"])
    assert not path.exists()
    sheets_of(regions, ["kT"], PictureStyle(dpi=60, regions=True))
    assert path.exists()
    before = path.read_text()
    regions.rows["kT"][:] = 3.0
    sheets_of(regions, ["kT"])  # what is there is renewed
    assert path.read_text() != before


def test_pictures_are_made_in_every_form(regions) -> None:
    sheets_of(regions, ["goodness"], PictureStyle(dpi=60, formats=("pdf", "svg")))
    made = {path.name for path in regions.layout.main_output.iterdir()}
    assert made == {"A_goodness_map.fits", "A_goodness_map.pdf", "A_goodness_map.svg"}
