"""Random numbers of the stages: the same in every run, and independent between stages."""

import numpy as np


def stage_rng(stage: str, dataset: str) -> np.random.Generator:
    """Random stream of a stage and a dataset (an ObsID, or an ObsID with its kind of chips).

    If all stages of an observation used the same stream, the thinning of background events would depend on
    their positions.
    """
    return np.random.default_rng(list(f"{stage} {dataset}".encode()))
