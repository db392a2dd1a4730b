"""Calls of tools in CIAO's own Python: of any kind, with noise, hanging, killed, several at a time."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from small_ciao import outside, small_ciao, tool

from pyxt_hpc.errors import CiaoError
from pyxt_hpc.files.process_identity import is_running
from pyxt_hpc.preprocess.ciao import bridge
from pyxt_hpc.preprocess.ciao.find import Ciao, find_ciao
from pyxt_hpc.preprocess.ciao.session import CallResult, Session, ciao_session

BRIDGE = Path(str(bridge.__file__))


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    found = small_ciao(tmp_path / "ciao")
    tool(found, "say", 'echo "$text"; exit ${code:-0}')
    return found


@pytest.fixture
def ciao(prefix: Path) -> Ciao:
    return find_ciao(str(prefix), outside())


@pytest.fixture
def session(ciao: Ciao, tmp_path: Path) -> Iterator[Session]:
    with ciao_session(ciao, tmp_path / "A") as found:
        yield found


def call(session: Session, name: str, limit_s: float = 30.0, **parameters: object) -> CallResult:
    """Call a tool in the folder that has the log."""
    folder = session._folder
    return session.call(name, parameters, folder, folder / "screen.log", limit_s)


def wait_for_end(pid: int) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(100):
        if not is_running(pid):
            return True
        time.sleep(0.05)
    return False


def python_3_8() -> str | None:
    """An interpreter of this version, if this machine has one."""
    places = [
        shutil.which("python3.8"),
        *map(str, (Path.home() / ".pyenv/versions").glob("3.8.*/bin/python")),
    ]
    for place in filter(None, places):
        said = subprocess.run([str(place), "--version"], capture_output=True, text=True).stdout
        if said.startswith("Python 3.8"):
            return str(place)
    return None


def test_a_call_gives_screen_and_parameters(session: Session) -> None:
    answer = call(session, "say", text="hello  world", list=("a", "b"))
    assert (answer.error, answer.kind, answer.screen) == ("", "", "hello  world\n")
    assert answer.outputs == {"text": "hello  world", "list": ["a", "b"]}
    assert 0 < answer.seconds < 10


def test_parameters_do_not_stay_for_the_next_call(session: Session) -> None:
    call(session, "say", text="first", other="x")
    assert call(session, "say", text="second").outputs == {"text": "second"}


def test_a_tool_that_fails_gives_its_own_words_and_code(session: Session) -> None:
    answer = call(session, "say", text="# DMCOPY: Parse error", code="3")
    assert (answer.kind, answer.code) == ("tool", 3)
    assert "# DMCOPY: Parse error" in answer.error
    assert call(session, "say", text="and goes on").screen == "and goes on\n"


@pytest.mark.parametrize("said", ["Skipped one observation.", "Skipped 3 observations."])
def test_an_image_that_lacks_observations_is_a_failure(session: Session, prefix: Path, said: str) -> None:
    # merge_obs ends well where it takes only some of its event files
    tool(prefix, "merge_obs", 'echo "Skipping evt2.fits as it contains no data."; echo "$text"')
    answer = call(session, "merge_obs", text=said)
    assert (answer.kind, answer.error) == ("tool", "observations were left out")
    assert call(session, "merge_obs", text="Verifying 2 observations.").kind == ""


def test_what_is_no_text_is_the_tools_failure(session: Session, prefix: Path) -> None:
    tool(prefix, "stammer", r"printf '\377\n'")
    assert call(session, "stammer").kind == "tool"


def test_a_parameter_that_this_version_does_not_know(session: Session) -> None:
    answer = call(session, "say", nonsense="1")
    assert (answer.kind, answer.error) == (
        "parameter",
        "There is no parameter for say that matches 'nonsense'",
    )


def test_what_is_said_is_appended_to_the_log(session: Session) -> None:
    for text in ("one", "two"):
        call(session, "say", text=text)
    assert (session._folder / "screen.log").read_text() == "one\ntwo\n"


def test_tools_cannot_read_our_requests(prefix: Path, session: Session) -> None:
    tool(prefix, "reader", 'read line; echo "read: $line"')
    assert call(session, "reader", limit_s=10).screen == "read:\n"


def test_neither_numpy_nor_this_package_is_seen(prefix: Path, session: Session) -> None:
    tool(prefix, "import", 'python3 -c "import $module"')
    assert "No module named" in call(session, "import", module="numpy").error
    assert "No module named" in call(session, "import", module="pyxt_hpc").error


def test_what_lies_beside_the_bridge_hides_no_module(prefix: Path, ciao: Ciao, tmp_path: Path) -> None:
    with (prefix / "lib/ciao_contrib/runtool.py").open("a") as file:
        file.write("from script import OF_CIAO\n")
    (prefix / "lib/script.py").write_text("OF_CIAO = True\n")
    with ciao_session(ciao, tmp_path / "A") as session:
        assert call(session, "say", text="x").error == ""


def test_the_bridge_is_python_3_8() -> None:
    tree = ast.parse(BRIDGE.read_text(), feature_version=(3, 8))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    modules = [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    others = {name.split(".")[0] for name in [*imported, *modules]} - sys.stdlib_module_names
    assert others == {"ciao_contrib"}


@pytest.mark.parametrize("kind", ["its own", "Python 3.8"])
def test_an_interpreter_that_prints_at_its_start(kind: str, tmp_path: Path) -> None:
    python = sys.executable if kind == "its own" else python_3_8()
    if python is None:
        pytest.skip("this machine has no Python 3.8")
    prefix = small_ciao(tmp_path / "ciao", python=python)
    noise = (
        "import os, sys\nprint('{\"error\": \"noise\"}')\nos.write(2, b'more')\nsys.stdout.write('no end')\n"
    )
    (prefix / "lib/sitecustomize.py").write_text(noise)
    (prefix / "bin/python3").write_text(f'#!/bin/sh\necho started\nexec {python} "$@"\n')
    tool(prefix, "say", 'echo "$text"')
    with ciao_session(find_ciao(str(prefix), outside()), tmp_path / "A") as session:
        assert call(session, "say", text="clean").screen == "clean\n"
        assert "started" in (session._folder / "start.log").read_text()


def test_tools_that_print_without_end_do_not_stop_it(prefix: Path, session: Session) -> None:
    tool(prefix, "babble", "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last")
    answer = call(session, "babble")
    assert len(answer.screen) == 1 << 16
    assert answer.screen.endswith("x\nlast\n")


def test_text_that_is_no_unicode(prefix: Path, session: Session) -> None:
    (prefix / "lib/ciao_contrib/runtool.py").write_text(
        (prefix / "lib/ciao_contrib/runtool.py").read_text().replace(".decode()", ".decode('latin-1')")
    )
    tool(prefix, "latin", "printf 'caf\\351\\n'")
    assert call(session, "latin").screen == "café\n"


def test_words_of_any_language_under_any_locale(prefix: Path, ciao: Ciao, tmp_path: Path) -> None:
    tool(prefix, "speak", "echo 'Ångström ☉'")
    variables = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ciao = replace(ciao, environment={**ciao.environment, **variables})
    with ciao_session(ciao, tmp_path / "A") as session:
        assert call(session, "speak").screen == "Ångström ☉\n"


def test_without_its_modules_it_says_so(prefix: Path, ciao: Ciao, tmp_path: Path) -> None:
    shutil.rmtree(prefix / "lib/ciao_contrib")
    with (
        ciao_session(ciao, tmp_path / "A") as session,
        pytest.raises(CiaoError, match=r"No module named 'ciao_contrib'.*conda create -n ciao"),
    ):
        call(session, "say", text="x")


def test_an_interpreter_that_ends_at_its_start(prefix: Path, ciao: Ciao, tmp_path: Path) -> None:
    (prefix / "bin/python3").write_text(
        "#!/bin/sh\necho 'libz.so.1: cannot open shared object file' >&2\nexit 127\n"
    )
    with (
        ciao_session(ciao, tmp_path / "A") as session,
        pytest.raises(CiaoError, match=r"libz\.so\.1: cannot open"),
    ):
        call(session, "say", text="x")


def test_the_time_limit_ends_all_that_a_tool_has_started(prefix: Path, session: Session) -> None:
    tool(prefix, "hang", "bash -c 'sleep 600 & echo $! >> pids; echo waiting; wait' & echo $! >> pids; wait")
    answer = call(session, "hang", limit_s=1.0)
    assert (answer.kind, session.has_ended) == ("time", True)
    assert 1.0 <= answer.seconds < 5.0
    pids = [int(line) for line in (session._folder / "pids").read_text().split()]
    assert len(pids) == 2
    assert not any(map(is_running, pids))


def test_a_tool_that_is_killed(prefix: Path, session: Session) -> None:
    tool(prefix, "eat", "echo eating; kill -9 $$")
    answer = call(session, "eat")
    assert (answer.kind, answer.code) == ("tool", -signal.SIGKILL)
    assert call(session, "say", text="others go on").error == ""


def test_the_whole_interpreter_is_killed(prefix: Path, session: Session) -> None:
    tool(prefix, "eat", "echo eating; sleep 600 & echo $! > pid; kill -9 $PPID; sleep 600")
    answer = call(session, "eat")
    assert (answer.kind, answer.code, session.has_ended) == ("died", -signal.SIGKILL, True)
    assert wait_for_end(int((session._folder / "pid").read_text()))


def test_it_ends_with_whoever_started_it(prefix: Path, tmp_path: Path) -> None:
    """Also if that is killed, and a tool is at work."""
    tool(prefix, "hang", "echo $$ > pid; sleep 600")
    program = (
        "import sys; from pathlib import Path\n"
        "from pyxt_hpc.preprocess.ciao.find import find_ciao\n"
        "from pyxt_hpc.preprocess.ciao.session import ciao_session\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"with ciao_session(find_ciao({str(prefix)!r}), folder / 'A') as session:\n"
        "    session.call('hang', {}, folder, folder / 'log', 600)\n"
    )
    environment = {**outside(), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as process:
        for _ in range(200):
            if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip():
                break
            time.sleep(0.05)
        process.kill()
    assert wait_for_end(int((tmp_path / "pid").read_text()))


def test_private_folders_are_removed_also_those_of_the_dead(ciao: Ciao, tmp_path: Path) -> None:
    cluster = tmp_path / "A"
    with ciao_session(ciao, cluster) as session:
        name = session._folder.name
        call(session, "say", text="x")
    assert list(cluster.iterdir()) == []
    with subprocess.Popen(["true"]) as dead:
        pass
    (cluster / name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")).mkdir()
    with ciao_session(ciao, cluster) as session:
        assert list(cluster.iterdir()) == [session._folder]


def test_parameter_files_are_private_and_forgotten(prefix: Path, ciao: Ciao, tmp_path: Path) -> None:
    """Each of several processes finds what it has written, and nobody else's."""
    tool(
        prefix,
        "learn",
        'own="${PFILES%%;*}"; echo "$value" >> "$own/ardlib.par"; sleep 0.2; cat "$own/ardlib.par"',
    )
    tool(prefix, "show", 'echo "$PFILES"; echo "$ASCDS_WORK_PATH"')

    def learn(number: int) -> tuple[str, ...]:
        with ciao_session(ciao, tmp_path / "A") as session:
            learned = [call(session, "learn", value=f"{number}.{n}").screen for n in range(2)]
            pfiles, work = call(session, "show").screen.split()
            session.forget()
            return (*learned, call(session, "learn", value="new").screen, pfiles, work)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(learn, range(4)))
    assert [one[:3] for one in found] == [(f"{n}.0\n", f"{n}.0\n{n}.1\n", "new\n") for n in range(4)]
    parts = [one[3].split(";") for one in found]
    assert {system for _, system in parts} == {str(prefix / "param")}
    assert len({private for private, _ in parts}) == len({one[4] for one in found}) == 4


def test_download_is_resumed_in_its_folder_and_tells_what_is_not_there(session: Session) -> None:
    assert call(session, "download_chandra_obsid", obsids=("1838",), filetypes=("evt1", "asol")).error == ""
    assert (session._folder / "1838/oif.fits").is_file()
    said = ["verbosity 3", "asked for 1838 ['evt1', 'asol'] None", "verbosity 0"]
    assert (session._folder / "screen.log").read_text().splitlines() == said
    answer = call(session, "download_chandra_obsid", obsids=("1838", "404"))
    assert (answer.kind, answer.error) == ("tool", "ObsID 404 could not be downloaded")


def test_requests_and_answers_are_json_lines(ciao: Ciao, tmp_path: Path) -> None:
    """The bridge by itself, as its text says."""
    reader, writer = os.pipe()
    request = {
        "tool": "say",
        "parameters": {"text": "x"},
        "folder": str(tmp_path),
        "log": str(tmp_path / "log"),
    }
    (tmp_path / "private").mkdir()
    with subprocess.Popen(
        [str(ciao.python), str(BRIDGE), str(writer)],
        stdin=subprocess.PIPE,
        pass_fds=(writer,),
        env=ciao.environment_of(tmp_path / "private"),
        start_new_session=True,
    ) as process:
        os.close(writer)
        with os.fdopen(reader) as answers:
            assert json.loads(answers.readline())["error"] == ""
            assert process.stdin is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(answers.readline())
            process.stdin.close()
            assert answers.readline() == ""
    assert answer.keys() == CallResult.__dataclass_fields__.keys()
    assert process.returncode == 0
