"""Positions of chips, pixels and events on the sky, exposure and vignetting."""
