"""A plan as a script does in a shell what the runner does, whatever characters its values have."""

import subprocess
from pathlib import Path

import pytest
from small_ciao import outside, program, small_ciao

from pyxt_hpc.preprocess.ciao.plans.call import OUT, Call, Value
from pyxt_hpc.preprocess.ciao.script import as_text, script_lines


def a_call(folder: Path, tool: str = "tool", **parameters: Value) -> Call:
    return Call(tool, parameters, (), (), folder, "4940")


def done(prefix: Path, *plan: Call) -> list[str]:
    """Run the script of a plan with programs that note their words, a line each."""
    note = prefix.parent / "words"
    for name in ("tool", "punlearn", "download_chandra_obsid"):
        program(prefix, name, f'#!/bin/bash\nprintf "%s\\n" "$0 $PWD" "$@" >> {note}\n')
    subprocess.run(
        ["bash", "-c", "\n".join(script_lines(plan))],
        env={**outside(), "PATH": f"{prefix / 'bin'}:/usr/bin:/bin"},
        text=True,
        check=True,
    )
    return [line.replace(f"{prefix}/bin/", "") for line in note.read_text().splitlines()]


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return small_ciao(tmp_path / "ciao")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("evt2.fits[energy=500:7000,sky=region(src.reg)][bin sky=::1]", None),
        ("[exclude sky=region(a.reg)]", None),
        ("1 2 4 8", None),
        ('it\'s $HOME `date` \\ "x" *?;&|<>#!~', None),
        ("", ""),
        (True, "yes"),
        (False, "no"),
        (0.393, "0.393"),
        (9500, "9500"),
        (("a.fits", "b.fits[ccd_id=0:3]"), "a.fits,b.fits[ccd_id=0:3]"),
        (f"{OUT}/x.fits", "{folder}/x.fits"),
        ((f"{OUT}/x", f"{OUT}/y"), "{folder}/x,{folder}/y"),
    ],
)
def test_values_come_out_as_they_went_in(
    value: Value, expected: str | None, prefix: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "made"
    expected = (str(value) if expected is None else expected).replace("{folder}", str(folder))
    assert done(prefix, a_call(folder, infile=value, clobber=True)) == [
        f"punlearn {folder}",
        "tool",
        f"tool {folder}",
        f"infile={expected}",
        "clobber=yes",
        "mode=h",
    ]


def test_a_stack_that_no_parameter_file_holds_is_a_file(prefix: Path, tmp_path: Path) -> None:
    paths = tuple(f"/data/A/{n}/repro/acisf{n:05d}_repro_evt2.fits[ccd_id=0:3]" for n in range(30))
    words = done(prefix, a_call(tmp_path / "made", infiles=paths))
    stack = tmp_path / "made/tool_infiles.lis"
    assert f"infiles=@-{stack}" in words
    assert stack.read_text().splitlines() == list(paths)


def test_a_download(prefix: Path, tmp_path: Path) -> None:
    plan = [a_call(tmp_path, "download_chandra_obsid", obsids=("1838", "1839"), filetypes=("evt1", "asol"))]
    expected = [f"download_chandra_obsid {tmp_path}", "1838,1839"]
    assert done(prefix, *plan) == [*expected, "evt1,asol"]
    (tmp_path / "words").unlink()
    assert done(prefix, a_call(tmp_path, "download_chandra_obsid", obsids=("1838", "1839"))) == expected


def test_it_stops_at_the_first_tool_that_fails(prefix: Path, tmp_path: Path) -> None:
    program(prefix, "bad", "#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        done(prefix, a_call(tmp_path / "x", "bad"), a_call(tmp_path / "y"))
    assert not (tmp_path / "y").exists()


def test_numbers_and_booleans() -> None:
    assert [as_text(one) for one in (True, False, 1, 1e-6, "x")] == ["yes", "no", "1", "1e-06", "x"]
