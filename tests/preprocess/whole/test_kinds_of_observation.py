"""What real archives hold besides a plain ACIS-I observation: used rightly, or left out aloud."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.bundle import Bundle, read_bundle
from pyxt_hpc.chandra.events import concatenate, read_events, write_events
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.preprocess.process_data import process_data

RA, DEC = 150.0, 30.0
SKY, PIXELS = 80_000, 2048 * 512 / 16  # events of 0.7-5 keV, image pixels of both chips


def edit_events(field: Any, obsid: str, edit: Callable[[fits.HDUList], None]) -> None:
    field.rewrite(field.events(obsid), edit)


def net_counts(bundle: Bundle, number: int, columns: slice) -> tuple[float, float]:
    """Counts above background of an observation in columns of the grid, over those of the sky; its error."""
    o = bundle.observations[number]
    counts, blank = (
        np.diff(indptr).reshape(o.mask.shape)[:, columns].sum()
        for indptr in (o.event_indptr, o.background_indptr)
    )
    area = o.vignetting[np.searchsorted(o.vignetting_keV, 1.49), :, columns][o.mask[:, columns] > 0].size
    expected = SKY * o.exposure_s / 39_200 * area / PIXELS
    error = np.hypot(np.sqrt(counts), o.background_scale * np.sqrt(blank))
    return (counts - o.background_scale * blank) / expected, error / expected


@pytest.fixture
def spectroscopic(single: Any, observe: Callable) -> Any:
    """ACIS-S: chip 6 on the left, the back-illuminated chip 7 on the right, chips 2 and 3 unused."""
    observe(single.layout, "1", (RA, DEC), 7, ccds=(6, 7), detnam="ACIS-23678")
    blank = read_events(single.layout.supplied_background("1"))
    # the blank-sky file of chip 6 has half the exposure of chip 7's
    kept = (blank.ccd_id == 7) | (np.arange(len(blank)) % 2 == 0)
    write_events(single.layout.supplied_background("1"), blank.select(kept))
    return single


def test_acis_s_with_chips_of_their_own(
    spectroscopic: Any, stages: Callable, on_whole_grid: Callable
) -> None:
    process, *_, crop = stages(spectroscopic)
    facts = process.observations["1"]
    assert facts["array"] == "S"
    assert facts["chips"] == [6, 7]
    assert facts["chips_left_out"] == [2, 3, 8]
    assert facts["datasets"] == ["1-FI", "1-BI"]
    assert facts["date"] == "2013-11-05"
    bundle = on_whole_grid(read_bundle(spectroscopic.layout.bundle))
    assert [(o.dataset, o.obsid) for o in bundle.observations] == [("1-FI", "1"), ("1-BI", "1")]
    assert list(crop.observations) == ["1-FI", "1-BI"]
    assert bundle.left_out == ""
    for number, half, other in ((0, slice(0, 95), slice(105, 200)), (1, slice(105, 200), slice(0, 95))):
        ratio, error = net_counts(bundle, number, half)
        assert ratio == pytest.approx(1.0, abs=3.5 * error)
        assert error < 0.07
        assert not bundle.observations[number].mask[:, other].any()
    # the blank sky of chip 6 has half the exposure
    front, back = (facts["background_scale"] for facts in crop.observations.values())
    assert front == pytest.approx(2 * back, rel=0.1)
    assert [o.arf.area[0] for o in bundle.observations] == [300.0, 450.0]
    # and so in the merged image, chip by chip
    layout = spectroscopic.layout
    counts, background = (
        fits.getdata(p).astype(float) for p in (layout.merged_counts, layout.merged_background)
    )
    middle = counts.shape[1] // 2
    left, right = (
        (counts - background)[:, side].sum() for side in (slice(None, middle), slice(middle, None))
    )
    assert left == pytest.approx(right, rel=0.05)


def test_each_kind_of_chip_has_a_background_of_its_own(spectroscopic: Any, stages: Callable) -> None:
    layout = spectroscopic.layout
    layout.supplied_background("1").unlink()
    # chip 7 in the west has three times the counts of chip 6
    raw = read_events(spectroscopic.events("1"))
    few = (raw.ccd_id == 7) | (np.arange(len(raw)) % 3 == 0)
    raw.header["DETNAM"] = "ACIS-2367"  # without the chip that saw nothing
    write_events(spectroscopic.events("1"), raw.select(few))
    layout.background_reg.write_text('fk5\nbox(149.92,30,100",200")\n')
    with pytest.raises(EmptySelection, match=r"background\.reg: no event on CCD 6 of .*on one of the others"):
        stages(spectroscopic)
    layout.background_reg.write_text('fk5\nbox(149.92,30,100",200")\nbox(150.08,30,100",200")\n')
    stages(spectroscopic)
    clean, made = (read_events(path("1")) for path in (layout.clean_events, layout.local_background))
    for chip in (6, 7):
        own = made.select(made.ccd_id == chip)
        assert len(own) == pytest.approx(4 * np.sum(clean.ccd_id == chip), rel=0.05)
        # the gap is in the middle
        assert np.mean((own.x < 4096.5) == (chip == 6)) > 0.999


def test_both_arrays_in_one_cluster(
    done: Any, stages: Callable, observe: Callable, on_whole_grid: Callable
) -> None:
    observe(done.layout, "22", (RA + 0.02, DEC + 0.01), 8, ccds=(6, 7), detnam="ACIS-235678")
    process, *_, crop = stages(done)
    assert [facts["array"] for facts in process.observations.values()] == ["I", "S"]
    bundle = on_whole_grid(read_bundle(done.layout.bundle))
    assert [o.dataset for o in bundle.observations] == ["1", "22-FI", "22-BI"]
    for number in (0, 1, 2):
        ratio, error = net_counts(bundle, number, slice(None))
        assert ratio == pytest.approx(1.0, abs=3.5 * error + 0.05)  # vignetting apart


def test_subarray_with_a_blank_sky_file_of_whole_chips(single_done: Any, stages: Callable) -> None:
    plain = stages(single_done)[-1].observations["1"]
    path = single_done.layout.supplied_background("1")
    blank = read_events(path)
    beyond = replace(blank, y=blank.y + 512, chipy=(blank.chipy + 512).astype(np.int16))
    write_events(path, concatenate([blank, beyond]))
    facts = stages(single_done)[-1].observations["1"]
    assert facts["background_scale"] == pytest.approx(plain["background_scale"])
    assert facts["background_counts"] == plain["background_counts"]


def test_subarray_in_the_middle_of_the_chips(single_done: Any, stages: Callable) -> None:
    before = stages(single_done)[-1]

    def shift(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].data["chipy"] += 257
        hdus["EVENTS"].header["FIRSTROW"] = 258

    edit_events(single_done, "1", shift)
    single_done.rewrite(single_done.layout.supplied_background("1"), shift)
    after = stages(single_done)[-1]
    assert after.facts["live_pixels"] == pytest.approx(before.facts["live_pixels"], rel=0.005)
    assert after.facts["counts"] == pytest.approx(before.facts["counts"], rel=0.005)


def test_names_of_columns_in_capitals(single_done: Any) -> None:
    reference = process_data(single_done.config, single_done.layout).observations["1"]

    def shout(hdus: fits.HDUList) -> None:
        header = hdus["EVENTS"].header
        for n in range(1, header["TFIELDS"] + 1):
            header[f"TTYPE{n}"] = header[f"TTYPE{n}"].upper()

    edit_events(single_done, "1", shout)
    single_done.rewrite(single_done.layout.supplied_background("1"), shout)
    assert process_data(single_done.config, single_done.layout).observations["1"] == reference


def test_background_is_screened_as_the_observation_was(single: Any) -> None:
    path = single.layout.supplied_background("1")
    blank = read_events(path)
    flagged = np.arange(len(blank)) % 3 == 0
    write_events(path, replace(blank, status=np.where(flagged, 1 << 23, 0).astype(np.uint32)))
    faint = process_data(single.config, single.layout).observations["1"]
    assert faint["background_events"] == len(blank)

    def screened(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].header["DATAMODE"], hdus["EVENTS"].header["CHKVFPHA"] = "VFAINT", True

    edit_events(single, "1", screened)
    cleaned = process_data(single.config, single.layout).observations["1"]
    assert cleaned["datamode"] == "VFAINT"
    assert cleaned["background_events"] == int((~flagged).sum())


def test_a_chip_with_half_the_good_time_has_half_the_exposure(single_done: Any, stages: Callable) -> None:
    before = stages(single_done)
    images = {"whole": fits.getdata(single_done.layout.merged_exposure)}
    bundles = {"whole": read_bundle(single_done.layout.bundle)}
    raw = read_events(single_done.events("1"))
    gti = raw.gti | {0: np.array([[5e8, 5e8 + 20_000.0]])}
    inside = raw.in_good_time(gti)
    # an integer, and of the other chip; DTCOR tells the live share
    raw.header["EXPOSURE"], raw.header["DTCOR"] = 39_200, 0.98
    write_events(single_done.events("1"), replace(raw.select(inside), gti=gti))
    process, remove, _, crop = stages(single_done)
    images["half"] = fits.getdata(single_done.layout.merged_exposure)
    bundles["half"] = read_bundle(single_done.layout.bundle)

    assert process.observations["1"]["exposure_of_chip_s"] == pytest.approx({"0": 19_600, "1": 39_200})
    assert process.observations["1"]["exposure_s"] == pytest.approx(39_200)
    # before the flare of 6 ks is cut out of the first half, and afterwards
    left, right = (np.s_[:, side] for side in (slice(60, 240), slice(300, 480)))
    for side, expected in ((left, 0.5), (right, 1.0)):
        seen = images["whole"][side] > 0
        ratio = images["half"][side][seen] / images["whole"][side][seen]
        assert np.median(ratio) == pytest.approx(expected, rel=0.01)
    lost = before[1].observations["1"]["exposure_s"] - 39_200  # the same bins are cut
    cleaned = remove.observations["1"]["exposure_of_chip_s"]
    assert cleaned["1"] == pytest.approx(39_200 + lost, rel=0.01)
    assert cleaned["0"] == pytest.approx(19_600 + lost, rel=0.02)
    clean = read_events(single_done.layout.clean_events("1"))
    assert clean.header["EXPOSURE"] == clean.header["EXPOSUR1"] == pytest.approx(cleaned["1"])
    assert clean.header["EXPOSUR0"] == pytest.approx(cleaned["0"])

    whole, half = (bundles[name].observations[0] for name in ("whole", "half"))
    share = cleaned["0"] / cleaned["1"]
    assert share == pytest.approx(0.41, abs=0.02)
    assert crop.observations["1"]["exposure_s"] == half.exposure_s == pytest.approx(cleaned["1"])
    columns = {"left": slice(0, 95), "right": slice(105, 200)}
    for side, expected in (("left", share), ("right", 1.0)):
        both = (whole.mask & half.mask)[:, columns[side]] > 0
        assert both.mean() > 0.8
        relative = half.vignetting[1][:, columns[side]][both] / whole.vignetting[1][:, columns[side]][both]
        assert np.median(relative) == pytest.approx(expected, rel=1e-3)
        # counts per exposure and area, as a fit's norm: unbiased
        ratio, error = net_counts(bundles["half"], 0, columns[side])
        assert ratio / expected == pytest.approx(1.0, abs=3.5 * error / expected)
        assert error / expected < 0.06


def test_one_pointing_in_two_observations(done: Any, stages: Callable, observe: Callable) -> None:
    observe(done.layout, "22", (RA, DEC), 9)
    crop = stages(done)[-1]
    bundle = read_bundle(done.layout.bundle)
    first, second = bundle.observations
    # the dither, and so the edges, are measured
    assert np.mean(first.mask != second.mask) < 0.005
    rates = [facts["counts"] / facts["exposure_s"] for facts in crop.observations.values()]
    assert rates[0] == pytest.approx(rates[1], rel=0.03)
    assert bundle.counts.sum() == sum(facts["counts"] for facts in crop.observations.values())


def test_gain_of_another_calibration(single: Any) -> None:
    def with_gain(name: str) -> Callable[[fits.HDUList], None]:
        return lambda hdus: hdus["EVENTS"].header.set("GAINFILE", name)

    new, old = "acisD2000-01-29gain_ctiN0008.fits", "acisD2000-01-29gain_ctiN0006.fits"
    edit_events(single, "1", with_gain(new))
    single.rewrite(single.layout.supplied_background("1"), with_gain(f" {new} "))
    found = process_data(single.config, single.layout).observations["1"]["findings"]
    assert not any("GAINFILE" in finding for finding in found)
    single.rewrite(single.layout.supplied_background("1"), with_gain(old))
    found = process_data(single.config, single.layout).observations["1"]["findings"]
    (said,) = (finding for finding in found if "GAINFILE" in finding)
    assert f"1_background.fits: its energies have GAINFILE {old}, those of " in said
    assert new in said
