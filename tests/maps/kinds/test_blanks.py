"""Every blank pixel of a map of fits has its reason in the map of the flags."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.maps.kinds.blanks import Blank, flag_cards, flag_image, is_blank, names_of
from pyxt_hpc.maps.make import make_maps
from pyxt_hpc.store.rows import Status

SHAPE = (60, 66)


@pytest.fixture
def patchy(fitted):
    """Regions with every kind of blank, and the reasons that are expected of some pixels."""
    regions = fitted(np.full(SHAPE, 5.0), np.full(SHAPE, 1e-6))
    mask = regions.bundle.mask.copy()
    mask[:, :6] = 0  # beyond the chips
    mask[30:34, 30:34] = 0  # a source
    mask[:, 60:] = 1
    radius = regions.radius.copy()
    radius[mask == 0] = 0
    radius[50:, 6:] = 0  # too faint
    rows = regions.rows
    rows = rows[radius[rows["row"], rows["col"]] > 0]
    status = np.full(len(rows), Status.DONE, np.uint8)
    status[(rows["row"] < 12) & (rows["col"] > 40)] = Status.PENDING
    status[(rows["row"] < 12) & (rows["col"] > 50)] = Status.BAD
    status[(rows["row"] > 40) & (rows["col"] > 50)] = Status.QUARANTINED
    rows["flags"][status == Status.BAD] = int(FitFlag.FAILED)
    rows["flags"][(rows["col"] < 15)] = int(FitFlag.FEW_COUNTS)
    done = status == Status.DONE
    return replace(
        regions,
        bundle=replace(regions.bundle, mask=mask),
        radius=radius,
        rows=rows[done],
        left_out=rows[~done],
        left_out_status=status[~done],
    )


def test_reasons_are_those_that_hold(patchy) -> None:
    image = flag_image(patchy).astype(int)
    assert (image[:, :6] == Blank.OUTSIDE).all()
    assert (image[30:34, 30:34] == Blank.HOLE).all()
    assert (image[50:, 6:] == Blank.NO_REGION).all()
    assert image[3, 45] == Blank.NOT_FITTED
    assert image[3, 60] == Blank.GIVEN_UP | FitFlag.FAILED
    assert image[45, 60] == Blank.QUARANTINED
    assert image[20, 10] == FitFlag.FEW_COUNTS
    assert image[20, 25] == 0


def test_no_blank_is_without_a_reason(patchy) -> None:
    made = {product.name: product for product in make_maps(patchy, ["kT", "flags"])}
    blank = np.isnan(made["temperature"].values)
    with fits.open(made["flags"].path, do_not_scale_image_data=True) as hdus:
        flags = hdus[0].data
    assert 0.1 < blank.mean() < 0.9
    assert (flags >= 0).all()  # none is BLANK
    assert np.array_equal(np.vectorize(is_blank)(flags), blank)
    header = fits.getheader(made["flags"].path)
    for bit in (*FitFlag, *Blank):
        assert header[f"FLAG{int(bit).bit_length() - 1}"].startswith(f"{bit.name}: ")


def test_bins_have_reasons_too(patchy) -> None:
    labels = np.where(patchy.radius > 0, 1 + (np.arange(SHAPE[0]) // 20)[:, None] * np.ones(SHAPE, int), 0)
    labels = np.where(patchy.bundle.mask > 0, labels, 0).astype(np.int32)
    rows = patchy.rows[:1].copy()
    rows["region"], rows["flags"] = 1, 0
    left_out = rows.copy()
    left_out["region"], left_out["flags"] = 2, int(FitFlag.NO_COUNTS)
    binned = replace(
        patchy, labels=labels, rows=rows, left_out=left_out, left_out_status=np.array([Status.BAD])
    )
    image = flag_image(binned).astype(int)
    assert set(np.unique(image[labels == 1])) == {0}
    assert set(np.unique(image[labels == 2])) == {int(Blank.GIVEN_UP | FitFlag.NO_COUNTS)}
    assert set(np.unique(image[labels == 3])) == {int(Blank.NOT_FITTED)}
    assert set(np.unique(image[(labels == 0) & (patchy.bundle.mask > 0)])) == {int(Blank.NO_REGION)}


def test_words_of_values() -> None:
    assert names_of(0) == "no remark"
    assert names_of(int(FitFlag.KT_HI_OPEN | FitFlag.FEW_COUNTS)) == "KT_HI_OPEN, FEW_COUNTS"
    assert names_of(int(Blank.GIVEN_UP) | int(FitFlag.FAILED)) == "fit failed, FAILED"
    assert "source" in names_of(int(Blank.HOLE))
    assert not set(map(int, Blank)) & set(map(int, FitFlag))
    assert all(len(key) <= 8 for key in flag_cards())
