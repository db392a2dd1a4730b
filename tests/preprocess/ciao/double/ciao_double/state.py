"""Where the double keeps what it needs: in the installation that its Python belongs to."""

import json
import os
import sys
from pathlib import Path

ROOT = Path(sys.prefix) / "double"


def archive():
    """Folder of the simulated archive."""
    return Path(json.loads((ROOT / "settings.json").read_text())["archive"])


def caldb():
    """Folder of the calibration database."""
    return Path(os.environ["CALDB"])


def working_directory():
    return Path.cwd()
