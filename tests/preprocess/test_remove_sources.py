"""Stage 2: flares and sources are removed, and nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.regions.sky import contains, read_regions
from pyxt_hpc.chandra.times.gti_io import read_gti, write_gti
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.preprocess.process_data import process_data
from pyxt_hpc.preprocess.remove_sources import remove_sources

RA, DEC = 150.0, 30.0
START, LENGTH_S, FLARE_S = 5e8, 40_000.0, (10_000.0, 16_000.0)


@pytest.fixture(scope="module")
def removed(after_stage_2: Any) -> Any:
    field, (_, outcome) = after_stage_2
    return field, outcome


def test_flare_goes_and_quiet_time_stays(removed: Any) -> None:
    field, outcome = removed
    for obsid, facts in outcome.observations.items():
        # 6 of 40 ks are a flare as bright as 6.7 times the quiet rate
        assert 0.15 <= facts["flare_fraction"] < 0.15 + 2 * 260 / LENGTH_S + 0.02
        assert facts["exposure_s"] == pytest.approx(0.98 * LENGTH_S * (1 - facts["flare_fraction"]))
        clean = read_events(field.layout.clean_events(obsid))
        assert facts["events"] == len(clean)
        assert clean.header["EXPOSURE"] == pytest.approx(facts["exposure_s"])
        since = clean.time - START
        assert not np.any((since > FLARE_S[0]) & (since < FLARE_S[1]))
        good = read_gti(field.layout.good_times(obsid, "fullE"))
        np.testing.assert_allclose(clean.gti[0], good)
        np.testing.assert_allclose(clean.gti[1], good)
        assert np.sum(good[:, 1] - good[:, 0]) == pytest.approx(LENGTH_S * (1 - facts["flare_fraction"]))
        area = 2048 * 512 - np.pi * (12 / 0.492) ** 2 * (obsid == "1")
        rate = 60_000 * 3000 / 11_700 / LENGTH_S * area / (2048 * 512)
        assert facts["quiet_rate"] == pytest.approx(rate, rel=0.04)


def test_sources_go_and_nothing_else(removed: Any) -> None:
    field, outcome = removed
    sources = read_regions(field.layout.sources_reg)
    events = read_events(field.layout.filtered_events("1"))
    clean = read_events(field.layout.clean_events("1"))
    inside = contains(sources, *events.wcs.wcs_pix2world(events.x, events.y, 1), {})
    assert outcome.observations["1"]["in_sources"] == inside.sum() > 0
    assert not contains(sources, *clean.wcs.wcs_pix2world(clean.x, clean.y, 1), {}).any()
    good = read_gti(field.layout.good_times("1", "fullE"))
    in_good = ((events.time[:, None] >= good[:, 0]) & (events.time[:, None] < good[:, 1])).any(axis=1)
    assert len(clean) == np.sum(in_good & ~inside)


def test_second_pass_does_not_see_the_core(removed: Any) -> None:
    field, _ = removed
    for band, core in (("hiE", False), ("fullE", True)):
        counts = fits.getdata(field.layout.light_curve("1", band))["COUNTS"]
        events = read_events(field.layout.filtered_events("1"))
        sky = events.wcs.wcs_pix2world(events.x, events.y, 1)
        low, high = (300, 12_000) if core else (9000, 12_000)
        chosen = (events.energy_eV >= low) & (events.energy_eV < high)
        chosen &= ~contains(read_regions(field.layout.sources_reg), *sky, {})
        if core:
            chosen &= ~contains(read_regions(field.layout.exclude_reg), *sky, {})
            good = read_gti(field.layout.good_times("1", "hiE"))
            chosen &= ((events.time[:, None] >= good[:, 0]) & (events.time[:, None] < good[:, 1])).any(axis=1)
        assert counts.sum() == chosen.sum()
    assert field.layout.light_curve_plot("1").read_bytes().startswith(b"\x89PNG")


def test_surface_brightness_without_sources_and_filled(removed: Any) -> None:
    field, _ = removed
    layout = field.layout
    brightness, filled = (fits.getdata(p) for p in (layout.source_free_brightness, layout.filled_brightness))
    exposure = fits.getdata(layout.merged_exposure)
    holes = np.isfinite(filled) & ~np.isfinite(brightness)
    assert holes.sum() * 1.968**2 == pytest.approx(np.pi * (12**2 + 5 * 9), rel=0.1)
    # at the very edge a few pixels come and go with the times that the flare left
    assert np.sum(np.isfinite(filled) != (exposure > 0)) < 20
    assert filled[holes].mean() == pytest.approx(np.nanmedian(brightness), rel=0.2)
    words = {layout.source_free_brightness: "sources", layout.filled_brightness: "display only"}
    for path, word in words.items():
        header = fits.getheader(path)
        assert header["BUNIT"] == "count s-1 arcmin-2"
        assert word in str(header["COMMENT"])


def test_good_times_of_a_person(single_done: Any) -> None:
    own = np.array([[START + 1000.0, START + 9000.0], [START + 20_000.0, START + 39_000.0]])
    write_gti(single_done.layout.supplied_gti("1"), own, fits.getheader(single_done.events("1"), 1))
    process_data(single_done.config, single_done.layout)
    facts = remove_sources(single_done.config, single_done.layout).observations["1"]
    assert facts["flare_fraction"] < 0.03  # what was left out by hand is no flare
    good = read_gti(single_done.layout.good_times("1", "fullE"))
    assert np.ptp(good, axis=1).sum() == pytest.approx(27_000, rel=0.03)
    assert good[0, 0] >= own[0, 0]
    assert good[-1, 1] <= own[-1, 1]


def test_background_of_the_picture_is_scaled_outside_the_sources(single_done: Any) -> None:
    process_data(single_done.config, single_done.layout)
    means = []
    for radius in (120, 5):
        single_done.layout.sources_reg.write_text(f'fk5\ncircle({RA},{DEC},{radius}")\n')
        remove_sources(single_done.config, single_done.layout)
        with fits.open(single_done.layout.source_free_brightness) as hdus:
            values, wcs = hdus[0].data, WCS(hdus[0].header)
        row, col = np.indices(values.shape)
        x, y = wcs.wcs_world2pix(RA, DEC, 0)
        means.append(np.nanmean(values[np.hypot(row - y, col - x) > 140 / 1.968]))
    # a fifth of the field: taken from one and not from the other, the background would be so much too faint
    assert means[0] == pytest.approx(means[1], rel=0.02)


def test_background_from_a_region_of_the_field(single_done: Any, stages: Callable) -> None:
    single_done.layout.supplied_background("1").unlink()
    # everything there is particles or sky that is as bright everywhere: nothing must be left
    single_done.layout.background_reg.write_text('fk5\nbox(150.1,30,200",200")\n')
    facts = stages(single_done)[-1].observations["1"]
    bundle = read_bundle(single_done.layout.bundle)
    live = bundle.mask > 0
    net = bundle.counts[live].sum() - bundle.background[live].sum()
    error = np.sqrt(bundle.counts[live].sum()) + 0.02 * bundle.counts[live].sum()
    assert abs(net) < error
    assert facts["background_scale"] == 0.25
    # known as well as the events of the region tell
    made_from = read_events(single_done.layout.local_background("1")).header["BKGCTSFI"]
    assert facts["background_scale_error"] == pytest.approx(0.25 * made_from**-0.5)
    # photons of the background region are worth what they are, in counts and in their energies
    o = bundle.observations[0]
    share = np.mean(o.background_channel > 400) / np.mean(o.event_channel > 400)
    assert share == pytest.approx(1.0, abs=0.05)


def test_background_region_with_few_events(single: Any) -> None:
    single.layout.supplied_background("1").unlink()
    for side, few in ((200, False), (10, True)):
        single.layout.background_reg.write_text(f'fk5\nbox(150.1,30,{side}",{side}")\n')
        process_data(single.config, single.layout)
        facts = remove_sources(single.config, single.layout).observations["1"]
        events = read_events(single.layout.clean_events("1"))
        x, y = events.wcs.wcs_world2pix(150.1, 30, 1)
        half = 0.5 * side / 0.492
        inside = (np.abs(events.x - x) < half) & (np.abs(events.y - y) < half)
        inside &= (events.energy_eV >= 500) & (events.energy_eV < 7000)
        header = read_events(single.layout.local_background("1")).header
        number = header["BKGCTSFI"]
        assert number == pytest.approx(inside.sum(), rel=0.01, abs=2)  # the box is one on the sky
        said = [finding for finding in facts["findings"] if "which all regions share" in finding]
        assert len(said) == few
        if few:
            assert f"only {number} events" in said[0]
            assert f"has an error of {100 / number**0.5:.0f}%" in said[0]


def test_hardly_any_quiet_time(single: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def wild(hdus: fits.HDUList) -> None:
        data = hdus["EVENTS"].data
        since = data["time"] - START
        # all particles in 24 short bursts of ever growing height
        burst = np.floor(24 * np.sqrt(since / LENGTH_S)) / 24 * LENGTH_S
        data["time"] = np.where(data["energy"] > 9000, START + burst, data["time"])

    single.rewrite(single.events("1"), wild)
    process_data(single.config, single.layout)
    with pytest.raises(EmptySelection, match=r"mean .* sigma .*; take ObsID 1 out .*1_gti\.fits"):
        remove_sources(single.config, single.layout)
    assert single.layout.light_curve_plot("1").is_file()
    assert not single.layout.clean_events("1").exists()
