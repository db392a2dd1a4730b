"""What tools have made, given again to the same call: for tests of faults, where no work is of interest.

Only if the setting ``replay`` is on.
"""

import hashlib
import json
import shutil
from pathlib import Path

from ciao_double import state


def has(tool, settings):
    return _folder(tool, settings).is_dir()


def keep(tool, settings, written, changed):
    """Remember files that were written into the working directory, if this is on."""
    here = state.working_directory()
    of_call = bool(written) and all(path.is_relative_to(here) for path in written)
    if not of_call or not state.settings().get("replay"):
        return
    folder = _folder(tool, settings)
    folder.mkdir(parents=True)
    (folder / "changed.json").write_text(json.dumps(changed))
    for path in written:
        target = folder / "files" / path.relative_to(here)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def replay(tool, settings):
    folder = _folder(tool, settings)
    written = []
    for path in sorted(folder.glob("files/**/*")):
        if path.is_file():
            written.append(state.working_directory() / path.relative_to(folder / "files"))
            written[-1].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, written[-1])
    return written, json.loads((folder / "changed.json").read_text())


def _folder(tool, settings):
    # the working directory is another one for each call
    text = json.dumps(settings, sort_keys=True).replace(str(state.working_directory()), "")
    return Path(state.ROOT / "memory" / f"{tool}-{hashlib.sha256(text.encode()).hexdigest()[:16]}")
