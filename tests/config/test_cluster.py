"""A configuration is read completely and correctly, or all its problems are named at once."""

from pathlib import Path

import pytest

from pyxt_hpc.config.cluster import config_template, read_config
from pyxt_hpc.errors import ConfigError, DamagedFile, MissingInput

FILLED = {
    "observation_ids": "4940, 04941 ,,",
    "redshift": "0.062",
    "hydrogen_column_density": "0.0348",
}


def write(folder: Path, changes: dict[str, str] | None = None, name: str = "A1795") -> Path:
    """Write the template with some values replaced."""
    lines = []
    for line in config_template(name).splitlines():
        key = line.partition("=")[0].strip()
        value = {**FILLED, **(changes or {})}.get(key)
        lines.append(line if value is None else f"{key} = {value}  # a comment")
    path = folder / "A.ini"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_template_filled_in_is_read_with_its_inline_comments(tmp_path: Path) -> None:
    config = read_config(write(tmp_path))
    assert config.name == "A1795"
    assert config.observation_ids == ("4940", "4941")  # leading zeros and empty entries are dropped
    assert (config.redshift, config.nH, config.abundance) == (0.062, 0.0348, 0.3)
    assert (config.energy_min_keV, config.energy_max_keV, config.num_cpus) == (0.7, 8.0, 0)
    assert config.cluster_directory == tmp_path / "A1795"


def test_template_names_every_key_of_clusterpyxt() -> None:
    template = config_template("X")
    for key in (
        "[cluster_info]", "name", "observation_ids", "redshift", "hydrogen_column_density", "abundance",
        "signal_to_noise_threshold", "[processing]", "parallel_processing", "num_cpus",
    ):  # fmt: skip
        assert f"\n{key}" in template


def test_first_line_of_a_template_names_what_must_be_filled_in() -> None:
    some = {"redshift": "0.062"}
    first = [config_template("X", texts).partition("\n")[0] for texts in (None, some, FILLED)]
    assert first == [
        "# pyxt_hpc configuration of X: fill in observation_ids, redshift, hydrogen_column_density",
        "# pyxt_hpc configuration of X: fill in observation_ids, hydrogen_column_density",
        "# pyxt_hpc configuration of X",
    ]


def test_all_problems_are_named_together(tmp_path: Path) -> None:
    path = write(
        tmp_path, {"redshift": "Update me!", "hydrogen_column_density": "5.2e20", "observation_ids": ""}
    )
    path.write_text(path.read_text().replace("abundance =", "abundanc ="), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        str(path), "redshift is 'Update me!'", "did you mean 0.052?", "observation_ids is missing",
        "abundanc is unknown (did you mean abundance?)", "abundance is missing",
    ):  # fmt: skip
        assert part in message


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("observation_ids", "49a0", "49a0"),
        ("observation_ids", "4940, 4940", "twice"),
        ("redshift", "-0.1", "0 to 3"),
        ("redshift", "nan", "nan"),
        ("hydrogen_column_density", "11", "0 to 10"),
        ("hydrogen_column_density", "0.0_5", "expected a number"),
        ("temperature_min", "1_0", "expected a number in keV"),
        ("num_cpus", "2.5", "whole number"),
        ("parallel_processing", "perhaps", "true or false"),
        ("absorption", "wabs", "phabs, tbabs"),
        ("energy_min", "8.5", "not below"),
        ("name", "Abell 85", "no blanks"),
        ("signal_to_noise_threshold", "0", "3 to 1000"),
    ],
)
def test_value_that_cannot_be_right_is_refused(tmp_path: Path, key: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_config(write(tmp_path, {key: value}))


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="init-cluster"):
        read_config(tmp_path / "none.ini")


@pytest.mark.parametrize(
    "content", [b"no section = 1\n", b"\xff\xfe\x00", b"[cluster_info]\nname = a\nname = b\n"]
)
def test_what_is_no_ini_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "A.ini"
    path.write_bytes(content)
    with pytest.raises((ConfigError, DamagedFile), match=r"cannot be read as an INI file|not a text file"):
        read_config(path)


@pytest.mark.parametrize(
    "line",
    [
        "last_step_completed = 3",
        "Last_Step_Completed = +3",
        "last_step_completed =  # c",
        "last_step_completed = -0",
    ],
)
def test_clusterpyxts_count_of_steps_is_read_and_left_alone(tmp_path: Path, line: str) -> None:
    path = write(tmp_path)
    text = path.read_text().replace("[processing]", f"[processing]\n{line}")
    path.write_text(text)
    assert read_config(path).last_step_completed in (0, 3)
    assert "last_step_completed" not in config_template("A")


def test_byte_order_mark_and_line_ends_of_windows(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace("\n", "\r\n").encode())
    assert read_config(path).name == "A1795"
