"""The jobs and the harness that several tests launch can be imported, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
