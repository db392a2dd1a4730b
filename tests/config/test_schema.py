"""Reading, new configurations and the manual come from one table of keys; any text is read or refused."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pyxt_hpc.config.cluster import SECTIONS, ClusterConfig, config_template, read_config
from pyxt_hpc.config.hpc import CONFIG_KEYS, KEYS, BatchSettings
from pyxt_hpc.config.ini import parse_ini, without_key
from pyxt_hpc.config.schema import ini_lines
from pyxt_hpc.errors import ConfigError, DamagedFile
from pyxt_hpc.jobs.sites import read_site

CONFIGURATION = Path(__file__).parents[2] / "pyxt_hpc" / "manual" / "configuration.md"
ALL_KEYS = {**SECTIONS, "hpc": CONFIG_KEYS}
FILLED = {"observation_ids": "4940", "redshift": "0.062", "hydrogen_column_density": "0.0348"}
FORMER = [
    ("spectral", "binning", "spectral_grouping", "channels"),
    ("hpc", "warning", "stop_margin", "300"),
    ("hpc", "chunk", "pbs_select", "model=bro"),
]
PROPERTY = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.parametrize("section", ALL_KEYS)
def test_manual_has_the_table_of_keys(section: str) -> None:
    lines = [f"## [{section}]", "| key | default | unit | meaning |", "| --- | --- | --- | --- |"]
    for name, one in ALL_KEYS[section].items():
        default = f"`{one.default}`" if one.default else "-"
        lines.append(f"| `{name}` | {default} | {one.unit} | {one.meaning.replace('|', chr(92) + '|')} |")
    table = "\n".join(lines)
    page = CONFIGURATION.read_text(encoding="utf-8")
    found = re.sub(r"(?ms)^(## \[\w+\])\n.*?(?=^\|)", r"\1\n", page)
    assert table in found, f"{CONFIGURATION.name} should have:\n\n{table}"


def test_manual_has_no_other_section() -> None:
    page = CONFIGURATION.read_text(encoding="utf-8")
    assert re.findall(r"(?m)^## \[(\w+)\]", page) == list(ALL_KEYS)


def test_new_configuration_has_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "A.ini"
    path.write_text(config_template("A", FILLED))
    found = read_config(path)
    required = {"name": "A", "observation_ids": ("4940",), "redshift": 0.062, "nH": 0.0348, "abundance": 0.3}
    assert found == ClusterConfig(path=path, **required, data_directory=tmp_path)  # type: ignore[arg-type]


def config_with(folder: Path, section: str, lines: str) -> Path:
    """A configuration with further lines in a section."""
    path = folder / "A.ini"
    text = f"{config_template('A', FILLED)}\n[hpc]\n"
    if section == "spectral":
        text = "\n".join(line for line in text.split("\n") if not line.startswith("spectral_grouping"))
    path.write_text(text.replace(f"[{section}]\n", f"[{section}]\n{lines}\n"))
    return path


@pytest.mark.parametrize(("section", "old", "new", "value"), FORMER)
def test_former_names_are_read_with_one_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, section: str, old: str, new: str, value: str
) -> None:
    config = read_config(config_with(tmp_path, section, f"{old} = {value}"))
    found = config.spectral_grouping if section == "spectral" else dict(config.hpc)[new]
    assert found == value
    (note,) = caplog.messages
    assert f"[{section}] {old} is now called {new}" in note
    caplog.clear()
    read_config(config_with(tmp_path, section, f"{new} = {value}"))
    assert not caplog.messages


@pytest.mark.parametrize(("section", "old", "new", "value"), FORMER)
def test_both_names_of_a_key_are_refused(
    tmp_path: Path, section: str, old: str, new: str, value: str
) -> None:
    with pytest.raises(ConfigError, match=rf"\[{section}\] {old} is the former name of {new}") as caught:
        read_config(config_with(tmp_path, section, f"{old} = {value}\n{new} = {value}"))
    assert "\n" not in str(caught.value)


def test_former_names_in_a_profile(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "own.ini"
    path.write_text("[hpc]\nscheduler = pbs\nwarning = 60\nchunk = model=bro\n")
    assert read_site(str(path)) == {"scheduler": "pbs", "stop_margin": "60", "pbs_select": "model=bro"}
    assert len(caplog.messages) == 1
    path.write_text("[hpc]\nscheduler = pbs\nwarning = 60\nstop_margin = 60\n")
    with pytest.raises(ConfigError, match="former name of stop_margin"):
        read_site(str(path))


# Texts that people write, and some that nobody should write.
ODD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
NUMBERS = ["", "0", "1", "-1", "0.3", "5e20", "nan", "inf", "1_0", "01:00:00", "0:0:0", "64G", "4940, 04941"]
WORDS = ["true", "No", "auto", "phabs", "~", "~nobody/x", "/data", "..", "model=bro", "{obsid}/{obsid}.arf"]
LONGER = ["-l a=b\n--qos=c", "A=b c\nB=", "srun --mpi=pmi2", "mpirun 'x", "x\n y", "x\n\n  y"]
AWKWARD = ["a#b", "a ; b", "x = y", "[hpc]", "%(a)s"]
TEXTS = st.one_of(st.sampled_from([*NUMBERS, *WORDS, *LONGER, *AWKWARD]), ODD)
LINES = st.sampled_from(
    [
        "[hpc]",
        "[maps]",
        "[DEFAULT]",
        "name = A",
        "  more",
        "# c",
        "=",
        "a",
        "warning = 60",
        "[",
        "[]",
        "\ufeff",
    ]
)
NAMES = st.sampled_from([name for keys in ALL_KEYS.values() for name in keys])


def written(folder: Path, texts: dict[str, str]) -> Path:
    """A configuration with every section and these texts, without defaults for other keys."""
    path = folder / "A.ini"
    path.write_text("\n".join(ini_lines(ALL_KEYS, texts)), encoding="utf-8", newline="")
    return path


@contextlib.contextmanager
def may_be_refused() -> Iterator[None]:
    """Allow only errors of this package, with a message of one line."""
    try:
        yield
    except (ConfigError, DamagedFile) as error:
        if len(str(error).splitlines()) != 1:
            pytest.fail(f"more than one line: {error}")


@PROPERTY
@given(st.dictionaries(NAMES, TEXTS, max_size=6))
@example({"environment": "A=b\n\nB=c", "data_directory": "\n   x"})
def test_texts_mean_the_same_after_writing_or_are_refused(tmp_path: Path, texts: dict[str, str]) -> None:
    path = written(tmp_path, {"name": "A", **FILLED, **texts})
    with may_be_refused():
        config = read_config(path)
        parser = parse_ini(path.read_text(encoding="utf-8-sig"), path, "a configuration")
        found = {key: text for name in parser.sections() for key, text in parser.items(name)}
        assert read_config(written(tmp_path, found)) == config


@PROPERTY
@given(st.lists(st.one_of(ODD, LINES, NAMES.map("{} = 1".format))).map("\n".join))
@example("no section")
def test_any_file_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "A.ini"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises((ConfigError, DamagedFile)) as caught:  # keys that must be given are missing
        read_config(path)
    assert len(str(caught.value).splitlines()) == 1
    with may_be_refused():
        edited = without_key(text, "cluster_info", "data_directory")
        edited = edited.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        assert not parse_ini(edited, path, "a configuration").has_option("cluster_info", "data_directory")


@PROPERTY
@given(st.dictionaries(st.sampled_from(list(KEYS)), TEXTS, max_size=6))
def test_settings_of_a_job_are_taken_or_refused(texts: dict[str, str]) -> None:
    with may_be_refused():
        found = BatchSettings.of({"scheduler": "slurm", **texts}, "here")
        assert found.scheduler in ("slurm", "pbs")
