"""What a report finds: doubts, observations that disagree, the worst regions, what to cite."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from pyxt_hpc.bundle import read_bundle
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.layout import Layout
from pyxt_hpc.report.agreement import DatasetFit, disagreements
from pyxt_hpc.report.citations import citations
from pyxt_hpc.report.doubts import doubts_of_background, doubts_of_choices, doubts_of_fits, flag_shares
from pyxt_hpc.report.figures import field
from pyxt_hpc.report.figures.payload import PackedArrays
from pyxt_hpc.report.figures.pictures import PictureFile, page_pictures
from pyxt_hpc.report.figures.spectra import chosen_regions, spread_regions, worst_regions
from pyxt_hpc.report.tables import made_by_others
from pyxt_hpc.store.rows import ROW_DTYPE


def made_up(n: int, seed: int = 1) -> np.ndarray:
    """Rows of n good fits at random places."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(n, ROW_DTYPE)
    rows["region"] = np.arange(1, n + 1)
    rows["row"], rows["col"], rows["radius"] = rng.integers(0, 500, n), rng.integers(0, 500, n), 8.0
    rows["goodness"] = rng.normal(size=n)
    rows["counts"], rows["background_counts"] = 1000, 100.0
    return rows


def test_worst_regions_come_first_and_are_apart() -> None:
    rows = made_up(3000)
    rows["goodness"][70], rows["flags"][9] = 9.0, int(FitFlag.KT_HI_OPEN | FitFlag.TWO_MINIMA)
    rows["flags"][11] = int(FitFlag.KT_HI_OPEN)
    rows["flags"][12] = int(FitFlag.FEW_COUNTS)  # not doubtful
    worst = worst_regions(rows)
    assert worst[:3].tolist() == [9, 11, 70]
    assert 12 not in worst
    y, x = rows["row"][worst], rows["col"][worst]
    apart = np.hypot(y[:, None] - y, x[:, None] - x) + 99 * np.eye(10)
    assert len(worst) == 10
    assert apart.min() >= 8.0


def test_spectra_are_spread_and_hold_the_worst() -> None:
    rows = made_up(3000)
    chosen = chosen_regions(rows)
    assert set(worst_regions(rows).tolist()) <= set(chosen.tolist())
    assert 200 < len(chosen) <= 300
    spread = spread_regions(rows, 100)
    y, x = rows["row"].astype(float), rows["col"].astype(float)
    nearest = np.hypot(y[:, None] - y[spread], x[:, None] - x[spread]).min(axis=1)
    assert nearest.max() < 80  # 100 squares of 50 pixels
    assert spread_regions(rows[:50], 100).tolist() == list(range(50))


def test_an_observation_that_differs_is_named() -> None:
    same = [DatasetFit("1", 5.0, 0.05, 1.0, 0.01, 1.0), DatasetFit("2", 5.1, 0.05, 1.02, 0.01, 1.0)]
    assert not list(disagreements(same))
    hot = DatasetFit("3", 6.5, 0.06, 1.0, 0.01, 1.0)
    sentences = list(disagreements([*same, hot]))
    assert any(
        "Observation 3 disagrees" in sentence and "its kT is 6.5" in sentence for sentence in sentences
    )
    hidden = DatasetFit("4", np.nan, np.nan, np.nan, np.nan, 0.3)
    assert not list(disagreements([*same, hidden]))
    # as much as calibration differs, however small the errors
    assert not list(
        disagreements(
            [DatasetFit("1", 5.0, 1e-3, 1.0, 1e-3, 1.0), DatasetFit("2", 5.2, 1e-3, 1.05, 1e-3, 1.0)]
        )
    )


def test_too_much_background_is_seen_and_the_right_one_is_not(config: Path) -> None:
    bundle = read_bundle(Layout.of(read_config(config)).bundle)
    middle = 30.0
    assert not list(doubts_of_background(bundle, middle, middle))
    (doubt,) = doubts_of_background(replace(bundle, background=bundle.background * 8), middle, middle)
    assert doubt.grave
    assert "background exceeds the counts" in doubt.text


def test_scarce_background_of_many_observations_is_one_doubt(config: Path) -> None:
    bundle = read_bundle(Layout.of(read_config(config)).bundle)
    (one,) = bundle.observations[:1]
    few = one.background_channel[:300]
    many = tuple(replace(one, dataset=str(n), background_channel=few[: 200 + n]) for n in range(50))
    (doubt,) = doubts_of_background(replace(bundle, observations=(*many, one)), 30.0, 30.0)
    assert doubt.text.startswith("Observation 0 has only 200 background events; likewise,")
    assert doubt.text.endswith(" 48, 49. Their noise matters in the outskirts.")


def test_outlines_on_a_large_field_take_few_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reader:
        frames: Mapping[str, Any] = {}

        @classmethod
        def of(cls, *_: object) -> "Reader":
            return cls()

        def read(self, path: Path) -> Path:
            return path

    points: list[int] = []

    def contains(region: Path, wcs: None, x: np.ndarray, y: np.ndarray, frames: object) -> np.ndarray:
        points.append(x.size)
        return np.hypot(x - 31.0, y - 21.0) < 9.5

    monkeypatch.setattr(field, "RegionReader", Reader)
    monkeypatch.setattr(field, "contains_pixels", contains)
    layout = Layout(tmp_path, "A")
    layout.sources_reg.write_text("")
    cluster = SimpleNamespace(observation_ids=("1",))
    for n, a_pixel in ((100, 4.0), (1300, 1.0)):
        (drawn,), problems = field._drawn(cluster, layout, (n, n), None)  # type: ignore[arg-type]
        assert not problems
        assert points[-1] == pytest.approx(a_pixel * n**2, rel=0.05)
        x, y = np.reshape(drawn["lines"][0], (-1, 2)).T
        np.testing.assert_allclose(np.hypot(x - 30.0, y - 20.0), 9.5, atol=0.8)


def test_choices_of_clusterpyxt_are_explained(config: Path) -> None:
    bundle = read_bundle(Layout.of(read_config(config)).bundle)
    ours = {"software": "pyxt_hpc 0.1", "statistic": "wstat", "nH": bundle.nH}
    assert not list(doubts_of_choices(ours, bundle, "net"))
    theirs = {"software": "ClusterPyXT", "statistic": "chi2gehrels", "nH": 5e-24}
    taken, statistic, circles = doubts_of_choices(theirs, bundle, "counts")
    assert "nH = 5e-24 instead of" in taken.text
    assert statistic.grave
    assert not circles.grave
    same = ours | {"software": "ClusterPyXT"}
    assert "instead of" not in next(doubts_of_choices(same, bundle, "net")).text


@pytest.mark.parametrize(
    ("meta", "remark"),
    [
        ({"bundle": "b", "results": "r", "kpc_per_arcsec": 1.8443}, ""),
        ({"bundle": "b"}, ""),  # a profile is not made of the fits
        ({"bundle": "b", "results": "of before"}, "Made from other results than the maps"),
        (
            {"bundle": "of before", "kpc_per_arcsec": 2.58},
            "Made from other bundle and cosmology than the maps",
        ),
        ({}, "Written by an earlier version, which did not note its inputs"),
    ],
)
def test_old_tables_are_told(config: Path, tmp_path: Path, meta: dict[str, object], remark: str) -> None:
    layout = Layout(tmp_path, "A")
    layout.main_output.mkdir(parents=True)
    now = {"bundle": "b", "results": "r", "kpc_per_arcsec": 1.8443}
    for path in (layout.mass_table(""), layout.profile_shells(""), layout.shock_table):
        Table({"kT": [5.0]}, meta=meta).write(path, format="ascii.ecsv")
    made = list(made_by_others(layout, now))
    assert [one.command for one in made] == ["profile-analysis", "mass-estimation", "find-shocks"]
    for one in made:
        assert one.remark == (f"{remark}: run pyxt-hpc {one.command} again." if remark else "")


def test_a_damaged_picture_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG no more")
    assert page_pictures([PictureFile(path, "a", "a")]) == {}
    assert f"{path}: left out of the report" in caplog.text


def test_alarming_fits_are_grave() -> None:
    rows = made_up(1000)
    assert not list(doubts_of_fits(rows))
    rows["flags"][:30] = int(FitFlag.POOR_FIT)
    rows["goodness"] += 2.0
    titles = [doubt.title for doubt in doubts_of_fits(rows)]
    assert titles == ["Too many doubtful fits", "Goodness is shifted"]
    (share,) = flag_shares(rows["flags"])
    assert (share.name, share.number, share.doubtful) == ("POOR_FIT", 30, True)


@pytest.mark.parametrize("used", [True, False])
def test_bibtex_is_whole(used: bool) -> None:
    found = list(citations(sherpa=used, ciao=used, mass=used))
    keys = [one.key for one in found]
    assert len(set(keys)) == len(keys)
    assert ("Freeman2001" in keys) == used
    for one in found:
        kind, key = re.match(r"@(\w+)\{(\w+),", one.entry).groups()  # type: ignore[union-attr]
        assert key == one.key
        assert kind in ("article", "inproceedings")
        depth = 0
        for mark in one.entry:
            depth += {"{": 1, "}": -1}.get(mark, 0)
            assert depth >= 0
        assert depth == 0
        assert {"author", "title", "year", "doi"} <= set(
            re.findall(r"^\s+(\w+)\s*=", one.entry, re.MULTILINE)
        )


def test_payload_knows_what_it_has() -> None:
    payload = PackedArrays()
    values = np.array([1.0, np.nan, -2.5e-9, 3.14159265])
    assert payload.add("a", values) == "a"
    assert payload.add("b", values.astype(np.float32)) == "a"
    assert payload.add("c", np.arange(4, dtype=np.int32)) == "c"
    assert [entry["name"] for entry in payload.entries] == ["a", "c"]
