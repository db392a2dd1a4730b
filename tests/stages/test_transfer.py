"""A cluster goes to another machine in one file, and its results come back; a sample says what it takes."""

import bz2
import copy
import gzip
import hashlib
import io
import lzma
import os
import re
import resource
import shutil
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.fit.regions import BLOCK_BYTES, RegionFits
from pyxt_hpc.layout import Layout
from pyxt_hpc.stages import transfer
from pyxt_hpc.stages.estimate import Estimate, estimate_fits
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import Status

Entry = tuple[tarfile.TarInfo, bytes]


@pytest.fixture(scope="module")
def home(tiny_cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a cluster up to the bundle, with its data elsewhere."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(tiny_cluster, folder / "data")
    config = folder / "demo.ini"
    text = (folder / "data" / "demo.ini").read_text()
    config.write_text(re.sub(r"^data_directory = \.", "data_directory = data", text, flags=re.MULTILINE))
    layout = Layout.of(read_config(config))
    for path in layout.bundle.parent.iterdir():
        if path != layout.bundle:
            path.unlink()
    assert main(["run", "--through", "crop-data", "-c", str(config)]) == 0
    return config


def rows(config: Path) -> np.ndarray:
    results = read_store(Layout.of(read_config(config)).results)
    return results.rows[results.status == Status.DONE]


def test_there_and_back(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "packed.tar"
    assert main(["pack", "-c", str(home), "--output", str(packed)]) == 0
    with tarfile.open(packed) as archive:
        assert sorted(archive.getnames()) == ["demo.ini", "demo/acb/demo_bundle.h5"]
    away = tmp_path / "far away"
    assert (
        main(["unpack", str(packed), "--directory", str(away), "--site", "lumi", "--account", "project_1"])
        == 0
    )
    script = (away / "demo" / "demo_job.sh").read_text()
    assert f"fit-spectra -c '{away / 'demo.ini'}'" in script
    assert "#SBATCH --account=project_1\n" in script
    assert main(["unpack", str(packed), "--directory", str(away)]) == 2
    assert "already exists" in capsys.readouterr().err

    config = ["-c", str(away / "demo.ini"), "--num-cpus", "1"]
    assert main(["create-bins", *config]) == 0
    fit = ["fit-spectra", *config, "--resolution", "1", "--continue", "--max-regions"]
    pull = ["results", "pull", "-c", str(home), str(away / "demo" / "acb")]
    assert main(pull) == 2
    assert "neither demo_results.h5" in capsys.readouterr().err
    assert main([*fit, "30"]) == 75
    assert main(pull) == 0
    assert capsys.readouterr().out.count("copied") == 4
    assert len(rows(home)) == 30
    assert main([*fit, "25"]) == 75
    assert main(pull) == 0
    assert "25 regions added" in capsys.readouterr().out
    assert rows(home).tobytes() == rows(away / "demo.ini").tobytes()
    # The run can go on here: store, bundle and scale map belong together.
    assert (
        main(["fit-spectra", "-c", str(home), "--resolution", "1", "--continue", "--max-regions", "5"]) == 75
    )
    assert len(rows(home)) == 60

    other = tmp_path / "other"
    shutil.copytree(home.parent, other)
    text = (other / "demo.ini").read_text()
    (other / "demo.ini").write_text(text.replace("abundance = 0.3", "abundance = 0.5"))
    assert main(["run", "--through", "crop-data", "-c", str(other / "demo.ini")]) == 0
    assert main(["results", "pull", "-c", str(other / "demo.ini"), str(away / "demo" / "acb")]) == 2
    assert "another bundle" in capsys.readouterr().err


def test_what_is_no_package_is_refused(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed = tmp_path / "packed.tar"
    assert main(["unpack", str(packed)]) == 2
    assert "pyxt-hpc pack" in capsys.readouterr().err
    packed.write_bytes(b"no tar")
    assert main(["unpack", str(packed), "--directory", str(tmp_path / "a")]) == 2
    assert "cannot be unpacked" in capsys.readouterr().err
    with tarfile.open(packed, "w") as archive:
        archive.add(home, "demo.ini")
    assert main(["unpack", str(packed), "--directory", str(tmp_path / "b")]) == 2
    assert "not from pack" in capsys.readouterr().err


@pytest.fixture(scope="module")
def packed(home: Path) -> Path:
    """The cluster in one file."""
    path = home.parent / "packed.tar"
    assert main(["pack", "-c", str(home), "--output", str(path)]) == 0
    return path


def tampered(packed: Path, path: Path, change: Callable[[list[Entry]], list[Entry] | None]) -> Path:
    """A copy of what pack wrote whose members were changed."""
    with tarfile.open(packed) as source:
        entries = [(member, (source.extractfile(member) or io.BytesIO()).read()) for member in source]
    changed = change(entries)
    with tarfile.open(path, "w") as target:
        for member, content in entries if changed is None else changed:
            if member.isreg():
                member.size = len(content)
            target.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def another(name: str, like: tarfile.TarInfo, content: bytes = b"x", **changes: object) -> Entry:
    """A member with a checksum that is right, as an attacker would make it."""
    member = copy.copy(like)
    member.name = name
    member.pax_headers = {transfer._DIGEST: hashlib.sha256(content).hexdigest()}
    for key, value in changes.items():
        setattr(member, key, value)
    return member, content


def edited(content: bytes, like: tarfile.TarInfo, old: bytes, new: bytes) -> Entry:
    """The configuration with something else in it."""
    assert old in content
    return another(like.name, like, content.replace(old, new))


TRICKS: dict[str, tuple[Callable[[list[Entry]], list[Entry]], str]] = {
    "key of a login": (lambda e: [*e, another(".ssh/authorized_keys", e[0][0])], "an unexpected name"),
    "above the folder": (lambda e: [*e, another("../x_bundle.h5", e[0][0])], "an unexpected name"),
    "absolute": (lambda e: [*e, another("/tmp/x_bundle.h5", e[0][0])], "an unexpected name"),
    "other cluster": (lambda e: [*e, another("x/acb/x_bundle.h5", e[0][0])], "an unexpected name"),
    "long name": (lambda e: [*e, another("x" * 300, e[0][0])], r"x\.\.\. \(300 characters\) is an"),
    "name of many folders": (lambda e: [*e, another("a/" * 2000 + "b", e[0][0])], "an unexpected name"),
    "bundle twice": (lambda e: [*e, e[1]], "occurs twice"),
    "configuration twice": (lambda e: [*e, e[0]], "occurs twice"),
    "bundle is a link": (
        lambda e: [e[0], another(e[1][0].name, e[1][0], type=tarfile.SYMTYPE, linkname="/etc/x", size=0)],
        "is not a regular file",
    ),
    "bundle is a hard link": (
        lambda e: [e[0], another(e[1][0].name, e[1][0], type=tarfile.LNKTYPE, linkname="demo.ini", size=0)],
        "is not a regular file",
    ),
    "folder is a link": (
        lambda e: [e[0], another("demo", e[1][0], type=tarfile.SYMTYPE, linkname="/tmp", size=0), e[1]],
        "is not a regular file",
    ),
    "pipe": (lambda e: [*e, another("demo/x", e[0][0], type=tarfile.FIFOTYPE, size=0)], "not a regular file"),
    "device": (lambda e: [*e, another("x", e[0][0], type=tarfile.CHRTYPE, size=0)], "not a regular file"),
    "folder": (lambda e: [another("demo", e[0][0], type=tarfile.DIRTYPE, size=0), *e], "not a regular file"),
    "hidden configuration": (
        lambda e: [another(".bashrc.ini", e[0][0], e[0][1]), *e[1:]], "first member is not a configuration",
    ),
    "configuration in a folder": (
        lambda e: [another("a/demo.ini", e[0][0], e[0][1]), *e[1:]], "first member is not a configuration",
    ),
    "configuration last": (lambda e: e[::-1], "first member is not a configuration"),
    "no configuration": (lambda e: e[1:], "first member is not a configuration"),
    "no bundle": (lambda e: e[:1], "contains no bundle"),
    "nothing": (lambda e: [], "first member is not a configuration"),
    "huge configuration": (
        lambda e: [another("demo.ini", e[0][0], bytes(2 << 20)), *e[1:]], "first member is not a",
    ),
    "configuration that is none": (
        lambda e: [another("demo.ini", e[0][0], b"my notes"), *e[1:]], "configuration in it cannot be read",
    ),
    "configuration with another name": (
        lambda e: [edited(e[0][1], e[0][0], b"name = demo", b"name = other"), *e[1:]], "an unexpected name",
    ),
    "data elsewhere": (
        lambda e: [edited(e[0][1], e[0][0], b"# data_directory = data", b"data_directory = /"), *e[1:]],
        "has a data_directory",
    ),
    "a flipped bit": (
        lambda e: [e[0], (e[1][0], e[1][1][:5000] + bytes([e[1][1][5000] ^ 1]) + e[1][1][5001:])],
        "demo_bundle.h5 in it does not match its checksum",
    ),
    "no checksum": (
        lambda e: [e[0], another(e[1][0].name, e[1][0], e[1][1], pax_headers={})], "has no checksum",
    ),
}  # fmt: skip


@pytest.mark.parametrize("trick", TRICKS)
def test_nothing_but_what_pack_writes_is_unpacked(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], trick: str
) -> None:
    change, words = TRICKS[trick]
    file = tampered(packed, tmp_path / "f.tar", change)
    folder = tmp_path / "a" / "b"
    assert main(["unpack", str(file), "--directory", str(folder)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert re.search(words, said[0]), said
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == [file]


@pytest.mark.parametrize("form", ["w:gz", "w:bz2", "w:xz", "cut", "noise"])
def test_damage_is_one_line_and_leaves_nothing(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    rng = np.random.default_rng(3)
    content = packed.read_bytes()
    if form[:2] == "w:":
        compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[form[2:]]
        content = compress(content[:200_000] + bytes(len(content) // 100))
    for attempt in range(12):
        damaged = bytearray(content[: int(rng.integers(len(content)))] if form == "cut" else content)
        if form != "cut":
            for at in rng.integers(0, min(len(damaged), 4096), 8):
                damaged[at] = rng.integers(256)
        file = tmp_path / "f"
        file.write_bytes(damaged)
        assert main(["unpack", str(file), "--directory", str(tmp_path / "a")]) == 2, attempt
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == [file]


def test_compressed_on_the_way_it_is_unpacked_all_the_same(packed: Path, tmp_path: Path) -> None:
    file = tmp_path / "f.tar.gz"
    file.write_bytes(gzip.compress(packed.read_bytes(), 1))
    assert main(["unpack", str(file), "--directory", str(tmp_path / "a")]) == 0


def test_what_a_killed_unpacking_left_is_no_obstacle(packed: Path, tmp_path: Path) -> None:
    line = ["unpack", str(packed), "--directory", str(tmp_path)]
    assert main(line) == 0
    whole = (tmp_path / "demo.ini").read_bytes()
    (tmp_path / "demo.ini").unlink()  # it gets its name last
    bundle = tmp_path / "demo" / "acb" / "demo_bundle.h5"
    before = bundle.stat().st_ino
    assert main(line) == 0
    assert (tmp_path / "demo.ini").read_bytes() == whole
    assert bundle.stat().st_ino == before


def test_full_disk_while_unpacking_leaves_nothing(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        assert main(["unpack", str(packed), "--directory", str(tmp_path)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "demo_bundle.h5: cannot be written" in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if not path.is_dir()]
    assert main(["unpack", str(packed), "--directory", str(tmp_path)]) == 0


def test_odd_places_to_unpack_from_and_to(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for line, words in (
        ([str(packed), "--directory", str(tmp_path / "file")], "is no folder"),
        ([str(packed), "--directory", str(tmp_path / "file" / "a")], "is below something"),
        ([str(tmp_path)], "is a folder, expected a regular file"),
        ([str(tmp_path / "pipe")], "is a pipe"),
        ([str(tmp_path / "file")], "cannot be unpacked"),
    ):
        assert main(["unpack", *line]) == 2, line
        said = capsys.readouterr().err
        assert words in said
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "output", ["demo.ini", "data/demo/acb/demo_bundle.h5", "notes.txt", "link", "pipe", "."]
)
def test_pack_replaces_nothing_but_what_it_wrote(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    (tmp_path / "work").mkdir()
    shutil.copytree(home.parent, tmp_path / "work", dirs_exist_ok=True)
    (tmp_path / "work" / "notes.txt").write_text("mine")
    (tmp_path / "work" / "link").symlink_to("demo.ini")
    os.mkfifo(tmp_path / "work" / "pipe")
    target = tmp_path / "work" / output
    before = target.read_bytes() if target.is_file() else os.lstat(target)
    assert main(["pack", "-c", str(tmp_path / "work" / "demo.ini"), "--output", str(target)]) == 2
    assert "give another" in capsys.readouterr().err
    assert (target.read_bytes() if target.is_file() else os.lstat(target)) == before


def test_bundle_that_is_a_link_is_packed_itself(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home.parent, tmp_path / "work")
    config = tmp_path / "work" / "demo.ini"
    bundle = Layout.of(read_config(config)).bundle
    bundle.rename(tmp_path / "scratch.h5")
    bundle.symlink_to(tmp_path / "scratch.h5")
    packed = tmp_path / "p.tar"
    for _ in range(2):  # its own former file is replaced
        assert main(["pack", "-c", str(config), "--output", str(packed)]) == 0
    assert main(["unpack", str(packed), "--directory", str(tmp_path / "a")]) == 0
    assert (tmp_path / "a/demo/acb/demo_bundle.h5").read_bytes() == (tmp_path / "scratch.h5").read_bytes()


@pytest.mark.parametrize(
    "place", ["Data_Directory = data", "data_directory =\n   data", "data_directory: data"]
)
def test_configuration_as_people_write_it_is_read_after_unpacking(
    home: Path, tmp_path: Path, place: str
) -> None:
    shutil.copytree(home.parent, tmp_path / "work")
    config = tmp_path / "work" / "demo.ini"
    text = re.sub(r"^data_directory = data", place, config.read_text(), flags=re.MULTILINE)
    config.write_bytes(text.replace("\n", "\r\n").encode())
    packed = tmp_path / "p.tar"
    assert main(["pack", "-c", str(config), "--output", str(packed)]) == 0
    assert main(["unpack", str(packed), "--directory", str(tmp_path / "a")]) == 0
    before, unpacked = (path.read_bytes().split(b"\r\n") for path in (config, tmp_path / "a" / "demo.ini"))
    changed = [(old, new) for old, new in zip(before, unpacked, strict=True) if old != new]
    assert [new for _, new in changed] == [b"# " + old for old, _ in changed]
    assert len(changed) == 1 + place.count("\n")


def test_odd_things_to_pull_results_from(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "demo_results.h5")
    (tmp_path / "file").touch()
    for folder, words in (
        (tmp_path, "is a pipe"),
        (tmp_path / "file", "below something"),
        (tmp_path / "none", "neither demo_results.h5 nor"),
    ):  # fmt: skip
        assert main(["results", "pull", "-c", str(home), str(folder)]) == 2
        assert words in capsys.readouterr().err


def test_estimate_says_how_it_reckons(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["create-bins", "-c", str(home), "--num-cpus", "1", "--resolution", "1"]) == 0
    binned = re.search(r"resolution 1: (\d+ regions) to fit", capsys.readouterr().out)
    assert binned
    line = ["estimate", "-c", str(home), "--sample", "40", "--nodes", "2", "--ranks-per-node", "3"]
    assert main([*line, "--resolution", "1"]) == 0
    said = capsys.readouterr().out
    for part in (binned[1], "for 40 regions", "2 nodes x 3 ranks: 5 workers", "--time 00:05:00 --memory "):
        assert part in said
    assert main([*line, "--sample", "0"]) == 2


def test_estimate_measures_neighbours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Different observations of a mosaic see regions that are far apart, and those take 50 times as long."""
    assert main(["create-bins", "-c", str(home), "--num-cpus", "1"]) == 0
    fitted: list[np.ndarray] = []
    fit = RegionFits.fit

    def noted(self: RegionFits, indices: np.ndarray) -> np.ndarray:
        fitted.append(indices)
        return fit(self, indices)

    monkeypatch.setattr(RegionFits, "fit", noted)
    found = estimate_fits(read_config(home), resolution=3, nodes=1, ranks_per_node=4, sample=60)
    _, *groups = fitted
    assert [len(group) for group in groups] == [20, 20, 20]
    assert all((np.diff(group) == 1).all() for group in groups)
    assert (groups[0][0], groups[-1][-1]) == (0, found.regions - 1)
    assert found.sampled == 60
    assert found.rank_bytes > BLOCK_BYTES


def test_estimate_is_arithmetic() -> None:
    gigabyte = 2**30
    found = Estimate(3, 1_000_000, 300, 0.1, 4, 128, 2 * gigabyte, gigabyte, gigabyte // 4)
    assert found.fit_seconds == pytest.approx(1e5 / 511)
    assert found.time_seconds == 600  # 1.5 x 196 + 60 = 354 s
    assert found.memory_gigabytes == 53  # 1.5 x (2 + 1 + 32)
    alone = Estimate(3, 100, 10, 1.0, 1, 1, 0, 0, gigabyte)
    assert alone.fit_seconds == 100
