"""Output on the screen."""

import errno
import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pyxt_hpc.cli import main, screen
from pyxt_hpc.cli.logs import LogFile, log_to_screen
from pyxt_hpc.cli.screen import Manner, answer, echo, tell

Captured = pytest.CaptureFixture[str]


def test_libraries_that_draw_say_no_more_than_warnings() -> None:
    log_to_screen()
    for library in ("matplotlib.font_manager", "fontTools.subset"):
        assert not logging.getLogger(library).isEnabledFor(logging.INFO)


def test_quiet_leaves_answers_and_warnings(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(screen, "manner", Manner(quiet=True))
    tell("on the way", "warning: of something")
    echo("asked for")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("asked for\n", "warning: of something\n")


def test_json_has_standard_output_for_itself(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr(screen, "manner", Manner(json=True))
    tell("on the way")
    answer({"kT": float("nan")}, ["kT: none"])
    said = capsys.readouterr()
    assert json.loads(said.out) == {"kT": None}
    assert said.err == "on the way\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Configuration of a cluster without data."""
    path = tmp_path / "A.ini"
    path.write_text(
        "[cluster_info]\nname = A\nobservation_ids = 1\nredshift = 0.06\nhydrogen_column_density = 0.03\n"
        "abundance = 0.3\nsignal_to_noise_threshold = 50\n"
    )
    return path


def test_log_file_has_everything_with_times(config: Path, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "a.log"
    for _ in range(2):
        assert main(["status", "-c", str(config), "--log-file", str(path)]) == 2
    lines = path.read_text().splitlines()
    assert lines[0] == "# log of pyxt-hpc"
    assert sum(f"pyxt-hpc status -c {config} --log-file {path}" in line for line in lines) == 2
    assert sum(" INFO error: " in line and "is missing" in line for line in lines) == 2
    assert sum("where it came from" in line for line in lines) == 2
    assert not [one for one in logging.getLogger("pyxt_hpc.cli.said").handlers if isinstance(one, LogFile)]
    assert capsys.readouterr().err.count("error: ") == 2


@pytest.mark.parametrize("name", ["A.ini", ".", "none/a.log"])
def test_what_is_no_log_is_kept(name: str, config: Path, tmp_path: Path, capsys: Captured) -> None:
    before = config.read_text()
    assert main(["status", "-c", str(config), "--log-file", str(tmp_path / name)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name.strip(".") in line
    assert config.read_text() == before


def test_a_log_file_without_room_is_named(
    config: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")  # as close() raises it, without a name

    monkeypatch.setattr(Path, "write_text", full)
    assert main(["status", "-c", str(config), "--log-file", str(tmp_path / "a.log")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / "a.log") in line
    assert "free disk space" in line


def test_several_things_that_are_wrong_come_one_a_line(config: Path, capsys: Captured) -> None:
    config.write_text("[cluster_info]\nname = A\nobservation_ids = 1\nredshft = 0.06\nabundance = 9\n")
    assert main(["status", "-c", str(config)]) == 2
    first, *others = capsys.readouterr().err.splitlines()
    assert first == f"pyxt-hpc: error: {config}:"
    assert all(line.startswith("  [cluster_info] ") for line in others)
    assert "  [cluster_info] redshft is unknown (did you mean redshift?)" in others
    assert len(others) == 4


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colours_only_on_a_terminal(no_color: str, config: Path) -> None:
    config.unlink()
    command = [sys.executable, "-P", "-m", "pyxt_hpc", "status", "-c", str(config)]
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    piped = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert "\x1b" not in piped.stderr
    ours, theirs = pty.openpty()
    try:
        subprocess.run(command, stderr=theirs, check=False, env=environment)
        said = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert ("\x1b[31merror: \x1b[0m" in said) == (not no_color)
