"""Fixtures that several rooms of tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference numbers and real spectra that lies beside a developer's checkout."""
    if not (SHARED / "reference").is_dir():
        pytest.skip(f"the reference data are not here: {SHARED} (only developers have them)")
    return SHARED
