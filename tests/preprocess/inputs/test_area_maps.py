"""The area of every pixel is that of CIAO's exposure maps, relative to the ARF where it was made."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.chandra.events import EventList, read_events
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin, vignetting
from pyxt_hpc.errors import DamagedFile, ResponseMismatch
from pyxt_hpc.preprocess.ciao.plans.exposure_maps import map_name
from pyxt_hpc.preprocess.crop_data import crop_data
from pyxt_hpc.preprocess.generate_responses import generate_responses
from pyxt_hpc.preprocess.inputs.area_maps import (
    AreaMaps,
    area_at,
    area_energies,
    read_area_maps,
    write_area_maps,
)

BAND = (0.7, 8.0)
FIRST, N_X, N_Y = 4.0 * 880 + 0.5, 300, 300  # lower left edge of the maps [sky pixel], pixels of 4 x 4
REGION = (3596.5, 4096.5, 80.0)  # on the first chip, far from its edges
ARF_CM2 = 300.0
FAR = (150.5, 30.0)  # so far from the axis that all positions are as far


def true_area(energy_keV: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Area [cm^2] at sky pixels: a slope, steeper at low energies, as contamination makes it."""
    return 306.0 * (1.0 + (5e-5 * (x - 4096.5) - 3e-5 * (y - 4096.5)) / energy_keV)


def write_maps(field: Any, factor: float = 1.0, dead: slice | None = None) -> EventList:
    """What fluximage would make of observation 1, and a region that is older than its ARF."""
    layout = field.layout
    clean = read_events(layout.clean_events("1"), ours=True)
    x, y = np.meshgrid(FIRST + 2.0 + 4.0 * np.arange(N_X), FIRST + 2.0 + 4.0 * np.arange(N_Y))
    header = map_frame(clean.wcs).to_header()
    header["BUNIT"] = "cm**2 s count photon**-1"
    layout.ciao("1").mkdir(parents=True, exist_ok=True)
    for energy in area_energies(BAND):
        values = factor * clean.header["EXPOSURE"] * true_area(energy, x, y)
        if dead is not None:
            values[:, dead] = 0.0
        image = fits.PrimaryHDU(values.astype(np.float32), header)
        image.writeto(layout.ciao("1") / map_name(energy), overwrite=True)
    shutil.copyfile(layout.clean_events("1"), layout.ciao_events("1"))
    region = layout.response_region("1")
    region.write_text("physical\ncircle({},{},{})\n".format(*REGION))
    for path in (layout.supplied_arf("1"), layout.supplied_rmf("1")):
        os.utime(path, ns=(2 * 10**18, 2 * 10**18))
    return clean


def map_frame(sky: WCS) -> WCS:
    frame = sky.deepcopy()
    frame.wcs.cdelt = 4.0 * sky.wcs.cdelt
    frame.wcs.crpix = (sky.wcs.crpix - FIRST) / 4.0 + 0.5
    frame.wcs.set()
    return frame


def bundle_of(field: Any) -> tuple[Bundle, dict[str, Any]]:
    facts = generate_responses(field.config, field.layout).observations["1"]
    crop_data(field.config, field.layout)
    return read_bundle(field.layout.bundle), facts


def expected_area(bundle: Bundle, clean: EventList, energy_keV: float) -> np.ndarray:
    """Area at the bundle's pixels over the mean of the events (0.3-2 keV) in the region, by hand."""
    ny, nx = bundle.mask.shape
    col, row = np.meshgrid(np.arange(nx), np.arange(ny))
    sky = clean.wcs.wcs_world2pix(np.column_stack(bundle.wcs.wcs_pix2world(col.ravel(), row.ravel(), 0)), 1)
    chosen = clean.in_band((300.0, 2000.0))
    chosen &= np.hypot(clean.x - REGION[0], clean.y - REGION[1]) <= REGION[2]
    assert chosen.sum() > 500
    at_region = true_area(energy_keV, clean.x[chosen], clean.y[chosen]).mean()
    return true_area(energy_keV, *sky.T).reshape(ny, nx) / at_region


def test_every_pixel_has_the_area_of_the_map(single_before_crop: Any) -> None:
    without = read_bundle(_cropped(single_before_crop))
    assert without.observations[0].area_of == "vignetting table"
    clean = write_maps(single_before_crop)
    bundle, facts = bundle_of(single_before_crop)
    (observation,) = bundle.observations
    assert observation.area_of == facts["area_of"] == "CIAO's exposure maps"
    assert facts["findings"] == []
    # the ARF is what it was, for the map is relative to it
    np.testing.assert_allclose(observation.arf.area, ARF_CM2)
    np.testing.assert_array_equal(bundle.mask, without.mask)
    np.testing.assert_array_equal(observation.event_channel, without.observations[0].event_channel)
    np.testing.assert_allclose(observation.vignetting_keV, area_energies(BAND))
    live = bundle.mask > 0
    for energy, area in zip(observation.vignetting_keV, observation.vignetting, strict=True):
        expected = expected_area(bundle, clean, energy)
        np.testing.assert_allclose(area[live], expected[live], rtol=1e-4)
        assert (area[~live] == 0).all()
        assert np.ptp(expected[live]) > 0.03 / energy


def _cropped(field: Any) -> Path:
    crop_data(field.config, field.layout)
    return field.layout.bundle


def test_only_differences_from_place_to_place_count(single_before_crop: Any) -> None:
    write_maps(single_before_crop)
    before, _ = bundle_of(single_before_crop)
    write_maps(single_before_crop, factor=1.3)
    after, facts = bundle_of(single_before_crop)
    np.testing.assert_allclose(after.observations[0].vignetting, before.observations[0].vignetting, rtol=1e-5)
    (finding,) = facts["findings"]
    assert re.search(r"1\.3\d times the area of this ARF", finding)


def test_where_the_map_has_nothing_no_pixel_is_live(single_before_crop: Any) -> None:
    write_maps(single_before_crop)
    before, _ = bundle_of(single_before_crop)
    write_maps(single_before_crop, dead=slice(120, 126))  # a wide dead column
    after, _ = bundle_of(single_before_crop)
    lost = (before.mask > 0) & (after.mask == 0)
    assert not ((after.mask > 0) & (before.mask == 0)).any()
    assert 4 * before.mask.any(axis=1).sum() < lost.sum() < 8 * before.mask.any(axis=1).sum()
    assert after.counts.sum() < before.counts.sum()
    assert (after.observations[0].vignetting[:, after.mask > 0] > 0).all()


def test_builtin_uses_none_and_takes_them_away(single_before_crop: Any) -> None:
    field = single_before_crop
    write_maps(field)
    bundle_of(field)
    assert field.layout.area_maps("1").is_file()
    bundle, facts = bundle_of(replace(field, config=replace(field.config, backend="builtin")))
    assert bundle.observations[0].area_of == facts["area_of"].removeprefix("the ") == "vignetting table"
    assert not field.layout.area_maps("1").is_file()


def test_a_crop_drawn_anew_needs_new_maps(single_before_crop: Any) -> None:
    field = single_before_crop
    write_maps(field)
    bundle_of(field)
    field.layout.crop_reg.write_text('# CIAO\nbox(10:00:00,+30:00:00,900",200",0)\n')
    with pytest.raises(DamagedFile, match=r"crop is not inside.*pyxt-hpc generate-responses"):
        crop_data(field.config, field.layout)


def test_maps_of_another_unit_are_refused(single_before_crop: Any) -> None:
    exposure = float(write_maps(single_before_crop).header["EXPOSURE"])
    write_maps(single_before_crop, factor=exposure)
    with pytest.raises(ResponseMismatch, match=r"expected a map of cm\^2 s"):
        bundle_of(single_before_crop)


def test_maps_and_an_arf_of_nobody_knows_where_do_not_go_together(single_before_crop: Any) -> None:
    write_maps(single_before_crop)
    single_before_crop.layout.response_region("1").unlink()
    with pytest.raises(ResponseMismatch, match="says where it was made"):
        bundle_of(single_before_crop)


def test_energies_are_so_near_that_contamination_is_linear_between_them() -> None:
    # tau as E^-2.9 above the edge of oxygen and fluorine, a difference of 1 at 0.7 keV within a field
    def through(energy: np.ndarray) -> np.ndarray:
        return np.exp(-((energy / 0.7) ** -2.9))

    nodes = np.array(area_energies(BAND))
    energy = np.linspace(0.7, 8.0, 2000)
    error = np.interp(energy, nodes, through(nodes)) / through(energy) - 1.0
    assert np.abs(error).max() < 0.02


def test_gaps_in_the_region_do_not_lower_the_area() -> None:
    maps, live = _made_map()
    # positions on the whole map, half of which is over a gap, where the chip was seen for half of the time
    live[:, 20:] = 0.5
    seconds = maps.seconds * live
    area = area_at(replace(maps, seconds=seconds), live, 1000.0, _positions(maps), FAR, Path("r"))
    np.testing.assert_allclose(area, [300.0, 200.0], rtol=2e-4)


def test_positions_at_a_gap_count_with_their_angle_from_the_axis() -> None:
    maps, live = _made_map()
    ra, dec = maps.wcs.wcs_pix2world(*np.meshgrid(np.arange(1.0, 41.0), np.arange(1.0, 41.0)), 1)
    axis = float(ra[20, 30]), float(dec[20, 30]) + 0.1  # 6 arcmin away, where vignetting is steep
    table = vignetting(maps.energy_keV, off_axis_arcmin(ra.ravel(), dec.ravel(), *axis)).reshape(2, 40, 40)
    live[25:] = 0.5  # the half that is nearer to the axis
    seconds = (maps.seconds * table * live).astype(np.float32)
    positions = _positions(maps)
    expected = np.array([300.0, 200.0]) * vignetting(
        maps.energy_keV, off_axis_arcmin(*positions, *axis)
    ).mean(axis=1)
    area = area_at(replace(maps, seconds=seconds), live, 1000.0, positions, axis, Path("r"))
    np.testing.assert_allclose(area, expected, rtol=1e-4)
    uncorrected = np.array([300.0, 200.0]) * table[:, 1:24, 1:39].mean(axis=(1, 2))
    assert (np.abs(uncorrected / expected - 1.0) > 5e-4).all()


def test_no_part_of_the_region_on_a_chip() -> None:
    maps, live = _made_map()
    with pytest.raises(ResponseMismatch, match="no part of the response region"):
        area_at(maps, np.zeros_like(live), 1000.0, _positions(maps), FAR, Path("r"))


def test_maps_are_read_as_they_were_written(tmp_path: Path) -> None:
    maps, _ = _made_map()
    write_area_maps(tmp_path / "area.fits", maps, {"OBS_ID": "1"})
    found = read_area_maps(tmp_path / "area.fits")
    np.testing.assert_array_equal(found.seconds, maps.seconds)
    np.testing.assert_array_equal(found.energy_keV, maps.energy_keV)
    np.testing.assert_allclose(found.wcs.wcs_pix2world([[3, 4]], 1), maps.wcs.wcs_pix2world([[3, 4]], 1))


def test_another_grid_takes_the_values_at_its_own_centres() -> None:
    maps, _ = _made_map()
    row, col = np.mgrid[:40, :40]
    maps = replace(maps, seconds=np.stack([1.0 * row, 2.0 * col]).astype(np.float32))
    frame = tangent_plane(150.004, 30.003, 1.968, crpix=(5.0, 5.0))
    grid = SkyGrid(frame, (9, 9))
    found = maps.on_grid(grid)
    x, y = (v.reshape(9, 9) for v in maps.wcs.wcs_world2pix(
        np.column_stack([v.ravel() for v in grid.centres()]), 0).T)  # fmt: skip
    np.testing.assert_allclose(found, np.stack([y, 2.0 * x]), atol=2e-3)
    far = SkyGrid(tangent_plane(150.2, 30.0, 1.968), (3, 3))
    assert np.isnan(maps.on_grid(far)).all()


def _made_map() -> tuple[AreaMaps, np.ndarray]:
    frame = tangent_plane(150.0, 30.0, 1.968, crpix=(20.5, 20.5))
    seconds = np.stack([np.full((40, 40), 3e5), np.full((40, 40), 2e5)]).astype(np.float32)
    return AreaMaps(np.array([1.0, 5.0]), seconds, frame), np.ones((40, 40), np.float32)


def _positions(maps: AreaMaps) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.meshgrid(np.arange(2.0, 40.0), np.arange(2.0, 40.0))
    ra, dec = maps.wcs.wcs_pix2world(x.ravel(), y.ravel(), 1)
    return ra, dec
