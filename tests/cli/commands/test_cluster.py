"""A new configuration: complete by its options, or by answers at a terminal."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config


def test_options_write_a_complete_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    line = "init-cluster A115 --obsids 3233,13458 --redshift 0.197 --nH 0.052 --abundance 0.2"
    assert main([*line.split(), "--signal-to-noise", "40"]) == 0
    config = read_config(tmp_path / "A115_cluster_config.ini")
    assert config.observation_ids == ("3233", "13458")
    assert (config.redshift, config.nH, config.abundance, config.signal_to_noise) == (0.197, 0.052, 0.2, 40)
    assert config.statistic == "wstat"
    assert "complete" in capsys.readouterr().out


def test_missing_values_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init-cluster", "A115", "--redshift", "0.197"]) == 0
    assert "fill in observation_ids, hydrogen_column_density\n" in capsys.readouterr().out
    for wrong in ("--nH 5.2e20", "--redshift z", "--obsids 12x", "--abundance -1"):
        assert main(["init-cluster", "A2", *wrong.split()]) == 2
    assert not (tmp_path / "A2").exists()


@pytest.mark.parametrize(("name", "kind"), [("clusterpyxt", "counts"), ("clusterpyxt-2018", "net")])
def test_choices_of_clusterpyxt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    line = "init-cluster A115 --obsids 3233 --redshift 0.197 --nH 0.052 --abundance 0.2 --as"
    assert main([*line.split(), name]) == 0
    config = read_config(tmp_path / "A115_cluster_config.ini")
    assert (config.statistic, config.spectral_grouping) == ("chi2gehrels", "channels")
    assert config.signal_to_noise_of == kind
    assert config.clusterpyxt_maps


def at_a_terminal(folder: Path, answers: list[str], *options: str) -> tuple[int, str]:
    """Run the command at a pseudo-terminal with an answer to every question; returns exit code and screen."""
    master, slave = pty.openpty()
    command = [sys.executable, "-P", "-m", "pyxt_hpc", "init-cluster", "A115", *options]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, close_fds=True)
    os.close(slave)
    screen, end = "", time.monotonic() + 120
    remaining = list(answers)
    try:
        while time.monotonic() < end:
            if not select.select([master], [], [], 0.2)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                data = os.read(master, 4096)
            except OSError:  # Linux: the other side is closed
                break
            screen += data.decode()
            if remaining and screen.endswith(": "):
                os.write(master, remaining.pop(0).encode())
                screen += "\n"
        return process.wait(10), screen
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_questions_are_explained_and_answers_checked(tmp_path: Path) -> None:
    answers = ["3233, 13458\n", "z=0.2\n", "0.197\n", "5.2e20\n", "0.052\n", "\n", "40\n"]
    code, screen = at_a_terminal(tmp_path, answers)
    assert code == 0, screen
    config = read_config(tmp_path / "A115_cluster_config.ini")
    assert config.observation_ids == ("3233", "13458")
    assert (config.redshift, config.nH, config.abundance, config.signal_to_noise) == (0.197, 0.052, 0.3, 40)
    for said in ("ned.ipac.caltech.edu", "cda.harvard.edu", "did you mean 0.052?", "expected a number"):
        assert said in screen


def test_what_is_not_known_is_left_for_later(tmp_path: Path) -> None:
    code, screen = at_a_terminal(tmp_path, ["\n"] * 5)
    assert code == 0, screen
    assert "fill in observation_ids, redshift, hydrogen_column_density" in screen
    assert "abundance = 0.3" in (tmp_path / "A115_cluster_config.ini").read_text()


def test_end_of_input_writes_nothing(tmp_path: Path) -> None:
    code, screen = at_a_terminal(tmp_path, ["3233\n", "\x04"])
    assert code == 2, screen
    assert "nothing was written" in screen
    assert not list(tmp_path.iterdir())
