"""ACIS-S through the double of CIAO: each kind of chip gets responses and areas of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from installation import install
from simulated_archive import write_archive

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.chandra.events import read_events, write_events
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import CiaoError
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.crop_data import crop_data
from pyxt_hpc.preprocess.generate_responses import generate_responses
from pyxt_hpc.preprocess.process_data import process_data
from pyxt_hpc.preprocess.remove_sources import remove_sources

RA, DEC = 150.0, 30.0
BI_GAIN = 3.0  # of the back-illuminated chip far below 1 keV


def write_aspect(path: Path, start_s: float, length_s: float) -> None:
    """A pointing that does not move, as the events of this field have none."""
    time = np.arange(start_s - 10, start_s + length_s + 10, 5.0)
    values = {"time": time, "ra": RA + 0 * time, "dec": DEC + 0 * time, "roll": 0 * time}
    columns = [fits.Column(name, "1D", array=column) for name, column in values.items()]
    table = fits.BinTableHDU.from_columns(columns, name="ASPSOL")
    table.header["OBS_ID"] = "1"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)


@pytest.fixture
def spectroscopic(observe: Callable, tmp_path: Path) -> tuple[ClusterConfig, Layout, Any]:
    """An archive of one observation by chips 6 and 7, and the double of CIAO."""
    level_2 = Layout(tmp_path / "level_2", "level_2")
    observe(level_2, "1", (RA, DEC), 7, ccds=(6, 7), detnam="ACIS-678")
    primary = level_2.observation("1") / "primary"
    (path,) = primary.glob("*evt2.fits")
    events = read_events(path)
    header = events.header
    header["DETNAM"] = "ACIS-67"  # without the chip that saw nothing
    write_events(path, replace(events, gti={chip: events.gti[chip] for chip in (6, 7)}))
    write_aspect(
        primary / "pcadf500000000N003_asol1.fits", header["TSTART"], header["TSTOP"] - header["TSTART"]
    )
    installation = install(tmp_path / "ciao", tmp_path / "archive", bi_gain=BI_GAIN)
    write_archive(level_2, ("1",), tmp_path / "archive", installation.blank_skies)
    config = ClusterConfig(
        path=tmp_path / "A1.ini", name="A1", observation_ids=("1",), redshift=0.1, nH=0.03, abundance=0.3,
        data_directory=tmp_path, backend="ciao", ciao_prefix=str(installation.prefix),
    )  # fmt: skip
    layout = Layout.of(config)
    layout.crop_reg.parent.mkdir(parents=True)
    layout.crop_reg.write_text(f'fk5\nbox({RA},{DEC},400",200",0)\n')
    layout.sources_reg.write_text(f'fk5\ncircle({RA + 0.03},{DEC},8")\n')
    return config, layout, installation


def draw_response_regions(layout: Layout) -> None:
    for name, east in (("1-FI", 0.02), ("1-BI", -0.02)):  # chip 6 is on the left, in the east
        region = layout.response_region(name)
        region.parent.mkdir(parents=True, exist_ok=True)
        region.write_text(f'fk5\ncircle({RA + east},{DEC},40")\n')


def test_each_kind_has_its_own(spectroscopic: tuple[ClusterConfig, Layout, Any]) -> None:
    config, layout, installation = spectroscopic
    process_data(config, layout)
    draw_response_regions(layout)
    for stage in (remove_sources, generate_responses, crop_data):
        stage(config, layout)
    calls = installation.calls()
    assert {tool: calls.count(tool) for tool in ("blanksky", "dmcopy", "specextract", "fluximage")} == {
        "blanksky": 1, "dmcopy": 2, "specextract": 2, "fluximage": 2
    }  # fmt: skip
    bundle = read_bundle(layout.bundle)
    assert [o.dataset for o in bundle.observations] == ["1-FI", "1-BI"]
    front, back = bundle.observations
    assert {front.area_of, back.area_of} == {"CIAO's exposure maps"}
    middle = bundle.counts.shape[1] // 2
    shape = bundle.counts.shape
    assert not front.on_grid(front.mask, shape)[:, middle + 5 :].any()
    assert not back.on_grid(back.mask, shape)[:, : middle - 5].any()
    for energy in (0.7, 2.0, 7.0):
        gain = area_cm2(back, energy) / area_cm2(front, energy)
        # the chips are at the same distances from the axis, to the left and to the right
        assert gain == pytest.approx(1 + (BI_GAIN - 1) * np.exp(-energy), rel=0.01)
    clean = read_events(layout.clean_events("1"), ours=True)
    assert bundle.counts.sum() == sum(len(o.event_channel) for o in bundle.observations) > 0.1 * len(clean)


def area_cm2(o: Any, energy_keV: float) -> float:
    """Mean area of the pixels of a dataset."""
    arf = np.interp(energy_keV, 0.5 * (o.arf.energy_lo + o.arf.energy_hi), o.arf.area)
    whole = o.mask > 0
    relative = [np.median(plane[whole]) for plane in o.vignetting]
    return float(arf * np.interp(energy_keV, o.vignetting_keV, relative))


def test_without_blank_sky_files(spectroscopic: tuple[ClusterConfig, Layout, Any]) -> None:
    config, layout, installation = spectroscopic
    for path in installation.blank_skies.iterdir():
        path.unlink()
    with pytest.raises(
        CiaoError, match=r"blanksky of ObsID 1 failed: .*conda install acis_bkg_evt.*background\.reg"
    ):
        process_data(config, layout)
    layout.background_reg.write_text(
        f'fk5\nbox({RA - 0.08},{DEC},100",200")\nbox({RA + 0.08},{DEC},100",200")\n'
    )
    installation.forget()
    process_data(config, layout)
    assert installation.calls() == ["blanksky"]
    remove_sources(config, layout)
    assert layout.local_background("1").is_file()
