"""The page in a real browser: drawn without an error or a request, every control does what it says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from browser import Browser

from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.maps.fitted import FittedRegions, read_fitted_regions


@pytest.fixture(scope="module")
def regions(config: Path) -> FittedRegions:
    return read_fitted_regions(read_config(config))


def is_quiet(browser: Browser) -> None:
    """No error was said, and nothing was asked of a network."""
    assert browser.console == []
    assert all(url.startswith(("file:", "data:")) for url in browser.requests)


def place_of(browser: Browser, row: float, col: float, canvas: str = "#map-kT") -> tuple[float, float]:
    """Where a pixel of the image is in the window."""
    left, top, width, height = browser.place(canvas)
    grid = json.loads(browser.value("document.getElementById('data').textContent"))["grid"]
    m, n = (size * grid["step"] for size in grid["shape"])
    return left + (col - grid["col"] + 0.5) / n * width, top + height - (row - grid["row"] + 0.5) / m * height


def numbers(browser: Browser) -> dict[str, float]:
    """What the panel says, by column."""
    text = browser.value(
        "JSON.stringify([...document.querySelectorAll('#numbers [data-column]')]"
        ".map((e) => [e.dataset.column, e.dataset.value]))"
    )
    return {name: float(value) for name, value in json.loads(text)}


def said(browser: Browser, name: str = "said") -> str:
    return str(browser.value(f"document.getElementById('{name}').textContent"))


def choose(browser: Browser, name: str, value: object) -> None:
    """Set a control and tell the page."""
    browser.value(
        f"(() => {{ const e = document.getElementById('{name}');"
        f"if (e.type === 'checkbox') e.checked = {json.dumps(value)};"
        f"else e.value = {json.dumps(str(value))};"
        "for (const kind of ['input', 'change']) e.dispatchEvent(new Event(kind, {bubbles: true})); })()"
    )


def colour_at(browser: Browser, row: float, col: float) -> list[int]:
    """Red, green and blue of the map of kT at a pixel of the image."""
    x, y = place_of(browser, row, col)
    return list(
        browser.value(
            "(() => { const c = document.getElementById('map-kT'), b = c.getBoundingClientRect();"
            "const k = c.width / b.width;"
            "const one = document.createElement('canvas').getContext('2d', {willReadFrequently: true});"
            f"one.drawImage(c, -Math.floor(({x} - b.left) * k), -Math.floor(({y} - b.top) * k));"
            "return [...one.getImageData(0, 0, 1, 1).data].slice(0, 3); })()"
        )
    )


def test_page_opens_quietly(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.value("document.getElementById('failure').hidden")
    assert browser.value("document.title") == "A1795: temperature map"
    assert "<script>" in browser.value("document.querySelector('#observations').textContent")
    is_quiet(browser)


def test_pointer_tells_the_numbers_of_the_store(browser: Browser, page: Path, regions: FittedRegions) -> None:
    browser.open(page)
    for i in (len(regions.rows) // 3, len(regions.rows) // 2):
        row = regions.rows[i]
        browser.move(*place_of(browser, row["row"], row["col"]))
        shown = numbers(browser)
        assert shown["region"] == row["region"]
        for name in ("kT", "norm", "goodness", "statistic", "exposure"):
            assert shown[name] == pytest.approx(row[name], rel=1e-5), name
        assert shown["fraction"] == pytest.approx(0.5 * (row["kT_hi"] - row["kT_lo"]) / row["kT"], rel=1e-4)
        words = said(browser)
        value, plus, minus = (float(v) for v in re.findall(r"[\d.]+", words.split("kT")[1])[:3])
        last = 10.0 ** -len(re.findall(r"kT \d+\.?(\d*)", words)[0])
        assert abs(value - row["kT"]) <= 0.51 * last
        assert abs(plus - (row["kT_hi"] - row["kT"])) <= 0.51 * last
        assert abs(minus - (row["kT"] - row["kT_lo"])) <= 0.51 * last
        at = regions.bundle.wcs.pixel_to_world(row["col"], row["row"])
        text = browser.value("document.querySelectorAll('#numbers td')[1].textContent").replace("\u2212", "-")
        assert SkyCoord(text, unit=("hourangle", "deg")).separation(at).arcsec < 0.1
    is_quiet(browser)


def test_a_blank_has_its_reason(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.move(*place_of(browser, 42, 42))
    assert "Blank at" in said(browser)
    assert "a hole in the field" in said(browser)


def test_click_holds_and_escape_releases(browser: Browser, page: Path, regions: FittedRegions) -> None:
    browser.open(page)
    first, other = regions.rows[len(regions.rows) // 3], regions.rows[len(regions.rows) // 2]
    browser.click(*place_of(browser, first["row"], first["col"]))
    browser.move(*place_of(browser, other["row"], other["col"]))
    assert numbers(browser)["region"] == first["region"]
    assert "held" in said(browser)
    browser.key("Escape")
    browser.move(*place_of(browser, other["row"] - 1, other["col"]))
    browser.move(*place_of(browser, other["row"], other["col"]))
    assert numbers(browser)["region"] == other["region"]


def test_slider_masks_what_it_says(browser: Browser, page: Path, regions: FittedRegions) -> None:
    browser.open(page)
    rows = regions.rows
    error = 0.5 * (rows["kT_hi"] - rows["kT_lo"]) / rows["kT"]
    order = np.argsort(np.nan_to_num(error, nan=np.inf))
    good, bad = rows[order[3]], rows[order[-3]]
    here, there = ((row["row"], row["col"]) for row in (good, bad))
    before = colour_at(browser, *here), colour_at(browser, *there)
    choose(browser, "mask-by", "error")
    assert said(browser, "mask-said") == "no region is masked"
    choose(browser, "mask-level", 500)
    browser.wait("document.getElementById('mask-said').textContent.includes('masked') && "
                 "!document.getElementById('mask-said').textContent.startsWith('no')")  # fmt: skip
    number = int(re.findall(r"\((\d+)\)", said(browser, "mask-said"))[0])
    assert number == pytest.approx(len(rows) / 2, abs=0.02 * len(rows) + 2)
    assert colour_at(browser, *here) == before[0]
    assert colour_at(browser, *there) == [0xF4, 0xF4, 0xF4] != before[1]
    for by, beyond in (
        (
            "sn",
            lambda: (
                (rows["counts"] - rows["background_counts"])
                / np.sqrt(rows["counts"] + rows["background_counts"])
            ),
        ),
        ("goodness", lambda: rows["goodness"]),
    ):
        choose(browser, "mask-by", by)
        choose(browser, "mask-level", 300)
        browser.wait("!document.getElementById('mask-said').textContent.startsWith('no')")
        words = said(browser, "mask-said").replace("\u2212", "-")
        limit = float(re.findall(r"(?:below|above) (-?[\d.]+)", words)[0])
        values = beyond()
        expected = np.sum(values < limit) if by == "sn" else np.sum(values > limit)
        assert int(re.findall(r"\((\d+)\)", words)[0]) == pytest.approx(expected, abs=0.02 * len(rows) + 2)
    choose(browser, "mask-by", "none")
    assert colour_at(browser, *there) == before[1]
    is_quiet(browser)


def test_a_flag_is_shown_on_the_map(browser: Browser, page: Path, regions: FittedRegions) -> None:
    browser.open(page)
    seen = browser.value("[...document.querySelectorAll('.show-flag')].map((b) => Number(b.dataset.bit))")
    every = set()
    for word in regions.rows["flags"].tolist():
        every |= {bit for bit in (1 << k for k in range(20)) if word & bit}
    assert seen
    assert set(seen) == every
    for bit in seen:
        browser.value(f"document.querySelector('.show-flag[data-bit=\"{bit}\"]').click()")
        number = int(re.findall(r"\((\d+)\)", said(browser, "mask-said"))[0])
        assert number == np.sum((regions.rows["flags"] & bit) != 0)


def test_places_are_found(browser: Browser, page: Path, regions: FittedRegions) -> None:
    browser.open(page)
    row = regions.rows[len(regions.rows) // 3]
    at = regions.bundle.wcs.pixel_to_world(row["col"], row["row"])
    for text in (
        f"{at.ra.deg:.6f} {at.dec.deg:+.6f}",
        at.to_string("hmsdms", sep=":", precision=3),
        at.to_string("hmsdms", precision=3),
        str(row["region"]),
    ):
        browser.value("document.getElementById('numbers').tBodies[0].replaceChildren()")
        choose(browser, "find", text)
        browser.value("document.querySelector('#controls button[type=submit]').click()")
        assert numbers(browser)["region"] == row["region"], text
    for text, words in (
        ("nonsense", "expected RA Dec"),
        ("10 -80", "outside of the map"),
        ("99999999", "is not on this page"),
    ):
        choose(browser, "find", text)
        browser.value("document.querySelector('#controls button[type=submit]').click()")
        assert words in said(browser, "find-said")
    is_quiet(browser)


def test_keyboard_moves_over_the_map(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.value("document.getElementById('map-kT').focus()")
    before = numbers(browser)["region"]
    for _ in range(3):
        browser.key("ArrowRight")
    after = numbers(browser)["region"]
    assert after != before
    browser.key("Enter")
    assert "held" in said(browser)
    assert browser.value("document.activeElement.id") == "map-kT"


def test_every_map_opens_large(browser: Browser, page: Path, regions: FittedRegions) -> None:
    browser.open(page)
    names = browser.value("[...document.querySelectorAll('#gallery button')].map((b) => b.dataset.map)")
    assert len(names) > 10
    row = regions.rows[len(regions.rows) // 3]
    for name in names:
        browser.value(f"document.querySelector('#gallery button[data-map={name}]').click()")
        assert browser.value("document.getElementById('large').open"), name
        browser.move(*place_of(browser, row["row"], row["col"], "#map-large"))
        if name == "temperature":
            words = said(browser, "large-said")
            assert f"region {row['region']}" in words
            shown = float(re.search(r": ([\d.]+) \+", words)[1])  # type: ignore[index]
            assert shown == pytest.approx(row["kT"], rel=0.02)
        browser.key("Escape")
        assert not browser.value("document.getElementById('large').open"), name
    is_quiet(browser)


def test_every_button_and_control_works(browser: Browser, page: Path) -> None:
    browser.open(page)
    count = browser.value("document.querySelectorAll('main button').length")
    for k in range(count):
        browser.value(f"document.querySelectorAll('main button')[{k}].click()")
        if browser.value("document.getElementById('large').open"):
            title = said(browser, "large-title")
            browser.value("document.getElementById('large-next').click()")
            browser.value("document.getElementById('large-previous').click()")
            assert said(browser, "large-title") == title
            browser.value("document.getElementById('large-close').click()")
            assert not browser.value("document.getElementById('large').open")
    for name in ("mask-by", "mask-flag", "error-as", "radial-of"):
        for value in browser.value(f"[...document.getElementById('{name}').options].map((o) => o.value)"):
            choose(browser, name, value)
    for name, value in (
        ("scale-log", True), ("scale-one", True), ("scale-one", False), ("scale-low", -1), ("scale-high", ""),
        ("scale-low", 2),
        ("scale-high", 9),
    ):  # fmt: skip
        choose(browser, name, value)
    for level in (0, 1, 999, 1000):
        choose(browser, "mask-level", level)
    is_quiet(browser)


def test_scales_of_both_maps(browser: Browser, page: Path, regions: FittedRegions) -> None:
    browser.open(page)
    row = regions.rows[len(regions.rows) // 2]
    at = row["row"], row["col"]
    before = colour_at(browser, *at)
    choose(browser, "scale-low", float(row["kT"]) * 0.999)
    choose(browser, "scale-high", float(row["kT"]) * 100)
    assert colour_at(browser, *at) != before
    choose(browser, "scale-one", True)
    assert browser.value("document.getElementById('scale-low').disabled")
    browser.value("document.getElementById('scale-reset').click()")
    assert colour_at(browser, *at) == before


def test_bibtex_is_copied(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.value("document.querySelector('.copy').click()")
    browser.wait("document.getElementById('copied').textContent")
    assert said(browser, "copied") in ("copied", "selected: press Ctrl+C")


def test_page_fits_a_phone(browser: Browser, page: Path, regions: FittedRegions) -> None:
    browser.size(390, 844, mobile=True)
    browser.open(page)
    assert browser.value("document.documentElement.scrollWidth") <= 390
    row = regions.rows[len(regions.rows) // 3]
    browser.tap(*place_of(browser, row["row"], row["col"]))
    browser.wait("document.getElementById('said').textContent.includes('held')")
    assert numbers(browser)["region"] == row["region"]
    is_quiet(browser)


def test_page_prints_whole(browser: Browser, page: Path) -> None:
    browser.open(page)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4
    assert not browser.value("document.querySelector('details').open")  # as it was
    is_quiet(browser)


def test_old_browsers_are_told(browser: Browser, page: Path) -> None:
    browser.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    browser.open(page)
    assert "too old" in said(browser, "failure")
    assert browser.value("document.querySelector('#observations table').rows.length") == 2
