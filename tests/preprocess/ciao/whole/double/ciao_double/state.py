"""Where the double keeps what it needs: in the installation that its Python belongs to."""

import json
import os
import sys
from pathlib import Path

ROOT = Path(sys.prefix) / "double"


def settings():
    """What the installation was laid out with."""
    return json.loads((ROOT / "settings.json").read_text())


def archive():
    """Folder of the simulated archive."""
    return Path(settings()["archive"])


def caldb():
    """Folder of the calibration database."""
    return Path(os.environ["CALDB"])


def working_directory():
    return Path.cwd()
