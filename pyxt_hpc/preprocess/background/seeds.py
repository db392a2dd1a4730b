"""Random draws of the stages: the same in every run, and no draw decides twice."""

import numpy as np


def stage_rng(stage: str, dataset: str) -> np.random.Generator:
    """A stream of its own for a stage and a dataset (an ObsID, or one with its kind of chips).

    With one stream for all stages of an observation, those background events would be thinned out that have
    been put at certain places.
    """
    return np.random.default_rng(list(f"{stage} {dataset}".encode()))
