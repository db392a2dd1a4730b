"""What tests of calls share is imported from beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
