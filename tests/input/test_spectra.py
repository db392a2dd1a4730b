"""Spectra and responses in the layouts that exist: what is taken from them, and what is refused."""

import gzip
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.ogip.response import Arf, Rmf, fold
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf, write_arf, write_rmf
from pyxt_hpc.cli import main
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import apec
from pyxt_hpc.spectra.ogip import load_spectrum

N = 400
EXPOSURE, KT, NORM, NH, REDSHIFT = 1e5, 5.0, 2e-3, 0.05, 0.1
BACKSCAL, BACKGROUND_BACKSCAL = 1e-3, 4e-3
BACKGROUND_COUNTS = 8  # of each channel


def responses() -> tuple[Arf, Rmf]:
    """Channels and energies of 20 eV from 0.3 keV, each energy in its own channel and those beside it."""
    edges = 0.3 + 0.02 * np.arange(N + 1)
    shares = np.array([0.05, 0.2, 0.5, 0.2, 0.05])
    first = np.clip(np.arange(N) - 2, 0, N - 5).astype(np.int32)
    rmf = Rmf(
        energy_lo=edges[:-1],
        energy_hi=edges[1:],
        n_group=np.ones(N, np.int32),
        first_channel=first,
        n_channel=np.full(N, 5, np.int32),
        matrix=np.tile(shares, N),
        channel_lo_keV=edges[:-1],
        channel_hi_keV=edges[1:],
        first_channel_number=1,
    )
    return Arf(edges[:-1], edges[1:], np.full(N, 400.0)), rmf


def hdu(
    counts: np.ndarray, header: dict[str, Any], columns: dict[str, Any] | None = None
) -> fits.BinTableHDU:
    """A spectrum's extension; of the header None deletes."""
    table = {"CHANNEL": np.arange(1, N + 1), "COUNTS": counts} | (columns or {})
    made = fits.BinTableHDU.from_columns(
        [
            fits.Column(name, "J" if np.asarray(a).dtype.kind == "i" else "D", array=np.asarray(a))
            for name, a in table.items()
            if a is not None
        ],
        name="SPECTRUM",
    )
    usual = {
        "HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "HDUCLAS2": "TOTAL", "CHANTYPE": "PI", "INSTRUME": "ACIS",
        "EXPOSURE": EXPOSURE, "BACKSCAL": BACKSCAL, "AREASCAL": 1.0, "POISSERR": True,
    }  # fmt: skip
    made.header.update({key: value for key, value in (usual | header).items() if value is not None})
    return made


def save(path: Path, *extensions: fits.BinTableHDU) -> None:
    fits.HDUList([fits.PrimaryHDU(), *extensions]).writeto(path, overwrite=True, checksum=True)


NAMES = {"BACKFILE": "b.pi", "ANCRFILE": "a.arf", "RESPFILE": "a.rmf"}
BACKGROUND = {"BACKSCAL": BACKGROUND_BACKSCAL}


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """Of a plasma and its background."""
    arf, rmf = responses()
    edges = np.append(arf.energy_lo, arf.energy_hi[-1])
    photons = NORM * apec(edges, KT, 0.3, REDSHIFT) * transmission(edges, NH, "phabs")
    mean = EXPOSURE * fold(photons, arf, rmf) + BACKGROUND_COUNTS * BACKSCAL / BACKGROUND_BACKSCAL
    return np.random.default_rng(1).poisson(mean)


@pytest.fixture
def folder(tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spectrum with all that belongs to it, and the working directory."""
    arf, rmf = responses()
    write_arf(tmp_path / "a.arf", arf)
    write_rmf(tmp_path / "a.rmf", rmf)
    save(tmp_path / "a.pi", hdu(counts, NAMES))
    save(tmp_path / "b.pi", hdu(np.full(N, BACKGROUND_COUNTS), BACKGROUND))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def source(**header: Any) -> Callable[[Path, np.ndarray], None]:
    return lambda at, counts: save(at / "a.pi", hdu(counts, NAMES | header))


def sky(**header: Any) -> Callable[[Path, np.ndarray], None]:
    return lambda at, _: save(at / "b.pi", hdu(np.full(N, BACKGROUND_COUNTS), BACKGROUND | header))


def areascal_in_one(at: Path, counts: np.ndarray) -> None:
    source(AREASCAL=0.5)(at, counts)
    sky(AREASCAL=None)(at, counts)


def source_columns(**columns: Any) -> Callable[[Path, np.ndarray], None]:
    return lambda at, counts: save(at / "a.pi", hdu(counts, NAMES, columns))


def as_rates(factor: float, poisson: bool | str) -> Callable[[Path, np.ndarray], None]:
    def edit(at: Path, counts: np.ndarray) -> None:
        rate = (factor * counts / EXPOSURE).astype(np.float32).astype(float)
        save(at / "a.pi", hdu(counts, NAMES | {"POISSERR": poisson}, {"COUNTS": None, "RATE": rate}))

    return edit


def one_file(kinds: tuple[str | None, str | None]) -> Callable[[Path, np.ndarray], None]:
    """Source and background in one file that names itself."""

    def edit(at: Path, counts: np.ndarray) -> None:
        first = hdu(counts, NAMES | {"BACKFILE": "a.pi", "HDUCLAS2": kinds[0]})
        second = hdu(np.full(N, BACKGROUND_COUNTS), BACKGROUND | {"HDUCLAS2": kinds[1]})
        save(at / "a.pi", first, second)
        (at / "b.pi").unlink()

    return edit


def background_first(at: Path, counts: np.ndarray) -> None:
    """As `one_file`, the background before the spectrum."""
    second = hdu(counts, NAMES | {"BACKFILE": "a.pi"})
    save(at / "a.pi", hdu(np.full(N, BACKGROUND_COUNTS), BACKGROUND | {"HDUCLAS2": "BKG"}), second)


def response(name: str, **header: Any) -> Callable[[Path, np.ndarray], None]:
    """The RMF with its matrix called otherwise; of the header None deletes."""

    def edit(at: Path, _: np.ndarray) -> None:
        with fits.open(at / "a.rmf", memmap=False) as hdus:
            matrix = hdus[1]
            matrix.name = name
            for key, value in header.items():
                for one in hdus[1:] if key == "CHANTYPE" else [matrix]:
                    one.header.pop(key, None)
                    if value is not None:
                        one.header[key] = value
            hdus.writeto(at / "a.rmf", overwrite=True, checksum=True)

    return edit


def twice(name: str) -> Callable[[Path, np.ndarray], None]:
    def edit(at: Path, _: np.ndarray) -> None:
        with fits.open(at / name, memmap=False) as hdus, fits.open(at / name, memmap=False) as again:
            fits.HDUList([*hdus, again[1]]).writeto(at / name, overwrite=True, checksum=True)

    return edit


def unit(name: str, columns: dict[str, tuple[str, float]]) -> Callable[[Path, np.ndarray], None]:
    """Columns of a response in another unit."""

    def edit(at: Path, _: np.ndarray) -> None:
        with fits.open(at / name, memmap=False) as hdus:
            for one in hdus[1:]:
                for column, (written, factor) in columns.items():
                    if column in one.columns.names:
                        one.data[column] *= factor
                        one.columns[column].unit = written
            hdus.writeto(at / name, overwrite=True, checksum=True)

    return edit


def flat_rmf(at: Path, _: np.ndarray) -> None:
    """Every energy in nearly all channels, as in the HRC."""
    _, rmf = responses()
    wide = np.full(N, N - 10, np.int32)
    write_rmf(
        at / "a.rmf",
        replace(
            rmf,
            first_channel=np.full(N, 5, np.int32),
            n_channel=wide,
            matrix=np.full(N * (N - 10), 1 / (N - 10)),
        ),
    )


def rmf_with_area(at: Path, _: np.ndarray) -> None:
    arf, rmf = responses()
    write_rmf(at / "a.rmf", replace(rmf, matrix=400.0 * rmf.matrix))


def same(_: Path, counts: np.ndarray) -> None:
    """Nothing is changed."""


def energies(factor: float, written: str) -> dict[str, tuple[str, float]]:
    return dict.fromkeys(("ENERG_LO", "ENERG_HI", "E_MIN", "E_MAX"), (written, factor))


# what is done to the files, and words of the log that must be said ("": nothing beyond the usual)
READ: dict[str, tuple[Callable[[Path, np.ndarray], None], str]] = {
    "as CIAO writes it": (same, ""),
    "RSP_MATRIX": (response("RSP_MATRIX"), ""),
    "AXAF_RMF": (response("AXAF_RMF"), ""),
    "SPECRESP MATRIX": (response("SPECRESP MATRIX"), ""),
    "any name with its class": (response("RMF_OF_THE_CATALOG"), ""),
    "class without HDUCLASS": (response("X", HDUCLASS=None), ""),
    "name without class": (response("AXAF_RMF", HDUCLAS1=None, HDUCLAS2=None), ""),
    "RMF without CHANTYPE": (response("MATRIX", CHANTYPE=None), ""),
    "spectrum without CHANTYPE": (source(CHANTYPE=None), "taken to be that of the RMF"),
    "own background": (one_file(("TOTAL", "BKG")), ""),
    "own background, source without class": (one_file((None, "BACKGROUND")), ""),
    "own background first": (background_first, ""),
    "background of class BKG": (sky(HDUCLAS2="BKG"), ""),
    "no AREASCAL in one, 1 in the other": (sky(AREASCAL=None), ""),
    "no CORRFILE": (source(CORRFILE="none", CORRSCAL=1.0), ""),
    "CORRFILE that counts nothing": (source(CORRFILE="c.pi", CORRSCAL=0.0), ""),
    "SYS_ERR 0": (source(SYS_ERR=0.0), ""),
    "rates": (as_rates(1.0, True), ""),
    "rates that say POISSERR F": (as_rates(1.0, False), "counts are whole numbers"),
    "counts with errors of their own": (source(POISSERR=False), "counts are whole numbers"),
    "BACKSCAL as a column": (source_columns(BACKSCAL=np.full(N, BACKSCAL)), ""),
    "energies in eV": (unit("a.rmf", energies(1e3, "eV")), ""),
    "energies in KEV": (unit("a.rmf", energies(1.0, "KEV")), ""),
    "area in m2": (unit("a.arf", {"SPECRESP": ("m2", 1e-4)}), ""),
    "area in the RMF": (rmf_with_area, "the RMF holds the effective area"),
    "channels from 0": (source_columns(CHANNEL=np.arange(N)), "taken in their order"),
}  # fmt: skip


@pytest.mark.parametrize("layout", READ)
def test_every_layout_is_the_same_spectrum(
    folder: Path, counts: np.ndarray, caplog: pytest.LogCaptureFixture, layout: str
) -> None:
    caplog.set_level("INFO")
    edit, words = READ[layout]
    edit(folder, counts)
    spectrum = load_spectrum(
        folder / "a.pi",
        energy_min=0.71,
        energy_max=7.0,
        grouping="none",
        arf="none" if layout == "area in the RMF" else None,
    )
    assert spectrum.counts.tolist() == counts.tolist()
    assert spectrum.background.tolist() == [BACKGROUND_COUNTS] * N
    assert spectrum.ratio == pytest.approx(BACKGROUND_BACKSCAL / BACKSCAL)
    assert spectrum.exposure_s == EXPOSURE
    # effective area of an energy, wherever it is written
    folded = spectrum.arf.area * spectrum.rmf.sparse.sum(axis=1)
    assert folded == pytest.approx(np.full(N, 400.0), rel=1e-6)
    assert spectrum.rmf.energy_hi[-1] == pytest.approx(0.3 + 0.02 * N)
    assert spectrum.energy_edges[0, 0] == pytest.approx(0.72)
    assert words in caplog.text
    if not words:
        assert caplog.text == ""


# what is done to the files, and words of the one line
REFUSED: dict[str, tuple[Callable[[Path, np.ndarray], None], str]] = {
    "no BACKSCAL in the background": (sky(BACKSCAL=None), r"b\.pi: has no BACKSCAL, but \S*a\.pi has 0\.001"),
    "no BACKSCAL in the source": (source(BACKSCAL=None), r"a\.pi: has no BACKSCAL, but \S*b\.pi has 0\.004"),
    "AREASCAL in one": (areascal_in_one, r"b\.pi: has no AREASCAL, but \S*a\.pi has 0\.5"),
    "BACKSCAL that changes": (source_columns(BACKSCAL=np.linspace(1, 2, N)), "BACKSCAL changes from 1 to 2"),
    "AREASCAL that changes": (source_columns(AREASCAL=np.linspace(0.5, 1, N)), "AREASCAL changes from 0.5"),
    "names itself, one spectrum": (source(BACKFILE="a.pi"), "its own background, but has no second"),
    "names itself, no classes": (one_file((None, None)), "2 spectra"),
    "two sources": (one_file(("TOTAL", "TOTAL")), "2 spectra"),
    "background is subtracted": (source(HDUCLAS2="NET"), "HDUCLAS2 is NET"),
    "channels PHA, RMF of PI": (source(CHANTYPE="PHA"), "its channels are PHA, those of the RMF .* PI"),
    "channels PI, RMF of PHA": (response("MATRIX", CHANTYPE="PHA"), "are PI, those of the RMF .* PHA"),
    "background PHA": (sky(CHANTYPE="PHA"), r"its channels are PI, those of \S*b\.pi PHA"),
    "CORRFILE": (source(CORRFILE="c.pi", CORRSCAL=0.5), r"CORRFILE asks to subtract 0\.5 x c\.pi"),
    "CORRFILE without CORRSCAL": (source(CORRFILE="c.pi"), r"CORRFILE asks to subtract 1 x c\.pi"),
    "CORRFILE of the background": (sky(CORRFILE="c.pi", CORRSCAL=1.0), r"b\.pi: CORRFILE asks"),
    "SYS_ERR": (source(SYS_ERR=0.03), "SYS_ERR asks for systematic errors of 3%"),
    "SYS_ERR as a column": (source_columns(SYS_ERR=np.full(N, 0.05)), "systematic errors of 5%"),
    "weighted rates": (as_rates(0.7, False), "POISSERR is F and the counts are not whole numbers"),
    "weighted rates, F as a text": (as_rates(0.7, "F"), "POISSERR is F and the counts are not whole numbers"),
    "GROUPING of another kind": (source_columns(GROUPING=np.full(N, 3)), "other values than -1, 0 and 1"),
    "HRC": (source(INSTRUME="HRC"), "of the HRC, whose channels hardly tell energies apart"),
    "no resolution": (flat_rmf, "RMF whose channels hardly tell energies apart"),
    "two matrices": (twice("a.rmf"), "2 tables RSP_MATRIX, expected one"),
    "ARF for an RMF with area": (rmf_with_area, r"a\.arf is an effective area, but the RMF of .* includes"),
    "not an RMF": (source(RESPFILE="a.arf"), r"a\.arf: not an RMF: no table with HDUCLAS2 RSP_MATRIX"),
    "not an ARF": (source(ANCRFILE="b.pi"), r"b\.pi: not an ARF: .*extensions found: SPECTRUM"),
    "energies in what": (unit("a.rmf", energies(1.0, "parsec")), "is in 'parsec', expected keV"),
    "all channels bad": (source(QUALITY=1), "no bin of good channels"),
}  # fmt: skip


@pytest.mark.parametrize("layout", REFUSED)
def test_what_no_fit_here_can_do_is_refused(
    folder: Path, counts: np.ndarray, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    edit, words = REFUSED[layout]
    edit(folder, counts)
    assert main(["fit-pha", "a.pi", "--redshift", "0.1", "--nH", "0.05"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (said,) = err.splitlines()[-1:]
    assert said.startswith("pyxt-hpc: error: ")
    assert re.search(words, said), said
    assert not (folder / "a.png").exists()


def test_bins_begin_with_the_first_channel(folder: Path, counts: np.ndarray) -> None:
    grouping = np.where(np.arange(N) % 5 == 2, 1, -1)
    source_columns(GROUPING=grouping)(folder, counts)
    bins = load_spectrum(folder / "a.pi", energy_min=0.3, energy_max=8.3, grouping="file").bin_of_channel
    assert bins[:8].tolist() == [0, 0, 1, 1, 1, 1, 1, 2]


def test_counts_that_are_no_whole_numbers_are_told(
    folder: Path, counts: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    save(folder / "a.pi", hdu(counts, NAMES, {"COUNTS": 0.7 * counts}))
    load_spectrum(folder / "a.pi", energy_min=0.7, energy_max=7.0)
    assert "not whole numbers" in caplog.text


@pytest.mark.parametrize("layout", ["as CIAO writes it", "own background", "any name with its class"])
def test_fit_finds_the_temperature(
    folder: Path, counts: np.ndarray, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    READ[layout][0](folder, counts)
    line = ["fit-pha", "a.pi", "--redshift", str(REDSHIFT), "--nH", str(NH), "--energy", "0.7", "7"]
    assert main(line) == 0
    row = next(text for text in capsys.readouterr().out.splitlines() if "a.pi" in text).split()
    kT, below, above, norm = (float(word) for word in row[1:5])
    assert abs(kT - KT) < 3 * max(-below, above)
    assert norm == pytest.approx(NORM, rel=0.03)


def test_picture_of_a_compressed_spectrum(folder: Path) -> None:
    (folder / "a.pi.gz").write_bytes(gzip.compress((folder / "a.pi").read_bytes()))
    assert main(["fit-pha", "a.pi.gz", "--redshift", str(REDSHIFT), "--nH", str(NH), "--quiet"]) == 0
    assert (folder / "a.png").exists()


def test_fit_stays_in_the_range_of_the_help(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source()(folder, np.linspace(0, 2000, N).astype(int))  # harder than any plasma
    assert main(["fit-pha", "a.pi", "--redshift", str(REDSHIFT), "--nH", str(NH), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kT"] == 40.0
    assert "at_bound_high" in found["flags"]


def test_layouts_as_sherpa_takes_them(folder: Path, counts: np.ndarray) -> None:
    io = pytest.importorskip("sherpa.astro.io")
    for layout in ("as CIAO writes it", "SPECRESP MATRIX", "rates", "BACKSCAL as a column"):
        READ[layout][0](folder, counts)
        theirs = io.read_pha(str(folder / "a.pi"))
        background = io.read_pha(str(folder / "b.pi"))
        ours = load_spectrum(folder / "a.pi", energy_min=0.7, energy_max=7.0, grouping="none")
        scale = np.mean(theirs.backscal) / np.mean(background.backscal)
        assert 1 / ours.ratio == pytest.approx(scale * theirs.exposure / background.exposure)
        if layout != "rates":  # Sherpa keeps them as they are
            assert theirs.counts.tolist() == ours.counts.tolist()
        matrix = io.read_rmf(str(folder / "a.rmf"))
        flux = np.linspace(1.0, 2.0, N)
        assert matrix.apply_rmf(flux) == pytest.approx(ours.rmf.sparse.T @ flux)


def test_old_rmf_of_acis(shared: Path) -> None:
    rmf = read_rmf(shared / "real" / "old_rmf_198x1024.rmf")
    assert (len(rmf.energy_lo), rmf.n_channels, rmf.channel_type) == (198, 1024, "PI")
    assert read_arf(shared / "chandra" / "9774.arf").area.max() > 300
