"""Loaded spectra: files of the header or as given, bins as Sherpa's, errors in one line."""

import gzip
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.chandra.ogip.response_files import write_arf, write_rmf
from pyxt_hpc.errors import (
    ConfigError,
    DamagedFile,
    EmptySelection,
    MissingInput,
    PyxtError,
    ResponseMismatch,
)
from pyxt_hpc.spectra.ogip import load_spectrum

N = 8
COUNTS = np.array([5, 1, 2, 3, 4, 6, 8, 9])
BAND = {"energy_min": 0.15, "energy_max": 0.75}
"""Channel i is i/10 to (i + 1)/10 keV: channels 2 to 6 lie wholly inside."""


def write_pha(path: Path, counts: np.ndarray, header: dict, columns: dict | None = None) -> None:
    table = {"CHANNEL": np.arange(1, len(counts) + 1), "COUNTS": counts} | (columns or {})
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column(name, "J", array=np.asarray(a)) for name, a in table.items()], name="SPECTRUM"
    )
    hdu.header.update(header)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)


def response(area: float = 300.0, n: int = N) -> tuple[Arf, Rmf]:
    edges = np.arange(n + 1) / 10.0 + 1e-4
    one = np.ones(n, np.int32)
    rmf = Rmf(
        edges[:-1], edges[1:], one, np.arange(n, dtype=np.int32), one, np.ones(n), edges[:-1], edges[1:], 1
    )
    return Arf(edges[:-1], edges[1:], np.full(n, area)), rmf


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    arf, rmf = response()
    write_arf(tmp_path / "a.arf", arf)
    write_rmf(tmp_path / "a.rmf", rmf)
    source = {"EXPOSURE": 100.0, "BACKSCAL": 0.5, "AREASCAL": 0.5}
    names = {"BACKFILE": "b.pi", "ANCRFILE": "a.arf", "RESPFILE": "a.rmf"}
    write_pha(tmp_path / "a.pi", COUNTS, source | names)
    write_pha(tmp_path / "b.pi", COUNTS[::-1], {"EXPOSURE": 300.0, "BACKSCAL": 2.0, "AREASCAL": 1.0})
    return tmp_path


def regrouped(folder: Path, columns: dict, name: str = "a.pi") -> Path:
    with fits.open(folder / name) as hdus:
        header, counts = hdus[1].header, hdus[1].data["COUNTS"].copy()
        keep = {k: v for k, v in header.items() if k.isalpha() and k.endswith(("FILE", "SCAL", "SURE"))}
    write_pha(folder / name, counts, keep, columns)
    return folder / name


def test_header_names_the_other_files(folder: Path) -> None:
    spectrum = load_spectrum(folder / "a.pi", **BAND, grouping="none")
    assert spectrum.name == "a"
    assert spectrum.counts.tolist() == COUNTS.tolist()
    assert spectrum.background.tolist() == COUNTS[::-1].tolist()
    assert spectrum.ratio == pytest.approx(300.0 * 2.0 / (100.0 * 0.5 * 0.5))
    assert spectrum.exposure_s == 100.0
    # half of the area was used
    assert spectrum.arf.area == pytest.approx(np.full(N, 150.0))
    assert spectrum.bin_of_channel.tolist() == [-1, -1, 0, 1, 2, 3, 4, -1]


def test_files_that_are_given_win(folder: Path) -> None:
    arf, _ = response(area=80.0)
    write_arf(folder / "other.arf.gz", arf)
    shutil.copy(folder / "a.pi", folder / "other.pi")
    spectrum = load_spectrum(
        folder / "a.pi", **BAND, arf=str(folder / "other.arf"), background=folder / "other.pi"
    )
    assert spectrum.arf.area == pytest.approx(np.full(N, 40.0))
    assert spectrum.background.tolist() == COUNTS.tolist()
    assert spectrum.ratio == 1.0


def test_files_named_in_the_header_may_be_compressed(folder: Path) -> None:
    plain = load_spectrum(folder / "a.pi", **BAND)
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    for name in ("a.pi", "a.pi.gz"):
        packed = load_spectrum(folder / name, **BAND)
        assert packed.name == "a"
        assert packed.background.tolist() == plain.background.tolist()
        assert packed.arf.area.tolist() == plain.arf.area.tolist()
        assert packed.rmf.matrix.tolist() == plain.rmf.matrix.tolist()


def test_without_background(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "b.pi").unlink()
    with pytest.raises(MissingInput, match=r"b\.pi.*BACKFILE of .*a\.pi"):
        load_spectrum(folder / "a.pi", **BAND)
    with caplog.at_level(logging.WARNING):
        spectrum = load_spectrum(folder / "a.pi", **BAND, background="none")
    assert "cstat" in caplog.text
    assert not spectrum.background.any()
    assert spectrum.ratio == 1.0


def test_bins_of_the_file(folder: Path) -> None:
    # a bin that lies partly outside the band goes; a channel on its own is a bin
    path = regrouped(folder, {"GROUPING": [1, -1, -1, 1, -1, 0, 0, 1]})
    assert load_spectrum(path, **BAND).bin_of_channel.tolist() == [-1, -1, -1, 0, 0, 1, 2, -1]
    spectrum = load_spectrum(path, **BAND, grouping="none")
    assert spectrum.bin_of_channel.tolist() == [-1, -1, 0, 1, 2, 3, 4, -1]


def test_bad_channels_are_left_out_of_their_bins(folder: Path) -> None:
    grouping = {"GROUPING": [1, -1, -1, 1, -1, -1, 1, -1]}
    # without its bad last channel the last bin lies in the band
    path = regrouped(folder, grouping | {"QUALITY": [0, 0, 0, 0, 5, 0, 0, 2]})
    spectrum = load_spectrum(path, **BAND)
    assert spectrum.bin_of_channel.tolist() == [-1, -1, -1, 0, -1, 0, 1, -1]
    assert spectrum.binned(spectrum.counts).tolist() == [3 + 6, 8]
    # bad in the background, a whole bin
    regrouped(folder, {"QUALITY": [0, 0, 0, 1, 0, 1, 0, 0]}, "b.pi")
    assert load_spectrum(path, **BAND).bin_of_channel.tolist() == [-1] * 6 + [0, -1]
    resolution = load_spectrum(path, **BAND, grouping="resolution").bin_of_channel
    assert (resolution[[3, 4, 5]] == -1).all()
    assert resolution.max() >= 0


def test_response_that_holds_the_area(folder: Path) -> None:
    _, rmf = response()
    whole = Rmf(**(vars(rmf) | {"matrix": 250.0 * rmf.matrix}))
    write_rmf(folder / "a.rsp", whole)
    spectrum = load_spectrum(folder / "a.pi", **BAND, arf="none", rmf=folder / "a.rsp")
    assert spectrum.arf.area == pytest.approx(np.full(N, 0.5))
    with pytest.raises(MissingInput, match=r"a\.pi.*ANCRFILE.*give the ARF"):
        load_spectrum(folder / "a.pi", **BAND, arf="none")


def _shorter_background(folder: Path) -> None:
    write_pha(folder / "b.pi", COUNTS[1:], {"EXPOSURE": 1.0, "BACKSCAL": 1.0})


def _other_energies(folder: Path) -> None:
    arf, _ = response()
    write_arf(folder / "a.arf", Arf(arf.energy_lo + 0.05, arf.energy_hi + 0.05, arf.area))


def _other_channels(folder: Path) -> None:
    arf, rmf = response(n=N + 1)
    write_arf(folder / "a.arf", arf)
    write_rmf(folder / "a.rmf", rmf)


def _nan_area(folder: Path) -> None:
    arf, _ = response()
    arf.area[3] = np.nan
    write_arf(folder / "a.arf", arf)


def _no_rmf(folder: Path) -> None:
    (folder / "a.rmf").unlink()


def _all_bad(folder: Path) -> None:
    regrouped(folder, {"QUALITY": np.ones(N, int)})


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (_shorter_background, ResponseMismatch, r"b\.pi has 7 channels, .*a\.pi 8"),
        (_other_energies, ResponseMismatch, r"a\.arf"),
        (_other_channels, ResponseMismatch, r"a\.pi has 8 channels, its RMF 9"),
        (_nan_area, DamagedFile, r"a\.arf"),
        (_no_rmf, MissingInput, r"a\.rmf"),
        (_all_bad, EmptySelection, r"a\.pi: no bin of good channels"),
    ],
)
def test_what_does_not_fit_is_one_line(folder: Path, spoil, error: type[PyxtError], message: str) -> None:
    spoil(folder)
    with pytest.raises(error, match=message) as caught:
        load_spectrum(folder / "a.pi", **BAND, grouping="none")
    assert "\n" not in str(caught.value)


def test_unknown_or_missing_grouping(folder: Path) -> None:
    with pytest.raises(ConfigError, match="file, resolution, none"):
        load_spectrum(folder / "a.pi", **BAND, grouping="min")
    with pytest.raises(ConfigError, match=r"a\.pi: has no GROUPING"):
        load_spectrum(folder / "a.pi", **BAND, grouping="file")


@pytest.mark.parametrize(("name", "grouping"), [("9774", "none"), ("3c273", "file")])
def test_real_spectra_as_in_sherpa(shared: Path, name: str, grouping: str) -> None:
    io = pytest.importorskip("sherpa.astro.io")
    folder = shared / "chandra"
    ours = load_spectrum(folder / f"{name}.pi", energy_min=0.7, energy_max=8.0, grouping=grouping)
    theirs = io.read_pha(str(folder / f"{name}.pi"))
    background = io.read_pha(str(folder / f"{name}_bg.pi"))
    theirs.set_response(io.read_arf(str(folder / f"{name}.arf")), io.read_rmf(str(folder / f"{name}.rmf")))
    theirs.set_background(background)
    theirs.units = "energy"
    theirs.ignore(None, 0.7)
    theirs.ignore(8.0, None)
    assert ours.binned(ours.counts).tolist() == theirs.get_dep(filter=True).tolist()
    of_theirs = theirs.apply_filter(background.counts, groupfunc=np.sum)
    assert ours.binned(ours.background).tolist() == of_theirs.tolist()
    assert 1 / ours.ratio == pytest.approx(theirs.get_background_scale(), rel=1e-12)
    assert ours.exposure_s == theirs.exposure
