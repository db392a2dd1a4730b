"""What stages found, in words."""

from pathlib import Path

import numpy as np

from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.pipeline.summaries import (
    aligned_columns,
    binning_lines,
    exposures,
    fit_lines,
    map_lines,
    preprocessing_lines,
)
from pyxt_hpc.spectra.fit import FIT_DTYPE
from pyxt_hpc.stages.bins.scale_map import BinningSummary
from pyxt_hpc.steps import StageResult


def test_columns_are_as_wide_as_their_longest_text() -> None:
    assert list(aligned_columns(("a", "long"), [("123", "x")])) == ["  a  long", "123     x"]


def test_fits_show_what_was_free_and_which_sides_are_open() -> None:
    rows = np.zeros(2, FIT_DTYPE)
    rows["kT"], rows["kT_lo"], rows["kT_hi"] = 5.0, 4.5, [5.25, np.nan]
    rows["norm"], rows["norm_lo"], rows["norm_hi"] = 1e-3, 9e-4, 1.2e-3
    for frozen in ("abundance", "nH"):
        rows[f"{frozen}_lo"] = rows[f"{frozen}_hi"] = np.nan
    rows["flags"][1] = FitFlag.KT_HI_OPEN
    head, first, second = fit_lines(["1", "2"], rows)
    assert head.split() == ["region", "kT", "[keV]", "norm", "[1e14", "cm^-5]", "statistic", "dof", "flags"]
    assert first.split()[:7] == ["1", "5.00", "-0.50", "+0.25", "0.00100", "-0.00010", "+0.00020"]
    assert first.endswith("-")
    assert second.split()[:4] == ["2", "5.00", "-0.50", "open"]
    assert second.endswith("KT_HI_OPEN")
    rows["abundance"], rows["abundance_lo"] = 0.3, 0.1
    assert "abundance" in next(fit_lines(["1", "2"], rows))


def test_exposure_of_chips_that_differ() -> None:
    for times, text in (({"0": 1e4, "1": 9.95e3}, "10.0"), ({"0": 1e4, "1": 3e3, "2": 0.0}, "0.0 to 10.0")):
        assert exposures({"exposure_of_chip_s": times}) == text


def test_a_stage_that_did_nothing_says_so() -> None:
    facts = {"chips": [5, 7], "off_axis_arcmin": 2.96, "place": "by its header"}
    facts |= {"area_cm2": 612.34, "area_of": "CIAO", "channels": 1024, "energies": 1070}
    said = {"files": ["a.reg: kept"], "left_out": {"4001-FI": "CCD 6: no response"}}
    outcome = StageResult(made=False, observations={"4001-BI": facts}, facts=said)
    *_, row, files, left_out, last = preprocessing_lines("generate-responses", outcome)
    assert " ".join(row.split()) == "4001-BI 57 3.0' off axis (by its header) 612.3 CIAO 1024 1070"
    assert (files, left_out) == ("a.reg: kept", "warning: left out: CCD 6: no response")
    assert last == "generate-responses: up to date (--force does it again)"


def test_many_observations_with_the_same_problem_are_one_line() -> None:
    observations = {str(n): {"findings": [f"acis{n}.fits: {n / 7:.2f} times the counts"]} for n in range(60)}
    lines = list(preprocessing_lines("propose-regions", StageResult(True, observations, {})))
    assert len(lines) == 1
    assert lines[0].startswith("warning: ObsID 0: acis0.fits: 0.00 times the counts; likewise")
    assert lines[0].endswith(" 58, 59")


def test_pixels_without_a_circle_are_counted_and_many_of_them_are_a_warning() -> None:
    for circles, share, warned in ((900, "10.0%", False), (400, "60.0%", True)):
        summary = BinningSummary(1000, circles, {2: circles // 9}, 12.0, 0.1)
        lines = list(binning_lines(summary, 40.0, 2))
        assert any(line.startswith(f"{share} of the live pixels have no circle") for line in lines)
        assert any(line.startswith("warning: ") for line in lines) == warned


def test_maps_of_errors_are_on_the_line_of_their_map() -> None:
    names = {
        "a_kT_map": "Temperature", "a_kT_error_plus_map": "", "a_kT_fractional_error_map": "",
        "a_kT_average_map": "Mean", "a_kT_error_average_map": "",
        "a_b_error_map": "Error alone", "a_counts_map": "S/N",
    }  # fmt: skip
    products = [MapProduct(Path(f"{name}.fits"), title, "keV", np.zeros(1)) for name, title in names.items()]
    assert list(map_lines((product, [Path("a.png"), Path("a.reg")]) for product in products)) == [
        "a_kT_map.fits, .png, .reg: Temperature [keV]; also error_plus, fractional_error",
        "a_kT_average_map.fits, .png, .reg: Mean [keV]; also error",
        "a_b_error_map.fits, .png, .reg: Error alone [keV]",
        "a_counts_map.fits, .png, .reg: S/N [keV]",
    ]
