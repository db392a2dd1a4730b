"""Stages 1-4: from observations to the bundle."""
