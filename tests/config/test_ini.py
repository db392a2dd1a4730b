"""One key is commented out, and nothing else changes: comments, order, line ends, values of several lines."""

from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.config.cluster import config_template
from pyxt_hpc.config.ini import parse_ini, without_key
from pyxt_hpc.errors import ConfigError

CASES = {
    "plain": ("[a]\nd = x\nb = 1\n", "[a]\n# d = x\nb = 1\n"),
    "comment": ("[a]\nd = x   # where\nb = 1\n", "[a]\n# d = x   # where\nb = 1\n"),
    "empty": ("[a]\nd =\nb = 1\n", "[a]\n# d =\nb = 1\n"),
    "odd case": ("[a]\nD = x\nb = 1\n", "[a]\n# D = x\nb = 1\n"),
    "colon": ("[a]\nd: x ; where\n", "[a]\n# d: x ; where\n"),
    "indented": ("[a]\n  d = x\n  b = 1\n", "[a]\n#   d = x\n  b = 1\n"),
    "several lines": (
        "[a]\nd = x # one\n   y # two\n# three\n   z\nb = 1\n",
        "[a]\n# d = x # one\n#    y # two\n# three\n#    z\nb = 1\n",
    ),
    "mixed line ends": ("[a]\r\nd = x\nb = 1\r\n", "[a]\r\n# d = x\nb = 1\r\n"),
    "byte order mark": ("\ufeff[a]\nd = x\n", "\ufeff[a]\n# d = x\n"),
    "no end of the last line": ("[a]\nd = x", "[a]\n# d = x"),
    "looks like the key, in another value": (
        "[b]\nt = one\n  d = x\n[a]\nd = x\n", "[b]\nt = one\n  d = x\n[a]\n# d = x\n",
    ),
    "the same key of another section": ("[b]\nd = x\n[a]\nd = y\n", "[b]\nd = x\n[a]\n# d = y\n"),
    "looks like the key, in a comment": ("[a]\n# d = x\nd = y\n", "[a]\n# d = x\n# d = y\n"),
    "form feed in a comment": ("[a]\n# one\x0ctwo\nd = x\n", "[a]\n# one\x0ctwo\n# d = x\n"),
    "key absent": ("[a]\nb = 1\n", "[a]\nb = 1\n"),
    "section absent": ("[b]\nc = 1", "[b]\nc = 1"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_only_that_key_is_commented_out(case: str) -> None:
    before, after = CASES[case]
    assert without_key(before, "a", "d") == after


def test_what_cannot_be_taken_out_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="d cannot be taken out"):
        without_key("[DEFAULT]\nd = x\n[a]\nb = 1\n", "a", "d")


def made_up_file(rng: np.random.Generator) -> str:
    """An INI file of lines that people write, with one kind of line ends."""
    end = str(rng.choice(["\n", "\r\n"]))
    lines = ["# head", "", "[zero]", "data_directory = not this one", ""]
    keys = [f"key_{i}" for i in range(int(rng.integers(1, 6)))] + ["data_directory"]
    for number, key in enumerate(rng.permutation(keys)):
        if number == 0:
            lines.append(str(rng.choice(["[cluster_info]", "[cluster_info]   # the cluster"])))
        written = str(rng.choice([key, key.upper(), key.title()]))
        mark = str(rng.choice([" = ", "=", ": ", " =   ", "= "]))
        value = str(rng.choice(["", "x", "/a b/c", "{obsid}/y", "a=b", "a#b;c", "100%", "ä"]))
        comment = str(rng.choice(["", "  # why", "\t; why", " ## why = not"]))
        lines.append(f"{written}{mark}{value}{comment}")
        for _ in range(int(rng.choice([0, 0, 0, 1, 2]))):
            lines.append(str(rng.choice(["   more", "\tmore = 2  # c", "   data_directory = x"])))
        lines += rng.choice(["", "# between", "   ; between", "  "], int(rng.integers(0, 3))).tolist()
    lines += ["[last]", "data_directory : nor this"]
    return str(rng.choice(["", "\ufeff"])) + end.join(lines) + str(rng.choice(["", end]))


def test_files_as_people_write_them() -> None:
    rng = np.random.default_rng(4)
    for _ in range(400):
        before = made_up_file(rng)
        after = without_key(before, "cluster_info", "data_directory")
        text = after.removeprefix("\ufeff").replace("\r\n", "\n")
        assert "data_directory" not in parse_ini(text, Path("a.ini"), "a file")["cluster_info"]
        for old, new in zip(before.splitlines(), after.splitlines(), strict=True):
            assert new in (old, f"# {old}"), before
        assert ("\r\n" in before) == ("\r\n" in after)


def test_the_template_and_any_of_its_values() -> None:
    text = config_template("A")
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif key := line.partition(" = ")[0].strip(" =") if "=" in line and line[0] != "#" else "":
            assert without_key(text, section, key) == text.replace(f"\n{line}\n", f"\n# {line}\n")


def test_shared_cases(shared: Path) -> None:
    for path in sorted((shared / "cases").glob("*/*.ini")):
        text = path.read_bytes().decode()
        edited = without_key(text, "cluster_info", "data_directory")
        assert edited.replace("# ", "") == text.replace("# ", "")
