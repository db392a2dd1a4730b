"""Streams of random numbers of the stages."""

import re
from pathlib import Path

import numpy as np

import pyxt_hpc
from pyxt_hpc.preprocess.background.seeds import stage_rng


def test_streams_repeat_and_differ() -> None:
    names = [(s, d) for s in ("process-data", "crop-data") for d in ("9003", "9003-FI", "9003-BI", "904")]
    drawn = np.array([stage_rng(*name).random(1000) for name in names])
    assert np.array_equal(drawn[0], stage_rng("process-data", "9003").random(1000))
    correlation = np.corrcoef(drawn) - np.eye(len(names))
    assert np.abs(correlation).max() < 0.15  # 4.7 sigma


def test_no_stage_has_a_seed_of_its_own_making() -> None:
    """Only one module makes seeds, so that no two stages have the same."""
    package = Path(pyxt_hpc.__file__).parent
    modules = [
        path for room in ("preprocess", "detect", "chandra") for path in (package / room).rglob("*.py")
    ]
    made = [path.name for path in modules if re.search("default_rng|SeedSequence", path.read_text())]
    assert made == ["seeds.py"]
