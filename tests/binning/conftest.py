"""A made cluster for bins."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def made_cluster() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, background and mask (200^2) of an elliptical beta model with a gap and a hole."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:200, :200]
    shape = (1 + ((y - 90) ** 2 + 1.4 * (x - 110) ** 2) / 15.0**2) ** -1.3
    background = np.full((200, 200), 0.1, np.float32)
    mask = np.ones((200, 200), np.uint8)
    mask[:, 60:64] = 0
    mask[(y - 120) ** 2 + (x - 130) ** 2 < 30] = 0
    counts = rng.poisson(150_000 * shape / shape.sum() + background) * mask
    return counts.astype(np.int32), background, mask
