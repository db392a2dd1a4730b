"""The page as a file: whole, small, escaped, asking no network, with the numbers of the results store."""

import base64
import hashlib
import html
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.layout import Layout
from pyxt_hpc.maps.fitted import read_fitted_regions
from pyxt_hpc.maps.kinds.blanks import MEANINGS, Blank
from pyxt_hpc.report import page as page_module
from pyxt_hpc.report.figures.grid import DEAD, REASONS, page_grid
from pyxt_hpc.report.page import MAX_BYTES, write_report
from pyxt_hpc.store.reader import read_store


def element(page: Path, name: str) -> str:
    """Content of the script element of that id."""
    found = re.search(rf'<script [^>]*id="{name}">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return found[1]


def unpacked(page: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Data of a page and its arrays, taken apart as its JavaScript does."""
    data = json.loads(element(page, "data"))
    content, arrays, at = zlib.decompress(base64.b64decode(element(page, "payload"))), {}, 0
    for entry in data["arrays"]:
        kind = np.dtype(entry["kind"])
        n = entry["length"] * kind.itemsize
        planes = np.frombuffer(content[at : at + n], np.uint8).reshape(kind.itemsize, entry["length"])
        values = np.ascontiguousarray(planes.T).view(kind).ravel()
        arrays[entry["name"]] = np.cumsum(values, dtype=kind) if entry["differences"] else values
        at += n
    assert at == len(content)
    return data, arrays


def test_page_is_one_small_file_without_network(page: Path) -> None:
    text = page.read_text()
    assert len(text.encode()) < MAX_BYTES
    assert not re.findall(r"(?:src|href|action|data|url)\s*[=(]\s*[\"']?\s*(?:https?:|//|file:)", text)
    assert not re.findall(
        r"@import|<link|<iframe|<object|<embed|\bfetch\(|XMLHttpRequest|WebSocket|importScripts", text
    )
    assert "default-src 'none'" in text


def test_only_our_script_may_run(page: Path) -> None:
    text = page.read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text


def test_text_of_headers_is_escaped(page: Path, hostile_text: str) -> None:
    text = page.read_text()
    assert hostile_text not in text
    assert "<img src=x" not in text
    assert text.count(html.escape(hostile_text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")) == 2


def test_numbers_are_those_of_the_store(page: Path, config: Path) -> None:
    data, arrays = unpacked(page)
    regions = read_fitted_regions(read_config(config))
    rows = regions.rows
    assert data["n_regions"] == len(rows)
    for name in ("region", "row", "col", "flags", "kT", "kT_lo", "norm", "goodness", "counts"):
        np.testing.assert_allclose(arrays[data["columns"][name]], rows[name], rtol=1e-5, err_msg=name)
    labels = arrays[data["grid"]["labels"]].reshape(data["grid"]["shape"])
    top, left = data["grid"]["row"], data["grid"]["col"]
    painted = regions.paint(rows["kT"])[top : top + labels.shape[0], left : left + labels.shape[1]]
    np.testing.assert_array_equal(labels > 0, np.isfinite(painted))
    kT = arrays[next(m["column"] for m in data["maps"] if m["name"] == "temperature")]
    np.testing.assert_allclose(kT[labels[labels > 0] - 1], painted[labels > 0], rtol=1e-5)


def test_maps_have_colours_and_errors(page: Path) -> None:
    data, arrays = unpacked(page)
    maps = {one["name"]: one for one in data["maps"]}
    assert {"temperature", "density", "entropy", "goodness", "flags", "surface_brightness", "scale"} <= set(
        maps
    )
    assert set(maps["temperature"]["errors"]) == {"plus", "minus"}
    for one in maps.values():
        assert len(one["colours"]["edges"]) == 257
        assert len(data["colours"][one["colours"]["map"]]) == 256
        assert bool(one["column"]) != bool(one["image"])
        if one["column"]:
            assert len(arrays[one["column"]]) == data["n_regions"]


def test_spectra_are_those_of_the_worst_and_of_others(page: Path) -> None:
    data, arrays = unpacked(page)
    spectra = data["spectra"]
    own = arrays[spectra["region"]]
    assert 10 <= len(own) <= 300
    assert len(set(own.tolist())) == len(own)
    first, last = arrays[spectra["first_bin"]][:-1], arrays[spectra["first_bin"]][1:]
    assert (last > first).all()
    assert len(arrays[spectra["bins"]["total"]]) == last[-1]
    # counts that models and points have in the band are those of the region
    width = arrays[spectra["bins"]["high"]] - arrays[spectra["bins"]["low"]]
    model = np.add.reduceat(arrays[spectra["bins"]["total"]] * width, first)
    at = arrays[spectra["first_point"]][:-1]
    seen = np.add.reduceat(
        arrays[spectra["points"]["rate"]] * 2 * arrays[spectra["points"]["half_width"]], at
    )
    exposure = 3e4
    counts = arrays[data["columns"]["counts"]][own]
    np.testing.assert_allclose(seen * exposure, counts, rtol=1e-3)
    assert np.abs((model * exposure - counts) / np.sqrt(counts)).max() < 4


def test_every_pixel_has_a_region_or_a_reason(config: Path) -> None:
    regions = read_fitted_regions(read_config(config))
    grid = page_grid(regions, 60_000)
    assert grid.step == 1
    assert (grid.labels != 0).all()
    dead = grid.cut(regions.bundle.mask) == 0
    assert set(grid.labels[dead].tolist()) == DEAD
    hole = np.zeros(regions.bundle.mask.shape, bool)
    hole[40:44, 40:44] = True
    assert {REASONS[code] for code in grid.labels[grid.cut(hole)].tolist()} == {MEANINGS[Blank.HOLE]}
    live = grid.cut(regions.bundle.mask) > 0
    without = grid.cut(regions.radius) == 0
    assert {REASONS[code] for code in grid.labels[live & without].tolist()} <= {MEANINGS[Blank.NO_REGION]}


def test_too_many_regions_are_thinned(config: Path) -> None:
    regions = read_fitted_regions(read_config(config))
    grid = page_grid(regions, 40)
    assert grid.step > 1
    assert 10 < len(grid.regions) <= 40
    painted = regions.paint(regions.rows["kT"])
    seen = grid.labels > 0
    kT = regions.rows["kT"][grid.regions[grid.labels[seen] - 1]]
    np.testing.assert_array_equal(grid.cut(painted)[seen], kT.astype(np.float32))
    np.testing.assert_array_equal(
        painted.ravel()[grid.at], regions.rows["kT"][grid.regions].astype(np.float32)
    )


def test_a_page_that_is_too_large_has_fewer_regions(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "MAX_REGIONS", (10_000, 40))
    whole = write_report(read_config(config), tmp_path / "whole.html")
    monkeypatch.setattr(page_module, "MAX_BYTES", whole.size - 1)
    made = write_report(read_config(config), tmp_path / "small.html")
    assert made.regions <= 40 < whole.regions == whole.of_regions
    assert re.search(r"This page shows every \d+th pixel", made.path.read_text())


def test_what_was_done_is_told(page: Path, config: Path) -> None:
    text = page.read_text()
    for words in ("34.0", "30.0", "11.8%", "ACIS-I 0123", "pyxt-hpc fit-spectra -c A1795_cluster_config.ini"):
        assert words in text, words
    assert read_store(Layout.of(read_config(config)).results).fingerprint in text
    assert "@article{Alden2019" in text
    assert "10.1016/j.ascom.2019.04.001" in text
    assert "Freeman2001" not in text
    assert "Fruscione2006" not in text


def test_a_changed_configuration_is_said(config: Path, tmp_path: Path) -> None:
    changed = config.with_name("changed.ini")  # of the same folder: the same cluster
    changed.write_text(config.read_text() + "[spectral]\nstatistic = cstat\n")
    made = write_report(read_config(changed), tmp_path / "changed.html")
    text = made.path.read_text()
    assert "Configuration changed since the fits" in text
    assert "statistic was wstat, is now cstat" in text


def test_another_file_is_not_replaced(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    assert main(["report", "-c", str(config), "--output", str(path)]) == 2
    assert path.read_text() == "mine"
    assert "is not an HTML page" in capsys.readouterr().err


def test_without_fits_the_command_is_named(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / config.name
    path.write_text(config.read_text())
    assert main(["report", "-c", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pyxt-hpc" in said


def test_bins_have_a_report_too(config: Path, tmp_path: Path) -> None:
    own = tmp_path / config.name
    own.write_text(
        config.read_text() + "[binning]\nmethod = grid\ngrid_side = 8\n[spectral]\nstatistic = cstat\n"
    )
    bundle, copied = (Layout.of(read_config(path)).bundle for path in (config, own))
    copied.parent.mkdir(parents=True)
    shutil.copy(bundle, copied)
    for command in ("create-bins", "fit-spectra"):
        assert main([command, "-c", str(own), "--num-cpus", "1"]) == 0
    made = write_report(read_config(own))
    data, arrays = unpacked(made.path)
    regions = read_fitted_regions(read_config(own))
    assert regions.labels is not None
    assert data["shape"] == "bin"
    labels = arrays[data["grid"]["labels"]].reshape(data["grid"]["shape"])
    top, left = data["grid"]["row"], data["grid"]["col"]
    drawn = regions.labels[top : top + labels.shape[0], left : left + labels.shape[1]]
    fitted = labels > 0
    np.testing.assert_array_equal(regions.rows["region"][labels[fitted] - 1], drawn[fitted])
    assert fitted.sum() > 2000
    assert len(arrays[data["spectra"]["region"]]) == min(len(regions.rows), 300)
