"""Numbers of the configuration and of the command line: one range, one message, one exit code for both."""

from pathlib import Path

import pytest

from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import config_template, read_config

SPECTRUM = ["fit-pha", "absent.pi"]
USUAL = {"--redshift": ["0.1"], "--nH": ["0.05"]}

# option, its words, what is said
LINES: list[tuple[str, list[str], str]] = [
    ("--nH", ["5e20"], "argument --nH: is in 1e22 cm^-2; found 5e20: did you mean 0.05?"),
    ("--nH", ["3.48e20"], "did you mean 0.0348?"),
    ("--nH", ["11"], "argument --nH: is 11, expected 0 to 10 1e22 cm^-2"),
    ("--nH", ["-0.05"], "argument --nH: is -0.05, expected 0 to 10"),
    ("--nH", ["nan"], "argument --nH: is nan, expected 0 to 10"),
    ("--nH", ["inf"], "argument --nH: is inf, expected 0 to 10"),
    ("--nH", ["thin"], "argument --nH: is 'thin', expected a number in 1e22 cm^-2, e.g. 0.0348"),
    ("--redshift", ["-2"], "argument --redshift: is -2, expected 0 to 3"),
    ("--redshift", ["50"], "argument --redshift: is 50, expected 0 to 3"),
    ("--redshift", ["inf"], "argument --redshift: is inf, expected 0 to 3"),
    ("--redshift", ["z"], "argument --redshift: is 'z', expected a number"),
    ("--abundance", ["-0.3"], "argument --abundance: is -0.3, expected 0 to 5 solar"),
    ("--abundance", ["30"], "argument --abundance: is 30, expected 0 to 5 solar"),
    ("--energy", ["0.7", "8000"], "argument --energy: is 8000, expected 0.3 to 12 keV"),
    ("--energy", ["8", "0.7"], "--energy is 8 to 0.7 keV, expected the lower value first"),
    ("--energy", ["2", "2"], "--energy is 2 to 2 keV"),
    ("--kT", ["0", "10"], "argument --kT: is 0, expected 0.0814 to 45.7 keV"),
    ("--kT", ["1", "100"], "argument --kT: is 100, expected 0.0814 to 45.7 keV"),
    ("--kT", ["10", "1"], "--kT is 10 to 1 keV, expected the lower value first"),
    ("--kT", ["3"], "argument --kT: expected 2 arguments"),
    ("--abundance-table", ["anders"], "is 'anders', expected one of angr, aspl"),
]


def spectrum_line(option: str, words: list[str]) -> list[str]:
    """A command line with one option changed."""
    options = USUAL | {option: words}
    return [*SPECTRUM, *(word for name, values in options.items() for word in (name, *values))]


@pytest.mark.parametrize(("option", "words", "message"), LINES)
def test_options_of_fit_spectrum(
    capsys: pytest.CaptureFixture[str], option: str, words: list[str], message: str
) -> None:
    assert main(spectrum_line(option, words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err


def test_options_in_range_go_on_to_the_spectrum(capsys: pytest.CaptureFixture[str]) -> None:
    for option, words in (
        ("--nH", ["0"]),
        ("--redshift", ["3"]),
        ("--energy", ["0.3", "12"]),
        ("--kT", ["1", "9"]),
    ):
        assert main(spectrum_line(option, words)) == 2
        assert "absent.pi: spectrum not found" in capsys.readouterr().err


COUNTS: list[tuple[list[str], str]] = [
    (["fit-spectra", "--num-cpus", "-3"], "argument --num-cpus: is '-3', expected a whole number from 0 to"),
    (["fit-spectra", "--num-cpus", "2.5"], "argument --num-cpus: is '2.5', expected a whole number"),
    (["fit-spectra", "--max-regions", "0"], "argument --max-regions: is '0', expected a whole number from 1"),
    (["create-bins", "--num-cpus", "99999"], "expected a whole number from 0 to 4096"),
    (["estimate", "--sample", "0"], "argument --sample: is '0', expected a whole number from 1"),
    (["compare-engines", "--sample", "-1"], "argument --sample: is '-1', expected a whole number from 1"),
    (["make-job", "--array", "-2"], "argument --array: is '-2', expected a whole number from 0"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), COUNTS)
def test_numbers_of_other_commands(capsys: pytest.CaptureFixture[str], line: list[str], message: str) -> None:
    assert main([*line, "-c", "absent.ini"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_ranks_of_the_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--ranks", "-1", "--directory", str(tmp_path / "demo")]) == 2
    assert "argument --ranks: is '-1', expected a whole number from 0" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def write(folder: Path, **values: str) -> Path:
    """A configuration with these values."""
    text = config_template("A1")
    for key, value in (
        {"observation_ids": "1", "redshift": "0.1", "hydrogen_column_density": "0.05"} | values
    ).items():
        head, _, tail = text.partition(f"\n{key} =")
        text = f"{head}\n{key} = {value}  #{tail.partition('#')[2]}"
    path = folder / "a.ini"
    path.write_text(text)
    return path


KEYS: list[tuple[str, str, str]] = [
    ("hydrogen_column_density", "5e20", "did you mean 0.05?"),
    ("hydrogen_column_density", "11", "expected 0 to 10"),
    ("redshift", "-2", "redshift is -2, expected 0 to 3"),
    ("redshift", "50", "redshift is 50, expected 0 to 3"),
    ("abundance", "30", "abundance is 30, expected 0 to 5"),
    ("temperature_max", "100", "temperature_max is 100, expected 0.0814 to 45.7"),
    ("energy_max", "8000", "energy_max is 8000, expected 0.3 to 12"),
    ("energy_min", "9", "energy_min = 9 is not below energy_max = 8"),
    ("temperature_min", "41", "temperature_min = 41 is not below temperature_max = 40"),
    ("num_cpus", "-3", "num_cpus is '-3', expected a whole number"),
]


@pytest.mark.parametrize(("key", "value", "message"), KEYS)
def test_keys_out_of_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: str, message: str
) -> None:
    assert main(["process-data", "-c", str(write(tmp_path, **{key: value}))]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("nH", "warned"), [("0.05", False), ("1", False), ("1.2", True), ("5", True)])
def test_dense_columns_ask_for_a_look(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, nH: str, warned: bool
) -> None:
    config = read_config(write(tmp_path, hydrogen_column_density=nH))
    assert config.nH == float(nH)
    assert ("in 1e22 cm^-2: such a dense column" in caplog.text) is warned
    assert (f"for {nH}e20 cm^-2 write {float(nH) / 100:g}" in caplog.text) is warned
    caplog.clear()
    assert main(spectrum_line("--nH", [nH])) == 2  # no such spectrum
    assert ("--nH is" in caplog.text) is warned
