"""One value changes, and nothing else does: comments, order, line ends, odd keys, values of several lines."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.config.cluster import config_template
from pyxt_hpc.config.ini import new_parser, set_value
from pyxt_hpc.errors import ConfigError

CASES = {
    "plain": ("[a]\nd = x\nb = 1\n", "[a]\nd = NEW\nb = 1\n"),
    "comment": ("[a]\nd = x   # where\nb = 1\n", "[a]\nd = NEW # where\nb = 1\n"),
    "comment in its column": ("[a]\nd = x      # where\n", "[a]\nd = NEW    # where\n"),
    "empty": ("[a]\nd =\nb = 1\n", "[a]\nd =NEW\nb = 1\n"),
    "empty with a comment": ("[a]\nd =   # keep\nb = 1\n", "[a]\nd =   NEW # keep\nb = 1\n"),
    "odd case": ("[a]\nD = x\nb = 1\n", "[a]\nD = NEW\nb = 1\n"),
    "colon": ("[a]\nd: x ; where\n", "[a]\nd: NEW ; where\n"),
    "indented": ("[a]\n  d = x\n  b = 1\n", "[a]\n  d = NEW\n  b = 1\n"),
    "several lines": ("[a]\nd =\n   /data\nb = 1\n", "[a]\nd =NEW\nb = 1\n"),
    "several lines with comments": (
        "[a]\nd = x # one\n   y # two\n# three\n   z\nb = 1\n",
        "[a]\nd = NEW # one\n   # two\n# three\nb = 1\n",
    ),
    "line ends of Windows": ("[a]\r\nd = x\r\nb = 1\r\n", "[a]\r\nd = NEW\r\nb = 1\r\n"),
    "mixed line ends": ("[a]\r\nd = x\nb = 1\r\n", "[a]\r\nd = NEW\nb = 1\r\n"),
    "byte order mark": ("\ufeff[a]\nd = x\n", "\ufeff[a]\nd = NEW\n"),
    "no end of the last line": ("[a]\nd = x", "[a]\nd = NEW"),
    "looks like the key, in another value": (
        "[b]\nt = one\n  d = x\n[a]\nd = x\n", "[b]\nt = one\n  d = x\n[a]\nd = NEW\n",
    ),
    "the same key of another section": ("[b]\nd = x\n[a]\nd = y\n", "[b]\nd = x\n[a]\nd = NEW\n"),
    "looks like the key, in a comment": ("[a]\n# d = x\nd = y\n", "[a]\n# d = x\nd = NEW\n"),
    "equals signs in the value": ("[a]\nd = x=y:z\n", "[a]\nd = NEW\n"),
    "form feed in a comment": ("[a]\n# one\x0ctwo\nd = x\n", "[a]\n# one\x0ctwo\nd = NEW\n"),
    "key absent": ("[a]\nb = 1\n", "[a]\nd = NEW\nb = 1\n"),
    "key absent, Windows": ("[a] # c\r\nb = 1\r\n", "[a] # c\r\nd = NEW\r\nb = 1\r\n"),
    "key absent, section last": ("[b]\nc = 1\n[a]", "[b]\nc = 1\n[a]\nd = NEW\n"),
    "section absent": ("[b]\nc = 1", "[b]\nc = 1\n\n[a]\nd = NEW\n"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_only_that_value_changes(case: str) -> None:
    before, after = CASES[case]
    assert set_value(before, "a", "d", "NEW") == after


def test_what_cannot_be_set_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match="d cannot be set"):
        set_value("[a]\nd = x\n", "a", "d", "y # not a value")


def made_up_file(rng: np.random.Generator) -> str:
    """An INI file of lines that people write, in one of the conventions for ends of lines."""
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
        after = set_value(before, "cluster_info", "data_directory", ".")
        parser = new_parser()
        parser.read_string(after.removeprefix("\ufeff").replace("\r\n", "\n"))
        assert parser["cluster_info"]["data_directory"] == "."
        # Every comment is still there, in its order, and every line of other keys to the last byte.
        comments = [word for text in (before, after) for word in [[w for w in text.split() if w[0] in "#;"]]]
        assert comments[0] == comments[1], before
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
        gone = [line for line in old if line not in new]
        came = [line for line in new if line not in old]
        assert len(came) <= 3, before
        first = came[0] if came else ""
        assert first == "" or first.lower().lstrip("\ufeff").startswith("data_directory"), before
        assert all("data_directory" in line.lower() or line[0] in " \t" for line in gone), before
        assert ("\r\n" in before) == ("\r\n" in after)


def test_the_template_and_any_of_its_values() -> None:
    text = config_template("A")
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif key := line.partition(" = ")[0].strip(" =") if "=" in line and line[0] != "#" else "":
            edited = set_value(text, section, key, "other")
            pairs = itertools.zip_longest(text.splitlines(), edited.splitlines())
            changed = [new for old, new in pairs if old != new]
            assert len(changed) == 1
            assert changed[0].partition("#")[2] == line.partition("#")[2]


def test_shared_cases(shared: Path) -> None:
    for path in sorted((shared / "cases").glob("*/*.ini")):
        text = path.read_bytes().decode()
        edited = set_value(text, "cluster_info", "data_directory", ".")
        assert edited.count("#") == text.count("#")
