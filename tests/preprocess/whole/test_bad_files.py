"""Files that cannot be what they should: each is named, with what to do, and no product is half-made."""

import errno
import gzip
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.ogip.response import Arf
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf, write_arf, write_rmf
from pyxt_hpc.errors import (
    ConfigError,
    DamagedFile,
    EmptySelection,
    MissingInput,
    PyxtError,
    RegionSyntaxError,
    ResponseMismatch,
    SelectionMismatch,
)

Damage = Callable[[Any], Any]
PathOf = Callable[[Any], Path]


def events(f: Any) -> Path:
    return f.events("1")


def fov(f: Any) -> Path:
    return f.fov("1")


def blank(f: Any) -> Path:
    return f.layout.supplied_background("1")


def arf(f: Any) -> Path:
    return f.layout.supplied_arf("1")


def rmf(f: Any) -> Path:
    return f.layout.supplied_rmf("1")


def sources(text: str) -> Damage:
    return lambda f: f.layout.sources_reg.write_text(text)


def exclude(text: str) -> Damage:
    return lambda f: f.layout.exclude_reg.write_text(text)


def crop(text: str) -> Damage:
    return lambda f: f.layout.crop_reg.write_text(text)


def gone(path: PathOf) -> Damage:
    return lambda f: path(f).unlink()


def text(path: PathOf, content: str = "hello") -> Damage:
    return lambda f: path(f).write_text(content)


def cut(path: PathOf) -> Damage:
    return lambda f: path(f).write_bytes(path(f).read_bytes()[: path(f).stat().st_size // 2])


def compressed_and_cut(path: PathOf, left_out: int) -> Damage:
    def damage(f: Any) -> None:
        plain = path(f)
        plain.with_name(plain.name + ".gz").write_bytes(gzip.compress(plain.read_bytes(), 1)[:-left_out])
        plain.unlink()

    return damage


def edited(path: PathOf, edit: Callable[[fits.HDUList], None]) -> Damage:
    return lambda f: f.rewrite(path(f), edit)


def keyword(name: str, value: object, path: PathOf = events) -> Damage:
    def edit(hdus: fits.HDUList) -> None:
        if value is None:
            del hdus["EVENTS"].header[name]
        else:
            hdus["EVENTS"].header[name] = value

    return edited(path, edit)


def rows(path: PathOf, keep: Callable[[Any], Any]) -> Damage:
    def edit(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].data = hdus["EVENTS"].data[keep(hdus["EVENTS"].data)]

    return edited(path, edit)


def column(path: PathOf, name: str, value: Callable[[Any], Any]) -> Damage:
    def edit(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].data[name] = value(hdus["EVENTS"].data)

    return edited(path, edit)


def without_column(path: PathOf, name: str) -> Damage:
    def edit(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].columns.del_col(name)

    return edited(path, edit)


def without_gti(hdus: fits.HDUList) -> None:
    del hdus[2:]


def gti(start: float, stop: float) -> Damage:
    def edit(hdus: fits.HDUList) -> None:
        for hdu in hdus[2:]:
            hdu.data["START"][:], hdu.data["STOP"][:] = start, stop

    return edited(events, edit)


def response(f: Any, **changes: Any) -> None:
    write_rmf(rmf(f), replace(read_rmf(rmf(f)), **changes))


def few_channels(f: Any) -> None:
    old = read_rmf(rmf(f))
    first = np.minimum(old.first_channel, 399).astype(np.int32)
    response(
        f,
        channel_lo_keV=old.channel_lo_keV[:400],
        channel_hi_keV=old.channel_hi_keV[:400],
        first_channel=first,
    )


def short_arf(f: Any) -> None:
    old = read_rmf(rmf(f))
    write_arf(arf(f), Arf(old.energy_lo[:50], old.energy_hi[:50], np.ones(50)))


def narrow(f: Any) -> None:
    """ARF and RMF agree, but end at 5 keV."""
    old, area = read_rmf(rmf(f)), read_arf(arf(f))
    kept = old.energy_hi < 5
    n = int(kept.sum())
    write_arf(arf(f), Arf(area.energy_lo[:n], area.energy_hi[:n], area.area[:n]))
    response(
        f, energy_lo=old.energy_lo[:n], energy_hi=old.energy_hi[:n], n_group=old.n_group[:n],
        first_channel=old.first_channel[:n], n_channel=old.n_channel[:n], matrix=old.matrix[:n],
    )  # fmt: skip


def another_folder(path: PathOf) -> Damage:
    """A folder where a file should be."""

    def damage(f: Any) -> None:
        path(f).unlink()
        path(f).mkdir()

    return damage


def foreign_fov(f: Any) -> None:
    with fits.open(fov(f), memmap=False) as hdus:
        for key in list(hdus["FOV"].header):
            if key.startswith("TCRVL"):
                hdus["FOV"].header[key] += 0.5
        hdus.writeto(fov(f), overwrite=True)


def other_chips(hdus: fits.HDUList) -> None:
    hdus["FOV"].data["CCD_ID"] += 2


def own_gti(start: float, stop: float) -> Damage:
    def damage(f: Any) -> None:
        table = fits.BinTableHDU.from_columns(
            [fits.Column("START", "D", array=[start]), fits.Column("STOP", "D", array=[stop])], name="GTI"
        )
        table.writeto(f.layout.supplied_gti("1"))

    return damage


def aspect(f: Any, **columns: list[float]) -> None:
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, "D", array=values) for name, values in columns.items()], name="ASPSOL"
    )
    table.writeto(events(f).with_name("pcadf000000001N003_asol1.fits"))


CASES: dict[str, tuple[Damage, type[PyxtError], str]] = {
    # event file
    "no evt2": (gone(events), MissingInput, r"1/primary/\*_evt2\.fits\*.*download_chandra_obsid"),
    "evt2 cut short": (cut(events), DamagedFile, r"N003_evt2\.fits: .*damaged"),
    "evt2.gz cut short": (compressed_and_cut(events, 20_000), DamagedFile, r"evt2\.fits\.gz"),
    "evt2.gz without its checksum": (compressed_and_cut(events, 6), DamagedFile, r"evt2\.fits\.gz"),
    "evt2 is a text": (text(events), DamagedFile, "not FITS"),
    "evt2 is empty": (text(events, ""), DamagedFile, "not FITS"),
    "evt2 is a folder": (another_folder(events), DamagedFile, "evt2.* is a folder"),
    "evt2 is an image": (lambda f: fits.PrimaryHDU(np.ones((4, 4))).writeto(events(f), overwrite=True),
                         DamagedFile, "no EVENTS table"),
    "only evt1": (lambda f: events(f).rename(events(f).with_name("acisf00001_000N003_evt1.fits")),
                  MissingInput, r"acisf00001_000N003_evt1\.fits is of level 1: make level 2"),
    "interleaved": (lambda f: [events(f).with_name(f"acisf00001_e{n}_evt2.fits").hardlink_to(events(f))
                               for n in (1, 2)], ConfigError, "largest EXPOSURE of interleaved exposures"),
    "times are no numbers": (
        column(events, "time", lambda d: np.nan), DamagedFile, "no number in column time"),
    "times of another clock": (
        column(events, "time", lambda d: d["time"] + 1e8), EmptySelection, "in good time"),
    "GTI without START": (edited(events, lambda h: h["GTI0"].columns.change_name("START", "BEGIN")),
                          DamagedFile, "GTI0 has no columns START, STOP"),
    "rows elsewhere": (keyword("FIRSTROW", 700), DamagedFile, "FIRSTROW, NROWS are 700, 512"),
    "two event files": (lambda f: events(f).with_name("acisf00001N004_evt2.fits").write_bytes(
        events(f).read_bytes()), ConfigError, "keep one"),
    "wrong telescope": (keyword("TELESCOP", "XMM"), DamagedFile, "TELESCOP is XMM"),
    "HRC": (keyword("INSTRUME", "HRC"), DamagedFile, "INSTRUME is HRC"),
    "level 1": (keyword("CONTENT", "EVT1"), DamagedFile, "level-1"),
    "continuous clocking": (keyword("READMODE", "CONTINUOUS"), DamagedFile, "CONTINUOUS"),
    "unknown data mode": (keyword("DATAMODE", "CC33_FAINT"), DamagedFile, "DATAMODE is CC33_FAINT"),
    "no exposure": (keyword("EXPOSURE", None), DamagedFile, "EXPOSURE is None"),
    "exposure 0": (keyword("EXPOSURE", 0.0), DamagedFile, "EXPOSURE is 0"),
    "exposure is a word": (keyword("EXPOSURE", "long"), DamagedFile, "EXPOSURE is 'long'"),
    "no pointing": (keyword("RA_PNT", None), DamagedFile, "RA_PNT"),
    "pointing elsewhere": (keyword("DEC_PNT", -30.0), DamagedFile,
                           r"evt2.*RA_PNT, DEC_PNT are 150\.000, -30\.000"),
    "no chips": (keyword("DETNAM", "ACIS"), DamagedFile, "DETNAM"),
    "chips that saw nothing": (keyword("DETNAM", "ACIS-23"), DamagedFile, "the target was on 2, 3"),
    "TSTOP before TSTART": (keyword("TSTOP", 1e8), DamagedFile, "TSTOP is 100000000, not after TSTART"),
    "no GTI": (edited(events, without_gti), DamagedFile, "no good time intervals for CCD 0, 1"),
    "GTI that ends before it starts": (gti(6e8, 5e8), DamagedFile, "no good time intervals"),
    "GTI of years": (gti(1e8, 6e8), DamagedFile, "good time intervals span"),
    "GTI of another time": (gti(1.0, 1000.0), EmptySelection, "no event of good grade in good time"),
    "no event": (rows(events, lambda d: d["x"] < -1), EmptySelection, "empty"),
    "no good grade": (column(events, "grade", lambda d: 7), EmptySelection, "no event of good grade"),
    "no particle event": (rows(events, lambda d: d["energy"] < 8900), SelectionMismatch,
                          r"evt2\.fits: it holds only .*of 9\.5-12 keV"),
    "a chip without events": (rows(events, lambda d: d["ccd_id"] == 0), DamagedFile, "CCD 1 has 0 events"),
    "no column energy": (without_column(events, "energy"), DamagedFile, "no column energy"),
    "no column pi": (without_column(events, "pi"), DamagedFile, "no column pi"),
    "no column time": (without_column(events, "time"), DamagedFile, "no column time"),
    "no column chipx": (without_column(events, "chipx"), DamagedFile, "no column chipx"),
    "no sky WCS": (edited(events, lambda h: [h["EVENTS"].header.remove(k) for k in list(
        h["EVENTS"].header) if k.startswith("TCRVL")]), DamagedFile, "no sky WCS"),
    "sky positions all alike": (column(events, "x", lambda d: 4e3), DamagedFile, "do not follow from chipx"),
    # field of view, aspect
    "fov cut short": (cut(fov), DamagedFile, "fov1"),
    "fov of another pointing": (foreign_fov, DamagedFile, "fov1"),
    "fov of other chips": (edited(fov, other_chips), DamagedFile, "fov1"),
    "aspect of another time": (lambda f: aspect(f, time=[1.0, 2.0], ra=[150.0, 150.0], dec=[30.0, 30.0]),
                               DamagedFile, "asol1.fits: covers 1 to 2 s"),
    "aspect without columns": (lambda f: aspect(f, time=[1.0, 2.0]), DamagedFile, "asol1.*ra, dec"),
    # background
    "no background": (gone(blank), MissingInput, r"1_background\.fits .*or draw .*background\.reg"),
    "background is a text": (text(blank), DamagedFile, r"1_background\.fits: .*not FITS"),
    "background of another telescope": (keyword("TELESCOP", "XMM", blank), DamagedFile, "1_background.*XMM"),
    "background without events": (rows(blank, lambda d: d["x"] < -1), EmptySelection,
                                  r"1_background\.fits: the event list is empty"),
    "background without energy": (without_column(blank, "energy"), DamagedFile,
                                  r"1_background\.fits: EVENTS has no column energy"),
    "background without pi and ccd_id": (
        lambda f: (without_column(blank, "pi")(f), without_column(blank, "ccd_id")(f)), DamagedFile,
        r"1_background\.fits: EVENTS has no column pi, ccd_id"),
    "background without a sky": (edited(blank, lambda h: [h["EVENTS"].header.remove(k) for k in list(
        h["EVENTS"].header) if k.startswith("TCRVL")]), DamagedFile, r"1_background.*no sky WCS"),
    "background cut short": (cut(blank), DamagedFile, "1_background"),
    "background of other chips": (column(blank, "ccd_id", lambda d: 7), EmptySelection,
                                  "no event of good grade on the chips 0, 1"),
    "no particle background": (rows(blank, lambda d: d["energy"] < 9400), SelectionMismatch,
                               r"1_background\.fits: it holds only .*of 9\.5-12 keV"),
    "background without chip coordinates of another pointing": (
        lambda f: (without_column(blank, "chipx")(f), keyword("TCRVL3", 10.0, blank)(f)),
        DamagedFile, "chipx"),
    # good times of a person
    "own GTI elsewhere": (own_gti(1.0, 2.0), EmptySelection, r"1_gti\.fits: no good time"),
    "own GTI backwards": (own_gti(2.0, 1.0), PyxtError, r"1_gti\.fits"),
    "own GTI is a text": (lambda f: f.layout.supplied_gti("1").write_text("x"), DamagedFile, "1_gti"),
    # responses
    "no arf": (gone(arf), MissingInput, r"1\.arf .*specextract"),
    "arf is empty": (text(arf, ""), DamagedFile, r"1\.arf"),
    "arf for rmf": (lambda f: arf(f).write_bytes(rmf(f).read_bytes()), DamagedFile, r"1\.arf"),
    "rmf for arf": (lambda f: rmf(f).write_bytes(arf(f).read_bytes()), DamagedFile, r"1\.rmf"),
    "rmf is a folder": (another_folder(rmf), DamagedFile, r"1\.rmf: is a folder"),
    "rmf cut short": (cut(rmf), DamagedFile, r"1\.rmf"),
    "channels shifted by one": (lambda f: response(f, first_channel_number=0), ResponseMismatch,
                                r"1\.rmf: its EBOUNDS are off by"),
    "too few channels": (few_channels, ResponseMismatch, "channels 1 to 400, but .* has PI"),
    "other energy grid": (short_arf, ResponseMismatch, r"1\.arf"),
    "responses end within the band": (narrow, ResponseMismatch, r"1\.arf: energies .*the band is 0\.7-8 keV"),
    # regions
    "no sources.reg": (lambda f: f.layout.sources_reg.unlink(), MissingInput, "sources.reg .*propose"),
    "wrong syntax": (sources("fk5\ncircle(150,30)"), RegionSyntaxError, r"sources\.reg, line 2"),
    "unknown shape": (sources("fk5\nstar(150,30,3)"), RegionSyntaxError, r"sources\.reg, line 2"),
    "source of a negative radius": (sources('fk5\ncircle(150,30,-3")'), RegionSyntaxError,
                                    r"sources\.reg, line 2"),
    "source of no radius": (sources('fk5\ncircle(150,30,nan")'), RegionSyntaxError, r"sources\.reg, line 2"),
    "sources.reg is a folder": (another_folder(lambda f: f.layout.sources_reg), DamagedFile,
                                r"sources\.reg: is a folder"),
    "sources.reg in another alphabet": (lambda f: f.layout.sources_reg.write_bytes(b"\xff\xfe\x00c"),
                                        DamagedFile, r"sources\.reg"),
    "crop of an unknown shape": (crop("fk5\nheart(150,30,3)"), RegionSyntaxError,
                                 r"master_crop.*line 2.*heart"),
    "crop that only cuts out": (crop('fk5\n-circle(150,30,30")'), PyxtError, "master_crop"),
    "sources in galactic": (sources("galactic\ncircle(1,2,3)"), RegionSyntaxError, "fk5"),
    "sources everywhere": (sources("fk5\ncircle(150,30,3d)"), EmptySelection, "sources.reg: no event"),
    "exclude with a wrong line": (exclude("circle(1,2,"), RegionSyntaxError, r"exclude\.reg, line 1"),
    "exclude everywhere": (exclude("fk5\ncircle(150,30,3d)"), EmptySelection, "exclude.reg: no event"),
    "no crop": (lambda f: f.layout.crop_reg.unlink(), MissingInput, "master_crop.*propose-regions"),
    "empty crop file": (crop(""), RegionSyntaxError, "no bounds"),
    "crop elsewhere": (crop('fk5\nbox(151,30,100",100")'), EmptySelection, "no pixel that any observation"),
    "crop of half the sky": (crop("fk5\nbox(150,30,90d,90d)"), EmptySelection, "master_crop"),
    "crop in a source": (lambda f: (sources("fk5\ncircle(150,30,30\")")(f),
                                    crop("fk5\nbox(150,30,20\",20\")")(f)),
                         EmptySelection, "no pixel of the crop"),
    "crop is a FITS file": (lambda f: f.layout.crop_reg.write_bytes(events(f).read_bytes()),
                            RegionSyntaxError, "master_crop"),
}  # fmt: skip


def test_there_are_sixty_of_them() -> None:
    assert len(CASES) >= 60


REMEDY = "save|comes with|line [0-9]|only these|fetch|"
REMEDY += "make|made|draw|take|give|keep|choose|chandra_repro|download|correct|check|change|copy|expected"


@pytest.mark.parametrize("case", CASES)
def test_named_and_nothing_half_made(single_before_crop: Any, stages: Callable, case: str) -> None:
    damage, error, message = CASES[case]
    damage(single_before_crop)
    with pytest.raises(error, match=message) as caught:
        stages(single_before_crop)
    assert "\n" not in str(caught.value)
    assert re.search(REMEDY, str(caught.value))
    assert not single_before_crop.layout.bundle.exists()
    assert not single_before_crop.layout.combined_counts.exists()
    assert not list(single_before_crop.layout.cluster_dir.rglob(".tmp*"))


FILES: dict[str, PathOf] = {
    "events": events,
    "field of view": fov,
    "blank sky": blank,
    "ARF": arf,
    "RMF": rmf,
    "sources": lambda f: f.layout.sources_reg,
    "exclude": lambda f: f.layout.exclude_reg,
    "crop": lambda f: f.layout.crop_reg,
}


@pytest.mark.parametrize("name", FILES)
def test_file_that_may_not_be_read(
    single_before_crop: Any, stages: Callable, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FILES[name](single_before_crop)
    path.write_bytes(path.read_bytes() + b" ")  # changed, so that it is read
    path.chmod(0)
    real = io.open

    def refuse(file: Any, *arguments: Any, **keywords: Any) -> Any:
        if file == path:  # for the tests of a root user, who may read everything
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return real(file, *arguments, **keywords)

    monkeypatch.setattr(io, "open", refuse)  # pathlib's
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(PyxtError, match=rf"{re.escape(str(path))}: .*change its permissions"):
        stages(single_before_crop)


def test_observation_of_another_part_of_the_sky(field: Any, stages: Callable) -> None:
    def move(hdus: fits.HDUList) -> None:
        for key in list(hdus["EVENTS"].header):
            if key.startswith("TCRVL"):
                hdus["EVENTS"].header[key] += 3.0
        for key in ("RA_PNT", "DEC_PNT"):
            hdus["EVENTS"].header[key] += 3.0

    field.rewrite(field.events("22"), move)
    with pytest.raises(DamagedFile, match=r"00022N003_evt2.fits: .* degrees from the first observation's"):
        stages(field)


def test_chip_without_background_is_left_out(
    single: Any, stages: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    rows(blank, lambda d: d["ccd_id"] == 0)(single)
    assert stages(single)[0].observations["1"]["chips"] == [0]
    assert "CCD 1 is left out, because it has no background" in caplog.text
