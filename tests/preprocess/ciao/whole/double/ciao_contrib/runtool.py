"""A double of CIAO's ``ciao_contrib.runtool``, for tests only: see `ciao_double`.

Like the real one: tools are attributes, or made by `make_tool`; a call checks its values, runs the tool in
a process of its own with both outputs joined, returns what it printed (None for nothing) and raises OSError
if it ended badly, TypeError or AttributeError for an unknown parameter, ValueError for a bad value. Stricter
than the real one: names and choices must be written in full, and the environment must be as CIAO's
activation and a private parameter folder make it.
"""

import contextlib
import os
import shutil
import tempfile

from ciao_double import environment, run, table


class CIAOTool:
    """A tool whose parameters are attributes."""

    def __init__(self, toolname):
        object.__setattr__(self, "_toolname", toolname)
        for kind in ("required", "optional"):
            object.__setattr__(self, f"_{kind}", [p["name"] for p in table.TABLE[toolname][kind]])
        object.__setattr__(self, "_parnames", [*self._required, *self._optional])
        self.punlearn()

    def __repr__(self):
        return f"<CIAO tool: {self._toolname}>"

    def toolname(self):
        return self._toolname

    def punlearn(self):
        object.__setattr__(self, "_settings", table.defaults(self._toolname))
        object.__setattr__(self, "_runtimes", {})

    def get_runtime_details(self):
        return dict(self._runtimes)

    def __getattr__(self, name):
        try:
            return self._settings[name]
        except KeyError:
            raise AttributeError(
                f"There is no parameter for {self._toolname} that matches '{name}'"
            ) from None

    def __setattr__(self, name, value):
        if name not in self._settings:
            raise AttributeError(f"There is no parameter for {self._toolname} that matches '{name}'")
        self._settings[name] = table.checked(self._toolname, name, value)

    def __iter__(self):
        return iter(self._settings.items())

    def __call__(self, *args, **kwargs):
        names = list(self._settings)
        if len(args) > len(names):
            raise TypeError(f"{self._toolname} takes at most {len(names)} arguments ({len(args)} given)")
        given = dict(zip(names, args, strict=False)) | kwargs
        for name in given:
            if name not in self._settings:
                raise TypeError(f"There is no parameter for {self._toolname} that matches '{name}'")
        for name, value in given.items():
            self._settings[name] = table.checked(self._toolname, name, value)
        environment.check()
        table.check_required(self._toolname, self._settings)
        code, screen, changed = run.run_tool(self._toolname, dict(self._settings), set(given))
        object.__setattr__(self, "_runtimes", {"code": code, "output": screen, "args": list(self)})
        if code != 0:
            told = "\n  ".join(screen.rstrip().split("\n"))
            raise OSError(f"An error occurred while running '{self._toolname}':\n  {told}")
        self._settings.update(changed)
        return screen.rstrip() or None


def make_tool(toolname):
    if toolname not in table.TABLE:
        raise ValueError(f"Unknown tool: '{toolname}'")
    return CIAOTool(toolname)


def list_tools():
    return sorted(name for name, one in table.TABLE.items() if one["runnable"])


_tools = {}


def __getattr__(name):
    if name == "download_chandra_obsid":
        raise NotImplementedError("use ciao_contrib.cda.data.download_chandra_obsids")
    if name not in table.TABLE:
        raise AttributeError(f"module 'ciao_contrib.runtool' has no attribute '{name}'")
    return _tools.setdefault(name, CIAOTool(name))


def get_pfiles(userdir=True):
    return environment.pfiles()[0 if userdir else 1]


def set_pfiles(userdir=None, userdirs=None):
    system = environment.pfiles()[1]
    chosen = userdirs if userdir is None else [userdir]
    for folder in chosen or []:
        if not os.path.isdir(folder):
            raise OSError(f"{folder} does not exist")
    os.environ["PFILES"] = f"{':'.join(chosen or [])};{':'.join(system or [])}"


@contextlib.contextmanager
def new_tmpdir(dirname=None, tmpdir=None):
    folder = tempfile.mkdtemp(dir=tmpdir or os.environ.get("ASCDS_WORK_PATH"), prefix="tmpdir")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def new_pfiles_environment(ardlib=True, copyuser=True, dirname=None, tmpdir=None):
    before = os.environ.get("PFILES")
    environment.pfiles()
    with new_tmpdir(dirname, tmpdir) as folder:
        set_pfiles(folder)
        try:
            yield folder
        finally:
            os.environ["PFILES"] = before
